"""Headers: case, order, checks on what goes out, and parsing of header values."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import headers as module
from microasgi.headers import Headers, MutableHeaders, encode_header, find_header, parse_options
from microasgi.negotiation import prefers_json

RAW = [(b"host", b"a"), (b"accept", b"1"), (b"accept", b"2"), (b"x-name", b"caf\xe9")]

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names = st.text(st.sampled_from("aAbB-"), min_size=1, max_size=3)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=5)
rows = st.lists(st.tuples(names.map(str.encode), values.map(lambda v: v.encode("latin-1"))), max_size=50)


def expected_first(raw: list[tuple[bytes, bytes]], name: str) -> str | None:
    """The rule, written plainly: the lower-case spelling first, then any."""
    wanted = name.lower().encode()
    exact = [value for key, value in raw if key == wanted]
    any_case = [value for key, value in raw if key.lower() == wanted]
    return (exact or any_case)[0].decode("latin-1") if any_case else None


# encode_header


def test_a_response_header_is_encoded_with_a_lower_case_name() -> None:
    assert encode_header("Content-Type", "text/plain") == (b"content-type", b"text/plain")


def test_a_header_value_is_latin_1() -> None:
    assert encode_header("x", "café") == (b"x", b"caf\xe9")


def test_whitespace_around_a_header_value_is_dropped() -> None:
    assert encode_header("x", " \ta\tb ") == (b"x", b"a\tb")


@pytest.mark.parametrize("control", [*map(chr, range(9)), "\n", "\r", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f"])
def test_a_control_character_in_a_header_value_is_refused(control: str) -> None:
    with pytest.raises(ValueError, match=r"header 'x-a': .* at position 1 of the value is a control character"):
        encode_header("x-a", f"a{control}b")


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "é", "a\x00", "\N{KELVIN SIGN}", "a/b", "(", '"'])
def test_a_header_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name must be a token"):
        encode_header(name, "x")


@pytest.mark.parametrize("value", ["€", "日本", "\U0001f600", "\ud800"])
def test_a_header_value_outside_of_latin_1_is_refused_with_the_way_out(value: str) -> None:
    with pytest.raises(ValueError, match="header 'x-a': .* is not latin-1; percent-encode"):
        encode_header("x-a", value)


@pytest.mark.parametrize("value", [5, None, b"x", ["a"]])
def test_a_header_value_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="header 'x-a': name and value must be str"):
        encode_header("x-a", value)  # type: ignore[arg-type]


def test_a_header_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="name and value must be str"):
        encode_header(b"x", "a")  # type: ignore[arg-type]


@given(st.text(), st.text())
def test_whatever_is_encoded_is_legal_on_the_wire(name: str, value: str) -> None:
    try:
        key, content = encode_header(name, value)
    except ValueError:
        return
    assert key
    assert set(key.decode()) <= set(TOKEN.lower())
    assert not set(content) & {*range(9), *range(10, 32), 127}
    assert content == content.strip(b" \t")


def test_the_memory_of_encoded_headers_is_bounded() -> None:
    for number in range(3000):
        assert encode_header("x-number", str(number)) == (b"x-number", str(number).encode())
        encode_header("x-long", str(number) * 100)
    assert len(module._pairs) <= 1024
    assert all(len(name) + len(value) <= 128 for name, value in module._pairs)


def test_the_memory_of_looked_up_names_is_bounded() -> None:
    headers = Headers(raw=RAW)
    for number in range(3000):
        assert headers.get(f"x-{number}") is None
        assert headers.get(f"x-{number}" * 100) is None
    assert len(module._names) <= 1024
    assert max(map(len, module._names)) <= 128


# find_header


def test_a_header_is_found_by_its_lower_case_name() -> None:
    assert find_header(RAW, b"accept") == b"1"


def test_a_header_in_another_case_is_found() -> None:
    assert find_header([(b"hosts", b"no"), (b"HoSt", b"a"), (b"HOST", b"b")], b"host") == b"a"


def test_the_lower_case_spelling_of_a_header_goes_first() -> None:
    assert find_header([(b"Host", b"a"), (b"host", b"b")], b"host") == b"b"


def test_a_missing_header_is_none() -> None:
    assert find_header(RAW, b"none") is None


# Headers


@given(rows, names)
def test_headers_ignore_the_case_of_names(raw: list[tuple[bytes, bytes]], name: str) -> None:
    headers = Headers(raw=raw)
    first = expected_first(raw, name)
    for spelling in (name, name.lower(), name.upper()):
        assert headers.get(spelling) == first
        assert (spelling in headers) == (first is not None)
        assert headers.getlist(spelling) == [
            value.decode("latin-1") for key, value in raw if key.lower() == name.lower().encode()
        ]


@given(rows)
def test_a_dictionary_of_headers_has_the_first_values(raw: list[tuple[bytes, bytes]]) -> None:
    headers = Headers(raw=raw)
    lowered = {key.decode().lower() for key, _ in raw}
    assert dict(headers) == {name: expected_first(raw, name) for name in lowered}


@given(rows)
def test_keys_values_and_items_keep_order_and_repetitions(raw: list[tuple[bytes, bytes]]) -> None:
    headers = Headers(raw=raw)
    assert headers.keys() == list(headers) == [key.decode().lower() for key, _ in raw]
    assert headers.values() == [value.decode("latin-1") for _, value in raw]
    assert headers.items() == list(zip(headers.keys(), headers.values(), strict=True))
    assert len(headers) == len(raw)
    assert headers.raw is raw


def test_many_headers_become_a_dictionary() -> None:
    raw = [(b"x-%d" % number, b"%d" % number) for number in range(20_000)]
    assert dict(Headers(raw=raw))["x-19999"] == "19999"


def test_headers_read_after_their_raw_list_has_changed_are_right() -> None:
    raw = [(b"x-%d" % number, b"%d" % number) for number in range(40)]
    headers = Headers(raw=raw)
    assert dict(headers)["x-39"] == "39"
    del raw[0]
    assert headers["x-1"] == "1"
    assert headers["x-39"] == "39"
    with pytest.raises(KeyError):
        headers["x-0"]


def test_headers_from_text_are_checked() -> None:
    assert Headers({"Accept": "a", "X": "é"}).raw == [(b"accept", b"a"), (b"x", b"\xe9")]
    with pytest.raises(ValueError, match="control character"):
        Headers({"a": "b\r\nc: d"})


def test_headers_of_nothing_are_empty() -> None:
    assert Headers().raw == Headers({}).raw == []


def test_headers_of_a_scope_are_its_list() -> None:
    scope = {"type": "http", "headers": RAW}
    assert Headers(scope=scope).raw is RAW


@pytest.mark.parametrize("scope", [{}, {"headers": None}, {"headers": ()}])
def test_a_scope_without_headers_gives_none(scope: dict[str, object]) -> None:
    before = dict(scope)
    assert Headers(scope=scope).raw == []
    assert scope == before


def test_headers_of_a_scope_may_be_another_iterable_of_lists() -> None:
    assert Headers(scope={"headers": ([b"A", b"1"], [b"b", b"2"])}).items() == [("a", "1"), ("b", "2")]


def test_headers_come_from_one_place() -> None:
    with pytest.raises(TypeError, match="one place"):
        Headers({"a": "b"}, raw=[])
    with pytest.raises(TypeError, match="one place"):
        Headers(raw=[], scope={})


def test_a_missing_header_is_a_key_error_with_the_name_as_written() -> None:
    with pytest.raises(KeyError, match="X-None"):
        Headers(raw=RAW)["X-None"]


@pytest.mark.parametrize("key", ["日", "\ud800", "", 5, None])
def test_what_can_be_no_header_is_not_found(key: str) -> None:
    headers = Headers(raw=RAW)
    assert key not in headers
    assert headers.get(key) is None
    assert headers.get(key, "other") == "other"
    assert headers.getlist(key) == []


def test_a_header_whose_name_is_not_ascii_can_be_read() -> None:
    assert dict(Headers(raw=[(b"\xe9\xc9A", b"1")])) == {"éÉa": "1"}


def test_a_letter_that_only_unicode_calls_equal_is_another_name() -> None:
    assert "\N{KELVIN SIGN}ey" not in Headers(raw=[(b"key", b"1")])


def test_headers_are_equal_without_regard_to_order_and_case() -> None:
    assert Headers(raw=[(b"A", b"1"), (b"b", b"2")]) == MutableHeaders(raw=[(b"b", b"2"), (b"a", b"1")])
    assert Headers({"a": "1"}) != Headers({"a": "2"})
    assert Headers({"a": "1"}) != {"a": "1"}


def test_headers_have_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Headers())


def test_headers_show_what_they_hold() -> None:
    assert repr(Headers({"A": "1"})) == "Headers({'a': '1'})"
    assert repr(MutableHeaders(raw=[(b"a", b"1"), (b"A", b"2")])) == "MutableHeaders(raw=[(b'a', b'1'), (b'A', b'2')])"


def test_headers_are_a_mapping_without_attributes_of_their_own() -> None:
    headers = Headers(raw=RAW)
    assert isinstance(headers, Mapping)
    assert not hasattr(headers, "__dict__")


def test_a_mutable_copy_leaves_the_original_alone() -> None:
    original = Headers({"a": "1"})
    copy = original.mutablecopy()
    copy["a"] = "2"
    assert original["a"] == "1"


# MutableHeaders

operations = st.lists(
    st.tuples(st.sampled_from(["set", "del", "append", "setdefault", "update"]), names, values), max_size=12
)


class ModelHeaders:
    """Headers as a list of (lower-case name, value), written for clarity."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def set(self, name: str, value: str) -> None:
        where = [index for index, (key, _) in enumerate(self.pairs) if key == name]
        if not where:
            self.pairs.append((name, value))
            return
        self.pairs[where[0]] = (name, value)
        self.pairs = [pair for index, pair in enumerate(self.pairs) if index not in where[1:]]

    def delete(self, name: str) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0] != name]

    def append(self, name: str, value: str) -> None:
        self.pairs.append((name, value))


@given(rows, operations)
@settings(deadline=None)
def test_mutable_headers_do_what_a_plain_list_does(
    raw: list[tuple[bytes, bytes]], steps: list[tuple[str, str, str]]
) -> None:
    raw = [(key.lower(), value) for key, value in raw]
    headers = MutableHeaders(raw=raw)
    model = ModelHeaders([(key.decode(), value.decode("latin-1")) for key, value in raw])
    for step, name, value in steps:
        lowered = name.lower()
        present = [found for key, found in model.pairs if key == lowered]
        match step:
            case "set":
                headers[name] = value
                model.set(lowered, value)
            case "del":
                del headers[name]
                model.delete(lowered)
            case "append":
                headers.append(name, value)
                model.append(lowered, value)
            case "setdefault":
                assert headers.setdefault(name, value) == (present or [value])[0]
                model.pairs += [] if present else [(lowered, value)]
            case _:
                headers.update({name: value})
                model.set(lowered, value)
        assert headers.items() == model.pairs
        assert headers.raw is raw


def test_setting_a_header_replaces_every_spelling_of_it() -> None:
    headers = MutableHeaders(raw=[(b"A", b"1"), (b"b", b"2"), (b"a", b"3")])
    headers["a"] = "4"
    assert headers.raw == [(b"a", b"4"), (b"b", b"2")]


def test_setting_an_illegal_header_changes_nothing() -> None:
    headers = MutableHeaders({"a": "1"})
    with pytest.raises(ValueError, match="'a'"):
        headers["a"] = "1\r\nset-cookie: x"
    with pytest.raises(ValueError, match="'b c'"):
        headers.append("b c", "1")
    assert headers.items() == [("a", "1")]


def test_mutable_headers_of_a_message_leave_the_shared_list_alone() -> None:
    shared = [(b"a", b"1")]
    message: dict[str, object] = {"type": "http.response.start", "headers": shared}
    headers = MutableHeaders(scope=message)
    headers["b"] = "2"
    assert message["headers"] is headers.raw
    assert headers.raw == [(b"a", b"1"), (b"b", b"2")]
    assert shared == [(b"a", b"1")]


@pytest.mark.parametrize("message", [{}, {"headers": None}, {"headers": ((b"a", b"1"),)}])
def test_mutable_headers_give_a_message_the_list_it_lacks(message: dict[str, object]) -> None:
    headers = MutableHeaders(scope=message)
    headers["a"] = "2"
    assert message["headers"] == [(b"a", b"2")]


def test_many_mutable_headers_stay_right_while_they_change() -> None:
    headers = MutableHeaders(raw=[(b"x-%d" % number, b"old") for number in range(50)])
    assert dict(headers)["x-49"] == "old"
    del headers["x-0"]
    headers.append("x-new", "1")
    headers["x-49"] = "new"
    assert dict(headers)["x-49"] == "new"


def test_headers_are_joined_with_a_mapping_in_place_or_as_a_copy() -> None:
    headers = MutableHeaders({"a": "1", "b": "2"})
    joined = headers | {"B": "3"}
    assert headers.items() == [("a", "1"), ("b", "2")]
    headers |= {"c": "4"}
    assert joined.items() == [("a", "1"), ("b", "3")]
    assert headers.items() == [("a", "1"), ("b", "2"), ("c", "4")]


@pytest.mark.parametrize(
    ("present", "added", "result"),
    [
        ([], "Origin", "Origin"),
        (["Accept"], "Origin", "Accept, Origin"),
        (["Accept, Cookie", "Origin"], "Range", "Accept, Cookie, Origin, Range"),
        (["Accept, origin"], "Origin", "Accept, origin"),
        (["*"], "Origin", "*"),
        (["Accept"], "*", "*"),
        ([""], "Origin, Cookie", "Origin, Cookie"),
    ],
)
def test_vary_has_each_name_once(present: list[str], added: str, result: str) -> None:
    headers = MutableHeaders(raw=[(b"vary", value.encode()) for value in present])
    headers.add_vary_header(added)
    assert headers.getlist("vary") == [result]


# parse_options


@pytest.mark.parametrize(
    ("value", "main", "options"),
    [
        ("", "", {}),
        ("text/HTML", "text/html", {}),
        ("text/html; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        ('form-data; name="a"; filename="b;c.txt"', "form-data", {"name": "a", "filename": "b;c.txt"}),
        ('form-data; name="a\\"b\\\\c"', "form-data", {"name": 'a"b\\c'}),
        ('form-data; filename="C:\\dir\\x.png"', "form-data", {"filename": "C:\\dir\\x.png"}),
        ("form-data; name=first; name=second", "form-data", {"name": "first"}),
        ('form-data; name="open; x=1', "form-data", {"name": "open; x=1"}),
        ('a; b="', "a", {"b": ""}),
        ('a; b="\\', "a", {"b": "\\"}),
        ('a; b=""', "a", {"b": ""}),
        ("a;; ;b;=c; d = e ;", "a", {"b": "", "d": "e"}),
        ("form-data; filename*=UTF-8''%e2%82%ac.txt", "form-data", {"filename*": "UTF-8''%e2%82%ac.txt"}),
        ("multipart/form-data; boundary=a=b", "multipart/form-data", {"boundary": "a=b"}),
    ],
)
def test_options_are_split_from_the_value(value: str, main: str, options: dict[str, str]) -> None:
    assert parse_options(value) == (main, options)


@given(st.lists(st.tuples(st.text("abc", min_size=1), st.text()), max_size=5))
def test_quoted_options_come_back_as_they_were(pairs: list[tuple[str, str]]) -> None:
    quoted = [(name, value.replace("\\", "\\\\").replace('"', '\\"')) for name, value in pairs]
    text = "form-data" + "".join(f'; {name}="{value}"' for name, value in quoted)
    expected: dict[str, str] = {}
    for name, value in pairs:
        expected.setdefault(name, value)
    assert parse_options(text) == ("form-data", expected)


@given(st.text('a=;" \\', max_size=40))
def test_any_text_can_be_split_into_options(value: str) -> None:
    main, options = parse_options(value)
    assert ";" not in main
    assert "" not in options


@pytest.mark.parametrize("piece", ['"', "\\", ';a="', ";", '"\\', "; a=b", '";'])
def test_long_options_are_split_too(piece: str) -> None:
    assert parse_options("a;" + piece * 50_000)[0] == "a"


# prefers_json


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        (b"", False),
        (b"*/*", False),
        (b"application/json", True),
        (b"Application/JSON", True),
        (b"application/problem+json", True),
        (b"application/json, text/plain, */*", True),
        (b"text/html,application/xhtml+xml,application/json;q=0.9", False),
        (b"text/html;q=0.8, application/json;q=0.9", True),
        (b"text/html, application/json", False),
        (b"application/json;q=0", False),
        (b"application/json;q=0.0, text/html;q=0", False),
        (b"application/json;charset=utf-8; q=0.5", True),
        (b"application/json;q=2", False),
        (b"application/json;q=nan", False),
        (b"application/json;q=", False),
        (b"application/json;q=1.000, text/html;q=0.999", True),
        (b"text/json, application/jsonp", False),
        (b"\xff\xfejson", False),
    ],
)
def test_json_is_preferred_when_it_is_named_and_html_is_not_wanted_as_much(
    accept: bytes | None, expected: bool
) -> None:
    assert prefers_json(accept) is expected


@given(st.binary(max_size=60).map(lambda noise: b"application/json" + noise))
def test_any_accept_header_can_be_read(accept: bytes) -> None:
    assert prefers_json(accept) in (True, False)


def test_a_long_accept_header_can_be_read() -> None:
    assert prefers_json(b"application/json" + b",;q=1" * 50_000)
