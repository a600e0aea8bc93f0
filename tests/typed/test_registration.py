"""Mistakes in signatures are told at registration, with the place and with what to write."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from microasgi import ConfigurationError, HTTPException, MicroASGI, Request, Response, Router, WebSocket
from microasgi.testing import TestClient
from microasgi.typed import Body, Cookie, Depends, File, Form, Header, Path, Query

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]


@dataclass
class Filters:
    page: int = 1


class Opaque:
    pass


def refusal(path: str, handler: Callable[..., Any], method: str = "get", **options: Any) -> str:
    app = MicroASGI()
    with pytest.raises(ConfigurationError) as caught:
        getattr(app, method)(path, **options)(handler)
    return str(caught.value)


def test_a_parameter_without_annotation_that_nobody_can_fill() -> None:
    async def show(request: Request, thing): ...  # type: ignore[no-untyped-def]

    text = refusal("/", show)
    assert f"{__file__}:" in text
    assert "nobody can fill thing" in text
    assert "`thing: str` for a parameter of the query" in text


def test_a_class_that_says_nothing_of_where_it_comes_from() -> None:
    async def show(thing: Opaque): ...  # type: ignore[no-untyped-def]

    assert "`thing: Annotated[Opaque, Body()]`" in refusal("/", show, "post")
    assert "Annotated[Opaque, Depends(call)]" in refusal("/", show)


def test_a_default_that_is_a_marker() -> None:
    async def show(q: str = Query("old")): ...  # type: ignore[no-untyped-def,assignment]

    text = refusal("/", show)
    assert "`q: Annotated[str, Query(...)] = default`" in text
    assert "the name on the wire, not the default" in text


def test_a_default_as_the_first_argument_of_a_marker() -> None:
    with pytest.raises(ConfigurationError, match=r"Query\(3\): a default stands after `=`, as in `= 3`"):
        Query(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="what has no default after `=` is required"):
        Query(...)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_name_that_is_not_defined() -> None:
    async def show(thing: Unknown): ...  # type: ignore[no-untyped-def]

    assert "'Unknown' is not defined there" in refusal("/", show)


def test_a_request_that_is_imported_for_type_checkers_only_is_understood() -> None:
    module: dict[str, Any] = {}  # one in which Request is not defined
    exec("async def show(request: 'Request', page: int = 1): return [request.method, page]", module)
    app = MicroASGI()
    app.get("/")(module["show"])
    assert TestClient(app).get("/").json() == ["GET", 1]


def test_a_model_of_a_get() -> None:
    async def show(filters: Filters): ...  # type: ignore[no-untyped-def]

    assert "`filters: Annotated[Filters, Query()]`" in refusal("/", show)


def test_two_places_for_one_value() -> None:
    async def show(q: Annotated[str, Query(), Header()]): ...  # type: ignore[no-untyped-def]

    assert "q is annotated with Query and Header" in refusal("/", show)


def test_a_path_parameter_that_the_path_does_not_have() -> None:
    async def show(item: Annotated[int, Path()]): ...  # type: ignore[no-untyped-def]

    assert "'/items' has no {item}" in refusal("/items", show)


def test_a_path_parameter_with_a_default() -> None:
    async def show(item: int = 1): ...  # type: ignore[no-untyped-def]

    assert "take its default away" in refusal("/{item}", show)


def test_a_path_parameter_of_another_type_than_its_convertor() -> None:
    async def show(item: str): ...  # type: ignore[no-untyped-def]

    assert "{item:int} gives int" in refusal("/{item:int}", show)


@pytest.mark.parametrize("marker", [Body(), Form(), File()])
def test_a_websocket_has_no_body(marker: Any) -> None:
    async def talk(websocket: WebSocket, thing: str) -> None: ...

    talk.__annotations__["thing"] = Annotated[bytes if isinstance(marker, File) else str, marker]
    assert "a websocket's handshake has no body" in refusal("/", talk, "websocket")


def test_a_websocket_handler_is_a_coroutine() -> None:
    def talk(websocket: WebSocket, n: int) -> None: ...

    assert "has to be `async def`" in refusal("/", talk, "websocket")


def test_a_form_and_a_json_body() -> None:
    async def create(a: Annotated[str, Form()], b: Filters): ...  # type: ignore[no-untyped-def]

    assert "a request has one body" in refusal("/", create, "post")


def test_a_type_that_no_text_can_become() -> None:
    async def show(q: Annotated[dict[str, int], Query()]): ...  # type: ignore[no-untyped-def]

    assert "which no text of a query can become" in refusal("/", show)


def test_a_file_of_another_type() -> None:
    async def create(f: Annotated[int, File()]): ...  # type: ignore[no-untyped-def]

    assert "a file is UploadFile, bytes or a list" in refusal("/", create, "post")


@pytest.mark.parametrize(
    "wrong", [Annotated[str, Query(ge=1)], Annotated[int, Query(max_length=3)], Annotated[str, Query(pattern="(")]]
)
def test_a_constraint_that_does_not_fit_its_type(wrong: Any) -> None:
    async def show(q: Any): ...  # type: ignore[no-untyped-def]

    show.__annotations__["q"] = wrong
    assert f"{__file__}:" in refusal("/", show)


def test_an_unknown_constraint() -> None:
    with pytest.raises(TypeError, match="minimum"):
        Query(minimum=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_an_unknown_option_of_a_route() -> None:
    app = MicroASGI()
    with pytest.raises(TypeError, match=r"a route has no 'statuss'; it has: dependencies, .*status"):
        app.get("/", statuss=201)(lambda request: None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_an_option_of_another_framework_is_translated() -> None:
    app = MicroASGI()
    with pytest.raises(TypeError, match=r"no 'status_code'; write status="):
        app.get("/", status_code=201)(lambda request: None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_middleware_is_added_without_a_call() -> None:
    app = MicroASGI()
    with pytest.raises(ConfigurationError, match="write `@app.middleware`, without a call"):
        app.middleware("http")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def test_a_detail_that_is_no_text_goes_as_json_to_everybody() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(request: Request) -> None:
        raise HTTPException(404, {"code": 7})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    answered = TestClient(app).get("/", headers={"accept": "text/html"})
    assert (answered.status_code, answered.json()["detail"]) == (404, {"code": 7})


def test_depends_on_what_is_not_callable() -> None:
    with pytest.raises(ConfigurationError, match="a dependency is a callable"):
        Depends("database")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match='scope="request" or scope="function"'):
        Depends(dict, scope="app")  # type: ignore[arg-type]


def test_a_cookie_is_one_text() -> None:
    async def show(c: Annotated[dict[str, str], Cookie()]): ...  # type: ignore[no-untyped-def]

    assert "which no text of a cookie can become" in refusal("/", show)


def test_a_router_that_is_served_by_itself_may_take_what_its_mount_has() -> None:
    router = Router()

    @router.get("/me")
    async def me(tenant: Annotated[str, Path()]) -> str:
        return tenant

    app = MicroASGI()
    app.mount("/{tenant}", router)
    assert TestClient(app).get("/acme/me").text == "acme"


def test_a_handler_of_the_request_alone_loads_nothing_of_the_room() -> None:
    program = (
        "import sys, microasgi\n"
        "app = microasgi.MicroASGI()\n"
        "@app.get('/')\n"
        "async def show(request: microasgi.Request) -> dict[str, int]: return {}\n"
        "@app.get('/2')\n"
        "def other(request): return 'text'\n"
        "loaded = [name for name in sys.modules if 'typed' in name or name in ('msgspec', 'pydantic')]\n"
        "assert not loaded, loaded\n"
        "@app.get('/3')\n"
        "async def third(n: int): return []\n"
        "assert 'microasgi.typed' in sys.modules\n"
        "assert 'msgspec' not in sys.modules and 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=__file__.rpartition("/tests/")[0])


def test_a_handler_of_the_request_alone_is_called_as_it_is() -> None:
    async def show(request: Request) -> dict[str, int]:
        return {}

    app = MicroASGI()
    app.get("/", tags=["documented"])(show)
    (route,) = app.routes
    assert getattr(route, "call") is show  # noqa: B009
    assert getattr(route, "binding") is None  # noqa: B009


def test_the_options_of_an_include_go_around_those_of_the_routes() -> None:
    router = Router()

    @router.get("/{n}", tags=["inner"], headers={"x-a": "inner", "x-b": "inner"}, summary="Inner", status=202)
    async def show(n: int) -> list[int]:
        return [n]

    app = MicroASGI()
    app.include(router, tags=["outer"], headers={"x-a": "outer", "x-c": "outer"}, summary="Outer", deprecated=True)
    (route,) = app.routes
    options = getattr(route, "options")  # noqa: B009
    assert options["tags"] == ["outer", "inner"]
    assert options["headers"] == {"x-a": "inner", "x-b": "inner", "x-c": "outer"}
    assert (options["summary"], options["deprecated"]) == ("Inner", True)
    answered = TestClient(app).get("/1")
    assert (answered.status_code, answered.headers["x-a"], answered.headers["x-c"]) == (202, "inner", "outer")


def test_a_handler_of_the_request_is_bound_when_its_include_has_options_for_it() -> None:
    router = Router()

    @router.get("/")
    async def show(request: Request) -> dict[str, int]:
        return {}

    class Foreign:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await Response("foreign")(scope, receive, send)

    router.add_route("/foreign", Foreign())
    app = MicroASGI()
    app.include(router, prefix="/in", status=201)
    client = TestClient(app)
    assert client.get("/in/").status_code == 201
    assert client.get("/in/foreign").text == "foreign"
