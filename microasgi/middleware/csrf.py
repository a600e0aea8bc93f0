"""Tokens against forged requests, for those who cannot rely on what browsers say of a request's origin.

The law of this file: what a page sends along in a header costs nothing but a look at it. The body is read for a form
alone, and whoever is inside can read it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.headers import encode_header, find_header
from microasgi.middleware.cookie import Cookie, SameSite
from microasgi.middleware.csrftokens import Tokens, fits
from microasgi.middleware.origin import SAFE_METHODS, path_filter
from microasgi.middleware.refusal import refuse
from microasgi.middleware.signing import Signatures
from microasgi.requests import Request
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CSRFMiddleware"]

_TWO_WEEKS: Final = 14 * 24 * 60 * 60
_FORMS: Final = (b"application/x-www-form-urlencoded", b"multipart/form-data")


class CSRFMiddleware:
    """Refuse with 403 what changes something and brings no token: in the header, or in a field of the form.

    `scope["microasgi.csrf_token"]()` gives a token for a page, and that page's response the cookie. Stand it inside of
    SessionMiddleware, and a token is worth nothing in another session, nor after `session.cycle()`. A form is read
    under the limits of the application; an upload that is larger, or streamed, sends the header. Paths in `exempt` are
    those of `OriginMiddleware`, `secret_key` and the cookie's attributes those of `SessionMiddleware`.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret_key: str | Sequence[str] | None = None,
        cookie_name: str = "csrf_token",
        header_name: str = "x-csrf-token",
        field_name: str = "csrf_token",
        *,
        max_age: int | None = _TWO_WEEKS,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool | None = None,
        domain: str | None = None,
        exempt: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._signatures = Signatures(secret_key, f"microasgi.csrf:{cookie_name}")
        self._cookie = Cookie(cookie_name, max_age, path, same_site, https_only, domain)
        self._header = encode_header(header_name, "")[0]
        self._field = field_name
        self._is_exempt = path_filter(exempt)
        self._refusal = (
            f"the token against forged requests is missing or wrong: header {header_name}, field {field_name}"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        tokens = scope["microasgi.csrf_token"] = Tokens(scope, self._cookie, self._signatures)
        scope["microasgi.csrf_field"] = self._field

        async def finishing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = tokens.finish(message)
            await send(message)

        if scope["method"] in SAFE_METHODS or self._is_exempt(scope):
            await self.app(scope, receive, finishing)
            return
        request: Request[Any] = Request(scope, receive, send)
        try:
            secret = tokens.known()  # without one, nothing in the body could help
            given = find_header(scope["headers"], self._header)
            if given is None and secret is not None and _is_form(scope):
                given = await self._from_form(request)
                receive = request.receive
            if given is None or secret is None or not fits(given, secret):
                raise HTTPException(403, self._refusal)
        except ClientDisconnect:
            await request.close()
            return
        except HTTPException as error:
            await request.close()
            await refuse(scope, receive, send, error.status_code, error.detail, error.headers)
            return
        try:
            await self.app(scope, receive, finishing)
        finally:
            await request.close()

    async def _from_form(self, request: Request[Any]) -> bytes | None:
        await request.body()  # so that whoever is inside can read it as well, not the form alone
        given = (await request.form()).get(self._field)
        return given.encode("utf-8", "surrogatepass") if isinstance(given, str) else None


def _is_form(scope: Scope) -> bool:
    kind = find_header(scope["headers"], b"content-type") or b""
    return kind.partition(b";")[0].strip().lower() in _FORMS
