"""Users of the Django site: `await request.user()`, and logging in and out.

Law: whoever asks for the user gets the one that Django's views would get. Nobody asks, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.utils.functional import LazyObject, SimpleLazyObject, empty

__all__ = ["LazyUser", "lazy_user", "user_of"]

if TYPE_CHECKING:
    Lazy: TypeAlias = SimpleLazyObject[Any]
else:
    Lazy = SimpleLazyObject

_EMPTY: Final[Any] = empty
_TEACHING: Final = (
    "the user is not loaded yet, and asynchronous code may not query the database at once. Write "
    "`user = await request.user()` first; from then on request.user is the user as well. In `def` handlers "
    "request.user.is_authenticated works"
)


class LazyUser(Lazy):
    """The user of a connection. `await request.user()` loads and returns it: a user of the site, or AnonymousUser.

    In `def` handlers and templates, and once loaded, it behaves as the user: attributes, equality, filters of the ORM.
    """

    do_not_call_in_templates = True

    def __init__(self, load: Callable[[], Any]) -> None:
        # What Django's own does, in a third of the time: one is made for every request.
        known = vars(self)
        known["_setupfunc"] = load
        known["_wrapped"] = empty

    async def __call__(self) -> Any:
        """Load the user if it is not loaded, in a thread of Django's, and return it."""
        known = vars(self)
        if known["_wrapped"] is _EMPTY:
            user = known["_setupfunc"].at_once()
            if user is None:
                user = await sync_to_async(known["_setupfunc"])()
            known["_wrapped"] = user
        return known["_wrapped"]

    def _setup(self) -> None:
        try:
            super()._setup()  # type: ignore[misc]
        except SynchronousOnlyOperation:
            raise SynchronousOnlyOperation(_TEACHING) from None


class _OfSession:
    """Load the user that is logged in to a session, as Django's AuthenticationMiddleware does."""

    __slots__ = ("session",)

    def __init__(self, session: SessionBase) -> None:
        self.session = session

    def at_once(self) -> Any:
        if not self.session.is_empty():
            return None
        self.session.accessed = True  # the answer depends on the cookie
        return _nobody()

    def __call__(self) -> Any:
        request: Any = SimpleNamespace(session=self.session)
        return auth.get_user(request)


class _OfRequest:
    """Load the user that the project's middleware found."""

    __slots__ = ("request",)

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    def at_once(self) -> Any:
        user = getattr(self.request, "user", None)
        return None if user is None else _unwrapped(user)

    def __call__(self) -> Any:
        request = self.request
        if hasattr(request, "user"):
            bool(request.user.is_authenticated)  # what is lazy is loaded by this
            return _unwrapped(request.user)
        return auth.get_user(request) if hasattr(request, "session") else _nobody()


def _unwrapped(user: Any) -> Any:
    """Return the user behind a lazy object; None if it is not loaded yet."""
    kind: type = type(user)
    if not issubclass(kind, LazyObject):
        return user
    wrapped = user.__dict__["_wrapped"]
    return None if wrapped is _EMPTY else _unwrapped(wrapped)


def _nobody() -> Any:
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()


def user_of(session: SessionBase) -> LazyUser:
    """Return the user that is logged in to a session, not yet loaded."""
    return LazyUser(_OfSession(session))


def lazy_user(request: HttpRequest) -> LazyUser:
    """Return the user of a Django request, not yet loaded: what the project's middleware has put there."""
    return LazyUser(_OfRequest(request))
