"""Tokens against forged requests, for those who cannot rely on what browsers say of a request's origin.

A secret is in a signed cookie, bound to the session; pages carry it masked. The law of this file: no two tokens are
alike, so that compression of a page tells nothing about the secret (BREACH).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from secrets import token_bytes
from typing import Any, Final

from microasgi.connection import HTTPConnection
from microasgi.errors import problem
from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.headers import MutableHeaders, encode_header, find_header
from microasgi.middleware.cookie import Cookie, SameSite
from microasgi.middleware.origin import SAFE_METHODS, path_filter
from microasgi.middleware.signing import Signatures
from microasgi.requests import Request
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CSRFMiddleware"]

_TWO_WEEKS: Final = 14 * 24 * 60 * 60
_SIZE: Final = 32  # bytes of a secret
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
        tokens = scope["microasgi.csrf_token"] = _Tokens(scope, self._cookie, self._signatures)

        async def finishing(message: Message) -> None:
            if message["type"] == "http.response.start":
                tokens.finish(message)
            await send(message)

        if scope["method"] in SAFE_METHODS or self._is_exempt(scope):
            await self.app(scope, receive, finishing)
            return
        request: Request[Any] = Request(scope, receive, send)
        try:
            given = find_header(scope["headers"], self._header)
            if given is None and _is_form(scope):
                given = await self._from_form(request)
                receive = request.receive
            if given is None or not tokens.accept(given):
                raise HTTPException(403, self._refusal)
        except ClientDisconnect:
            await request.close()
            return
        except HTTPException as error:
            await request.close()
            await problem(HTTPConnection(scope), error.status_code, error.detail, error.headers)(scope, receive, send)
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


class _Tokens:
    """The tokens of one request; a call gives one."""

    def __init__(self, scope: Scope, cookie: Cookie, signatures: Signatures) -> None:
        self._scope, self._cookie, self._signatures = scope, cookie, signatures
        self._session = scope.get("session")  # as of now: one that comes later is not there when a form comes back
        self._secret: bytes | None = None
        self._started = False

    def __call__(self) -> str:
        """Return a token for the page that is being made. RuntimeError if its cookie can no longer be set."""
        if self._secret is None:
            if self._started:
                raise RuntimeError("ask for the token before the response starts: its cookie and Vary are set there")
            self._secret = self._known() or token_bytes(_SIZE)
        mask = token_bytes(_SIZE)
        return urlsafe_b64encode(mask + _xor(mask, self._secret)).decode()

    def accept(self, given: bytes) -> bool:
        """Tell whether this is a token for the secret in the request's cookie."""
        secret = self._known()
        try:
            pair = urlsafe_b64decode(given)
        except ValueError:
            return False
        if secret is None or len(pair) != 2 * _SIZE:
            return False
        return compare_digest(_xor(pair[:_SIZE], pair[_SIZE:]), secret)

    def finish(self, start: Message) -> None:
        """Set the cookie if a token was given out."""
        self._started = True
        if self._secret is None:
            return
        headers = MutableHeaders(scope=start)
        headers.add_vary_header("Cookie")
        signed = self._signatures.sign(urlsafe_b64encode(self._secret).decode(), self._identity())
        headers.raw.append(self._cookie.header(self._scope, signed))

    def _known(self) -> bytes | None:
        value = self._cookie.read(self._scope)
        secret = self._signatures.unsign(value, self._identity()) if value else None
        return None if secret is None else urlsafe_b64decode(secret)

    def _identity(self) -> str:
        return getattr(self._session, "identity", "") if self._session else ""


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(_SIZE)
