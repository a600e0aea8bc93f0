"""Refusals: the answer to a path without a route, or without one for the method, prepared when the tables are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microasgi.errors import Errors, problem
from microasgi.exceptions import HTTPException
from microasgi.requests import Request
from microasgi.responses import PlainTextResponse, Response

__all__ = ["Refusal"]


class Refusal:
    """A call that refuses every request with one status; through the exception handlers if there is one for it.

    A refusal for the method answers OPTIONS with the methods that there are (RFC 9110 section 9.3.7).
    """

    def __init__(self, errors: Errors, status: int, headers: Mapping[str, str] | None, *, shared: bool) -> None:
        self._status, self._headers = status, headers
        self._detail = HTTPException(status).detail
        self._raises = errors.debug or errors.may_handle(HTTPException(status))
        # One response for all requests, where nobody around could change it.
        self._shared = self._make() if shared else None

    def _make(self) -> Response:
        return PlainTextResponse(self._detail, self._status, self._headers)

    async def __call__(self, request: Request[Any]) -> Response:
        """Refuse this request."""
        scope = request.scope
        if self._status == 405 and scope["method"] == "OPTIONS":
            return Response(status_code=204, headers=self._headers)
        if self._raises:
            raise HTTPException(self._status, headers=self._headers)
        for name, value in scope["headers"]:
            if name == b"accept":
                if b"json" in value:
                    return problem(request, self._status, self._detail, self._headers)
                break
        return self._shared or self._make()
