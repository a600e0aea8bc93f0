"""The search: which file answers a path. It blocks, and runs in the worker thread that opens the file too.

The law of this file: the first directory that has it wins, and a packed sibling counts only if it is not older.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from microasgi.files.codings import SUFFIXES
from microasgi.files.fingerprints import Identity, identity_of, is_fingerprint, without_fingerprint
from microasgi.files.locations import Found, find

__all__ = ["REDIRECT", "Choice", "Search"]

_INDEX: Final = "index.html"
_NOT_FOUND: Final = "404.html"


class Choice(NamedTuple):
    """The file to be sent: where it is, and what the headers have to say of it."""

    file: Found
    name: str
    """Of the file that was asked for: the type goes by it."""
    coding: str = ""
    varies: bool = False
    is_immutable: bool = False
    """The name has a hash in it, of this very content."""
    is_substitute: bool = False
    """It is sent in place of what the name says, or may be: no policy for that name goes for it."""
    status: int = 200
    watched: tuple[tuple[str, Identity], ...] = ()
    """The files that this choice rests on, as they were; none if it is not to be remembered."""


REDIRECT: Final = object()
"""A directory with an index, without the slash at its end."""


@dataclass(frozen=True)
class Search:
    """Where to look and what may be found."""

    roots: Sequence[str]
    html: bool
    follow: bool
    dotfiles: frozenset[str]
    precompressed: bool

    def choose(self, segments: Sequence[str], wanted: Sequence[str]) -> Choice | object | None:
        """Return the choice for these segments of a path and the codings a client wants, REDIRECT, or None."""
        is_slashed = segments[-1:] == [""]
        names = segments[:-1] if is_slashed else segments
        for found in self._all(names):
            if found.is_file and not is_slashed:
                return self._with_sibling(found, wanted)
            index = self._find(found.root, [*names, _INDEX]) if self.html and found.is_directory else None
            if index is not None and index.is_file:
                return self._with_sibling(index, wanted) if is_slashed else REDIRECT
        if not is_slashed and names and (marked := self._choose_marked(names, wanted)):
            return marked
        page = self.first([_NOT_FOUND]) if self.html else None
        return self._with_sibling(page, wanted)._replace(status=404, is_substitute=True, watched=()) if page else None

    def first(self, names: Sequence[str]) -> Found | None:
        """Return the file of these names in the first directory that has it."""
        return next((found for found in self._all(names) if found.is_file), None)

    def _choose_marked(self, names: Sequence[str], wanted: Sequence[str]) -> Choice | None:
        """Return the file for a name with a hash in it.

        A hash of other content gets the present content, and no promise that it stays: while a new version is rolled
        out, pages of one version are answered by the other, and a page without its style is worse.
        """
        for plain, mark in without_fingerprint(names[-1]):
            found = self.first([*names[:-1], plain])
            if found is None:
                continue
            choice = self._with_sibling(found, wanted)
            if not is_fingerprint(mark, found.real, found.status):
                return choice._replace(is_substitute=True, watched=())  # too many wrong names to remember any
            # The hash is the original's. Copies and releases give both one time, so only a newer one is surely packed
            # from this content.
            is_sure = not choice.coding or choice.file.status.st_mtime_ns > found.status.st_mtime_ns
            return choice._replace(is_immutable=is_sure, is_substitute=not is_sure)
        return None

    def _with_sibling(self, found: Found, wanted: Sequence[str]) -> Choice:
        name, watched = found.path, (_watch(found),)
        if not self.precompressed:
            return Choice(found, name, watched=watched)
        packed = {coding: sibling for coding in SUFFIXES if (sibling := self._sibling(found, SUFFIXES[coding]))}
        for coding in wanted:
            if coding in packed:
                sibling = packed[coding]
                return Choice(sibling, name, coding, True, watched=(_watch(sibling), *watched))
        return Choice(found, name, varies=bool(packed), watched=watched)

    def _sibling(self, found: Found, suffix: str) -> Found | None:
        sibling = self._find(found.root, [found.path + suffix])
        if sibling is None or not sibling.is_file:
            return None
        # In whole seconds: some tools that copy both keep no more of the time.
        return sibling if int(sibling.status.st_mtime) >= int(found.status.st_mtime) else None

    def _all(self, names: Sequence[str]) -> Iterator[Found]:
        for root in self.roots:
            found = self._find(root, names)
            if found is not None:
                yield found

    def _find(self, root: str, names: Sequence[str]) -> Found | None:
        return find(root, names, self.dotfiles, follow=self.follow)


def _watch(found: Found) -> tuple[str, Identity]:
    return found.path, identity_of(found.status)
