"""The tests' own project stands."""

from __future__ import annotations

from django.test import Client


def test_the_project_answers() -> None:
    assert Client().get("/").content == b"django"
    assert Client().get("/count/").json() == {"count": 0}
