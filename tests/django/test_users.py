"""Users beside Django: the one that Django's own views would get, on requests and on websockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from typing import Any

import anyio
import pytest
from django.contrib.auth import get_user_model, user_logged_in, user_logged_out
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection as database
from django.template import Context, Template
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

from microasgi import HTTPConnection, MicroASGI, Request, StreamingResponse, WebSocket
from microasgi.django.csrf import CSRFLayer
from microasgi.django.database import db
from microasgi.django.sessions import SessionLayer, store_class
from microasgi.django.surroundings import DjangoMiddleware
from microasgi.django.threads import ThreadsLayer
from microasgi.django.users import authenticate, lazy_user, login, logout, revalidate, user_of
from microasgi.testing import AsyncTestClient, RawResponse, request

User: Any = get_user_model


def is_anonymous(user: Any) -> bool:
    from django.contrib.auth.models import AnonymousUser

    return isinstance(user, AnonymousUser)


def around(app: MicroASGI) -> ThreadsLayer:
    return ThreadsLayer(SessionLayer(CSRFLayer(app)))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()
    User().objects.all().delete()


@pytest.fixture
def ada() -> Any:
    return User().objects.create_user("ada", password="secret of ada")


def session_of(user: Any) -> str:
    browser = Client()
    browser.force_login(user)
    return browser.cookies["sessionid"].value


@pytest.fixture
def key(ada: Any) -> str:
    """The key of a session in which Ada has logged in to the Django site."""
    return session_of(ada)


def application(handler: Callable[..., Any], **options: Any) -> ThreadsLayer:
    app = MicroASGI()
    app.add_route("/", handler, methods=["GET", "POST"])
    return around(app)


def ask(handler: Callable[..., Any], key: str | None = None, method: str = "GET", **headers: str) -> RawResponse:
    given = [("host", "testserver"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    if key is not None:
        given.append(("cookie", f"sessionid={key}"))
    return asyncio.run(request(application(handler), method, headers=given))


async def name_of_user(request: Request) -> str:
    return str(await request.user())


def cookie_of(response: RawResponse) -> str:
    jar = SimpleCookie()
    for name, value in response.headers:
        if name == b"set-cookie":
            jar.load(value.decode())
    return jar["sessionid"].value


def test_who_is_logged_in_to_the_site_is_the_user(key: str) -> None:
    assert ask(name_of_user, key).body == b"ada"


def test_def_handlers_ask_without_await(key: str) -> None:
    def handler(request: Request) -> str:
        return f"{request.user.username} {request.user.is_authenticated}"

    assert ask(handler, key).body == b"ada True"


def test_a_visitor_is_the_anonymous_user_without_a_query() -> None:
    async def handler(request: Request) -> str:
        assert is_anonymous(await request.user())
        return str(request.user.is_authenticated)

    response = ask(handler)
    assert response.body == b"False"
    assert response.header(b"vary") == b"Cookie"


def test_a_user_is_loaded_once(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    load = store_class().load
    monkeypatch.setattr(store_class(), "load", lambda self: loads.append("load") or load(self))

    async def handler(request: Request) -> str:
        first = await request.user()
        assert first is await request.user()
        return first.username

    assert ask(handler, key).body == b"ada"
    assert len(loads) == 1


def test_who_asks_at_the_same_time_gets_one_user_and_a_login_meanwhile_counts(key: str, ada: Any) -> None:
    grace = User().objects.create_user("grace")

    async def handler(request: Request) -> str:
        async with anyio.create_task_group() as group:
            asked = [request.user() for _ in range(3)]
            found: list[Any] = []

            async def ask_for(user: Any) -> None:
                found.append(await user)

            for user in asked:
                group.start_soon(ask_for, user)
        return f"{len({id(user) for user in found})}"

    async def changing(request: Request) -> str:
        loading = asyncio.ensure_future(request.user())
        await asyncio.sleep(0)
        user = request.scope["user"]
        user.__dict__["_wrapped"] = grace  # as login does when it is done first
        return f"{await loading} {await request.user()}"

    assert ask(handler, key).body == b"1"
    assert ask(changing, key).body == b"grace grace"


def test_the_whole_user_costs_two_queries(key: str) -> None:
    with CaptureQueriesContext(database) as queries:
        user_of(store_class()(key)).username  # noqa: B018
    assert len(queries) == 2


def test_once_loaded_it_behaves_as_the_user_in_asynchronous_code(key: str, ada: Any) -> None:
    async def handler(request: Request) -> str:
        user = await request.user()
        lazy = request.user
        assert lazy == user == ada
        assert hash(lazy) == hash(user)
        assert isinstance(lazy, User())
        assert bool(lazy)
        assert lazy.username == "ada"
        from tests.django.project.notes.models import Note

        await Note.objects.acreate(text="hers", owner=lazy)
        return str(await Note.objects.filter(owner=lazy).acount())

    assert ask(handler, key).body == b"1"
    assert isinstance(user_of(store_class()(key)), User())


def test_templates_show_the_user(key: str) -> None:
    def handler(request: Request) -> str:
        return Template("{{ user.username }}{% if user.is_authenticated %}!{% endif %}").render(
            Context({"user": request.user})
        )

    assert ask(handler, key).body == b"ada!"


def test_a_query_in_asynchronous_code_is_refused_by_an_error_that_says_what_to_write(key: str) -> None:
    async def handler(request: Request) -> str:
        with pytest.raises(SynchronousOnlyOperation, match=r"await request\.user\(\)"):
            request.user.username  # noqa: B018
        return "taught"

    assert ask(handler, key).body == b"taught"


def test_a_deleted_session_has_no_user(key: str) -> None:
    store_class()(key).delete()
    assert ask(name_of_user, key).body == b"AnonymousUser"


def test_a_changed_password_ends_the_session(key: str, ada: Any) -> None:
    ada.set_password("another one")
    ada.save()
    response = ask(name_of_user, key)
    assert response.body == b"AnonymousUser"
    assert b"Max-Age=0" in (response.header(b"set-cookie") or b"")
    assert not store_class()().exists(key)


def test_a_user_who_is_not_active_is_nobody(key: str, ada: Any) -> None:
    ada.is_active = False
    ada.save()
    assert ask(name_of_user, key).body == b"AnonymousUser"


def test_a_session_signed_by_a_former_key_goes_on_with_a_new_one(ada: Any) -> None:
    with override_settings(SECRET_KEY="the former key"):
        browser = Client()
        browser.force_login(ada)
        former = browser.cookies["sessionid"].value
    with override_settings(SECRET_KEY_FALLBACKS=["the former key"]):
        # What a database keeps is signed with the former key as well.
        response = ask(name_of_user, former)
        assert response.body == b"ada"
        assert cookie_of(response) != former
        assert ask(name_of_user, cookie_of(response)).body == b"ada"


def test_a_backend_that_is_no_longer_trusted_has_no_users(key: str) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.AllowAllUsersModelBackend"]):
        assert ask(name_of_user, key).body == b"AnonymousUser"


def test_a_backend_of_ones_own_without_asynchronous_methods_serves(ada: Any) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=["tests.django.userbackend.PlainBackend"]):
        browser = Client()
        browser.force_login(ada)
        assert ask(name_of_user, browser.cookies["sessionid"].value).body == b"ada"


# Users of a Django request


def test_the_user_of_a_django_request_is_what_its_middleware_found(ada: Any) -> None:
    given = RequestFactory().get("/")
    given.user = ada
    assert asyncio.run(lazy_user(given)()) is ada


def test_a_lazy_user_of_a_django_request_is_loaded_in_a_thread(key: str, ada: Any) -> None:
    given = RequestFactory().get("/")
    given.user = SimpleLazyObject(lambda: User().objects.get(username="ada"))

    async def load() -> Any:
        return await lazy_user(given)()

    found = asyncio.run(load())
    assert found == ada
    assert type(found) is User()


def test_a_django_request_without_users_has_an_anonymous_one() -> None:
    assert is_anonymous(asyncio.run(lazy_user(RequestFactory().get("/"))()))


def test_inside_of_a_django_request_one_logs_in_and_out_too(ada: Any) -> None:
    given = RequestFactory().get("/")
    given.session = store_class().__mro__[2]()  # Django's own class
    scope = {"type": "http", "django.request": given, "session": given.session, "user": lazy_user(given)}
    connection = HTTPConnection(scope)

    async def in_and_out() -> list[str]:
        await login(connection, ada)
        names = [str(connection.user), str(given.user)]
        await logout(connection)
        return [*names, str(connection.user), str(given.user)]

    given.user = SimpleLazyObject(lambda: ada)
    assert asyncio.run(in_and_out()) == ["ada", "ada", "AnonymousUser", "AnonymousUser"]


# Logging in and out


async def log_in(request: Request) -> str:
    user = await authenticate(request, username="ada", password="secret of ada")
    await login(request, user)
    return str(request.user.username)


def test_logging_in_changes_the_key_and_keeps_the_data(ada: Any) -> None:
    anonymous = store_class()()
    anonymous["cart"] = 3
    anonymous.save()
    before = str(anonymous.session_key)
    response = ask(log_in, before)
    assert response.body == b"ada"
    assert cookie_of(response) != before
    assert not store_class()().exists(before)
    assert store_class()(cookie_of(response))["cart"] == 3
    assert ask(name_of_user, cookie_of(response)).body == b"ada"


def test_a_key_that_somebody_else_chose_is_not_taken_at_login(ada: Any) -> None:
    chosen = "a" * 32
    response = ask(log_in, chosen)
    assert cookie_of(response) != chosen
    assert not store_class()().exists(chosen)


def test_logging_in_as_another_forgets_what_the_first_one_kept(key: str, ada: Any) -> None:
    bob = User().objects.create_user("bob")
    kept = store_class()(key)
    kept["secret"] = 1
    kept.save()

    async def handler(request: Request) -> str:
        await login(request, bob)
        return str(await request.session.aget("secret"))

    assert ask(handler, key).body == b"None"


def test_logging_in_changes_the_csrf_token(ada: Any) -> None:
    response = ask(log_in)
    assert any(b"csrftoken=" in value for name, value in response.headers if name == b"set-cookie")


def test_djangos_signals_have_a_request_with_the_address_of_the_client(ada: Any) -> None:
    heard: list[Any] = []

    def listen(sender: Any, request: Any, user: Any, **_: Any) -> None:
        heard.append((user.username, request.META["REMOTE_ADDR"], request.headers["Host"], request.get_host()))

    for signal in (user_logged_in, user_logged_out):
        signal.connect(listen)
    try:
        ask(log_out, cookie_of(ask(log_in)))
    finally:
        for signal in (user_logged_in, user_logged_out):
            signal.disconnect(listen)
    assert heard == [("ada", "testclient", "testserver", "testserver")] * 2
    ada.refresh_from_db()
    assert ada.last_login is not None


async def log_out(request: Request) -> str:
    await logout(request)
    return str(request.user)


def test_logging_out_deletes_session_and_cookie(key: str) -> None:
    response = ask(log_out, key)
    assert response.body == b"AnonymousUser"
    assert b"Max-Age=0" in (response.header(b"set-cookie") or b"")
    assert not store_class()().exists(key)


def test_wrong_credentials_are_nobodys(ada: Any) -> None:
    async def handler(request: Request) -> str:
        return str(await authenticate(request, username="ada", password="wrong"))

    assert ask(handler).body == b"None"


def test_logging_in_when_the_response_has_begun_is_an_error(ada: Any) -> None:
    errors: list[str] = []

    async def handler(request: Request) -> StreamingResponse:
        async def body() -> Any:
            yield b"first"
            try:
                await login(request, ada)
            except RuntimeError as error:
                errors.append(str(error))

        return StreamingResponse(body())

    ask(handler)
    assert "before the response begins" in errors[0]


def test_without_the_layer_the_error_says_what_to_write(ada: Any) -> None:
    app = MicroASGI()
    errors: list[str] = []

    @app.get("/")
    async def handler(request: Request) -> str:
        try:
            await login(request, ada)
        except RuntimeError as error:
            errors.append(str(error))
        return ""

    asyncio.run(request(app))
    assert "DjangoMiddleware" in errors[0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://testserver"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
    ],
    ids=str,
)
def test_a_page_of_another_site_logs_nobody_in(ada: Any, headers: dict[str, str], status: int) -> None:
    assert ask(log_in, None, "POST", **headers).status == status


# Websockets


async def connect(handler: Callable[[WebSocket], Any], key: str | None) -> Any:
    app = MicroASGI()
    app.add_websocket_route("/", handler)
    headers = {} if key is None else {"cookie": f"sessionid={key}"}
    async with AsyncTestClient(around(app)) as client:
        async with client.websocket_connect("/", headers=headers) as socket:
            return await socket.receive_text()


@pytest.mark.anyio
async def test_a_websocket_has_the_user(key: str) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(await websocket.user()))

    assert await connect(handler, key) == "ada"
    assert await connect(handler, None) == "AnonymousUser"


def end_session(key: str) -> None:
    store_class()(key).delete()


def change_password(key: str) -> None:
    ada = User().objects.get(username="ada")
    ada.set_password("another one")
    ada.save()


def deactivate(key: str) -> None:
    User().objects.update(is_active=False)


def delete_user(key: str) -> None:
    User().objects.all().delete()


def be_idle(key: str) -> None:
    """Nothing happens."""


@pytest.mark.anyio
@pytest.mark.parametrize("asks", [True, False], ids=["knows the user", "has not asked"])
@pytest.mark.parametrize(
    ("event", "stays"),
    [(be_idle, True), (end_session, False), (change_password, False), (deactivate, False), (delete_user, False)],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_user_stays_as_long_as_the_session_is_theirs(
    key: str, event: Callable[[str], None], stays: bool, asks: bool
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if asks:
            await websocket.user()
        await db(event, key)
        await websocket.send_text(str(await revalidate(websocket)))

    assert await connect(handler, key) == str(stays)


@pytest.mark.anyio
async def test_an_anonymous_socket_stays_if_its_handler_knows() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        known = await websocket.user()
        assert not known.is_authenticated
        await websocket.send_text(str(await revalidate(websocket)))

    assert await connect(handler, None) == "True"


@pytest.mark.anyio
async def test_what_a_user_may_do_is_known_anew_after_each_question(key: str) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.user()
        await User().objects.aupdate(first_name="Augusta")
        await revalidate(websocket)
        await websocket.send_text(websocket.user.first_name)

    assert await connect(handler, key) == "Augusta"


@pytest.mark.anyio
async def test_a_hub_closes_sockets_of_users_who_may_not_stay(key: str) -> None:
    from microasgi.exceptions import WebSocketDisconnect
    from microasgi.realtime import Hub

    hub = Hub()

    async def handler(websocket: WebSocket) -> None:
        async with hub.connect(websocket, "news", revalidate=revalidate, revalidate_every=0.05) as member:
            await websocket.user()
            await db(end_session, key)
            await member.wait_closed()

    with pytest.raises(WebSocketDisconnect) as closed:
        await connect(handler, key)
    assert closed.value.code == 4401


@pytest.mark.anyio
@pytest.mark.parametrize("asks", [True, False], ids=["knows the user", "has not asked"])
async def test_a_session_of_a_former_key_stays_as_it_is_where_no_cookie_can_be_sent(ada: Any, asks: bool) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if asks:
            await websocket.user()
        await revalidate(websocket)
        await websocket.send_text(str(await revalidate(websocket)))

    with override_settings(SECRET_KEY="the former key"):
        key = await db(session_of, ada)
    with override_settings(SECRET_KEY_FALLBACKS=["the former key"]):
        assert await connect(handler, key) == "True"
    assert await store_class()().aexists(key)


@pytest.mark.anyio
async def test_a_logout_that_cannot_take_the_cookie_away_is_named_in_the_log(
    ada: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await logout(websocket)
        await websocket.send_text("out")

    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        await connect(handler, await db(session_of, ada))
    assert "the change is lost" in caplog.text
    caplog.clear()
    await connect(handler, await db(session_of, ada))
    assert not caplog.text


@pytest.mark.anyio
async def test_a_login_before_accept_sets_the_cookie_and_a_later_one_is_an_error(ada: Any) -> None:
    async def handler(websocket: WebSocket) -> None:
        await login(websocket, ada)
        await websocket.accept()
        with pytest.raises(RuntimeError, match="before websocket.accept"):
            await login(websocket, ada)
        await logout(websocket)
        await websocket.send_text(str(websocket.user))

    assert await connect(handler, None) == "AnonymousUser"


@pytest.mark.anyio
async def test_in_an_application_of_ones_own_a_browser_logs_in_works_and_logs_out(ada: Any) -> None:
    app = MicroASGI(middleware=[DjangoMiddleware])
    app.add_route("/login", log_in, methods=["POST"])
    app.add_route("/logout", log_out, methods=["POST"])
    app.add_route("/", name_of_user, methods=["GET", "POST"])
    async with AsyncTestClient(app) as browser:
        assert (await browser.post("/login")).text == "ada"
        assert (await browser.get("/")).text == "ada"
        assert (await browser.post("/")).status_code == 403
        token = {"x-csrftoken": browser.cookies["csrftoken"]}
        assert (await browser.post("/", headers=token)).text == "ada"
        assert (await browser.post("/logout", headers=token)).text == "AnonymousUser"
        assert "sessionid" not in browser.cookies
        assert (await browser.get("/")).text == "AnonymousUser"
