"""API keys: one secret text in a header, in the query or in a cookie.

Keys are plain ASCII here, so that `secrets.compare_digest(key, known)` takes them as they are.
"""

from __future__ import annotations

from typing import Any, ClassVar

from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.typed.credentials import is_token, sole_value
from microasgi.typed.security import Challenge, SecurityScheme

__all__ = ["APIKey", "APIKeyCookie", "APIKeyHeader", "APIKeyQuery"]


class APIKey(SecurityScheme[str]):
    """A key of this name in the place of the subclass; gives its text."""

    place: ClassVar[str]

    def __init__(
        self,
        name: str,
        *,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        if not is_token(name):
            raise ConfigurationError(
                f"{type(self).__name__}({name!r}): the name of a {self.place} parameter is letters, digits and "
                "!#$%&'*+-.^_`|~, as in 'X-API-Key'"
            )
        scheme = {"type": "apiKey", "in": self.place, "name": name}
        challenge = Challenge("ApiKey", **{"in": self.place, "name": name})
        super().__init__(scheme, challenge, scheme_name=scheme_name, description=description, auto_error=auto_error)
        self.name = name


class APIKeyHeader(APIKey):
    """A key in a header."""

    place = "header"

    def read(self, connection: HTTPConnection[Any]) -> str | None:
        """Read the header."""
        return sole_value(connection.headers.getlist(self.name), f"the header {self.name}")


class APIKeyQuery(APIKey):
    """A key in the query. It ends up in logs and histories: prefer a header."""

    place = "query"

    def read(self, connection: HTTPConnection[Any]) -> str | None:
        """Read the query; HTTPException 400 for one that is too long."""
        return sole_value(connection.query_params.getlist(self.name), f"the query parameter {self.name}")


class APIKeyCookie(APIKey):
    """A key in a cookie."""

    place = "cookie"

    def read(self, connection: HTTPConnection[Any]) -> str | None:
        """Read the cookie."""
        value = connection.cookies.get(self.name)
        return None if value is None else sole_value([value], f"the cookie {self.name}")
