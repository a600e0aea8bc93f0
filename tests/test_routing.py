"""Routes, routers and the application in front of them, seen at ASGI level."""

from __future__ import annotations

from typing import Any

import pytest

from microasgi import (
    ConfigurationError,
    Host,
    HTTPEndpoint,
    HTTPException,
    MicroASGI,
    Middleware,
    Mount,
    NoMatchFound,
    PlainTextResponse,
    Request,
    Response,
    Route,
    RouteConflict,
    Router,
    WebSocket,
    WebSocketEndpoint,
    WebSocketRoute,
)
from microasgi.testing import Exchange, request, websocket_scope
from microasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


async def name_route(request: Request) -> dict[str, Any]:
    return {"route": request.scope["route"].name, "params": {k: str(v) for k, v in request.path_params.items()}}


def app_with(*paths: str) -> MicroASGI:
    return MicroASGI(routes=[Route(path, name_route, name=path) for path in paths])


async def matched(app: MicroASGI, path: str, **options: Any) -> str | None:
    answer = await request(app, "GET", path, **options)
    return answer.json()["route"] if answer.status == 200 else None


# --- which route answers


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/me", "/users/me"),
        ("/users/7", "/users/{id:int}"),
        ("/users/bob", "/users/{name}"),
        ("/users/bob/x", "/{rest:path}"),
        ("/files/a.json", "/files/{name}.json"),
        ("/files/a", "/files/{name}"),
    ],
)
async def test_the_most_specific_route_answers_whatever_the_order(path: str, expected: str, reverse: bool) -> None:
    paths = ["/{rest:path}", "/users/{name}", "/users/{id:int}", "/users/me", "/files/{name}", "/files/{name}.json"]
    app = app_with(*(reversed(paths) if reverse else paths))
    assert await matched(app, path) == expected


async def test_a_more_specific_route_without_the_method_gives_way_to_a_less_specific_one() -> None:
    app = MicroASGI(
        routes=[
            Route("/users/me", name_route, methods=["GET"], name="me"),
            Route("/users/{id}", name_route, methods=["DELETE"], name="any"),
        ]
    )
    assert (await request(app, "DELETE", "/users/me")).json() == {"route": "any", "params": {"id": "me"}}


async def test_the_parameters_are_converted() -> None:
    app = MicroASGI()
    seen: list[Any] = []

    @app.get("/{n:int}/{x:float}/{name}")
    async def show(request: Request) -> None:
        seen.append(request.path_params)

    await request(app, "GET", "/7/2.5/bob")
    assert seen == [{"n": 7, "x": 2.5, "name": "bob"}]


async def test_a_route_is_added_while_the_application_runs() -> None:
    app = app_with("/a")
    assert await matched(app, "/b") is None
    app.add_route("/b", name_route, name="b")
    assert await matched(app, "/b") == "b"


@pytest.mark.parametrize("path", ["/users/..", "/users/a\\b", "/users/%00", "/users/%0a", "/users/7%0a", "/users/."])
async def test_a_path_that_is_not_canonical_matches_no_parameter(path: str) -> None:
    assert await matched(app_with("/users/{id}", "/n/{id:int}"), path) is None


# --- methods


async def test_405_names_the_methods_of_all_matching_routes() -> None:
    app = MicroASGI(
        routes=[
            Route("/users/{id:int}", name_route, methods=["GET"]),
            Route("/users/{name}", name_route, methods=["PUT"]),
            Route("/users/me", name_route, methods=["POST"]),
        ]
    )
    assert (await request(app, "DELETE", "/users/7")).header(b"allow") == b"GET, HEAD, PUT"
    assert (await request(app, "DELETE", "/users/bob")).header(b"allow") == b"PUT"
    assert (await request(app, "DELETE", "/users/me")).header(b"allow") == b"POST, PUT"
    assert (await request(app, "DELETE", "/users/me")).status == 405


async def test_405_beside_a_mount_names_the_methods_as_well() -> None:
    app = MicroASGI(routes=[Route("/{a}/{b}", name_route), Mount("/m", routes=[]), Route("/items/{id}", name_route)])
    answer = await request(app, "POST", "/items/7")
    assert (answer.status, answer.header(b"allow")) == (405, b"GET, HEAD")


async def test_options_is_answered_with_the_methods() -> None:
    app = app_with("/a", "/b/{id}")
    for path in ("/a", "/b/7"):
        answer = await request(app, "OPTIONS", path)
        assert (answer.status, answer.header(b"allow"), answer.body) == (204, b"GET, HEAD", b"")


async def test_a_route_for_options_answers_options() -> None:
    app = MicroASGI()
    app.options("/a")(name_route)
    assert (await request(app, "OPTIONS", "/a")).status == 200


async def test_head_runs_get_and_sends_no_body() -> None:
    answer = await request(app_with("/a"), "HEAD", "/a")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header(b"content-length") == b"26"


async def test_a_route_for_head_answers_head_in_place_of_get() -> None:
    app = MicroASGI()
    app.get("/a")(name_route)

    @app.head("/a")
    async def head(request: Request) -> Response:
        return Response(headers={"x-head": "own"})

    assert (await request(app, "HEAD", "/a")).header(b"x-head") == b"own"
    assert (await request(app, "GET", "/a")).header(b"x-head") is None


async def test_a_route_for_head_alone_is_a_route() -> None:
    app = MicroASGI()
    app.head("/a")(name_route)
    assert (await request(app, "HEAD", "/a")).status == 200
    assert (await request(app, "GET", "/a")).status == 405


@pytest.mark.parametrize("verb", ["get", "post", "put", "patch", "delete", "options", "query"])
async def test_each_verb_has_its_decorator(verb: str) -> None:
    app = MicroASGI()
    decorated = getattr(app, verb)("/a", name="x")(name_route)
    assert decorated is name_route
    assert (await request(app, verb.upper(), "/a")).json()["route"] == "x"


async def test_a_method_that_no_route_names_is_405() -> None:
    assert (await request(app_with("/a"), "PROPFIND", "/a")).status == 405
    assert (await request(app_with("/a/{b}"), "PROPFIND", "/a/b")).status == 405


# --- redirects of slashes


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/a", b"/a/"),
        ("/b/", b"/b"),
        ("/a?x=1&y=%20", b"/a/?x=1&y=%20"),
        ("/d%C3%A9", b"/d%C3%A9/"),
        ("/c/x/", b"/c/x"),
    ],
)
async def test_a_missing_or_additional_slash_is_redirected_on_the_same_host(path: str, location: bytes) -> None:
    app = app_with("/a/", "/b", "/dé/", "/c/{id}")
    answer = await request(app, "GET", path)
    assert (answer.status, answer.header(b"location")) == (307, location)


async def test_a_post_is_never_redirected() -> None:
    app = MicroASGI(routes=[Route("/a/", name_route, methods=["POST"])])
    assert (await request(app, "POST", "/a")).status == 404


async def test_a_path_that_begins_with_two_slashes_is_never_redirected() -> None:
    app = app_with("/{a:path}/", "/x")
    assert (await request(app, "GET", "//evil.example")).status == 404


async def test_redirects_can_be_turned_off() -> None:
    app = MicroASGI(routes=[Route("/a/", name_route)], redirect_slashes=False)
    assert (await request(app, "GET", "/a")).status == 404


# --- conflicts and other mistakes


def test_equal_routes_with_a_common_method_are_refused_with_both_places() -> None:
    app = app_with("/users/{id}")
    with pytest.raises(RouteConflict) as caught:
        app.get("/users/{name}")(name_route)
    assert str(caught.value).count("test_routing.py:") == 2


@pytest.mark.parametrize(
    "routes",
    [
        [WebSocketRoute("/a", WebSocketEndpoint), WebSocketRoute("/a", WebSocketEndpoint)],
        [Mount("/a", routes=[]), Mount("/a/", routes=[])],
        [Host("a.example", Router()), Host("A.example", Router())],
    ],
)
def test_two_sockets_mounts_or_hosts_in_one_place_are_refused(routes: list[Any]) -> None:
    with pytest.raises(RouteConflict):
        MicroASGI(routes=routes)


def test_equal_routes_with_other_methods_are_welcome() -> None:
    app = app_with("/a")
    app.post("/a")(name_route)
    app.websocket("/a")(WebSocketEndpoint)
    assert len(app.routes) == 3


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (lambda: Route("users", name_route), "write '/users'"),
        (lambda: Mount("users", Router()), "write '/users'"),
        (lambda: Mount("/users"), "one of the two"),
        (lambda: Mount("/{p:path}", Router()), "cannot hold a `path` parameter"),
        (lambda: Route("/a", name_route, methods="GET"), "methods=['GET']"),
        (lambda: Route("/a", WebSocketEndpoint), "WebSocketRoute"),
        (lambda: MicroASGI(routes=["/a"]), "not '/a'"),  # type: ignore[list-item]
        (lambda: MicroASGI(allowed_origins="https://a.example"), "allowed_origins=['https://a.example']"),
        (lambda: MicroASGI().include(Router(), prefix="api"), "write '/api'"),
        (lambda: MicroASGI().include(Router([Host("a.example", Router())])), "add it to the application"),
        (lambda: MicroASGI().add_exception_handler(200, name_route), "400 to 599"),
        (lambda: MicroASGI().add_exception_handler("ValueError", name_route), "not for 'ValueError'"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_work_is_refused_at_set_up(mistake: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mistake()
    assert text in str(caught.value)


async def test_a_mount_of_routes_that_was_added_nowhere_says_so() -> None:
    with pytest.raises(ConfigurationError, match="has to be added"):
        await Mount("/a", routes=[]).app({"type": "http"}, None, None)  # type: ignore[arg-type]


def test_a_mistake_names_the_place_in_the_users_code() -> None:
    with pytest.raises(ConfigurationError, match=r"test_routing\.py:\d+"):
        Route("users", name_route)


# --- mounts


async def show_scope(scope: Scope, receive: Receive, send: Send) -> None:
    params = scope.get("path_params")
    await PlainTextResponse(f"{scope['root_path']} {scope['path']} {params}")(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "text"),
    [("/m", "/m /m {}"), ("/m/", "/m /m/ {}"), ("/m/a/b", "/m /m/a/b {}"), ("/t/x/y", "/t/x /t/x/y {'id': 'x'}")],
)
async def test_a_mount_moves_its_part_of_the_path_to_root_path(path: str, text: str) -> None:
    app = MicroASGI(routes=[Mount("/m", show_scope), Mount("/t/{id}", show_scope)])
    assert (await request(app, "GET", path)).body == text.encode()


async def test_a_mount_answers_only_whole_segments() -> None:
    app = MicroASGI(routes=[Mount("/m", show_scope)])
    assert (await request(app, "GET", "/mx")).status == 404


async def test_a_mount_at_the_root_answers_what_no_route_does() -> None:
    app = MicroASGI(routes=[Mount("", show_scope), Route("/a", name_route, name="a")])
    assert await matched(app, "/a") == "a"
    assert (await request(app, "GET", "/b/c")).body == b" /b/c {}"
    assert (await request(app, "POST", "/a")).status == 200


async def test_a_mount_takes_every_method() -> None:
    app = MicroASGI(routes=[Mount("/m", show_scope)])
    assert (await request(app, "PROPFIND", "/m/a")).status == 200


async def test_a_mount_of_routes_is_a_router_of_its_own() -> None:
    app = MicroASGI(
        routes=[Mount("/m", routes=[Route("/", name_route, name="in"), Route("/{id}", name_route, name="id")])]
    )
    assert await matched(app, "/m") == "in"
    assert (await request(app, "GET", "/m/7")).json() == {"route": "id", "params": {"id": "7"}}
    assert [route.name for route in app.routes[0].routes] == ["in", "id"]  # type: ignore[attr-defined]


async def test_parameters_of_a_mount_reach_the_routes_below() -> None:
    app = MicroASGI(routes=[Mount("/{tenant}", routes=[Route("/{id}", name_route), Route("/", name_route)])])
    assert (await request(app, "GET", "/acme/7")).json()["params"] == {"tenant": "acme", "id": "7"}
    assert (await request(app, "GET", "/acme/")).json()["params"] == {"tenant": "acme"}


async def test_errors_below_a_mounted_router_are_the_applications() -> None:
    app = MicroASGI(routes=[Mount("/m", routes=[Route("/a", name_route)])])

    @app.exception_handler(404)
    def not_here(request: Request, error: HTTPException) -> tuple[str, int]:
        return "nothing here", 404

    assert (await request(app, "GET", "/m/b")).body == b"nothing here"
    assert (await request(app, "GET", "/b")).body == b"nothing here"


async def test_an_asgi_application_as_endpoint_answers_every_method() -> None:
    class Status:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse(scope["method"])(scope, receive, send)

    app = MicroASGI(routes=[Route("/status", Status(), name="status")])
    assert (await request(app, "PATCH", "/status")).body == b"PATCH"
    assert repr(app.routes[0]) == "Route('/status', name='status')"


async def test_the_servers_scope_keeps_its_own_keys() -> None:
    from microasgi.testing import http_scope

    app = MicroASGI(routes=[Mount("/m", show_scope)])
    scope = http_scope("GET", "/m/a")
    before = dict(scope)
    async with Exchange(app, scope) as exchange:
        await exchange.send_input({"type": "http.request"})
        await exchange.wait_finished()
    assert {key: scope[key] for key in before} == before


# --- hosts


@pytest.mark.parametrize(
    ("host", "body"),
    [
        (b"api.example.org", b"api"),
        (b"API.example.org:8000", b"api"),
        (b"acme.example.org", b"acme"),
        (b"a.b.example.org", b"a.b"),
        (b"other.test", b"rest"),
        (b"port.test:81", b"port"),
        (b"port.test", b"rest"),
        (b"", b"rest"),
    ],
)
async def test_a_host_is_answered_by_its_application(host: bytes, body: bytes) -> None:
    def answer(text: str) -> MicroASGI:
        async def show(request: Request) -> str:
            return request.path_params.get("tenant", text)

        return MicroASGI(routes=[Route("/", show)])

    app = answer("rest")
    app.host("{tenant}.example.org", answer("tenant"))
    app.host("api.example.org", answer("api"))
    app.host("port.test:81", answer("port"))
    assert (await request(app, "GET", "/", headers=[(b"host", host)])).body == body


async def test_a_socket_is_answered_by_its_hosts_application() -> None:
    inner = MicroASGI()

    @inner.websocket("/")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.path_params["tenant"])

    app = MicroASGI()
    app.host("{tenant}.example.org", inner)
    async with Exchange(app, websocket_scope("/", headers=[(b"host", b"acme.example.org")])) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        assert (await exchange.receive_output())["type"] == "websocket.accept"
        assert (await exchange.receive_output())["text"] == "acme"


# --- included routers


async def test_an_included_router_answers_below_its_prefix_with_its_middleware() -> None:
    async def tag(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["x-tag"] = "router"
        return response

    router = Router(middleware=[tag])
    router.get("/a/{id}", name="a")(name_route)
    router.mount("/m", show_scope)
    app = MicroASGI()
    app.include(router, prefix="/api/")
    answer = await request(app, "GET", "/api/a/7")
    assert (answer.json(), answer.header(b"x-tag")) == ({"route": "a", "params": {"id": "7"}}, b"router")
    answer = await request(app, "GET", "/api/m/x")
    assert (answer.body, answer.header(b"x-tag")) == (b"/api/m /api/m/x {}", b"router")
    assert app.url_path_for("a", id="x y") == "/api/a/x%20y"


async def test_the_middleware_of_an_included_router_is_one_for_all_its_routes() -> None:
    class Counter:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app
            self.count = 0

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.count += 1
            scope["count"] = self.count
            await self.app(scope, receive, send)

    async def tell(request: Request) -> str:
        return f"{request.url.path} {request.scope['count']}"

    inner = Router([Route("/a", tell), Route("/b/{x}", tell)], middleware=[Middleware(Counter)])
    outer = Router([Route("/c", tell, middleware=[Counter])])
    outer.include(inner, prefix="/in")
    app = MicroASGI()
    app.include(outer, prefix="/out", middleware=[])
    seen = [(await request(app, path=path)).body for path in ("/out/in/a", "/out/in/b/1", "/out/c", "/out/in/a")]
    assert seen == [b"/out/in/a 1", b"/out/in/b/1 2", b"/out/c 1", b"/out/in/a 3"]
    app.add_route("/new", tell)
    assert (await request(app, path="/out/in/a")).body == b"/out/in/a 4"


async def test_two_applications_share_no_middleware_of_a_router_that_both_include() -> None:
    made: list[Any] = []

    class Counted:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app
            made.append(self)

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    async def tell(request: Request) -> str:
        return "told"

    inner, outer = Router([Route("/a", tell), Route("/b", tell)], middleware=[Middleware(Counted)]), Router()
    outer.include(inner)
    for _ in range(2):
        app = MicroASGI()
        app.include(outer)
        assert (await request(app, path="/a")).body == b"told"
    assert len(made) == 2


async def test_a_router_can_be_included_twice() -> None:
    router = Router([Route("/a", name_route)])
    app = MicroASGI()
    app.include(router, "/one")
    app.include(router, "/two")
    assert [route.path for route in app.routes] == ["/one/a", "/two/a"]


async def test_a_router_serves_alone() -> None:
    router = Router([Route("/a", name_route, name="a")])
    assert (await request(router, "GET", "/a")).json()["route"] == "a"
    assert (await request(router, "GET", "/b")).status == 404


async def test_the_default_answers_what_no_route_does() -> None:
    router = Router([Route("/a", name_route)], default=show_scope)
    assert (await request(router, "GET", "/b")).body == b" /b None"
    assert (await request(router, "POST", "/a")).body == b" /a None"


# --- root_path


@pytest.mark.parametrize("path", ["/pre/a", "/a"])
async def test_the_root_path_may_be_in_the_path_or_not(path: str) -> None:
    app = MicroASGI()

    @app.get("/a", name="a")
    async def show(request: Request) -> str:
        return f"{request.url.path} {request.url_path_for('a')} {request.url_for('a')}"

    answer = await request(app, "GET", path, root_path="/pre", headers=[(b"host", b"h")])
    assert answer.body == b"/pre/a /pre/a http://h/pre/a"


async def test_the_root_path_reaches_a_mount() -> None:
    app = MicroASGI(routes=[Mount("/m", show_scope), Mount("/n", routes=[Route("/a/", name_route, name="a")])])
    assert (await request(app, "GET", "/m/a", root_path="/pre")).body == b"/pre/m /pre/m/a {}"
    assert (await request(app, "GET", "/pre/m/a", root_path="/pre")).body == b"/pre/m /pre/m/a {}"
    assert (await request(app, "GET", "/n/a", root_path="/pre")).header(b"location") == b"/pre/n/a/"


async def test_the_root_path_alone_is_the_root() -> None:
    app = app_with("/")
    assert await matched(app, "/pre", root_path="/pre") == "/"
    assert await matched(app, "/pre/", root_path="/pre/") == "/"


async def test_the_raw_path_is_completed_with_the_root_path() -> None:
    app = MicroASGI()

    @app.get("/{x}")
    async def show(request: Request) -> str:
        return request.scope["raw_path"].decode()

    assert (await request(app, "GET", "/%41", root_path="/pré")).body == b"/pr%C3%A9/%41"


# --- names


def test_the_url_of_a_route_by_name() -> None:
    app = app_with("/users/{id:int}/{rest:path}")
    assert app.url_path_for("/users/{id:int}/{rest:path}", id=7, rest="a/b c") == "/users/7/a/b%20c"


@pytest.mark.parametrize(
    ("name", "params", "text"),
    [
        ("usr", {}, "did you mean 'user'?"),
        ("user", {}, "takes ['id'], given []"),
        ("user", {"id": "x"}, "'user'"),
        ("nothing like it", {}, "no route is named 'nothing like it'"),
        ("m:nothing", {}, "no route is named"),
        ("h:in", {}, "no route is named"),
        ("t:in", {}, "no route is named"),
    ],
)
def test_a_url_that_there_is_not_says_what_there_is(name: str, params: Any, text: str) -> None:
    inside = [Route("/a", name_route, name="in")]
    app = MicroASGI(
        routes=[
            Route("/users/{id:int}", name_route, name="user"),
            Mount("/m", routes=inside, name="m"),
            Mount("/s", show_scope, name="static"),
            Mount("/t/{x}", routes=inside, name="t"),
            Host("{tenant}.example.org", Router(inside), name="h"),
        ]
    )
    with pytest.raises(NoMatchFound) as caught:
        app.url_path_for(name, **params)
    assert text in str(caught.value)


def test_the_url_of_a_route_below_a_mount_or_on_a_host() -> None:
    inside = [Route("/a/{id}", name_route, name="in"), WebSocketRoute("/ws", WebSocketEndpoint, name="ws")]
    app = MicroASGI(
        routes=[
            Mount("/m/{x}", routes=inside, name="m"),
            Mount("/s", show_scope, name="static"),
            Mount("/n", routes=[Route("/plain", name_route, name="plain")]),
            Host("{tenant}.example.org", Router(inside), name="h"),
        ]
    )
    assert app.url_path_for("m:in", x="1", id="2") == "/m/1/a/2"
    assert app.url_path_for("static", path="/css/a b.css") == "/s/css/a%20b.css"
    assert app.url_path_for("plain") == "/n/plain"
    path = app.url_path_for("h:in", tenant="acme", id="2")
    assert (str(path), path.host) == ("/a/2", "acme.example.org")
    assert app.url_path_for("m:ws", x="1").protocol == "websocket"


async def test_a_mounted_application_finds_its_own_names_first_and_then_the_outermost() -> None:
    inner = MicroASGI()

    @inner.get("/", name="home")
    async def show(request: Request) -> str:
        return f"{request.url_path_for('home')} {request.url_path_for('outer')} {request.url_for('outer')}"

    app = MicroASGI(routes=[Route("/outer", name_route, name="outer"), Mount("/in", inner)])
    answer = await request(app, "GET", "/in/", headers=[(b"host", b"h")], root_path="/pre")
    assert answer.body == b"/pre/in/ /pre/outer http://h/pre/outer"


async def test_an_unknown_name_in_a_request_is_said() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(request: Request) -> str:
        try:
            return str(request.url_for("nothing"))
        except NoMatchFound as error:
            return str(error)

    assert (await request(app, "GET", "/")).body == b"no route is named 'nothing'"


def test_routes_say_what_they_are() -> None:
    assert repr(Route("/a", name_route)) == "Route('/a', name='name_route', methods=['GET', 'HEAD'])"
    assert repr(WebSocketRoute("/a", WebSocketEndpoint)) == "WebSocketRoute('/a', name='WebSocketEndpoint')"
    assert repr(Mount("/a", show_scope, name="x")).startswith("Mount('/a', name='x', app=<function show_scope")
    assert repr(Host("a.example", show_scope)).startswith("Host('a.example', name='', app=<function show_scope")


def test_the_middleware_of_a_route_is_checked() -> None:
    with pytest.raises(ConfigurationError):
        Route("/a", name_route, middleware=[lambda: None, 7])  # type: ignore[list-item]


async def test_a_route_has_middleware_of_both_kinds() -> None:
    class Header:
        def __init__(self, app: Any, value: bytes) -> None:
            self.app, self.value = app, value

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def with_header(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], (b"x-class", self.value)]}
                await send(message)

            await self.app(scope, receive, with_header)

    async def function(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["x-function"] = response.headers.get("x-class", "none")
        return response

    app = MicroASGI()
    stack = [function, Middleware(Header, value=b"1")]
    app.get("/one", middleware=stack)(name_route)
    app.get("/two", middleware=stack[::-1])(name_route)
    app.websocket("/ws", middleware=stack)(WebSocketEndpoint)
    answer = await request(app, "GET", "/one")
    assert (answer.header(b"x-class"), answer.header(b"x-function")) == (b"1", b"1")
    answer = await request(app, "GET", "/two")
    assert (answer.header(b"x-class"), answer.header(b"x-function")) == (b"1", b"none")
    async with Exchange(app, websocket_scope("/ws")) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        assert (await exchange.receive_output())["type"] == "websocket.accept"


async def test_a_class_endpoint_answers_its_own_methods() -> None:
    class Item(HTTPEndpoint):
        async def get(self, request: Request) -> str:
            return f"get {type(self).__name__}"

        def delete(self, request: Request) -> str:
            return "deleted"

    app = MicroASGI(routes=[Route("/item", Item)])
    assert (await request(app, "GET", "/item")).body == b"get Item"
    assert (await request(app, "DELETE", "/item")).body == b"deleted"
    answer = await request(app, "POST", "/item")
    assert (answer.status, answer.header(b"allow")) == (405, b"DELETE, GET, HEAD")
    assert (await request(app, "HEAD", "/item")).status == 200


def test_a_hosts_parameter_keeps_its_name() -> None:
    app = MicroASGI(routes=[Host("{userName}.Example.org", Router([Route("/a", name_route, name="a")]), name="h")])
    assert app.url_path_for("h:a", userName="x").host == "x.example.org"
