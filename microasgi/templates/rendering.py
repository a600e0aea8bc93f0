"""Rendering: templates from directories and packages, as responses.

The law of this file: what is rendered is whole before the response is returned, so that an error in a template is
answered like any other; `stream` alone sends what is not there yet.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from microasgi.concurrency import run_in_threadpool
from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.responses import HTMLResponse
from microasgi.routes import whereabouts
from microasgi.streaming import StreamingResponse
from microasgi.templates.arguments import (
    ContextProcessor,
    directories_in,
    packages_in,
    patterns_in,
    processors_in,
)
from microasgi.templates.context import FUNCTIONS, begin_context
from microasgi.templates.jinja import (
    Environment,
    Template,
    add_functions,
    check_environment,
    find_template,
    iterate,
    iterate_async,
    make_environment,
    render,
    render_async,
    require_jinja2,
)
from microasgi.types import Receive, Scope, Send

__all__ = ["Jinja2Templates", "RenderedResponse"]

Directory: TypeAlias = str | os.PathLike[str]
Background: TypeAlias = Callable[[], Awaitable[None]]


class RenderedResponse(HTMLResponse):
    """A rendered page, with the `template` and the `context` that it was made of. Made by `Jinja2Templates`."""

    template: Template
    context: dict[str, Any]


class _Observed(RenderedResponse):
    """The same under a test client, which hands on template and context as attributes of its response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.debug", "info": {"template": self.template, "context": self.context}})
        await super().__call__(scope, receive, send)


class Jinja2Templates:
    """Templates of one or several directories, and of packages, in which everything is escaped.

    `packages` holds names, for their `templates` directory, or pairs of name and directory. `context_processors` are
    functions of the request, sync or async, that return names for every template; the context of a call goes before
    theirs. `unescaped` are patterns, as in "*.txt", of the templates that are no HTML. `strict` makes it an error to
    print or test an undefined name. With `enable_async` templates may await and use `async for`. `env` is an
    environment of your own in place of all that. ConfigurationError for a directory or a package that is not there.
    """

    def __init__(
        self,
        directory: Directory | Sequence[Directory] | None = None,
        *,
        context_processors: Sequence[ContextProcessor] | None = None,
        env: Environment | None = None,
        packages: Sequence[str | tuple[str, str]] = (),
        unescaped: Sequence[str] = (),
        strict: bool = False,
        enable_async: bool = False,
    ) -> None:
        require_jinja2()
        where = whereabouts()
        try:
            self.context_processors = processors_in(context_processors or ())
            if env is None:
                directories = [] if directory is None else directories_in(directory, where)
                env = make_environment(
                    directories,
                    packages_in(packages, bool(directories)),
                    unescaped=patterns_in(unescaped),
                    strict=strict,
                    enable_async=enable_async,
                )
            elif directory is not None or packages or unescaped or strict or enable_async:
                raise ConfigurationError("an environment of your own has all that: give env= and nothing else of it")
            else:
                check_environment(env)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        self.env = env
        add_functions(env, FUNCTIONS)
        awaited = [_name(processor) for processor in self.context_processors if _is_async(processor)]
        self._needs_await = "enable_async" if env.is_async else ", ".join(awaited)

    def get_template(self, name: str) -> Template:
        """Return the template; jinja2.TemplateNotFound says where it was looked for, and which names are near."""
        return find_template(self.env, name)

    def TemplateResponse(
        self,
        request: HTTPConnection[Any],
        name: str,
        context: Mapping[str, Any] | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
        *,
        block: str | None = None,
    ) -> RenderedResponse:
        """Render a template, or one `block` of it ("page.html#block" for short), here and now.

        For small pages, and for handlers with `def`. `context` is not changed. Raises what the template raises.
        """
        if self._needs_await:
            raise RuntimeError(
                f"{name!r} cannot be rendered without awaiting, because of {self._needs_await}: write "
                f"`return await templates.respond(request, {name!r}, ...)`"
            )
        values = begin_context(request)
        for processor in self.context_processors:
            values.update(_mapping(processor, processor(cast("Any", request))))
        values.update(context or {})
        template, text = self._render(name, block, values)
        return _response(request, template, values, text, status_code, headers, media_type, background)

    async def respond(
        self,
        request: HTTPConnection[Any],
        name: str,
        context: Mapping[str, Any] | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
        *,
        block: str | None = None,
    ) -> RenderedResponse:
        """Render as `TemplateResponse` does, off the event loop: in a worker thread, or with `enable_async` awaiting.

        For large pages, and wherever a context processor is async.
        """
        values = await self._gather(request, context)
        if self.env.is_async:
            file, block = _split(name, block)
            template = self.get_template(file)
            text = await render_async(template, block, values)
        else:
            template, text = await run_in_threadpool(self._render, name, block, values)
        return _response(request, template, values, text, status_code, headers, media_type, background)

    async def stream(
        self,
        request: HTTPConnection[Any],
        name: str,
        context: Mapping[str, Any] | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Background | None = None,
    ) -> StreamingResponse:
        """Send a template while it is rendered, in chunks of 16 KiB or more; without a length.

        For pages of megabytes. An error in the first chunk is answered, a later one ends the connection. ValueError
        for a block: `respond` renders those.
        """
        if "#" in name:
            raise ValueError(
                f"a stream is a whole page, and {name!r} asks for a block: write "
                f"`return await templates.respond(request, {name!r}, ...)`"
            )
        values = await self._gather(request, context)
        chunks: Iterator[str] | AsyncIterator[str]
        if self.env.is_async:
            later = iterate_async(self.get_template(name), values)
            chunks = _after_async(await anext(later, ""), later)
        else:
            template = await run_in_threadpool(self.get_template, name)
            pieces = iterate(template, values)
            chunks = _after(await run_in_threadpool(next, pieces, ""), pieces)
        return StreamingResponse(chunks, status_code, headers, media_type or "text/html", background)

    async def _gather(self, request: HTTPConnection[Any], context: Mapping[str, Any] | None) -> dict[str, Any]:
        values = begin_context(request)
        for processor in self.context_processors:
            result = processor(cast("Any", request))
            values.update(_mapping(processor, await result if inspect.isawaitable(result) else result))
        values.update(context or {})
        return values

    def _render(self, name: str, block: str | None, values: dict[str, Any]) -> tuple[Template, str]:
        file, block = _split(name, block)
        template = self.get_template(file)
        return template, render(template, block, values)


def _response(
    request: HTTPConnection[Any],
    template: Template,
    values: dict[str, Any],
    text: str,
    status_code: int,
    headers: Mapping[str, str] | None,
    media_type: str | None,
    background: Background | None,
) -> RenderedResponse:
    is_observed = "http.response.debug" in (request.scope.get("extensions") or ())
    response = (_Observed if is_observed else RenderedResponse)(text, status_code, headers, media_type, background)
    response.template, response.context = template, values
    return response


def _split(name: str, block: str | None) -> tuple[str, str | None]:
    if block is not None or "#" not in name:
        return name, block
    file, _, block = name.rpartition("#")
    return file, block


def _after(first: str, later: Iterator[str]) -> Iterator[str]:
    yield first
    yield from later


async def _after_async(first: str, later: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for chunk in later:
        yield chunk


def _is_async(processor: Any) -> bool:
    function = inspect.unwrap(getattr(processor, "func", processor))
    return any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004


def _name(processor: Any) -> str:
    return getattr(processor, "__qualname__", None) or type(processor).__qualname__


def _mapping(processor: Any, result: Any) -> Mapping[str, Any]:
    if isinstance(result, Mapping):
        return cast("Mapping[str, Any]", result)
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(f"the context processor {_name(processor)} returned {type(result).__name__}, not a dict")
