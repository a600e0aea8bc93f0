"""Policies: what a page may load and do, from a dictionary to the value of a header.

Law: a mistake that browsers would pass over in silence is refused here, with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from microasgi.exceptions import ConfigurationError

__all__ = ["NONCE", "chosen", "content_policy", "permissions"]

NONCE: Final = "{nonce}"
_KEYWORDS: Final = frozenset(
    {
        *("none", "self", "unsafe-inline", "unsafe-eval", "unsafe-hashes", "strict-dynamic", "report-sample"),
        *("wasm-unsafe-eval", "inline-speculation-rules", "script"),
    }
)

_CHOICES: Final = {
    "X-Frame-Options": ("DENY", "SAMEORIGIN"),
    "Referrer-Policy": (
        *("no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "same-origin"),
        *("strict-origin", "strict-origin-when-cross-origin", "unsafe-url"),
    ),
    "Cross-Origin-Opener-Policy": ("same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"),
    "Cross-Origin-Resource-Policy": ("same-origin", "same-site", "cross-origin"),
}

_directive = re.compile(r"[a-z][a-z0-9\-]*").fullmatch
_source = re.compile(r"[!-+\--:<-~]+").fullmatch  # visible ASCII without comma and semicolon


def chosen(header: str, value: str | None) -> str | None:
    """Return the value of a header that has few; None stays None."""
    choices = _CHOICES[header]
    if value is not None and value not in choices:
        raise ConfigurationError(f"{header}: {value!r} is unknown; write one of {', '.join(choices)}, or None for none")
    return value


def content_policy(policy: Mapping[str, str | Sequence[str]], ancestors: str | None) -> str:
    """Return a Content-Security-Policy (CSP level 3, section 2.2); `ancestors` stands in for frame-ancestors."""
    parts: dict[str, str] = {}
    for name, value in policy.items():
        if not _directive(name):
            raise ConfigurationError(
                f"Content-Security-Policy: {name!r} is no directive: write 'script-src' and the like"
            )
        sources = value.split() if isinstance(value, str) else value
        parts[name] = " ".join([name, *[_checked(name, source) for source in sources]])
    if ancestors is not None and "frame-ancestors" not in parts:
        parts["frame-ancestors"] = f"frame-ancestors {ancestors}"
    return "; ".join(parts.values())


def _checked(directive: str, source: str) -> str:
    bare = source.strip("'")
    if bare == f"nonce-{NONCE}":
        return NONCE
    if not _source(source):
        raise ConfigurationError(
            f"Content-Security-Policy: {source!r} in {directive} is no source: one text for each, without spaces, "
            "commas and semicolons (percent-encoded in a URL), in ASCII"
        )
    if source == bare and directive.endswith("-src") and (bare in _KEYWORDS or bare.startswith(("nonce-", "sha"))):
        raise ConfigurationError(f"Content-Security-Policy: {source!r} in {directive} needs its quotes: \"'{source}'\"")
    return source


def permissions(policy: Mapping[str, Sequence[str]]) -> str:
    """Return a Permissions-Policy: features with who may use them, none for an empty list."""
    return ", ".join([f"{_feature(name)}={_allowlist(name, who)}" for name, who in policy.items()])


def _feature(name: str) -> str:
    if not _directive(name):
        raise ConfigurationError(
            f"Permissions-Policy: {name!r} is no feature: write 'camera', 'geolocation' and the like"
        )
    return name


def _allowlist(name: str, who: Iterable[str]) -> str:
    if isinstance(who, str):
        raise ConfigurationError(f"Permissions-Policy: {name!r} takes a list, write {name!r}: [{who!r}]")
    entries = [*who]
    if entries == ["*"]:
        return "*"
    return f"({' '.join([_member(name, entry) for entry in entries])})"


def _member(name: str, entry: str) -> str:
    if entry in ("self", "src"):
        return entry
    if "://" in entry and '"' not in entry and "\\" not in entry and _source(entry):
        return f'"{entry}"'
    raise ConfigurationError(
        f"Permissions-Policy: {entry!r} in {name!r} is neither 'self' nor an origin like 'https://...'"
    )
