"""Multi-mappings: several values for a key, the last one by `[]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.multidict import ImmutableMultiDict, MultiDict

PAIRS = [("a", "1"), ("a", "2"), ("b", "3")]

keys = st.sampled_from("abc")
values = st.integers(0, 3)
pair_lists = st.lists(st.tuples(keys, values), max_size=8)


@given(pair_lists, keys)
def test_reading_agrees_with_the_list_of_pairs(pairs: list[tuple[str, int]], key: str) -> None:
    multi = ImmutableMultiDict(pairs)
    found = [value for name, value in pairs if name == key]
    assert multi.getlist(key) == found
    assert multi.get(key) == (found[-1] if found else None)
    assert multi.get(key, "none") == (found[-1] if found else "none")
    assert (key in multi) == bool(found)
    assert multi.multi_items() == pairs
    assert dict(multi) == dict(multi.items()) == dict(pairs)
    assert list(multi) == list(multi.keys()) == list(dict(pairs))
    assert list(multi.values()) == list(dict(pairs).values())
    assert len(multi) == len(dict(pairs))


@pytest.mark.parametrize("source", [PAIRS, tuple(PAIRS), iter(PAIRS), MultiDict(PAIRS)])
def test_a_multi_mapping_is_made_from_pairs(source: Any) -> None:
    assert ImmutableMultiDict(source).multi_items() == PAIRS


def test_a_multi_mapping_is_made_from_a_mapping_and_keywords() -> None:
    assert ImmutableMultiDict({"a": "1"}, a="2", b="3").multi_items() == PAIRS
    assert ImmutableMultiDict(PAIRS[:2], b="3").multi_items() == PAIRS
    assert ImmutableMultiDict[str, str]().multi_items() == []


def test_a_multi_mapping_does_not_share_the_list_it_was_made_from() -> None:
    pairs = list(PAIRS)
    multi = ImmutableMultiDict(pairs)
    pairs.clear()
    multi.multi_items().clear()
    assert multi.multi_items() == PAIRS


def test_the_last_value_of_a_key_is_what_brackets_give() -> None:
    assert ImmutableMultiDict(PAIRS)["a"] == "2"


def test_a_missing_key_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        ImmutableMultiDict(PAIRS)["x"]


def test_the_order_of_keys_does_not_count_for_equality_and_that_of_values_does() -> None:
    assert MultiDict(PAIRS) == ImmutableMultiDict([("b", "3"), ("a", "1"), ("a", "2")])
    assert MultiDict(PAIRS) != MultiDict([("a", "2"), ("a", "1"), ("b", "3")])
    assert MultiDict(PAIRS) != MultiDict(PAIRS[:2])
    assert MultiDict({"a": "1"}) != {"a": "1"}


def test_values_that_cannot_be_ordered_can_be_compared() -> None:
    assert MultiDict([("a", object)]) == MultiDict([("a", object)])


def test_a_multi_mapping_shows_its_pairs() -> None:
    assert repr(MultiDict(PAIRS)) == f"MultiDict({PAIRS!r})"
    assert repr(ImmutableMultiDict({"a": 1})) == "ImmutableMultiDict([('a', 1)])"


def test_a_multi_mapping_is_a_mapping_without_hash_and_without_attributes_of_its_own() -> None:
    multi = ImmutableMultiDict(PAIRS)
    assert isinstance(multi, Mapping)
    assert not hasattr(multi, "__dict__")
    with pytest.raises(TypeError):
        hash(multi)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), keys, values),
        st.tuples(st.sampled_from(["del", "pop", "poplist", "popitem", "clear"]), keys, st.none()),
        st.tuples(st.sampled_from(["append", "setdefault"]), keys, values),
        st.tuples(st.just("setlist"), keys, st.lists(values, max_size=3)),
        st.tuples(st.just("update"), st.just(""), pair_lists),
    ),
    max_size=10,
)


def without(pairs: list[tuple[str, int]], *names: str) -> list[tuple[str, int]]:
    return [pair for pair in pairs if pair[0] not in names]


def step_both(multi: MultiDict[str, int], pairs: list[tuple[str, int]], step: tuple[str, str, Any]) -> Any:
    """Do one step on the multi-mapping, and give what the list of pairs is after it."""
    name, key, value = step
    found = [old for other, old in pairs if other == key]
    match name:
        case "set":
            multi[key] = value
            return [*without(pairs, key), (key, value)]
        case "setlist":
            multi.setlist(key, iter(value))
            return [*without(pairs, key), *((key, each) for each in value)]
        case "append":
            multi.append(key, value)
            return [*pairs, (key, value)]
        case "setdefault":
            assert multi.setdefault(key, value) == (found or [value])[-1]
            return pairs if found else [*pairs, (key, value)]
        case "update":
            multi.update(value)
            return [*without(pairs, *dict(value)), *value]
        case "pop":
            assert multi.pop(key, -1) == (found or [-1])[-1]
        case "poplist":
            assert multi.poplist(key) == found
        case "clear":
            multi.clear()
            return []
        case "del" if found:
            del multi[key]
        case "popitem" if pairs:
            key, last = multi.popitem()
            assert last == dict(pairs)[key]
        case _:
            with pytest.raises(KeyError):
                multi.popitem() if name == "popitem" else multi.__delitem__(key)
            return pairs
    return without(pairs, key)


@given(pair_lists, steps)
def test_changes_do_what_they_do_to_a_list_of_pairs(pairs: list[tuple[str, int]], todo: list[Any]) -> None:
    multi = MultiDict(pairs)
    for step in todo:
        pairs = step_both(multi, pairs, step)
        assert multi.multi_items() == pairs
        assert dict(multi) == dict(pairs)


def test_an_update_takes_mappings_multi_mappings_and_keywords() -> None:
    multi = MultiDict(PAIRS)
    multi.update({"a": "4"}, c="5")
    assert multi.multi_items() == [("b", "3"), ("a", "4"), ("c", "5")]
    multi.update(MultiDict(PAIRS[:2]))
    assert multi.multi_items() == [("b", "3"), ("c", "5"), ("a", "1"), ("a", "2")]
    multi.update(d="6")
    assert multi["d"] == "6"


def test_the_newest_key_is_popped_with_all_its_values() -> None:
    multi = MultiDict([("b", "3"), *PAIRS[:2]])
    assert multi.popitem() == ("a", "2")
    assert multi.multi_items() == [("b", "3")]
    with pytest.raises(KeyError):
        MultiDict[str, str]().popitem()


def test_popping_a_missing_key_gives_none() -> None:
    assert MultiDict(PAIRS).pop("x") is None


def test_a_key_may_be_set_to_values_taken_from_itself() -> None:
    multi = MultiDict(PAIRS)
    multi.setlist("a", multi.getlist("a"))
    assert multi.getlist("a") == ["1", "2"]
