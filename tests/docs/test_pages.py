"""What pages say of the code is held to the code: the floors of the house, the tests that prove a promise."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.conformance.exchanges import BREAKING, HTTP
from tests.conformance.exchanges_body import BODIES
from tests.conformance.exchanges_websocket import WEBSOCKET

ROOT = Path(__file__).parents[2]
EXCHANGES = {exchange.name for exchange in [*HTTP, *BODIES, *WEBSOCKET, *BREAKING]}


def read_page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def read_proofs(page: str) -> list[tuple[str, str]]:
    """Return (file, test) for each test that the last column of a page names, ("", name) for each exchange."""
    found: list[tuple[str, str]] = []
    for line in read_page(page).splitlines():
        cell = line.rstrip("| ").rpartition("|")[2]
        file = ""
        for code, quoted in re.findall(r'`([^`]+)`|"([^"]+)"', cell if line.startswith("|") else ""):
            if code.endswith(".py"):
                file = code
            elif code.startswith("test_") or quoted:
                found.append(("", quoted) if quoted else (file, code))
    return found


PROOFS = read_proofs("security.md")
GUARANTEES = read_proofs("django-guarantees.md")


def test_the_security_page_names_proofs() -> None:
    assert len(PROOFS) > 40
    assert {file for file, _ in PROOFS} >= {"", "test_forms.py", "test_headers.py"}


def test_the_page_of_django_names_tests_for_every_row() -> None:
    rows = [line for line in read_page("django-guarantees.md").splitlines() if line.startswith("| ")][1:]
    assert len(GUARANTEES) > len(rows) > 25
    assert all("test_" in row.rpartition("| ")[2] for row in rows)


@pytest.mark.parametrize("file, name", [*PROOFS, *GUARANTEES])
def test_a_proof_that_a_page_names_exists(file: str, name: str) -> None:
    if not file:
        assert name in EXCHANGES
        return
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^ *(?:async )?def {name}\(", source, re.MULTILINE)


def test_the_floors_of_the_architecture_page_are_those_of_the_code() -> None:
    house = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"), run_name="house")
    rows = re.findall(r"^\| (\d+)\b[^|]*\| ([^|]+) \|", read_page("architecture.md"), re.MULTILINE)
    shown = {int(floor): set(re.findall(r"`(\w+)`", modules)) for floor, modules in rows}
    assert shown == dict(enumerate(house["FLOORS"]))
