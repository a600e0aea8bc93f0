"""Names of components: short where they can be, alike where they cannot, and keys that OpenAPI takes."""

from __future__ import annotations

import re
from dataclasses import make_dataclass
from typing import Any, Generic, Literal, TypeVar

import pydantic
from hypothesis import given
from hypothesis import strategies as st

from microasgi.typed.componentnames import component_names, free_name

T = TypeVar("T")


def model(name: str, module: str = "shop.models", qualname: str = "") -> Any:
    made = make_dataclass(name, [("value", int)])
    made.__module__, made.__qualname__ = module, qualname or name
    return made


def names(*models: Any) -> list[str]:
    return [*component_names(models).values()]


class Page(Generic[T]):
    items: list[T]


class Box(pydantic.BaseModel, Generic[T]):
    item: T


def test_a_name_that_is_alone_is_the_classes_own() -> None:
    assert names(model("Item"), model("Part"), model("_Hidden_")) == ["Item", "Part", "_Hidden_"]


def test_models_of_one_name_are_qualified_alike_and_no_more_than_it_takes() -> None:
    assert names(model("Item", "a.shop"), model("Item", "b.blog"), model("Part")) == ["shop.Item", "blog.Item", "Part"]
    assert names(model("Item", "a.models"), model("Item", "b.models")) == ["a.models.Item", "b.models.Item"]
    assert names(model("Item", "a", "f.<locals>.Item"), model("Item", "a", "g.<locals>.Item")) == ["f.Item", "g.Item"]
    assert names(model("Item", "a"), model("Item", "a", "Outer.Item")) == ["a.Item", "Outer.Item"]


def test_what_stands_in_one_place_has_numbers() -> None:
    assert names(model("Item"), model("Item")) == ["Item", "Item2"]
    assert names(model("Item", "a"), model("Item", "b"), model("Item", "b")) == ["a.Item", "b.Item", "b.Item2"]


def test_type_arguments_belong_to_the_name() -> None:
    one, other = model("Item", "shop"), model("Item", "blog")
    assert names(Page[int], Page[one], Page[list[one]]) == ["Page_int", "Page_Item", "Page_list_Item"]
    assert names(Page[one | int | None], Page[one | None]) == ["Page_Item_or_int_or_None", "Page_Item_or_None"]
    assert names(Box[int], Box[one]) == ["Box_int", "Box_Item"]
    name = __name__.rpartition(".")[2]
    assert names(Page[one], Page[other]) == [f"{name}.Page_shop.Item", f"{name}.Page_blog.Item"]
    assert names(Page[Literal["a b"]]) == ["Page_Literal_a_b"]


def test_the_same_class_is_named_once() -> None:
    item = model("Item")
    assert component_names([item, Page[item], item, Page[item]]) == {item: "Item", Page[item]: "Page_Item"}


def test_a_free_name_has_the_first_number_that_is_free() -> None:
    assert [free_name("A", taken) for taken in ([], ["A"], ["A", "A2"])] == ["A", "A2", "A3"]


@given(st.lists(st.tuples(st.sampled_from(["A", "A2", "ä", "a b"]), st.sampled_from(["m", "m.n", "o.n"])), max_size=8))
def test_names_are_keys_and_all_different(given: list[tuple[str, str]]) -> None:
    found = names(*(model("X", module, name) for name, module in given))
    assert len({*found}) == len(given)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in found)
