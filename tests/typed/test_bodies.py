"""Bodies of typed handlers: JSON into models and values, forms with files, and what is refused with which status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

from microasgi import MicroASGI, UploadFile
from microasgi.testing import TestClient
from microasgi.typed import Body, File, Form


@dataclass
class Item:
    name: str
    price: float
    tags: list[str] | None = None


class StructItem(msgspec.Struct):
    name: str
    price: float
    tags: list[str] | None = None


class DictItem(TypedDict):
    name: str
    price: float


class PydanticItem(pydantic.BaseModel):
    name: str
    price: float
    tags: list[str] | None = None


JSON = {"content-type": "application/json"}
MODELS: list[Any] = [Item, StructItem, DictItem, PydanticItem]


def client_of(annotation: Any, default: Any = ...) -> TestClient:
    app = MicroASGI()
    if default is ...:

        async def create(item: Any) -> Any:
            return repr(item)
    else:

        async def create(item: Any = default) -> Any:
            return repr(item)

    create.__annotations__["item"] = annotation
    app.post("/")(create)
    return TestClient(app)


@pytest.mark.parametrize("model", MODELS)
def test_one_model_is_the_body(model: Any) -> None:
    answered = client_of(model).post("/", json={"name": "a", "price": 2.5})
    assert answered.status_code == 200
    assert "'a'" in answered.text
    assert "2.5" in answered.text


@pytest.mark.parametrize("model", MODELS)
def test_json_is_strict_and_a_fault_has_a_pointer(model: Any) -> None:
    answered = client_of(model).post("/", json={"name": "a", "price": "2.5"})
    assert answered.status_code == 422
    found = answered.json()["errors"]
    assert [(one["in"], one["pointer"]) for one in found] == [("body", "#/price")]


def test_pydantic_names_all_its_faults() -> None:
    found = client_of(PydanticItem).post("/", json={"name": 1, "tags": ["a", 2]}).json()["errors"]
    assert sorted(one["pointer"] for one in found) == ["#/name", "#/price", "#/tags/1"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("data", [b"{", b"{'a': 1}", b'{"name": "a",}', b"\xff", b"nul", b'{"name": "a"} x'])
def test_broken_json_is_400_that_says_where(model: Any, data: bytes) -> None:
    answered = client_of(model).post("/", content=data, headers={"content-type": "application/json"})
    assert answered.status_code == 400
    assert answered.json()["detail"].startswith("invalid JSON: ")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "text/json",
        "application/json-patch",
    ],
)
def test_a_body_of_another_type_is_415(content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answered = client_of(Item).post("/", content=b'{"name": "a", "price": 1}', headers=headers)
    assert answered.status_code == 415


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/merge-patch+json",
        'application/json;charset="UTF-8"',
    ],
)
def test_json_has_many_names(content_type: str) -> None:
    answered = client_of(Item).post("/", content=b'{"name": "a", "price": 1}', headers={"content-type": content_type})
    assert answered.status_code == 200


def test_json_in_another_charset_is_415() -> None:
    headers = {"content-type": "application/json; charset=utf-16"}
    assert client_of(Item).post("/", content=b"{}", headers=headers).status_code == 415


def test_a_body_that_is_missing_is_a_fault_unless_it_has_a_default() -> None:
    assert client_of(Item).post("/").json()["errors"] == [{"in": "body", "pointer": "#", "detail": "is missing"}]
    assert client_of(Item | None, None).post("/").text == "None"


@pytest.mark.parametrize("annotation", [list[Item], dict[str, StructItem], Item | None, list[PydanticItem]])
def test_what_holds_models_comes_from_the_body(annotation: Any) -> None:
    data: Any = {"name": "a", "price": 1}
    sent = [data] if "list" in str(annotation) else {"x": data} if "dict" in str(annotation) else data
    assert "'a'" in client_of(annotation).post("/", json=sent).text


def test_a_plain_value_comes_from_the_body_by_its_marker() -> None:
    assert client_of(Annotated[int, Body(ge=3)]).post("/", json=3).text == "3"
    assert client_of(Annotated[int, Body(ge=3)]).post("/", json=2).status_code == 422
    assert client_of(Annotated[dict[str, Any], Body()]).post("/", json={"a": [1]}).text == "{'a': [1]}"
    assert client_of(Annotated[Any, Body()]).post("/", content="null", headers=JSON).text == "None"


def test_bytes_are_the_body_as_it_is_of_any_type() -> None:
    answered = client_of(Annotated[bytes, Body()]).post("/", content=b"\x00raw", headers={"content-type": "image/png"})
    assert answered.text == repr(b"\x00raw")


def test_several_body_parameters_are_members_of_an_object() -> None:
    app = MicroASGI()

    @app.put("/")
    async def put(item: Item, other: StructItem, n: Annotated[int, Body()] = 5) -> Any:
        return [item.name, other.name, n]

    client = TestClient(app)
    good = {"name": "a", "price": 1}
    assert client.put("/", json={"item": good, "other": {**good, "name": "b"}}).json() == ["a", "b", 5]
    found = client.put("/", json={"item": {"name": 1, "price": 1}, "n": "x"}).json()["errors"]
    assert [one["pointer"] for one in found] == ["#/item/name", "#/other", "#/n"]
    assert client.put("/", json=[]).json()["errors"][0]["detail"] == "has to be an object"
    assert client.put("/").json()["errors"][0]["detail"] == "is missing"


def test_one_parameter_is_embedded_if_it_says_so() -> None:
    app = MicroASGI()

    @app.put("/")
    async def put(item: Annotated[Item, Body(embed=True)]) -> str:
        return item.name

    assert TestClient(app).put("/", json={"item": {"name": "a", "price": 1}}).text == "a"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"name":' * 50_000,
        b'{"name": "\\ud800", "price": 1e999}',
        b'{"name": "a", "price": NaN}',
        b'{"name": "a", "price": ' + b"9" * 5000 + b"}",
        b'{"name": "a", "name": null, "price": 1}',
        b"null",
        b"[]",
        b'"text"',
        b"\xef\xbb\xbf{}",
    ],
)
def test_no_body_is_a_500(model: Any, data: bytes) -> None:
    answered = client_of(model).post("/", content=data, headers={"content-type": "application/json"})
    assert answered.status_code in {200, 400, 422}


def upload_client() -> TestClient:
    app = MicroASGI()

    @app.post("/one")
    async def one(file: UploadFile, note: Annotated[str, Form()] = "") -> Any:
        return [file.filename, (await file.read()).decode(), note]

    @app.post("/many")
    async def many(files: list[UploadFile]) -> Any:
        return [file.filename for file in files]

    @app.post("/bytes")
    async def as_bytes(data: Annotated[bytes, File(max_length=5)]) -> Any:
        return [len(data)]

    @app.post("/maybe")
    async def maybe(file: UploadFile | None = None) -> Any:
        return [file is None]

    @dataclass
    class Sent:
        title: str
        file: UploadFile
        n: int = 1

    @app.post("/model")
    async def model(sent: Annotated[Sent, Form()]) -> Any:
        return [sent.title, sent.file.filename, sent.n]

    return TestClient(app)


def test_files_come_as_uploads_lists_bytes_and_in_models() -> None:
    client = upload_client()
    assert client.post("/one", files={"file": ("a.txt", b"text")}, data={"note": "n"}).json() == ["a.txt", "text", "n"]
    two = [("files", ("a", b"1")), ("files", ("b", b"2"))]
    assert client.post("/many", files=two).json() == ["a", "b"]
    assert client.post("/bytes", files={"data": ("a", b"12345")}).json() == [5]
    assert client.post("/maybe").json() == [True]
    assert client.post("/model", files={"file": ("a", b"1")}, data={"title": "t"}).json() == ["t", "a", 1]


def test_faulty_files_are_named() -> None:
    client = upload_client()
    missing = {"in": "form", "name": "file", "detail": "is missing"}
    assert client.post("/one", data={"note": "n"}).json()["errors"] == [missing]
    assert client.post("/one", data={"file": "text"}).json()["errors"][0]["detail"] == "has to be a file"
    assert client.post("/bytes", files={"data": ("a", b"123456")}).status_code == 422
    found = client.post("/model", data={"n": "x"}).json()["errors"]
    assert sorted(one["name"] for one in found) == ["file", "n", "title"]
    answered = client.post("/one", files={"file": ("a", b"1"), "note": ("b", b"2")})
    assert answered.json()["errors"] == [{"in": "form", "name": "note", "detail": "has to be a text, not a file"}]


def test_an_input_for_a_file_that_nobody_filled_is_no_file() -> None:
    body = b'--x\r\ncontent-disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--x--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert upload_client().post("/maybe", content=body, headers=headers).json() == [True]


def test_a_form_of_another_type_is_415_and_a_truncated_one_400() -> None:
    client = upload_client()
    assert client.post("/one", json={}).status_code == 415
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/one", content=b"--x\r\n", headers=headers).status_code == 400


def test_half_of_a_surrogate_pair_is_400_in_members_of_an_object_too() -> None:
    app = MicroASGI()

    @app.put("/")
    async def put(name: Annotated[str, Body(embed=True)], item: Annotated[Any, Body()] = None) -> Any:
        return [name]

    client = TestClient(app)
    for data in ('{"name": "\\ud800"}', '{"name": "a", "item": [{"\\ud800": 1}]}'):
        answered = client.put("/", content=data, headers=JSON)
        assert (answered.status_code, "surrogate" in answered.text) == (400, True)
    assert client.put("/", content='{"name": "\\ud83d\\ude00"}', headers=JSON).json() == ["😀"]
    plain = client_of(Annotated[dict[str, Any], Body()])
    assert plain.post("/", content='{"name": "\\ud800"}', headers=JSON).status_code == 400


def test_the_length_of_a_file_is_in_bytes_and_that_of_a_list_in_files() -> None:
    app = MicroASGI()

    @app.post("/one")
    async def one(file: Annotated[UploadFile, File(max_length=3)]) -> Any:
        return [file.filename]

    @app.post("/many")
    async def many(files: Annotated[list[UploadFile], File(max_length=1)]) -> Any:
        return len(files)

    client = TestClient(app)
    assert client.post("/one", files={"file": ("a", b"123")}).status_code == 200
    assert client.post("/one", files={"file": ("a", b"1234")}).json()["errors"][0]["name"] == "file"
    two = [("files", ("a", b"1")), ("files", ("b", b"2"))]
    assert client.post("/many", files=two).json()["errors"][0]["name"] == "files"
