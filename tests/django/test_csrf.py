"""CSRF beside Django: as strong as Django's own views, and the body is still there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.template import RequestContext, Template
from django.test import RequestFactory, override_settings

from microasgi import MicroASGI, Request, WebSocket
from microasgi.django.csrf import CSRFLayer, csrf_token
from microasgi.django.djangorequest import django_request
from microasgi.django.sessions import SessionLayer, store_class
from microasgi.django.threads import ThreadsLayer
from microasgi.testing import AsyncTestClient, RawResponse, request
from microasgi.testing.websockets import WebSocketDenialResponse

SECRET = "a" * 16 + "B" * 16
OTHER = "c" * 32
SESSION = "s" * 32
COOKIES = f"sessionid={SESSION}; csrftoken={SECRET}"


def masked(secret: str = SECRET) -> str:
    given = HttpRequest()
    given.META["CSRF_COOKIE"] = secret
    return get_token(given)


def around(app: MicroASGI) -> ThreadsLayer:
    return ThreadsLayer(SessionLayer(CSRFLayer(app)))


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()


async def size(request: Request) -> str:
    return str(len(await request.body()))


async def fields(request: Request) -> str:
    form = await request.form()
    upload: Any = form.get("file")
    content = b"" if upload is None else await upload.read()
    return f"{form.get('name')} {len(content)}"


async def token(request: Request) -> str:
    return csrf_token(request)


def application() -> ThreadsLayer:
    app = MicroASGI()
    for path, handler in {"/": size, "/form": fields, "/token": token}.items():
        app.add_route(path, handler, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
    return around(app)


def ask(
    method: str = "POST", path: str = "/", cookie: str | None = COOKIES, body: bytes = b"", **given: Any
) -> RawResponse:
    scheme = given.pop("scheme", "http")
    headers = {"host": "testserver", **{name.replace("_", "-"): value for name, value in given.items()}}
    if cookie is not None:
        headers["cookie"] = cookie
    return asyncio.run(request(application(), method, path, headers=headers, body=body, scheme=scheme))


def django_status(method: str = "POST", cookie: str = COOKIES, **given: Any) -> int:
    """Return what Django's own middleware answers, in front of a view."""
    secure = given.pop("scheme", "http") == "https"
    headers = {name.replace("_", "-"): value for name, value in given.items()}
    made = RequestFactory().generic(method, "/", secure=secure, headers={"cookie": cookie, **headers})
    made.session = store_class()(SESSION)
    middleware = CsrfViewMiddleware(lambda _: HttpResponse())
    middleware.process_request(made)
    refused = middleware.process_view(made, lambda _: HttpResponse(), (), {})
    return 200 if refused is None else refused.status_code


HERE = {"origin": "http://testserver"}
SECURE = {"scheme": "https", "x_csrftoken": masked()}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 403),
        ({"x_csrftoken": SECRET}, 200),
        ({"x_csrftoken": masked()}, 200),
        ({"x_csrftoken": masked(OTHER)}, 403),
        ({"x_csrftoken": OTHER}, 403),
        ({"x_csrftoken": ""}, 403),
        ({"x_csrftoken": "short"}, 403),
        ({"x_csrftoken": "é" * 32}, 403),
        ({"x_csrftoken": SECRET, "cookie": f"sessionid={SESSION}"}, 403),
        ({"x_csrftoken": SECRET, "cookie": f"sessionid={SESSION}; csrftoken=short"}, 403),
        ({"x_csrftoken": SECRET, "cookie": f"sessionid={SESSION}; csrftoken={masked()}"}, 200),
        ({"x_csrftoken": SECRET, **HERE}, 200),
        ({"x_csrftoken": SECRET, "origin": "https://testserver"}, 403),
        ({"x_csrftoken": SECRET, "origin": "http://evil.example"}, 403),
        ({"x_csrftoken": SECRET, "origin": "http://testserver.evil.example"}, 403),
        ({"x_csrftoken": SECRET, "origin": "null"}, 403),
        ({"x_csrftoken": SECRET, "origin": "http://[broken"}, 403),
        ({"x_csrftoken": SECRET, "origin": "https://partner.example"}, 200),
        ({"x_csrftoken": SECRET, "origin": "https://shop.partners.example"}, 200),
        ({"x_csrftoken": SECRET, "origin": "http://shop.partners.example"}, 403),
        ({**SECURE}, 403),
        ({**SECURE, "referer": "https://testserver/page"}, 200),
        ({**SECURE, "referer": "http://testserver/page"}, 403),
        ({**SECURE, "referer": "https://evil.example/page"}, 403),
        ({**SECURE, "referer": "https://partner.example/page"}, 200),
        ({**SECURE, "referer": "nonsense"}, 403),
        ({**SECURE, "origin": "https://testserver"}, 200),
        ({"method": "PUT"}, 403),
        ({"method": "DELETE", "x_csrftoken": SECRET}, 200),
        ({"method": "PATCH", "x_csrftoken": OTHER}, 403),
        ({"method": "GET"}, 200),
        ({"method": "GET", "origin": "https://evil.example"}, 200),
    ],
    ids=str,
)
def test_a_request_with_the_sessions_cookie_is_judged_as_by_django(given: dict[str, Any], status: int) -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://partner.example", "https://*.partners.example"]):
        assert (ask(**given).status, django_status(**given)) == (status, status)


def test_a_request_without_the_sessions_cookie_passes() -> None:
    assert ask(cookie=None).status == 200
    assert ask(cookie="csrftoken=" + SECRET, authorization="Bearer x").status == 200
    assert ask(cookie="xsessionid=1").status == 200


AMBIENT = [{"cookie": "jwt=1"}, {"cookie": None, "authorization": "Basic YTpi"}, {"authorization": "Negotiate x"}]


@pytest.mark.parametrize("credentials", AMBIENT, ids=str)
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://testserver", 200),
        ("https://testserver", 200),
        ("https://partner.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_what_browsers_send_on_their_own_counts_from_pages_of_this_host_or_trusted_ones(
    credentials: dict[str, Any], origin: str | None, status: int
) -> None:
    given = {"cookie": "theme=dark", **credentials, **({} if origin is None else {"origin": origin})}
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://partner.example"]):
        assert ask(**given).status == status
        assert ask("DELETE", **given).status == status
        assert ask("GET", **given).status == 200


def test_the_log_of_django_says_which_origin_to_trust(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "django.security.csrf"):
        answer = ask(cookie="theme=dark", origin="https://app.example")
    assert b"another site" in answer.body
    assert "Forbidden (Origin checking failed - https://app.example does not match any trusted origins.)" in caplog.text


def test_a_page_of_another_site_may_bring_a_token_of_its_own() -> None:
    assert ask(cookie=None, origin="https://app.example").status == 200
    assert ask(cookie=None, origin="https://app.example", authorization="Bearer x").status == 200


def test_the_answer_says_why_and_the_log_of_django_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "django.security.csrf"):
        response = ask(accept="application/json")
    assert response.status == 403
    assert "CSRF token missing" in response.json()["detail"]
    assert "Forbidden (CSRF token missing.)" in caplog.text


def test_a_browser_gets_the_page_of_csrf_failure_view() -> None:
    response = ask(accept="text/html,*/*")
    assert response.status == 403
    assert b"<h1>" in response.body
    with override_settings(CSRF_FAILURE_VIEW="tests.django.csrfpage.own_page"):
        assert ask(accept="text/html").body == b"own: CSRF token missing."


URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


def multipart(value: str, upload: int) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{value}\r\n'
    name = '--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nada\r\n'
    file = '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return (head + name + file).encode() + b"u" * upload + b"\r\n--x--\r\n"


def test_a_form_has_the_token_in_a_field_and_its_handler_reads_it_again() -> None:
    body = f"csrfmiddlewaretoken={masked()}&name=ada".encode()
    assert ask("POST", "/form", body=body, content_type=URLENCODED).body == b"ada 0"
    assert ask("POST", "/", body=body, content_type=URLENCODED).body == str(len(body)).encode()


def test_an_upload_has_the_token_in_a_field_and_arrives_whole() -> None:
    body = multipart(masked(), 3_000_000)
    assert ask("POST", "/form", body=body, content_type=MULTIPART).body == b"ada 3000000"
    assert ask("POST", "/", body=body, content_type=MULTIPART).body == str(len(body)).encode()


@pytest.mark.parametrize("field", [f"csrfmiddlewaretoken={OTHER}", "csrfmiddlewaretoken=", "x=1"])
def test_a_form_with_a_wrong_field_is_refused(field: str) -> None:
    assert ask(body=field.encode(), content_type=URLENCODED).status == 403


def test_a_field_counts_in_forms_that_are_posted_alone() -> None:
    body = f"csrfmiddlewaretoken={SECRET}".encode()
    assert ask("PUT", body=body, content_type=URLENCODED).status == 403
    assert ask("POST", body=body, content_type="text/plain").status == 403


def test_a_file_is_no_token() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"; filename="f"\r\n\r\n'
        + SECRET.encode()
        + b"\r\n--x--\r\n"
    )
    assert ask(body=body, content_type=MULTIPART).status == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"--x\r\nbroken", MULTIPART, 400),
        (b"no boundary", "multipart/form-data", 400),
        (b"a=%ff&" * 2_000, URLENCODED, 413),
        (b"u" * 17_000_000, URLENCODED, 413),
    ],
    ids=["cut", "no boundary", "too many", "too large"],
)
def test_a_form_that_nobody_could_read_is_refused_clearly(body: bytes, kind: str, status: int) -> None:
    assert ask(body=body, content_type=kind).status == status


def test_with_the_header_a_body_is_not_touched() -> None:
    app = MicroASGI()

    async def pieces(request: Request) -> str:
        return str([len(chunk) async for chunk in request.stream() if chunk])

    app.add_route("/", pieces, methods=["POST"])
    headers = {"host": "testserver", "cookie": COOKIES, "x-csrftoken": SECRET, "content-type": MULTIPART}
    made = request(around(app), "POST", headers=headers, chunks=[b"a" * 10, b"b" * 20])
    assert asyncio.run(made).body == b"[10, 20]"


def test_a_token_for_a_page_sets_its_cookie_and_counts_afterwards() -> None:
    response = ask("GET", "/token", cookie=f"sessionid={SESSION}")
    jar: SimpleCookie = SimpleCookie()
    for name, value in response.headers:
        if name == b"set-cookie":
            jar.load(value.decode())
    assert response.header(b"vary") == b"Cookie"
    cookie = f"sessionid={SESSION}; csrftoken={jar['csrftoken'].value}"
    assert ask(cookie=cookie, x_csrftoken=response.body.decode()).status == 200


def test_pages_share_the_secret_of_the_cookie() -> None:
    assert ask(x_csrftoken=ask("GET", "/token").body.decode()).status == 200


def test_who_asks_for_no_token_gets_no_cookie() -> None:
    assert ask("GET", "/", cookie=None).header(b"set-cookie") is None


def test_djangos_template_tag_works_on_the_request() -> None:
    app = MicroASGI()

    def page(request: Request) -> str:
        given = django_request(request.scope)
        return Template("{% csrf_token %}").render(RequestContext(given))

    app.add_route("/", page)
    made = asyncio.run(request(around(app), headers={"host": "testserver", "cookie": COOKIES}))
    value = made.body.decode().split('value="')[1].split('"')[0]
    assert ask(x_csrftoken=value).status == 200
    assert b"csrftoken=" + SECRET.encode() in (made.header(b"set-cookie") or b"")


def test_secrets_may_be_kept_in_sessions() -> None:
    with override_settings(CSRF_USE_SESSIONS=True):
        kept = store_class()()
        kept["x"] = 1
        kept.save()
        cookie = f"sessionid={kept.session_key}"

        app = MicroASGI()
        app.add_route("/token", lambda request: csrf_token(request))
        made = request(around(app), path="/token", headers={"host": "testserver", "cookie": cookie})
        value = asyncio.run(made).body.decode()
        assert ask(cookie=cookie, x_csrftoken=value).status == 200
        assert ask(cookie=cookie, x_csrftoken=masked(OTHER)).status == 403
        assert ask(cookie=f"{cookie}; csrftoken={SECRET}", x_csrftoken=SECRET).status == 403


# Websockets


async def shake_hands(cookie: str | None = COOKIES, allowed: Iterable[str] = ("*",), **given: str) -> str:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")

    app = MicroASGI(allowed_origins=list(allowed))
    app.add_websocket_route("/", handler)
    headers = {**given, **({} if cookie is None else {"cookie": cookie})}
    async with AsyncTestClient(around(app)) as client:
        try:
            async with client.websocket_connect("/", headers=headers) as socket:
                return await socket.receive_text()
        except WebSocketDenialResponse as denied:
            return str(denied.status_code)


@pytest.mark.anyio
@pytest.mark.parametrize("hosts", [["testserver"], ["*"]], ids=str)
@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        (None, "open"),
        ("http://testserver", "open"),
        ("https://testserver", "open"),
        ("https://partner.example", "open"),
        ("https://a.partners.example", "open"),
        ("http://evil.example", "403"),
        ("https://testserver.evil.example", "403"),
        ("http://testserver:8000", "403"),
        ("null", "403"),
        ("", "403"),
    ],
)
async def test_a_handshake_with_cookies_comes_from_here_or_from_a_trusted_origin(
    hosts: list[str], origin: str | None, answer: str
) -> None:
    trusted = ["https://partner.example", "https://*.partners.example"]
    with override_settings(ALLOWED_HOSTS=hosts, CSRF_TRUSTED_ORIGINS=trusted):
        given = {} if origin is None else {"origin": origin}
        assert await shake_hands(**given) == answer


@pytest.mark.anyio
async def test_a_handshake_without_cookies_is_left_to_the_application() -> None:
    assert await shake_hands(cookie=None, origin="https://evil.example") == "open"
    assert await shake_hands(cookie=None, origin="https://evil.example", authorization="Basic YTpi") == "403"


@pytest.mark.anyio
@pytest.mark.parametrize("cookie", [None, COOKIES], ids=["without cookies", "with cookies"])
async def test_an_origin_that_the_site_trusts_may_open_sockets_of_every_application(cookie: str | None) -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://partner.example"]):
        assert await shake_hands(cookie, allowed=(), origin="https://partner.example") == "open"
        assert await shake_hands(cookie, allowed=(), origin="https://evil.example") == "403"
