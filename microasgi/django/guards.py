"""Guards: who may come in, written above a handler, or as what it depends on.

Law: what is decorated keeps its type and its signature. Nobody is asked twice: a user that is loaded stays loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Final, TypeAlias, TypeVar, overload
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost

from microasgi.connection import HTTPConnection
from microasgi.django.djangorequest import django_request
from microasgi.django.threads import in_django_thread
from microasgi.endpoints import describe, function_of, is_class_endpoint
from microasgi.exceptions import ConfigurationError, HTTPException, WebSocketException
from microasgi.headers import find_header
from microasgi.negotiation import prefers_json
from microasgi.responses import RedirectResponse, Response
from microasgi.websockets import WebSocket, WebSocketState

__all__ = ["current_user", "login_required", "optional_user", "permission", "permission_required"]

F = TypeVar("F", bound=Callable[..., Any])
Connection: TypeAlias = HTTPConnection[Any]
_TYPES: Final = ("Request", "WebSocket", "HTTPConnection")
_NAME: Final = "connection"


async def optional_user(connection: HTTPConnection[Any]) -> Any:
    """Return the user, None for a visitor: `user: Annotated[User | None, Depends(optional_user)]`."""
    user = await connection.user()
    return user if user.is_authenticated else None


async def current_user(connection: HTTPConnection[Any]) -> Any:
    """Return the user: `user: Annotated[User, Depends(current_user)]`.

    HTTPException 401 for a visitor; a handshake is denied with 403, an open websocket closed with 4401.
    """
    user = await connection.user()
    if not user.is_authenticated:
        raise _unknown(connection)
    return user


def permission(*names: str) -> Callable[[HTTPConnection[Any]], Awaitable[Any]]:
    """Return a dependency that gives the user with all of these permissions: `Depends(permission("shop.add_item"))`.

    401 for a visitor and 403 for a user without; a handshake is denied with 403, an open websocket closed with 4401
    or 4403. ConfigurationError for what is no permission.
    """
    wanted = _checked(names)

    async def permitted_user(connection: HTTPConnection[Any]) -> Any:
        user = await current_user(connection)
        if not await in_django_thread(partial(user.has_perms, wanted)):
            raise _forbidden(connection)
        return user

    return permitted_user


@overload
def login_required(handler: F, /) -> F: ...
@overload
def login_required(*, login_url: str | None = None, redirect_field_name: str = "next") -> Callable[[F], F]: ...
def login_required(handler: Any = None, /, *, login_url: str | None = None, redirect_field_name: str = "next") -> Any:
    """Let only users in: visitors are redirected to LOGIN_URL, clients that prefer JSON get 401.

    A handshake is denied with 403. For `def` and `async def` handlers of requests and websockets, typed ones among
    them, and for HTTPEndpoint and WebSocketEndpoint classes. `login_url` is a URL, a path or the name of a view.
    """
    guard = _Guard((), login_url, redirect_field_name)
    return guard if handler is None else guard(handler)


def permission_required(*names: str, login_url: str | None = None) -> Callable[[F], F]:
    """Let only users in who have all of these permissions; others get 403, visitors what `login_required` gives."""
    return _Guard(_checked(names), login_url, "next")


class _Guard:
    """What stands before a handler."""

    def __init__(self, permissions: tuple[str, ...], login_url: str | None, field: str) -> None:
        self._permissions = permissions
        self._login_url = login_url
        self._field = field

    def __call__(self, handler: Any) -> Any:
        if is_class_endpoint(handler):
            return self._around_class(handler)
        if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
            raise ConfigurationError(
                f"{describe(handler)}: a handler that yields has no decorator before its first item. Write "
                "`user: Annotated[User, Depends(current_user)]` among its parameters, or give the route "
                "dependencies=[Depends(current_user)]"
            )
        return self._around(handler)

    def _around(self, handler: Any) -> Any:
        takes_own = _takes_connection(handler)
        if inspect.iscoroutinefunction(function_of(handler)) or inspect.iscoroutinefunction(handler):

            async def guarded(*args: Any, **kwargs: Any) -> Any:
                connection = _found(args, kwargs, takes_own)
                refusal = self._answer(connection, await connection.user())
                if refusal is None and self._permissions:
                    user = await connection.user()
                    self._check(connection, await in_django_thread(partial(user.has_perms, self._permissions)))
                return await handler(*args, **kwargs) if refusal is None else refusal

            return _dressed(guarded, handler, takes_own)

        def guarded_in_thread(*args: Any, **kwargs: Any) -> Any:
            connection = _found(args, kwargs, takes_own)
            refusal = self._answer(connection, connection.user)
            if refusal is None and self._permissions:
                self._check(connection, connection.user.has_perms(self._permissions))
            return handler(*args, **kwargs) if refusal is None else refusal

        return _dressed(guarded_in_thread, handler, takes_own)

    def _around_class(self, endpoint: Any) -> Any:
        """Return a subclass: the class itself may stand at another path, unguarded."""

        async def dispatch(self: Any, connection: HTTPConnection[Any]) -> Any:
            return await endpoint.dispatch(self, connection)

        names = {name: getattr(endpoint, name) for name in ("__module__", "__qualname__", "__doc__")}
        guarded = self._around(dispatch)
        return type(endpoint.__name__, (endpoint,), {"dispatch": guarded, **names})

    def _answer(self, connection: Connection, user: Any) -> Response | None:
        """Return where a visitor is sent, None for a user; the error to be raised where there is no such place."""
        if user.is_authenticated:
            return None
        if connection.scope["type"] == "websocket" or not _wants_page(connection):
            raise _unknown(connection)
        try:
            return RedirectResponse(self._login_page(connection), 302)
        except DisallowedHost:  # where no layer has looked at the host
            raise HTTPException(400, "This site does not answer for the host that was asked for.") from None

    def _check(self, connection: Connection, has_them: bool) -> None:
        if not has_them:
            raise _forbidden(connection)

    def _login_page(self, connection: Connection) -> str:
        """Return what Django's own `login_required` redirects to."""
        from django.contrib.auth.views import redirect_to_login
        from django.shortcuts import resolve_url

        request = django_request(connection.scope)
        page = resolve_url(self._login_url or settings.LOGIN_URL)
        there, here = urlsplit(page), urlsplit(request.build_absolute_uri())
        is_local = there.scheme in ("", here.scheme) and there.netloc in ("", here.netloc)
        # One slash: "//host" would be another site's.
        after = "/" + request.get_full_path().lstrip("/") if is_local else request.build_absolute_uri()
        return redirect_to_login(after, page, self._field).url


def _checked(names: tuple[Any, ...]) -> tuple[str, ...]:
    wrong = [name for name in names if not isinstance(name, str) or "." not in name]
    if wrong or not names:
        raise ConfigurationError(
            f'{wrong[0]!r} is no permission: write its application and its name, as in "shop.add_item"'
            if wrong
            else 'which permission? Write it, as in permission("shop.add_item")'
        )
    return names


def _unknown(connection: Connection) -> Exception:
    if isinstance(connection, WebSocket):
        if connection.socket_state is WebSocketState.CONNECTED:
            return WebSocketException(4401, "not logged in")
        return HTTPException(403, "not logged in")
    challenge = f'ApiKey in="cookie", name="{settings.SESSION_COOKIE_NAME}"'  # RFC 9110 section 15.5.2 wants one
    return HTTPException(401, "not logged in", {"www-authenticate": challenge})


def _forbidden(connection: Connection) -> Exception:
    if isinstance(connection, WebSocket) and connection.socket_state is WebSocketState.CONNECTED:
        return WebSocketException(4403, "not permitted")
    return HTTPException(403, "you are not permitted to do this")


def _wants_page(connection: Connection) -> bool:
    scope = connection.scope
    accept = find_header(scope["headers"], b"accept")
    if accept is None or accept == b"*/*":  # a handler with typed parameters is an API's
        return getattr(scope.get("route"), "binding", None) is None
    return not (b"json" in accept and prefers_json(accept))


def _takes_connection(handler: Any) -> bool:
    """Tell whether a handler takes its request; one whose first argument says nothing is called with it."""
    parameters = [one for one in inspect.signature(handler).parameters.values() if one.name != "self"]
    bare = parameters[:1] and parameters[0].annotation is inspect.Parameter.empty
    return bool(bare) or any(map(_is_connection, parameters))


def _is_connection(parameter: inspect.Parameter) -> bool:
    annotation: Any = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.strip("'\"").partition("[")[0].rpartition(".")[2] in _TYPES


def _dressed(guarded: Any, handler: Any, takes_own: bool) -> Any:
    """Give the guard the handler's signature, with a parameter for the connection if it has none."""
    guarded = wraps(handler)(guarded)
    if not takes_own:
        signature = inspect.signature(handler)
        if _NAME in signature.parameters:
            raise ConfigurationError(f"{describe(handler)}: {_NAME!r} is the guard's own parameter: rename this one")
        own = inspect.Parameter(_NAME, inspect.Parameter.KEYWORD_ONLY, annotation=HTTPConnection)
        others = list(signature.parameters.values())
        place = next((n for n, one in enumerate(others) if one.kind is one.VAR_KEYWORD), len(others))
        others.insert(place, own)
        guarded.__signature__ = signature.replace(parameters=others)
    return guarded


def _found(args: tuple[Any, ...], kwargs: dict[str, Any], takes_own: bool) -> Connection:
    if not takes_own:
        taken: Connection = kwargs.pop(_NAME)
        return taken
    for value in (*args, *kwargs.values()):
        if issubclass(type(value), HTTPConnection):
            found: Connection = value
            return found
    raise RuntimeError(
        "login_required found no request among the arguments of its handler: annotate the parameter that is to take "
        "it, as in `request: Request` or `websocket: WebSocket`"
    )
