"""Models from JSON by msgspec or pydantic, and models of parameters."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st

from microasgi.exceptions import ConfigurationError, HTTPException, InvalidJSON, MissingPackage
from microasgi.serialization import decode_json
from microasgi.typed.constraints import Constraints
from microasgi.typed.faults import Faulty
from microasgi.typed.markers import Query
from microasgi.typed.models import is_model, json_converter, json_decoder, text_model

T = TypeVar("T")
Kilo = NewType("Kilo", int)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Item:
    name: str
    price: decimal.Decimal = decimal.Decimal(0)
    tags: list[str] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=dict)
    colour: Colour = Colour.RED


class ItemDict(typing_extensions.TypedDict):
    name: str
    tags: NotRequired[list[str]]


class ItemTuple(NamedTuple):
    name: str
    count: int = 1


class ItemStruct(msgspec.Struct, rename="camel"):
    unit_name: str
    unit_price: float = 1.0


@attrs.define
class ItemAttrs:
    name: str
    tags: list[str] = attrs.field(factory=list)


class ItemPydantic(pydantic.BaseModel):
    name: str
    price: decimal.Decimal = decimal.Decimal(0)
    tags: list[str] = []
    kids: list[ItemPydantic] = []
    extra: int | str | None = None


@dataclass
class Node:
    kids: list[Node] = field(default_factory=list)


@dataclass
class Page(Generic[T]):
    items: list[T]
    total: int


@dataclass
class IntPage(Page[int]):
    pass


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    age: int


def decoder(annotation: Any, **constraints: Any) -> Callable[[bytes], Any]:
    return json_decoder(annotation, Constraints(**constraints), "app.py:1")


def faults(annotation: Any, data: bytes, **constraints: Any) -> list[tuple[str, str]]:
    with pytest.raises(Faulty) as caught:
        decoder(annotation, **constraints)(data)
    return list(caught.value.parts)


MODELS = [Item, ItemDict, ItemTuple, ItemStruct, ItemAttrs, ItemPydantic, Page[int], Page[Item], IntPage]


@pytest.mark.parametrize("annotation", [*MODELS, Item | None, Cat | Dog, Annotated[Item, "text"], NewType("New", Item)])
def test_a_model_is_known(annotation: Any) -> None:
    assert is_model(annotation)


@pytest.mark.parametrize(
    "annotation", [int, str, list[Item], dict[str, Item], Item | int, Any, None, Literal["a"], Kilo]
)
def test_what_is_no_model_is_known(annotation: Any) -> None:
    assert not is_model(annotation)


@pytest.mark.parametrize(
    ("annotation", "data", "value"),
    [
        (Item, b'{"name": "a", "price": "1.10"}', Item("a", decimal.Decimal("1.10"))),
        (Item, b'{"name": "a", "colour": "blue", "unknown": 1}', Item("a", colour=Colour.BLUE)),
        (ItemDict, b'{"name": "a"}', {"name": "a"}),
        (ItemTuple, b'["a", 2]', ItemTuple("a", 2)),
        (ItemStruct, b'{"unitName": "a"}', ItemStruct("a")),
        (ItemAttrs, b'{"name": "a"}', ItemAttrs("a")),
        (ItemPydantic, b'{"name": "a", "price": "1.10"}', ItemPydantic(name="a", price=decimal.Decimal("1.10"))),
        (Page[Item], b'{"items": [{"name": "a"}], "total": 1}', Page([Item("a")], 1)),
        (IntPage, b'{"items": [1], "total": 1}', IntPage([1], 1)),
        (Node, b'{"kids": [{"kids": []}]}', Node([Node()])),
        (Cat | Dog, b'{"type": "dog", "age": 3}', Dog(3)),
        (Item | None, b"null", None),
        (list[ItemPydantic], b'[{"name": "a"}]', [ItemPydantic(name="a")]),
        (dict[str, list[Item]], b'{"x": [{"name": "a"}]}', {"x": [Item("a")]}),
        (datetime.date, b'"2026-01-31"', datetime.date(2026, 1, 31)),
        (uuid.UUID, b'"12345678123456781234567812345678"', uuid.UUID("12345678" * 4)),
        (Literal["a", 1], b"1", 1),
        (Kilo, b"1", 1),
        (Any, b'{"a": [1]}', {"a": [1]}),
        (dict, b'{"a": 1}', {"a": 1}),
        (dict[str, Any] | None, b"null", None),
        (list, b"[1]", [1]),
        (float, b"1", 1.0),
        (int | str, b'"a"', "a"),
    ],
)
def test_json_becomes_a_value(annotation: Any, data: bytes, value: Any) -> None:
    result = decoder(annotation)(data)
    assert result == value
    assert type(result) is type(value)
    assert json_converter(annotation, Constraints(), "app.py:1")(decode_json(data)) == value


@pytest.mark.parametrize(
    ("annotation", "data", "pointer", "reason"),
    [
        (Item, b"{}", "/name", "is missing"),
        (ItemPydantic, b"{}", "/name", "is missing"),
        (Item, b"[]", "", "has to be an object, not an array"),
        (ItemPydantic, b"[]", "", "has to be an object"),
        (Item, b'{"name": 1}', "/name", "has to be a string, not an integer"),
        (ItemPydantic, b'{"name": 1}', "/name", "has to be a string"),
        (Item, b'{"name": "a", "tags": ["b", 1]}', "/tags/1", "has to be a string, not an integer"),
        (ItemPydantic, b'{"name": "a", "tags": ["b", 1]}', "/tags/1", "has to be a string"),
        (
            Item,
            b'{"name": "a", "weights": {"x": 1.5}}',
            "/weights",
            "one of its values has to be an integer, not a number",
        ),
        (Item, b'{"name": "a", "colour": "x"}', "/colour", "has to be one of 'red', 'blue'"),
        (list[Item], b'[{"name": "a", "colour": "x"}]', "/0/colour", "has to be one of 'red', 'blue'"),
        (tuple[int, Colour | None], b'[1, "x"]', "/1", "has to be one of 'red', 'blue'"),
        (Literal["a"], b'"x"', "", "has to be 'a'"),
        (dict[str, Colour], b'{"a": "x"}', "", "one of its values is not one of the values that it may have"),
        (Item, b'{"name": "a", "price": "x"}', "/price", "has to be a decimal number"),
        (ItemStruct, b"{}", "/unitName", "is missing"),
        (ItemStruct, b'{"unitName": null}', "/unitName", "has to be a string, not null"),
        (list[Item], b'[{"name": "a"}, {}]', "/1/name", "is missing"),
        (list[ItemPydantic], b'[{"name": "a"}, {}]', "/1/name", "is missing"),
        (dict[int, int], b'{"a": 1}', "", "one of its names has to be an integer, not a string"),
        (dict[str, Item], b'{"a": {}}', "", "one of its values has no 'name'"),
        (Cat | Dog, b'{"type": "cow"}', "/type", "has to be one of 'cat', 'dog'"),
        (Cat | Dog, b'{"age": 1}', "/type", "is missing"),
        (int | str | None, b"1.5", "", "has to be a string, an integer or null"),
        (int | list[int] | None, b"1.5", "", "has to be an integer, an array or null, not a number"),
        (tuple[int, str], b"[1]", "", "has to have exactly 2 items"),
        (datetime.datetime, b'"x"', "", "has to be a date and time such as 2026-01-31T12:30:00Z"),
        (int, b'"1"', "", "has to be an integer"),
        (int, b"true", "", "has to be an integer"),
        (dict, b"[]", "", "has to be an object"),
        (dict[str, Any] | None, b"[]", "", "has to be an object or null"),
        (float, b"1" * 400, "", "is too large a number"),
        (Annotated[int, msgspec.Meta(ge=1)], b"0", "", "has to be at least 1"),
        (Annotated[float, msgspec.Meta(gt=1)], b"0.5", "", "has to be more than 1"),
        (Annotated[int, msgspec.Meta(multiple_of=2)], b"3", "", "has to be a multiple of 2"),
        (Annotated[str, msgspec.Meta(min_length=1)], b'""', "", "has to have at least 1 character"),
        (Annotated[list[int], msgspec.Meta(max_length=0)], b"[1]", "", "has to have at most 0 items"),
        (Annotated[str, msgspec.Meta(pattern="^a$")], b'"b"', "", "has to match the pattern ^a$"),
        (Annotated[int, pydantic.Field(ge=1)], b"0", "", "has to be at least 1"),
        (Annotated[str, pydantic.Field(min_length=1)], b'""', "", "has to have at least 1 character"),
    ],
)
def test_what_does_not_fit_has_a_pointer_and_a_reason(annotation: Any, data: bytes, pointer: str, reason: str) -> None:
    assert faults(annotation, data) == [(pointer, reason)]


def test_pydantic_tells_all_faults() -> None:
    data = b'{"price": [], "tags": [1, 2], "kids": [{"a/b": 1}], "extra": []}'
    assert faults(ItemPydantic, data) == [
        ("/name", "is missing"),
        ("/price", "has to be a decimal number"),
        ("/tags/0", "has to be a string"),
        ("/tags/1", "has to be a string"),
        ("/kids/0/name", "is missing"),
        ("/extra", "has to be an integer"),
        ("/extra", "has to be a string"),
    ]


def test_very_many_faults_are_counted_only() -> None:
    assert faults(list[Annotated[int, pydantic.Field(ge=1)]], b"[" + b'"x",' * 1000 + b"1]") == [
        ("", "has 1000 faults")
    ]


def test_names_in_pointers_are_escaped() -> None:
    class Odd(msgspec.Struct, rename={"name": "a/b~c"}):
        name: str

    assert faults(Odd, b'{"a/b~c": 1}') == [("/a~1b~0c", "has to be a string, not an integer")]


def test_what_the_client_sent_is_not_repeated_at_length() -> None:
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        name: str = ""

    name = b"x" * 100_000
    assert faults(Closed, b'{"' + name + b'": 1}') == [("", "is not a known field")]
    assert len(str(faults(Colour, b'"' + name + b'"'))) < 200


@pytest.mark.parametrize("annotation", [Item, ItemPydantic, ItemStruct, list[int], dict, Any])
@pytest.mark.parametrize(
    "data",
    [
        *(b"", b" ", b"{", b"[", b'{"name": "a",}', b'{"name": "a" "b"}', b'{"name": "a"} x', b"tru", b"01", b"\xff"),
        *(b'{"name": "\xff"}', b'{"name": "a\n"}', b"{name: 1}", b"'a'", b'{"name": NaN}', b'{"x": Infinity}'),
        *(b"[" * 100_000, b'{"kids":[' * 100_000, b'{"a":' * 100_000, b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2 + b"{}"),
    ],
    ids=lambda data: str(data[:24]),
)
def test_broken_json_is_400_in_the_same_words_for_every_engine(annotation: Any, data: bytes) -> None:
    with pytest.raises(InvalidJSON) as of_core:
        decode_json(data)
    with pytest.raises(InvalidJSON) as caught:
        decoder(annotation)(data)
    assert caught.value.detail == of_core.value.detail


@pytest.mark.parametrize("annotation", [Item, ItemPydantic])
def test_lone_surrogates_are_400(annotation: Any) -> None:
    with pytest.raises(InvalidJSON, match="invalid JSON: "):
        decoder(annotation)(b'{"name": "\\ud800"}')


@pytest.mark.parametrize("annotation", [Item, ItemPydantic])
def test_a_byte_order_mark_is_skipped_as_the_core_does(annotation: Any) -> None:
    assert decoder(annotation)(b'\xef\xbb\xbf{"name": "a"}').name == "a"


@pytest.mark.parametrize("annotation", [Node, ItemPydantic])
@pytest.mark.parametrize("depth", [100, 250, 450, 900, 2_000, 100_000])
def test_any_depth_is_a_value_or_a_refusal(annotation: Any, depth: int) -> None:
    data = b'{"name":"a","kids":[' * depth + b"]}" * depth
    try:
        decoder(annotation)(data)
    except HTTPException as error:
        refusal = str(error)
    else:
        refusal = "nested too deeply"
    assert "nested too deeply" in refusal


@pytest.mark.parametrize("annotation", [int, float, decimal.Decimal, Item, ItemPydantic, Page[int], Any, list[float]])
@pytest.mark.parametrize("number", [b"1" * 4_300, b"1" * 5_000, b"1e999", b"-1e999", b"1e-999", b"1.5e308", b"1e309"])
@pytest.mark.parametrize(
    "place", [b"%s", b'{"name": %s}', b'{"name": "a", "price": %s}', b'{"items": [%s], "total": 1}']
)
def test_any_number_is_a_value_or_a_refusal(annotation: Any, number: bytes, place: bytes) -> None:
    try:
        decoder(annotation)(place % number)
    except (InvalidJSON, Faulty):
        pass


def test_a_number_that_cannot_be_read_is_400_as_in_the_core() -> None:
    for data in (b'{"items": [1e999], "total": 1}', b'{"items": [' + b"1" * 5_000 + b"]}"):
        with pytest.raises(InvalidJSON):
            decoder(Page[float])(data)


def test_of_equal_names_none_escapes_the_check() -> None:
    for annotation in (Item, ItemPydantic):
        with pytest.raises(Faulty):
            decoder(annotation)(b'{"name": "a", "name": 2}')


DEEP = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "price", "tags", "kids", "x"]), inner),
)


@given(DEEP, st.sampled_from([Item, ItemPydantic, Node, Page[Item], ItemStruct, Cat | Dog, ItemDict]))
def test_any_json_is_a_value_or_a_refusal(value: Any, annotation: Any) -> None:
    data = json.dumps(value).encode()
    try:
        decoder(annotation)(data)
    except (InvalidJSON, Faulty):
        pass


@given(st.binary(), st.sampled_from([Item, ItemPydantic]))
def test_any_bytes_are_a_value_or_a_refusal(data: bytes, annotation: Any) -> None:
    try:
        decoder(annotation)(data)
    except (InvalidJSON, Faulty):
        pass


def test_the_models_own_code_gives_its_reason() -> None:
    @dataclass
    class Span:
        start: int
        end: int

        def __post_init__(self) -> None:
            if self.end < self.start:
                raise ValueError("ends before it starts")

    class PydanticSpan(pydantic.BaseModel):
        start: int

        @pydantic.field_validator("start")
        @classmethod
        def check(cls, value: int) -> int:
            raise ValueError("ends before it starts")

    assert faults(list[Span], b'[{"start": 2, "end": 1}]') == [("/0", "ends before it starts")]
    assert faults(PydanticSpan, b'{"start": 2}') == [("/start", "ends before it starts")]


def test_a_mistake_in_the_models_own_code_is_no_fault_of_the_client() -> None:
    @dataclass
    class Wrong:
        start: int

        def __post_init__(self) -> None:
            self.start + "a"  # type: ignore[operator]

    with pytest.raises(TypeError, match="unsupported operand"):
        decoder(Wrong)(b'{"start": 1}')


def test_constraints_of_the_parameter_are_checked() -> None:
    assert faults(list[int], b"[]", min_length=1) == [("", "has to have at least 1 item")]
    assert faults(int, b"0", ge=1) == [("", "has to be at least 1")]
    assert faults(decimal.Decimal, b"-1", ge=0) == [("", "has to be at least 0")]
    assert faults(int | None, b"0", ge=1) == [("", "has to be at least 1")]
    assert decoder(int | None, ge=1)(b"null") is None
    assert faults(dict, b"{}", min_length=1) == [("", "has to have at least 1 item")]
    assert faults(list[ItemPydantic], b"[]", min_length=1) == [("", "has to have at least 1 item")]


@dataclass
class Constrained:
    count: Annotated[int, annotated_types.Ge(1)]
    price: Annotated[decimal.Decimal, Query(gt=0)] = decimal.Decimal(1)
    names: list[Annotated[str, annotated_types.MinLen(2)]] = field(default_factory=list)
    by_name: dict[str, Annotated[int, annotated_types.Le(9)]] = field(default_factory=dict)
    pair: tuple[Annotated[int, annotated_types.Ge(1)], str] | None = None
    kids: list[Constrained] = field(default_factory=list)


def test_constraints_that_msgspec_passes_over_are_checked_all_the_same() -> None:
    data = (
        b'{"count": 0, "price": "0", "names": ["ab", "a"], "by_name": {"x/y": 10}, "pair": [0, ""], '
        b'"kids": [{"count": 1}, {"count": 0}]}'
    )
    assert faults(Constrained, data) == [
        ("/count", "has to be at least 1"),
        ("/price", "has to be more than 0"),
        ("/names/1", "has to have at least 2 characters"),
        ("/by_name/x~1y", "has to be at most 9"),
        ("/pair/0", "has to be at least 1"),
        ("/kids/1/count", "has to be at least 1"),
    ]
    assert decoder(Constrained)(b'{"count": 1}') == Constrained(1)


def test_constraints_that_pydantic_passes_over_are_checked_all_the_same() -> None:
    class Model(pydantic.BaseModel):
        count: Annotated[int, msgspec.Meta(ge=1)]

    assert faults(Model, b'{"count": 0}') == [("/count", "has to be at least 1")]


def test_a_constraint_that_nobody_knows_is_refused_at_registration() -> None:
    @dataclass
    class Model:
        count: Annotated[int, annotated_types.Predicate(bool)]

    with pytest.raises(ConfigurationError, match="Predicate"):
        decoder(Model)


def test_pydantic_in_a_dataclass_makes_pydantic_read_it() -> None:
    @dataclass
    class Order:
        item: ItemPydantic
        count: Annotated[int, pydantic.Field(ge=1)]
        email: pydantic.HttpUrl

    value = decoder(Order)(b'{"item": {"name": "a"}, "count": 1, "email": "https://a.example/"}')
    assert isinstance(value, Order)
    assert value.item == ItemPydantic(name="a")
    assert faults(Order, b'{"item": {}, "count": 0, "email": "x"}')[:2] == [
        ("/item/name", "is missing"),
        ("/count", "has to be at least 1"),
    ]


@pytest.mark.parametrize("annotation", [complex, type, object(), Callable, list[Callable[[], int]], Item | ItemAttrs])
def test_what_no_engine_reads_is_refused_at_registration(annotation: Any) -> None:
    with pytest.raises(ConfigurationError, match="app.py:1"):
        decoder(annotation)


def test_a_struct_beside_a_pydantic_model_is_refused_at_registration() -> None:
    @dataclass
    class Both:
        one: ItemStruct
        other: ItemPydantic

    with pytest.raises(ConfigurationError, match="dataclass or a pydantic model in its place"):
        decoder(Both)


def test_a_name_that_nobody_knows_is_refused_at_registration() -> None:
    @dataclass
    class Local:
        other: Unknown  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(ConfigurationError, match="top of a module"):
        decoder(Local)


@pytest.mark.parametrize(("package", "annotation"), [("msgspec", Item), ("pydantic", ItemPydantic)])
def test_a_missing_engine_is_named_with_its_install_line(
    package: str, annotation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=f"pip install {package}"):
        decoder(annotation)
    assert decoder(dict)(b"{}") == {}
    assert decoder(int)(b"1") == 1


def test_neither_engine_is_loaded_before_a_type_asks_for_it() -> None:
    code = "import sys, microasgi.typed.models as m; m.json_decoder(dict, m.Constraints(), ''); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"msgspec", "pydantic", "attrs"} & set(loaded)


def test_a_model_of_parameters_takes_converted_values() -> None:
    model = text_model(Item, "app.py:1")
    assert [(one.name, one.alias, one.required) for one in model.fields][:2] == [
        ("name", "name", True),
        ("price", "price", False),
    ]
    assert not model.raw
    assert model.build({"name": "a"}) == Item("a")
    assert model.build({"name": "a"}).tags is not model.build({"name": "a"}).tags


@pytest.mark.parametrize(
    ("annotation", "values", "value"),
    [
        (ItemDict, {"name": "a"}, {"name": "a"}),
        (ItemTuple, {"name": "a"}, ItemTuple("a")),
        (ItemStruct, {"unit_name": "a"}, ItemStruct("a")),
        (ItemAttrs, {"name": "a"}, ItemAttrs("a")),
        (IntPage, {"items": [1], "total": 2}, IntPage([1], 2)),
    ],
)
def test_every_kind_of_model_can_be_made_of_parameters(annotation: Any, values: dict[str, Any], value: Any) -> None:
    model = text_model(annotation, "app.py:1")
    assert model.build(values) == value
    assert {one.name for one in model.fields if one.required} == set(values)


def test_fields_of_a_parameter_model_keep_their_extras_and_names_on_the_wire() -> None:
    class Filters(msgspec.Struct, rename="kebab"):
        page_size: Annotated[int, msgspec.Meta(ge=1)] = 1

    (only,) = text_model(Filters, "app.py:1").fields
    assert (only.name, only.alias, only.required) == ("page_size", "page-size", False)
    assert only.annotation == Annotated[int, msgspec.Meta(ge=1)]


def test_a_private_name_of_attrs_is_taken_by_its_keyword() -> None:
    @attrs.define
    class Private:
        _x: int

    assert text_model(Private, "app.py:1").build({"_x": 1}) == Private(1)


def test_a_parameter_model_refuses_by_its_own_code() -> None:
    @dataclass
    class Span:
        start: int

        def __post_init__(self) -> None:
            raise ValueError("ends before it starts")

    with pytest.raises(Faulty) as caught:
        text_model(Span, "app.py:1").build({"start": 1})
    assert caught.value.parts == (("", "ends before it starts"),)


class Search(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    limit: int = pydantic.Field(10, ge=1, alias="max-items")
    tags: list[str] = []
    since: datetime.date


def test_a_pydantic_model_of_parameters_converts_texts_itself() -> None:
    model = text_model(Search, "app.py:1")
    assert model.raw
    assert [(one.name, one.alias, one.required) for one in model.fields] == [
        ("limit", "max-items", False),
        ("tags", "tags", False),
        ("since", "since", True),
    ]
    value = model.build({"limit": "5", "tags": ["a"], "since": "2026-01-31"})
    assert (value.limit, value.tags, value.since) == (5, ["a"], datetime.date(2026, 1, 31))
    with pytest.raises(Faulty) as caught:
        model.build({"limit": "0", "tags": ["a"]})
    assert caught.value.parts == (("/limit", "has to be at least 1"), ("/since", "is missing"))


@pytest.mark.parametrize("annotation", [int, Item | None, list[Item], Cat | Dog])
def test_what_is_no_single_model_is_no_parameter_model(annotation: Any) -> None:
    with pytest.raises(ConfigurationError, match="app.py:1"):
        text_model(annotation, "app.py:1")


def test_fields_that_are_not_taken_are_no_parameters() -> None:
    @dataclass
    class Counted:
        name: str
        count: int = dataclasses.field(init=False, default=0)

    assert [one.name for one in text_model(Counted, "app.py:1").fields] == ["name"]


def test_a_name_that_is_a_path_is_no_parameter() -> None:
    class Model(pydantic.BaseModel):
        name: str = pydantic.Field(validation_alias=pydantic.AliasChoices("a", "b"))
        other: str = pydantic.Field(validation_alias=pydantic.AliasPath("c", 0))

    with pytest.raises(ConfigurationError, match="other has an AliasPath"):
        text_model(Model, "app.py:1")
    assert decoder(Model)(b'{"c": ["x"], "b": "y"}').other == "x"


@pytest.mark.parametrize("annotation", [Item, ItemPydantic, Constrained])
def test_a_member_of_a_body_is_read_as_strictly(annotation: Any) -> None:
    convert = json_converter(annotation, Constraints(), "app.py:1")
    with pytest.raises(Faulty):
        convert({"name": 1, "count": "1"})
    endless: dict[str, Any] = {"name": "a", "count": 1}
    for _ in range(900):
        endless = {"name": "a", "count": 1, "kids": [endless]}
    try:
        convert(endless)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = "nested too deeply"
    assert "nested too deeply" in refusal


def test_constraints_of_members_of_typed_dicts_and_unions_are_checked() -> None:
    class Sized(typing_extensions.TypedDict):
        size: Annotated[int, annotated_types.Ge(1)]
        note: NotRequired[Annotated[str, annotated_types.MinLen(1)]]

    assert faults(Sized, b'{"size": 0}') == [("/size", "has to be at least 1")]
    assert faults(list[Sized | int], b'[3, {"size": 1, "note": ""}]') == [
        ("/1/note", "has to have at least 1 character"),
    ]
    assert faults(dict[Annotated[str, annotated_types.MaxLen(1)], int], b'{"ab": 1}') == [
        ("/ab", "has to have at most 1 character"),
    ]
