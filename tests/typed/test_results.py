"""Return annotations: what answers, and what of a value is shown."""

from __future__ import annotations

import datetime
import decimal
import json
import pathlib
import sys
import uuid
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from microasgi.exceptions import ConfigurationError
from microasgi.responses import JSONResponse, RedirectResponse, Response
from microasgi.typed.results import Result, result_of

T = TypeVar("T")


@dataclass
class User:
    name: str


@dataclass
class Admin(User):
    password: str = "secret"


@dataclass
class Order:
    owner: User
    others: list[User] = field(default_factory=list)
    by_name: dict[str, User] = field(default_factory=dict)
    maybe: User | None = None
    pair: tuple[User, int] | None = None
    kids: list[Order] = field(default_factory=list)


@dataclass
class Page(Generic[T]):
    items: list[T]


class UserDict(TypedDict):
    name: str


class Numbered(TypedDict):
    number: int


class UserTuple(NamedTuple):
    name: str


class UserStruct(msgspec.Struct, rename="camel"):
    first_name: str
    age: int | msgspec.UnsetType = msgspec.UNSET


class AdminStruct(UserStruct):
    password: str = "secret"


@attrs.define
class UserAttrs:
    name: str


@attrs.define
class AdminAttrs(UserAttrs):
    password: str = "secret"


class UserModel(pydantic.BaseModel):
    name: str
    born: datetime.date | None = pydantic.Field(None, alias="bornOn")


class AdminModel(UserModel):
    password: str = "secret"


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Lion(Cat, tag="lion"):
    secret: int = 1


class Dog(msgspec.Struct, tag="dog"):
    age: int


class Row:
    """What an ORM returns."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class ListOfOrm(list[Any]):
    """What an ORM keeps children in."""


def result(annotation: Any, json: Any = None) -> Result:
    return result_of(annotation, json, "app.py:1")


def shown(annotation: Any, value: Any, json_: Any = None) -> Any:
    encode = result(annotation, json_).encode
    assert encode is not None
    return json.loads(encode(value))


@pytest.fixture(params=["msgspec", "standard library"])
def without_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "standard library":
        monkeypatch.setitem(sys.modules, "msgspec", None)


@pytest.mark.parametrize(
    "annotation",
    [
        *(None, type(None), Any, object, str, bytes, dict, list, Response, JSONResponse, str | None),
        *(JSONResponse | RedirectResponse, JSONResponse | None, Annotated[str, "text"], tuple[str, int]),
        *(AsyncIterator[str], Generator[bytes, None, None], tuple[Response, int], Iterator[Any]),
    ],
)
def test_the_core_answers_what_needs_no_encoder(annotation: Any) -> None:
    assert result(annotation).encode is None
    assert not result(annotation).stream


@pytest.mark.parametrize(
    ("annotation", "content"),
    [
        (tuple[User, int], User),
        (tuple[User, Literal[201]], User),
        (tuple[User, int, dict[str, str]], User),
        (User | Response, User),
        (tuple[User, int] | JSONResponse, User),
        (User | None, User | None),
        (tuple[User, str], tuple[User, str]),
        (AsyncIterator[User], User),
        (Annotated[User, "text"], Annotated[User, "text"]),
    ],
)
def test_the_annotation_of_the_content_is_found(annotation: Any, content: Any) -> None:
    assert result(annotation).annotation == content
    assert result(annotation).encode is not None


@pytest.mark.usefixtures("without_engine")
@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (User, User("a"), {"name": "a"}),
        (User, Admin("a"), {"name": "a"}),
        (User, {"name": "a", "password": "b"}, {"name": "a"}),
        (User, Row(name="a", password="b"), {"name": "a"}),
        (User | None, None, None),
        (User | None, Admin("a"), {"name": "a"}),
        (User | int, Admin("a"), {"name": "a"}),
        (User | int, 3, 3),
        (list[User], [User("a"), Admin("b")], [{"name": "a"}, {"name": "b"}]),
        (Sequence[User], (Admin("b"),), [{"name": "b"}]),
        (list[User], ListOfOrm([Admin("b")]), [{"name": "b"}]),
        (dict[str, User], {"x": Admin("a")}, {"x": {"name": "a"}}),
        (dict[str, list[User]], {"x": [Admin("a")]}, {"x": [{"name": "a"}]}),
        (tuple[User, str], (Admin("a"), "b"), [{"name": "a"}, "b"]),
        (list[User] | User, [Admin("a")], [{"name": "a"}]),
        (list[User] | User, Admin("a"), {"name": "a"}),
        (Page[User], Page([Admin("a")]), {"items": [{"name": "a"}]}),
        (UserDict, {"name": "a", "password": "b"}, {"name": "a"}),
        (UserDict, {"name": "a"}, {"name": "a"}),
        (list[UserDict], [{"name": "a", "password": "b"}], [{"name": "a"}]),
        (UserDict | None, {"name": "a", "password": "b"}, {"name": "a"}),
        (UserTuple, UserTuple("a"), ["a"]),
        (UserDict | Numbered, {"number": 1, "password": "b"}, {"number": 1}),
        (UserDict | Numbered, {"password": "b"}, {}),
        (list[User] | dict[str, User], {"x": Admin("a")}, {"x": {"name": "a"}}),
        (tuple[User, str], None, None),
        (list[User], None, None),
        (dict[str, User], None, None),
        (User | int, True, True),
        (UserAttrs, AdminAttrs("a"), {"name": "a"}),
        (Admin | User, Admin("a"), {"name": "a", "password": "secret"}),
        (int, 3, 3),
        (list[int], [3], [3]),
        (dict[str, Any], {"a": Admin("b")}, {"a": {"name": "b", "password": "secret"}}),
        (list[decimal.Decimal], [decimal.Decimal("1.10")], ["1.10"]),
        (uuid.UUID, uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_what_is_shown_is_what_the_annotation_says(annotation: Any, value: Any, expected: Any) -> None:
    assert shown(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (UserStruct, UserStruct("a"), {"firstName": "a"}),
        (UserStruct, AdminStruct("a", 3), {"firstName": "a", "age": 3}),
        (UserStruct, AdminStruct("a"), {"firstName": "a"}),
        (Cat | Dog, Dog(1), {"type": "dog", "age": 1}),
        (Cat | Dog, Lion(1), {"type": "cat", "lives": 1}),
        (UserModel, UserModel(name="a", bornOn="2026-01-31"), {"name": "a", "bornOn": "2026-01-31"}),
        (UserModel, AdminModel(name="a"), {"name": "a", "bornOn": None}),
        (UserModel, {"name": "a", "password": "b"}, {"name": "a", "bornOn": None}),
        (list[UserModel], [AdminModel(name="a")], [{"name": "a", "bornOn": None}]),
        (UserModel | None, None, None),
        (Page[UserModel], Page([AdminModel(name="a")]), {"items": [{"name": "a", "bornOn": None}]}),
    ],
)
def test_models_of_packages_are_written_by_their_rules(annotation: Any, value: Any, expected: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shown(annotation, value) == expected
        assert shown(annotation, value, json.dumps) == expected


@pytest.mark.usefixtures("without_engine")
def test_what_is_held_deep_inside_is_cut_too() -> None:
    admin = Admin("a")
    value = Order(User("u"), [admin], {"x": admin}, admin, (admin, 1), [Order(admin)])
    cut = {"name": "a"}
    leaf = {"owner": cut, "others": [], "by_name": {}, "maybe": None, "pair": None, "kids": []}
    assert shown(Order, value) == {
        "owner": {"name": "u"},
        "others": [cut],
        "by_name": {"x": cut},
        "maybe": cut,
        "pair": [cut, 1],
        "kids": [leaf],
    }


def test_what_an_orm_returns_is_read_by_its_attributes() -> None:
    assert shown(UserModel, Row(name="a", password="b")) == {"name": "a", "bornOn": None}
    assert shown(list[UserModel], ListOfOrm([Row(name="a", password="b")])) == [{"name": "a", "bornOn": None}]


def test_a_value_without_an_annotated_field_is_an_error_that_names_it() -> None:
    with pytest.raises(TypeError, match="app.py:1: the answer is to be User, and a Row has no 'name'"):
        shown(User, Row(id=1))
    with pytest.raises(TypeError, match="app.py:1"):
        shown(UserModel, Row(id=1))


@pytest.mark.usefixtures("without_engine")
def test_what_the_engine_does_not_know_is_written_by_the_rules_of_the_core() -> None:
    @dataclass
    class Held:
        value: Any

    assert shown(Held, Held(pathlib.PurePosixPath("a/b"))) == {"value": "a/b"}
    with pytest.raises(TypeError, match="does not become JSON by itself"):
        shown(Held, Held(object()))


@pytest.mark.usefixtures("without_engine")
def test_what_holds_itself_is_a_value_error() -> None:
    order = Order(User("a"))
    order.kids.append(order)
    with pytest.raises(ValueError, match="holds itself"):
        shown(Order, order)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="holds itself"):
        shown(list[Any], endless)


@pytest.mark.usefixtures("without_engine")
def test_lone_surrogates_are_escaped() -> None:
    encode = result(User).encode
    assert encode is not None
    assert encode(User("\ud800")) == b'{"name":"\\ud800"}'
    assert shown(list[str], ["\ud800"]) == ["\ud800"]


def test_nan_is_null_with_an_engine_and_an_error_without(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(list[float], [float("nan")]) == [None]
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ValueError):
        shown(list[float], [float("nan")])


def test_json_takes_the_place_of_the_encoder() -> None:
    def dumps(value: Any) -> str:
        return json.dumps({"data": value})

    assert shown(User, Admin("a"), dumps) == {"data": {"name": "a"}}
    assert shown(list[UserModel], [AdminModel(name="a")], dumps) == {"data": [{"name": "a", "bornOn": None}]}
    assert shown(dict, {"a": 1}, dumps) == {"data": {"a": 1}}
    assert shown(list[decimal.Decimal], [decimal.Decimal(1)], lambda value: json.dumps(value).encode()) == ["1"]
    assert result(str, dumps).encode is None


@pytest.mark.parametrize("annotation", [AsyncIterator[User], AsyncGenerator[User, None], Iterator[User]])
def test_a_stream_is_one_line_for_each_item(annotation: Any) -> None:
    found = result(annotation)
    assert found.stream
    assert found.media_type == "application/jsonl"
    assert found.encode is not None
    assert found.encode(Admin("a")) == b'{"name":"a"}\n'


def test_a_type_that_pydantic_does_not_write_is_refused_at_registration() -> None:
    @dataclass
    class Both:
        one: UserModel
        other: complex | UserStruct

    with pytest.raises(ConfigurationError, match="app.py:1"):
        result(Both)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is new in Python 3.12")
def test_an_alias_that_holds_itself_holds_no_models() -> None:
    names: dict[str, Any] = {"User": User}
    exec("type Tree = dict[str, Tree] | list[User]", names)
    with pytest.raises(ConfigurationError, match="app.py:1: the alias Tree holds itself and models: make it a class"):
        result(names["Tree"])
    exec("type Json = dict[str, Json] | list[Json] | str", names)
    assert shown(names["Json"], {"a": ["b"]}) == {"a": ["b"]}
