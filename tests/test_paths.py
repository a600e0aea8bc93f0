"""Path templates: what they read, what they write, and which of them are refused when they are made."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.convertors import CONVERTOR_TYPES, NO_MATCH, Convertor, register_url_convertor
from microasgi.exceptions import ConfigurationError, NoMatchFound
from microasgi.paths import Parameter, Pattern, Template, is_clean

NUMBER = UUID("01234567-89ab-cdef-0123-456789abcdef")


@pytest.fixture(autouse=True)
def convertors_as_before() -> Iterator[None]:
    before = dict(CONVERTOR_TYPES)
    yield
    CONVERTOR_TYPES.clear()
    CONVERTOR_TYPES.update(before)


def pattern_of(text: str) -> Pattern:
    """Return the pattern of a template that is nothing else."""
    return Pattern(Template(text).pieces)


def read(text: str, path: str) -> Any:
    """Return what the pattern reads, or None."""
    values = pattern_of(text).read(path)
    return None if values is NO_MATCH else values


# Reading


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("{a}.json", "x.json", {"a": "x"}),
        ("{a}.json", "x.y.json", {"a": "x.y"}),
        ("{a}-{b}.json", "x-y.json", {"a": "x", "b": "y"}),
        ("{a}-{b}.json", "x-y-z.json", {"a": "x-y", "b": "z"}),
        ("{a}-{b}", "x--", {"a": "x", "b": "-"}),
        ("{a}-{b}", "--y", {"a": "-", "b": "y"}),
        ("v{major:int}.{minor:int}", "v1.20", {"major": 1, "minor": 20}),
        ("{id:int}-{slug}", "7-on-the-road", {"id": 7, "slug": "on-the-road"}),
        ("{slug}-{id:int}", "on-the-road-7", {"slug": "on-the-road", "id": 7}),
        ("{a:int}-{slug}-{b:int}", "1-on-the-road-2", {"a": 1, "slug": "on-the-road", "b": 2}),
        ("{y:int}-{m:int}-{d:int}", "2026-1-31", {"y": 2026, "m": 1, "d": 31}),
        ("{x:float},{y:float}", "1.5,2", {"x": 1.5, "y": 2.0}),
        ("{id:uuid}.{kind}", f"{NUMBER}.tar.gz", {"id": NUMBER, "kind": "tar.gz"}),
        ("{path:path}.{kind}", "a/b.c/d.gz", {"path": "a/b.c/d", "kind": "gz"}),
        ("{path:path}/edit", "a/b/edit", {"path": "a/b"}),
        ("{path:path}/{last}", "a/b/c", {"path": "a/b", "last": "c"}),
        ("{path:path}/{id:int}", "a/b/7", {"path": "a/b", "id": 7}),
        ("{a}-{path:path}", "x-y/z-w", {"a": "x", "path": "y/z-w"}),
        ("{a}-{path:path}", "-x-y", {"a": "-x", "path": "y"}),
        ("{a}-{b}-{path:path}", "1-2-3/4-5", {"a": "1", "b": "2", "path": "3/4-5"}),
        ("{a}-{path:path}-{b}", "x-y/z-w", {"a": "x", "path": "y/z", "b": "w"}),
        ("{a}-{path:path}-{b}", "x--w", {"a": "x", "path": "", "b": "w"}),
        ("{one:path}/-/{two:path}", "a/-/b/-/c", {"one": "a/-/b", "two": "c"}),
        ("{path:path}", "", {"path": ""}),
    ],
)
def test_a_pattern_reads_its_values(pattern: str, path: str, values: dict[str, Any]) -> None:
    assert read(pattern, path) == values


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{a}.json", ".json"),
        ("{a}.json", "x.json\n"),
        ("{a}.json", "x.JSON"),
        ("x{a}x", "x"),
        ("x{a}x", "xx"),
        ("{a}-{b}", "xy"),
        ("{a}-{b}", "-y"),
        ("{a}-{b}", "x-"),
        ("{a}-{b}-{c}", "x-y"),
        ("{a}-{b}-{c}", "x--y"),
        ("{id:int}-{slug}", "x-y"),
        ("{id:int}-{slug}", "7"),
        ("{a:int}-{b:int}", "1-2-3"),
        ("{path:path}/{last}", "a"),
        ("{a}-{path:path}", "a/b-c"),
        ("{a}-{path:path}-{b}", "x-w"),
        ("{path:path}.{kind}", "a.b/c"),
    ],
)
def test_a_pattern_refuses_what_does_not_fit(pattern: str, path: str) -> None:
    assert read(pattern, path) is None


def all_splits(pieces: list[Any], text: str) -> Iterator[dict[str, Any]]:
    """Try every way to cut the text, as no router may."""
    if not pieces:
        if not text:
            yield {}
        return
    piece, rest = pieces[0], pieces[1:]
    if isinstance(piece, str):
        if text.startswith(piece):
            yield from all_splits(rest, text[len(piece) :])
        return
    for end in range(len(text) + 1):
        value = piece.read(text[:end]) if piece.spans or "/" not in text[:end] else NO_MATCH
        if value is not NO_MATCH:
            yield from ({piece.name: value, **others} for others in all_splits(rest, text[end:]))


KINDS = st.sampled_from(["str", "int", "float", "path", "str", "int"])
SEPARATORS = st.sampled_from(["-", ".", "--", "-.", "/", "1", "a", "/a", "0x0"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    count = draw(st.integers(1, 4))
    parameters = [f"{{p{index}:{draw(KINDS)}}}" for index in range(count)]
    separators = draw(st.lists(SEPARATORS, min_size=count - 1, max_size=count - 1))
    text = "".join(itertools.chain.from_iterable(zip(parameters, [*separators, ""], strict=True)))
    return draw(st.sampled_from(["", "v"])) + text + draw(st.sampled_from(["", ".", "/x"]))


@given(patterns(), st.text("1.-a/x0v", max_size=12))
def test_what_a_pattern_reads_is_what_trying_everything_finds(pattern: str, text: str) -> None:
    try:
        made = pattern_of(pattern)
    except ConfigurationError:
        return
    found = list(all_splits(Template(pattern).pieces, text))
    values = made.read(text)
    assert values in found if found else values is NO_MATCH


@given(patterns(), st.lists(st.text("1.-a/x0", max_size=4), min_size=4, max_size=4))
def test_what_a_pattern_writes_it_reads_again(pattern: str, texts: list[str]) -> None:
    try:
        made = pattern_of(pattern)
    except ConfigurationError:
        return
    values: dict[str, Any] = {}
    for parameter, text in zip(made.parameters, texts, strict=False):
        value = parameter.read(text)
        values[parameter.name] = 1 if value is NO_MATCH else value
    values = {name: str(value) if kind_of(made, name) in {"str", "path"} else value for name, value in values.items()}
    try:
        written = made.write(values)
    except ValueError:
        return
    assert made.read(written) == values


def kind_of(pattern: Pattern, name: str) -> str:
    return next(parameter.kind for parameter in pattern.parameters if parameter.name == name)


# Templates


def test_a_template_is_segments_and_a_tail() -> None:
    template = Template("/a/{b}/{c:int}.json/d{e:path}/f")
    kinds = [part if isinstance(part, str) else type(part) for part in template.segments]
    assert kinds == ["", "a", Parameter, Pattern]
    assert isinstance(template.tail, Pattern)
    assert list(template.parameters) == ["b", "c", "e"]


def test_equal_keys_have_the_same_convertors_and_literals() -> None:
    assert Template("/{a}/{b:int}").key == Template("/{x:str}/{y:int}").key
    assert Template("/{a}/{b:int}").key != Template("/{a}/{b}").key
    assert Template("/a").key != Template("/b").key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/{a", "unbalanced braces"),
        ("/a}", "unbalanced braces"),
        ("/{{a}}", "unbalanced braces"),
        ("/{}", "not a Python name"),
        ("/{a b}", "not a Python name"),
        ("/{1}", "not a Python name"),
        ("/{a}/{a}", "twice"),
        ("/{a}{b}", "nothing separates {a} from {b}"),
        ("/{a:integer}", "unknown convertor 'integer' in '/{a:integer}'; did you mean 'int'\\? Known"),
        ("/{a:never}", "unknown convertor 'never'.*Known: .*float.*int.*path.*str.*uuid.*register_url_convertor"),
        ("/search?q={q}", "request.query_params"),
        ("/a/../{b}", "dot segment"),
        ("/a/.", "dot segment"),
        ("/a\n", "control character"),
        ("/a\\b", "backslash"),
    ],
)
def test_a_template_that_cannot_work_is_refused_and_says_why(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Template(text)


@pytest.mark.parametrize(
    "text",
    [
        "/{id:uuid}-{slug}",
        "/{number:float}.{kind}",
        "/{a}-{n:int}-{b}",
        "/{name}-{version:int}.{kind}",
        "/{one:path}-{a}-{two:path}",
        "/{day:day}-{slug}",
        "/{day:day}-{rest:path}",
    ],
)
def test_a_template_that_would_need_trying_is_refused(text: str) -> None:
    register_url_convertor("day", Convertor[str]())
    with pytest.raises(ConfigurationError, match="may be part of the values too.*Put another text between"):
        Template(text)


def test_an_own_convertor_stands_beside_others_by_saying_what_it_cannot_hold() -> None:
    class Hex(Convertor[str]):
        regex = "[0-9a-f]+"

        def convert(self, value: str) -> str:
            return value

        def to_string(self, value: str) -> str:
            return value

        def may_hold(self, text: str) -> bool:
            return text.isalnum()

    register_url_convertor("hex", Hex())
    assert read("{id:hex}-{slug}", "ff-a-b") == {"id": "ff", "slug": "a-b"}
    assert Template("/{id:hex}-{slug}").write({"id": "ff", "slug": "a-b"}) == "/ff-a-b"


def test_a_convertor_may_be_registered_under_a_second_name() -> None:
    register_url_convertor("number", CONVERTOR_TYPES["int"])
    assert Template("/{id:number}").write({"id": 5}) == "/5"


# Writing


@pytest.mark.parametrize(
    ("template", "values", "path"),
    [
        ("/", {}, "/"),
        ("/a b", {}, "/a%20b"),
        ("/c#", {}, "/c%23"),
        ("/{a}", {"a": "x y"}, "/x%20y"),
        ("/{a}", {"a": "50%?#&;=+@:"}, "/50%25%3F%23&;=+@:"),
        ("/{a}", {"a": "üñ"}, "/%C3%BC%C3%B1"),
        ("/{a}", {"a": "..."}, "/..."),
        ("/{a}", {"a": ".hidden"}, "/.hidden"),
        ("/{a}", {"a": "%2F"}, "/%252F"),
        ("/{a}.{b}", {"a": "x", "b": "y"}, "/x.y"),
        ("/{a:int}/x/{b:path}", {"a": 5, "b": "c d/e"}, "/5/x/c%20d/e"),
        ("/{p:path}", {"p": ""}, "/"),
        ("/{p:path}", {"p": "/evil.example"}, "/%2Fevil.example"),
        ("/{p:path}", {"p": "//"}, "/%2F/"),
        ("", {}, ""),
        ("{sub}.example.org", {"sub": "a"}, "a.example.org"),
    ],
)
def test_values_are_written_percent_encoded(template: str, values: dict[str, Any], path: str) -> None:
    assert Template(template).write(values) == path


@pytest.mark.parametrize(
    ("template", "values", "says"),
    [
        ("/{a}", {"a": ""}, "does not match"),
        ("/{a}", {"a": "x/y"}, "not one segment"),
        ("/{a}", {"a": None}, "no text of its own"),
        ("/{a}", {"a": "."}, "dot segment"),
        ("/{a}", {"a": ".."}, "dot segment"),
        ("/{a}/x", {"a": ".."}, "dot segment"),
        ("/.{a}", {"a": "."}, "dot segment"),
        ("/{a:path}", {"a": "x/../y"}, "dot segment"),
        ("/{a:path}", {"a": "./x"}, "dot segment"),
        ("/{a}", {"a": "x\\y"}, "backslash"),
        ("/{a}", {"a": "x\ny"}, "control character"),
        ("/{a}", {"a": "x\0"}, "control character"),
        ("/{a:int}", {"a": -1}, "'-1', which {a:int} does not match"),
        ("/{a:int}", {"a": 10**20}, "does not match"),
        ("/{a:int}", {"a": "5"}, "not an int"),
        ("/{a}-{b}", {"a": "x", "b": "y-z"}, "would be read as other values"),
    ],
)
def test_a_value_that_no_request_could_bring_back_is_refused(template: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(NoMatchFound, match=says):
        Template(template).write(values)


@given(st.text())
def test_every_segment_comes_back_from_its_url(value: str) -> None:
    try:
        path = Template("/x/{a}/y").write({"a": value})
    except NoMatchFound:
        assert value in {"", ".", ".."} or "/" in value or not is_clean(value)
        return
    assert path.isascii()
    assert unquote(path, errors="surrogatepass") == f"/x/{value}/y"


# Clean paths


@pytest.mark.parametrize(
    "path", ["/", "", "/a", "/.well-known/x", "/...", "/a..b", "/a./b", "/.a", "/ü/\xa0/\u200b", "/a//b", "/x/.hidden"]
)
def test_an_ordinary_path_is_clean(path: str) -> None:
    assert is_clean(path)


@pytest.mark.parametrize(
    "path",
    [
        "/.",
        "/..",
        "/./a",
        "/../a",
        "/a/../b",
        "/a/..",
        "/a/.",
        "/a\\b",
        "/a\0",
        "/a\n",
        "/a\r",
        "/a\x7f",
        "/a\x85",
        "/a\u2028",
        "/a\u2029b",
        "/..\n",
    ],
)
def test_dot_segments_backslashes_and_control_characters_are_not_clean(path: str) -> None:
    assert not is_clean(path)
