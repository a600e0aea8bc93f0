"""Origin protection: what a page of another site may not send, and everything else that may pass."""

from __future__ import annotations

from typing import Any

import pytest

from microasgi import HTTPException, MicroASGI, Middleware, Mount, Request, WebSocket
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import CORSMiddleware, OriginMiddleware
from microasgi.responses import Response
from microasgi.testing import Exchange, RawResponse, lifespan_scope, request, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

OURS, EVIL, SIBLING = "http://testserver", "https://evil.example", "http://blog.testserver"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await Response("done")(scope, receive, send)


async def post(headers: dict[str, str], app: ASGIApp | None = None, **options: Any) -> RawResponse:
    return await request(app or OriginMiddleware(answer), options.pop("method", "POST"), headers=headers, **options)


PASSES: list[tuple[str, dict[str, str]]] = [
    ("no browser", {}),
    ("a page of this origin", {"sec-fetch-site": "same-origin", "origin": OURS}),
    ("a page of this origin behind a proxy that changed the host", {"sec-fetch-site": "same-origin", "origin": EVIL}),
    ("a form of this origin without an origin", {"sec-fetch-site": "same-origin"}),
    ("the user, by the address bar or a bookmark", {"sec-fetch-site": "none"}),
    ("an older browser", {"origin": OURS}),
    ("whatever its case", {"origin": "HTTP://TestServer"}),
    ("the default port", {"origin": OURS, "host": "testserver:80"}),
    ("another port", {"origin": "http://testserver:8000", "host": "testserver:8000"}),
    ("https that a proxy ends", {"origin": "https://testserver"}),
    ("https that a proxy ends, by its port", {"origin": "https://testserver", "host": "testserver:443"}),
    ("an address", {"origin": "http://[::1]:8000", "host": "[::1]:8000"}),
]
REFUSED: list[tuple[str, dict[str, str]]] = [
    ("another site", {"sec-fetch-site": "cross-site", "origin": EVIL}),
    ("another site without an origin", {"sec-fetch-site": "cross-site"}),
    ("a redirect over another site", {"sec-fetch-site": "cross-site", "origin": OURS}),
    ("a sibling host", {"sec-fetch-site": "same-site", "origin": SIBLING}),
    ("a sibling without an origin", {"sec-fetch-site": "same-site"}),
    ("a word that is not in the standard", {"sec-fetch-site": "same-planet"}),
    ("an older browser on another site", {"origin": EVIL}),
    ("a sandboxed frame", {"origin": "null"}),
    ("nothing", {"origin": ""}),
    ("another port", {"origin": "http://testserver:8000"}),
    ("the port of the other scheme", {"origin": "http://testserver", "host": "testserver:443"}),
    ("a name that begins as ours", {"origin": "http://testserver.evil.example"}),
    ("a name that ends as ours", {"origin": "http://eviltestserver"}),
    ("our name as the user", {"origin": "http://testserver@evil.example"}),
    ("an empty host", {"origin": "http://", "host": ""}),
    ("bytes that are no text", {"origin": "http://test\xffserver"}),
]


@pytest.mark.parametrize(("who", "headers"), PASSES, ids=[who for who, _ in PASSES])
async def test_the_site_itself_and_what_is_no_browser_may_send(who: str, headers: dict[str, str]) -> None:
    assert (await post(headers)).status == 200


@pytest.mark.parametrize(("who", "headers"), REFUSED, ids=[who for who, _ in REFUSED])
async def test_a_page_of_another_site_may_not_send(who: str, headers: dict[str, str]) -> None:
    refused = await post(headers)
    assert (refused.status, refused.body) == (403, b"a page of another site may not send this request")


async def test_an_unencrypted_page_may_not_send_to_the_encrypted_site() -> None:
    assert (await post({"origin": "http://testserver"}, scheme="https")).status == 403
    assert (await post({"origin": "https://testserver"}, scheme="https")).status == 200


async def test_of_two_hosts_none_is_believed() -> None:
    headers = [("host", "testserver"), ("host", "evil.example"), ("origin", OURS)]
    assert (await request(OriginMiddleware(answer), "POST", headers=headers)).status == 403


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
async def test_what_changes_nothing_may_come_from_everywhere(method: str) -> None:
    assert (await post({"sec-fetch-site": "cross-site", "origin": EVIL}, method=method)).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY", "get", "PROPFIND"])
async def test_every_other_method_is_protected(method: str) -> None:
    assert (await post({"sec-fetch-site": "cross-site", "origin": EVIL}, method=method)).status == 403


async def test_a_client_that_prefers_json_is_refused_in_json() -> None:
    refused = await post({"origin": EVIL, "accept": "application/json"})
    assert refused.header(b"content-type") == b"application/problem+json"
    assert refused.json()["detail"] == "a page of another site may not send this request"


async def test_an_allowed_origin_may_send() -> None:
    app = OriginMiddleware(answer, allowed_origins=["HTTPS://Partner.example:8443", SIBLING])
    for headers in (
        {"sec-fetch-site": "cross-site", "origin": "https://partner.example:8443"},
        {"sec-fetch-site": "same-site", "origin": SIBLING},
        {"origin": SIBLING},
    ):
        assert (await post(headers, app)).status == 200
    assert (await post({"origin": "https://partner.example"}, app)).status == 403


async def test_what_cors_allows_may_send() -> None:
    protected = OriginMiddleware(answer)
    app = CORSMiddleware(protected, allow_origins=["https://partner.example"], allow_methods=["POST"])
    partner = {"sec-fetch-site": "cross-site", "origin": "https://partner.example"}
    assert (await post(partner, app)).status == 200
    assert (await post({"sec-fetch-site": "cross-site", "origin": EVIL}, app)).status == 403
    assert (await post(partner, protected, **{"microasgi.cors_allows": False})).status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/callback", 200),
        ("/callback/", 403),
        ("/callback/x", 403),
        ("/hooks/pay", 200),
        ("/hooks/", 200),
        ("/hooks", 403),
        ("/", 403),
        ("/x/callback", 403),
    ],
)
async def test_exempt_paths_take_requests_from_everywhere(path: str, status: int) -> None:
    app = OriginMiddleware(answer, exempt=["/callback", "/hooks/"])
    assert (await request(app, "POST", path, headers={"origin": EVIL})).status == status
    mounted = MicroASGI(routes=[Mount("/shop", app)])
    assert (await request(mounted, "POST", f"/shop{path}", headers={"origin": EVIL})).status == status


async def test_a_lifespan_passes() -> None:
    async with Exchange(OriginMiddleware(answer), lifespan_scope(), lint=False) as exchange:
        await exchange.wait_finished()


# Handshakes


async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def shake_hands(app: ASGIApp, headers: dict[str, str], path: str = "/", **options: Any) -> Message:
    async with Exchange(app, websocket_scope(path, headers=headers, **options)) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        return await exchange.receive_output()


@pytest.mark.parametrize(("who", "headers"), PASSES, ids=[who for who, _ in PASSES])
async def test_the_site_itself_and_what_is_no_browser_may_open_a_websocket(who: str, headers: dict[str, str]) -> None:
    assert (await shake_hands(OriginMiddleware(foreign), headers))["type"] == "websocket.accept"


@pytest.mark.parametrize(("who", "headers"), REFUSED, ids=[who for who, _ in REFUSED])
async def test_a_page_of_another_site_may_not_open_a_websocket(who: str, headers: dict[str, str]) -> None:
    assert (await shake_hands(OriginMiddleware(foreign), headers))["status"] == 403


async def test_an_unencrypted_page_may_not_open_a_websocket_of_the_encrypted_site() -> None:
    app = OriginMiddleware(foreign)
    assert (await shake_hands(app, {"origin": OURS}, scheme="wss"))["status"] == 403
    assert (await shake_hands(app, {"origin": "https://testserver"}, scheme="wss"))["type"] == "websocket.accept"


async def test_where_a_server_can_send_no_response_the_handshake_is_closed() -> None:
    refused = await shake_hands(OriginMiddleware(foreign), {"origin": EVIL}, extensions={})
    assert refused["type"] == "websocket.close"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_allowed_origins_exempt_paths_and_cors_open_websockets_too(site: str) -> None:
    app = OriginMiddleware(foreign, allowed_origins=[SIBLING], exempt=["/open"])
    evil = {"sec-fetch-site": site, "origin": EVIL}
    assert (await shake_hands(app, {**evil, "origin": SIBLING}))["type"] == "websocket.accept"
    assert (await shake_hands(app, evil, "/open"))["type"] == "websocket.accept"
    assert (await shake_hands(app, evil, **{"microasgi.cors_allows": True}))["type"] == "websocket.accept"
    assert (await shake_hands(app, evil))["status"] == 403


@pytest.mark.parametrize("allowed", [EVIL, "*"])
async def test_origins_that_the_application_allows_may_open_websockets_and_not_send(allowed: str) -> None:
    inside = MicroASGI(middleware=[OriginMiddleware], allowed_origins=[allowed])
    inside.mount("/", foreign)
    around = MicroASGI(allowed_origins=[allowed])
    around.mount("/", foreign)
    for app in (inside, OriginMiddleware(around)):
        assert (await shake_hands(app, {"origin": EVIL}))["type"] == "websocket.accept"
        assert (await post({"origin": EVIL}, app)).status == 403
    if allowed != "*":
        for headers in ({"origin": SIBLING}, {"sec-fetch-site": "cross-site"}):
            assert (await shake_hands(inside, headers))["status"] == 403


async def test_a_route_in_exempt_decides_itself_who_may_open_it() -> None:
    app = MicroASGI(middleware=[Middleware(OriginMiddleware, exempt=["/all", "/own"])])

    @app.websocket("/all", allowed_origins=["*"])
    @app.websocket("/own")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()

    assert (await shake_hands(app, {"origin": EVIL}, "/all"))["type"] == "websocket.accept"
    assert (await shake_hands(app, {"origin": EVIL}, "/own"))["status"] == 403


async def test_the_application_answers_a_refusal_as_it_answers_every_error() -> None:
    app = MicroASGI(middleware=[OriginMiddleware])

    @app.exception_handler(403)
    async def refused(request: Request, error: HTTPException) -> tuple[str, int]:
        return f"no: {error.detail}", 403

    assert (await post({"origin": EVIL}, app)).body == b"no: a page of another site may not send this request"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"allowed_origins": ["*"]}, "lets every site send requests in the name of your users"),
        ({"allowed_origins": ["null"]}, "allowed_origins has 'null'"),
        ({"allowed_origins": ["https://a.example/"]}, "without path or slash"),
        ({"allowed_origins": ["a.example"]}, "an origin is a scheme and a host"),
        ({"allowed_origins": [5]}, "allowed_origins has 5"),
        ({"allowed_origins": "https://a.example"}, r"write \['https://a.example'\]"),
        ({"exempt": "/callback"}, r"write \['/callback'\]"),
        ({"exempt": ["callback"]}, "exempt has 'callback'"),
        ({"exempt": ["/"]}, "exempt has '/'"),
    ],
)
def test_what_is_no_origin_or_path_is_refused_at_set_up(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        OriginMiddleware(answer, **options)
