"""Users of one's own: any class that tells whether it is known who somebody is."""

from __future__ import annotations

from dataclasses import dataclass

from microasgi import HTTPConnection, MicroASGI, Middleware
from microasgi.middleware import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationMiddleware,
    BaseUser,
    SimpleUser,
    UnauthenticatedUser,
)


@dataclass(frozen=True)
class Member:
    """A row of a database."""

    name: str
    is_authenticated: bool = True


class Members(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, Member] | None:
        return AuthCredentials(["authenticated"]), Member("Ada")


class Several(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, Member | UnauthenticatedUser]:
        if "x-name" not in conn.headers:
            return AuthCredentials(), UnauthenticatedUser()
        return AuthCredentials(["authenticated"]), Member(conn.headers["x-name"])


class AsBefore(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        return AuthCredentials(["authenticated"]), SimpleUser("Ada")


app = MicroASGI(
    middleware=[Middleware(AuthenticationMiddleware, backend=kind()) for kind in (Members, Several, AsBefore)]
)
