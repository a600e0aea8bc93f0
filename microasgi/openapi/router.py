"""The router that serves a document of the application it is included in, and the page that shows it.

The law of this file: a document is built when it is first asked for, in a worker thread, and again only when routes
were added. What is served is bytes with an ETag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from microasgi.concurrency import run_in_threadpool
from microasgi.exceptions import ConfigurationError
from microasgi.openapi.document import Document, Webhooks
from microasgi.openapi.inventory import Entry, entries_of
from microasgi.openapi.page import UI, docs_routes
from microasgi.openapi.surroundings import surroundings_of
from microasgi.options import MiddlewareList
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.routes import Route, whereabouts
from microasgi.routing import Router
from microasgi.serialization import decode_json, encode_json
from microasgi.typed.conditional import is_known
from microasgi.typed.security import SecurityScheme
from microasgi.urls import quote_path

__all__ = ["OpenAPI"]

Edit = Callable[[dict[str, Any]], "dict[str, Any] | None"]
Objects = Sequence[str | Mapping[str, Any]]

_MOST_PREFIXES: Final = 16  # of one application: a parameter in a mount's path gives as many as clients think of


@dataclass
class _Built:
    """What was built for one application: from which routes, and the bytes and ETag for each prefix."""

    entries: tuple[Entry, ...]
    document: dict[str, Any]
    texts: dict[str, tuple[bytes, str]] = field(default_factory=dict[str, tuple[bytes, str]])


class OpenAPI(Router):
    """Two routes to include: the OpenAPI 3.1 document of the application around them, and a page that shows it.

    `servers` are URLs or Server Objects (default: where the application is mounted); `tags` are names or Tag Objects,
    in the order in which they are shown; `security` are schemes of `microasgi.typed`, any of which lets a client in
    where a route does not ask for one itself; `webhooks` are routes that nobody serves: a Router, or Route objects by
    name. `errors` is the model of all errors, or models by media type, where exception handlers of the application
    answer them in a form of its own; else they are problem details (RFC 9457). `edit` may change the finished document.
    `docs=None` leaves out the page; `ui` and `assets_url` put another one there. `middleware` stands around both.
    """

    def __init__(
        self,
        *,
        title: str = "API",
        version: str = "0.1.0",
        summary: str | None = None,
        description: str | None = None,
        terms_of_service: str | None = None,
        contact: Mapping[str, Any] | None = None,
        license: str | Mapping[str, Any] | None = None,
        servers: Objects = (),
        tags: Objects = (),
        webhooks: Webhooks = None,
        security: Sequence[SecurityScheme[Any]] = (),
        external_docs: str | Mapping[str, Any] | None = None,
        errors: Any = None,
        edit: Edit | None = None,
        path: str = "/openapi.json",
        docs: str | None = "/docs",
        ui: UI = "builtin",
        assets_url: str | None = None,
        middleware: MiddlewareList | None = None,
    ) -> None:
        where = whereabouts()
        info: dict[str, Any] = {"title": title, "summary": summary, "description": description, "version": version}
        info |= {"termsOfService": terms_of_service, "contact": contact, "license": _object(license, "name")}
        self._document = Document(
            info={key: value for key, value in info.items() if value is not None},
            servers=_objects(servers, "servers", "url", where),
            tags=_objects(tags, "tags", "name", where),
            webhooks=webhooks,
            security=_schemes(security, where),
            external_docs=_object(external_docs, "url"),
            errors=_by_media_type(errors, where),
        )
        self._edit, self._lock = edit, Lock()
        self._built: WeakKeyDictionary[Any, _Built] = WeakKeyDictionary()
        routes = [Route(path, self._serve_document, name="openapi", include_in_schema=False)]
        routes += [] if docs is None else docs_routes(title, path, docs, ui=ui, assets_url=assets_url)
        super().__init__(routes, middleware=middleware)

    def document(self, application: object, root_path: str = "") -> dict[str, Any]:
        """Return the document of an application that is mounted at `root_path`; ConfigurationError if it has none."""
        return cast(dict[str, Any], decode_json(self._text(application, root_path)[0]))

    async def _serve_document(self, request: Request[Any]) -> Response:
        application, root_path = surroundings_of(request.scope)
        built = self._built.get(application)
        found: tuple[bytes, str] | None = None
        if built is not None and built.entries == entries_of(application):
            found = built.texts.get(root_path)
        if found is None:
            found = await run_in_threadpool(self._text, application, root_path)
        text, etag = found
        headers = {"etag": etag, "cache-control": "no-cache"}
        if is_known(request, etag):
            return Response(status_code=304, headers=headers)
        return Response(text, headers=headers, media_type="application/json")

    def _text(self, application: Any, root_path: str) -> tuple[bytes, str]:
        with self._lock:
            entries = entries_of(application)
            built = self._built.get(application)
            if built is None or built.entries != entries:
                built = self._built[application] = _Built(entries, self._document.build(entries))
            if root_path not in built.texts:
                if len(built.texts) >= _MOST_PREFIXES:
                    built.texts.clear()
                text = encode_json(self._finished(built.document, root_path))
                built.texts[root_path] = text, f'"{sha256(text).hexdigest()[:32]}"'
            return built.texts[root_path]

    def _finished(self, document: dict[str, Any], root_path: str) -> dict[str, Any]:
        finished = cast(dict[str, Any], decode_json(encode_json(document)))
        if root_path and not self._document.servers:
            first = {key: finished.pop(key) for key in ("openapi", "info")}
            # A single slash: two would name a host (RFC 3986 section 4.2).
            here = "/" + quote_path(root_path).lstrip("/")
            finished = {**first, "servers": [{"url": here}], **finished}
        return (self._edit(finished) or finished) if self._edit is not None else finished


def _object(given: str | Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
    return {key: given} if isinstance(given, str) else given


def _objects(given: Iterable[str | Mapping[str, Any]], name: str, key: str, where: str) -> list[Mapping[str, Any]]:
    """Return objects, made of texts where a text says it all."""
    if isinstance(given, str):
        raise ConfigurationError(f"{where}: {name} is a list, write {name}=[{given!r}]")
    found = [one for one in (_object(each, key) for each in given) if one is not None]
    for one in found:
        if not isinstance(one.get(key), str):
            raise ConfigurationError(f"{where}: {name} has {one!r}, which lacks its {key!r}")
    return found


def _by_media_type(errors: Any, where: str) -> Mapping[str, Any] | None:
    """Return models of errors by media type; a model alone is JSON."""
    if errors is None:
        return None
    if not isinstance(errors, Mapping):
        return {"application/json": errors}
    models = cast(Mapping[str, Any], errors)
    odd = next((name for name in models if "/" not in str(name)), None)
    if odd is not None:
        raise ConfigurationError(
            f"{where}: errors has {odd!r}: write a model, or models by media type, {{'application/json': Model}}"
        )
    return models


def _schemes(given: Iterable[Any], where: str) -> tuple[Any, ...]:
    schemes = tuple(given)
    for scheme in schemes:
        if not hasattr(scheme, "scheme_name"):
            raise ConfigurationError(f"{where}: security has {scheme!r}: write schemes, as in security=[HTTPBearer()]")
    return schemes
