"""JSON: what becomes of values on the way out, and of bytes on the way in."""

from __future__ import annotations

import json
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import serialization
from microasgi.exceptions import HTTPException, InvalidJSON
from microasgi.multidict import ImmutableMultiDict
from microasgi.serialization import decode_json, encode_json
from microasgi.urls import URL, URLPath

Point = namedtuple("Point", "x y")


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Kind(StrEnum):
    NEW = "new"


@dataclass
class Item:
    name: str
    price: Decimal
    sizes: list[Size]


@dataclass(slots=True, frozen=True)
class Slotted:
    item: Item


class Struct:
    """As msgspec's, which has a field that is renamed."""

    __struct_fields__ = ("item_name", "count")
    __struct_encode_fields__ = ("itemName", "count")
    item_name = "a"
    count = 1


class Attrs:
    """As those that attrs makes."""

    __attrs_attrs__ = (SimpleNamespace(name="x"), SimpleNamespace(name="y"))
    x = 1
    y = None


class Model:
    """As pydantic's."""

    def model_dump(self, mode: str) -> dict[str, str]:
        return {"mode": mode}


@pytest.fixture(params=["c", "python"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with json's C core, and as on an interpreter without it."""
    if request.param == "python":
        monkeypatch.setattr(serialization, "_encode", None)
    return str(request.param)


# Out


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.0, "1.0"),
        (10**30, "1" + "0" * 30),
        ('ü\n"\u2028', '"ü\\n\\"\u2028"'),
        ([1, (2, 3)], "[1,[2,3]]"),
        ({"a": {"b": [1]}}, '{"a":{"b":[1]}}'),
        ({1: 2, None: True, 1.5: "x"}, '{"1":2,"null":true,"1.5":"x"}'),
        (Point(1, 2), "[1,2]"),
        ({1}, "[1]"),
        (frozenset(), "[]"),
        ({"a": 1}.keys(), '["a"]'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (ImmutableMultiDict([("a", 1), ("a", 2)]), '{"a":2}'),
        (Item("x", Decimal("1.50"), [Size.BIG]), '{"name":"x","price":"1.50","sizes":[3]}'),
        ([Slotted(Item("x", Decimal(1), []))], '[{"item":{"name":"x","price":"1","sizes":[]}}]'),
        (Struct(), '{"itemName":"a","count":1}'),
        (Attrs(), '{"x":1,"y":null}'),
        (Model(), '{"mode":"json"}'),
        (date(2026, 1, 2), '"2026-01-02"'),
        (time(1, 2), '"01:02:00"'),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), '"2026-01-02T00:00:00+00:00"'),  # noqa: UP017
        (UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
        (Color.RED, '"red"'),
        (Size.BIG, "3"),
        (Kind.NEW, '"new"'),
        (PurePosixPath("/a"), '"/a"'),
        (Path("/a"), '"/a"'),
        (URL("/a"), '"/a"'),
        (URLPath("/a"), '"/a"'),
        (ip_address("::1"), '"::1"'),
        (ip_network("10.0.0.0/8"), '"10.0.0.0/8"'),
        ("\ud800", '"\\ud800"'),
        ({"ü": "\udfff"}, '{"\\u00fc":"\\udfff"}'),
    ],
)
def test_a_value_becomes_the_shortest_text(value: object, text: str) -> None:
    assert encode_json(value) == text.encode()


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_numbers_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json(value)


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("value", [object(), b"a", [1j], {"a": lambda: None}, Item])
def test_what_cannot_be_json_is_named(value: object) -> None:
    with pytest.raises(TypeError, match=r"a (object|bytes|complex|function|type) does not become JSON by itself"):
        encode_json(value)


@pytest.mark.usefixtures("core")
def test_keys_that_json_lacks_are_refused() -> None:
    with pytest.raises(TypeError, match="keys must be str"):
        encode_json({UUID(int=0): 1})


@pytest.mark.usefixtures("core")
def test_a_value_that_holds_itself_is_a_value_error() -> None:
    loop: list[Any] = []
    loop.append({"a": loop})
    with pytest.raises(ValueError, match=r"holds itself|Circular"):
        encode_json(loop)


def test_a_dataclass_that_holds_itself_is_a_value_error() -> None:
    item = Item("x", Decimal(1), [])
    item.sizes.append(item)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the Item holds itself, or is nested too deeply"):
        encode_json(item)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert decode_json(encode_json(value)) == value


@given(JSON)
def test_what_is_written_is_what_the_standard_library_writes(value: Any) -> None:
    written = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    assert encode_json(value) == written


# In


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"1", 1),
        (b' \t\r\n{"a": [1, 2.5, null, true]}\r\n\t ', {"a": [1, 2.5, None, True]}),
        (b'"\\u00fc \\ud83d\\ude00"', "ü \N{GRINNING FACE}"),
        ('"ü"'.encode(), "ü"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\\ud800"', "\ud800"),
    ],
)
def test_a_text_becomes_its_value(data: bytes, value: object) -> None:
    assert decode_json(data) == value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Expecting value at line 1 column 1"),
        (b" ", "Expecting value at line 1 column 2"),
        (b"{", "Expecting property name"),
        (b"[1,\n 2", "line 2 column 3"),
        (b"1 2", "Extra data at line 1 column 3"),
        (b"1\x0b", "Extra data"),
        (b"{'a': 1}", "Expecting property name"),
        (b'"\n"', "Invalid control character"),
        (b"nul", "Expecting value"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        ('"a"'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "Exceeds the limit"),
    ],
)
def test_what_is_broken_is_400_and_says_where(data: bytes, says: str) -> None:
    with pytest.raises(HTTPException) as caught:
        decode_json(data)
    assert caught.value.status_code == 400
    assert caught.value.detail.startswith("invalid JSON: ")
    assert says in caught.value.detail
    assert "sys." not in caught.value.detail


@given(st.binary() | st.text('[]{}",:0-1.eE\\u \n').map(str.encode))
def test_bytes_are_a_value_or_400(data: bytes) -> None:
    try:
        value = decode_json(data)
    except HTTPException as error:
        assert error.status_code == 400  # noqa: PT017
    else:
        assert value == json.loads(data.decode().removeprefix("\ufeff"))


def test_the_core_of_this_interpreter_is_used() -> None:
    assert sys.implementation.name != "cpython" or serialization._encode


@pytest.mark.parametrize("text", [b"1e999", b"[-1e400]", b"1" * 400 + b".0"])
def test_a_number_that_could_not_be_written_again_is_400(text: bytes) -> None:
    with pytest.raises(InvalidJSON, match="too large a number"):
        decode_json(text)
