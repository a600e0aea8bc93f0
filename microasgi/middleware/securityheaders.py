"""SecurityHeadersMiddleware: the headers that tell a browser what it must not do with a page.

Law: all is made and checked at set-up but the nonce, and a header that the handler has set itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_urlsafe
from typing import Final, Literal

from microasgi.exceptions import ConfigurationError
from microasgi.headers import encode_header
from microasgi.middleware.policies import NONCE, chosen, content_policy, permissions
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SecurityHeadersMiddleware"]

_YEAR: Final = 31_536_000
_ANCESTORS: Final = {"DENY": "'none'", "SAMEORIGIN": "'self'"}

Sources = Mapping[str, str | Sequence[str]]


class SecurityHeadersMiddleware:
    """Add security headers to every response that has none of that name; `None` leaves one out.

    `content_security_policy` maps directives to sources, as text or in a list; where a source is `{nonce}`, every
    response has a new one, in `scope["microasgi.csp_nonce"]` too. A policy without `frame-ancestors` gets them from
    `frame_options`. `hsts_max_age` is in seconds and goes out over https only. `permissions_policy` maps features to
    the list of who may use them. ConfigurationError for what browsers would ignore.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        content_security_policy: Sources | None = None,
        content_security_policy_report_only: Sources | None = None,
        referrer_policy: str | None = "strict-origin-when-cross-origin",
        frame_options: Literal["DENY", "SAMEORIGIN"] | None = "DENY",
        cross_origin_opener_policy: str | None = "same-origin",
        cross_origin_resource_policy: str | None = "same-origin",
        permissions_policy: Mapping[str, Sequence[str]] | None = None,
        hsts_max_age: int | None = _YEAR,
        hsts_include_subdomains: bool = False,
        hsts_preload: bool = False,
    ) -> None:
        self.app = app
        fixed = {
            "x-content-type-options": "nosniff",
            "referrer-policy": chosen("Referrer-Policy", referrer_policy),
            "x-frame-options": chosen("X-Frame-Options", frame_options),
            "cross-origin-opener-policy": chosen("Cross-Origin-Opener-Policy", cross_origin_opener_policy),
            "cross-origin-resource-policy": chosen("Cross-Origin-Resource-Policy", cross_origin_resource_policy),
            "permissions-policy": permissions(permissions_policy) if permissions_policy is not None else None,
        }
        self._with_nonce: list[tuple[bytes, list[bytes]]] = []
        for name, policy, ancestors in (
            ("content-security-policy", content_security_policy, _ANCESTORS.get(frame_options or "")),
            ("content-security-policy-report-only", content_security_policy_report_only, None),
        ):
            text = None if policy is None else content_policy(policy, ancestors)
            if text is not None and NONCE in text:
                self._with_nonce.append((name.encode(), text.encode("ascii").split(NONCE.encode())))
            else:
                fixed[name] = text
        self._plain = [encode_header(name, value) for name, value in fixed.items() if value is not None]
        hsts = _hsts(hsts_max_age, hsts_include_subdomains, hsts_preload)
        self._secure = self._plain + ([encode_header("strict-transport-security", hsts)] if hsts else [])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to an http response."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        added = self._secure if scope.get("scheme") == "https" else self._plain
        if self._with_nonce:
            scope["microasgi.csp_nonce"] = nonce = token_urlsafe(18)
            source = f"'nonce-{nonce}'".encode()
            added = added + [(name, source.join(parts)) for name, parts in self._with_nonce]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers") or ()
                own = {name for name, _ in headers}
                message = {**message, "headers": [*headers, *[pair for pair in added if pair[0] not in own]]}
            await send(message)

        return await self.app(scope, receive, with_headers)


def _hsts(max_age: int | None, subdomains: bool, preload: bool) -> str | None:
    """Return the value of Strict-Transport-Security (RFC 6797 section 6.1)."""
    if preload and not (subdomains and max_age is not None and max_age >= _YEAR):
        raise ConfigurationError(
            f"hsts_preload needs hsts_include_subdomains=True and hsts_max_age={_YEAR} or more, or browsers ignore it"
        )
    if max_age is None:
        return None
    if max_age < 0:
        raise ConfigurationError(f"hsts_max_age is a number of seconds, or None for no header, not {max_age}")
    return f"max-age={max_age}" + "; includeSubDomains" * subdomains + "; preload" * preload
