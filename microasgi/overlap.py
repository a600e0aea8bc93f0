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
        mask = tuple(rank == 0 for rank in template.rank)
        # A fixed segment is one text, or nothing where two slashes meet.
        fixed = tuple(
            "".join(map(str, segment)) if is_fixed else "*"
            for segment, is_fixed in zip(template.segments, mask, strict=True)
        )
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
    if len(template.segments) < 2 or template.rank[1] != 0:
        return None
    return "".join(map(str, template.segments[1]))
