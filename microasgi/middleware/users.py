"""Users: who somebody is, and with which rights. What an authentication backend returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

__all__ = ["AnyUser", "AuthCredentials", "BaseUser", "SimpleUser", "UnauthenticatedUser"]


class AuthCredentials:
    """The rights that `requires` asks for: a list of names, such as "authenticated"."""

    def __init__(self, scopes: Iterable[str] | None = None) -> None:
        if isinstance(scopes, str):
            raise TypeError(f"scopes is a list, write AuthCredentials([{scopes!r}])")
        self.scopes = [] if scopes is None else list(scopes)


class AnyUser(Protocol):
    """What is asked of a user: any class that has this, a dataclass say, will do."""

    @property
    def is_authenticated(self) -> bool:
        """Whether it is known who this is."""
        ...


class BaseUser:
    """What the users here tell; a class of your own need not be one."""

    @property
    def is_authenticated(self) -> bool:
        """Whether it is known who this is."""
        raise NotImplementedError

    @property
    def display_name(self) -> str:
        """The name to show."""
        raise NotImplementedError

    @property
    def identity(self) -> str:
        """The name to look the user up by."""
        raise NotImplementedError


class SimpleUser(BaseUser):
    """A known user with a name."""

    def __init__(self, username: str) -> None:
        self.username = username

    @property
    def is_authenticated(self) -> bool:
        """True."""
        return True

    @property
    def display_name(self) -> str:
        """The user name."""
        return self.username

    @property
    def identity(self) -> str:
        """The user name."""
        return self.username


class UnauthenticatedUser(BaseUser):
    """Nobody in particular."""

    @property
    def is_authenticated(self) -> bool:
        """False."""
        return False

    @property
    def display_name(self) -> str:
        """The empty text."""
        return ""

    @property
    def identity(self) -> str:
        """The empty text."""
        return ""
