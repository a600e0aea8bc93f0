"""The routes of the documentation page: what they serve, by which policy, and that every link is relative."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from microasgi import ConfigurationError, JSONResponse, MicroASGI, Mount, Request, Route, Router
from microasgi.openapi.page import docs_routes
from microasgi.testing import TestClient

ASSETS = Path(__file__).parents[2] / "microasgi" / "openapi" / "assets"
PARTS = sorted(part.name for part in (ASSETS / "docs").iterdir())


async def document(request: Request) -> JSONResponse:
    return JSONResponse({"openapi": "3.1.0"})


def routes(document_path: str = "/openapi.json", docs_path: str = "/docs", **options: Any) -> list[Route]:
    return [Route(document_path, document), *docs_routes("Shop", document_path, docs_path, **options)]


def links(client: TestClient, page: str) -> dict[str, str]:
    """Return what the page names, as URLs that the browser would ask for."""
    html = client.get(page).raise_for_status().text
    found = dict(re.findall(r'data-(document|root)="([^"]*)"', html))
    patterns = {"css": r'<link rel="stylesheet" href="([^"]*)"', "js": r'<script type="module" src="([^"]*)"'}
    found |= {name: value for name, pattern in patterns.items() for value in re.findall(pattern, html)}
    return {name: urljoin(f"http://testserver{page}", unescape(value)) for name, value in found.items()}


def test_the_page_its_script_and_its_style_are_served() -> None:
    with TestClient(MicroASGI(routes=routes())) as client:
        found = links(client, "/docs")
        assert client.get("/docs").headers["content-type"] == "text/html; charset=utf-8"
        assert client.get(found["css"]).headers["content-type"] == "text/css; charset=utf-8"
        assert client.get(found["js"]).headers["content-type"] == "text/javascript; charset=utf-8"
        script = client.get(found["js"]).text
        assert sorted(part.name for part in (ASSETS / "docs").iterdir() if part.read_text() in script) == PARTS
        assert client.head("/docs").content == b""


def test_the_page_is_not_part_of_the_document() -> None:
    assert [route.include_in_schema for route in docs_routes("Shop", "/openapi.json", "/docs")] == [False] * 3


def test_lists_of_routes_name_its_handlers_readably() -> None:
    names = [getattr(route.endpoint, "__qualname__", "") for route in docs_routes("Shop", "/openapi.json", "/docs")]
    assert names == ["docs", "asset", "asset"]


def test_the_policy_allows_this_origin_only_and_nothing_inline() -> None:
    with TestClient(MicroASGI(routes=routes())) as client:
        answer = client.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "require-trusted-types-for": "'script'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", answer.text)


def test_the_assets_are_kept_as_long_as_their_content_lasts() -> None:
    with TestClient(MicroASGI(routes=routes())) as client:
        found = links(client, "/docs")
        for name in ("css", "js"):
            headers = client.get(found[name]).headers
            assert re.search(r"\?v=[0-9a-f]{16}$", found[name])
            assert headers["cache-control"] == "public, max-age=31536000, immutable"
            assert headers["x-content-type-options"] == "nosniff"
            other = found[name].partition("?")[0] + "?v=of-another-version"
            assert client.get(other).headers["cache-control"] == "no-cache"
        page = client.get("/docs").headers
        assert (page["cache-control"], page["x-content-type-options"]) == ("no-cache", "nosniff")


@pytest.mark.parametrize(
    "document_path, docs_path",
    [
        ("/openapi.json", "/docs"),
        ("/openapi.json", "/docs/"),
        ("/openapi.json", "/"),
        ("/a/b/openapi.json", "/docs"),
        ("/openapi.json", "/a/b/docs"),
        ("/a/openapi.json", "/a/docs"),
        ("/x:y", "/z:w"),
        ("/ä b%", '/"docs"'),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/outer"])
def test_every_link_leads_to_what_it_names(document_path: str, docs_path: str, root_path: str) -> None:
    app = MicroASGI(routes=routes(document_path, docs_path))
    with TestClient(app, root_path=root_path) as client:
        found = links(client, root_path + docs_path)
        assert client.get(found["document"]).json() == {"openapi": "3.1.0"}
        assert client.get(found["css"]).headers["content-type"].startswith("text/css")
        assert client.get(found["js"]).headers["content-type"].startswith("text/javascript")
        assert found["root"] == f"http://testserver{root_path}/"


def included() -> MicroASGI:
    app = MicroASGI()
    app.include(Router(routes()), prefix="/api/v1")
    return app


@pytest.mark.parametrize(
    "app, prefix, root",
    [
        (included(), "/api/v1", "/"),
        (MicroASGI(routes=[Mount("/api/v1", MicroASGI(routes=routes()))]), "/api/v1", "/api/v1/"),
        (MicroASGI(routes=[Mount("/api/v1", routes=routes())]), "/api/v1", "/"),
        (MicroASGI(routes=[Mount("/x y", included())]), "/x%20y/api/v1", "/x%20y/"),
    ],
)
def test_links_work_below_a_prefix_and_below_a_mount(app: MicroASGI, prefix: str, root: str) -> None:
    with TestClient(app) as client:
        found = links(client, f"{prefix}/docs")
        assert found["document"] == f"http://testserver{prefix}/openapi.json"
        assert found["root"] == f"http://testserver{root}"
        assert client.get(found["document"]).json() == {"openapi": "3.1.0"}
        assert client.get(found["js"]).is_success


def test_a_page_at_the_root_of_a_mount_works_without_the_slash() -> None:
    app = MicroASGI(routes=[Mount("/a b", MicroASGI(routes=routes(docs_path="/")))])
    with TestClient(app) as client:
        page = client.get("/a%20b").url.path
        found = links(client, page)
        assert client.get(found["document"]).json() == {"openapi": "3.1.0"}
        assert client.get(found["js"]).is_success


def test_the_title_is_text() -> None:
    app = MicroASGI(routes=docs_routes("<script>alert(1)</script> & $css \ud800", "/openapi.json", "/docs"))
    with TestClient(app) as client:
        html = client.get("/docs").text
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt; &amp; $css ?</title>" in html
    assert html.count("<script") == 1


@pytest.mark.parametrize(
    "ui, assets, files",
    [
        ("swagger", "/static/swagger", ["/static/swagger/swagger-ui.css", "/static/swagger/swagger-ui-bundle.js"]),
        ("redoc", "https://cdn.example/redoc@2/", ["https://cdn.example/redoc@2/redoc.standalone.js"]),
        ("scalar", "https://cdn.example:8443/x y", ["https://cdn.example:8443/x%20y/standalone.js"]),
    ],
)
def test_another_page_is_loaded_from_its_folder_and_from_nowhere_else(ui: Any, assets: str, files: list[str]) -> None:
    with TestClient(MicroASGI(routes=routes(ui=ui, assets_url=assets))) as client:
        answer = client.get("/docs")
        for file in files:
            assert f'"{file}"' in answer.text
        folder = files[0].rpartition("/")[0] + "/"
        source = "'self'" if folder.startswith("/") else f"'self' {folder}"
        assert f"script-src {source};" in answer.headers["content-security-policy"]
        assert f'data-ui="{ui}"' in answer.text
        (script,) = re.findall(r'src="(\./[^"]*)"', answer.text)
        assert client.get(f"/{script}").headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("ui", ["swagger", "redoc", "scalar"])
def test_another_page_needs_to_be_told_where_its_files_are(ui: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"test_page\.py:\d+: ui='{ui}' needs assets_url="):
        docs_routes("Shop", "/openapi.json", "/docs", ui=ui)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/javascript,",
        "https://",
        "//cdn.example/x",
        "https://user:pw@cdn.example/",
        "https://cdn.example/?x=1",
        "/static#x",
        "/\\evil.example/x",
        "https://exämple.de/",
        "https://cdn.example;script-src *",
        "https://cdn.example, *",
        "https://[::1",
        "/static\r\nx: y",
        "static",
    ],
)
def test_a_folder_that_is_no_path_and_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="assets_url="):
        docs_routes("Shop", "/openapi.json", "/docs", ui="swagger", assets_url=url)


def test_nothing_breaks_out_of_the_policy() -> None:
    with TestClient(MicroASGI(routes=routes(ui="redoc", assets_url="https://cdn.example/a;b,c 'd\"e/"))) as client:
        policy = client.get("/docs").headers["content-security-policy"]
    assert "script-src 'self' https://cdn.example/a%3Bb%2Cc%20%27d%22e/;" in policy


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"ui": "other"}, "is none of 'builtin', 'swagger', 'redoc', 'scalar'"),
        ({"assets_url": "/static"}, "the built-in page brings its files"),
        ({"docs_path": "docs"}, "has to be a plain path"),
        ({"docs_path": "/docs/{version}"}, "has to be a plain path"),
        ({"document_path": "openapi.json"}, "has to be a plain path"),
    ],
)
def test_what_cannot_work_is_refused_when_the_routes_are_made(arguments: dict[str, Any], message: str) -> None:
    given = {"title": "Shop", "document_path": "/openapi.json", "docs_path": "/docs", **arguments}
    with pytest.raises(ConfigurationError, match=message):
        docs_routes(**given)
