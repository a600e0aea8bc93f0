"""Refusals: the answer to a path without a route, or without one for the method, prepared when the tables are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microasgi.errors import Errors, problem
from microasgi.exceptions import HTTPException
from microasgi.headers import encode_header, find_header
from microasgi.requests import Request
from microasgi.responses import PlainTextResponse, Response

__all__ = ["Refusal"]


class Refusal:
    """A call that refuses every request with one status; through the exception handlers if there is one for it."""

    def __init__(self, errors: Errors, status: int, headers: Mapping[str, str] | None) -> None:
        self._error = HTTPException(status, headers=headers)
        self._handled = errors.may_handle(self._error)
        self._detail, self._status = self._error.detail, status
        self._extra = [encode_header(name, value) for name, value in (headers or {}).items()]

    async def __call__(self, request: Request[Any]) -> Response:
        """Refuse this request."""
        if self._handled:
            raise HTTPException(self._error.status_code, headers=self._error.headers)
        accept = find_header(request.scope["headers"], b"accept")
        if accept is None or b"json" not in accept:
            response = PlainTextResponse(self._detail, self._status)
            response.raw_headers += self._extra
            return response
        return problem(request, self._error.status_code, self._error.detail, self._error.headers)
