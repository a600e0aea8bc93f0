"""Guards: who may come in, as decorators and as dependencies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory, override_settings

from microasgi import (
    ConfigurationError,
    HTTPConnection,
    HTTPEndpoint,
    MicroASGI,
    RedirectResponse,
    Request,
    WebSocket,
    WebSocketEndpoint,
)
from microasgi.django.guards import current_user, login_required, optional_user, permission, permission_required
from microasgi.django.sessions import SessionLayer, store_class
from microasgi.django.threads import ThreadsLayer
from microasgi.exceptions import WebSocketDisconnect
from microasgi.testing import AsyncTestClient, RawResponse, request
from microasgi.testing.websockets import WebSocketDenialResponse
from microasgi.typed import Depends

PAGE = "text/html,application/xhtml+xml,*/*;q=0.8"
User: Any = get_user_model


def around(app: MicroASGI) -> ThreadsLayer:
    return ThreadsLayer(SessionLayer(app))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()
    User().objects.all().delete()


def session_of(user: Any) -> str:
    browser = Client()
    browser.force_login(user)
    return browser.cookies["sessionid"].value


@pytest.fixture
def ada() -> str:
    """The session of a user who may add notes."""
    from django.contrib.auth.models import Permission

    user = User().objects.create_user("ada")
    user.user_permissions.add(Permission.objects.get(codename="add_note"))
    return session_of(user)


@pytest.fixture
def bob() -> str:
    """The session of a user without permissions."""
    return session_of(User().objects.create_user("bob"))


def ask(app: MicroASGI, key: str | None = None, method: str = "GET", path: str = "/", **given: Any) -> RawResponse:
    body = given.pop("body", b"")
    headers = {"host": "testserver", **{name.replace("_", "-"): value for name, value in given.items()}}
    if key is not None:
        headers["cookie"] = f"sessionid={key}"
    return asyncio.run(request(around(app), method, path, headers=headers, body=body))


def serving(handler: Any, path: str = "/") -> MicroASGI:
    app = MicroASGI()
    app.add_route(path, handler, methods=None if isinstance(handler, type) else ["GET", "POST"])
    return app


@login_required
async def page(request: Request) -> str:
    """A page."""
    return f"hello {request.user.username}"


@login_required
def page_of_def(request: Request) -> str:
    return f"hello {request.user.username}"


@login_required
async def page_without_request() -> str:
    return "hello"


@login_required
def page_of_def_without_request() -> str:
    return "hello"


@login_required
class Endpoint(HTTPEndpoint):
    async def get(self, request: Request) -> str:
        return "hello"


class Methods(HTTPEndpoint):
    @login_required
    async def get(self, request: Request) -> str:
        return "hello"


HANDLERS = [page, page_of_def, page_without_request, page_of_def_without_request, Endpoint, Methods]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_users_come_in_and_visitors_are_sent_to_the_login_page(handler: Any, bob: str) -> None:
    app = serving(handler)
    assert ask(app, bob, accept=PAGE).body.startswith(b"hello")
    response = ask(app, accept=PAGE)
    assert (response.status, response.header(b"location")) == (302, b"/accounts/login/?next=/")
    assert response.header(b"vary") == b"Cookie"


def test_clients_that_prefer_json_get_401_with_a_challenge() -> None:
    response = ask(serving(page), accept="application/json")
    assert response.status == 401
    assert response.header(b"www-authenticate") == b'ApiKey in="cookie", name="sessionid"'
    assert response.json()["detail"] == "not logged in"


def test_a_handler_with_typed_parameters_gives_401_to_clients_that_take_anything() -> None:
    assert ask(serving(page), accept="*/*").status == 302
    assert ask(serving(page_without_request), accept="*/*").status == 401


@pytest.mark.parametrize(
    ("path", "login_url"),
    [
        ("/a/b?x=1&y=2", None),
        ("/a/%C3%A9?next=//evil.example", None),
        ("/a", "/own/?theme=dark"),
        ("/a", "home"),
        ("/a", "https://login.example/in"),
        ("/a", "http://testserver/in"),
    ],
)
def test_the_login_page_is_the_one_that_django_would_send_to(path: str, login_url: str | None) -> None:
    from django.contrib.auth.decorators import login_required as djangos
    from django.contrib.auth.models import AnonymousUser

    given = RequestFactory().get(path)
    given.user = AnonymousUser()
    expected = djangos(lambda _: None, login_url=login_url)(given).url

    async def handler(request: Request) -> str:
        return "in"

    app = MicroASGI()
    app.add_route("/{rest:path}", login_required(login_url=login_url)(handler))
    assert (ask(app, path=path).header(b"location") or b"").decode() == expected


def test_nobody_is_sent_to_another_site_after_the_login() -> None:
    app = MicroASGI()
    app.add_route("/{rest:path}", page)
    assert ask(app, path="//evil.example/x").header(b"location") == b"/accounts/login/?next=/evil.example/x"


@pytest.mark.parametrize("host", ["evil.example", "two words", "[::1", "a,b", ""])
def test_a_visitor_of_a_host_that_is_not_allowed_is_sent_nowhere(host: str) -> None:
    assert ask(serving(page), host=host, accept=PAGE).status == 400
    assert ask(serving(page_of_def), host=host, accept=PAGE).status == 400


def test_the_name_of_the_parameter_can_be_changed() -> None:
    async def handler(request: Request) -> str:
        return "in"

    response = ask(serving(login_required(redirect_field_name="after")(handler)))
    assert response.header(b"location") == b"/accounts/login/?after=/"


@pytest.mark.parametrize("kind", ["async", "def"])
def test_permissions_are_asked_for(kind: str, ada: str, bob: str) -> None:
    async def of_async(request: Request) -> str:
        return "in"

    def of_def(request: Request) -> str:
        return "in"

    handler: Any = of_async if kind == "async" else of_def
    app = serving(permission_required("notes.add_note")(handler))
    assert ask(app, ada).body == b"in"
    assert ask(app, bob).status == 403
    assert ask(app).status == 302
    both = serving(permission_required("notes.add_note", "notes.delete_note")(handler))
    assert ask(both, ada).status == 403


@pytest.mark.parametrize("names", [(), ("add_note",), (3,)], ids=str)
def test_what_is_no_permission_is_refused_at_set_up(names: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"shop\.add_item"):
        permission_required(*names)
    with pytest.raises(ConfigurationError, match=r"shop\.add_item"):
        permission(*names)


def test_a_decorated_handler_keeps_its_name_and_its_typed_parameters(bob: str) -> None:
    @login_required
    async def add(amount: int, factor: int = 2) -> dict[str, int]:
        """Add."""
        return {"sum": amount * factor}

    assert (add.__name__, add.__doc__) == ("add", "Add.")
    app = MicroASGI()
    app.add_route("/{amount}", add)
    assert ask(app, bob, path="/3?factor=5").json() == {"sum": 15}
    assert ask(app, bob, path="/x").status == 422
    assert ask(app, path="/3").status == 401


def test_a_refusal_counts_whatever_it_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worthless(RedirectResponse):
        def __bool__(self) -> bool:
            return False

    monkeypatch.setattr("microasgi.django.guards.RedirectResponse", Worthless)
    assert ask(serving(page), accept=PAGE).status == 302
    assert ask(serving(page_of_def), accept=PAGE).status == 302


def test_a_handler_that_yields_is_refused_with_what_to_write() -> None:
    async def lines(request: Request) -> Any:
        yield "one"

    with pytest.raises(ConfigurationError, match=r"Depends\(current_user\)"):
        login_required(lines)


# Dependencies


def with_dependencies() -> MicroASGI:
    app = MicroASGI()

    @app.get("/me")
    async def me(user: Annotated[Any, Depends(current_user)]) -> dict[str, str]:
        return {"name": user.username}

    @app.get("/perhaps")
    async def perhaps(user: Annotated[Any, Depends(optional_user)]) -> dict[str, bool]:
        return {"known": user is not None}

    @app.get("/add")
    def add(user: Annotated[Any, Depends(permission("notes.add_note"))]) -> dict[str, str]:
        return {"name": user.username}

    @app.get("/lines", dependencies=[Depends(current_user)])
    async def lines() -> Any:
        yield "one"

    return app


def test_the_user_is_a_dependency(ada: str) -> None:
    app = with_dependencies()
    assert ask(app, ada, path="/me").json() == {"name": "ada"}
    assert ask(app, path="/me").status == 401
    assert ask(app, ada, path="/perhaps").json() == {"known": True}
    assert ask(app, path="/perhaps").json() == {"known": False}
    assert ask(app, path="/lines").status == 401


def test_a_permission_is_a_dependency(ada: str, bob: str) -> None:
    app = with_dependencies()
    assert ask(app, ada, path="/add").json() == {"name": "ada"}
    assert ask(app, bob, path="/add").status == 403
    assert ask(app, path="/add").status == 401


# Websockets


@login_required
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"hello {websocket.user.username}")


@permission_required("notes.add_note")
async def socket_with_permission(websocket: WebSocket) -> None:
    await socket(websocket)


@login_required
class SocketEndpoint(WebSocketEndpoint):
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"hello {websocket.user.username}")


async def socket_with_dependency(websocket: WebSocket, user: Annotated[Any, Depends(current_user)]) -> None:
    await websocket.accept()
    await websocket.send_text(f"hello {user.username}")


async def connect(handler: Any, key: str | None) -> str:
    app = MicroASGI()
    app.add_websocket_route("/", handler)
    headers = {} if key is None else {"cookie": f"sessionid={key}"}
    async with AsyncTestClient(around(app)) as client:
        try:
            async with client.websocket_connect("/", headers=headers) as connected:
                return await connected.receive_text()
        except WebSocketDenialResponse as denied:
            return str(denied.status_code)
        except WebSocketDisconnect as closed:
            return f"closed {closed.code}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "handler",
    [socket, socket_with_permission, SocketEndpoint, socket_with_dependency],
    ids=lambda handler: handler.__name__,
)
async def test_users_open_websockets_and_visitors_handshakes_are_denied(handler: Any, ada: str) -> None:
    assert await connect(handler, ada) == "hello ada"
    assert await connect(handler, None) == "403"


@pytest.mark.anyio
async def test_a_handshake_without_permission_is_denied(bob: str) -> None:
    assert await connect(socket_with_permission, bob) == "403"


@pytest.mark.anyio
@pytest.mark.parametrize(("ask_for", "code"), [(current_user, 4401), (permission("notes.add_note"), 4403)])
async def test_an_open_websocket_is_closed_with_a_code_that_says_why(
    ask_for: Callable[[HTTPConnection], Any], code: int, bob: str
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await ask_for(websocket)

    assert await connect(handler, bob if code == 4403 else None) == f"closed {code}"


def test_a_setting_says_where_to_log_in() -> None:
    with override_settings(LOGIN_URL="https://login.example/in"):
        response = ask(serving(page))
    assert response.header(b"location") == b"https://login.example/in?next=http%3A//testserver/"


def test_a_session_that_was_deleted_is_a_visitors(bob: str) -> None:
    store_class()(bob).delete()
    assert ask(serving(page), bob).status == 302
