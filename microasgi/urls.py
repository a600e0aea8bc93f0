"""URLs and their parts (RFC 3986), and the query string.

Law: a part stays in its place. Whatever is put into a path, a query or a host is encoded so that it cannot become
another part, and reading never fails, however odd the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from microasgi.exceptions import HTTPException
from microasgi.types import Scope

__all__ = ["URL", "URLParts", "URLPath", "parse_query", "quote_path"]

_HEX = "0123456789abcdefABCDEF"
_BYTES = {(high + low).encode(): bytes((int(high + low, 16),)) for high in _HEX for low in _HEX}
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_NETLOC_PARTS = ("username", "password", "hostname", "port")
_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}

_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*").fullmatch
_address = re.compile(r"([A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\])(?::([0-9]*))?").fullmatch


def _encoder(allowed: str) -> Callable[[str], str]:
    """Make the function that percent-encodes all but letters, digits, "-", ".", "_", "~" and these."""
    safe = (_UNRESERVED + allowed).encode()

    def encode(text: str) -> str:
        try:
            data = text.encode("utf-8", "surrogateescape")  # bytes that were no text become themselves again
        except UnicodeEncodeError:
            data = text.encode("utf-8", "surrogatepass")
        escaped = data.translate(None, safe)
        return "".join([chr(byte) if byte in safe else f"%{byte:02X}" for byte in data]) if escaped else text

    return encode


_word = _encoder(" ")
_path = _encoder("!$&'()*+,;=:@/")
_host = _encoder("!$&'()*+,;=:[]%")
_userinfo = _encoder("!$&'()*+,;=%")
_encoded: dict[str, Callable[[str], str]] = {  # for parts that are encoded already: "%" stays
    "scheme": str,
    "netloc": _encoder("!$&'()*+,;=:@[]%"),
    "path": _encoder("!$&'()*+,;=:@/%"),
    "query": _encoder("!$&'()*+,;=:@/?%[]{}|\\^`"),
    "fragment": _encoder("!$&'()*+,;=:@/?%"),
}


def parse_query(query: str, max_pairs: int = 1000, max_length: int = 65536) -> list[tuple[str, str]]:
    """Read a query string, or an urlencoded form: names and values, blank ones too, in order.

    Percent-encoded bytes are UTF-8, "+" is a space. Over `max_pairs` or `max_length` characters: HTTPException 400.
    """
    if not query:
        return []
    if len(query) > max_length:
        raise HTTPException(400, f"The query string is longer than {max_length} characters.")
    if query.count("&") >= max_pairs:
        raise HTTPException(400, f"The query string has more than {max_pairs} keys.")
    parts = query.replace("+", " ").split("&")
    pairs = [(name, value) for part in parts if part for name, _, value in [part.partition("=")]]
    if "%" not in query:
        return pairs
    return [(_decoded(n) if "%" in n else n, _decoded(v) if "%" in v else v) for n, v in pairs]


def _decoded(text: str) -> str:
    head, *pieces = text.encode("utf-8", "surrogatepass").split(b"%")
    data = [head]
    for piece in pieces:
        byte = _BYTES.get(piece[:2])
        data += (b"%", piece) if byte is None else (byte, piece[2:])
    return b"".join(data).decode("utf-8", "replace")


def _form_encoded(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{_word(name)}={_word(value)}" for name, value in pairs]).replace(" ", "+")


def quote_path(value: str) -> str:
    """Percent-encode a decoded path (RFC 3986 section 3.3); a leading "//" stays as it is."""
    return _path(value)


class URLParts(NamedTuple):
    """The five parts of RFC 3986 section 3; the empty text for a missing one."""

    scheme: str
    netloc: str
    path: str
    query: str
    fragment: str


def _split(url: str) -> URLParts:
    rest, _, fragment = url.partition("#")
    rest, _, query = rest.partition("?")
    scheme, colon, after = rest.partition(":")
    if not colon or not _scheme(scheme):
        scheme, after = "", rest
    if not after.startswith("//"):
        return URLParts(scheme.lower(), "", after, query, fragment)
    netloc, slash, path = after[2:].partition("/")
    return URLParts(scheme.lower(), netloc, slash + path, query, fragment)


def _join(parts: URLParts) -> str:
    scheme, netloc, text, query, fragment = parts
    if netloc:
        text = f"//{netloc}{text}" if text[:1] in ("/", "") else f"//{netloc}/{text}"
    elif text.startswith("//"):
        text = f"/.{text}"  # without a host, the path's first segment would be read as one
    elif not scheme and ":" in text.partition("/")[0]:
        text = f"./{text}"
    text = f"{scheme}:{text}" if scheme else text
    text = f"{text}?{query}" if query else text
    return f"{text}#{fragment}" if fragment else text


def _split_netloc(netloc: str) -> tuple[str | None, str | None, str, str | None]:
    """User, password, host and port, as written."""
    userinfo, found, address = netloc.rpartition("@")
    user, colon, password = userinfo.partition(":")
    bracket = address.find("]") if address[:1] == "[" else 0
    host, _, port = address[max(bracket, 0) :].partition(":")
    return user if found else None, password if colon else None, address[: max(bracket, 0)] + host, port or None


def _legal_netloc(text: str) -> str:
    """The text when it is a host name or address with or without a port; else nothing."""
    found = _address(text)
    if not found or not found[2]:
        return found[1] if found else ""
    return text if len(found[2]) <= 5 and int(found[2]) <= 65535 else ""


def _scope_netloc(scope: Scope) -> str:
    """The one legal Host header, else the server's own address, else nothing."""
    hosts = [value for key, value in scope.get("headers") or () if key.lower() == b"host"]
    if len(hosts) == 1 and (netloc := _legal_netloc(hosts[0].decode("latin-1"))):
        return netloc
    host, port = [*(scope.get("server") or ()), None, None][:2]
    host = f"[{host}]" if ":" in str(host) else str(host or "")
    port = "" if port is None or str(port) == _PORTS.get(scope.get("scheme") or "http") else port
    return _legal_netloc(f"{host}:{port}") or _legal_netloc(host)


def _scope_url(scope: Scope) -> str:
    scheme = scope.get("scheme") or ""
    path = "/" + _path(scope.get("path") or "").removeprefix("/")
    query = scope.get("query_string") or ""
    query = query if isinstance(query, str) else query.decode("utf-8", "surrogateescape")
    scheme = scheme if _scheme(scheme) else "ws" if scope.get("type") == "websocket" else "http"
    netloc = _scope_netloc(scope)
    return _join(URLParts(scheme if netloc else "", netloc, path, _encoded["query"](query), ""))


class URL:
    """A URL as text, with its parts: `scheme` (in lower case), `netloc`, `path`, `query` and `fragment` (as written).

    Made from text, from the `scope` of a request, or from parts: `URL(scheme="https", hostname="example.org")`.
    In a scope the Host header counts only when it is one legal host with or without a port; else `server` does.
    """

    __slots__ = ("_text", "components", "fragment", "netloc", "path", "query", "scheme")

    def __init__(self, url: str = "", scope: Scope | None = None, **components: Any) -> None:
        if (bool(url) + (scope is not None) + bool(components)) > 1:
            raise TypeError("a URL comes from one place: give its text, scope= or components, not two of them")
        if scope is not None:
            url = _scope_url(scope)
        elif components:
            url = str(URL().replace(**components))
        self._text: Final = url
        self.components: Final = _split(url)
        self.scheme: Final = self.components.scheme
        self.netloc: Final = self.components.netloc
        self.path: Final = self.components.path
        self.query: Final = self.components.query
        self.fragment: Final = self.components.fragment

    @property
    def username(self) -> str | None:
        """The user before "@", percent-encoded."""
        return _split_netloc(self.netloc)[0]

    @property
    def password(self) -> str | None:
        """The password before "@", percent-encoded."""
        return _split_netloc(self.netloc)[1]

    @property
    def hostname(self) -> str | None:
        """The host in lower case, an IPv6 address without its brackets."""
        return _split_netloc(self.netloc)[2].strip("[]").lower() or None

    @property
    def port(self) -> int | None:
        """The port; None when there is none or it is no number up to 65535."""
        port = _split_netloc(self.netloc)[3]
        return int(port) if port and _legal_netloc(f"host:{port}") else None

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is https or wss."""
        return self.scheme in ("https", "wss")

    def replace(self, **components: Any) -> URL:
        """Make a URL with other parts: scheme, netloc, path, query, fragment, username, password, hostname, port.

        Parts are percent-encoded text; what would end a part too early is encoded. ValueError for an illegal scheme
        or port, TypeError for an unknown name.
        """
        if not components.keys().isdisjoint(_NETLOC_PARTS):
            components["netloc"] = self._netloc_with(components)
        if unknown := components.keys() - set(URLParts._fields):
            raise TypeError(f"a URL has no {min(unknown)!r}; it has {', '.join(URLParts._fields + _NETLOC_PARTS)}")
        if (scheme := components.get("scheme")) and not _scheme(scheme):
            raise ValueError(f"{scheme!r} is no scheme of a URL; write letters and digits, as in 'https'")
        encoded = {name: _encoded[name](part or "") for name, part in components.items()}
        return URL(_join(self.components._replace(**encoded)))

    def _netloc_with(self, components: dict[str, Any]) -> str:
        """Take the parts of the netloc out of `components` and put them together."""
        now = _split_netloc(components.get("netloc", self.netloc))
        user, password, host, port = [components.pop(name, part) for name, part in zip(_NETLOC_PARTS, now, strict=True)]
        host = _host(host or "")
        host = f"[{host}]" if ":" in host and host[0] != "[" else host
        if port not in (None, ""):
            if port != now[3] and not _legal_netloc(f"host:{port}"):
                raise ValueError(f"{port!r} is no port; write a number up to 65535")
            host = f"{host}:{port}"
        if user is None:
            return host
        secret = "" if password is None else f":{_userinfo(password)}"
        return f"{_userinfo(user)}{secret}@{host}"

    def include_query_params(self, **params: Any) -> URL:
        """Set these names in the query, after the others that are there."""
        added = {name: str(value) for name, value in params.items()}
        kept = [pair for pair in parse_query(self.query) if pair[0] not in added]
        return self.replace(query=_form_encoded([*kept, *added.items()]))

    def replace_query_params(self, **params: Any) -> URL:
        """Make the query of these names and nothing else."""
        return self.replace(query=_form_encoded((name, str(value)) for name, value in params.items()))

    def remove_query_params(self, keys: str | Sequence[str]) -> URL:
        """Take a name, or several, out of the query."""
        removed = {keys} if isinstance(keys, str) else set(keys)
        return self.replace(query=_form_encoded(pair for pair in parse_query(self.query) if pair[0] not in removed))

    def __eq__(self, other: object) -> bool:
        return self._text == str(other) if isinstance(other, URL | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"URL({str(self.replace(password='********') if self.password else self)!r})"


class URLPath(str):
    """The path of a route, with the protocol and host that belong to it."""

    __slots__ = ("host", "protocol")

    host: str
    protocol: Literal["http", "websocket", ""]

    def __new__(cls, path: str, protocol: Literal["http", "websocket", ""] = "", host: str = "") -> URLPath:
        if protocol not in ("http", "websocket", ""):
            raise ValueError(f"protocol is 'http', 'websocket' or '', not {protocol!r}")
        made = str.__new__(cls, path)
        made.protocol = protocol
        made.host = host
        return made

    def make_absolute_url(self, base_url: str | URL) -> URL:
        """Make the URL of this path under a base: its scheme (for a websocket ws or wss), host and path before ours."""
        base = URL(base_url) if isinstance(base_url, str) else base_url
        secure = "s" if base.is_secure else ""
        scheme = {"http": f"http{secure}", "websocket": f"ws{secure}", "": base.scheme}[self.protocol]
        return URL(scheme=scheme, netloc=self.host or base.netloc, path=base.path.rstrip("/") + str(self))
