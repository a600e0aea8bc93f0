"""SecurityHeadersMiddleware: the headers that tell a browser what it must not do with a page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from microasgi import HTMLResponse, MicroASGI, Middleware, PlainTextResponse, Request
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import SecurityHeadersMiddleware
from microasgi.testing import Exchange, RawResponse, TestClient, request, websocket_scope
from microasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

ALL = (
    "x-content-type-options",
    "referrer-policy",
    "x-frame-options",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "content-security-policy",
    "content-security-policy-report-only",
    "strict-transport-security",
)


def site(**options: Any) -> MicroASGI:
    app = MicroASGI(middleware=[Middleware(SecurityHeadersMiddleware, **options)])

    @app.get("/")
    async def home(request: Request) -> HTMLResponse:
        return HTMLResponse(request.scope.get("microasgi.csp_nonce", "none"))

    @app.get("/own")
    async def own() -> PlainTextResponse:
        return PlainTextResponse("own", headers={"x-frame-options": "SAMEORIGIN", "content-security-policy": "x"})

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("inside")

    return app


def added(answer: RawResponse) -> dict[str, str]:
    found = [(name.decode(), value.decode()) for name, value in answer.headers if name.decode() in ALL]
    assert len(found) == len(dict(found)), "each header once"
    return dict(found)


async def headers_of(path: str = "/", scheme: str = "http", **options: Any) -> dict[str, str]:
    return added(await request(site(**options), path=path, scheme=scheme))


async def policy_of(policy: dict[str, Any], **options: Any) -> str:
    return (await headers_of(content_security_policy=policy, **options))["content-security-policy"]


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


@pytest.mark.parametrize("path", ["/", "/broken", "/not-there"])
async def test_every_response_has_the_safe_defaults(path: str) -> None:
    assert await headers_of(path) == {
        "x-content-type-options": "nosniff",
        "referrer-policy": "strict-origin-when-cross-origin",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


async def test_each_header_but_nosniff_can_be_left_out() -> None:
    off = dict.fromkeys(("referrer_policy", "frame_options", "cross_origin_opener_policy"))
    assert await headers_of(scheme="https", cross_origin_resource_policy=None, hsts_max_age=None, **off) == {
        "x-content-type-options": "nosniff"
    }


async def test_a_header_of_the_handler_wins() -> None:
    found = await headers_of("/own", content_security_policy={"default-src": "'self'"})
    assert (found["x-frame-options"], found["content-security-policy"]) == ("SAMEORIGIN", "x")


async def test_a_constant_message_of_an_application_is_not_changed() -> None:
    start: dict[str, Any] = {"type": "http.response.start", "status": 204, "headers": []}

    async def constant(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    await request(SecurityHeadersMiddleware(constant))
    assert start["headers"] == []


async def test_other_scopes_pass() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async with Exchange(SecurityHeadersMiddleware(inner), websocket_scope(), lint=False) as exchange:
        await exchange.wait_finished()
    assert seen == ["websocket"]


def test_the_lifespan_passes() -> None:
    with TestClient(site()) as client:
        assert client.get("/").status_code == 200


# Strict-Transport-Security


@pytest.mark.parametrize(
    "options, value",
    [
        ({}, "max-age=31536000"),
        ({"hsts_max_age": 60}, "max-age=60"),
        ({"hsts_max_age": 0}, "max-age=0"),
        ({"hsts_include_subdomains": True}, "max-age=31536000; includeSubDomains"),
        (
            {"hsts_include_subdomains": True, "hsts_preload": True},
            "max-age=31536000; includeSubDomains; preload",
        ),
    ],
)
async def test_https_is_made_to_last_over_https_only(options: dict[str, Any], value: str) -> None:
    assert (await headers_of(scheme="https", **options))["strict-transport-security"] == value
    assert "strict-transport-security" not in await headers_of(**options)


# Content-Security-Policy


async def test_a_policy_is_written_as_text_or_lists() -> None:
    policy = {"default-src": "'self' https://cdn.example", "img-src": ["'self'", "data:"], "sandbox": ()}
    assert await policy_of(policy, frame_options=None) == (
        "default-src 'self' https://cdn.example; img-src 'self' data:; sandbox"
    )


@pytest.mark.parametrize(
    "frame_options, ancestors",
    [("DENY", "; frame-ancestors 'none'"), ("SAMEORIGIN", "; frame-ancestors 'self'"), (None, "")],
)
async def test_a_policy_says_of_frames_what_frame_options_do(frame_options: str | None, ancestors: str) -> None:
    assert await policy_of({"img-src": "*"}, frame_options=frame_options) == f"img-src *{ancestors}"


async def test_a_policy_that_names_its_frames_keeps_them() -> None:
    assert await policy_of({"frame-ancestors": "https://a.example"}) == "frame-ancestors https://a.example"


@pytest.mark.parametrize("source", ["{nonce}", "'nonce-{nonce}'", ["'self'", "{nonce}"]])
async def test_a_policy_that_asks_for_it_has_a_new_nonce_each_time(source: Any) -> None:
    app = site(content_security_policy={"script-src": source, "style-src": source})
    nonces = set[str]()
    for _ in range(3):
        answer = await request(app)
        nonce = answer.body.decode()
        assert added(answer)["content-security-policy"].count(f"'nonce-{nonce}'") == 2
        assert re.fullmatch(r"[A-Za-z0-9_-]{24}", nonce)
        nonces.add(nonce)
    assert len(nonces) == 3


async def test_no_nonce_is_made_for_a_policy_without() -> None:
    assert (await request(site(content_security_policy={"script-src": "'self'"}))).body == b"none"


async def test_a_policy_may_only_report_and_shares_the_nonce() -> None:
    app = site(
        content_security_policy={"script-src": "{nonce}"},
        content_security_policy_report_only={"style-src": ["{nonce}"], "report-uri": "/csp"},
    )
    answer = await request(app)
    nonce = f"'nonce-{answer.body.decode()}'"
    assert added(answer)["content-security-policy"] == f"script-src {nonce}; frame-ancestors 'none'"
    assert added(answer)["content-security-policy-report-only"] == f"style-src {nonce}; report-uri /csp"


# Permissions-Policy


async def test_permissions_name_those_who_have_them() -> None:
    policy = {"camera": [], "geolocation": ["self", "https://maps.example"], "fullscreen": ["*"]}
    found = await headers_of(permissions_policy=policy)
    assert found["permissions-policy"] == 'camera=(), geolocation=(self "https://maps.example"), fullscreen=*'


# Set-up


@pytest.mark.parametrize(
    "options, text",
    [
        ({"frame_options": "ALLOW"}, "X-Frame-Options: 'ALLOW' is unknown; write one of DENY, SAMEORIGIN, or None"),
        ({"referrer_policy": "none"}, "Referrer-Policy: 'none' is unknown; write one of no-referrer, "),
        ({"cross_origin_opener_policy": "same-site"}, "Cross-Origin-Opener-Policy: 'same-site' is unknown"),
        ({"cross_origin_resource_policy": "a\r\nb"}, "Cross-Origin-Resource-Policy: .* is unknown"),
        ({"hsts_max_age": -1}, "a number of seconds, or None"),
        ({"hsts_preload": True}, "needs hsts_include_subdomains=True"),
        ({"hsts_preload": True, "hsts_include_subdomains": True, "hsts_max_age": None}, "hsts_max_age=31536000"),
        ({"hsts_preload": True, "hsts_include_subdomains": True, "hsts_max_age": 60}, "hsts_max_age=31536000"),
        ({"content_security_policy": {"script_src": "'self'"}}, "'script_src' is no directive: write 'script-src'"),
        ({"content_security_policy": {"script-src": "self"}}, "needs its quotes: \"'self'\""),
        ({"content_security_policy": {"script-src": "nonce-abc"}}, "needs its quotes"),
        ({"content_security_policy": {"script-src": "sha256-abc="}}, "needs its quotes"),
        ({"content_security_policy": {"img-src": ["a.example; script-src *"]}}, "is no source"),
        ({"content_security_policy": {"img-src": "a.example,b.example"}}, "is no source"),
        ({"content_security_policy": {"img-src": "bücher.example"}}, "is no source"),
        ({"content_security_policy": {"img-src": ["a\r\nb"]}}, "is no source"),
        ({"content_security_policy_report_only": {"img-src": [""]}}, "is no source"),
        ({"permissions_policy": {"Camera": []}}, "'Camera' is no feature"),
        ({"permissions_policy": {"camera": "self"}}, r"write 'camera': \['self'\]"),
        ({"permissions_policy": {"camera": ["maps.example"]}}, "neither 'self' nor an origin"),
        ({"permissions_policy": {"camera": ['https://a"b']}}, "neither 'self' nor an origin"),
    ],
)
def test_what_browsers_would_ignore_is_refused_at_set_up(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        SecurityHeadersMiddleware(nothing, **options)


async def test_words_that_are_no_keywords_where_they_stand_need_no_quotes() -> None:
    assert await policy_of({"require-trusted-types-for": "'script'", "trusted-types": "script"}, frame_options=None)
