"""A cookie on its way from an application through Django: sent as it was written, unless a middleware changes it.

Law: attributes that Python's `http.cookies` does not know are kept, and two cookies of one name too.
"""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any, Final, cast

__all__ = ["SentCookie", "add_cookie"]

_FLAGS: Final = frozenset({"secure", "httponly", "partitioned"})


class SentCookie(Morsel[str]):
    """A Set-Cookie header (RFC 6265 section 4.1), as what Django keeps in `response.cookies`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        pair, *attributes = text.split(";")
        name, _, value = pair.partition("=")
        own: dict[str, Any] = {"key": name.strip(), "coded_value": value.strip(), "value": value.strip().strip('"')}
        cast(Any, self).__setstate__(own)  # `set` refuses names that browsers take
        self._extras: list[str] = []
        for attribute in attributes:
            self._add(attribute.strip())
        self._text = text.strip()
        self._as_sent = self._state()

    def _add(self, attribute: str) -> None:
        name, has_value, value = attribute.partition("=")
        if not attribute or not self.isReservedKey(name.strip()):
            self._extras += [attribute] if attribute else []
            return
        is_flag = not has_value and name.strip().lower() in _FLAGS
        self[name.strip()] = cast(Any, True) if is_flag else value.strip()

    def _state(self) -> Any:
        return self.coded_value, dict(self)

    def OutputString(self, attrs: Any = None) -> str:
        """Return the header's value: as it was sent, or with what has been changed since."""
        if attrs is None and self._state() == self._as_sent:
            return self._text
        return "; ".join([super().OutputString(attrs), *self._extras])

    def __reduce__(self) -> Any:
        return _restored, (self._text, self.__getstate__(), dict(self))


def _restored(text: str, state: dict[str, Any], attributes: dict[str, Any]) -> SentCookie:
    cookie = SentCookie(text)
    cast(Any, cookie).__setstate__(state)
    cookie.update(attributes)
    return cookie


def add_cookie(cookies: SimpleCookie, text: str) -> None:
    """Put a Set-Cookie header among a response's cookies; ValueError if no header can be that."""
    if not text.isascii() or not text.isprintable():
        raise ValueError(
            f"the application sent the Set-Cookie header {text!r}: it takes printable ASCII only, so quote the value "
            "(urllib.parse.quote) before you set it"
        )
    cookie = SentCookie(text)
    place = name = cookie.key
    if name in cookies:  # the same name for another path or domain: a cookie of its own
        place = f"{name}; {cookie['path']}; {cookie['domain']}"
    cookies[place] = cookie
