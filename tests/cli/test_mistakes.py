"""docs/mistakes.md says what is really printed for the twelve usual mistakes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.mistakes import MISTAKES, Mistake, see

PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
BLOCK = re.compile(r"^\*\*(\d+)\. (.+?)\*\*.*?\n+```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


def shown() -> dict[str, str]:
    """Return what the page says, by title."""
    return {title: text for _, title, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))}


def test_the_page_has_twelve_mistakes_in_order() -> None:
    found = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [number for number, *_ in found] == [str(number) for number in range(1, 13)]
    assert [title for _, title, _ in found] == [mistake.title for mistake in MISTAKES]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
def test_a_mistake_prints_what_the_page_says(project: Any, mistake: Mistake, caplog: pytest.LogCaptureFixture) -> None:
    assert see(mistake, project.folder) == shown()[mistake.title]
