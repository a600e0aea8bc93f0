"""Security: the schemes that operations ask credentials by, and which of them each one needs.

The law of this file: a scheme has one name, and two schemes have two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from microasgi.serialization import decode_json, encode_json
from microasgi.typed.security import SecurityScheme

__all__ = ["Guards"]


class Guards:
    """The security schemes of one document, by name."""

    def __init__(self) -> None:
        self.schemes: dict[str, dict[str, Any]] = {}

    def name(self, scheme: SecurityScheme[Any]) -> str:
        """Return the name of a scheme; a number is put to it where another scheme has it already."""
        described = decode_json(encode_json(scheme.scheme))
        name, number = scheme.scheme_name, 2
        while self.schemes.setdefault(name, described) != described:
            name, number = f"{scheme.scheme_name}{number}", number + 1
        return name

    def require(
        self, guards: Iterable[tuple[SecurityScheme[Any], Sequence[str]]], *, alternatives: bool = False
    ) -> list[dict[str, list[str]]]:
        """Return the requirements (OpenAPI 3.1 section 4.8.30): all of the guards or, as alternatives, any of them.

        Those with `auto_error=False` let requests without credentials through, so each of them is one more way.
        """
        needed: dict[str, list[str]] = {}
        ways: list[dict[str, list[str]]] = []
        for scheme, scopes in guards:
            name = self.name(scheme)
            if alternatives or not scheme.auto_error:
                ways.append({name: [*scopes]})
            else:
                needed[name] = sorted({*needed.get(name, ()), *scopes})
        if alternatives:
            return ways
        found = [{**way, **needed} for way in ways] + [needed]
        return [one for index, one in enumerate(found) if one not in found[:index]] if needed or ways else []
