"""AuthenticationMiddleware and requires: who asks, and who may."""

from __future__ import annotations

import functools
import inspect
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import (
    HTTPConnection,
    HTTPEndpoint,
    JSONResponse,
    MicroASGI,
    Middleware,
    Request,
    Response,
    WebSocket,
    WebSocketEndpoint,
)
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    AuthenticationMiddleware,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
    local_path,
    requires,
)
from microasgi.testing import RawResponse, TestClient, WebSocketDenialResponse, lifespan_scope, request
from microasgi.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

ADA = {"authorization": "Basic YWRhOnNlY3JldA=="}  # ada:secret
BOSS = {"authorization": "Basic Ym9zczpzZWNyZXQ="}
WRONG = {"authorization": "Basic nonsense"}


class BasicAuth(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        given = conn.headers.get("authorization")
        if given is None:
            return None
        try:
            name, _, password = b64decode(given.removeprefix("Basic "), validate=True).decode().partition(":")
        except ValueError:
            raise AuthenticationError("this is no Basic credential") from None
        if password != "secret":
            raise AuthenticationError("wrong password")
        scopes = ["authenticated", *(["admin"] if name == "boss" else [])]
        return AuthCredentials(scopes), SimpleUser(name)


def site(**options: Any) -> MicroASGI:
    app = MicroASGI(middleware=[Middleware(AuthenticationMiddleware, backend=BasicAuth(), **options)])

    @app.get("/")
    async def home(request: Request) -> dict[str, Any]:
        user = request.user
        return {"name": user.display_name, "known": user.is_authenticated, "scopes": request.auth.scopes}

    @app.get("/login")
    async def login() -> str:
        return "login"

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.user.identity)

    return app


async def get(app: Any, path: str = "/", method: str = "GET", **headers: str) -> RawResponse:
    return await request(app, method, path, headers=headers)


async def test_request_has_the_user_and_the_rights_that_the_backend_found() -> None:
    assert (await get(site(), **BOSS)).json() == {"name": "boss", "known": True, "scopes": ["authenticated", "admin"]}


async def test_without_an_answer_it_is_nobody_in_particular() -> None:
    assert (await get(site())).json() == {"name": "", "known": False, "scopes": []}


async def test_what_is_no_proof_is_refused() -> None:
    response = await get(site(), **WRONG)
    assert (response.status, response.body) == (400, b"this is no Basic credential")
    assert (await get(site(), accept="application/json", **WRONG)).json()["detail"] == "this is no Basic credential"


def challenge(conn: HTTPConnection, error: AuthenticationError) -> Response:
    return JSONResponse({"error": str(error)}, 401, {"www-authenticate": "Basic"})


async def challenge_later(conn: HTTPConnection, error: AuthenticationError) -> Any:
    return {"error": str(error)}, 401, {"www-authenticate": "Basic"}


@pytest.mark.parametrize("on_error", [challenge, challenge_later])
async def test_the_refusal_can_be_another(on_error: Any) -> None:
    response = await get(site(on_error=on_error), **WRONG)
    assert (response.status, response.header(b"www-authenticate")) == (401, b"Basic")
    assert response.json() == {"error": "this is no Basic credential"}


def test_sockets_have_a_user_too() -> None:
    with TestClient(site()) as client:
        for headers, name in ((ADA, "ada"), ({}, "")):
            with client.websocket_connect("/ws", headers=headers) as socket:
                assert socket.receive_text() == name


@pytest.mark.parametrize("on_error, status", [(None, 400), (challenge, 401)])
def test_a_handshake_without_proof_is_refused(on_error: Any, status: int) -> None:
    with TestClient(site(on_error=on_error)) as client:
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws", headers=WRONG):
            pass
    assert refused.value.status_code == status


async def test_lifespan_goes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await AuthenticationMiddleware(app, BasicAuth())(lifespan_scope(), nothing, nothing)
    assert seen == ["lifespan"]


async def nothing(message: Message | None = None) -> Any:
    raise AssertionError


class Blocking:
    def authenticate(self, conn: HTTPConnection) -> None: ...


@pytest.mark.parametrize("backend", [BasicAuth, Blocking(), object(), None])
def test_a_backend_is_an_object_with_an_async_method(backend: Any) -> None:
    with pytest.raises(ConfigurationError, match="async def authenticate"):
        AuthenticationMiddleware(nothing, backend)


async def test_what_a_base_class_leaves_open_says_so() -> None:
    class Nothing(AuthenticationBackend):
        pass

    with pytest.raises(NotImplementedError, match="Nothing has to define"):
        await Nothing().authenticate(HTTPConnection({"type": "http"}))
    for name in ("is_authenticated", "display_name", "identity"):
        with pytest.raises(NotImplementedError):
            getattr(BaseUser(), name)


def test_users_tell_who_they_are() -> None:
    ada, nobody = SimpleUser("ada"), UnauthenticatedUser()
    assert (ada.is_authenticated, ada.display_name, ada.identity) == (True, "ada", "ada")
    assert (nobody.is_authenticated, nobody.display_name, nobody.identity) == (False, "", "")
    assert AuthCredentials().scopes == []
    assert AuthCredentials(("a",)).scopes == ["a"]
    with pytest.raises(TypeError, match="write AuthCredentials"):
        AuthCredentials("admin")


# requires


async def an_async(request: Request) -> str:
    return "async"


def a_sync(request: Request) -> str:
    return "sync"


async def an_async_generator(request: Request) -> AsyncIterator[str]:
    yield "generated"


def a_generator(request: Request) -> Iterator[str]:
    yield "generated"


async def by_another_name(r) -> str:  # type: ignore[no-untyped-def]
    return "named"


async def annotated(made_of: "Request[Any]") -> str:  # noqa: UP037
    return "annotated"


HANDLERS = [an_async, a_sync, an_async_generator, a_generator, by_another_name, annotated]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
async def test_a_handler_answers_those_only_who_have_all_scopes(handler: Any) -> None:
    app = site()
    app.get("/secret")(requires(["authenticated", "admin"])(handler))
    assert (await get(app, "/secret", **BOSS)).status == 200
    for headers in ({}, ADA):
        response = await get(app, "/secret", **headers)
        assert (response.status, response.body) == (403, b"Forbidden")


class AsyncObject:
    async def __call__(self, request: Request) -> str:
        return "object"


class SyncObject:
    def __call__(self, request: Request) -> str:
        return "object"


class StreamingObject:
    async def __call__(self, request: Request) -> AsyncIterator[str]:
        yield "obj"
        yield "ect"


class Wrapping:
    """A decorator that is an object, as some libraries have them."""

    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


@functools.wraps(a_sync)
async def an_async_around_a_sync(request: Request) -> str:
    return a_sync(request)


OBJECTS = [
    *((AsyncObject(), b"object"), (SyncObject(), b"object"), (StreamingObject(), b"object")),
    *((Wrapping(an_async), b"async"), (an_async_around_a_sync, b"sync")),
    (functools.partial(an_async), b"async"),
]


@pytest.mark.parametrize(("handler", "body"), OBJECTS, ids=[type(handler).__name__ for handler, _ in OBJECTS])
async def test_objects_and_what_is_wrapped_can_be_guarded(handler: Any, body: bytes) -> None:
    app = site()
    app.add_route("/secret", requires("admin")(handler), name="secret")
    assert (await get(app, "/secret", **BOSS)).body == body
    assert (await get(app, "/secret", **ADA)).status == 403


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_a_handler_keeps_its_kind_and_its_signature(handler: Any) -> None:
    guarded = requires("admin")(handler)
    assert inspect.signature(guarded) == inspect.signature(handler)
    assert (guarded.__name__, guarded.__doc__) == (handler.__name__, handler.__doc__)
    assert inspect.iscoroutinefunction(guarded) == inspect.iscoroutinefunction(handler)


async def test_the_status_can_be_another() -> None:
    app = site()
    app.get("/secret")(requires("admin", status_code=404)(an_async))
    assert (await get(app, "/secret", **ADA)).status == 404


@pytest.mark.parametrize(
    "target, following",
    [
        ("/secret", "/secret"),
        ("/secret?a=1&b=%2F", "/secret%3Fa%3D1%26b%3D%252F"),
        ("/place/caf%C3%A9%20x", "/place/caf%25C3%25A9%2520x"),
        ("//evil.example", "/evil.example"),
        ("/place/..%2f%5C", None),
    ],
)
async def test_who_is_sent_to_the_login_comes_back_to_a_path_of_this_site(target: str, following: str | None) -> None:
    app = site()
    for path in ("/secret", "/place/{name:path}", "//evil.example"):
        app.get(path, name=path)(requires("authenticated", redirect="login")(an_async))
    response = await get(app, target)
    if following is None:
        assert response.status == 404
        return
    assert (response.status, response.header(b"location")) == (303, f"/login?next={following}".encode())
    assert (await get(app, target, **ADA)).status == 200


async def test_what_was_to_be_changed_is_not_asked_for_again() -> None:
    app = site()
    app.post("/secret")(requires("authenticated", redirect="login")(an_async))
    assert (await get(app, "/secret", "POST")).header(b"location") == b"/login"


async def test_below_a_mount_the_path_is_the_whole_one() -> None:
    inner = MicroASGI()
    inner.get("/secret")(requires("authenticated", redirect="login")(an_async))
    app = site()
    app.mount("/inner", inner)
    assert (await get(app, "/inner/secret")).header(b"location") == b"/login?next=/inner/secret"


class Secrets(HTTPEndpoint):
    """A class of secrets."""

    async def get(self, request: Request) -> str:
        return "read"

    @requires("admin")
    async def post(self, request: Request) -> str:
        return "written"

    @requires("admin")
    def put(self, request: Request) -> str:
        return "put"


async def test_methods_of_a_class_ask_for_rights_of_their_own() -> None:
    app = site()
    app.add_route("/secret", Secrets)
    assert (await get(app, "/secret")).body == b"read"
    for method, body in (("POST", b"written"), ("PUT", b"put")):
        assert (await get(app, "/secret", method, **ADA)).status == 403
        assert (await get(app, "/secret", method, **BOSS)).body == body


async def test_a_class_asks_for_rights_as_a_whole_and_is_itself_as_before() -> None:
    guarded = requires("authenticated", redirect="login")(Secrets)
    assert (guarded.__name__, guarded.__doc__, guarded.methods) == ("Secrets", Secrets.__doc__, Secrets.methods)
    app = site()
    app.add_route("/guarded", guarded)
    app.add_route("/open", Secrets)
    assert (await get(app, "/guarded")).header(b"location") == b"/login?next=/guarded"
    assert (await get(app, "/guarded", **ADA)).body == b"read"
    assert (await get(app, "/open")).body == b"read"


@requires("authenticated", redirect="login")
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")


@requires("authenticated")
class Talk(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")


@pytest.mark.parametrize("handler", [talk, Talk])
def test_sockets_are_refused_before_they_are_open(handler: Any) -> None:
    app = site()
    app.add_websocket_route("/talk", handler)
    with TestClient(app) as client:
        with client.websocket_connect("/talk", headers=ADA) as socket:
            assert socket.receive_text() == "hello"
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/talk"):
            pass
    assert refused.value.status_code == 403


async def test_the_connection_is_found_by_keyword_as_well() -> None:
    class Connection:
        auth = AuthCredentials(["admin"])

    @requires("admin")
    async def handler(number: int, request: Any) -> int:
        return number

    assert await handler(1, request=Connection()) == 1
    assert await handler(2, Connection()) == 2


def test_without_the_middleware_the_error_names_it() -> None:
    app = MicroASGI()
    app.get("/")(requires("admin")(an_async))
    with pytest.raises(RuntimeError, match="add AuthenticationMiddleware"):
        TestClient(app).get("/")


async def takes_nothing() -> str:
    return ""


async def takes_a_number(number: int) -> str:
    return ""


class Holder:
    async def method(self) -> str:
        return ""


@pytest.mark.parametrize("handler", [takes_nothing, takes_a_number, Holder.method])
def test_a_handler_that_takes_no_request_is_refused_with_the_cure(handler: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"async def handler\(request: Request\)"):
        requires("admin")(handler)


@pytest.mark.parametrize("scopes", [[], ()])
def test_no_scopes_would_be_no_guard(scopes: Any) -> None:
    with pytest.raises(ConfigurationError, match="let everybody through"):
        requires(scopes)


@pytest.mark.parametrize("status", [200, 303, 600])
def test_a_refusal_has_the_status_of_one(status: int) -> None:
    with pytest.raises(ConfigurationError, match="400 to 599"):
        requires("admin", status_code=status)


@pytest.mark.parametrize("value", ["/", "/a/b?c=d&e=//f#g", "/caf\u00e9", "/a//b"])
def test_a_path_of_this_site_is_taken(value: str) -> None:
    assert local_path(value, "/home") == value


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "a", " /a", "/a b", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example"),
        *("https://evil.example", "javascript:alert(1)", "/a\r\nset-cookie: x", "/\x00"),
    ],
)
def test_what_may_lead_away_is_not(value: str | None) -> None:
    assert local_path(value, "/home") == "/home"


@given(st.text())
def test_whatever_comes_the_result_is_a_path_of_this_site(value: str) -> None:
    path = local_path(value)
    assert path.startswith("/")
    assert path[1:2] not in ("/", "\\")
