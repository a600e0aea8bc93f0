"""Pages from templates: what is escaped, what stands in every context, blocks alone, streams, and clear mistakes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import (
    ConfigurationError,
    HTTPConnection,
    HTTPException,
    MicroASGI,
    Mount,
    NoMatchFound,
    Request,
    Response,
    Route,
    Router,
    WebSocket,
    WebSocketRoute,
)
from microasgi.exceptions import MissingPackage
from microasgi.files import StaticFiles
from microasgi.templates import Jinja2Templates
from microasgi.testing import RawResponse, TestClient, WebSocketDenialResponse, http_scope, request

pytestmark = pytest.mark.anyio
ATTACK = "<script>alert(1)</script>"
FILES = {
    "base.html": (
        "<h1>{% block title %}Shop{% endblock %}</h1>{% set currency = 'EUR' %}"
        "<main>{% block main %}all in {{ currency }}{% endblock %}</main><footer>{{ missing.name }}</footer>"
    ),
    "macros.html": "{% macro price(amount) %}<b>{{ amount }}</b>{% endmacro %}",
    "macro_url.html": "{% macro home() %}{{ url_for('home') }}{% endmacro %}",
    "page.html": (
        "{% extends 'base.html' %}{% import 'macros.html' as macros %}{% set count = 3 %}"
        "{% block main %}{{ super() }}: {{ count }} for {{ macros.price(amount) }}"
        "{% block row %}<i>{{ name }}</i>{% endblock %}{% endblock %}"
    ),
    "dynamic.html": "{% extends parent %}{% block main %}mine{% endblock %}",
    "name.html": "{{ name }}",
    "name.svg": "{{ name }}",
    "mail/name.txt": "{{ name }}",
    "broken.html": "{{ 1 / 0 }}",
    "broken_block.html": "{% block main %}{{ 1 / 0 }}{% endblock %}",
    "including.html": "{% include 'nmae.html' %}",
    "large.html": "{% for n in range(20000) %}line {{ n }}\n{% endfor %}",
    "late.html": "{% for n in range(20000) %}line {{ n }}\n{% endfor %}{{ 1 / 0 }}",
    "async.html": "{% block main %}{{ wait() }}:{% for one in many() %}{{ one }}{% endfor %}{% endblock %}",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "templates"


@pytest.fixture
def templates(directory: Path) -> Jinja2Templates:
    return Jinja2Templates(directory)


def inline(source: str, **more: str) -> Jinja2Templates:
    loader = jinja2.DictLoader({"page.html": source, **more})
    return Jinja2Templates(env=jinja2.Environment(loader=loader, autoescape=True))


def some_request(**scope: Any) -> Request:
    return Request(http_scope(**scope))


def text_of(response: Response) -> str:
    return bytes(response.body).decode()


def rendered(templates: Jinja2Templates, name: str, context: Mapping[str, Any] | None = None, **options: Any) -> str:
    return text_of(templates.TemplateResponse(some_request(), name, context, **options))


# The response


async def test_a_page_is_rendered_with_its_context(templates: Jinja2Templates) -> None:
    response = templates.TemplateResponse(
        some_request(), "name.html", {"name": "Ada"}, 201, {"x-a": "b"}, "application/xhtml+xml"
    )
    assert text_of(response) == "Ada"
    assert response.status_code == 201
    assert response.headers["x-a"] == "b"
    assert response.headers["content-type"] == "application/xhtml+xml"
    assert templates.TemplateResponse(some_request(), "name.html").headers["content-type"] == "text/html; charset=utf-8"


async def test_the_background_runs_after_the_page(templates: Jinja2Templates) -> None:
    seen: list[str] = []

    async def later() -> None:
        seen.append("later")

    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "name.html", background=later)

    await request(MicroASGI(routes=[Route("/", page)]))
    assert seen == ["later"]


def test_a_test_client_sees_template_and_context(templates: Jinja2Templates) -> None:
    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "name.html", {"name": "Ada"})

    response: Any = TestClient(MicroASGI(routes=[Route("/", page)])).get("/")
    assert (response.text, response.template.name, response.context["name"]) == ("Ada", "name.html", "Ada")


def test_an_exception_handler_answers_a_handshake_with_a_page(templates: Jinja2Templates) -> None:
    async def chat(websocket: WebSocket) -> None:
        raise HTTPException(404, "no such room")

    async def problem(connection: HTTPConnection, error: Exception) -> Response:
        return await templates.respond(connection, "name.html", {"name": "nowhere"}, 404)

    app = MicroASGI(routes=[WebSocketRoute("/", chat)], exception_handlers={HTTPException: problem})
    with pytest.raises(WebSocketDenialResponse) as refusal:
        with TestClient(app).websocket_connect("/"):
            pass
    assert (refusal.value.status_code, refusal.value.text) == (404, "nowhere")


async def test_a_page_can_refuse_a_handshake(templates: Jinja2Templates) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    response = templates.TemplateResponse(some_request(extensions={"http.response.debug": {}}), "name.html")
    await response({"type": "websocket", "extensions": {"websocket.http.response": {}}}, None, send)  # type: ignore[arg-type]
    assert sent == ["websocket.http.response.start", "websocket.http.response.body"]


async def test_a_context_that_is_passed_is_not_written_to(templates: Jinja2Templates) -> None:
    context = {"name": "Ada"}
    for render in (templates.TemplateResponse, templates.respond, templates.stream):
        result = render(some_request(), "name.html", context)
        await result if not isinstance(result, Response) else None
    assert context == {"name": "Ada"}


async def test_the_order_of_arguments_of_old_is_pointed_out(templates: Jinja2Templates) -> None:
    with pytest.raises(TypeError, match=r"TemplateResponse\(request, 'name\.html'"):
        templates.TemplateResponse("name.html", {"request": some_request()})  # type: ignore[arg-type]


async def test_an_error_in_a_template_is_answered_as_any_other(templates: Jinja2Templates) -> None:
    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "broken.html")

    app = MicroASGI(routes=[Route("/", page)], exception_handlers={ZeroDivisionError: lambda *_: ("sorry", 500)})
    assert (await request(app)).body == b"sorry"


# Escaping


@pytest.mark.parametrize("name", ["name.html", "name.svg", "mail/name.txt"])
def test_every_template_escapes_whatever_its_suffix(templates: Jinja2Templates, name: str) -> None:
    assert rendered(templates, name, {"name": ATTACK}) == "&lt;script&gt;alert(1)&lt;/script&gt;"


def test_templates_are_left_unescaped_by_name(directory: Path) -> None:
    templates = Jinja2Templates(directory, unescaped=["mail/*"])
    assert rendered(templates, "mail/name.txt", {"name": ATTACK}) == ATTACK
    assert ATTACK not in rendered(templates, "name.svg", {"name": ATTACK})
    assert templates.env.from_string("{{ name }}").render(name=ATTACK) != ATTACK


@pytest.mark.parametrize("autoescape", [False, None, 0, "", []])
def test_an_environment_that_escapes_nothing_is_refused(autoescape: Any) -> None:
    with pytest.raises(ConfigurationError, match="autoescape=True"):
        Jinja2Templates(env=jinja2.Environment(autoescape=autoescape))


@given(st.text())
def test_any_text_is_escaped(text: str) -> None:
    page = rendered(inline("{{ name }}"), "page.html", {"name": text.encode("utf-8", "ignore").decode()})
    assert not set("<>\"'") & set(page)


# Names in every context


def shop(templates: Jinja2Templates, static: Path | None = None) -> MicroASGI:
    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html")

    inner = Router([Route("/users/{name}", page, name="user")])
    routes: list[Any] = [Route("/", page, name="home"), Mount("/admin", inner, name="admin")]
    if static is not None:
        routes.append(Mount("/static", StaticFiles(directory=static), name="static"))
    app = MicroASGI(routes=routes)
    app.host("{tenant}.example.org", Router([Route("/there", page, name="there")]), name="tenant")
    return app


async def body(app: MicroASGI, path: str = "/", **scope: Any) -> str:
    answer: RawResponse = await request(app, path=path, **scope)
    return answer.body.decode()


@pytest.mark.parametrize("function", ["url_for", "url_path_for"])
async def test_links_are_paths_relative_to_the_request(function: str) -> None:
    templates = inline(f"{{{{ {function}('home') }}}} {{{{ {function}('admin:user', name='a b') }}}}")
    assert await body(shop(templates)) == "/ /admin/users/a%20b"
    assert (
        await body(shop(templates), root_path="/root", headers=[(b"host", b"evil")]) == "/root/ /root/admin/users/a%20b"
    )


async def test_a_link_within_a_mount_is_below_it() -> None:
    assert await body(shop(inline("{{ url_for('user', name='x') }}")), "/admin/users/y") == "/admin/users/x"


async def test_a_link_to_another_host_names_it() -> None:
    templates = inline("{{ url_for('tenant:there', tenant='a') }}")
    assert await body(shop(templates), headers=[(b"host", b"localhost")]) == "http://a.example.org/there"


async def test_the_absolute_url_is_asked_of_the_request() -> None:
    templates = inline("{{ request.url_for('home') }}")
    assert await body(shop(templates), headers=[(b"host", b"localhost")]) == "http://localhost/"


async def test_a_link_in_a_macro_needs_its_context() -> None:
    macro = FILES["macro_url.html"]
    with_context = inline("{% import 'm' as m with context %}{{ m.home() }}", m=macro)
    assert await body(shop(with_context)) == "/"
    without = inline("{% import 'm' as m %}{{ m.home() }}", m=macro)
    with pytest.raises(RuntimeError, match="with context"):
        rendered(without, "page.html")


async def test_an_own_function_of_the_environment_stays() -> None:
    env = jinja2.Environment(loader=jinja2.DictLoader({"page.html": "{{ url_for('home') }}"}), autoescape=True)
    env.globals["url_for"] = lambda name: f"own {name}"
    assert await body(shop(Jinja2Templates(env=env))) == "own home"


async def test_the_nonce_of_the_policy_is_there() -> None:
    templates = inline('<script nonce="{{ csp_nonce }}">')
    assert rendered(templates, "page.html") == '<script nonce="">'
    assert await body(shop(templates), **{"microasgi.csp_nonce": "n0nce"}) == '<script nonce="n0nce">'


async def test_the_token_against_forged_requests_is_there() -> None:
    templates = inline("{{ csrf_token() }} {{ csrf_input() }}")
    scope: dict[str, Any] = {"microasgi.csrf_token": lambda: 'a"b'}
    field = '<input type="hidden" name="csrf_token" value="a&#34;b">'
    assert await body(shop(templates), **scope) == f"a&#34;b {field}"
    assert 'name="other"' in await body(shop(templates), **scope, **{"microasgi.csrf_field": "other"})


def test_a_token_without_its_middleware_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="CSRFMiddleware"):
        rendered(inline("{{ csrf_input() }}"), "page.html")


# Assets


@pytest.fixture
def static(tmp_path: Path) -> Path:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "site.css").write_text("body{}")
    return tmp_path / "static"


async def test_an_asset_has_a_hash_in_its_name_and_is_served_by_it(static: Path) -> None:
    for name in ("site.css", "/site.css"):
        app = shop(inline(f"{{{{ asset_url('{name}') }}}}"), static)
        path = await body(app)
        assert path.startswith("/static/site.")
        assert path != "/static/site.css"
        assert (await request(app, path=path)).body == b"body{}"
        assert (await body(app, root_path="/root")) == "/root" + path
        assert (await body(app, "/admin/users/x", root_path="/root")) == "/root" + path


async def test_the_assets_of_the_answering_application_come_first(static: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "site.css").write_text("i{}")
    inner = shop(inline("{{ asset_url('site.css') }}"), tmp_path / "more")
    app = MicroASGI(routes=[Mount("/static", StaticFiles(directory=static)), Mount("/{shop}", inner)])
    app.mount("/{other}/x", Router())
    assert (await body(app, "/inner/")).startswith("/inner/static/site.")


async def test_an_asset_that_is_not_there_says_where_it_was_looked_for(static: Path) -> None:
    app = shop(inline("{{ asset_url('stie.css') }}"), static)
    with pytest.raises(NoMatchFound, match=r"stie\.css.*static"):
        TestClient(app).get("/")


async def test_an_asset_without_static_files_says_what_to_mount() -> None:
    with pytest.raises(NoMatchFound, match=r"StaticFiles\(directory="):
        rendered(inline("{{ asset_url('x.css') }}"), "page.html")


async def test_applications_mounted_in_each_other_are_searched_to_some_depth() -> None:
    app, other = MicroASGI(), MicroASGI()
    app.mount("/again", other)
    other.mount("/again", app)
    with pytest.raises(NoMatchFound):
        inline("{{ asset_url('x.css') }}").TemplateResponse(some_request(app=app), "page.html")


# Context processors


async def test_context_processors_add_names_and_a_calls_own_go_first(directory: Path) -> None:
    def user(request: Request) -> dict[str, Any]:
        return {"name": "of the processor", "path": request.url.path}

    templates = Jinja2Templates(directory, context_processors=[user])
    assert rendered(templates, "name.html") == "of the processor"
    assert rendered(templates, "name.html", {"name": "of the call"}) == "of the call"


async def test_an_async_context_processor_is_awaited(directory: Path) -> None:
    async def user(request: Request) -> dict[str, Any]:
        return {"name": "Ada"}

    templates = Jinja2Templates(directory, context_processors=[user, lambda request: {}])
    assert text_of(await templates.respond(some_request(), "name.html")) == "Ada"
    with pytest.raises(RuntimeError, match=r"user.*await templates\.respond"):
        templates.TemplateResponse(some_request(), "name.html")


async def test_async_processors_are_known_in_every_form(directory: Path) -> None:
    class User:
        async def __call__(self, request: Request) -> dict[str, Any]:
            return {}

    async def of(name: str, request: Request) -> dict[str, Any]:
        return {}

    for processor in (User(), partial(of, "x")):
        with pytest.raises(RuntimeError, match=r"templates\.respond"):
            Jinja2Templates(directory, context_processors=[processor]).TemplateResponse(some_request(), "name.html")


async def test_a_processor_that_returns_no_names_is_named(directory: Path) -> None:
    async def hidden(request: Request) -> dict[str, Any]:
        return {}

    def nothing(request: Request) -> Any:
        return None

    for processor in (nothing, lambda request: hidden(request)):
        with pytest.raises(TypeError, match="context processor"):
            Jinja2Templates(directory, context_processors=[processor]).TemplateResponse(some_request(), "name.html")
    with pytest.raises(TypeError, match="nothing returned NoneType"):
        await Jinja2Templates(directory, context_processors=[nothing]).respond(some_request(), "name.html")


# Blocks


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("row", "<i>Ada</i>"),
        ("main", "all in EUR: 3 for <b>5</b><i>Ada</i>"),
        ("title", "Shop"),
    ],
)
async def test_a_block_is_rendered_alone_as_it_is_in_the_page(
    templates: Jinja2Templates, block: str, text: str
) -> None:
    context = {"name": "Ada", "amount": 5}
    assert rendered(templates, "page.html", context, block=block) == text
    assert rendered(templates, f"page.html#{block}", context) == text
    assert text_of(await templates.respond(some_request(), f"page.html#{block}", context)) == text
    assert text in rendered(templates, "page.html", {**context, "missing": {}})


async def test_a_block_is_rendered_alone_in_an_async_environment(directory: Path) -> None:
    templates = Jinja2Templates(directory, enable_async=True)
    page = await templates.respond(some_request(), "page.html", {"name": "Ada", "amount": 5}, block="main")
    assert text_of(page) == "all in EUR: 3 for <b>5</b><i>Ada</i>"
    with pytest.raises(ZeroDivisionError):
        await templates.respond(some_request(), "broken_block.html#main")


CHOOSING = """{% if name %}before{% set who = name %}{% block inner %}{{ 1 // 0 }}{% endblock %}{% elif other %}
{% macro greet() %}hello {{ other }}{% endmacro %}{% set who = greet() %}{% else %}{% set who = "nobody" %}{% endif %}
{% if name %}{{ 1 // 0 }}{% endif %}{% block main %}for {{ who }}{% endblock %}"""


@pytest.mark.parametrize(
    ("context", "text"), [({"name": "Ada"}, "for Ada"), ({"other": "Eve"}, "for hello Eve"), ({}, "for nobody")]
)
def test_a_block_has_what_is_set_on_a_condition_outside_of_it(context: dict[str, Any], text: str) -> None:
    templates = Jinja2Templates(env=jinja2.Environment(loader=jinja2.DictLoader({"p.html": CHOOSING}), autoescape=True))
    assert rendered(templates, "p.html", context, block="main") == text


def test_a_block_escapes_too(templates: Jinja2Templates) -> None:
    assert rendered(templates, "page.html#row", {"name": ATTACK}) == "<i>&lt;script&gt;alert(1)&lt;/script&gt;</i>"


def test_a_block_of_a_page_whose_parent_is_chosen_at_run_time_is_found(templates: Jinja2Templates) -> None:
    assert rendered(templates, "dynamic.html#main", {"parent": "base.html"}) == "mine"


def test_a_block_that_is_not_there_names_those_that_are(templates: Jinja2Templates) -> None:
    with pytest.raises(LookupError, match=r"'page.html' has no block 'rwo'; did you mean 'row'\? Its blocks: 'main', "):
        rendered(templates, "page.html#rwo")
    with pytest.raises(LookupError, match="Its blocks: none"):
        rendered(templates, "name.html#row")


def test_an_error_in_a_block_names_the_line_of_the_template(templates: Jinja2Templates) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        rendered(templates, "broken_block.html#main")
    assert any("broken_block.html" in str(entry.path) for entry in caught.traceback)


def test_a_changed_template_gives_a_changed_block(templates: Jinja2Templates, directory: Path) -> None:
    assert rendered(templates, "page.html#title") == "Shop"
    path = directory / "page.html"
    path.write_text(FILES["page.html"] + "{% block title %}New{% endblock %}")
    os.utime(path, (1, 1))
    assert rendered(templates, "page.html#title") == "New"


# Large pages


async def test_a_large_page_is_rendered_in_a_thread(templates: Jinja2Templates) -> None:
    seen: list[int] = []
    templates.env.globals["where"] = lambda: seen.append(threading.get_ident())
    loader = jinja2.DictLoader({"page.html": "{{ where() }}"})
    templates.env.loader = loader
    await templates.respond(some_request(), "page.html")
    assert seen != [threading.get_ident()]


@pytest.mark.parametrize("enable_async", [False, True])
async def test_a_page_is_streamed_in_chunks(directory: Path, enable_async: bool) -> None:
    templates = Jinja2Templates(directory, enable_async=enable_async)

    async def page(request: Request) -> Response:
        return await templates.stream(request, "large.html", None, 201, {"x-a": "b"})

    answer = await request(MicroASGI(routes=[Route("/", page)]))
    assert answer.body.decode() == "".join(f"line {n}\n" for n in range(20000))
    assert (answer.status, answer.header(b"content-length"), answer.header(b"x-a")) == (201, None, b"b")
    assert answer.header(b"content-type") == b"text/html; charset=utf-8"
    response = await templates.stream(some_request(), "large.html")
    sizes = [len(chunk) async for chunk in response.body_iterator]
    assert all(size >= 16 * 1024 for size in sizes[:-1])
    assert len(sizes) > 5


@pytest.mark.parametrize("enable_async", [False, True])
async def test_an_error_at_the_head_of_a_stream_is_answered(directory: Path, enable_async: bool) -> None:
    templates = Jinja2Templates(directory, enable_async=enable_async)
    with pytest.raises(ZeroDivisionError):
        await templates.stream(some_request(), "broken.html")
    with pytest.raises(jinja2.TemplateNotFound, match=r"did you mean 'name\.html'"):
        await templates.stream(some_request(), "including.html")


async def test_a_block_is_not_streamed(templates: Jinja2Templates) -> None:
    with pytest.raises(ValueError, match=r"return await templates\.respond\(request, 'page\.html#row', \.\.\.\)"):
        await templates.stream(some_request(), "page.html#row")


async def test_a_late_error_in_a_stream_ends_the_connection(templates: Jinja2Templates) -> None:
    async def page(request: Request) -> Response:
        return await templates.stream(request, "late.html")

    with pytest.raises(ZeroDivisionError):
        await request(MicroASGI(routes=[Route("/", page)]))


async def test_templates_may_await(directory: Path) -> None:
    async def wait() -> str:
        return ATTACK

    async def many() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    templates = Jinja2Templates(directory, enable_async=True)
    context = {"wait": wait, "many": many}
    for name in ("async.html", "async.html#main"):
        page = await templates.respond(some_request(), name, context)
        assert text_of(page) == "&lt;script&gt;alert(1)&lt;/script&gt;:012"
    with pytest.raises(RuntimeError, match=r"enable_async.*await templates\.respond"):
        templates.TemplateResponse(some_request(), "async.html", context)


# What is looked for, and not found


def test_several_directories_are_searched_in_order(directory: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "name.html").write_text("first")
    templates = Jinja2Templates([first, str(directory)])
    assert rendered(templates, "name.html") == "first"
    assert rendered(templates, "name.svg", {"name": "second"}) == "second"


def test_packages_are_searched_after_directories(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("templates", "pages"):
        (tmp_path / "themed_shop" / folder).mkdir(parents=True)
        (tmp_path / "themed_shop" / folder / f"of_{folder}.html").write_text(f"of {folder}")
        (tmp_path / "themed_shop" / folder / "name.html").write_text("of the package")
    (tmp_path / "themed_shop" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    templates = Jinja2Templates(directory, packages=["themed_shop", ("themed_shop", "pages")])
    assert rendered(templates, "of_templates.html") == "of templates"
    assert rendered(templates, "of_pages.html") == "of pages"
    assert rendered(templates, "name.html", {"name": "of the directory"}) == "of the directory"
    with pytest.raises(jinja2.TemplateNotFound, match=r"themed_shop.*did you mean 'of_pages\.html'"):
        Jinja2Templates(packages=[("themed_shop", "pages")]).get_template("of_page.html")
    with pytest.raises(ConfigurationError, match="'themed_shop', at 'nowhere'"):
        Jinja2Templates(packages=[("themed_shop", "nowhere")])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, r"directory=\.\.\.\), packages= or env="),
        ({"directory": []}, "is empty"),
        ({"directory": ""}, "is a path"),
        ({"directory": [5]}, "is a path"),
        ({"directory": "no/such/directory"}, r"no/such/directory does not exist \(given 'no/such/directory'\)"),
        ({"directory": __file__}, "is no directory"),
        ({"directory": "conftest_is_not_here"}, "does not exist"),
        ({"packages": "shop"}, r"packages=\['shop'\]"),
        ({"packages": ["no_such_package"]}, "no_such_package"),
        ({"env": "env"}, r"jinja2\.Environment"),
        ({"env": jinja2.Environment(autoescape=True), "strict": True}, "env= and nothing else"),
        ({"directory": ".", "unescaped": "*.txt"}, r"unescaped=\['\*\.txt'\]"),
        ({"directory": ".", "context_processors": len}, "is a list"),
        ({"directory": ".", "context_processors": [5]}, "not 5"),
    ],
)
def test_a_mistake_is_found_when_templates_are_set_up_with_its_place(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        Jinja2Templates(**options)
    assert "test_templates.py:" in str(caught.value)


def test_a_directory_beside_the_file_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    file = tmp_path / "app.py"
    code = compile("from microasgi.templates import Jinja2Templates\nJinja2Templates('pages')", str(file), "exec")
    with pytest.raises(ConfigurationError, match=r"write directory=Path\(__file__\)\.parent / 'pages'"):
        exec(code, {"__name__": "app"})


def test_a_relative_directory_stays_what_it_was(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    templates = Jinja2Templates("templates")
    monkeypatch.chdir("/")
    assert rendered(templates, "name.html", {"name": "x"}) == "x"


def test_a_missing_package_is_named_with_its_extra(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingPackage, match=r"microasgi\[templates\]"):
        Jinja2Templates(directory)


@pytest.mark.parametrize(
    ("name", "near"),
    [("nmae.html", "'name.html'"), ("name.txt", "'mail/name.txt'"), ("macro.html", "'macros.html'")],
)
def test_a_missing_template_says_where_it_was_looked_for_and_what_is_near(
    templates: Jinja2Templates, directory: Path, name: str, near: str
) -> None:
    with pytest.raises(jinja2.TemplateNotFound) as caught:
        templates.get_template(name)
    assert f"no template {name!r} in {directory}; did you mean {near}" in str(caught.value)


def test_a_missing_template_without_near_names_says_where_it_was_looked_for(templates: Jinja2Templates) -> None:
    with pytest.raises(jinja2.TemplateNotFound, match="no template 'zzzzz' in .*templates$"):
        templates.get_template("zzzzz")


def test_a_template_that_a_template_includes_is_explained_too(templates: Jinja2Templates) -> None:
    with pytest.raises(jinja2.TemplateNotFound, match=r"'nmae\.html' in .*did you mean 'name\.html'"):
        rendered(templates, "including.html")


def test_of_several_missing_templates_all_are_named() -> None:
    with pytest.raises(jinja2.TemplateNotFound, match="'a' or 'b'"):
        rendered(inline("{% include ['a', 'b'] %}"), "page.html")


def test_a_loader_that_cannot_list_explains_too() -> None:
    env = jinja2.Environment(loader=jinja2.FunctionLoader(lambda name: None), autoescape=True)
    with pytest.raises(jinja2.TemplateNotFound, match="FunctionLoader"):
        Jinja2Templates(env=env).get_template("page.html")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "mail/../../secret.txt"])
def test_no_name_leads_out_of_the_directory(templates: Jinja2Templates, directory: Path, name: str) -> None:
    (directory.parent / "secret.txt").write_text("secret")
    with pytest.raises(jinja2.TemplateNotFound):
        templates.get_template(name)


def test_an_undefined_name_is_nothing_or_an_error_when_strict(directory: Path) -> None:
    assert rendered(Jinja2Templates(directory), "name.html") == ""
    with pytest.raises(jinja2.UndefinedError, match="'name' is undefined"):
        rendered(Jinja2Templates(directory, strict=True), "name.html")
