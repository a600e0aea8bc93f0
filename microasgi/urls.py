"""URLs and their parts (RFC 3986), and the query string.

Law: a part stays in its place. Whatever is put into a path, a query or a host is encoded so that it cannot become
another part, and reading never fails, however odd the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from microasgi.exceptions import HTTPException
from microasgi.types import Scope

__all__ = ["URL", "URLParts", "URLPath", "parse_query", "quote_path", "quote_segment"]

_HEX = "0123456789abcdefABCDEF"
_BYTES = {high + low: bytes((int(high + low, 16),)) for high in _HEX for low in _HEX}
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_SECURE = {"http": "https", "ws": "wss"}

_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*").fullmatch
_host = re.compile(r"([A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\])(?::([0-9]*))?").fullmatch
_path_plain = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/]*").fullmatch
_segment_plain = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@]*").fullmatch
_word_plain = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch
_not_in_path = re.compile(r"[^!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z|~]+").sub
_not_in_query = re.compile(r"[^!$-;=?-~]+").sub
_not_in_host = re.compile(r"[^!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]+").sub
_not_in_userinfo = re.compile(r"[^!$%&'()*+,\-.0-9;=A-Z_a-z~]+").sub


def parse_query(query: str, max_pairs: int = 1000, max_length: int = 65536) -> list[tuple[str, str]]:
    """Read a query string, or an urlencoded form: names and values, blank ones too, in order.

    Percent-encoded bytes are UTF-8, "+" is a space. Over `max_pairs` or `max_length` characters: HTTPException 400.
    """
    if not query:
        return []
    if len(query) > max_length:
        raise HTTPException(400, f"The query string is longer than {max_length} bytes.")
    if query.count("&") >= max_pairs:
        raise HTTPException(400, f"The query string has more than {max_pairs} keys.")
    pairs: list[tuple[str, str]] = []
    if "%" not in query and "+" not in query:
        for part in query.split("&"):
            if part:
                name, _, value = part.partition("=")
                pairs.append((name, value))
        return pairs
    for part in query.replace("+", " ").split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decoded(name) if "%" in name else name, _decoded(value) if "%" in value else value))
    return pairs


def _decoded(text: str) -> str:
    head, *pieces = text.split("%")
    data = [head.encode("utf-8", "surrogatepass")]
    for piece in pieces:
        byte = _BYTES.get(piece[:2])
        if byte is None:
            data.append(b"%" + piece.encode("utf-8", "surrogatepass"))
        else:
            data.append(byte)
            data.append(piece[2:].encode("utf-8", "surrogatepass"))
    return b"".join(data).decode("utf-8", "replace")


def quote_path(value: str) -> str:
    """Percent-encode a decoded path; "/" and what RFC 3986 section 3.3 allows in a segment stay."""
    return value if _path_plain(value) else _quoted(value, _path_plain)


def quote_segment(value: str) -> str:
    """Percent-encode one segment of a path, "/" too."""
    return value if _segment_plain(value) else _quoted(value, _segment_plain)


def _quoted(value: str, plain: Any) -> str:
    return "".join([c if plain(c) else _escaped(c) for c in value])


def _escaped(text: str) -> str:
    return "".join([f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass")])


def _escape_found(found: re.Match[str]) -> str:
    return _escaped(found[0])


def _form_encoded(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join([f"{_word(name)}={_word(value)}" for name, value in pairs])


def _word(value: str) -> str:
    if _word_plain(value):
        return value
    return "+".join([_quoted(part, _word_plain) for part in value.split(" ")])


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
    scheme, found, after = rest.partition(":")
    if found and _scheme(scheme):
        scheme, rest = scheme.lower(), after
    else:
        scheme = ""
    if not rest.startswith("//"):
        return URLParts(scheme, "", rest, query, fragment)
    netloc, found, path = rest[2:].partition("/")
    return URLParts(scheme, netloc, found + path, query, fragment)


def _join(parts: URLParts) -> str:
    scheme, netloc, path, query, fragment = parts
    if netloc:
        path = f"//{netloc}{path}" if path[:1] in ("/", "") else f"//{netloc}/{path}"
    elif path.startswith("//"):
        path = f"/.{path}"  # without a host, the path's first segment would be read as one
    elif not scheme and ":" in path.partition("/")[0]:
        path = f"./{path}"
    if scheme:
        path = f"{scheme}:{path}"
    if query:
        path = f"{path}?{query}"
    return f"{path}#{fragment}" if fragment else path


def _split_netloc(netloc: str) -> tuple[str | None, str | None, str, str | None]:
    """User, password, host as written, port as written."""
    userinfo, found, address = netloc.rpartition("@")
    user: str | None = None
    password: str | None = None
    if found:
        user, colon, secret = userinfo.partition(":")
        password = secret if colon else None
    if address.startswith("["):
        host, bracket, port = address.partition("]")
        return user, password, host + bracket, port[1:] if port[:1] == ":" else None
    host, found, port = address.partition(":")
    return user, password, host, port if found else None


def _scope_host(scope: Scope) -> str:
    """The one legal Host header, else the server's own address, else nothing."""
    hosts = [value for key, value in scope.get("headers") or () if key.lower() == b"host"]
    if len(hosts) == 1 and (netloc := _legal_netloc(hosts[0].decode("latin-1"))):
        return netloc
    server = scope.get("server")
    if not server:
        return ""
    host, port = str(server[0]), server[1] if len(server) > 1 else None
    if ":" in host and host[:1] != "[":
        host = f"[{host}]"
    if port is None or str(port) == str(_PORTS.get(scope.get("scheme") or "http")):
        return _legal_netloc(host)
    return _legal_netloc(f"{host}:{port}") or _legal_netloc(host)


def _legal_netloc(text: str) -> str:
    """The text when it is a host name or address with or without a port; a port of no digits is left out."""
    found = _host(text)
    if not found:
        return ""
    port = found[2]
    if not port:
        return found[1]
    return text if len(port) <= 5 and int(port) <= 65535 else ""


def _scope_url(scope: Scope) -> str:
    fallback = "ws" if scope.get("type") == "websocket" else "http"
    scheme = scope.get("scheme") or fallback
    path = quote_path(scope.get("path") or "/")
    if path[0] != "/":
        path = f"/{path}"
    query = scope.get("query_string") or ""
    if isinstance(query, bytes):
        query = query.decode("latin-1")
    netloc = _scope_host(scope)
    scheme = (scheme if _scheme(scheme) else fallback) if netloc else ""
    return _join(URLParts(scheme, netloc, path, _not_in_query(_escape_found, query), ""))


class URL:
    """A URL as text, with its parts; immutable.

    Made from text, from the `scope` of a request, or from parts: `URL(scheme="https", hostname="example.org")`.
    In a scope the Host header counts only when it is one legal host with or without a port; else `server` does.
    """

    __slots__ = ("_parts", "_text")

    def __init__(self, url: str = "", scope: Scope | None = None, **components: Any) -> None:
        if (bool(url) + (scope is not None) + bool(components)) > 1:
            raise TypeError("a URL comes from one place: give its text, scope= or components, not two of them")
        if scope is not None:
            url = _scope_url(scope)
        elif components:
            url = str(URL().replace(**components))
        self._text = url
        self._parts: URLParts | None = None

    @property
    def components(self) -> URLParts:
        """Scheme, netloc, path, query and fragment."""
        if self._parts is None:
            self._parts = _split(self._text)
        return self._parts

    @property
    def scheme(self) -> str:
        """The scheme in lower case."""
        return self.components.scheme

    @property
    def netloc(self) -> str:
        """User, password, host and port as written."""
        return self.components.netloc

    @property
    def path(self) -> str:
        """The path, percent-encoded."""
        return self.components.path

    @property
    def query(self) -> str:
        """The query string, percent-encoded."""
        return self.components.query

    @property
    def fragment(self) -> str:
        """What follows "#"."""
        return self.components.fragment

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
        if not port or len(port) > 5 or not (port.isascii() and port.isdigit()):
            return None
        return int(port) if int(port) <= 65535 else None

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is https or wss."""
        return self.scheme in ("https", "wss")

    def replace(self, **components: Any) -> URL:
        """Make a URL with other parts: scheme, netloc, path, query, fragment, username, password, hostname, port.

        Parts are percent-encoded text; what would end a part too early is encoded. ValueError for an illegal scheme
        or port, TypeError for an unknown name.
        """
        if not components.keys().isdisjoint(("username", "password", "hostname", "port")):
            components["netloc"] = self._netloc_with(components)
        unknown = components.keys() - set(URLParts._fields)
        if unknown:
            raise TypeError(f"a URL has no {', '.join(sorted(unknown))}; it has {', '.join(_REPLACEABLE)}")
        scheme, netloc, path, query, fragment = self.components._replace(**components)
        if scheme and not _scheme(scheme):
            raise ValueError(f"{scheme!r} is no scheme of a URL; write letters and digits, as in 'https'")
        if "path" in components:
            path = _not_in_path(_escape_found, path)
        return URL(_join(URLParts(scheme, netloc, path, _not_in_query(_escape_found, query), fragment)))

    def _netloc_with(self, components: dict[str, Any]) -> str:
        """Take the parts of the netloc out of `components` and put them together."""
        netloc = components.pop("netloc", self.netloc)
        user, password, host, port = _split_netloc(netloc)
        user, password = components.pop("username", user), components.pop("password", password)
        host, port = components.pop("hostname", host) or "", components.pop("port", port)
        host = _not_in_host(_escape_found, host)
        if ":" in host and host[:1] != "[":
            host = f"[{host}]"
        if port not in (None, ""):
            if not _legal_netloc(f"host:{port}"):
                raise ValueError(f"{port!r} is no port; write a number up to 65535")
            host = f"{host}:{port}"
        if user is None:
            return host
        userinfo = _not_in_userinfo(_escape_found, user)
        if password is not None:
            userinfo += f":{_not_in_userinfo(_escape_found, password)}"
        return f"{userinfo}@{host}"

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
        shown = self.replace(password="********") if self.password else self
        return f"{type(self).__name__}({str(shown)!r})"


_REPLACEABLE: Sequence[str] = (*URLParts._fields, "username", "password", "hostname", "port")


class URLPath(str):
    """The path of a route, with the protocol and host that belong to it."""

    __slots__ = ("host", "protocol")

    host: str
    protocol: str

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
        scheme = base.scheme
        if self.protocol:
            plain = "http" if self.protocol == "http" else "ws"
            scheme = _SECURE[plain] if base.is_secure else plain
        path = base.path.rstrip("/") + str(self)
        return URL(scheme=scheme, netloc=self.host or base.netloc, path=path)
