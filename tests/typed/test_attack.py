"""What an attack on typed handlers found, held: values that clients could send, fields that could leak, odd shapes."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio
import pydantic
import pytest

from microasgi import (
    BackgroundTasks,
    ConfigurationError,
    MicroASGI,
    MissingPackage,
    Request,
    Response,
    StreamingResponse,
    UploadFile,
    WebSocket,
)
from microasgi.testing import TestClient, http_scope
from microasgi.typed import (
    APIKeyQuery,
    Body,
    Depends,
    Form,
    Header,
    Query,
    Security,
    SecurityScopes,
    State,
    ValidationError,
)


@dataclass
class User:
    name: str


@dataclass
class UserWithPassword(User):
    password: str = "secret"


async def current_user() -> User:
    return User("real")


Me = Annotated[User, Depends(current_user)]
Agent = Annotated[str, Header()]
Limit = Annotated[int, Query(le=9)]


def refusal(annotation: Any, default: Any = None) -> str:
    async def show(value: Any = default) -> None: ...

    show.__annotations__["value"] = annotation
    with pytest.raises(ConfigurationError) as caught:
        MicroASGI().post("/")(show)
    return str(caught.value)


@pytest.mark.parametrize("annotation", [Me | None, list[Me], State[str] | None, Agent | None, dict[str, Me]])
def test_a_marker_below_the_top_of_an_annotation_is_refused_for_the_client_would_send_the_value(
    annotation: Any,
) -> None:
    assert "write it around all of it" in refusal(annotation)


def test_a_default_of_another_framework_is_refused_for_it_would_mean_nothing() -> None:
    assert "means nothing here" in refusal(int, pydantic.Field(5, ge=1))
    fastapi = pytest.importorskip("fastapi")
    assert "means nothing here" in refusal(str, fastapi.Depends(current_user))


def test_a_model_whose_name_ends_like_ours_is_a_model() -> None:
    @dataclass
    class LoginRequest:
        name: str

    @dataclass
    class UserResponse:
        name: str

    @dataclass
    class Whole(UserResponse):
        password: str = "secret"

    app = MicroASGI()

    @app.post("/login")
    async def login(data: LoginRequest) -> UserResponse:
        return Whole(data.name)

    assert TestClient(app).post("/login", json={"name": "a"}).json() == {"name": "a"}


@pytest.mark.parametrize(
    ("annotation", "made", "shown"),
    [
        (list[User | None], [UserWithPassword("a"), None], [{"name": "a"}, None]),
        (dict[str, User | None], {"a": UserWithPassword("a")}, {"a": {"name": "a"}}),
        (list[User], (UserWithPassword("a"), UserWithPassword("b"), 3)[:2], [{"name": "a"}, {"name": "b"}]),
    ],
)
def test_what_lists_and_dicts_hold_is_cut_too(annotation: Any, made: Any, shown: Any) -> None:
    async def show(request: Request) -> Any:
        return made

    show.__annotations__["return"] = annotation
    app = MicroASGI()
    app.get("/")(show)
    assert TestClient(app).get("/").json() == shown


def test_what_is_no_list_is_not_sent_in_the_place_of_one() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(n: int = 0) -> list[User]:
        return UserWithPassword("a"), 201  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    with pytest.raises(TypeError, match="the answer is to be a list"):
        TestClient(app).get("/")


def test_a_result_that_nobody_can_look_up_is_refused_for_nothing_would_be_cut() -> None:
    async def show(request: Request) -> Any: ...

    show.__annotations__["return"] = "list[Unknown]"
    with pytest.raises(ConfigurationError, match="the annotation of 'return' is 'list\\[Unknown\\]'"):
        MicroASGI().get("/")(show)


def test_names_are_looked_up_where_the_handler_is_and_not_where_it_is_registered() -> None:
    module = types.ModuleType("of_handlers")
    sys.modules["of_handlers"] = module
    source = (
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Item:\n    right: str\n"
        "async def create(item: 'Item') -> dict: return {'right': item.right}\n"
    )
    exec(compile(source, "of_handlers.py", "exec", dont_inherit=True), module.__dict__)

    @dataclass
    class Item:
        wrong: str

    app = MicroASGI()
    app.post("/")(module.create)
    assert TestClient(app).post("/", json={"right": "x"}).json() == {"right": "x"}


def test_one_alias_of_an_annotation_serves_many_fields() -> None:
    @dataclass
    class Range:
        low: Limit
        high: Limit

    app = MicroASGI()

    @app.get("/range")
    async def show(range: Annotated[Range, Query()]) -> list[int]:
        return [range.low, range.high]

    @app.get("/limit")
    async def limit(limit: Limit) -> list[int]:
        return [limit]

    client = TestClient(app)
    assert client.get("/range?low=1&high=2").json() == [1, 2]
    assert client.get("/limit?limit=3").json() == [3]


def test_a_model_that_holds_itself_is_a_result() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(n: int = 0) -> Node:
        return Node("a", [Node("b")])

    assert TestClient(app).get("/").json() == {"name": "a", "kids": [{"name": "b", "kids": []}]}


@dataclass
class Node:
    name: str
    kids: list[Node] = field(default_factory=list)


def test_scopes_make_another_value_only_of_what_reads_them() -> None:
    opened: list[str] = []

    async def database() -> int:
        opened.append("database")
        return len(opened)

    async def user(scopes: SecurityScopes, db: Annotated[int, Depends(database)]) -> list[Any]:
        return [*scopes.scopes, db]

    app = MicroASGI()

    @app.get("/")
    async def show(
        a: Annotated[list[Any], Security(user, scopes=["a"])],
        b: Annotated[list[Any], Security(user, scopes=["b"])],
        db: Annotated[int, Depends(database)],
    ) -> list[Any]:
        return [a, b, db]

    assert TestClient(app).get("/").json() == [["a", 1], ["b", 1], 1]


def test_the_same_dependency_ends_twice_where_two_want_it_for_different_times() -> None:
    events: list[str] = []

    async def resource() -> AsyncIterator[str]:
        yield "open"
        events.append("closed")

    app = MicroASGI()

    @app.get("/")
    async def show(a: Annotated[str, Depends(resource, scope="function")], b: Annotated[str, Depends(resource)]) -> Any:
        async def body() -> AsyncIterator[bytes]:
            events.append("sent")
            yield b""

        return StreamingResponse(body())

    TestClient(app).get("/")
    assert events == ["closed", "sent", "closed"]


def test_what_ends_with_the_handler_is_not_for_what_goes_on() -> None:
    async def short() -> AsyncIterator[str]:
        yield ""

    async def long(value: Annotated[str, Depends(short, scope="function")]) -> AsyncIterator[str]:
        yield value

    with pytest.raises(ConfigurationError, match='give both the scope "function", or neither'):

        @MicroASGI().get("/")
        async def show(value: Annotated[str, Depends(long)]) -> None: ...


@pytest.mark.anyio
async def test_a_clean_up_is_not_cut_by_a_cancellation_and_the_next_one_follows() -> None:
    events: list[str] = []
    inside, forever = anyio.Event(), anyio.Event()

    async def outer() -> AsyncIterator[None]:
        yield
        events.append("outer")

    async def inner() -> AsyncIterator[None]:
        yield
        inside.set()
        await anyio.sleep(0.01)
        events.append("inner")

    app = MicroASGI()

    @app.get("/")
    async def show(
        a: Annotated[None, Depends(outer, scope="function")], b: Annotated[None, Depends(inner, scope="function")]
    ) -> str:
        return "done"

    async def receive() -> Any:
        await forever.wait()

    async def send(message: Any) -> None: ...

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, http_scope("GET", "/"), receive, send)
        await inside.wait()
        tasks.cancel_scope.cancel()
    assert events == ["inner", "outer"]


def test_many_faults_of_one_body_have_a_short_answer() -> None:
    app = MicroASGI()

    @app.post("/")
    async def create(numbers: list[Annotated[int, Query(ge=1)]] | None = None) -> None: ...

    @app.post("/body")
    async def body(item: Numbers) -> None: ...

    answered = TestClient(app).post("/body", json={"numbers": [0] * 50_000})
    assert answered.status_code == 422
    assert len(answered.json()["errors"]) <= 100


@dataclass
class Numbers:
    numbers: list[Annotated[int, Query(ge=1)]]


@pytest.mark.parametrize(("status", "route"), [(200, 201), (202, 200), (202, 204)])
def test_a_handler_may_set_any_status_of_its_response(status: int, route: int) -> None:
    app = MicroASGI()

    @app.post("/", status=route)
    async def create(response: Response) -> dict[str, int]:
        response.status_code = status
        return {"a": 1}

    assert TestClient(app).post("/").status_code == status


@pytest.mark.parametrize("kind", [BackgroundTasks, Response, Request])
def test_a_websocket_has_no_response_and_is_no_request(kind: Any) -> None:
    async def talk(websocket: WebSocket, value: Any) -> None: ...

    talk.__annotations__["value"] = kind
    with pytest.raises(ConfigurationError, match="websocket"):
        MicroASGI().websocket("/")(talk)


def test_a_request_is_no_websocket() -> None:
    async def show(n: int, socket: WebSocket) -> None: ...

    with pytest.raises(ConfigurationError, match="annotate what is used for both kinds with HTTPConnection"):
        MicroASGI().get("/")(show)


def test_a_list_does_not_come_from_the_path() -> None:
    async def show(ids: list[int]) -> None: ...

    with pytest.raises(ConfigurationError, match="a path has one text of a name"):
        MicroASGI().get("/{ids}")(show)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_context_manager_is_a_dependency_as_its_generator_is(kind: str) -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def of_loop() -> AsyncIterator[str]:
        yield "value"
        events.append("closed")

    @contextlib.contextmanager
    def of_thread() -> Iterator[str]:
        yield "value"
        events.append("closed")

    app = MicroASGI()

    @app.get("/")
    async def show(value: Annotated[str, Depends(of_loop if kind == "async" else of_thread)]) -> str:
        return value

    assert TestClient(app).get("/").text == "value"
    assert events == ["closed"]


class PydanticFilters(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    page: int = 1


def test_a_model_that_forbids_other_names_forbids_them_in_a_query_too() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(filters: Annotated[PydanticFilters, Query()]) -> list[int]:
        return [filters.page]

    client = TestClient(app)
    assert client.get("/?page=2").json() == [2]
    assert client.get("/?tool=x").json()["errors"] == [{"in": "query", "name": "tool", "detail": "is not known"}]


def test_an_object_that_cannot_be_hashed_is_a_dependency() -> None:
    @dataclass
    class Greeter:
        word: str

        async def __call__(self, name: str) -> str:
            return f"{self.word} {name}"

    greet = Greeter("hello")
    app = MicroASGI()

    @app.get("/")
    async def show(a: Annotated[str, Depends(greet)], b: Annotated[str, Depends(greet)]) -> str:
        return a

    app.dependency_overrides[current_user] = current_user
    assert TestClient(app).get("/?name=x").text == "hello x"


def test_the_request_may_be_given_by_keyword() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(*, request: Request) -> str:
        return request.method

    assert TestClient(app).get("/").text == "GET"


def test_names_of_the_query_that_differ_in_case_are_two() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(q: str, big: Annotated[str, Query(alias="Q")]) -> list[str]:
        return [q, big]

    assert TestClient(app).get("/?q=1&Q=2").json() == ["1", "2"]
    (route,) = app.routes
    assert [one.alias for one in getattr(route, "binding").parameters] == ["q", "Q"]  # noqa: B009


def test_markers_of_one_kind_add_up() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(n: Annotated[Annotated[int, Query(ge=1)], Query(le=5)]) -> list[int]:
        return [n]

    client = TestClient(app)
    assert [client.get(f"/?n={n}").status_code for n in (0, 3, 6)] == [422, 200, 422]


def test_a_body_that_is_embedded_and_faulty_names_its_member() -> None:
    app = MicroASGI()

    @app.put("/")
    async def put(item: Annotated[User, Body(embed=True)]) -> None: ...

    assert TestClient(app).put("/", json={"item": {"name": 3}}).json()["errors"][0]["pointer"] == "#/item/name"


def test_a_seam_that_nobody_has_joined_leaves_typed_handlers_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microasgi.binding._binders", [])

    async def show(n: int, m: int) -> None: ...

    with pytest.raises(ConfigurationError, match="nobody can fill m"):
        MicroASGI().get("/")(show)


def test_a_handler_that_turns_out_to_be_plain_is_called_as_it_is() -> None:
    async def show(request: Request) -> str | bytes:
        return "text"

    app = MicroASGI()
    app.get("/")(show)
    (route,) = app.routes
    assert getattr(route, "binding") is None  # noqa: B009
    assert TestClient(app).get("/").text == "text"


def test_generators_in_threads_yield_once_and_are_closed_like_others() -> None:
    events: list[str] = []

    def twice() -> Iterator[int]:
        yield 1
        yield 2

    def not_at_all() -> Iterator[int]:
        if events:
            yield 1

    def swallows() -> Iterator[int]:
        try:
            yield 1
        except LookupError:
            events.append("swallowed")

    app = MicroASGI()

    @app.get("/twice")
    async def show(n: Annotated[int, Depends(twice, scope="function")]) -> str:
        return "never"

    @app.get("/none")
    async def other(n: Annotated[int, Depends(not_at_all)]) -> str:
        return "never"

    @app.get("/swallows")
    async def third(n: Annotated[int, Depends(swallows)]) -> str:
        raise LookupError

    client = TestClient(app)
    with pytest.raises(RuntimeError, match="yields twice"):
        client.get("/twice")
    with pytest.raises(RuntimeError, match="without a `yield`"):
        client.get("/none")
    with pytest.raises(LookupError):
        client.get("/swallows")
    assert events == ["swallowed"]


def test_a_body_of_bytes_may_be_empty_and_all_members_may_have_defaults() -> None:
    app = MicroASGI()

    @app.post("/raw")
    async def raw(data: Annotated[bytes, Body()]) -> list[int]:
        return [len(data)]

    @app.post("/members")
    async def members(a: Annotated[int, Body()] = 1, b: Annotated[int, Body()] = 2) -> list[int]:
        return [a, b]

    client = TestClient(app)
    assert client.post("/raw").json() == [0]
    assert client.post("/members").json() == [1, 2]


def test_faults_read_well_in_a_log() -> None:
    app = MicroASGI()
    seen: list[str] = []

    @app.exception_handler(ValidationError)
    async def note(request: Request, error: ValidationError) -> Response:
        seen.append(str(error))
        return Response(status_code=422)

    @app.get("/{n}")
    async def show(n: int, q: int) -> None: ...

    TestClient(app).get("/x?q=y")
    assert seen == ["422: 2 parameters are faulty: path n: has to be an integer; query q: has to be an integer"]


def test_a_model_that_forbids_other_names_lets_those_beside_it_pass_and_names_all_faults() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(
        filters: Annotated[PydanticFilters, Query()], word: str, key: Annotated[str, Depends(APIKeyQuery("key"))]
    ) -> list[Any]:
        return [filters.page, word]

    client = TestClient(app)
    assert client.get("/?page=2&word=a&key=k").json() == [2, "a"]
    faults = client.get("/?page=x&word=a&key=k&tool=y").json()["errors"]
    assert [one["name"] for one in faults] == ["tool", "page"]


def test_files_are_refused_at_registration_where_nothing_can_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart", None)

    async def upload(file: UploadFile) -> None: ...

    async def form(name: Annotated[str, Form()]) -> list[str]:
        return [name]

    app = MicroASGI()
    with pytest.raises(MissingPackage, match="python-multipart"):
        app.post("/upload")(upload)
    app.post("/form")(form)
    client = TestClient(app)
    assert client.post("/form", data={"name": "a"}).json() == ["a"]
    assert client.post("/form", files={"name": ("a", b"b")}).status_code == 415
