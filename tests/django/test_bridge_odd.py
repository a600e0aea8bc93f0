"""Bridges among odd ones: applications that break the protocol, middleware that changes what it is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings
from django.urls import path, re_path

from microasgi.concurrency import run_in_threadpool
from microasgi.django.bridge import bridge
from microasgi.django.bridged_cookie import add_cookie
from microasgi.django.bridged_csrf import refuse_forgery

App = Callable[[Any, Any, Any], Awaitable[None]]
SIGNED = "django.contrib.sessions.backends.signed_cookies"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"


def saying(*parts: bytes, status: int = 200, headers: Any = ()) -> App:
    """Return an application that answers with this, whatever the protocol says of it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for part in parts[1:]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0.15)
        await send({"type": "http.response.body", "body": parts[0]})

    return app


def length(text: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", text)]


async def placed(scope: Any, receive: Any, send: Any) -> None:
    """Tell where it is."""
    await saying(repr((scope["root_path"], scope.get("path_params"))).encode())(scope, receive, send)


async def visited(scope: Any, receive: Any, send: Any) -> None:
    """Write the session, then stream."""
    await scope["session"].aset("visits", 1)
    await saying(b"a", b"b")(scope, receive, send)


async def measured(scope: Any, receive: Any, send: Any) -> None:
    """Tell the body's length, or that there was none."""
    message = {"more_body": True}
    body = b""
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    await saying(f"{message['type']} {len(body)}".encode())(scope, receive, send)


async def syncing(scope: Any, receive: Any, send: Any) -> None:
    """Answer from a thread."""
    await saying(await run_in_threadpool(lambda: b"sync"))(scope, receive, send)


async def leaving(scope: Any, receive: Any, send: Any) -> None:
    """Ask for the end of the process, in a task of its own if that is asked for."""

    async def leave() -> None:
        raise SystemExit("enough")

    await (asyncio.create_task(leave()) if scope["path"].endswith("task") else leave())


COOKIE = [(b"set-cookie", b"plain=1; Path=/")]
urlpatterns = [
    path("long/", bridge(saying(b"x" * 5, headers=length(b"3")))),
    path("short/", bridge(saying(b"x" * 5, headers=length(b"30")))),
    path("twice/", bridge(saying(b"x" * 5, headers=[*length(b"5"), *length(b"6")]))),
    path("no-number/", bridge(saying(b"x" * 5, headers=length(b"+5")))),
    path("stream-long/", bridge(saying(b"xx", b"xx", headers=length(b"3")))),
    path("stream-short/", bridge(saying(b"xx", b"xx", headers=length(b"5")))),
    path("right/", bridge(saying(b"xx", b"xx", headers=length(b"4")))),
    path("no-content/", bridge(saying(b"smuggled", status=204))),
    path("not-modified/", bridge(saying(b"smuggled", status=304, headers=length(b"30")))),
    path("chunked/", bridge(saying(b"x", headers=[(b"Transfer-Encoding", b"chunked")]))),
    path("name/", bridge(saying(b"x", headers=[(b"x a:", b"b")]))),
    path("value/", bridge(saying(b"x", headers=[(b"x-a", b"b\0")]))),
    path("cookie/", bridge(saying(b"x", headers=COOKIE))),
    path("visited/", bridge(visited)),
    path("measured/", bridge(measured, csrf=False)),
    path("leaving/", bridge(leaving)),
    path("sync/", bridge(syncing)),
    path("<slug:path>/named/", bridge(placed, name="named")),
    re_path(r"^([0-9]+)/counted/", bridge(placed)),
]


@pytest.fixture(autouse=True)
def urlconf() -> Iterator[None]:
    """The URLconf above."""
    with override_settings(ROOT_URLCONF=__name__):
        yield


def get(path: str) -> bytes:
    response: Any = Client().get(path)
    return b"".join(response)


@pytest.mark.parametrize("place", ["long", "short", "stream-long", "stream-short"])
def test_a_body_of_another_length_than_its_content_length_is_an_error(place: str) -> None:
    with pytest.raises(RuntimeError, match=r"content-length of [0-9]+ bytes"):
        get(f"/{place}/")


@pytest.mark.parametrize("place", ["twice", "no-number"])
def test_a_content_length_that_is_none_is_an_error(place: str) -> None:
    with pytest.raises(ValueError, match="content-length"):
        get(f"/{place}/")


def test_a_body_of_the_length_that_it_has_is_sent() -> None:
    assert get("/right/") == b"xxxx"


def test_where_no_body_may_be_none_is_sent() -> None:
    """What follows the head would be taken for the next response. Not by Django's client, which takes bodies away."""
    for place in ("no-content", "not-modified", "right"):
        environ = {**RequestFactory().get(f"/{place}/").environ}
        if place == "right":
            environ["REQUEST_METHOD"] = "HEAD"
        response = WSGIHandler()(environ, lambda *_: None)
        assert b"".join(response) == b""
        response.close()


def test_a_transfer_encoding_is_not_the_applications() -> None:
    assert not Client().get("/chunked/").has_header("Transfer-Encoding")


@pytest.mark.parametrize("place", ["name", "value"])
def test_a_header_that_is_none_is_an_error(place: str) -> None:
    with pytest.raises(ValueError, match="header 'x"):
        get(f"/{place}/")


def setting_a_cookie(get_response: Any) -> Any:
    """A middleware that gives a cookie another value."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        response.set_cookie("plain", "2")
        return response

    return middleware


@override_settings(MIDDLEWARE=[f"{__name__}.setting_a_cookie"])
def test_a_middleware_may_give_a_cookie_another_value() -> None:
    assert Client().get("/cookie/").cookies["plain"].OutputString() == "plain=2; Path=/"


def test_cookies_with_attributes_without_values_are_cookies() -> None:
    response = HttpResponse()
    texts = ["a=1; Path", "a=2; Path", "a=3; Secure; Path=/x"]
    for text in texts:
        add_cookie(response.cookies, text)
    assert [cookie.OutputString() for cookie in response.cookies.values()] == texts


def test_parameters_before_the_bridge_do_not_move_it() -> None:
    assert get("/acme/named/") == b"('/acme/named', {})"
    assert get("/acme/named/x") == b"('/acme/named', {})"
    assert get("/7/counted/") == b"('/7/counted', {})"
    assert get("/7/counted/x") == b"('/7/counted', {})"


def gathering(get_response: Any) -> Any:
    """A middleware that reads a stream, and sends it as a whole."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"".join(get_response(request)))

    return middleware


@override_settings(SESSION_ENGINE=SIGNED, MIDDLEWARE=[SESSIONS, f"{__name__}.gathering"])
def test_a_session_is_saved_though_a_middleware_has_read_the_stream_before() -> None:
    client = Client()
    assert client.get("/visited/").content == b"ba"
    assert client.session["visits"] == 1


@pytest.mark.anyio
async def test_a_middleware_may_replace_a_body_by_a_shorter_one() -> None:
    request: Any = AsyncRequestFactory().post("/measured/", b"x" * 100, content_type="text/plain")
    request._body = b"short"
    view: Any = bridge(measured, csrf=False)[0][0].callback
    assert (await view(request)).content == b"http.request 5"
    request._stream.close()


@pytest.mark.parametrize("place", ["at-once", "task"])
def test_who_ends_the_process_does_not_end_the_event_loop_of_the_others(place: str) -> None:
    with pytest.raises(SystemExit, match="enough"):
        get(f"/leaving/{place}")
    assert get("/right/") == b"xxxx"


def test_async_code_of_others_does_not_come_to_the_event_loop_of_bridges() -> None:
    async def here() -> str:
        return threading.current_thread().name

    assert get("/sync/") == b"sync"
    assert async_to_sync(here)() != "microasgi-wsgi"


class Session(dict[str, Any]):
    """A session in memory."""

    modified = True


@pytest.mark.anyio
@pytest.mark.parametrize("remote", [False, True])
async def test_who_is_logged_in_without_a_cookie_by_a_middleware_needs_a_token(remote: bool) -> None:
    """As RemoteUserMiddleware does: what a browser sends by itself logs in."""
    request: Any = RequestFactory().post("/", b"", content_type="text/plain")
    request._dont_enforce_csrf_checks = False
    request.session = Session({SESSION_KEY: "1"} if remote else {"seen": True})
    answer = await refuse_forgery(request)
    request.close()
    assert (None if answer is None else answer.status_code) == (403 if remote else None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Basic YTpi", "origin": "https://evil.example"}, 403),
        ({"cookie": "key=1", "origin": "null"}, 403),
        ({"authorization": "Basic YTpi", "origin": "http://testserver"}, None),
        ({"authorization": "Basic YTpi"}, None),
        ({"authorization": "Bearer x", "origin": "https://evil.example"}, None),
    ],
)
async def test_with_a_users_other_credentials_a_page_of_another_site_is_refused(
    headers: dict[str, str], status: int | None
) -> None:
    request: Any = RequestFactory(headers=headers).post("/", b"", content_type="text/plain")
    request._dont_enforce_csrf_checks = False
    answer = await refuse_forgery(request)
    assert (None if answer is None else answer.status_code) == status
