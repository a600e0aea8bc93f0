"""Users of the Django site: `await request.user()`, and logging in and out.

Law: whoever asks for the user gets the one that Django's views would get. Nobody asks, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.utils.functional import LazyObject, SimpleLazyObject, empty

from microasgi.connection import HTTPConnection
from microasgi.django.csrf import refuse_foreign_login
from microasgi.django.djangorequest import django_request
from microasgi.django.threads import in_django_thread
from microasgi.types import Scope

__all__ = ["LazyUser", "authenticate", "lazy_user", "login", "logout", "revalidate", "user_of"]

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
                user = await in_django_thread(known["_setupfunc"])
            if known["_wrapped"] is _EMPTY:  # nobody was faster: another task, or a login
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
        session: Any = self.session
        request: Any = SimpleNamespace(session=_Unchanged(session) if getattr(session, "began", False) else session)
        return auth.get_user(request)


class _Unchanged:
    """A session as `auth.get_user` reads it, where no cookie can be sent any more.

    Of a session that a former SECRET_KEY has signed Django changes the key: a client that is not told is logged out.
    """

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    def __getitem__(self, name: str) -> Any:
        return self._session[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self._session.get(name, default)

    def __setitem__(self, name: str, value: Any) -> None:
        """Leave the renewal to the client's next request."""

    def cycle_key(self) -> None:
        """Leave the renewal to the client's next request."""

    def flush(self) -> None:
        """Leave it to the client's next request, which takes the cookie away as well."""


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
    known: Any = user
    if not issubclass(type(user), LazyObject):
        return known
    wrapped = known.__dict__["_wrapped"]
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


async def authenticate(connection: HTTPConnection[Any], **credentials: Any) -> Any:
    """Return the user whom one of AUTHENTICATION_BACKENDS knows by these credentials, or None."""
    request = django_request(connection.scope)
    return await in_django_thread(partial(auth.authenticate, request, **credentials))


async def login(connection: HTTPConnection[Any], user: Any, backend: str | None = None) -> None:
    """Log a user in: a new session key, a new CSRF token, Django's signal.

    Before the response begins, or on a websocket before `accept`: RuntimeError later, when no cookie can be set.
    HTTPException 403 where a page of another site has sent the credentials.
    """
    scope = connection.scope
    if _has_begun(scope):
        raise RuntimeError("login() sets a cookie: call it before the response begins, or before websocket.accept()")
    request = django_request(scope)
    refuse_foreign_login(scope, request)
    await in_django_thread(partial(auth.login, request, user, backend))
    _settle(scope, _unwrapped(user))


async def logout(connection: HTTPConnection[Any]) -> None:
    """Log the user out and forget the session, as Django's `logout` does."""
    scope = connection.scope
    _session(scope)
    await in_django_thread(partial(auth.logout, django_request(scope)))
    _settle(scope, _nobody())


async def revalidate(connection: HTTPConnection[Any]) -> bool:
    """Tell whether the user may stay, for `hub.connect(revalidate=revalidate)`: asks the database anew.

    False when the session was deleted, the password changed or the user deactivated. Whom the handler knows as
    anonymous may stay; a handler that has asked for no user is for users alone.
    """
    scope = connection.scope
    session, known = _session(scope), scope["user"]
    before = _unwrapped(known)
    if before is not None and not before.is_authenticated:
        return True
    stored = type(session)(session.session_key)
    stored.began = True
    now = await in_django_thread(_OfSession(stored))
    if not now.is_authenticated or (before is not None and before != now):
        return False
    _settle(scope, now)
    return True


def _session(scope: Scope) -> Any:
    if "session" not in scope or "user" not in scope:
        raise RuntimeError(
            "this connection has no session of Django's: put DjangoMiddleware around the application, as in "
            "MicroASGI(middleware=[DjangoMiddleware]), or serve it by microasgi.django.asgi"
        )
    return scope["session"]


def _has_begun(scope: Scope) -> bool:
    return bool(getattr(_session(scope), "began", False))  # the session of a Django request does not know


def _settle(scope: Scope, user: Any) -> None:
    known: Any = scope["user"]
    known.__dict__["_wrapped"] = user
