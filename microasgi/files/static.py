"""`StaticFiles`: the files below one or several directories, as an ASGI application to be mounted.

The law of this file: one hop into a worker thread finds, opens and reads a file; a small one that was asked for lately
needs none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Any, Final, TypeAlias

from microasgi.concurrency import run_in_threadpool
from microasgi.connection import query_text
from microasgi.errors import answer_error
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.files.codings import wanted_codings
from microasgi.files.conditions import conditions_of
from microasgi.files.fingerprints import fingerprint, identity_of, with_fingerprint
from microasgi.files.locations import Directories, Package, find_package, segments_of
from microasgi.files.mediatypes import guess_media_type
from microasgi.files.memory import Entry, Memory
from microasgi.files.reading import Loaded, load
from microasgi.files.search import REDIRECT, Choice, Search
from microasgi.files.sending import send_file, validator_headers
from microasgi.headers import encode_header, find_header
from microasgi.responses import RedirectResponse, Response, content_length
from microasgi.sockets import deny
from microasgi.types import RawHeaders, Receive, Scope, Send
from microasgi.urls import quote_path

__all__ = ["CachePolicy", "StaticFiles"]

CachePolicy: TypeAlias = str | Callable[[str], str | None] | None
"""The `Cache-Control` of files, of a file by its path, or none."""
_IMMUTABLE: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_VARY: Final = (b"vary", b"accept-encoding")
_READING: Final = frozenset({"GET", "HEAD"})
_ALLOW: Final = {"allow": "GET, HEAD"}


class StaticFiles:
    """The files below `directory`, one or several, and in `packages`: "package" for its folder "statics", or a pair.

    `html` serves index.html for directories and 404.html for what is missing. `follow_symlink` lets links lead out of
    the directory. `check_dir=False` allows it to come later. `cache_control` is for plain names: text, or a function
    of the path; names from `asset_path` may be kept for a year. `precompressed` sends `.br`, `.zst` and `.gz` files
    that lie beside the one asked for. `dotfiles` are names with a dot in front to be served: (".well-known",).
    `memory` is how many bytes of small files are kept. ConfigurationError for what is not there.
    """

    def __init__(
        self,
        *,
        directory: Directories | None = None,
        packages: Sequence[Package] | None = None,
        html: bool = False,
        check_dir: bool = True,
        follow_symlink: bool = False,
        cache_control: CachePolicy = "no-cache",
        precompressed: bool = True,
        dotfiles: Iterable[str] = (),
        memory: int = 16 * 1024 * 1024,
    ) -> None:
        self.directory, self.packages, self.html = directory, packages, html
        self.all_directories = _directories(directory, check_dir) + [find_package(one) for one in packages or ()]
        if not self.all_directories:
            raise ConfigurationError('StaticFiles needs a place: directory="static", or packages=["package"]')
        shown = _names(dotfiles)
        self._dotfiles, self._precompressed = shown, precompressed
        self._search = Search(self.all_directories, html, follow_symlink, shown, precompressed)
        self._cache_control = _policy(cache_control)
        self._memory = Memory(memory)
        self._assets: dict[str, tuple[str, Any, str]] = {}

    def asset_path(self, path: str | os.PathLike[str]) -> str:
        """Return the name that holds a hash of the file's content, and may be kept by clients for ever.

        "css/site.css" gives "css/site.3f9a0c51b7de.css"; it blocks while a new file is read. LookupError for what is
        not there, TypeError for what is no path.
        """
        path = _text_of(path)
        known = self._assets.get(path)
        if known is not None and _is_unchanged(known[0], known[1]):
            return known[2]
        names = segments_of(path, self._dotfiles)
        found = self._search.first(names) if names else None
        if not names or found is None:
            places = ", ".join(self.all_directories)
            raise LookupError(f"asset_path: there is no file {path!r} in {places}")
        name = with_fingerprint(names[-1], fingerprint(found.real, found.status))
        named = "/".join([*names[:-1], name])
        self._assets[path] = (found.path, identity_of(found.status), named)
        return named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file that the path names (ASGI HTTP), or refuse with 404 or 405."""
        method: str | None = scope.get("method")
        if method not in _READING:
            return await self._refuse_other(scope, receive, send)
        path = _path_below(scope)
        wanted: tuple[str, ...] = ()
        if self._precompressed:
            wanted = wanted_codings(find_header(scope["headers"], b"accept-encoding"))
        entry = self._memory.get((path, wanted))
        if entry is None or _has_encoded_separator(scope):
            return await self._search_and_send(scope, receive, send, path, wanted)
        return await _send_entry(scope, receive, send, entry)

    async def _search_and_send(
        self, scope: Scope, receive: Receive, send: Send, path: str, wanted: tuple[str, ...]
    ) -> None:
        segments = None if _has_encoded_separator(scope) else segments_of(path, self._dotfiles)
        if segments is None:
            return await _refuse(scope, receive, send, 404)
        is_read = scope["method"] == "GET"
        found = await run_in_threadpool(self._open, segments, wanted, is_read)
        if found is None:
            return await _refuse(scope, receive, send, 404)
        if found is REDIRECT:
            return await _redirect(scope, receive, send)
        choice, loaded = found
        try:
            headers = self._headers(choice, loaded, path)
        except BaseException:  # of a policy, most likely
            loaded.close()
            raise
        if choice.watched:
            key, sized = (path, wanted), [*headers, content_length(loaded.size)]
            self._memory.put(key, loaded, headers, sized, choice.watched)
        return await send_file(scope, receive, send, loaded, choice.status, headers)

    def _open(self, segments: Sequence[str], wanted: Sequence[str], is_read: bool) -> Any:
        """Find and open the file, and read it if it is small: all that blocks. None if it is not there."""
        try:
            choice = self._search.choose(segments, wanted)
            if not isinstance(choice, Choice):
                return choice
            loaded = load(choice.file.real, read=is_read, coding=choice.coding, follow=self._search.follow)
        except (OSError, ValueError):  # gone since, or not to be read by us
            return None
        if choice.is_immutable and identity_of(loaded.status) != identity_of(choice.file.status):
            choice = choice._replace(is_immutable=False, is_substitute=True)  # written after its hash was made
        return choice, loaded

    def _headers(self, choice: Choice, loaded: Loaded, path: str) -> RawHeaders:
        media_type = guess_media_type(choice.name)
        charset = "; charset=utf-8" if media_type.startswith("text/") else ""
        headers = [encode_header("content-type", media_type + charset), *validator_headers(loaded)]
        if choice.coding:
            headers.append((b"content-encoding", choice.coding.encode()))
        if choice.varies:
            headers.append(_VARY)
        if choice.is_immutable:
            return [*headers, _IMMUTABLE]
        policy = self._cache_control(path.removeprefix("/"))
        if choice.is_substitute:
            policy = _for_substitutes(policy)
        if policy is not None:
            headers.append(encode_header("cache-control", policy))
        return headers

    async def _refuse_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await _refuse(scope, receive, send, 404)
        if scope["type"] != "http":
            raise RuntimeError(f"StaticFiles answers http, not {scope['type']}")
        if scope["method"] == "OPTIONS":
            return await Response(status_code=204, headers=_ALLOW)(scope, receive, send)
        return await _refuse(scope, receive, send, 405, _ALLOW)


def _directories(given: Directories | None, check: bool) -> list[str]:
    if given is None:
        return []
    listed = [given] if isinstance(given, (str, os.PathLike)) else list(given)
    places = [os.path.abspath(place) for place in listed]
    for place, name in zip(places, listed, strict=True):
        if check and not os.path.isdir(place):
            raise ConfigurationError(
                f"StaticFiles: there is no directory {os.fspath(name)!r} ({place}); make it, give another path, "
                "or check_dir=False if it comes later"
            )
    return places


def _names(dotfiles: Iterable[str]) -> frozenset[str]:
    names = frozenset([dotfiles] if isinstance(dotfiles, str) else dotfiles)
    wrong = sorted(name for name in names if not name.startswith(".") or not name.strip(".") or "/" in name)
    if wrong:
        raise ConfigurationError(f"StaticFiles: dotfiles are single names such as '.well-known', not {wrong[0]!r}")
    return names


def _policy(given: CachePolicy) -> Callable[[str], str | None]:
    if callable(given):
        return given
    if given is not None:
        encode_header("cache-control", given)  # ValueError now, not at a request
    return lambda path: given


def _for_substitutes(policy: str | None) -> str:
    """Return the policy for what is sent in place of a file: ask each time, and store no more than the file allows."""
    limits = [word for word in ("private", "no-store") if word in (policy or "").lower()]
    return ", ".join([*limits, "no-cache"])


def _text_of(path: str | os.PathLike[str]) -> str:
    if isinstance(path, PurePath):
        return path.as_posix()
    text: object = os.fspath(path) if hasattr(path, "__fspath__") else path
    if isinstance(text, str):
        return text
    raise TypeError(f'asset_path takes a path below the directory, such as "css/site.css", not {path!r}')


def _path_below(scope: Scope) -> str:
    root: str = scope.get("root_path") or ""
    path: str = scope["path"]
    below = path.removeprefix(root.rstrip("/"))
    return below if not below or below[0] == "/" else path


def _has_encoded_separator(scope: Scope) -> bool:
    raw: bytes = scope.get("raw_path") or b""
    return b"%2f" in raw or b"%2F" in raw


def _is_unchanged(path: str, identity: Any) -> bool:
    try:
        return bool(identity_of(os.stat(path)) == identity)
    except OSError:
        return False


async def _send_entry(scope: Scope, receive: Receive, send: Send, entry: Entry) -> None:
    if conditions_of(scope["headers"]):
        return await send_file(scope, receive, send, entry.loaded, 200, entry.headers)
    body = entry.body if scope["method"] == "GET" else b""
    await send({"type": "http.response.start", "status": 200, "headers": [*entry.sized_headers]})
    return await send({"type": "http.response.body", "body": body})


async def _redirect(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the client to the directory's own path, relative, so that no host and no prefix is needed."""
    query = query_text(scope)
    name = quote_path(scope["path"].rpartition("/")[2])
    await RedirectResponse(f"./{name}/{query and '?' + query}")(scope, receive, send)


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, headers: dict[str, str] | None = None
) -> None:
    """Refuse as the application around does, by a response: whatever stands around these files sees it."""
    answer = deny if scope["type"] == "websocket" else answer_error
    await answer(scope, receive, send, HTTPException(status, headers=headers))
