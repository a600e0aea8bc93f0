"""`FileResponse`: one file, opened when the response is sent."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping

from microasgi.concurrency import run_in_threadpool
from microasgi.errors import Errors
from microasgi.files.conditions import Validators
from microasgi.files.mediatypes import content_disposition, guess_media_type
from microasgi.files.reading import Loaded, load
from microasgi.files.sending import send_file, validator_headers
from microasgi.requests import Request
from microasgi.responses import Response, content_length
from microasgi.types import RawHeaders, Receive, Scope, Send

__all__ = ["FileResponse"]


class FileResponse(Response):
    """A file as the response: whole, in ranges (RFC 9110 section 14), or not at all where the client has it.

    `media_type` is guessed from `filename` or the path; text is taken for UTF-8. With `filename` the browser is told
    to save it under that name, or for `content_disposition_type="inline"` to show it. `headers` come before our own,
    also `etag`. `stat_result` gives the headers at once, to middleware; what is sent is what the file is by then.
    What is missing, or no file, is a RuntimeError when the response is sent. It may be sent more than once.
    """

    raw_headers: RawHeaders

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Callable[[], Awaitable[None]] | None = None,
        filename: str | None = None,
        stat_result: os.stat_result | None = None,
        content_disposition_type: str = "attachment",
    ) -> None:
        self.path = path
        self.filename = filename
        self.stat_result = stat_result
        self.background = background
        self._body = b""
        self.media_type = media_type or guess_media_type(filename or os.fspath(path))
        self._begin(status_code, headers, None)
        self.headers.setdefault("accept-ranges", "bytes")
        if filename is not None:
            self.headers.setdefault("content-disposition", content_disposition(content_disposition_type, filename))
        self._foreseen: RawHeaders = []
        if stat_result is not None:
            self._foresee(stat_result)

    def _foresee(self, status: os.stat_result) -> None:
        changed = status.st_mtime_ns
        etag = f'"{changed:x}-{status.st_size:x}"'.encode()
        known = Loaded("", status.st_size, Validators(etag, changed // 1_000_000_000), None, None, status)
        given = {name for name, _ in self.raw_headers}
        foreseen = [*validator_headers(known), content_length(known.size)]
        self._foreseen = [pair for pair in foreseen if pair[0] not in given]
        self.raw_headers += self._foreseen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the file, send what the request asks of it, then run `background`."""
        path = os.fspath(self.path)
        try:
            loaded = await run_in_threadpool(load, path, read=scope.get("method") != "HEAD")
        except (OSError, ValueError) as error:
            failure = RuntimeError(f"FileResponse: {path!r} cannot be sent: {error}")
            failure.__cause__ = error
            return await _fail(scope, receive, send, failure)
        headers, loaded = self._headers_for(loaded)
        await send_file(scope, receive, send, loaded, self.status_code, headers)
        if self.background is not None:
            await self.background()
        return None

    def _headers_for(self, loaded: Loaded) -> tuple[RawHeaders, Loaded]:
        """Return the headers of the whole file but for its length, and the file with the tag that is sent."""
        headers = [pair for pair in self.raw_headers if pair not in self._foreseen and pair[0] != b"content-length"]
        given = dict(headers)
        headers += [pair for pair in validator_headers(loaded) if pair[0] not in given]
        if b"etag" in given:
            loaded = loaded._replace(validators=loaded.validators._replace(etag=given[b"etag"]))
        return headers, loaded


async def _fail(scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """Answer an error as the application around does: nothing was sent yet, so its handlers can have their say."""
    errors = getattr(scope.get("app") or scope.get("router"), "errors", None)
    if not isinstance(errors, Errors) or scope["type"] != "http":
        raise error
    answer = await errors.respond(Request(scope, receive, send), error)
    await answer(scope, receive, send)
