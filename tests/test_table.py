"""The routing table: which template answers a path, whatever the order of registration, and at which cost."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.convertors import CONVERTOR_TYPES, NO_MATCH, Convertor, register_url_convertor
from microasgi.paths import Parameter, Template, is_clean
from microasgi.table import Table

NUMBER = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def year() -> Iterator[None]:
    """Register `{name:year}`."""

    class Year(Convertor[int]):
        regex = "[12][0-9]{3}"

        def convert(self, value: str) -> int:
            return int(value)

    register_url_convertor("year", Year())
    yield
    del CONVERTOR_TYPES["year"]


def table_of(*templates: str) -> Table[str]:
    return Table((Template(text), text) for text in templates)


def look_up(table: Table[str], path: str) -> tuple[str, dict[str, Any]] | None:
    target = table.exact.get(path)
    return table.find(path) if target is None else (target, {})


# Precedence


@pytest.mark.parametrize(
    ("path", "winner", "others"),
    [
        ("/users/me", "/users/me", ["/users/{name}", "/{a}/{b}", "/{p:path}", "/users/{p:path}"]),
        ("/users/5", "/users/{id:int}", ["/users/{name}", "/users/{number:float}", "/{a}/{b}"]),
        ("/users/1.5", "/users/{number:float}", ["/users/{name}", "/users/{id:int}"]),
        (f"/users/{NUMBER}", "/users/{id:uuid}", ["/users/{name}"]),
        ("/users/a.json", "/users/{name}.json", ["/users/{name}", "/{a}/{b}"]),
        ("/a-b.json", "/{a}-{b}.json", ["/{a}.json", "/{a}-{b}"]),
        ("/1-b", "/{a:int}-{b}", ["/{a}-{b}"]),
        ("/static/app.css", "/static/{p:path}", ["/{user}/{project}", "/{p:path}"]),
        ("/static/app.css", "/static/{name}", ["/static/{p:path}"]),
        ("/files/a/edit", "/files/{p:path}/edit", ["/files/{p:path}", "/{p:path}"]),
        ("/files/img-1", "/files/img-{p:path}", ["/files/{p:path}"]),
        ("/a/b/c", "/a/b/{p:path}", ["/a/{p:path}", "/{p:path}", "/{a}/b/{p:path}"]),
        ("/a/b/c", "/a/{b}/c", ["/a/{b}/{c}", "/{a}/b/c", "/{a}/{b}/c", "/a/{p:path}"]),
        ("/5/x", "/{a:int}/{b}", ["/{a}/x", "/{a}/{b}", "/{p:path}"]),
        ("/a/x", "/{a}/x", ["/{a:int}/{b}", "/{a}/{b}", "/{p:path}"]),
        ("/", "/", ["/{p:path}"]),
        ("//", "//", ["/{p:path}"]),
    ],
)
def test_the_most_specific_template_wins_in_any_order(path: str, winner: str, others: list[str]) -> None:
    for templates in ([winner, *others], [*others, winner], [*others[::-1], winner]):
        found = look_up(table_of(*templates), path)
        assert found is not None
        assert found[0] == winner


@pytest.mark.usefixtures("year")
def test_own_convertors_come_before_built_in_ones() -> None:
    table = table_of("/{a:int}", "/{a:year}", "/{a:int}/{b}", "/{a:year}/{b}")
    assert table.find("/1999") == ("/{a:year}", {"a": 1999})
    assert table.find("/199") == ("/{a:int}", {"a": 199})
    assert table.find("/1999/x") == ("/{a:year}/{b}", {"a": 1999, "b": "x"})


@pytest.mark.parametrize(
    ("templates", "path", "found"),
    [
        (["/{a:int}/x", "/{a}/y"], "/5/y", ("/{a}/y", {"a": "5"})),
        (["/a/{b}/c", "/{a}/b/d"], "/a/b/d", ("/{a}/b/d", {"a": "a"})),
        (["/a/{b:int}", "/{a}/b"], "/a/b", ("/{a}/b", {"a": "a"})),
        (["/a/b/{c:int}", "/a/{p:path}"], "/a/b/c", ("/a/{p:path}", {"p": "b/c"})),
        (["/a/{b}/c", "/{p:path}"], "/a/b/d", ("/{p:path}", {"p": "a/b/d"})),
        (["/a/{p:path}/x", "/{p:path}"], "/a/b/y", ("/{p:path}", {"p": "a/b/y"})),
        (["/{a:int}/{b:int}", "/{a}/{b}"], "/5/b", ("/{a}/{b}", {"a": "5", "b": "b"})),
        (["/x/{a}-{b}", "/x/{a}"], "/x/y", ("/x/{a}", {"a": "y"})),
        (["/x/{a}-{b}/z", "/x/{a}/z"], "/x/y/z", ("/x/{a}/z", {"a": "y"})),
    ],
)
def test_what_fits_in_part_gives_way_to_what_fits_in_whole(
    templates: list[str], path: str, found: tuple[str, dict[str, Any]]
) -> None:
    assert table_of(*templates).find(path) == found


def test_of_equal_templates_the_first_one_counts() -> None:
    assert look_up(table_of("/{a}", "/{b}"), "/x") == ("/{a}", {"a": "x"})
    assert look_up(table_of("/{a}/y", "/{b}/y"), "/x/y") == ("/{a}/y", {"a": "x"})
    table = Table([(Template("/x"), 1), (Template("/x"), 2)])
    assert table.exact == {"/x": 1}


# Values


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/{a}", "/x", {"a": "x"}),
        ("/u/{id:int}", "/u/5", {"id": 5}),
        ("/u/{id:uuid}", f"/u/{NUMBER}", {"id": UUID(NUMBER)}),
        ("/u/{a}-{b}.json", "/u/x-y.json", {"a": "x", "b": "y"}),
        ("/{a}/{b}/{c:int}", "/x/y/5", {"a": "x", "b": "y", "c": 5}),
        ("/{a}.txt/{b}", "/x.txt/y", {"a": "x", "b": "y"}),
        ("/s/{p:path}", "/s/a/b", {"p": "a/b"}),
        ("/s/{p:path}", "/s/", {"p": ""}),
        ("/{a}/s/{p:path}", "/x/s/a/b/", {"a": "x", "p": "a/b/"}),
        ("/s/{p:path}.{kind}", "/s/a/b.c", {"p": "a/b", "kind": "c"}),
        ("/{p:path}", "/", {"p": ""}),
        ("/{p:path}", "/a//b/", {"p": "a//b/"}),
        ("/a/{b}/", "/a/x/", {"b": "x"}),
        ("/{a}", "/ü ñ", {"a": "ü ñ"}),
    ],
)
def test_values_come_by_name(template: str, path: str, values: dict[str, Any]) -> None:
    assert table_of(template).find(path) == (template, values)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/{a}", "/"),
        ("/{a}", "/x/"),
        ("/{a}", "/x/y"),
        ("/{a}", ""),
        ("/{a}", "x"),
        ("/{a:int}", "/5\n"),
        ("/{a}", "/x\n"),
        ("/a/{b}", "/a/b\n"),
        ("/{a}/b", "/x/b\n"),
        ("/{a}/{b}-{c}", "/x/y"),
        ("/{a}/{b:int}", "/x/y"),
        ("/{a:int}/{b}/{c}", "/x/y/z"),
        ("/{a:int}/b", "/x/b"),
        ("/{a}/b", "//b"),
        ("/s/{p:path}", "/s"),
        ("/s/{p:path}", "/sa"),
        ("/s/{p:path}", "/s/../secret"),
        ("/s/{p:path}", "/s/a\\b"),
        ("/s/{p:path}", "/s/a\0"),
        ("/s/{p:path}", "/s/."),
        ("/{a}", "/.."),
        ("/{a}", "/a\x1f"),
        ("/{a}/{b}", "/../b"),
    ],
)
def test_a_path_that_does_not_fit_finds_nothing(template: str, path: str) -> None:
    assert table_of(template).find(path) is None


def test_an_empty_table_finds_nothing() -> None:
    assert table_of().find("/") is None
    assert table_of().find("") is None
    assert table_of("/a").find("/b/c/d") is None


# Against a slow matcher


def specificity(template: str) -> tuple[Any, ...]:
    """Say again, without the table, what comes first: what stands in each segment, and then the finer points."""
    ranks: list[int] = []
    finer: list[Any] = []
    segments = re.split(r"/(?![^{]*})", template)
    for index, segment in enumerate(segments):
        fixed = re.sub(r"\{.*?\}", "", segment)
        kinds = [kind or "str" for kind in re.findall(r"\{\w+:?(\w*)\}", segment)]
        if "path" in kinds:
            ranks.append(4)
            finer.append((-len(re.sub(r"\{.*?\}", "", "/".join(segments[index:]))),))
            break
        ranks.append(0 if not kinds else 1 if fixed else 3 if kinds == ["str"] else 2)
        order = [["uuid", "int", "float", "str"].index(kind) for kind in kinds]
        finer.append((-len(fixed) if kinds else 0, order))
    return ranks, finer


def all_values(pieces: list[Any], text: str) -> Iterator[dict[str, Any]]:
    """Try every way to cut the text, as no router may."""
    if not pieces:
        if not text:
            yield {}
        return
    piece, rest = pieces[0], pieces[1:]
    if not isinstance(piece, Parameter):
        if text.startswith(piece):
            yield from all_values(rest, text[len(piece) :])
        return
    for end in range(len(text) + 1):
        value = piece.read(text[:end]) if piece.spans or "/" not in text[:end] else NO_MATCH
        if value is not NO_MATCH:
            yield from ({piece.name: value, **others} for others in all_values(rest, text[end:]))


SEGMENTS = st.sampled_from(["a", "b", "", "{}", "{}", "{:int}", "{:float}", "{}.j", "a{}", "{:int}-{}", "{}-{:int}.j"])
ENDS = st.sampled_from(["", "", "", "/{:path}", "/a{:path}", "/{:path}/b", "/{:path}.j"])


@st.composite
def templates(draw: st.DrawFn) -> str:
    text = "".join(f"/{segment}" for segment in draw(st.lists(SEGMENTS, max_size=4))) + draw(ENDS)
    names = iter("pqrstuvwxyz")
    return re.sub(r"\{", lambda _: "{" + next(names), text or "/")


TABLES = st.lists(templates(), max_size=12, unique_by=lambda text: Template(text).key)
PATHS = st.lists(st.sampled_from(["a", "b", "", "5", "1.5", "ab", "a.j", "5-a", "1-2-3.j", "a\n", ".."]), max_size=5)


@given(TABLES, PATHS, st.randoms())
def test_the_table_agrees_with_trying_everything_in_any_order(
    texts: list[str], segments: list[str], shuffle: random.Random
) -> None:
    path = "/" + "/".join(segments)
    wanted = None
    for text in sorted(texts, key=specificity):
        found = list(all_values(Template(text).pieces, path)) if is_clean(path) else []
        if found:
            wanted = text, found
            break
    shuffle.shuffle(texts)
    answer = look_up(table_of(*texts), path)
    if wanted is None:
        assert answer is None
    else:
        assert answer is not None
        assert answer[0] == wanted[0]
        assert answer[1] in wanted[1]


@given(TABLES, st.text("/.ab5-\\\n\0", max_size=12))
def test_any_path_has_an_answer(texts: list[str], path: str) -> None:
    answer = table_of(*texts).find(path)
    assert answer is None or is_clean(path)


# Cost


def count_calls(function: Callable[[], object]) -> int:
    """Return how many functions are called, those in C too."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def large_table(count: int) -> Table[str]:
    kinds = ["/r{}", "/r{}/{{id:int}}", "/r{}/{{id:int}}/items", "/r{}/{{a}}-{{b}}/x", "/r{}/s/{{p:path}}"]
    return table_of(*(kind.format(number) for number in range(count) for kind in kinds))


@pytest.mark.parametrize("path", ["/r7/5", "/r7/5/items", "/r7/a-b/x", "/r7/s/a/b", "/r7/x/y", "/nope", "/a/b/c/d/e"])
def test_a_look_up_costs_the_same_among_many_templates(path: str) -> None:
    small, large = large_table(8), large_table(800)
    assert small.find(path) == large.find(path)
    assert count_calls(lambda: small.find(path)) == count_calls(lambda: large.find(path))


@pytest.mark.parametrize("piece", ["-", "/", "a-", "/a-b", "5", "..", "é"])
def test_a_look_up_takes_the_same_steps_for_a_long_path(piece: str) -> None:
    table = large_table(8)
    short, long = f"/r7/{piece * 100}/x", f"/r7/{piece * 10_000}/x"
    assert count_calls(lambda: table.find(short)) == count_calls(lambda: table.find(long))
