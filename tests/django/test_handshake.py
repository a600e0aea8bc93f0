"""The project's whole MIDDLEWARE around what Django does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client, override_settings

from microasgi import MicroASGI, Middleware, PlainTextResponse, Request, Response, WebSocket
from microasgi.django.csrf import CSRFLayer
from microasgi.django.djangorequest import django_request
from microasgi.django.handshake import MiddlewareLayer
from microasgi.django.sessions import SessionLayer, store_class
from microasgi.django.surroundings import DjangoMiddleware
from microasgi.django.threads import ThreadsLayer
from microasgi.django.users import login, logout
from microasgi.testing import AsyncTestClient, RawResponse, request
from microasgi.testing.websockets import WebSocketDenialResponse

User: Any = get_user_model
OWN = [*settings.MIDDLEWARE, "tests.django.middlewares.maintenance", "tests.django.middlewares.TokenUsers"]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with override_settings(MIDDLEWARE=OWN):
        yield
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()
    User().objects.all().delete()


@pytest.fixture
def key() -> str:
    browser = Client()
    browser.force_login(User().objects.create_user("ada"))
    return browser.cookies["sessionid"].value


def around(app: MicroASGI) -> ThreadsLayer:
    return ThreadsLayer(MiddlewareLayer(SessionLayer(CSRFLayer(app))))


def ask(handler: Callable[..., Any], key: str | None = None, path: str = "/", **given: str) -> RawResponse:
    app = MicroASGI()
    app.add_route("/{rest:path}", handler)
    headers = {"host": "testserver", **{name.replace("_", "-"): value for name, value in given.items()}}
    if key is not None:
        headers["cookie"] = f"sessionid={key}"
    return asyncio.run(request(around(app), path=path, headers=headers))


async def whoami(request: Request) -> str:
    return str(await request.user())


def test_the_application_has_the_user_of_the_chain(key: str) -> None:
    assert ask(whoami, key).body == b"ada"
    assert ask(whoami).body == b"AnonymousUser"


def test_a_user_that_a_middleware_of_ones_own_knows_is_the_user() -> None:
    assert ask(whoami, x_user="grace").body == b"grace"


def test_headers_and_cookies_of_the_chain_are_added_to_the_response() -> None:
    async def handler(request: Request) -> Response:
        response = PlainTextResponse("in", headers={"x-frame-options": "SAMEORIGIN", "vary": "Accept"})
        response.set_cookie("own", "2")
        return response

    response = ask(handler)
    assert response.status == 200
    assert response.body == b"in"
    assert [value for name, value in response.headers if name == b"content-length"] == [b"2"]
    assert response.header(b"x-content-type-options") == b"nosniff"
    assert [value for name, value in response.headers if name == b"x-frame-options"] == [b"SAMEORIGIN"]
    assert response.header(b"x-project") == b"shop"
    cookies = [value.partition(b";")[0] for name, value in response.headers if name == b"set-cookie"]
    assert cookies == [b"visited=1", b"own=2"]


@pytest.mark.parametrize(("value", "body"), [("yes", b"closed"), ("stream", b"closed today")])
def test_what_a_middleware_answers_is_the_answer(value: str, body: bytes) -> None:
    def handler(request: Request) -> str:
        pytest.fail("it was not to be called")

    response = ask(handler, x_closed=value)
    assert (response.status, response.body) == (503, body)


@pytest.mark.parametrize("value", ["yes", "stream"])
def test_what_a_middleware_answers_to_head_has_no_body(value: str) -> None:
    made = request(around(MicroASGI()), "HEAD", headers={"host": "testserver", "x-closed": value})
    response = asyncio.run(made)
    assert (response.status, response.body) == (503, b"")


def test_a_host_that_is_not_allowed_is_refused() -> None:
    assert ask(whoami, host="evil.example").status == 400


def test_a_broken_middleware_is_a_500_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    response = ask(whoami, x_broken="1")
    assert response.status == 500
    assert b"secret" not in response.body
    assert "a secret of the inside" in caplog.text


def test_redirects_of_the_site_are_sent() -> None:
    with override_settings(SECURE_SSL_REDIRECT=True):
        response = ask(whoami, path="/a?b=1")
    assert (response.status, response.header(b"location")) == (301, b"https://testserver/a?b=1")


def test_what_the_application_writes_into_the_session_is_saved(key: str) -> None:
    async def handler(request: Request) -> str:
        await request.session.aset("x", 1)
        return "in"

    ask(handler, key)
    assert store_class()(key)["x"] == 1


def test_the_application_logs_in_and_out(key: str) -> None:
    async def log_in(request: Request) -> str:
        await login(request, await User().objects.aget())
        return str(request.user)

    async def log_out(request: Request) -> str:
        await logout(request)
        return str(request.user)

    response = ask(log_in)
    assert response.body == b"ada"
    names = [value.partition(b"=")[0] for name, value in response.headers if name == b"set-cookie"]
    assert {b"sessionid", b"csrftoken"} <= set(names)
    assert ask(log_out, key).body == b"AnonymousUser"
    assert not store_class()().exists(key)


def test_language_of_the_chain_is_that_of_the_application() -> None:
    from django.utils.translation import get_language

    async def handler(request: Request) -> str:
        return str(get_language())

    with override_settings(MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"]):
        response = ask(handler, accept_language="fr")
    assert response.body == b"fr"
    assert response.header(b"content-language") == b"fr"
    assert response.header(b"vary") == b"Accept-Language"


def test_nothing_of_the_chain_measures_stores_or_compresses_the_body() -> None:
    kinds = ["cache.UpdateCacheMiddleware", "gzip.GZipMiddleware", "http.ConditionalGetMiddleware"]
    kinds += ["common.CommonMiddleware", "cache.FetchFromCacheMiddleware"]
    cache.clear()

    async def handler(request: Request) -> str:
        return "x" * 1000

    with override_settings(MIDDLEWARE=[f"django.middleware.{kind}" for kind in kinds]):
        for _ in range(2):
            response = ask(handler, accept_encoding="gzip")
            assert response.body == b"x" * 1000
            assert response.header(b"content-encoding") is None
            assert response.header(b"etag") is None
            assert response.header(b"content-length") == b"1000"


def test_a_project_without_sessions_and_users_has_them_here(key: str) -> None:
    with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
        assert ask(whoami, key).body == b"ada"


def test_the_body_is_left_to_the_application() -> None:
    app = MicroASGI()

    async def handler(request: Request) -> str:
        return str(len(await request.body()))

    app.add_route("/", handler, methods=["POST"])
    made = request(around(app), "POST", headers={"host": "testserver"}, body=b"b" * 100_000)
    assert asyncio.run(made).body == b"100000"


@pytest.mark.parametrize("storage", ["cookie.CookieStorage", "session.SessionStorage", "fallback.FallbackStorage"])
def test_messages_are_kept_for_the_next_page_and_shown_once(storage: str) -> None:
    app = MicroASGI(middleware=[Middleware(DjangoMiddleware, middleware="all")])

    @app.get("/add")
    async def add(request: Request) -> str:
        messages.info(django_request(request.scope), "saved")
        return "added"

    @app.get("/show")
    def show(request: Request) -> str:
        return ",".join(map(str, messages.get_messages(django_request(request.scope))))

    async def browse() -> list[str]:
        async with AsyncTestClient(app) as browser:
            return [(await browser.get(path)).text for path in ("/add", "/add", "/show", "/show")]

    with override_settings(MESSAGE_STORAGE=f"django.contrib.messages.storage.{storage}"):
        assert asyncio.run(browse()) == ["added", "added", "saved,saved", ""]


ENTERED = "tests.django.middlewares.Entered"


def test_rules_that_look_at_the_view_bar_from_the_application() -> None:
    seen: list[Any] = []

    async def handler(request: Request) -> str:
        seen.append(django_request(request.scope).META["entered"])
        return "in"

    with override_settings(MIDDLEWARE=[*OWN, ENTERED]):
        assert ask(handler, path="/a/b").body == b"in"
        response = ask(handler, x_barred="1")
        assert ask(handler, x_barred="page").body == b"1 page"
    assert seen == [(True, (), {}, "a/b")]
    assert (response.status, response.body) == (403, b"barred from microasgi.django.handshake.application")


def test_where_the_whole_site_wants_a_login_the_application_does(key: str) -> None:
    everywhere = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[*OWN, everywhere]):
        assert ask(whoami, key).body == b"ada"
        response = ask(whoami, path="/a?b=1")
    assert (response.status, response.header(b"location")) == (302, b"/accounts/login/?next=/a%3Fb%3D1")


# Handshakes


async def connect(key: str | None = None, **given: str) -> Any:
    async def handler(websocket: WebSocket) -> None:
        await websocket.session.aset("x", 1)
        await websocket.accept()
        await websocket.send_text(str(await websocket.user()))

    app = MicroASGI()
    app.add_websocket_route("/", handler)
    headers = {name.replace("_", "-"): value for name, value in given.items()}
    if key is not None:
        headers["cookie"] = f"sessionid={key}"
    async with AsyncTestClient(around(app)) as client:
        try:
            async with client.websocket_connect("/", headers=headers) as socket:
                return await socket.receive_text(), socket.extra_headers
        except WebSocketDenialResponse as denied:
            return denied.status_code, denied.text, denied.headers


@pytest.mark.anyio
async def test_a_handshake_goes_through_the_chain(key: str) -> None:
    text, headers = await connect(key)
    assert text == "ada"
    cookies = [value.partition(b"=")[0] for name, value in headers if name == b"set-cookie"]
    assert cookies == [b"visited", b"sessionid"]


@pytest.mark.anyio
@pytest.mark.parametrize(("value", "body"), [("yes", "closed"), ("stream", "closed today")])
async def test_a_handshake_is_denied_with_what_a_middleware_answers(value: str, body: str) -> None:
    status, text, _ = await connect(x_closed=value)
    assert (status, text) == (503, body)


@pytest.mark.anyio
async def test_a_handshake_is_denied_by_rules_that_look_at_the_view() -> None:
    with override_settings(MIDDLEWARE=[*OWN, ENTERED]):
        assert (await connect(x_barred="1"))[0] == 403
        assert (await connect())[0] == "AnonymousUser"


@pytest.mark.anyio
async def test_a_handshake_for_another_host_is_denied() -> None:
    assert (await connect(host="evil.example"))[0] == 400


def test_other_kinds_of_scopes_pass() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(MiddlewareLayer(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
