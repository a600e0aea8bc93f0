"""What a request and a socket share: a typed view of one ASGI connection scope.

The law of this file: nothing is computed before it is asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, cast

from microasgi.cookies import cookie_text, parse_cookies
from microasgi.exceptions import NoMatchFound
from microasgi.headers import Headers
from microasgi.multidict import ImmutableMultiDict
from microasgi.types import Receive, Scope
from microasgi.urls import URL, URLPath, parse_query, quote_path

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    StateT = TypeVar("StateT", default="State")
else:
    from typing import TypeVar

    StateT = TypeVar("StateT")

__all__ = ["Address", "HTTPConnection", "QueryParams", "State", "StateT", "is_own_host", "query_text", "sole_host"]

_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Address(NamedTuple):
    """The peer's host and port."""

    host: str
    port: int


class State:
    """Attributes over a dictionary: `state.database` is `state["database"]`.

    `request.state` begins as a shallow copy of what the lifespan yields; names that a request sets in it are gone
    with the request. `app.state` is one for the application.
    """

    __slots__ = ("_state",)
    _state: dict[str, Any]

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        object.__setattr__(self, "_state", {} if state is None else state)

    def __setattr__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __getattr__(self, name: str) -> Any:
        if name == "_state":
            raise AttributeError(f"{type(self).__name__}.__init__ has to call State.__init__ first")
        try:
            return self._state[name]
        except KeyError:
            raise self._lacks(name) from None

    def __delattr__(self, name: str) -> None:
        if self._state.pop(name, self) is self:
            raise self._lacks(name)

    def _lacks(self, name: str) -> AttributeError:
        return AttributeError(f"the state has no {name!r}; it has: {', '.join(self._state) or 'nothing'}")

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._state[name] = value

    def __delitem__(self, name: str) -> None:
        del self._state[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self._state),)

    def __contains__(self, name: object) -> bool:
        return name in self._state

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


class QueryParams(ImmutableMultiDict[str, str]):
    """The query's names and values in order; built from text, pairs or a mapping. `str()` encodes them again."""

    place = "query"

    def __init__(
        self, query: str | bytes | Mapping[str, Any] | Iterable[tuple[str, Any]] = "", /, **params: Any
    ) -> None:
        if isinstance(query, bytes):
            query = _as_ascii(query)
        pairs = parse_query(query) if isinstance(query, str) else query
        if params or not isinstance(query, str):
            given: ImmutableMultiDict[str, Any] = ImmutableMultiDict(pairs, **params)
            pairs = [(name, str(value)) for name, value in given.multi_items()]
        super().__init__(pairs)

    def __str__(self) -> str:
        from urllib.parse import urlencode

        return urlencode(self.multi_items(), errors="surrogatepass")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def query_text(scope: Scope) -> str:
    """Return the raw query string, in ASCII: other bytes, which some servers let through, are percent-encoded.

    The specification wants bytes, Django's test client gives text.
    """
    query: bytes | str = scope.get("query_string") or b""
    return _as_ascii(query) if isinstance(query, bytes) else _as_ascii(query.encode("utf-8", "surrogatepass"))


def _as_ascii(query: bytes) -> str:
    if query.isascii():
        return query.decode()
    return "".join([chr(byte) if byte < 128 else f"%{byte:02X}" for byte in query])


def sole_host(scope: Scope) -> str:
    """Return the Host header in lower case; nothing where there are several: none of them can be believed."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""


def is_own_host(scope: Scope, scheme: str, authority: str) -> bool:
    """Tell whether an origin's host, in lower case, is the one that the request was sent to (RFC 6454 section 4)."""
    host = sole_host(scope)
    return bool(host) and (authority == host or f"{authority}:{_DEFAULT_PORTS.get(scheme)}" == host)


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

    def __init__(self, scope: Scope, receive: Receive | None = None) -> None:
        if scope["type"] not in {"http", "websocket"}:
            raise ValueError(f"a connection needs an http or websocket scope, this one is {scope['type']!r}")
        self.scope = scope

    def __getitem__(self, key: str) -> Any:
        return self.scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

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
            self._query_params = QueryParams.of_pairs(parse_query(query_text(self.scope)))
        return self._query_params

    @property
    def path_params(self) -> dict[str, Any]:
        """The values of the route's parameters by name, converted."""
        return cast(dict[str, Any], self.scope.get("path_params", {}))

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name (RFC 6265 section 5.4), of all `cookie` headers; at most 180 are read."""
        if self._cookies is None:
            header = cookie_text(self.scope["headers"])
            self._cookies = parse_cookies(header) if header else {}
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
            root: str = self.scope.get("microasgi.root_path", self.scope.get("root_path", ""))
            self._base_url = self.url.replace(path=f"{quote_path(root.rstrip('/'))}/", query="")
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
                f"this connection has no {key!r}: add {middleware}, "
                f"as in MicroASGI(middleware=[Middleware({middleware}, ...)])"
            ) from None

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of the named route, with the mount's prefix: of this application, else of the outermost.

        Raises NoMatchFound.
        """
        scope = self.scope
        here = self._here()
        outermost = scope.get("microasgi.outermost", here)
        try:
            path, root = here.url_path_for(name, **path_params), scope.get("root_path", "")
        except NoMatchFound:
            if outermost is here:
                raise
            path, root = outermost.url_path_for(name, **path_params), scope.get("microasgi.root_path", "")
        prefix = quote_path(root.strip("/"))
        return URLPath((f"/{prefix}" if prefix else "") + path, protocol=path.protocol, host=path.host)

    def _here(self) -> Any:
        """Return the innermost application or router."""
        router, app = self.scope.get("router"), self.scope.get("app")
        # Another framework around the application leaves a router of its own in the scope.
        here = router if hasattr(router, "role") else app or router
        if here is None:
            raise RuntimeError("url_path_for needs a request that came through an application or a router")
        return here

    def url_for(self, name: str, /, **path_params: Any) -> URL:
        """Return the absolute URL of the named route, on the host that this request was sent to."""
        path = self.url_path_for(name, **path_params)
        host = self.base_url.replace(path="/")
        return path.make_absolute_url(base_url=host) if host.netloc or path.host else URL(path)
