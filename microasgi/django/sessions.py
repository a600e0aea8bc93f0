"""Sessions of the Django site, for everything beside it: `request.session` is the store of SESSION_ENGINE.

Law: Django's own middleware decides what becomes of a session. One that nobody touched costs neither query nor hop.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

from django.conf import settings
from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import SynchronousOnlyOperation
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpResponse, parse_cookie

from microasgi.cookies import cookie_text
from microasgi.django.djangorequest import HELD, Held, set_cookies
from microasgi.django.threads import in_django_thread
from microasgi.django.users import lazy_user, user_of
from microasgi.errors import answer_error
from microasgi.exceptions import HTTPException
from microasgi.headers import MutableHeaders
from microasgi.socketrules import speaks
from microasgi.sockets import deny
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SessionLayer", "Store", "session_key", "store_class"]

logger = logging.getLogger("microasgi")
_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_TEACHING: Final = (
    "this session is kept where asynchronous code may not read and write at once. Write the call with an a and await "
    'it: `await request.session.aget("key")`, aset, apop, aupdate, aflush, acycle_key. In `def` handlers '
    'request.session["key"] works'
)
_LATE: Final = (
    "the session was changed in %s %r after the %s, and the change is lost: change it before, or write "
    "`await session.asave()` after the change"
)
_UNTOLD: Final = (
    "the session was saved under another key in %s %r after the %s, when no cookie can tell the client: begin a "
    "session, change its key, and change one that is kept in a cookie, before"
)
_UNSENT: Final = "the session's cookie was not sent in websocket %r: the server takes no headers with accept (ASGI 2.1)"
_GONE: Final = "the session was deleted before the request completed: the user may have logged out meanwhile"


class Store(SessionBase):
    """What Django's session store gets on top: errors that teach, and to know when it is too late for a cookie."""

    began = False
    """The response has begun, or the handshake was accepted."""

    def load(self) -> dict[str, Any]:
        """Read it from where it is kept."""
        with _taught():
            return super().load()

    def save(self, must_create: bool = False) -> None:
        """Write it to where it is kept."""
        with _taught():
            super().save(must_create)
        if self.began:
            self.modified = False

    async def asave(self, must_create: bool = False) -> None:
        """Write it to where it is kept."""
        await super().asave(must_create)
        if self.began:
            self.modified = False

    def flush(self) -> None:
        """Delete it where it is kept, and forget all of it."""
        super().flush()
        self._settle_flush()

    async def aflush(self) -> None:
        """Delete it where it is kept, and forget all of it."""
        await super().aflush()
        self._settle_flush()

    def _settle_flush(self) -> None:
        if self.began and not _plan().in_cookie:
            self.modified = False  # it is gone, whatever the client still sends

    def exists(self, session_key: str) -> bool:
        """Tell whether there is a session with this key."""
        with _taught():
            return super().exists(session_key)

    def delete(self, session_key: str | None = None) -> None:
        """Delete it where it is kept."""
        with _taught():
            super().delete(session_key)


@contextmanager
def _taught() -> Generator[None]:
    try:
        yield
    except SynchronousOnlyOperation:
        raise SynchronousOnlyOperation(_TEACHING) from None


class _Plan(NamedTuple):
    """What the settings say of sessions."""

    store: type[Store]
    cookie: str
    saves_always: bool
    in_cookie: bool


@cache
def _plan() -> _Plan:
    given: Any = import_module(settings.SESSION_ENGINE).SessionStore
    # Django derives the salt of stored sessions from the name of the class.
    names = {name: getattr(given, name) for name in ("__doc__", "__module__", "__qualname__")}
    store = cast("type[Store]", type(given.__name__, (Store, given), names))
    in_cookie = issubclass(given, signed_cookies.SessionStore)
    return _Plan(store, settings.SESSION_COOKIE_NAME, settings.SESSION_SAVE_EVERY_REQUEST, in_cookie)


@receiver(setting_changed)
def _forget(setting: str, **_: Any) -> None:
    """Read the settings again: a test has changed one."""
    if setting.startswith("SESSION_"):
        _plan.cache_clear()


def store_class() -> type[Store]:
    """Return the class of the sessions of settings.SESSION_ENGINE."""
    return _plan().store


def session_key(scope: Scope) -> str | None:
    """Return the session's cookie, read as Django reads it: of two with one name the last one counts."""
    wanted = _plan().cookie
    header = cookie_text(scope["headers"])
    if wanted not in header:
        return None
    for pair in reversed(header.split(";")):
        name, found, value = pair.partition("=")
        if found and name.strip() == wanted:
            value = parse_cookie(f"k={value}")["k"] if '"' in value else value.strip()
            # Of no engine, and PostgreSQL raises for a NUL.
            return value if value.isascii() and value.isprintable() else ""
    return None


class SessionLayer:
    """Give http and websocket scopes the `session` and the `user` of the Django site.

    `await request.session.aget("key")` in asynchronous code, `request.session["key"]` in `def` handlers; saved when
    the response begins, as SESSION_* settings say. On a websocket a change before `accept` is saved with it, and a
    later one by `await websocket.session.asave()`. `await request.user()` is the user.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or "django.request" in scope:
            await self.app(scope, receive, send)
            return
        key = session_key(scope)
        session: Any = _open(scope, key)
        interrupted = began = False
        told: str | None = None  # the key that the client has

        async def finishing(message: Message) -> None:
            nonlocal interrupted, began, told
            if interrupted:
                raise OSError("this request has been answered: its session was deleted meanwhile")
            if not began and message["type"] in _STARTS:
                try:
                    if _depends(session, key):
                        message = await _finished(session, key, scope, message)
                except SessionInterrupted:
                    interrupted = True
                    await _refuse(scope, receive, send)
                    return
                began = session.began = True
                session.modified = False
                told = session.session_key
            await send(message)

        try:
            await self.app(scope, receive, finishing)
        except OSError:
            if not interrupted:
                raise
        lost = session.modified
        if began and (lost or session.session_key not in (None, told)):
            after = "response began" if scope["type"] == "http" else "handshake"
            logger.warning(_LATE if lost else _UNTOLD, scope.get("method", "websocket"), scope["path"], after)


def _open(scope: Scope, key: str | None) -> Any:
    """Give the scope its session and user: those that the project's middleware has made, or new ones."""
    held: Held = scope.setdefault(HELD, Held())
    request: Any = held.request
    session = _plan().store(key)
    if request is not None:
        found: Any = getattr(request, "session", None)
        vars(session).update({} if found is None else found.__dict__)
        request.session = session
    scope["session"] = session
    scope["user"] = user_of(session) if request is None else lazy_user(request)
    return session


def _depends(session: SessionBase, key: str | None) -> bool:
    """Tell whether the response has to say anything of the session."""
    return session.accessed or session.modified or (key is not None and session.is_empty()) or _plan().saves_always


@cache
def _middleware() -> SessionMiddleware:
    return SessionMiddleware(lambda request: HttpResponse())


async def _finished(session: SessionBase, key: str | None, scope: Scope, message: Message) -> Message:
    """Return the start of the response as Django's middleware would have it, the session saved."""
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    status: int = message.get("status", 200)
    finished = {**message, "headers": headers.raw}
    empty = session.is_empty()
    saves = (session.modified or _plan().saves_always) and not empty
    if not (saves and status < 500) and not (empty and key is not None):
        if session.accessed and message["type"] != "websocket.accept":
            headers.add_vary_header("Cookie")
        return finished
    response = HttpResponse(status=status)
    cookies = {} if key is None else {_plan().cookie: key}
    request: Any = SimpleNamespace(session=session, COOKIES=cookies)
    finish = partial(_middleware().process_response, request, response)
    if saves and not _plan().in_cookie:
        await in_django_thread(finish)
    else:
        finish()
    if message["type"] != "websocket.accept":
        headers.add_vary_header("Cookie")
    elif not speaks(scope, (2, 1)):
        if session.session_key != key:
            logger.warning(_UNSENT, scope["path"])
        return message
    headers.raw.extend(set_cookies(response))
    return finished


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    logger.warning("%s %r: %s", scope.get("method", "websocket"), scope["path"], _GONE)
    error = HTTPException(400, _GONE)
    if scope["type"] == "http":
        await answer_error(scope, receive, send, error)
    else:
        await deny(scope, _connect, send, error)


async def _connect() -> Message:
    return {"type": "websocket.connect"}  # the application has received it already
