"""Security schemes: dependencies that read a caller's credentials, and that the OpenAPI document shows.

They say what was sent, not whether it is right: that is for the dependency that asks them. What cannot be read is
answered with 401 and a challenge (RFC 9110 section 11.6.1), on http and, before `accept`, on websockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.typed.credentials import (
    HTTPAuthorizationCredentials,
    HTTPBasicCredentials,
    Unreadable,
    is_token,
    read_authorization,
    read_basic,
    read_bearer,
)

__all__ = [
    "Challenge",
    "HTTPAuthorization",
    "HTTPBasic",
    "HTTPBearer",
    "SecurityScheme",
    "SecurityScopes",
    "TokenScheme",
]

T = TypeVar("T")


class SecurityScopes:
    """The scopes that `Security(...)` asks for, of a handler's parameter and of the dependencies on the way to it."""

    __slots__ = ("scopes",)

    def __init__(self, scopes: Iterable[str] = ()) -> None:
        self.scopes = list(dict.fromkeys(scopes))

    @property
    def scope_str(self) -> str:
        """The scopes with a space between them (RFC 6749 section 3.3)."""
        return " ".join(self.scopes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scopes!r})"


class Challenge:
    """The value of `WWW-Authenticate` for one scheme: its name and parameters (RFC 9110 section 11.6.1)."""

    def __init__(self, name: str, /, **parameters: str | None) -> None:
        if not is_token(name):
            raise ConfigurationError(f"{name!r} is no name of an authentication scheme: write a token such as 'Token'")
        self.name = name
        self.parameters = {key: value for key, value in parameters.items() if value is not None}
        for key, value in self.parameters.items():
            if not (value.isascii() and value.isprintable()):
                raise ConfigurationError(f"{key}={value!r}: a challenge is printable ASCII")

    def with_parameters(self, /, **parameters: str) -> str:
        """Return the text, with more parameters; what a quoted string cannot hold becomes a question mark."""
        plain = {key: "".join(map(_quotable, value)) for key, value in parameters.items()}
        pairs = [f'{key}="{_escaped(value)}"' for key, value in {**self.parameters, **plain}.items()]
        return f"{self.name} {', '.join(pairs)}" if pairs else self.name

    def __str__(self) -> str:
        return self.with_parameters()


def _quotable(character: str) -> str:
    # RFC 6750 section 3 allows neither quotes nor backslashes in its descriptions.
    return character if " " <= character <= "~" and character not in '"\\' else "?"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


class SecurityScheme(Generic[T]):
    """One way to prove who one is; `Depends(scheme)` gives what was sent. Subclasses have `read`.

    `scheme` is its Security Scheme Object (OpenAPI 3.1 section 4.8.27), named `scheme_name` there (default: the
    class). With `auto_error=False` the dependency is None where nothing that can be read was sent.
    """

    def __init__(
        self,
        scheme: Mapping[str, Any],
        challenge: Challenge,
        *,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        self.scheme_name = scheme_name or type(self).__name__
        self.scheme: Mapping[str, Any] = {**scheme, **({"description": description} if description else {})}
        self.challenge = challenge
        self.auto_error = auto_error

    async def __call__(self, connection: HTTPConnection[Any]) -> T | None:
        """Return the credentials; HTTPException 401 where there are none, or none that can be read."""
        try:
            found = self.read(connection)
        except Unreadable as error:
            if self.auto_error:
                raise self.malformed(str(error)) from None
            return None
        if found is None and self.auto_error:
            raise self.unauthorized()
        return found

    def read(self, connection: HTTPConnection[Any]) -> T | None:
        """Return the credentials, None where there are none of this kind; Unreadable for odd ones."""
        raise NotImplementedError(f"{type(self).__name__} has to define `def read(self, connection)`")

    def unauthorized(self, detail: str = "Not authenticated") -> HTTPException:
        """Return the 401 to raise for missing or wrong credentials, with the challenge."""
        return HTTPException(401, detail, {"www-authenticate": str(self.challenge)})

    def malformed(self, detail: str) -> HTTPException:
        """Return the 401 for credentials that cannot be read."""
        return self.unauthorized(detail)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scheme_name={self.scheme_name!r})"


class TokenScheme(SecurityScheme[T]):
    """A scheme whose credentials are a token: RFC 6750 says how those are refused."""

    def invalid_token(self, description: str = "the token is not valid") -> HTTPException:
        """Return the 401 to raise for a token that is wrong, expired or revoked (RFC 6750 section 3.1)."""
        challenge = self.challenge.with_parameters(error="invalid_token", error_description=description)
        return HTTPException(401, description, {"www-authenticate": challenge})

    def insufficient_scope(self, scopes: SecurityScopes | Sequence[str]) -> HTTPException:
        """Return the 403 to raise for a token that lacks one of these scopes (RFC 6750 section 3.1)."""
        wanted = scopes if isinstance(scopes, SecurityScopes) else SecurityScopes(scopes)
        challenge = self.challenge.with_parameters(error="insufficient_scope", scope=wanted.scope_str)
        return HTTPException(403, f"this needs the scopes: {wanted.scope_str}", {"www-authenticate": challenge})

    def malformed(self, detail: str) -> HTTPException:
        """Return the 401 for a token that cannot be read."""
        return self.invalid_token(detail)


class HTTPAuthorization(TokenScheme[HTTPAuthorizationCredentials]):
    """`Authorization` with a scheme of your choice, "Token" say; gives HTTPAuthorizationCredentials."""

    http_scheme: ClassVar[str] = ""

    def __init__(
        self,
        http_scheme: str = "",
        *,
        realm: str | None = None,
        bearer_format: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        name = http_scheme or self.http_scheme
        scheme = {"type": "http", "scheme": name.lower()}
        if bearer_format:
            scheme["bearerFormat"] = bearer_format
        challenge = Challenge(name, realm=realm)
        super().__init__(scheme, challenge, scheme_name=scheme_name, description=description, auto_error=auto_error)
        self._scheme = name.lower()

    def read(self, connection: HTTPConnection[Any]) -> HTTPAuthorizationCredentials | None:
        """Read the header."""
        return read_authorization(connection.headers.getlist("authorization"), self._scheme)


class HTTPBearer(HTTPAuthorization):
    """`Authorization: Bearer <token>` (RFC 6750); gives HTTPAuthorizationCredentials, the token in `credentials`."""

    http_scheme = "Bearer"

    def __init__(
        self,
        *,
        realm: str | None = None,
        bearer_format: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        super().__init__(
            realm=realm,
            bearer_format=bearer_format,
            scheme_name=scheme_name,
            description=description,
            auto_error=auto_error,
        )

    def read(self, connection: HTTPConnection[Any]) -> HTTPAuthorizationCredentials | None:
        """Read the header."""
        return read_bearer(connection.headers.getlist("authorization"))


class HTTPBasic(SecurityScheme[HTTPBasicCredentials]):
    """`Authorization: Basic`, a user name and a password in UTF-8 (RFC 7617); gives HTTPBasicCredentials.

    `credentials.matches(name, password)` compares in constant time.
    """

    def __init__(
        self,
        *,
        realm: str = "Restricted",
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        challenge = Challenge("Basic", realm=realm, charset="UTF-8")
        scheme = {"type": "http", "scheme": "basic"}
        super().__init__(scheme, challenge, scheme_name=scheme_name, description=description, auto_error=auto_error)

    def read(self, connection: HTTPConnection[Any]) -> HTTPBasicCredentials | None:
        """Read the header."""
        found = read_authorization(connection.headers.getlist("authorization"), "basic")
        return None if found is None else read_basic(found.credentials)
