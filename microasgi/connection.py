"""What a request and a socket share: a typed view of one ASGI connection scope.

The law of this file: nothing is computed before it is asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, cast

from microasgi.cookies import parse_cookies
from microasgi.exceptions import NoMatchFound
from microasgi.headers import Headers
from microasgi.multidict import ImmutableMultiDict
from microasgi.types import Scope
from microasgi.urls import URL, URLPath, parse_query

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    StateT = TypeVar("StateT", default="State")
else:
    from typing import TypeVar

    StateT = TypeVar("StateT")

__all__ = ["Address", "HTTPConnection", "QueryParams", "State", "StateT", "query_text"]


class Address(NamedTuple):
    """The peer's host and port."""

    host: str
    port: int


class State:
    """Attributes over a dictionary: `state.database` is `state["database"]`.

    What the lifespan yields and what it sets on `app.state` is there for every request; names that a request sets on
    `request.state` are gone with it.
    """

    _state: dict[str, Any]

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        super().__setattr__("_state", {} if state is None else state)

    def __setattr__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self._state[name]
        except KeyError:
            raise AttributeError(f"the state has no {name!r}; it has: {', '.join(self._state) or 'nothing'}") from None

    def __delattr__(self, name: str) -> None:
        del self._state[name]

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._state

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class QueryParams(ImmutableMultiDict[str, str]):
    """The query's names and values in order; built from text, pairs or a mapping. `str()` encodes them again."""

    place = "query"

    def __init__(self, query: str | bytes | Mapping[str, Any] | Iterable[tuple[str, Any]] = "") -> None:
        if isinstance(query, bytes):
            query = query.decode("latin-1")
        if isinstance(query, str):
            super().__init__(parse_query(query))
            return
        pairs = query.items() if isinstance(query, Mapping) else query
        super().__init__([(str(name), str(value)) for name, value in pairs])

    def __str__(self) -> str:
        from urllib.parse import urlencode

        return urlencode(self.multi_items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def query_text(scope: Scope) -> str:
    """Return the raw query string; the specification wants bytes, Django's test client gives text."""
    query = scope.get("query_string", b"")
    return query if isinstance(query, str) else query.decode("latin-1")


class HTTPConnection(Mapping[str, Any], Generic[StateT]):
    """One http or websocket scope (ASGI HTTP & WebSocket specification), also readable as the scope's mapping.

    Raises ValueError for a scope of another type. Two objects are equal only if they are the same.
    """

    # Defaults on the class: making one costs no more than storing the scope.
    scope: Scope
    _headers: Headers | None = None
    _query_params: QueryParams | None = None
    _cookies: dict[str, str] | None = None
    _url: URL | None = None
    _base_url: URL | None = None
    _state: Any = None

    def __init__(self, scope: Scope) -> None:
        if scope["type"] not in {"http", "websocket"}:
            raise ValueError(f"a connection needs an http or websocket scope, this one is {scope['type']!r}")
        self.scope = scope

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def app(self) -> Any:
        """The application that answers."""
        return self.scope["app"]

    @property
    def headers(self) -> Headers:
        """The request's headers, case-insensitive, in order, duplicates kept."""
        if self._headers is None:
            self._headers = Headers(raw=self.scope["headers"])
        return self._headers

    @property
    def query_params(self) -> QueryParams:
        """The decoded query; HTTPException 400 if it has more than 1,000 keys or 64 KiB."""
        if self._query_params is None:
            self._query_params = QueryParams(query_text(self.scope))
        return self._query_params

    @property
    def path_params(self) -> dict[str, Any]:
        """The values of the route's parameters by name, converted."""
        return cast(dict[str, Any], self.scope.get("path_params", {}))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name (RFC 6265 section 5.4), of all `cookie` headers; at most 180 are read."""
        if self._cookies is None:
            headers = [value for name, value in self.scope["headers"] if name == b"cookie"]
            self._cookies = parse_cookies(b"; ".join(headers).decode("latin-1")) if headers else {}
        return self._cookies

    @property
    def client(self) -> Address | None:
        """The peer's address, or None where the server has none (a unix socket)."""
        client = self.scope.get("client")
        return None if not client or not client[0] else Address(client[0], int(client[1] or 0))

    @property
    def url(self) -> URL:
        """The URL that was asked for, as far as the server knows it."""
        if self._url is None:
            self._url = URL(scope=self.scope)
        return self._url

    @property
    def base_url(self) -> URL:
        """The URL of the outermost application's root, with a slash at its end."""
        if self._base_url is None:
            root = self.scope.get("app_root_path", self.scope.get("root_path", ""))
            # `raw_path` spells another path: without it the URL is made of this one.
            scope = {**self.scope, "path": f"{root.rstrip('/')}/", "query_string": b"", "raw_path": None}
            self._base_url = URL(scope=scope)
        return self._base_url

    @property
    def state(self) -> StateT:
        """This connection's state: a shallow copy of what the lifespan yielded, to which the request may add."""
        if self._state is None:
            # The server's copy for this scope; a server without lifespan gives none.
            self._state = State(self.scope.setdefault("state", {}))
        return cast(StateT, self._state)

    @property
    def session(self) -> Any:
        """The session, as a mapping; needs a session middleware."""
        return self._from_middleware("session", "SessionMiddleware")

    @property
    def auth(self) -> Any:
        """The credentials; needs an authentication middleware."""
        return self._from_middleware("auth", "AuthenticationMiddleware")

    @property
    def user(self) -> Any:
        """The user; needs an authentication middleware."""
        return self._from_middleware("user", "AuthenticationMiddleware")

    def _from_middleware(self, key: str, middleware: str) -> Any:
        try:
            return self.scope[key]
        except KeyError:
            raise RuntimeError(
                f"this connection has no {key!r}: add {middleware}, as in MicroASGI(middleware=[Middleware({middleware}, ...)])"
            ) from None

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of the named route, with the mount's prefix: of this application, else of the outermost.

        Raises NoMatchFound.
        """
        scope = self.scope
        app = scope.get("router") or scope.get("app")
        outermost = scope.get("microasgi.outermost", app)
        if app is None:
            raise RuntimeError("url_path_for needs a request that came through an application or a router")
        try:
            path, root = app.url_path_for(name, **path_params), scope.get("root_path", "")
        except NoMatchFound:
            if outermost is app:
                raise
            path = outermost.url_path_for(name, **path_params)
            root = scope.get("app_root_path", "")
        return URLPath(root.rstrip("/") + path, protocol=path.protocol, host=path.host)

    def url_for(self, name: str, /, **path_params: Any) -> URL:
        """Return the absolute URL of the named route, on the host that this request was sent to."""
        path = self.url_path_for(name, **path_params)
        return path.make_absolute_url(base_url=str(self.base_url.replace(path="/")))
