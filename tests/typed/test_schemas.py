"""JSON Schemas of types: they say what is read and what is written."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import sys
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import annotated_types
import attrs
import jsonschema
import msgspec
import pydantic
import pytest
import typing_extensions
from hypothesis import example, given
from hypothesis import strategies as st

from microasgi.exceptions import ConfigurationError, InvalidJSON
from microasgi.typed.constraints import Constraints
from microasgi.typed.faults import Faulty
from microasgi.typed.markers import Query
from microasgi.typed.models import json_decoder, json_schemas

T = TypeVar("T")
REF = "#/components/schemas/"


class Colour(enum.Enum):
    """What it looks like."""

    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


@dataclass
class Part:
    size: int
    note: str | None = None


@dataclass
class Item:
    """Something for sale."""

    name: Annotated[str, msgspec.Meta(max_length=3, description="its name", examples=["a"])]
    count: Annotated[int, annotated_types.Ge(1)] = 1
    colour: Colour = Colour.RED
    parts: list[Part] = field(default_factory=list)
    by_name: dict[str, Part] = field(default_factory=dict)
    pair: tuple[int, str] | None = None
    kind: Literal["a", "b"] = "a"
    kids: list[Item] = field(default_factory=list)


@dataclass
class Page(Generic[T]):
    items: list[T]


class ItemDict(TypedDict, total=False):
    name: str


class ItemTuple(NamedTuple):
    name: str
    count: int = 1


@attrs.define
class ItemAttrs:
    name: str
    tags: list[str] = attrs.field(factory=list)
    _private: int = 1


class Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    first_name: str
    age: int | msgspec.UnsetType = msgspec.UNSET


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    age: int


class Listed(msgspec.Struct, array_like=True):
    name: str
    count: int = 1


class ItemModel(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=3, alias="itemName")
    colour: Colour = Colour.RED
    kids: list[ItemModel] = []

    @pydantic.computed_field
    @property
    def total(self) -> int:
        return 1


def schema_of(annotation: Any, *, serialization: bool = False, **constraints: Any) -> Any:
    return json_schemas([(annotation, Constraints(**constraints))], serialization=serialization)[0][0]


def components_of(*annotations: Any, serialization: bool = False) -> Any:
    return json_schemas([(one, Constraints()) for one in annotations], serialization=serialization)[1]


@pytest.fixture(params=["msgspec", "standard library"])
def without_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "standard library":
        monkeypatch.setitem(sys.modules, "msgspec", None)


@pytest.mark.usefixtures("without_engine")
@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (Any, {}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (datetime.date, {"type": "string", "format": "date"}),
        (datetime.time, {"type": "string", "format": "time"}),
        (datetime.timedelta, {"type": "string", "format": "duration"}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list, {"type": "array", "items": {}}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (dict[int, Any], {"type": "object", "propertyNames": {"pattern": r"^-?\d+$"}}),
        (dict[uuid.UUID, Any], {"type": "object", "propertyNames": {"type": "string", "format": "uuid"}}),
        (complex, {}),
        (Part, {"$ref": REF + "Part"}),
        (
            Annotated[int, Query(ge=1, title="t", examples={"one": 1})],
            {"type": "integer", "minimum": 1, "title": "t", "examples": [1]},
        ),
        (Annotated[int, typing_extensions.Doc("text")], {"type": "integer", "description": "text"}),
    ],
)
def test_a_type_has_a_schema(annotation: Any, schema: Any) -> None:
    assert schema_of(annotation) == schema
    assert schema_of(annotation, serialization=True) == schema


def test_a_decimal_is_read_from_numbers_too_and_written_as_a_string() -> None:
    assert [one["type"] for one in schema_of(decimal.Decimal)["anyOf"]] == ["number", "string"]
    assert schema_of(decimal.Decimal, serialization=True)["type"] == "string"


def test_constraints_are_keywords_of_the_type() -> None:
    assert schema_of(int, ge=1) == {"type": "integer", "minimum": 1}
    assert schema_of(list[int], min_length=1)["minItems"] == 1
    assert schema_of(dict[str, int], max_length=1)["maxProperties"] == 1
    assert schema_of(str | None, max_length=1)["maxLength"] == 1
    assert schema_of(list[ItemModel], min_length=1)["minItems"] == 1


@pytest.mark.parametrize("serialization", [True, False])
def test_a_model_is_a_component(serialization: bool) -> None:
    components = components_of(Item, serialization=serialization)
    assert components.keys() == {"Item", "Part", "Colour"}
    item = components["Item"]
    assert item["title"] == "Item"
    assert item["description"] == "Something for sale."
    assert item["required"] == ["name"]
    assert item["properties"]["name"] == {
        "type": "string",
        "maxLength": 3,
        "description": "its name",
        "examples": ["a"],
    }
    assert item["properties"]["count"] == {"type": "integer", "minimum": 1, "default": 1}
    assert item["properties"]["colour"] == {"$ref": REF + "Colour", "default": "red"}
    assert item["properties"]["kids"] == {"type": "array", "items": {"$ref": REF + "Item"}, "default": []}
    assert "description" not in components["Part"]
    assert components["Colour"] == {
        "title": "Colour",
        "description": "What it looks like.",
        "enum": ["red", "blue"],
        "type": "string",
    }


def test_what_is_read_and_written_alike_is_one_component() -> None:
    for annotation in (Item, Page[Part], ItemDict, ItemTuple, Closed, Cat | Dog):
        assert components_of(annotation) == components_of(annotation, serialization=True)


def test_every_kind_of_model_has_its_names_in_json() -> None:
    found = components_of(ItemDict, ItemTuple, ItemAttrs, Closed, Listed, Page[Part])
    assert found["ItemDict"]["properties"].keys() == {"name"}
    assert "required" not in found["ItemDict"]
    assert [one["type"] for one in found["ItemTuple"]["prefixItems"]] == ["string", "integer"]
    assert found["ItemTuple"]["minItems"] == 1
    assert found["ItemAttrs"]["required"] == ["name"]
    assert found["Closed"]["properties"].keys() == {"firstName", "age"}
    assert found["Closed"]["additionalProperties"] is False
    assert found["Listed"]["type"] == "array"
    assert found["Page_Part"]["title"] == "Page[Part]"


def test_tagged_structs_have_a_discriminator() -> None:
    assert schema_of(Cat | Dog) == {
        "anyOf": [{"$ref": REF + "Cat"}, {"$ref": REF + "Dog"}],
        "discriminator": {"propertyName": "type", "mapping": {"cat": REF + "Cat", "dog": REF + "Dog"}},
    }
    assert components_of(Cat | Dog)["Cat"]["required"] == ["type", "lives"]


def test_pydantic_describes_its_models_itself() -> None:
    schemas, components = json_schemas(
        [(ItemModel, Constraints()), (int, Constraints()), (list[ItemModel], Constraints())], serialization=False
    )
    assert schemas[0] == {"$ref": REF + "ItemModel"}
    assert schemas[1] == {"type": "integer"}
    assert schemas[2] == {"type": "array", "items": {"$ref": REF + "ItemModel"}}
    assert components["ItemModel"]["properties"].keys() == {"itemName", "colour", "kids"}
    assert "title" not in components["ItemModel"]["properties"]["itemName"]
    written = components_of(ItemModel, serialization=True)
    assert written["ItemModel"]["properties"].keys() == {"itemName", "colour", "kids", "total"}


def test_an_enum_is_one_component_for_both_engines() -> None:
    assert components_of(Item, ItemModel).keys() == {"Item", "Part", "Colour", "ItemModel"}


def test_equal_names_are_told_apart() -> None:
    def another(name: str) -> Any:
        return dataclass(type(name, (), {"__annotations__": {"other": int}, "__module__": "shop.models"}))

    schemas, components = json_schemas(
        [(one, Constraints()) for one in (Part, another("Part"), another("Part"), another("ItemModel"), ItemModel)],
        serialization=False,
    )
    names = [schema["$ref"].removeprefix(REF) for schema in schemas]
    assert names[1:] == ["models.Part", "models.Part2", "models.ItemModel", "test_schemas.ItemModel"]
    assert names[0] == "test_schemas.Part"
    assert components.keys() == {*names, "Colour"}
    assert components["models.Part2"]["properties"].keys() == {"other"}


def test_the_reference_may_be_another() -> None:
    schemas, _ = json_schemas(
        [(Part, Constraints()), (ItemModel, Constraints())], serialization=False, ref="#/$defs/{name}"
    )
    assert schemas == [{"$ref": "#/$defs/Part"}, {"$ref": "#/$defs/ItemModel"}]


def test_a_type_that_pydantic_cannot_describe_is_refused() -> None:
    class Odd(pydantic.BaseModel):
        call: Any = pydantic.Field(default_factory=list)

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            raise pydantic.errors.PydanticInvalidForJsonSchema("it has none")

    with pytest.raises(ConfigurationError, match="it has none"):
        schema_of(Odd)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.just(1.5)
    | st.sampled_from(["", "a", "b", "red", "cat", "long text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "itemName",
                    "count",
                    "parts",
                    "size",
                    "note",
                    "pair",
                    "kind",
                    "kids",
                    "type",
                    "lives",
                    "firstName",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
READ = [Item, Part, Page[Part], ItemDict, ItemTuple, ItemAttrs, Closed, Cat | Dog, Listed, ItemModel, Size, Part | None]
READ += [
    list[Part],
    dict[str, Part],
    tuple[int, str],
    Literal["a", 1],
    Annotated[list[int], msgspec.Meta(min_length=1)],
]


@given(VALUES, st.sampled_from(READ))
@example({"name": "a", "kids": [{"name": "b", "pair": [1, "a"]}]}, Item)
@example({"name": "a", "count": 0}, Item)
@example({"name": "long"}, Item)
@example(["a", 1, 2], ItemTuple)
@example(["a"], ItemTuple)
@example({"type": "cat", "lives": 1}, Cat | Dog)
@example({"firstName": "a", "age": 1, "kind": 1}, Closed)
@example({"itemName": "a", "colour": "red"}, ItemModel)
def test_a_schema_takes_what_the_decoder_takes(value: Any, annotation: Any) -> None:
    schemas, components = json_schemas([(annotation, Constraints())], serialization=False, ref="#/$defs/{name}")
    schema = {**schemas[0], "$defs": components}
    jsonschema.Draft202012Validator.check_schema(schema)
    try:
        json_decoder(annotation, Constraints(), "app.py:1")(json.dumps(value).encode())
        taken = True
    except (Faulty, InvalidJSON):
        taken = False
    assert jsonschema.Draft202012Validator(schema).is_valid(value) == taken
