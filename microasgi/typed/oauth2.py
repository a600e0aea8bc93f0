"""OAuth 2.0 and OpenID Connect: tokens that come as `Authorization: Bearer`, and where the document says to get them.

The flows are for the documentation and its clients; a token is read the same way in all of them (RFC 6750).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.typed.credentials import read_bearer
from microasgi.typed.markers import Form
from microasgi.typed.security import Challenge, TokenScheme

__all__ = [
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordForm",
    "OpenIdConnect",
]


class _Token(TokenScheme[str]):
    """A bearer token, as text."""

    def __init__(
        self, scheme: Mapping[str, Any], scheme_name: str | None, description: str | None, auto_error: bool
    ) -> None:
        super().__init__(
            scheme, Challenge("Bearer"), scheme_name=scheme_name, description=description, auto_error=auto_error
        )

    def read(self, connection: HTTPConnection[Any]) -> str | None:
        """Read the header."""
        found = read_bearer(connection.headers.getlist("authorization"))
        return None if found is None else found.credentials


class OAuth2(_Token):
    """A bearer token of these flows, an OAuth Flows Object (OpenAPI 3.1 section 4.8.28); gives the token's text."""

    def __init__(
        self,
        flows: Mapping[str, Mapping[str, Any]],
        *,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        needed = {
            "implicit": ("authorizationUrl",),
            "password": ("tokenUrl",),
            "clientCredentials": ("tokenUrl",),
            "authorizationCode": ("authorizationUrl", "tokenUrl"),
        }
        for flow, members in flows.items():
            if flow not in needed:
                raise ConfigurationError(f"OAuth2 has no flow {flow!r}: the flows are {', '.join(needed)}")
            missing = [name for name in needed[flow] if not members.get(name)]
            if missing:
                raise ConfigurationError(f"the OAuth2 flow {flow!r} needs {' and '.join(missing)}")
        complete = {flow: {**members, "scopes": dict(members.get("scopes", {}))} for flow, members in flows.items()}
        super().__init__({"type": "oauth2", "flows": complete}, scheme_name, description, auto_error)


class OAuth2PasswordBearer(OAuth2):
    """A token that users get at `token_url` for name and password; `scopes` are names and what they are for.

    RFC 9700 section 2.4 advises against this flow where others than your own clients ask for the password.
    """

    def __init__(
        self,
        token_url: str,
        scopes: Mapping[str, str] | None = None,
        *,
        refresh_url: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        flow = _flow(scopes, tokenUrl=token_url, refreshUrl=refresh_url)
        super().__init__({"password": flow}, scheme_name=scheme_name, description=description, auto_error=auto_error)


class OAuth2AuthorizationCodeBearer(OAuth2):
    """A token that clients get at `token_url` for the code that `authorization_url` has sent them back with."""

    def __init__(
        self,
        authorization_url: str,
        token_url: str,
        scopes: Mapping[str, str] | None = None,
        *,
        refresh_url: str | None = None,
        scheme_name: str | None = None,
        description: str | None = None,
        auto_error: bool = True,
    ) -> None:
        flow = _flow(scopes, authorizationUrl=authorization_url, tokenUrl=token_url, refreshUrl=refresh_url)
        super().__init__(
            {"authorizationCode": flow}, scheme_name=scheme_name, description=description, auto_error=auto_error
        )


def _flow(scopes: Mapping[str, str] | None, **urls: str | None) -> dict[str, Any]:
    return {**{name: url for name, url in urls.items() if url is not None}, "scopes": dict(scopes or {})}


class OpenIdConnect(_Token):
    """A bearer token of a provider whose configuration is at `url`; gives the token's text."""

    def __init__(
        self, url: str, *, scheme_name: str | None = None, description: str | None = None, auto_error: bool = True
    ) -> None:
        if not url:
            raise ConfigurationError("OpenIdConnect(url): the address of the provider's openid-configuration")
        super().__init__({"type": "openIdConnect", "openIdConnectUrl": url}, scheme_name, description, auto_error)


@dataclass
class OAuth2PasswordForm:
    """What a client sends to the token endpoint of the password flow (RFC 6749 section 4.3.2).

    `form: Annotated[OAuth2PasswordForm, Form()]`; `form.scopes` is the list of what is asked for. `Depends()` in place
    of `Form()` means the same: no password is ever read from the query.
    """

    username: Annotated[str, Form()]
    password: Annotated[str, Form(max_length=4096)] = field(repr=False)
    grant_type: Annotated[Literal["password"], Form()]
    scope: Annotated[str, Form()] = ""
    client_id: Annotated[str | None, Form()] = None
    client_secret: Annotated[str | None, Form()] = field(default=None, repr=False)

    @property
    def scopes(self) -> list[str]:
        """The scopes, each once."""
        return list(dict.fromkeys(self.scope.split()))
