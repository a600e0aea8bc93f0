"""Every Python snippet of the README and the documentation is a program that runs.

A snippet is executed as a module of its own. Two comments, on the line before the fence, change that:

    <!-- snippet: continue -->                 the names of the snippet before are there already
    <!-- snippet: skip: needs a Redis -->      not run, and why
"""

from __future__ import annotations

import linecache
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from microasgi.convertors import CONVERTOR_TYPES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[\w+-]*)(?P<rest>.*)$")
MARK = re.compile(r"^ *<!-- snippet: (?P<mark>[^>]*?) -->$")


@dataclass
class Snippet:
    """One fenced block: where it stands, what it says, what the comment before it asks for."""

    page: Path
    line: int
    language: str
    mark: str
    lines: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def skip_reason(self) -> str | None:
        return self.mark.removeprefix("skip").lstrip(": ") if self.mark.startswith("skip") else None

    def run(self, module: ModuleType) -> None:
        # Blank lines in front let a traceback name the line of the page.
        source = "\n" * self.line + textwrap.dedent("\n".join(self.lines)) + "\n"
        linecache.cache[self.name] = (len(source), None, source.splitlines(keepends=True), self.name)
        exec(compile(source, self.name, "exec", dont_inherit=True), vars(module))


def read_snippets(page: Path, text: str) -> list[Snippet]:
    found: list[Snippet] = []
    fence, mark = "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        if fence:
            if line.strip() == fence:
                fence = ""
            else:
                found[-1].lines.append(line)
        elif match := FENCE.match(line):
            fence = match["ticks"]
            found.append(Snippet(page, number, match["language"], mark))
            mark = ""
        elif line.strip():
            match = MARK.match(line)
            mark = match["mark"] if match else ""
    return found


SNIPPETS = [snippet for page in PAGES for snippet in read_snippets(page, page.read_text(encoding="utf-8"))]
PYTHON = [snippet for snippet in SNIPPETS if snippet.language == "python"]


def before(snippet: Snippet) -> list[Snippet]:
    """Return the snippets of the page that have to run first, in order."""
    needed: list[Snippet] = []
    index = PYTHON.index(snippet)
    while PYTHON[index].mark == "continue":
        index -= 1
        assert index >= 0, f"{snippet.name} continues nothing"
        assert PYTHON[index].page == snippet.page, f"{snippet.name} continues a snippet of another page"
        assert PYTHON[index].skip_reason is None, f"{snippet.name} continues a snippet that is skipped"
        needed.insert(0, PYTHON[index])
    return needed


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return an empty module that annotations and dataclasses can be looked up in; files go to a folder of the test."""
    module = ModuleType("snippet")
    monkeypatch.setitem(sys.modules, "snippet", module)
    monkeypatch.chdir(tmp_path)
    convertors = dict(CONVERTOR_TYPES)
    yield module
    CONVERTOR_TYPES.clear()  # what a snippet has registered is no other test's
    CONVERTOR_TYPES.update(convertors)
    for snippet in SNIPPETS:
        linecache.cache.pop(snippet.name, None)


@pytest.mark.parametrize("snippet", PYTHON, ids=lambda snippet: snippet.name)
def test_the_snippet_runs(snippet: Snippet, module: ModuleType) -> None:
    if snippet.skip_reason is not None:
        pytest.skip(snippet.skip_reason)
    for earlier in before(snippet):
        earlier.run(module)
    snippet.run(module)
    assert callable(getattr(module, "app", callable)), f"{snippet.name}: app is not an ASGI application"


def test_a_skipped_snippet_says_why() -> None:
    silent = [snippet.name for snippet in PYTHON if snippet.skip_reason == ""]
    assert not silent, "write <!-- snippet: skip: the reason -->"


def test_marks_are_known() -> None:
    unknown = [
        f"{snippet.name}: {snippet.mark}"
        for snippet in SNIPPETS
        if snippet.mark not in ("", "continue") and snippet.skip_reason is None
    ]
    assert not unknown, "a snippet can be marked continue or skip"


def test_no_python_snippet_escapes_under_another_name() -> None:
    others = [snippet.name for snippet in SNIPPETS if snippet.language in ("", "py", "python3", "Python", "pycon")]
    assert not others, "name the language after the fence: python is run, console, text, toml, ... are not"


def test_the_readme_has_a_snippet_that_runs() -> None:
    assert any(snippet.page.name == "README.md" and snippet.skip_reason is None for snippet in PYTHON)


def test_a_traceback_names_the_line_of_the_page(module: ModuleType) -> None:
    page = ROOT / "docs" / "page.md"
    (snippet,) = read_snippets(page, "# Title\n\n    ```python title='x'\n    a = 1\n    raise ValueError\n    ```\n")
    with pytest.raises(ValueError) as raised:
        snippet.run(module)
    assert raised.traceback[-1].lineno + 1 == 5
