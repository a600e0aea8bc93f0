"""Overlap: whether a path could match two templates of a set. Where none can, a refusal may stand in the tables."""

from __future__ import annotations

from collections.abc import Iterable

from microasgi.paths import Template

__all__ = ["are_disjoint"]


def are_disjoint(templates: Iterable[Template]) -> bool:
    """Tell whether no path with a parameter in it matches two of the templates. May say no where yes would be right.

    Templates without parameters do not count: they are looked up first. So that the answer costs one pass, templates
    with the same number of segments must have the same ones fixed, and a spanning one a first segment of its own.
    """
    masks: dict[int, tuple[bool, ...]] = {}
    fixed_parts: set[tuple[str, ...]] = set()
    firsts: set[str | None] = set()
    tail_firsts: list[str | None] = []
    for template in templates:
        if not template.parameters:
            continue
        if template.tail is not None:
            tail_firsts.append(_first_segment(template))
            continue
        firsts.add(_first_segment(template))
        mask = tuple(isinstance(segment, str) for segment in template.segments)
        fixed = tuple(segment if isinstance(segment, str) else "*" for segment in template.segments)
        if masks.setdefault(len(mask), mask) != mask or fixed in fixed_parts:
            return False
        fixed_parts.add(fixed)
    if not tail_firsts:
        return True
    return (
        len(set(tail_firsts)) == len(tail_firsts)
        and None not in firsts | set(tail_firsts)
        and firsts.isdisjoint(tail_firsts)
    )


def _first_segment(template: Template) -> str | None:
    """Return the text of the first segment, or None if it is not fixed."""
    first = template.segments[1] if len(template.segments) > 1 else None
    return first if isinstance(first, str) else None
