"""What a request and a socket share: a typed view of one scope."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, TypedDict
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.application import MicroASGI
from microasgi.connection import Address, HTTPConnection, QueryParams, State, query_text
from microasgi.exceptions import HTTPException, NoMatchFound
from microasgi.requests import Request
from microasgi.routing import Host, Mount, Route, Router, WebSocketRoute
from microasgi.types import Message, Scope
from microasgi.urls import URL


def scope_of(**changes: Any) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"example.org")],
        "server": ("127.0.0.1", 80),
        "client": ("10.0.0.1", 5000),
        **changes,
    }


def connection_of(**changes: Any) -> HTTPConnection:
    return HTTPConnection(scope_of(**changes))


# The scope


def test_a_connection_is_the_scope_to_read() -> None:
    connection = connection_of(extra=1)
    assert connection["extra"] == 1
    assert connection.get("missing") is None
    assert "path" in connection
    assert len(connection) == len(list(connection)) == len(connection.scope)


def test_two_connections_are_equal_only_if_they_are_the_same() -> None:
    one, other = connection_of(), connection_of()
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


def test_a_connection_needs_an_http_or_websocket_scope() -> None:
    assert HTTPConnection({"type": "websocket"}).scope["type"] == "websocket"
    with pytest.raises(ValueError, match="an http or websocket scope, this one is 'lifespan'"):
        HTTPConnection({"type": "lifespan"})


def test_the_application_is_in_the_scope() -> None:
    assert connection_of(app="the app").app == "the app"


# Headers, cookies, client


def test_headers_are_read_in_any_case_and_made_once() -> None:
    connection = connection_of(headers=[(b"x-a", b"1"), (b"x-a", b"2")])
    assert connection.headers["X-A"] == "1"
    assert connection.headers.getlist("x-a") == ["1", "2"]
    assert connection.headers is connection.headers


def test_cookies_of_all_headers_are_read_once() -> None:
    connection = connection_of(headers=[(b"cookie", b"a=1; b=2"), (b"x", b"y"), (b"cookie", b"c=3")])
    assert connection.cookies == {"a": "1", "b": "2", "c": "3"}
    assert connection.cookies is connection.cookies
    assert connection_of().cookies == {}


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("10.0.0.1", 5000), Address("10.0.0.1", 5000)),
        (["::1", 5000], Address("::1", 5000)),
        (["10.0.0.1", None], Address("10.0.0.1", 0)),
        (None, None),
        (["", 0], None),
    ],
)
def test_the_client_is_an_address_or_nobody(client: Any, address: Address | None) -> None:
    assert connection_of(client=client).client == address


def test_a_server_may_leave_the_client_out() -> None:
    assert HTTPConnection({"type": "http"}).client is None


# The query


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a=%C3%BC+x", [("a", "ü x")]),
        ("a=ü".encode(), [("a", "ü")]),
        (b"a=\xff&b=%ff", [("a", "\ufffd"), ("b", "\ufffd")]),
        ("a=ü", [("a", "ü")]),
        ("a=\ud800", [("a", "\ufffd\ufffd\ufffd")]),
        (b"", []),
        (None, []),
    ],
)
def test_the_query_is_utf_8_whatever_the_server_lets_through(query: Any, pairs: list[tuple[str, str]]) -> None:
    connection = connection_of(query_string=query)
    assert connection.query_params.multi_items() == pairs
    assert connection.query_params is connection.query_params


def test_a_scope_without_a_query_has_an_empty_one() -> None:
    assert query_text({"type": "http"}) == ""


@given(st.binary() | st.text())
def test_the_querys_text_is_ascii_and_means_the_same(query: bytes | str) -> None:
    text = query_text({"query_string": query})
    assert text.isascii()
    data = query if isinstance(query, bytes) else query.encode()
    assert unquote_to_bytes(text) == unquote_to_bytes(data)


def test_too_large_a_query_is_400() -> None:
    with pytest.raises(HTTPException) as caught:
        assert connection_of(query_string=b"a&" * 1001).query_params
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "query", ["a=1&b=2&a=3", b"a=1&b=2&a=3", [("a", 1), ("b", "2"), ("a", 3)], QueryParams("a=1&b=2&a=3")]
)
def test_query_params_are_made_of_text_pairs_or_each_other(query: Any) -> None:
    params = QueryParams(query)
    assert params.multi_items() == [("a", "1"), ("b", "2"), ("a", "3")]
    assert params["a"] == "3"
    assert params.getlist("a") == ["1", "3"]


def test_query_params_are_made_of_mappings_and_keywords() -> None:
    assert QueryParams({"a": 1}, b=2).multi_items() == [("a", "1"), ("b", "2")]
    assert QueryParams("a=1", b=2).multi_items() == [("a", "1"), ("b", "2")]
    assert QueryParams(a=1) == QueryParams("a=1")
    assert QueryParams().multi_items() == []


def test_query_params_show_themselves_encoded() -> None:
    params = QueryParams([("a b", "ü&="), ("c", "")])
    assert str(params) == "a+b=%C3%BC%26%3D&c="
    assert repr(params) == "QueryParams('a+b=%C3%BC%26%3D&c=')"


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_query_params_come_back_from_their_text(pairs: list[tuple[str, str]]) -> None:
    assert QueryParams(str(QueryParams(pairs))).multi_items() == pairs


def test_a_lone_surrogate_can_be_shown() -> None:
    assert str(QueryParams({"a": "\ud800"})) == "a=%ED%A0%80"


# State


def test_state_is_attributes_over_a_dictionary() -> None:
    data: dict[str, Any] = {"a": 1}
    state = State(data)
    state.b = 2
    state["c"] = 3
    assert (state.a, state["b"], state.c) == (1, 2, 3)
    assert data == {"a": 1, "b": 2, "c": 3}
    assert list(state) == ["a", "b", "c"]
    assert len(state) == 3
    assert "a" in state
    del state.a
    del state["b"]
    assert data == {"c": 3}


def test_what_the_state_lacks_is_named() -> None:
    with pytest.raises(AttributeError, match="the state has no 'a'; it has: nothing"):
        assert State().a
    with pytest.raises(AttributeError, match="the state has no 'a'; it has: b, c"):
        del State({"b": 1, "c": 2}).a
    with pytest.raises(KeyError):
        assert State()["a"]
    with pytest.raises(KeyError):
        del State()["a"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_state_can_be_copied(copied: Callable[[State], State]) -> None:
    assert copied(State({"a": 1})).a == 1


def test_a_copy_of_the_state_has_a_dictionary_of_its_own() -> None:
    state = State({"a": 1})
    copy.copy(state).a = 2
    assert state.a == 1


def test_a_state_that_was_not_made_properly_says_so() -> None:
    class Careless(State):
        def __init__(self) -> None:
            self.a = 1

    with pytest.raises(AttributeError, match="Careless.__init__ has to call State.__init__ first"):
        Careless()


def test_a_requests_state_is_the_scopes() -> None:
    scope = scope_of(state={"a": 1})
    connection = HTTPConnection(scope)
    assert connection.state.a == 1
    connection.state.b = 2
    assert scope["state"] == {"a": 1, "b": 2}
    assert connection.state is connection.state
    assert HTTPConnection(scope).state.b == 2


def test_without_a_lifespan_the_state_is_empty() -> None:
    assert len(connection_of().state) == 0


class Shared(TypedDict):
    database: str


class Attributes(State):
    database: str


def test_the_state_may_be_typed_by_a_typed_dict_or_a_class() -> None:
    by_key: Request[Shared] = Request(scope_of(state={"database": "db"}))
    by_name: Request[Attributes] = Request(scope_of(state={"database": "db"}))
    assert by_key.state["database"] == "db"
    assert by_name.state.database == "db"


# What middleware adds


@pytest.mark.parametrize(
    ("name", "middleware"),
    [("session", "SessionMiddleware"), ("auth", "AuthenticationMiddleware"), ("user", "AuthenticationMiddleware")],
)
def test_what_a_middleware_adds_is_there_or_says_which_one(name: str, middleware: str) -> None:
    assert getattr(connection_of(**{name: "value"}), name) == "value"
    with pytest.raises(RuntimeError, match=rf"no {name!r}: add {middleware}, as in .*Middleware\({middleware}, "):
        getattr(connection_of(), name)


# URLs


def test_the_url_is_the_scopes_and_made_once() -> None:
    connection = connection_of(path="/a b", query_string=b"c=d")
    assert str(connection.url) == "http://example.org/a%20b?c=d"
    assert connection.url is connection.url


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({}, "http://example.org/"),
        ({"path": "/a", "query_string": b"b=c"}, "http://example.org/"),
        ({"scheme": "https", "headers": [(b"host", b"example.org:8443")]}, "https://example.org:8443/"),
        ({"root_path": "/api/"}, "http://example.org/api/"),
        ({"root_path": "/a?b"}, "http://example.org/a%3Fb/"),
        ({"root_path": "/api/v1", "microasgi.root_path": "/api"}, "http://example.org/api/"),
        ({"headers": [], "server": ("10.0.0.1", 8000)}, "http://10.0.0.1:8000/"),
        ({"headers": [], "server": None}, "/"),
    ],
)
def test_the_base_url_is_the_outermost_applications_root(changes: dict[str, Any], base: str) -> None:
    connection = connection_of(**changes)
    assert str(connection.base_url) == base
    assert connection.base_url is connection.base_url


class Asked:
    """A handler that keeps the request."""

    request: Any = None

    async def __call__(self, connection: Any) -> str:
        self.request = connection
        return "asked"


@pytest.fixture
def asked() -> Asked:
    return Asked()


async def ask(app: Any, path: str, **changes: Any) -> None:
    """Send a request to the application, as a server whose lifespan is off would."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(path=path, **changes), receive, send)
    assert sent[0]["status"] == 200, sent


async def handler(request: Any) -> None: ...


def nested(asked: Asked) -> MicroASGI:
    """Return an application with an application and a router mounted in it, which has one too."""
    deepest = Router([Route("/here", asked, name="here"), Route("/{a}", handler, name="item")])
    router = Router([Route("/here", asked, name="here"), Mount("/deep", deepest, name="deep")])
    mounted = MicroASGI(routes=[Route("/here", asked, name="here"), Route("/{a}", handler, name="item")])
    return MicroASGI(
        routes=[
            Route("/here", asked, name="outside"),
            Route("/about/{page}", handler, name="about"),
            WebSocketRoute("/live", handler, name="live"),
            Mount("/app", mounted, name="app"),
            Mount("/router", router, name="router"),
            Host("{tenant}.example.org", Router([Route("/", handler, name="home")]), name="tenant"),
        ]
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "name", "params", "url"),
    [
        ("/here", "outside", {}, "http://example.org/here"),
        ("/here", "about", {"page": "a b"}, "http://example.org/about/a%20b"),
        ("/here", "live", {}, "ws://example.org/live"),
        ("/here", "app:item", {"a": "x"}, "http://example.org/app/x"),
        ("/here", "router:deep:item", {"a": "x"}, "http://example.org/router/deep/x"),
        ("/here", "tenant:home", {"tenant": "t"}, "http://t.example.org/"),
        ("/app/here", "here", {}, "http://example.org/app/here"),
        ("/app/here", "item", {"a": "x"}, "http://example.org/app/x"),
        ("/app/here", "about", {"page": "x"}, "http://example.org/about/x"),
        ("/app/here", "router:here", {}, "http://example.org/router/here"),
        ("/router/here", "here", {}, "http://example.org/router/here"),
        ("/router/here", "deep:item", {"a": "x"}, "http://example.org/router/deep/x"),
        ("/router/here", "outside", {}, "http://example.org/here"),
        ("/router/deep/here", "item", {"a": "x"}, "http://example.org/router/deep/x"),
        ("/router/deep/here", "app:here", {}, "http://example.org/app/here"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/proxy"])
async def test_a_name_is_looked_for_here_and_then_in_the_outermost_application(
    asked: Asked, path: str, name: str, params: dict[str, str], url: str, root_path: str
) -> None:
    await ask(nested(asked), root_path + path, root_path=root_path)
    expected = URL(url)
    expected = expected.replace(path=root_path + expected.path)
    assert asked.request.url_for(name, **params) == expected
    assert asked.request.url_path_for(name, **params) == expected.path


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/here", "/app/here", "/router/deep/here"])
async def test_a_name_that_nobody_has_is_no_match(asked: Asked, path: str) -> None:
    await ask(nested(asked), path)
    with pytest.raises(NoMatchFound, match="no route is named 'ab0ut'; did you mean 'about'"):
        asked.request.url_for("ab0ut", page="x")


@pytest.mark.anyio
async def test_the_mounts_own_parameters_are_encoded_in_the_path(asked: Asked) -> None:
    inner = MicroASGI(routes=[Route("/here", asked, name="here")])
    await ask(MicroASGI(routes=[Mount("/{tenant}", inner)]), "/50% a?/here")
    assert asked.request.url_path_for("here") == "/50%25%20a%3F/here"
    assert str(asked.request.url_for("here")) == "http://example.org/50%25%20a%3F/here"


@pytest.mark.anyio
async def test_the_router_of_another_framework_around_the_application_does_not_count(asked: Asked) -> None:
    app = MicroASGI(routes=[Route("/here", asked, name="here")])
    await ask(app, "/mounted/here", root_path="/mounted", app_root_path="", router=object())
    assert str(asked.request.url_for("here")) == "http://example.org/mounted/here"


@pytest.mark.anyio
async def test_without_any_host_the_url_is_a_path(asked: Asked) -> None:
    await ask(nested(asked), "/here", headers=[], server=None)
    assert str(asked.request.url_for("outside")) == "/here"
    assert str(asked.request.url_for("tenant:home", tenant="t")) == "http://t.example.org/"


@pytest.mark.anyio
async def test_path_params_are_the_routes(asked: Asked) -> None:
    await ask(MicroASGI(routes=[Route("/{id:int}", asked)]), "/5")
    assert asked.request.path_params == {"id": 5}
    assert connection_of().path_params == {}


def test_a_connection_outside_of_an_application_has_no_urls_by_name() -> None:
    with pytest.raises(RuntimeError, match="came through an application or a router"):
        connection_of().url_path_for("a")
