"""The documentation page: routes that serve our own page for an OpenAPI document, or somebody else's.

The law of this file: the page loads nothing that its policy does not name, every link in it is relative to where it
stands, and all that it needs is read and checked when the routes are made.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from posixpath import dirname, relpath
from string import Template
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from microasgi.exceptions import ConfigurationError
from microasgi.openapi.surroundings import surroundings_of
from microasgi.requests import Request
from microasgi.responses import HTMLResponse, Response
from microasgi.routes import Route, whereabouts
from microasgi.types import Scope

__all__ = ["UI", "docs_routes"]

UI: TypeAlias = Literal["builtin", "swagger", "redoc", "scalar"]
_Handler: TypeAlias = Callable[[Request[Any]], Awaitable[Response]]

# What each of the others is made of, below `assets_url`: scripts, style sheets.
_BUNDLES: Final[dict[str, tuple[str, str | None]]] = {
    "swagger": ("swagger-ui-bundle.js", "swagger-ui.css"),
    "redoc": ("redoc.standalone.js", None),
    "scalar": ("standalone.js", None),
}
# A path, or a URL without user, query and fragment: what browsers and we read in the same way.
_is_folder: Final = re.compile(
    r"(?P<origin>https?://[A-Za-z0-9.-]+(:[0-9]+)?(?=/|$))?(/(?!/)[^\\?#\x00-\x1f]*|(?<=.)$)"
).fullmatch
# One script to the browser, of parts that can be read.
_PARTS: Final = (
    *("elements", "reading", "schemas", "samples", "fields"),
    *("requests", "answers", "credentials", "operations", "page"),
)
_IN_URLS: Final = "/:@!$&'()*+,;=~"
_CLOSED: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OWN_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    f"require-trusted-types-for 'script'; {_CLOSED}"
)


def docs_routes(
    title: str, document_path: str, docs_path: str, *, ui: UI = "builtin", assets_url: str | None = None
) -> list[Route]:
    """Return the routes of a page that shows the OpenAPI document at `document_path`, for one router.

    The page stands at `docs_path`, what it loads below it. `ui` other than "builtin" takes its files from
    `assets_url`, the folder of its bundle: a path of this site or a URL, which the page's policy then allows.
    ConfigurationError for paths with parameters, an unknown `ui`, or one whose `assets_url` is missing or unsafe.
    """
    where = whereabouts()
    for path in (document_path, docs_path):
        if not path.startswith("/") or "{" in path:
            raise ConfigurationError(f"{where}: {path!r} has to be a plain path, as in '/docs'")
    if ui == "builtin":
        if assets_url is not None:
            raise ConfigurationError(f"{where}: the built-in page brings its files; assets_url goes with another ui=")
        page = _Page("docs.html", _OWN_POLICY, title, document_path, docs_path, ("docs.css", "docs.js"))
        return page.routes()
    if ui not in _BUNDLES:
        raise ConfigurationError(f"{where}: ui={ui!r} is none of 'builtin', {', '.join(map(repr, _BUNDLES))}")
    if not assets_url:
        raise ConfigurationError(f"{where}: ui={ui!r} needs assets_url=, the folder of its files, as in '/static/{ui}'")
    folder, source = _folder(assets_url, where)
    script, style = _BUNDLES[ui]
    tag = f'<link rel="stylesheet" href="{escape(folder + style)}">' if style else ""
    values = {"ui": ui, "bundle": escape(folder + script), "style": tag}
    return _Page("other.html", _policy(source), title, document_path, docs_path, ("other.js",), values).routes()


def _folder(url: str, where: str) -> tuple[str, str]:
    """Return the URL with a slash at its end, quoted, and the source for the policy that stands for it."""
    match = _is_folder(url)
    if match is None:
        raise ConfigurationError(
            f"{where}: assets_url={url!r} has to be a path from the root, as in '/static/ui', or a plain http(s) URL"
        )
    folder = quote(url.rstrip("/") + "/", safe=_IN_URLS + "%[]")
    return folder, quote(folder, safe="/:@!$&()*+=~%[]") if match["origin"] else "'self'"


def _policy(source: str) -> str:
    """Return the Content-Security-Policy for a bundle from elsewhere; these write styles and start a worker."""
    sources = " ".join(dict.fromkeys(["'self'", source]))
    return (
        f"default-src 'none'; script-src {sources}; style-src {sources} 'unsafe-inline'; img-src {sources} data:; "
        f"font-src {sources} data:; connect-src 'self'; worker-src blob:; {_CLOSED}"
    )


@dataclass(frozen=True)
class _Page:
    """One page with its assets: an HTML template, and files that it links to with the hash of what they hold."""

    template: str
    policy: str
    title: str
    document_path: str
    docs_path: str
    assets: tuple[str, ...]
    values: dict[str, str] | None = None

    def routes(self) -> list[Route]:
        base = self.docs_path.rstrip("/")
        contents = {name: _read(name) for name in self.assets}
        versions = {name: sha256(content).hexdigest()[:16] for name, content in contents.items()}
        links = {"document": self._relative(self.document_path)}
        for name, version in versions.items():
            links[name.partition(".")[2]] = self._relative(f"{base}/{name}") + f"?v={version}"
        fixed = {**(self.values or {}), "title": escape(self.title)}
        routes = [Route(self.docs_path, self._handler(links, fixed), name="docs", include_in_schema=False)]
        for name, content in contents.items():
            handler = _asset(content, versions[name], "text/css" if name.endswith(".css") else "text/javascript")
            routes.append(Route(f"{base}/{name}", handler, name=name, include_in_schema=False))
        return routes

    def _relative(self, path: str) -> str:
        """Return the reference from the page to a path of the same router (RFC 3986 section 4.2)."""
        return quote("./" + relpath(path, dirname(self.docs_path)), safe=_IN_URLS)

    def _handler(self, links: dict[str, str], fixed: dict[str, str]) -> _Handler:
        template = Template(_read(self.template).decode())
        headers = {
            "content-security-policy": self.policy,
            "cache-control": "no-cache",
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
        }

        async def docs(request: Request[Any]) -> Response:
            own, root = _places(request.scope)
            linked = {name: escape(own + link) for name, link in links.items()}
            html = template.substitute(fixed, root=escape(root), **linked)
            return HTMLResponse(html.encode(errors="replace"), headers=headers)

        docs.__qualname__ = "docs"  # as lists of routes show it
        return docs


def _places(scope: Scope) -> tuple[str, str]:
    """Return two references from the page: to what its links are relative to, and to the root of its application."""
    root: str = (scope.get("root_path") or "").rstrip("/")
    inner: str = scope["path"][len(root) :]
    own = "" if inner else f"./{quote(root.rpartition('/')[2])}/"  # the root of a mount, asked for without its slash
    below: str = scope["path"][len(surroundings_of(scope)[1]) :]
    return own, "../" * (below.count("/") - 1) or own or "./"


def _asset(content: bytes, version: str, media_type: str) -> _Handler:
    safe = {"x-content-type-options": "nosniff"}
    lasting = {"cache-control": "public, max-age=31536000, immutable", **safe}
    # While a new version comes up, pages of one meet servers of the other.
    passing = {"cache-control": "no-cache", **safe}

    async def asset(request: Request[Any]) -> Response:
        asked = request.query_params.get("v")
        return Response(content, headers=lasting if asked == version else passing, media_type=media_type)

    asset.__qualname__ = "asset"
    return asset


def _read(name: str) -> bytes:
    folder = files("microasgi").joinpath("openapi", "assets")
    if name != "docs.js":
        return folder.joinpath(name).read_bytes()
    return b"\n".join(folder.joinpath("docs", f"{part}.js").read_bytes() for part in _PARTS)
