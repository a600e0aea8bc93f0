"""Tokens against forged requests: where they come from, what they are worth, and what stays readable."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import MicroASGI, Middleware, Request, Response, StreamingResponse, UploadFile
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import CSRFMiddleware, MemoryStore, SessionMiddleware
from microasgi.testing import Exchange, Faults, RawResponse, http_scope, lifespan_scope, request
from microasgi.types import ASGIApp, Receive, Scope, Send
from tests.middleware.visitor import KEY, Visitor

pytestmark = pytest.mark.anyio

FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


def forms() -> MicroASGI:
    """An application with a form."""
    app = MicroASGI()

    @app.get("/")
    async def page(request: Request) -> str:
        return str(request["microasgi.csrf_token"]())

    @app.get("/twice")
    async def twice(request: Request) -> list[str]:
        return [request["microasgi.csrf_token"](), request["microasgi.csrf_token"]()]

    @app.get("/plain")
    async def plain() -> str:
        return "no form"

    @app.route("/", methods=["POST", "PUT", "DELETE"])
    async def take(request: Request) -> dict[str, Any]:
        form = await request.form()
        sizes = {name: len(await v.read()) if isinstance(v, UploadFile) else v for name, v in form.items()}
        return {"form": sizes, "body": len(await request.body())}

    @app.get("/late")
    async def late(request: Request) -> Response:
        async def body() -> Any:
            yield b"begun"
            yield request["microasgi.csrf_token"]()

        return StreamingResponse(body())

    @app.get("/start")
    async def start(request: Request) -> str:
        token = str(request["microasgi.csrf_token"]())
        request.session["user"] = "Ada"
        return token

    @app.post("/login")
    async def login(request: Request) -> str:
        request.session.cycle()
        request.session["user"] = "Ada"
        return "welcome"

    return app


@pytest.fixture
def visitor() -> Visitor:
    return Visitor(CSRFMiddleware(forms(), KEY))


def with_session(**options: Any) -> Visitor:
    app = SessionMiddleware(CSRFMiddleware(forms(), KEY, exempt=["/login"]), KEY, **options)
    return Visitor(app)


async def token_of(visitor: Visitor, path: str = "/") -> str:
    return (await visitor.get(path)).body.decode()


def multipart(**fields: str) -> bytes:
    parts = [f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{v}\r\n' for name, v in fields.items()]
    file = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--b--\r\n'
    return ("".join(parts) + file).encode()


async def test_a_token_in_the_header_is_accepted(visitor: Visitor) -> None:
    token = await token_of(visitor)
    for method in ("POST", "PUT", "DELETE"):
        assert (await visitor.send(method, headers={"x-csrf-token": token})).status == 200


async def test_a_token_in_the_form_is_accepted_and_form_and_body_stay_readable(visitor: Visitor) -> None:
    token = await token_of(visitor)
    body = urlencode({"csrf_token": token, "tea": "green"}).encode()
    answer = await visitor.post(headers=FORM, body=body)
    assert answer.json() == {"form": {"csrf_token": token, "tea": "green"}, "body": len(body)}
    body = multipart(csrf_token=token)
    answer = await visitor.post(headers=MULTIPART, body=body)
    assert answer.json() == {"form": {"csrf_token": token, "file": 4}, "body": len(body)}


async def test_another_application_inside_gets_the_body(visitor: Visitor) -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await Response(message["body"])(scope, receive, send)

    token = await token_of(visitor)
    body = urlencode({"csrf_token": token}).encode()
    other = Visitor(CSRFMiddleware(echo, KEY))
    other.cookies = visitor.cookies
    assert (await other.post(headers=FORM, body=body)).body == body


async def test_a_request_without_a_token_is_refused(visitor: Visitor) -> None:
    await token_of(visitor)
    for headers, body in (({}, b""), (FORM, b"tea=green"), (MULTIPART, multipart()), ({}, b"csrf_token=x")):
        refused = await visitor.post(headers=headers, body=body)
        assert (refused.status, refused.body[:45]) == (403, b"the token against forged requests is missing ")


async def test_a_token_without_its_cookie_is_refused(visitor: Visitor) -> None:
    token = await token_of(visitor)
    visitor.cookies = {}
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 403


async def test_the_token_of_another_visitor_is_refused(visitor: Visitor) -> None:
    await token_of(visitor)
    token = await token_of(Visitor(visitor.app))
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 403


async def test_a_cookie_that_we_did_not_sign_is_refused(visitor: Visitor) -> None:
    secret = b"x" * 32
    token = base64.urlsafe_b64encode(bytes(32) + secret).decode()
    visitor.cookies = {"csrf_token": f"{base64.urlsafe_b64encode(secret).decode()}.{'A' * 43}"}
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 403


async def test_a_file_is_no_token(visitor: Visitor) -> None:
    await token_of(visitor)
    body = b'--b\r\ncontent-disposition: form-data; name="csrf_token"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    assert (await visitor.post(headers=MULTIPART, body=body)).status == 403


@given(token=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=100))
@settings(max_examples=50, deadline=None)
def test_whatever_comes_as_a_token_is_refused(token: str) -> None:
    async def send() -> None:
        visitor = Visitor(CSRFMiddleware(forms(), KEY))
        await token_of(visitor)
        assert (await visitor.post(headers={"x-csrf-token": token})).status == 403
        body = urlencode({"csrf_token": token}).encode()
        assert (await visitor.post(headers=FORM, body=body)).status == 403

    anyio.run(send)


async def test_no_two_tokens_are_alike_and_all_of_them_hold(visitor: Visitor) -> None:
    tokens = {await token_of(visitor) for _ in range(5)}
    tokens.update((await visitor.get("/twice")).json())
    assert len(tokens) == 7
    for token in tokens:
        assert (await visitor.post(headers={"x-csrf-token": token})).status == 200


async def test_the_cookie_comes_with_the_page_that_has_a_token(visitor: Visitor) -> None:
    plain = await visitor.get("/plain")
    assert (plain.header(b"vary"), visitor.set_cookies) == (None, [])
    page = await visitor.get()
    assert page.header(b"vary") == b"Cookie"
    assert visitor.set_cookies[0].endswith("; HttpOnly; Max-Age=1209600; Path=/; SameSite=lax")
    secure = Visitor(visitor.app, scheme="https")
    await secure.get()
    assert secure.set_cookies[0].endswith("; Secure")


async def test_a_token_asked_for_after_the_start_is_an_error(visitor: Visitor) -> None:
    for _ in range(2):  # also where the cookie is there: the response could not say that it depends on it
        with pytest.raises(RuntimeError, match="ask for the token before the response starts"):
            await visitor.get("/late")
        await visitor.get()


@pytest.mark.parametrize("store", [None, MemoryStore()])
async def test_a_token_is_worth_nothing_after_a_login(store: Any) -> None:
    visitor = with_session(store=store)
    token = await token_of(visitor)
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 200
    for _ in range(2):
        await visitor.post("/login")
        assert (await visitor.post(headers={"x-csrf-token": token})).status == 403
        token = await token_of(visitor)
        assert (await visitor.post(headers={"x-csrf-token": token})).status == 200


async def test_a_token_is_worth_nothing_in_another_session() -> None:
    mallory, ada = with_session(), with_session()
    for one in (mallory, ada):
        await one.post("/login")
    token = await token_of(mallory)
    ada.cookies["csrf_token"] = mallory.cookies["csrf_token"]
    assert (await ada.post(headers={"x-csrf-token": token})).status == 403


async def test_a_token_holds_for_the_session_that_begins_with_its_page() -> None:
    visitor = with_session()
    token = await token_of(visitor, "/start")
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 200


async def test_a_session_middleware_that_stands_inside_does_not_count() -> None:
    visitor = Visitor(CSRFMiddleware(SessionMiddleware(forms(), KEY), KEY, exempt=["/login"]))
    await visitor.post("/login")
    token = await token_of(visitor, "/start")
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 200


async def test_a_session_of_another_make_has_no_identity() -> None:
    async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = {"user": "Ada"}
        await protected(scope, receive, send)

    protected = CSRFMiddleware(forms(), KEY)
    visitor = Visitor(foreign)
    token = await token_of(visitor)
    assert (await visitor.post(headers={"x-csrf-token": token})).status == 200


async def test_header_field_and_cookie_may_have_other_names() -> None:
    app = CSRFMiddleware(forms(), KEY, "__Host-csrf", "X-Token", "token")
    visitor = Visitor(app)
    token = await token_of(visitor)
    assert list(visitor.cookies) == ["__Host-csrf"]
    assert (await visitor.post(headers={"x-token": token})).status == 200
    assert (await visitor.post(headers=FORM, body=urlencode({"token": token}).encode())).status == 200
    refused = await visitor.post(headers={"accept": "application/json"})
    assert refused.json()["detail"].endswith("header X-Token, field token")


async def test_exempt_paths_need_no_token() -> None:
    app = CSRFMiddleware(forms(), KEY, exempt=["/hook"])
    assert (await request(app, "POST", "/hook")).status == 404
    assert (await request(app, "POST", "/")).status == 403


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (FORM, b"a=1&" * 1001, 413),
        (FORM, b"a=" + b"x" * (1024 * 1024 + 1), 413),
        (MULTIPART, b"--b\r\ncontent-disposition: form-data; name", 400),
        ({"content-type": "multipart/form-data"}, b"--b", 400),
    ],
)
async def test_a_form_that_breaks_a_limit_or_is_none_is_a_refusal(
    visitor: Visitor, headers: dict[str, str], body: bytes, status: int
) -> None:
    await token_of(visitor)
    assert (await visitor.post(headers=headers, body=body)).status == status


async def test_without_a_cookie_the_body_is_not_read(visitor: Visitor) -> None:
    async with Exchange(visitor.app, http_scope("POST", headers=FORM)) as exchange:
        await exchange.send_input({"type": "http.request", "body": b"a=1", "more_body": True})
        assert (await exchange.receive_output())["status"] == 403
        assert exchange.unread_input


async def test_a_client_that_leaves_in_its_form_gets_no_answer_and_is_no_error(visitor: Visitor) -> None:
    await token_of(visitor)
    answer = await visitor.post(headers=FORM, chunks=[b"a=1", b"&b=2"], faults=Faults(leave_after_chunks=1))
    assert (answer.status, answer.error) == (0, None)


async def test_uploads_are_closed_when_the_request_has_ended() -> None:
    uploads: list[UploadFile] = []

    async def keep(scope: Scope, receive: Receive, send: Send) -> None:
        for value in (await Request(scope, receive).form()).values():
            uploads.extend([value] if isinstance(value, UploadFile) else [])
        await Response("kept")(scope, receive, send)

    visitor = Visitor(CSRFMiddleware(forms(), KEY))
    token = await token_of(visitor)
    visitor.app = CSRFMiddleware(keep, KEY)
    await visitor.post(headers=MULTIPART, body=multipart(csrf_token=token))
    assert [upload.file.closed for upload in uploads] == [True]


async def test_it_stands_in_the_stack_of_an_application() -> None:
    app: ASGIApp = MicroASGI(
        routes=forms().routes, middleware=[Middleware(SessionMiddleware, KEY), Middleware(CSRFMiddleware, KEY)]
    )
    visitor = Visitor(app)
    token = await token_of(visitor)
    answers: list[RawResponse] = [
        await visitor.post(headers=FORM, body=urlencode({"csrf_token": token}).encode()),
        await visitor.post(headers=FORM, body=b"a=1"),
    ]
    assert [answer.status for answer in answers] == [200, 403]


async def test_other_scopes_pass() -> None:
    async with Exchange(CSRFMiddleware(forms(), KEY), lifespan_scope()) as exchange:
        await exchange.send_input({"type": "lifespan.startup"})
        assert (await exchange.receive_output())["type"] == "lifespan.startup.complete"
        await exchange.send_input({"type": "lifespan.shutdown"})
        await exchange.receive_output()


def test_a_weak_key_is_refused_at_set_up() -> None:
    with pytest.raises(ConfigurationError, match="secret_key is missing"):
        CSRFMiddleware(forms())
