"""Exceptions as data: the chain, frames with their source, values that are safe to show."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.masks import looks_secret, mask
from microasgi.tracebacks import Problem, as_text, explain, message_of, short_path, show_value


def raised(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def divide(left: int, right: int) -> float:
    return left / right


def recurse(depth: int) -> None:
    if depth:
        recurse(depth - 1)
    raise ValueError


def only(error: BaseException) -> Problem:
    (problem,) = explain(error)
    return problem


@dataclass
class Plain:
    """Something with a repr that dataclasses write."""

    name: Any = "Ada"
    password: Any = ""
    keys: Any = ""
    said: Any = ""
    v: Any = ""
    w: Any = ""


class Said:
    """Something with any repr."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Broken(Exception):
    """An exception that is broken in every way."""

    def __init__(self, second: BaseException) -> None:
        self.second = second

    def __str__(self) -> str:
        raise self.second

    __repr__ = __str__


# The chain


def test_an_exception_has_its_kind_its_message_and_its_notes() -> None:
    error = ValueError("too much")
    error.add_note("of it")
    problem = only(error)
    assert (problem.kind, problem.message, problem.notes, problem.relation) == ("ValueError", "too much", ["of it"], "")


def test_a_class_that_is_not_built_in_is_named_with_its_module() -> None:
    assert only(Broken(KeyError())).kind == f"{__name__}.Broken"


@pytest.mark.parametrize("notes", [5, None, [5]])
def test_notes_that_are_none_are_left_out(notes: Any) -> None:
    error = ValueError()
    vars(error)["__notes__"] = notes
    assert only(error).notes == []


def test_what_an_exception_was_raised_from_comes_after_it() -> None:
    error = ValueError("second")
    error.__cause__ = KeyError("first")
    assert [(one.kind, one.relation) for one in explain(error)] == [
        ("ValueError", ""),
        ("KeyError", "Raised directly from"),
    ]


def test_what_was_being_handled_comes_after_an_exception_unless_it_is_suppressed() -> None:
    error = ValueError("second")
    error.__context__ = KeyError("first")
    assert [one.relation for one in explain(error)] == ["", "Raised while handling"]
    error.__suppress_context__ = True
    assert len(explain(error)) == 1


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first
    assert len(explain(first)) == 2


def test_a_long_chain_is_cut() -> None:
    error = first = ValueError()
    for _ in range(100):
        error.__context__ = ValueError()
        error = error.__context__
    assert len(explain(first)) == 20


def test_the_members_of_a_group_come_after_it_one_step_in() -> None:
    inner = ExceptionGroup("inner", [KeyError()])
    found = explain(ExceptionGroup("outer", [ValueError(), inner]))
    assert [(one.kind, one.depth) for one in found] == [
        ("ExceptionGroup", 0),
        ("ValueError", 1),
        ("ExceptionGroup", 1),
        ("KeyError", 2),
    ]
    assert found[2].relation == "Number 2 of 2 in the group"


# Frames


def test_a_frame_has_the_lines_around_the_failing_one_and_marks_what_failed() -> None:
    frame = only(raised(divide, 1, 0)).frames[-1]
    assert (frame.function, frame.is_own) == ("divide", True)
    (failing,) = [line for line in frame.lines if line.is_failing]
    assert failing.text == "    return left / right"
    assert failing.mark is not None
    start, end = failing.mark
    assert failing.text[start:end] == "left / right"
    assert failing.number == frame.lineno


def test_a_line_that_failed_as_a_whole_has_no_mark() -> None:
    frame = only(raised(recurse, 0)).frames[-1]
    assert [line.mark for line in frame.lines if line.is_failing] == [None]


def test_what_failed_over_several_lines_has_no_mark() -> None:
    problem = only(
        raised(
            lambda: divide(
                1,
                0,
            )
        )
    )
    assert [line.mark for line in problem.frames[1].lines] == [None] * len(problem.frames[1].lines)


def test_columns_are_those_of_characters(tmp_path: Path) -> None:
    path = tmp_path / "umlauts.py"
    path.write_text("x = 'äöü€', 1 / 0\n" + "y = 1\n", encoding="utf-8")
    error = raised(exec, compile(path.read_text(encoding="utf-8"), str(path), "exec"), {})
    line = only(error).frames[-1].lines[0]
    assert line.mark is not None
    assert line.text[slice(*line.mark)] == "1 / 0"


def test_a_long_line_is_cut_and_a_mark_beyond_it_left_out(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("x = '" + "a" * 1000 + "', 1 / 0\n")
    error = raised(exec, compile(path.read_text(), str(path), "exec"), {})
    line = only(error).frames[-1].lines[0]
    assert line.mark is None
    assert len(line.text) < 500


def test_the_middle_of_a_deep_recursion_is_left_out() -> None:
    problem = only(raised(recurse, 200))
    assert len(problem.frames) == 60
    assert problem.left_out == 202 - 60


def test_a_frame_without_source_has_no_lines() -> None:
    error = raised(exec, "1 / 0", {"__name__": 5})
    assert (only(error).frames[-1].lines, only(error).frames[-1].package) == ([], "")


def test_a_loader_that_fails_is_a_frame_without_source() -> None:
    class Loader:
        def get_source(self, name: str) -> str:
            raise ZeroDivisionError

    module = ModuleType("odd")
    module.__dict__["__loader__"] = Loader()
    error = raised(exec, compile("1 / 0", "no/such/file.py", "exec"), vars(module))
    assert only(error).frames[-1].lines == []


def test_what_is_installed_or_part_of_python_is_not_ones_own() -> None:
    error = raised(exec, compile("1 / 0", "/home/me/venv/lib/python3/site-packages/shop/cart.py", "exec"), {})
    assert not only(error).frames[-1].is_own
    assert not only(raised(os.path.join, 5, 6)).frames[-1].is_own
    assert only(raised(divide, 1, 0)).frames[0].is_own


def test_the_framework_is_not_ones_own() -> None:
    import microasgi.tracebacks as module

    error = raised(exec, compile("1 / 0", module.__file__, "exec"), {})
    assert not only(error).frames[-1].is_own


def test_variables_are_shown_of_ones_own_frames_alone() -> None:
    assert dict(only(raised(divide, 1, 0)).frames[-1].variables) == {"left": "1", "right": "0"}
    assert only(raised(os.path.join, 5, 6)).frames[-1].variables == []


def test_a_syntax_error_shows_the_place_that_could_not_be_compiled(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("x = 1\ny = (\n")
    frame = only(raised(compile, path.read_text(), str(path), "exec")).frames[-1]
    assert (frame.filename, frame.lineno, frame.is_own) == (str(path), 2, True)
    assert [line.text for line in frame.lines if line.is_failing] == ["y = ("]


def test_a_syntax_error_without_a_file_shows_its_own_line() -> None:
    frame = only(raised(compile, "y = (\n", "<text>", "exec")).frames[-1]
    assert [line.text for line in frame.lines] == ["y = ("]


@pytest.mark.parametrize(
    ("details", "frames"), [((), 0), ((5, 1, 1, "x"), 0), (("f", "x", 1, "x"), 0), (("f", 1, 1, None), 1)]
)
def test_an_odd_syntax_error_is_explained_too(details: Any, frames: int) -> None:
    error = SyntaxError("odd", details) if details else SyntaxError("odd")
    assert len(only(error).frames) == frames
    assert "odd" in as_text(error)


def test_a_path_is_shortened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_path(str(tmp_path / "shop" / "cart.py")) == os.path.join("shop", "cart.py")
    assert short_path("/opt/lib/python3/site-packages/shop/cart.py") == "shop/cart.py"
    assert short_path(os.__file__) == "os.py"
    assert short_path("/elsewhere/x.py") == "/elsewhere/x.py"


# Values


@pytest.mark.parametrize(
    "name",
    [
        *("password", "PASSWORD", "db_passwd", "passphrase", "pwd", "secret", "secret_key", "token", "csrf_token"),
        *(
            "api_key",
            "apikey",
            "key",
            "keys",
            "private",
            "credentials",
            "Authorization",
            "Proxy-Authorization",
            "cookie",
        ),
        *(b"set-cookie", b"x-api-key", "session_id", "auth", "dsn", "signature"),
        *("pw", "db_pw", "jwt", b"x-jwt", "sid", "connect.sid", "bearer", "pin", "card-pin"),
    ],
)
def test_a_name_that_looks_secret_is_masked(name: Any) -> None:
    assert looks_secret(name)
    assert show_value("hunter2", name) == "********"


@pytest.mark.parametrize(
    "name", ["author", "passenger", "keyboard", "name", "side", "spin", "pinned", "pwned", "", 5, None, ("key",)]
)
def test_other_names_are_not(name: Any) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "hunter2"},
        {"settings": [{"api_key": "hunter2"}]},
        [(b"cookie", b"hunter2")],
        ("token", "hunter2"),
        "Settings(secret_key='hunter2', debug=True)",
        "postgres://me:hunter2@db.example.org/shop",
        Plain(password="hunter2", name="Ada"),
        Plain(password=Plain(v="hunter2", w=["hunter2"])),
        Plain(name="Ada", keys=["a b", 'hunter2"']),
        SimpleNamespace(password="hunter2"),
        MappingProxyType({"password": "hunter2"}),
        OrderedDict(password="hunter2"),
        defaultdict(str, {"password": "hunter2"}),
        "password=hunter2",
        "password=hun,hunter2;hunter2",
        "Authorization: Bearer hunter2",
        "Cookie: a=hunter2; b=hunter2\r\nHost: x",
        b"user=ada&password=hunter2&x=1",
        b"Authorization: Bearer hunter2",
        ["password", "hunter2"],
        {"x": Plain(said="password='it\\'s \"hunter2'")},
        Plain(password="it's \"x hunter2"),
        Plain(said="x=\"1\" y='2' password='a b hunter2'"),
        {"text": "x" * 100 + " " * 100 + "password=" + "y" * 100 + "hunter2"},
        Plain(password="y" * 290 + "hunter2"),
        "postgres://u:hu/hunter2@h",
        "postgres://u:p'w\"@:hunter2@h/db",
        "http://a/,postgres://u:hunter2@h",
        Said("<Secret password=<Inner 'hunter2'>>"),
        Said("<Secret password=<Inner 'hunter2'> hidden"),
        Said("S(password=5->hunter2)"),
        Said("S(password=(hunter2"),
        Said("S(password='hunter2"),
        Said("Authorization: Bearer hunter2"),
        os.environ,
        {"environment": os.environ},
    ],
)
def test_a_secret_within_a_value_is_masked(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "hunter2")
    assert "hunter2" not in show_value(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (SimpleNamespace(password=123456, size=5), "namespace(password=********, size=5)"),
        (MappingProxyType({"password": 123456, "size": 5}), "mappingproxy({'password': ********, 'size': 5})"),
        (Said("S(password=123456, size=5)"), "S(password=********, size=5)"),
        (Said("S(password=Secret(v='a', w=[1, 2]), size=5)"), "S(password=********, size=5)"),
        (Said("S(\"token\": 'it\\'s', size=5)"), 'S("token": ********, size=5)'),
        (Said("S(password=)"), "S(password=)"),
        ("password=hunter2 size=5", "'password=******** size=5'"),
        ('{"token": "hunter2", "size": 5}', """'{"token": ********, "size": 5}'"""),
        ("Authorization: Bearer hunter2\nHost: x", "'Authorization: ********\\nHost: x'"),
        ("see postgres://me:hunter2@db/shop now", "'see postgres://me:********@db/shop now'"),
        ("http://localhost:8000/users/ada@example.org", "'http://localhost:8000/users/ada@example.org'"),
        ("https://example.org/a:b@c", "'https://example.org/a:b@c'"),
        (b"http://h/?token=abc", b"http://h/?token=********"),
    ],
)
def test_only_the_secret_is_masked(value: Any, shown: object) -> None:
    assert show_value(value) == (shown if isinstance(shown, str) else repr(shown))


@pytest.mark.parametrize(
    "piece",
    [
        "password=",
        "password='",
        "password=(",
        "password=\\",
        "token: ",
        "key",
        "://a:",
        "://a:b@",
        "key=\\'",
        "pw='\\",
        "a",
    ],
)
@pytest.mark.parametrize("is_repr", [False, True])
def test_any_length_of_text_is_masked_in_time_that_grows_with_it(piece: str, is_repr: bool) -> None:
    assert "hunter2" not in mask(f"{piece * 100_000} token=hunter2", is_repr=is_repr)


def test_the_repr_of_an_object_with_a_secret_is_masked() -> None:
    class Settings:
        def __repr__(self) -> str:
            return "Settings(debug=True, secret='hunter2', \"token\": \"hunter2\", names=['Ada'])"

    text = show_value(Settings())
    assert "hunter2" not in text
    assert "debug=True" in text
    assert "'Ada'" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        ("text", "'text'"),
        ({"a": [1, (2, 3)]}, "{'a': [1, (2, 3)]}"),
        ({}, "{}"),
        (b"abc", "b'abc'"),
        (bytearray(b"abc"), "bytearray(b'abc')"),
        (None, "None"),
    ],
)
def test_a_value_is_shown_as_its_repr(value: Any, shown: str) -> None:
    assert show_value(value) == shown


def test_deep_values_are_cut() -> None:
    value: Any = {}
    for _ in range(10_000):
        value = {"a": value}
    assert show_value(value) == "{'a': " * 5 + "{...}" + "}" * 5
    nested: Any = {}
    for _ in range(5):
        nested = {"a": nested}
    assert show_value(nested) == "{'a': " * 5 + "{}" + "}" * 5


@pytest.mark.parametrize(
    "value",
    [
        *("x" * 10_000_000, bytes(10_000_000), bytearray(10_000_000), list(range(1_000_000)), 10**4000),
        *(dict.fromkeys(range(100_000)), {"x" * 1000: "y" * 1000} | {str(n) * 100: "z" * 500 for n in range(30)}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_values_are_cut(value: Any) -> None:
    assert len(show_value(value)) < 1_100


@pytest.mark.parametrize("second", [ValueError("x"), SystemExit(), KeyboardInterrupt(), RecursionError()])
def test_a_value_that_cannot_be_shown_says_so(second: BaseException) -> None:
    text = show_value(Broken(second))
    assert "Broken" in text
    assert message_of(Broken(second)) == f"<its str raised {type(second).__name__}>"


@given(
    st.recursive(st.text() | st.binary() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_any_value_can_be_shown(value: Any) -> None:
    assert len(show_value(value)) < 1_100


# As text


def test_the_text_is_pythons_own() -> None:
    text = as_text(raised(divide, 1, 0))
    assert text.startswith("Traceback (most recent call last)")
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_a_long_text_is_cut_in_the_middle() -> None:
    text = as_text(ValueError("x" * 1_000_000))
    assert len(text) < 210_000
    assert "characters left out" in text


def test_a_long_message_is_cut() -> None:
    assert len(message_of(ValueError("x" * 1_000_000))) < 10_100


def test_a_traceback_that_python_cannot_print_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise TypeError

    monkeypatch.setattr(sys.modules["microasgi.tracebacks"], "format_exception", fail)
    assert as_text(ValueError("odd")) == "ValueError: odd\n"
