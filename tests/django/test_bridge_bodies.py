"""Bodies through a bridge: whole, whoever has read them before, and guarded against forgery, over ASGI and WSGI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.middleware.csrf import _get_new_csrf_string  # type: ignore[attr-defined]
from django.test import Client, override_settings
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

pytestmark = pytest.mark.anyio
MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
SMALL, LARGE = 10_000, 5_000_000  # the second is more than FILE_UPLOAD_MAX_MEMORY_SIZE: on disk


@pytest.fixture(autouse=True)
def urlconf() -> Iterator[None]:
    """The URLconf with the bridges; cookies of a session need no database."""
    engine = "django.contrib.sessions.backends.signed_cookies"
    with override_settings(ROOT_URLCONF="tests.django.project.bridged_urls", SESSION_ENGINE=engine):
        yield


def reading(what: str) -> Any:
    """Return a middleware that reads this of every request."""

    def factory(get_response: Any) -> Any:
        def middleware(request: HttpRequest) -> Any:
            getattr(request, what)
            return get_response(request)

        return middleware

    return factory


post, files, body = reading("POST"), reading("FILES"), reading("body")


def streaming(get_response: Any) -> Any:
    """A middleware that takes a part of the body away."""

    def middleware(request: HttpRequest) -> Any:
        request.read(3)
        return get_response(request)

    return middleware


async def over_asgi(path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Let Django's ASGI handler answer a POST, its body coming in two parts."""
    half = len(content) // 2
    messages = [
        {"type": "http.request", "body": content[:half], "more_body": True},
        {"type": "http.request", "body": content[half:]},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        if not messages:
            await asyncio.sleep(30)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [*raw, (b"host", b"testserver"), (b"content-length", b"%d" % len(content))],
    }
    await cast(Any, ASGIHandler())(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def over_wsgi(path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Let Django's WSGI handler answer a POST."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "HTTP_HOST": "testserver",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(content + b"the next request"),
        "CONTENT_LENGTH": str(len(content)),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    status: list[str] = []

    def answer() -> bytes:
        response: Any = WSGIHandler()(environ, lambda line, _: status.append(line))
        content = b"".join(response)
        response.close()
        return content

    content = await sync_to_async(answer)()
    return int(status[0].split()[0]), content


BOTH = pytest.mark.parametrize("over", [over_asgi, over_wsgi])


def upload(size: int, **fields: str) -> bytes:
    file = SimpleUploadedFile("na me.bin", b"%010d" % size + b"x" * (size - 10), "application/x-own")
    return cast(bytes, encode_multipart(BOUNDARY, {**fields, "a": ["1", "zwei ü"], "file": file}))


def expected(size: int, **fields: str) -> list[Any]:
    file = ["file", "na me.bin", "application/x-own", size, f"{size:010d}"]
    return [*([key, value] for key, value in fields.items()), ["a", "1"], ["a", "zwei ü"], file]


@BOTH
@pytest.mark.parametrize("size", [0, SMALL, LARGE])
@pytest.mark.parametrize("reader", [None, "body"])
async def test_a_body_arrives_whole(over: Any, size: int, reader: str | None) -> None:
    content = bytes(range(256)) * (size // 256)
    chain = [f"{__name__}.{reader}"] if reader else []
    with override_settings(MIDDLEWARE=chain, DATA_UPLOAD_MAX_MEMORY_SIZE=None):
        status, answer = await over("/api/echo", content, {"Content-Type": "application/octet-stream"})
    assert (status, len(answer)) == (200, len(content))
    assert answer == content


@BOTH
async def test_a_large_body_comes_in_parts(over: Any) -> None:
    import json

    content = b"x" * LARGE
    status, answer = await over("/api/parts", content, {"Content-Type": "application/octet-stream"})
    seen = json.loads(answer)
    assert (status, seen["size"]) == (200, LARGE)
    assert seen["largest"] <= 256 * 1024


@BOTH
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("reader", [None, "post", "files"])
async def test_a_form_arrives_whole_though_django_has_parsed_it(over: Any, size: int, reader: str | None) -> None:
    import json

    chain = [f"{__name__}.{reader}"] if reader else []
    with override_settings(MIDDLEWARE=chain):
        status, answer = await over("/api/form", upload(size), {"Content-Type": MULTIPART_CONTENT})
    assert status == 200, answer
    assert json.loads(answer) == expected(size)


@BOTH
@pytest.mark.parametrize("reader", ["post", "body"])
async def test_an_urlencoded_form_arrives_whole_though_django_has_parsed_it(over: Any, reader: str) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with override_settings(MIDDLEWARE=[f"{__name__}.{reader}"]):
        assert await over("/api/form", b"a=1&a=2&b=%C3%BC", kind) == (
            200,
            '[["a","1"],["a","2"],["b","ü"]]'.encode(),
        )


async def test_over_asgi_a_middleware_may_read_the_stream() -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.streaming"]):
        assert await over_asgi("/api/echo", b"abcdef", {"Content-Type": "text/plain"}) == (200, b"abcdef")


async def test_over_wsgi_a_body_that_a_middleware_took_away_is_an_error_that_says_so() -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.streaming"]):
        client = Client()
        with pytest.raises(Exception, match="a middleware has read it from the request as a stream"):
            await sync_to_async(client.post)("/api/echo", b"abcdef", content_type="text/plain")


async def test_over_wsgi_a_body_that_ends_early_is_a_disconnect() -> None:
    from tests.django.project import bridged

    bridged.events.clear()
    environ = {"CONTENT_LENGTH": "100"}
    status, _ = await over_wsgi("/api/echo", b"x" * 5, {"Content-Type": "text/plain"})
    assert status == 200
    client = Client(**environ)
    response = await sync_to_async(client.generic)("POST", "/api/echo", b"x" * 5, CONTENT_LENGTH="5")
    assert response.content == b"x" * 5


@BOTH
async def test_the_memory_limit_of_django_is_kept_where_django_reads(over: Any) -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.body"], DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        status, _ = await over("/api/echo", b"x" * 11, {"Content-Type": "text/plain"})
    assert status in (400, 413)  # as Django has it: 413 since 6.1


def logged_in(secret: str) -> dict[str, str]:
    from django.contrib.sessions.backends.signed_cookies import SessionStore

    session = SessionStore()
    session["anna"] = True
    session.save()
    return {"Cookie": f"sessionid={session.session_key}; csrftoken={secret}"}


SECRET = _get_new_csrf_string()


@BOTH
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("path", ["/api", "/guarded"])
async def test_a_form_with_djangos_token_arrives_whole(over: Any, size: int, path: str) -> None:
    import json

    headers = {**logged_in(SECRET), "Content-Type": MULTIPART_CONTENT}
    status, answer = await over(f"{path}/form", upload(size, csrfmiddlewaretoken=SECRET), headers)
    assert status == 200, answer
    assert json.loads(answer) == expected(size, csrfmiddlewaretoken=SECRET)


@BOTH
@pytest.mark.parametrize("path", ["/api", "/guarded"])
async def test_a_header_with_djangos_token_will_do(over: Any, path: str) -> None:
    headers = {**logged_in(SECRET), "X-CSRFToken": SECRET, "Content-Type": "application/json"}
    assert await over(f"{path}/echo", b"{}", headers) == (200, b"{}")


@BOTH
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"X-CSRFToken": "x" * 32},
        {"X-CSRFToken": SECRET, "Origin": "https://evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/api", "/guarded"])
async def test_without_it_a_request_with_the_sessions_cookie_is_refused(
    over: Any, path: str, extra: dict[str, str]
) -> None:
    status, answer = await over(f"{path}/echo", b"{}", {**logged_in(SECRET), **extra})
    assert status == 403
    assert b"CSRF verification failed" in answer


@BOTH
async def test_a_request_without_the_sessions_cookie_needs_none(over: Any) -> None:
    assert (await over("/api/echo", b"{}", {"Authorization": "Bearer x"}))[0] == 200


@BOTH
async def test_djangos_middleware_wants_it_of_everybody_where_it_is_asked_to(over: Any) -> None:
    assert (await over("/guarded/echo", b"{}", {"Authorization": "Bearer x"}))[0] == 403


@BOTH
async def test_a_bridge_may_go_unguarded(over: Any) -> None:
    assert (await over("/unguarded/echo", b"{}", logged_in(SECRET)))[0] == 200


@BOTH
@override_settings(CSRF_USE_SESSIONS=True)
async def test_the_token_may_be_in_the_session(over: Any) -> None:
    from django.contrib.sessions.backends.signed_cookies import SessionStore

    session = SessionStore()
    session["_csrftoken"] = SECRET
    session.save()
    headers = {"Cookie": f"sessionid={session.session_key}", "Content-Type": "application/json"}
    assert (await over("/api/echo", b"{}", headers))[0] == 403
    assert (await over("/api/echo", b"{}", {**headers, "X-CSRFToken": SECRET}))[0] == 200


async def test_djangos_test_clients_need_no_token_unless_they_ask_for_it() -> None:
    cookies = logged_in(SECRET)["Cookie"].partition("=")[2].partition(";")[0]
    for enforce, status in ((False, 200), (True, 403)):
        client = Client(enforce_csrf_checks=enforce)
        client.cookies["sessionid"] = cookies
        response = await sync_to_async(client.post)("/api/echo", b"{}", content_type="application/json")
        assert response.status_code == status
