"""CORSMiddleware: which other sites' pages may read what is here."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import HTTPException, MicroASGI, Middleware, PlainTextResponse, Request
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import CORSMiddleware
from microasgi.testing import Exchange, RawResponse, lifespan_scope, request, websocket_scope
from microasgi.types import ASGIApp, Message, RawHeaders, Receive, Scope, Send

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example"
OTHER = "https://other.example"


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


def site(**options: Any) -> MicroASGI:
    """An application behind CORSMiddleware, with an answer of every kind."""
    app = MicroASGI(middleware=[Middleware(CORSMiddleware, **options)])

    @app.get("/")
    async def home(request: Request) -> dict[str, Any]:
        return {"allowed": request.scope.get("microasgi.cors_allows", False)}

    @app.get("/own")
    async def own() -> PlainTextResponse:
        return PlainTextResponse(
            "own", headers={"access-control-allow-origin": "https://own.example", "vary": "accept-encoding, Cookie"}
        )

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("inside")

    @app.options("/")
    async def options_of_its_own() -> str:
        return "own options"

    return app


async def get(app: Any, path: str = "/", origin: str | None = SHOP, **headers: str) -> RawResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await request(app, "GET", path, headers=sent if origin is None else {"origin": origin, **sent})


async def preflight(app: Any, method: str = "GET", origin: str = SHOP, **asked: str) -> RawResponse:
    more = {f"access-control-request-{name.replace('_', '-')}": value for name, value in asked.items()}
    headers = {"origin": origin, "access-control-request-method": method, **more}
    return await request(app, "OPTIONS", "/", headers=headers)


def text_of(answer: RawResponse, name: str) -> str | None:
    values = [value.decode() for key, value in answer.headers if key == name.encode()]
    assert len(values) < 2, f"{name} was sent twice"
    return values[0] if values else None


# Responses


async def test_a_page_of_an_allowed_origin_may_read_the_response() -> None:
    answer = await get(site(allow_origins=[OTHER, SHOP]))
    assert text_of(answer, "access-control-allow-origin") == SHOP
    assert text_of(answer, "vary") == "Origin"


async def test_a_page_of_another_origin_gets_the_response_without_leave_to_read_it() -> None:
    answer = await get(site(allow_origins=[SHOP], allow_credentials=True, expose_headers=["x-count"]), origin=OTHER)
    assert (answer.status, text_of(answer, "vary")) == (200, "Origin")
    assert not [name for name, _ in answer.headers if name.startswith(b"access-control-")]


async def test_a_request_without_origin_is_answered_with_vary_when_the_answer_depends_on_it() -> None:
    answer = await get(site(allow_origins=[SHOP]), origin=None)
    assert text_of(answer, "vary") == "Origin"
    assert text_of(answer, "access-control-allow-origin") is None


@pytest.mark.parametrize("origin", [None, SHOP])
async def test_a_star_is_sent_to_everyone_and_needs_no_vary(origin: str | None) -> None:
    answer = await get(site(allow_origins=["*"]), origin=origin)
    assert text_of(answer, "access-control-allow-origin") == "*"
    assert text_of(answer, "vary") is None


async def test_origin_joins_the_names_that_vary_has() -> None:
    answer = await get(site(allow_origins=[SHOP]), "/own")
    assert text_of(answer, "vary") == "accept-encoding, Cookie, Origin"


async def test_what_the_response_says_itself_is_replaced_for_an_allowed_origin_only() -> None:
    app = site(allow_origins=[SHOP])
    assert text_of(await get(app, "/own"), "access-control-allow-origin") == SHOP
    assert text_of(await get(app, "/own", OTHER), "access-control-allow-origin") == "https://own.example"


async def test_credentials_and_readable_headers_are_sent_to_an_allowed_origin() -> None:
    answer = await get(site(allow_origins=[SHOP], allow_credentials=True, expose_headers=["x-count", "x-page"]))
    assert text_of(answer, "access-control-allow-credentials") == "true"
    assert text_of(answer, "access-control-expose-headers") == "x-count, x-page"


@pytest.mark.parametrize("path, status", [("/teapot", 418), ("/nothing", 404), ("/broken", 500)])
async def test_errors_404_and_500_behind_it_carry_its_headers(path: str, status: int) -> None:
    answer = await get(site(allow_origins=[SHOP]), path)
    assert (answer.status, text_of(answer, "access-control-allow-origin")) == (status, SHOP)


async def test_405_behind_it_carries_its_headers() -> None:
    answer = await request(site(allow_origins=[SHOP]), "DELETE", "/own", headers={"origin": SHOP})
    assert (answer.status, text_of(answer, "access-control-allow-origin")) == (405, SHOP)


async def test_a_constant_message_of_an_application_is_not_changed() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": []}

    async def constant(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    app = CORSMiddleware(constant, allow_origins=[SHOP])
    for _ in range(2):
        assert len((await get(app)).headers) == 2
    assert start["headers"] == []


# Origins


async def test_a_pattern_has_to_match_the_whole_origin() -> None:
    app = site(allow_origin_regex=r"https://[a-z]+\.example\.com")
    assert text_of(await get(app, origin="https://a.example.com"), "access-control-allow-origin")
    for origin in (
        "https://a.example.com.evil.net",
        "http://evil.net#https://a.example.com",
        "https://a.example.com\n",
    ):
        answer = await request(app, headers=[("origin", origin)], lint=False)
        assert text_of(answer, "access-control-allow-origin") is None


async def test_a_pattern_is_not_asked_about_an_endless_or_unprintable_origin() -> None:
    app = site(allow_origin_regex=r"(?s)https://.*")
    for origin in ("https://" + "a" * 600, "https://a\x01", "https://\xe9"):
        answer = await request(app, headers=[("origin", origin)], lint=False)
        assert text_of(answer, "access-control-allow-origin") is None


@pytest.mark.parametrize(
    "written, sent",
    [
        ("https://Shop.Example", SHOP),
        ("https://shop.example:443", SHOP),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
    ],
)
async def test_an_origin_may_be_written_as_people_do(written: str, sent: str) -> None:
    assert text_of(await get(site(allow_origins=[written]), origin=sent), "access-control-allow-origin") == sent


@pytest.mark.parametrize(
    "options, allowed",
    [
        ({"allow_origins": [SHOP]}, True),
        ({"allow_origin_regex": "https://shop.*"}, True),
        ({"allow_origins": ["*", SHOP]}, True),
        ({"allow_origins": ["*"]}, False),
        ({"allow_origins": [OTHER]}, False),
    ],
)
async def test_the_scope_tells_those_inside_whether_the_origin_is_allowed_by_name(
    options: dict[str, Any], allowed: bool
) -> None:
    assert (await get(site(**options))).json() == {"allowed": allowed}


@pytest.mark.parametrize("credentials", [True, False])
async def test_a_request_with_cookies_is_allowed_only_where_credentials_are(credentials: bool) -> None:
    app = site(allow_origins=[SHOP], allow_credentials=credentials)
    assert (await get(app, cookie="session=1")).json() == {"allowed": credentials}


# Preflights


async def test_a_preflight_is_answered_before_the_application() -> None:
    answer = await preflight(site(allow_origins=[SHOP], allow_methods=["PUT", "GET"], max_age=60), "PUT")
    assert (answer.status, answer.body) == (200, b"OK")
    assert text_of(answer, "access-control-allow-origin") == SHOP
    assert text_of(answer, "access-control-allow-methods") == "GET, PUT"
    assert text_of(answer, "access-control-max-age") == "60"
    assert text_of(answer, "access-control-allow-headers") == "Accept, Accept-Language, Content-Language, Content-Type"
    assert "Access-Control-Request-Headers" in (text_of(answer, "vary") or "")


async def test_options_that_is_no_preflight_goes_to_the_application() -> None:
    app = site(allow_origins=[SHOP])
    answer = await request(app, "OPTIONS", headers={"origin": SHOP})
    assert (answer.body, text_of(answer, "access-control-allow-origin")) == (b"own options", SHOP)
    answer = await request(app, "OPTIONS", headers={"access-control-request-method": "GET"})
    assert answer.body == b"own options"


@pytest.mark.parametrize(
    "asked, wrong",
    [
        ({"origin": OTHER}, "origin"),
        ({"method": "DELETE"}, "method"),
        ({"method": "get"}, "method"),
        ({"headers": "x-key, x-other"}, "headers"),
        ({"headers": "x-key,,x key"}, "headers"),
        ({"private_network": "true"}, "private network"),
        ({"origin": OTHER, "method": "DELETE", "headers": "a"}, "origin, method, headers"),
    ],
)
async def test_a_preflight_is_refused_and_told_why(asked: dict[str, str], wrong: str) -> None:
    answer = await preflight(site(allow_origins=[SHOP], allow_headers=["X-Key"]), **asked)
    assert (answer.status, answer.body.decode()) == (400, f"Not allowed by CORS: {wrong}")
    assert "Origin" in (text_of(answer, "vary") or "")


async def test_headers_are_compared_without_case() -> None:
    answer = await preflight(site(allow_origins=[SHOP], allow_headers=["X-Key"]), headers="x-key, CONTENT-TYPE")
    assert answer.status == 200
    assert "X-Key" in (text_of(answer, "access-control-allow-headers") or "")


async def test_all_headers_are_allowed_by_naming_those_that_were_asked_for() -> None:
    app = site(allow_origins=[SHOP], allow_headers=["*"])
    answer = await preflight(app, headers="X-One,x-two ")
    assert text_of(answer, "access-control-allow-headers") == "X-One, x-two"
    assert text_of(await preflight(app), "access-control-allow-headers") is None
    broken = await request(
        app,
        "OPTIONS",
        headers={"origin": SHOP, "access-control-request-method": "GET", "access-control-request-headers": "x\x00"},
        lint=False,
    )
    assert broken.status == 400


async def test_all_methods_may_be_allowed() -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "QUERY"):
        assert (await preflight(site(allow_origins=["*"], allow_methods=["*"]), method)).status == 200


async def test_a_private_network_may_be_entered_where_that_is_allowed() -> None:
    answer = await preflight(site(allow_origins=[SHOP], allow_private_network=True), private_network="true")
    assert text_of(answer, "access-control-allow-private-network") == "true"


async def test_a_preflight_for_everyone_and_one_with_credentials() -> None:
    answer = await preflight(site(allow_origins=["*"], expose_headers=["x-count"]))
    assert text_of(answer, "access-control-allow-origin") == "*"
    assert text_of(answer, "access-control-expose-headers") is None
    answer = await preflight(site(allow_origins=[SHOP], allow_credentials=True))
    assert text_of(answer, "access-control-allow-credentials") == "true"


@settings(max_examples=50)
@given(
    origin=st.text(st.characters(max_codepoint=255), max_size=40),
    method=st.text(st.characters(max_codepoint=255), max_size=10),
    headers=st.text(st.characters(max_codepoint=255), max_size=40),
)
def test_whatever_a_preflight_asks_the_answer_is_legal(origin: str, method: str, headers: str) -> None:
    app = CORSMiddleware(nothing, allow_origin_regex="(?s).*", allow_headers=["*"], allow_methods=["*"])
    sent = [("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", headers)]
    start = anyio.run(answer_to, app, [(name.encode(), value.encode("latin-1")) for name, value in sent])
    assert start["status"] in (200, 400)
    assert all(byte >= 32 for _, value in start["headers"] for byte in value)


async def answer_to(app: ASGIApp, headers: RawHeaders) -> Message:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app({"type": "http", "method": "OPTIONS", "headers": headers}, no_body, send)
    return messages[0]


async def no_body() -> Message:
    return {"type": "http.request"}


# Scopes that are not http, and set-up


async def test_other_scopes_pass() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    app = CORSMiddleware(inner)
    for scope in (websocket_scope(), lifespan_scope()):
        async with Exchange(app, scope, lint=False) as exchange:
            await exchange.wait_finished()
    assert seen == ["websocket", "lifespan"]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"allow_origins": ["*"], "allow_credentials": True}, "every site could read"),
        ({"allow_origins": ["null"], "allow_credentials": True}, "every site could read"),
        ({"allow_origin_regex": ".*", "allow_credentials": True}, "every site could read"),
        ({"allow_origin_regex": "https?://.+", "allow_credentials": True}, "every site could read"),
        ({"allow_origins": SHOP}, "allow_origins is a list, write allow_origins="),
        ({"allow_methods": "GET"}, "allow_methods is a list"),
        ({"allow_headers": "x-key"}, "allow_headers is a list"),
        ({"expose_headers": "x-key"}, "expose_headers is a list"),
        ({"allow_headers": ["x-key, x-other"]}, "'x-key, x-other' in allow_headers is no name"),
        ({"expose_headers": ["x\r\nkey"]}, "in expose_headers is no name"),
        ({"allow_methods": [""]}, "'' in allow_methods is no name"),
        ({"allow_origins": ["https://shop.example/"]}, "without a path or a slash at the end"),
        ({"allow_origins": ["shop.example"]}, "an origin is scheme and host"),
        ({"allow_origins": ["https://bücher.example"]}, "an origin is scheme and host"),
        ({"allow_origins": ["https://*.shop.example"]}, "write a pattern, as in allow_origin_regex"),
        ({"allow_origin_regex": "https://("}, "is no pattern"),
    ],
)
def test_what_cannot_work_is_refused_at_set_up(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        CORSMiddleware(nothing, **options)
