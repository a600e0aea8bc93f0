"""The debug page: what it shows of an exception and of a path without a route, and what it never does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial, wraps
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import ClientDisconnect, Host, HTTPException, MicroASGI, Mount, Request, Response, Route, Router
from microasgi.debugpage import debug_page
from microasgi.testing import TestClient, http_scope, request

pytestmark = pytest.mark.anyio
HTML = (b"accept", b"text/html,*/*;q=0.8")


def raising(error: Exception, **options: Any) -> MicroASGI:
    async def handler(request: Request) -> None:
        password, amount = "hunter2", "<u>5</u>"
        raise error if password and amount else KeyError

    return MicroASGI(routes=[Route("/{name}", handler)], **{"debug": True, **options})


async def read(app: MicroASGI, path: str = "/page", *headers: tuple[bytes, bytes], method: str = "GET") -> str:
    answer = await request(app, method, path, headers=[HTML, (b"host", b"localhost"), *headers])
    return answer.body.decode()


class Outline(HTMLParser):
    """Tags with their attributes and the text, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def names(self) -> set[str]:
        return {tag for tag, _ in self.tags}


# Who gets which


async def test_a_browser_gets_a_page() -> None:
    answer = await request(raising(ValueError("too much")), path="/page", headers=[HTML])
    assert answer.status == 500
    assert answer.header(b"content-type") == b"text/html; charset=utf-8"
    assert "ValueError: too much" in answer.body.decode()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        *([(b"accept", accept)] for accept in (b"*/*", b"application/json", b"text/html;q=0, text/plain")),
        *([(b"accept", accept)] for accept in (b"Text/HTML ; level=1; Q=0.00", b"x-text/html")),
    ],
)
async def test_other_clients_get_the_traceback_as_text(headers: list[tuple[bytes, bytes]]) -> None:
    answer = await request(raising(ValueError("\ud800")), path="/page", headers=headers)
    assert answer.header(b"content-type") == b"text/plain; charset=utf-8"
    assert answer.body.startswith(b"Traceback (most recent call last)")
    assert answer.body.endswith(b"ValueError: \\ud800\n")


@pytest.mark.parametrize("accept", [b"text/html", b"text/plain, Text/HTML;q=0.01", b"text/html;q=0,text/html;level=1"])
async def test_html_that_is_asked_for_in_any_way_is_given(accept: bytes) -> None:
    answer = await request(raising(ValueError()), path="/page", headers=[(b"accept", accept)])
    assert answer.header(b"content-type") == b"text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/page", "/nothing/here"])
async def test_nobody_gets_it_without_debug(path: str) -> None:
    page = await read(raising(ValueError("inside"), debug=False), path)
    assert page in {"Internal Server Error", "Not Found"}


async def test_a_mounted_application_without_debug_shows_none_in_one_with_it() -> None:
    inner = MicroASGI(routes=[Route("/x", raising(ValueError("inside")).routes[0].endpoint)])  # type: ignore[attr-defined]
    app = MicroASGI(debug=True, routes=[Mount("/inner", inner)])
    assert await read(app, "/inner/x") == "Internal Server Error"
    assert await read(app, "/inner/y") == "Not Found"


async def test_a_handler_for_the_error_goes_first() -> None:
    app = raising(ValueError(), exception_handlers={ValueError: lambda request, error: "mine", 404: lambda *_: "lost"})
    assert await read(app) == "mine"
    assert await read(app, "/no/route") == "lost"


@pytest.mark.parametrize("error", [HTTPException(418, "a teapot"), HTTPException(400, "wrong")])
async def test_other_http_exceptions_are_answered_as_ever(error: HTTPException) -> None:
    assert await read(raising(error)) == error.detail


async def test_a_client_that_left_gets_no_page() -> None:
    assert debug_page(Request(http_scope(headers=[HTML])), ClientDisconnect()) is None


def test_the_pages_are_loaded_when_they_are_needed() -> None:
    code = "import sys, microasgi; print([name for name in sys.modules if 'debug' in name or 'tracebacks' in name])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"


# An exception


async def test_the_page_shows_exception_request_and_source() -> None:
    page = Outline(await read(raising(ValueError("too much")), "/page?a=1"))
    for text in (
        "ValueError",
        "too much",
        "GET",
        "http://localhost/page?a=1",
        "raise error",
        "Route('/{name}'",
        "'page'",
    ):
        assert text in page.text


async def test_ones_own_calls_are_open_and_others_folded() -> None:
    page = Outline(await read(raising(ValueError())))
    details = [attributes for tag, attributes in page.tags if tag == "details"]
    assert details[0] == {"class": "folded"}  # the entrance
    assert "open" in details[1]  # the handler
    assert details[2] == {}  # its variables, not before they are asked for


async def test_several_calls_of_others_are_one_line() -> None:
    def handler(request: Request) -> Any:
        return Path("nowhere").joinpath(5)  # type: ignore[arg-type]

    page = Outline(await read(MicroASGI(debug=True, routes=[Route("/page", handler)])))
    assert "calls in microasgi, anyio" in page.text
    assert "Path" in page.text


async def test_an_error_without_calls_of_ones_own_shows_the_last_one() -> None:
    async def handler(request: Request) -> Any:
        return object()

    page = Outline(await read(MicroASGI(debug=True, routes=[Route("/page", handler)])))
    details = [attributes for tag, attributes in page.tags if tag == "details"]
    assert "returned object, which is no response" in page.text
    assert {"open": None} in details


async def test_causes_groups_and_notes_are_shown() -> None:
    error = ValueError("second")
    error.__cause__ = KeyError("first")
    error.add_note("noted")
    page = Outline(await read(raising(ExceptionGroup("both", [error, TypeError("third")]))))
    for text in ("both", "second", "Raised directly from", "'first'", "third", "Number 2 of 2 in the group", "noted"):
        assert text in page.text
    assert ("section", {"class": "inner"}) in page.tags


async def test_a_deep_recursion_is_cut() -> None:
    def handler(request: Request) -> Any:
        return handler(request)

    page = await read(MicroASGI(debug=True, routes=[Route("/page", handler)]))
    assert "calls in the middle are left out" in page
    assert len(page) < 1_000_000


async def test_code_without_source_says_so() -> None:
    async def handler(request: Request) -> Any:
        exec("1 / 0")

    assert "There is no source to be shown" in await read(MicroASGI(debug=True, routes=[Route("/page", handler)]))


async def test_secrets_are_masked_and_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SETTING", "s3cr3t-environment")
    secrets = [(b"cookie", b"id=s3cr3t"), (b"authorization", b"Basic s3cr3t"), (b"x-api-key", b"s3cr3t")]
    page = await read(raising(ValueError()), "/page", *secrets, (b"x-shown", b"yes"))
    assert "s3cr3t" not in page
    assert "<td>cookie</td><td><code>********</code>" in page
    assert "<td>x-shown</td><td><code>yes</code>" in page
    assert "<td>password</td><td><code>********</code>" in page


async def test_secrets_in_urls_are_masked() -> None:
    referer = b"http://me:s3cr3t@localhost/?a=1&token=s3cr3t&%74oken=s3cr3t&next=/x?key=s3cr3t"
    headers = [
        (b"referer", referer),
        (b"x-jwt", b"s3cr3t"),
        (b"x-said", b"password=s3cr3t"),
        (b"x-uri", b"/?pw=s,s3cr3t"),
    ]
    app = raising(ValueError())
    answer = await request(
        app, path="/page?a=1&token=s3cr3t,s3cr3t&b=2", headers=[HTML, (b"host", b"localhost"), *headers]
    )
    page = answer.body.decode()
    assert "s3cr3t" not in page
    assert page.count("http://localhost/page?a=1&amp;token=********&amp;b=2") == 2  # at the top, and in the text


async def test_a_path_parameter_with_a_secret_name_is_masked() -> None:
    app = MicroASGI(debug=True, routes=[Route("/{token}", raising(ValueError()).routes[0].endpoint)])  # type: ignore[attr-defined]
    assert "<td>{token}</td><td><code>********</code>" in await read(app)


async def test_a_request_without_client_or_route_is_shown_too() -> None:
    app = MicroASGI(debug=True)

    @app.middleware
    async def fail(request: Request, call_next: object) -> Response:
        raise ValueError

    answer = await request(app, headers=[HTML], client=None)
    assert "not known" in answer.body.decode()
    assert "none was found" in answer.body.decode()


async def test_the_text_can_be_copied() -> None:
    page = await read(raising(ValueError("</textarea><b>")))
    outline = Outline(page)
    assert ("button", {"id": "copy", "hidden": None}) in outline.tags
    assert page.count("</textarea>") == 1
    assert "Traceback (most recent call last)" in outline.text


# What it never does


async def test_the_page_loads_nothing_and_its_policy_says_so() -> None:
    answer = await request(raising(ValueError()), path="/page", headers=[HTML])
    page = Outline(answer.body.decode())
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "href"}]
    assert links == ["data:,"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]
    policy = (answer.header(b"content-security-policy") or b"").decode()
    assert policy.startswith("default-src 'none'; ")
    (nonce,) = {attributes["nonce"] for tag, attributes in page.tags if tag in {"style", "script"}}
    assert f"'nonce-{nonce}'" in policy
    assert answer.header(b"cache-control") == b"no-store"


async def test_the_nonce_is_that_of_the_security_headers() -> None:
    scope: dict[str, Any] = {"microasgi.csp_nonce": "n0nce"}
    answer = await request(raising(ValueError()), path="/page", headers=[HTML], **scope)
    assert '<script nonce="n0nce">' in answer.body.decode()


SAFE = Outline(
    debug_page(Request(http_scope(headers=[HTML])), ValueError("x")).body.decode()  # type: ignore[union-attr]
).names | {"b", "mark"}

nasty = st.text() | st.sampled_from(
    ["<script>alert(1)</script>", "'\"><img src=x onerror=y>", "</textarea></style>", "&lt;"]
)


@given(nasty, nasty, st.binary(), nasty)
def test_any_text_in_exception_path_and_header_is_escaped(message: str, path: str, header: bytes, value: str) -> None:
    error = ValueError(message)
    error.add_note(value)
    error.__cause__ = KeyError(value)
    headers = [HTML, (b"x-<b>", header), (b"host", header)]
    scope = {**http_scope(headers=headers, path_params={value: value}), "path": f"/{path}", "query_string": header}
    for case in (error, HTTPException(404, message), HTTPException(405, message, {"allow": value})):
        request: Request = Request({**scope, "app": raising(error)})
        try:
            answer = debug_page(request, case)
        except ValueError:  # a header that no response can have: the usual answer says so
            continue
        assert answer is not None
        page = Outline(bytes(answer.body).decode())
        assert page.names <= SAFE | {"ul", "li", "a", "thead", "th", "tbody", "span"}
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


async def test_variables_are_escaped() -> None:
    page = await read(raising(ValueError()))
    assert "&lt;u&gt;5&lt;/u&gt;" in page
    assert "<u>5" not in page


# A path without a route


class Thing:
    """An ASGI application without routes."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise HTTPException(404, "no such thing")


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def call(request: Request) -> Any:
        return await function(request)

    return call


@decorated
async def items(request: Request) -> None:
    raise HTTPException(404, "no such item", {"x-kept": "yes"})


async def save(request: Request) -> None: ...


async def live(websocket: Any) -> None: ...


def shop() -> MicroASGI:
    app = MicroASGI(debug=True)
    app.add_route("/about us", save)
    app.add_route("/items/{id:int}", items, name="item")
    app.add_route("/items", save, methods=["POST", "PUT"])
    app.add_route("//odd", save)
    app.add_route("/any", Thing())
    app.add_route("/partial", partial(save))
    app.add_websocket_route("/live", live)
    app.mount("/thing", Thing(), name="things")
    app.mount("/admin", Router([Route("/users", save, name="users")]), name="admin")
    app.host("{tenant}.example.org", Router([Route("/home", save)]))
    return app


async def test_a_path_without_a_route_shows_the_routes() -> None:
    answer = await request(shop(), path="/nowhere", headers=[HTML])
    page = Outline(answer.body.decode())
    assert answer.status == 404
    for text in ("Not Found", "/nowhere", "No route has this path", "/items/{id:int}", "POST, PUT", "websocket", "any"):
        assert text in page.text
    for text in ("/admin/users", "admin:users", "mount", "{tenant}.example.org", "Thing", "test_debugpage.py:"):
        assert text in page.text


async def test_the_endpoint_is_shown_with_its_place_also_through_decorators() -> None:
    line = items.__wrapped__.__code__.co_firstlineno  # type: ignore[attr-defined]
    assert f"test_debugpage.py:{line}<" in await read(shop(), "/nowhere")


async def test_only_what_can_be_visited_is_a_link() -> None:
    page = Outline(await read(shop(), "/nowhere"))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert set(links) == {"/about%20us", "/admin/users", "/partial", "/home"}


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/abuot us", "/about us"),
        ("/item/5", "/items/{id:int}"),
        ("/Items/5", "/items/{id:int}"),
        ("/admin/user", "/admin/users"),
        ("/admin/users/", "/admin/users"),
    ],
)
async def test_near_paths_are_named(path: str, near: str) -> None:
    page = Outline(await read(shop(), path, method="DELETE"))
    assert near in page.text.partition("Near to it")[2].partition("The routes")[0]


async def test_a_long_path_is_compared_in_part() -> None:
    assert "Near to it" not in await read(shop(), "/" + "a/" * 20_000)


async def test_a_path_without_a_route_for_the_method_says_which_there_are() -> None:
    answer = await request(shop(), "DELETE", "/items", headers=[HTML])
    assert (answer.status, answer.header(b"allow")) == (405, b"POST, PUT")
    page = Outline(answer.body.decode())
    assert "none of them answers DELETE. Allowed: POST, PUT." in page.text
    assert "Near to it" not in page.text


async def test_a_404_of_a_handler_says_where_it_was_raised() -> None:
    answer = await request(shop(), path="/items/5", headers=[HTML])
    page = Outline(answer.body.decode())
    assert answer.header(b"x-kept") == b"yes"
    assert "no such item" in page.text
    assert "Route('/items/{id:int}'" in page.text
    assert "raised at test" in page.text.replace("raised at tests/", "raised at test")


async def test_a_404_of_a_mounted_application_names_the_mount() -> None:
    assert "Mount(" in Outline(await read(shop(), "/thing/x")).text


async def test_a_404_that_was_not_raised_has_no_place() -> None:
    scope = http_scope(headers=[HTML], route="the route")
    page = debug_page(Request(scope), HTTPException(404))
    assert page is not None
    assert "answer of <code>&#x27;the route&#x27;</code>.</p>" in bytes(page.body).decode()


@pytest.mark.parametrize("headers", [[], [(b"accept", b"application/json")]])
async def test_other_clients_get_the_usual_404(headers: list[tuple[bytes, bytes]]) -> None:
    answer = await request(shop(), path="/nowhere", headers=headers)
    assert b"/items" not in answer.body


async def test_headers_of_the_usual_body_are_not_those_of_the_page() -> None:
    error = HTTPException(404, headers={"Content-Type": "text/csv", "content-length": "5", "x-kept": "yes"})
    answer = await request(raising(error), path="/page", headers=[HTML])
    assert answer.header(b"content-type") == b"text/html; charset=utf-8"
    assert answer.header(b"x-kept") == b"yes"


async def test_an_application_without_routes_says_so() -> None:
    assert "has no routes yet" in await read(MicroASGI(debug=True))


async def test_the_routes_below_a_mount_are_shown_with_its_path() -> None:
    inner = MicroASGI(debug=True, routes=[Route("/users", save)])
    app = MicroASGI(debug=True, routes=[Mount("/admin", inner)])
    assert '<a href="/admin/users">' in await read(app, "/admin/nobody")


async def test_the_routes_of_a_router_in_a_mount_are_those_of_the_application() -> None:
    answer = await request(shop(), path="/admin/nobody", headers=[HTML], root_path="/root")
    assert '<a href="/root/admin/users">' in answer.body.decode()


def test_applications_mounted_in_each_other_are_shown_to_some_depth() -> None:
    app, other = MicroASGI(debug=True), MicroASGI()
    app.mount("/again", other)
    other.mount("/again", app)
    page = debug_page(Request(http_scope(headers=[HTML], app=app)), HTTPException(404))
    assert page is not None
    assert bytes(page.body).decode().count("<td><code>" + "/again" * 6 + "</code></td>") == 1


async def test_of_many_routes_the_first_are_shown() -> None:
    app = MicroASGI(debug=True, routes=[Route(f"/page{n}", save) for n in range(600)])
    page = await read(app, "/nowhere")
    assert "Only the first 500 are shown" in page
    assert "/page501" not in page


async def test_another_frameworks_routes_are_left_out_where_they_are_odd() -> None:
    class Odd:
        routes = "none"

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert "/odd" in await read(MicroASGI(debug=True, routes=[Mount("/odd", Odd()), Host("x.org", Odd())]), "/nowhere")


# In a browser


@pytest.mark.browser
def test_both_pages_in_a_browser(chromium: str, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    client = TestClient(raising(ValueError("too <much>")), raise_server_exceptions=False)

    def answer(route: Any) -> None:
        found = client.get(route.request.url, headers=dict(route.request.headers))
        route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**/*", answer)
        page.goto("http://testserver/page")
        assert page.inner_text("h1") == "too <much>"
        page.get_by_text("Variables").first.click()
        assert page.get_by_text("<u>5</u>", exact=False).last.is_visible()
        page.get_by_role("button", name="Copy").click()
        page.get_by_role("button", name="Copied").wait_for()
        page.goto("http://testserver/no/where")
        assert page.inner_text("h1") == "Not Found"
        assert page.locator("tbody tr").count() == 1
        browser.close()
    expected = "Failed to load resource: the server responded with a status of"  # what the statuses are
    assert [text for text in complaints if not text.startswith(expected)] == []
