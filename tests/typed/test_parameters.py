"""Parameters of typed handlers: where they come from, what they become, and what is said of those that do not fit."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType

import msgspec
import pydantic
import pytest

from microasgi import (
    BackgroundTasks,
    Convertor,
    HTTPConnection,
    MicroASGI,
    Request,
    Response,
    Router,
)
from microasgi.convertors import CONVERTOR_TYPES
from microasgi.testing import TestClient
from microasgi.typed import Cookie, Form, Header, Path, Query, State

UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


def answer(path: str, handler: Callable[..., Any], url: str, **sent: Any) -> Any:
    """Return the JSON that a GET of a route with this handler gives."""
    app = MicroASGI()
    app.get(path)(handler)
    return TestClient(app).get(url, **sent).json()


def errors(path: str, handler: Callable[..., Any], url: str, **sent: Any) -> list[dict[str, str]]:
    app = MicroASGI()
    app.get(path)(handler)
    response = TestClient(app).get(url, **sent)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    found: list[dict[str, str]] = response.json()["errors"]
    return found


def test_a_name_in_the_template_comes_from_the_path() -> None:
    async def show(item_id: int) -> dict[str, Any]:
        return {"id": item_id}

    assert answer("/items/{item_id}", show, "/items/42") == {"id": 42}


def test_a_path_parameter_that_does_not_fit_is_422() -> None:
    async def show(item_id: int) -> dict[str, Any]:
        return {"id": item_id}

    wanted = {"in": "path", "name": "item_id", "detail": "has to be an integer"}
    assert errors("/items/{item_id}", show, "/items/x") == [wanted]


def test_a_value_that_the_routing_table_has_converted_is_taken_as_it_is() -> None:
    async def show(number: int, key: uuid.UUID, part: float, rest: str, user: UserId) -> list[Any]:
        return [number, str(key), part, rest, user]

    key = "12345678-1234-5678-1234-567812345678"
    path = "/{number:int}/{key:uuid}/{part:float}/{user:int}/{rest:path}"
    assert answer(path, show, f"/3/{key}/1.5/7/a/b") == [3, key, 1.5, "a/b", 7]


def test_a_name_in_the_template_needs_no_annotation() -> None:
    async def show(request, word, number):  # type: ignore[no-untyped-def]
        return [request.method, word, number]

    assert answer("/{word}/{number:int}", show, "/a/3") == ["GET", "a", 3]
    assert answer("/{word}", lambda word: [word], "/a") == ["a"]


def test_what_a_convertor_of_ones_own_makes_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, text: str) -> None:
            self.x, self.y = text.split(",")

    class PointConvertor(Convertor[Point]):
        regex = "[0-9]+,[0-9]+"

        def convert(self, value: str) -> Point:
            return Point(value)

        def to_string(self, value: Point) -> str:
            return f"{value.x},{value.y}"

    monkeypatch.setitem(CONVERTOR_TYPES, "typed_point", PointConvertor())  # as register_url_convertor does, for a while
    app = MicroASGI()

    @app.get("/{point:typed_point}")
    async def show(point: Point, n: int = 1) -> list[Any]:
        return [point.x, point.y, n]

    assert TestClient(app).get("/3,4").json() == ["3", "4", 1]


def test_a_constraint_holds_for_a_converted_value_too() -> None:
    async def show(number: Annotated[int, Path(ge=10)]) -> int:
        return number

    wanted = {"in": "path", "name": "number", "detail": "has to be at least 10"}
    assert errors("/{number:int}", show, "/9") == [wanted]


def test_scalars_come_from_the_query() -> None:
    async def show(
        a: int, b: float, c: bool, d: Decimal, e: uuid.UUID, f: date, g: Colour, h: Literal["x", "y"], i: str
    ) -> list[Any]:
        return [a, b, c, str(d), str(e), f.isoformat(), g.value, h, i]

    key = "12345678-1234-5678-1234-567812345678"
    url = f"/?a=1&b=2.5&c=yes&d=0.10&e={key}&f=2026-11-23&g=red&h=x&i=text"
    assert answer("/", show, url) == [1, 2.5, True, "0.10", key, "2026-11-23", "red", "x", "text"]


def test_defaults_and_optionals_stand_in_for_what_is_absent() -> None:
    async def show(page: int = 1, word: str | None = None) -> list[Any]:
        return [page, word]

    assert answer("/", show, "/") == [1, None]
    assert answer("/", show, "/?page=2&word=") == [2, ""]


def test_a_parameter_without_a_default_is_missing() -> None:
    async def show(page: int) -> int:
        return page

    assert errors("/", show, "/") == [{"in": "query", "name": "page", "detail": "is missing"}]


def test_a_list_takes_all_that_have_its_name() -> None:
    async def show(tag: list[str], n: Annotated[set[int], Query(max_length=2)] = frozenset()) -> list[Any]:  # type: ignore[assignment]
        return [tag, sorted(n)]

    assert answer("/", show, "/?tag=a&tag=b&n=2&n=2") == [["a", "b"], [2]]


def test_a_fault_in_a_list_has_a_pointer() -> None:
    async def show(n: list[int]) -> list[int]:
        return n

    wanted = {"in": "query", "name": "n", "detail": "has to be an integer", "pointer": "#/1"}
    assert errors("/", show, "/?n=1&n=x") == [wanted]


def test_all_faults_are_reported_at_once_in_the_order_of_their_places() -> None:
    async def show(
        c: Annotated[int, Cookie()], h: Annotated[int, Header()], q: int, p: int, extra: Annotated[int, Query(le=3)] = 0
    ) -> None:
        raise AssertionError("not to be called")

    found = errors("/{p}", show, "/x?q=y&extra=4", headers={"h": "z", "cookie": "c=w"})
    assert [(one["in"], one["name"]) for one in found] == [
        ("path", "p"),
        ("query", "q"),
        ("query", "extra"),
        ("header", "h"),
        ("cookie", "c"),
    ]


def test_headers_have_hyphens_for_underscores_and_lists_of_them_are_split_at_commas() -> None:
    async def show(
        user_agent: Annotated[str, Header()],
        x_tag: Annotated[list[str], Header()],
        raw: Annotated[str, Header(alias="X-Raw")] = "none",
    ) -> list[Any]:
        return [user_agent, x_tag, raw]

    headers = [("user-agent", "me"), ("x-tag", "a, b"), ("x-tag", "c")]
    assert answer("/", show, "/", headers=headers) == ["me", ["a", "b", "c"], "none"]


def test_an_alias_is_the_name_on_the_wire() -> None:
    async def show(kind: Annotated[str, Query(alias="type")], sid: Annotated[str, Cookie(alias="session-id")]) -> Any:
        return [kind, sid]

    assert answer("/", show, "/?type=a&kind=b", headers={"cookie": "session-id=s"}) == ["a", "s"]


def test_a_mutable_default_is_another_one_for_each_request() -> None:
    async def show(tags: list[str] = ["first"]) -> list[str]:  # noqa: B006
        tags.append("more")
        return tags

    app = MicroASGI()
    app.get("/")(show)
    client = TestClient(app)
    assert client.get("/").json() == client.get("/").json() == ["first", "more"]


@dataclass
class Page:
    number: int = 1
    size: Annotated[int, Query(alias="page-size", le=100)] = 20
    tags: list[str] = field(default_factory=list)


class StructPage(msgspec.Struct):
    number: int = 1
    size: Annotated[int, msgspec.Meta(le=100)] = msgspec.field(default=20, name="page-size")
    tags: list[str] = []


class PydanticPage(pydantic.BaseModel):
    number: int = 1
    size: int = pydantic.Field(20, le=100, alias="page-size")
    tags: list[str] = []


@pytest.mark.parametrize("model", [Page, StructPage, PydanticPage])
def test_a_model_of_parameters_is_one_argument(model: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(page: Annotated[model, Query()]) -> list[Any]:  # pyright: ignore[reportInvalidTypeForm]
        return [page.number, page.size, page.tags]

    client = TestClient(app)
    assert client.get("/?number=2&page-size=5&tags=a&tags=b").json() == [2, 5, ["a", "b"]]
    assert client.get("/").json() == [1, 20, []]


@pytest.mark.parametrize("model", [Page, StructPage, PydanticPage])
def test_every_faulty_field_of_a_model_is_named_as_on_the_wire(model: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(page: Annotated[model, Query()]) -> None:  # pyright: ignore[reportInvalidTypeForm]
        raise AssertionError("not to be called")

    found = TestClient(app).get("/?number=x&page-size=101").json()["errors"]
    assert [(one["in"], one["name"]) for one in found] == [("query", "number"), ("query", "page-size")]
    assert "100" in found[1]["detail"]


def test_the_request_the_state_and_a_response_come_by_their_types() -> None:
    async def show(connection: HTTPConnection, request: Request, tasks: BackgroundTasks, response: Response) -> Any:
        response.set_cookie("seen", "1")
        response.headers["x-own"] = "yes"
        return [connection is request, isinstance(tasks, BackgroundTasks)]

    app = MicroASGI()
    app.get("/")(show)
    answered = TestClient(app).get("/")
    assert answered.json() == [True, True]
    assert answered.headers["x-own"] == "yes"
    assert answered.headers["set-cookie"].startswith("seen=1")


def test_background_tasks_run_after_the_response() -> None:
    done: list[str] = []
    app = MicroASGI()

    @app.get("/")
    async def show(tasks: BackgroundTasks, word: str) -> str:
        tasks.add_task(done.append, word)
        return "sent"

    assert TestClient(app).get("/?word=later").text == "sent"
    assert done == ["later"]


def test_state_is_typed_by_name_or_whole() -> None:
    app = MicroASGI()

    @app.lifespan
    async def connect(app: Any) -> Any:
        yield {"db": "database"}

    @app.get("/one")
    async def one(db: State[str], word: str = "") -> str:
        return db

    from microasgi import State as Whole

    @app.get("/whole")
    async def whole(state: Whole, word: str = "") -> Any:
        return state.db

    with TestClient(app) as client:
        assert client.get("/one").text == client.get("/whole").text == "database"


def test_a_state_that_nobody_has_filled_is_named_in_the_error() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(db: State[str]) -> str:
        return db

    with pytest.raises(RuntimeError, match="the state has no 'db'"):
        TestClient(app).get("/")


def test_the_first_parameter_without_annotation_is_the_request() -> None:
    async def show(request, page: int):  # type: ignore[no-untyped-def]
        return [request.method, page]

    assert answer("/", show, "/?page=1") == ["GET", 1]


def test_positional_keyword_and_wrapped_handlers_are_called_as_they_want() -> None:
    async def show(a: int, /, b: int, *, c: int, d: int = 4) -> list[int]:
        return [a, b, c, d]

    assert answer("/", show, "/?a=1&b=2&c=3") == [1, 2, 3, 4]


def test_a_handler_in_a_thread_is_typed_too() -> None:
    def show(n: int) -> list[int]:
        return [n]

    assert answer("/", show, "/?n=5") == [5]


def test_a_callable_object_and_a_method_are_typed_too() -> None:
    class Adder:
        async def __call__(self, a: int, b: int) -> int:
            return a + b

        def twice(self, a: int) -> dict[str, Any]:
            return {"twice": 2 * a}

    app = MicroASGI()
    app.get("/add")(Adder())
    app.get("/twice")(Adder().twice)
    client = TestClient(app)
    assert client.get("/add?a=1&b=2").json() == 3
    assert client.get("/twice?a=4").json() == {"twice": 8}


def test_a_prefix_with_a_parameter_gives_it_to_the_handlers_of_the_router() -> None:
    router = Router()

    @router.get("/posts/{post}")
    async def show(user: int, post: int) -> list[int]:
        return [user, post]

    @router.get("/marked")
    async def marked(user: Annotated[int, Path()]) -> int:
        return user

    app = MicroASGI()
    app.include(router, prefix="/users/{user}")
    assert TestClient(app).get("/users/1/posts/2").json() == [1, 2]
    assert TestClient(app).get("/users/1/marked").json() == 1


def test_a_text_that_is_huge_or_odd_is_a_fault_and_no_failure() -> None:
    async def show(n: int = 0, d: Decimal = Decimal(0), when: date = date.min) -> None:
        return None

    app = MicroASGI()
    app.get("/")(show)
    client = TestClient(app)
    for text in ("9" * 5000, "%00", "%F0%9F", "1e9999", "nan", "%E2%88%9E", "", "٣"):
        for name in ("n", "d", "when"):
            assert client.get(f"/?{name}={text}").status_code == 422


def test_a_form_is_read_into_scalars_lists_and_models() -> None:
    app = MicroASGI()

    @app.post("/plain")
    async def plain(name: Annotated[str, Form(min_length=2)], n: Annotated[list[int], Form()]) -> list[Any]:
        return [name, n]

    @app.post("/model")
    async def model(page: Annotated[Page, Form()]) -> list[Any]:
        return [page.number, page.size]

    client = TestClient(app)
    assert client.post("/plain", data={"name": "ab", "n": ["1", "2"]}).json() == ["ab", [1, 2]]
    assert client.post("/model", data={"number": "3"}).json() == [3, 20]
    faults = client.post("/plain", data={"name": "a", "n": "x"}).json()["errors"]
    assert [(one["in"], one["name"]) for one in faults] == [("form", "name"), ("form", "n")]


def test_the_first_parameter_of_any_type_is_the_request() -> None:
    async def show(request: Any, page: int = 1) -> list[Any]:
        return [request.method, page]

    assert answer("/", show, "/") == ["GET", 1]
