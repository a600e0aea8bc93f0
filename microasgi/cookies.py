"""Cookies: read as a browser writes them, written as RFC 6265bis wants them.

Law: reading never fails, writing never guesses. What a browser would drop in silence is a ValueError here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

__all__ = ["cookie_finder", "cookie_text", "format_cookie", "parse_cookies"]

_WHITESPACE = " \t"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_plain = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+").fullmatch
_refused = re.compile(r"[^\x20-\x7e\x80-\xff]").search
_refused_in_attribute = re.compile(r"[^\x20-\x3a\x3c-\x7e]").search
_escaped = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))", re.DOTALL).sub
_special = re.compile(r'["\\,;\x80-\xff]').sub


def parse_cookies(header: str, max_pairs: int = 180) -> dict[str, str]:
    """Read a Cookie header; pairs after the first `max_pairs` are ignored.

    The first of two cookies with one name counts (RFC 6265 section 5.4: browsers put the most specific path first).
    Cookies without a name are ignored; values in double quotes are unquoted.
    """
    cookies: dict[str, str] = {}
    parts = header.split(";", max_pairs)
    if len(parts) > max_pairs:
        parts.pop()
    for part in parts:
        name, found, value = part.partition("=")
        name = name.strip(_WHITESPACE)
        if not found or not name or name in cookies:
            continue
        value = value.strip(_WHITESPACE)
        if value[:1] == '"':
            value = _unquoted(value)
        cookies[name] = value
    return cookies


def cookie_text(raw: Iterable[tuple[bytes, bytes]]) -> str:
    """Return all `cookie` headers as one; HTTP/2 splits them (RFC 9113 section 8.2.3)."""
    return b"; ".join([value for name, value in raw if name == b"cookie"]).decode("latin-1")


def cookie_finder(name: str, max_pairs: int = 180) -> Callable[[str], str | None]:
    """Return the function that finds this cookie in a Cookie header: what `parse_cookies` makes of it, or None."""
    search = re.compile(rf"(?:\A|;)[ \t]*{re.escape(name)}[ \t]*=[ \t]*([^;]*)").search

    def find(header: str) -> str | None:
        found = search(header)
        if found is None or (len(header) > max_pairs and header.count(";", 0, found.end()) >= max_pairs):
            return None
        value = found[1].rstrip(_WHITESPACE)
        return _unquoted(value) if value[:1] == '"' else value

    return find


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[-1] != '"':
        return value
    value = value[1:-1]
    if "\\" not in value:
        return value
    return _escaped(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value)


def format_cookie(
    name: str,
    value: str = "",
    *,
    max_age: int | None = None,
    expires: datetime | str | int | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: Literal["lax", "strict", "none"] | None = "lax",
    partitioned: bool = False,
) -> str:
    """Write the value of a Set-Cookie header (RFC 6265bis section 4.1).

    `max_age` is in seconds; `expires` a datetime with a time zone, seconds from now, or ready text. A value with
    characters that a cookie cannot have is quoted and escaped, and `parse_cookies` gives it back; control characters
    and text outside of latin-1 raise ValueError, as do attributes that browsers refuse together.
    """
    if not _token(name):
        raise ValueError(f"cookie {name!r}: the name must be a token: letters, digits and !#$%&'*+-.^_`|~")
    _check_rules(name, path, domain, secure, samesite, partitioned)
    text = f"{name}={_quoted(name, value)}"
    if domain is not None:
        text += f"; Domain={_attribute(name, 'domain', domain)}"
    if expires is not None:
        text += f"; expires={_date(name, expires)}"
    if httponly:
        text += "; HttpOnly"
    if max_age is not None:
        text += f"; Max-Age={int(max_age)}"
    if partitioned:
        text += "; Partitioned"
    if path is not None:
        text += f"; Path={_attribute(name, 'path', path)}"
    if samesite is not None:
        text += f"; SameSite={samesite.lower()}"
    return text + "; Secure" if secure else text


def _check_rules(
    name: str, path: str | None, domain: str | None, secure: bool, samesite: str | None, partitioned: bool
) -> None:
    """Refuse what browsers drop without a word."""
    lowered = name.lower()
    if lowered.startswith(("__host-", "__secure-")) and not secure:
        raise ValueError(f"cookie {name!r}: a name with this prefix needs secure=True")
    if lowered.startswith("__host-") and (path != "/" or domain is not None):
        raise ValueError(f"cookie {name!r}: the prefix __Host- needs path='/' and no domain")
    if samesite is not None and samesite.lower() not in ("lax", "strict", "none"):
        raise ValueError(f"cookie {name!r}: samesite is 'lax', 'strict', 'none' or None, not {samesite!r}")
    if samesite is not None and samesite.lower() == "none" and not secure:
        raise ValueError(f"cookie {name!r}: samesite='none' needs secure=True")
    if partitioned and not secure:
        raise ValueError(f"cookie {name!r}: partitioned=True needs secure=True")


def _quoted(name: str, value: str) -> str:
    if _plain(value):
        return value
    if found := _refused(value):
        raise ValueError(
            f"cookie {name!r}: {found[0]!r} at position {found.start()} cannot be in a cookie; percent-encode "
            "the value (urllib.parse.quote) or use base64"
        )
    return f'"{_special(_escape, value)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return f"\\{character}" if character in '"\\' else f"\\{ord(character):03o}"


def _attribute(name: str, attribute: str, value: str) -> str:
    if found := _refused_in_attribute(value):
        raise ValueError(
            f"cookie {name!r}: {attribute} has {found[0]!r} at position {found.start()}; it takes printable ASCII "
            "without ';'"
        )
    return value


def _date(name: str, expires: datetime | str | int) -> str:
    """The date of RFC 9110 section 5.6.7, in English whatever the locale; RFC 6265bis takes the years from 1601."""
    if isinstance(expires, str):
        return _attribute(name, "expires", expires)
    moment = None
    if not isinstance(expires, int) and expires.tzinfo is None:
        raise ValueError(f"cookie {name!r}: expires needs a time zone; write datetime.now(UTC) + timedelta(...)")
    try:
        moment = time.gmtime(time.time() + expires) if isinstance(expires, int) else expires.utctimetuple()
    except (OverflowError, OSError):
        pass
    if moment is None or not 1601 <= moment.tm_year <= 9999:
        raise ValueError(f"cookie {name!r}: expires={expires!r} is no date from 1601 to 9999")
    day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    return f"{day}, {moment.tm_mday:02} {month} {moment.tm_year:04} {clock} GMT"
