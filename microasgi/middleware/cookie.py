"""One cookie of a middleware: found in a request, written into a response.

The law of this file: its attributes are settled at set-up. What browsers would drop without a word is an error there.
"""

from __future__ import annotations

from typing import Literal

from microasgi.cookies import format_cookie, parse_cookies
from microasgi.exceptions import ConfigurationError
from microasgi.types import Scope

__all__ = ["LARGEST", "Cookie", "SameSite"]

SameSite = Literal["lax", "strict", "none"]
LARGEST = 4093
"""In bytes, with name and attributes: so much every browser takes."""
_PAST = "Thu, 01 Jan 1970 00:00:00 GMT"


class Cookie:
    """A cookie by name with its attributes, always HttpOnly.

    `https_only=None` is Secure when the request came by https, and where browsers demand it. ConfigurationError for
    attributes that they would refuse together.
    """

    def __init__(
        self,
        name: str,
        max_age: int | None,
        path: str,
        same_site: SameSite,
        https_only: bool | None,
        domain: str | None,
        partitioned: bool = False,
    ) -> None:
        needs_secure = partitioned or same_site == "none" or name.lower().startswith(("__host-", "__secure-"))
        always = needs_secure if https_only is None else https_only

        def attributes(secure: bool, ended: bool) -> str:
            text = format_cookie(
                name,
                "x",
                max_age=0 if ended else max_age,
                expires=_PAST if ended else None,
                path=path,
                domain=domain,
                secure=secure,
                httponly=True,
                samesite=same_site,
                partitioned=partitioned,
            )
            return text[len(name) + 2 :]

        by_https = https_only is not False
        try:
            self._attributes = {False: attributes(always, False), True: attributes(by_https, False)}
            self._ended = {False: attributes(always, True), True: attributes(by_https, True)}
        except ValueError as error:
            raise ConfigurationError(f"{error} (secure is https_only here, samesite is same_site)") from None
        self.name = name
        self._mark = f"{name}=".encode()

    def read(self, scope: Scope) -> str:
        """Return the request's value; the empty text where it has none, or one that is too long to be ours."""
        found = [value for key, value in scope["headers"] if key == b"cookie" and self._mark in value]
        if not found:
            return ""
        start = found[0].find(self._mark)
        if len(found) == 1 and (not start or found[0][start - 2 : start] == b"; "):  # as browsers write it
            value = found[0][start + len(self._mark) :].partition(b";")[0].decode("latin-1")
        else:
            value = parse_cookies(b"; ".join(found).decode("latin-1")).get(self.name, "")
        return value if len(value) <= LARGEST else ""

    def header(self, scope: Scope, value: str) -> tuple[bytes, bytes]:
        """Return the response header that sets this value, plain ASCII; with the empty one, that takes it away."""
        attributes = (self._attributes if value else self._ended)[scope.get("scheme") in ("https", "wss")]
        return b"set-cookie", f"{self.name}={value}{attributes}".encode()
