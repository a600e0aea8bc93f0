"""What the tests of documents share: a document that an independent validator has found nothing wrong with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openapi_spec_validator import validate

from microasgi import MicroASGI
from microasgi.openapi import OpenAPI
from microasgi.testing import TestClient

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask() -> Ask:
    """Return a function of an application, and of what OpenAPI is told, that gets the document over the wire."""

    def get(app: MicroASGI, **told: Any) -> dict[str, Any]:
        app.include(OpenAPI(**told))
        with TestClient(app) as client:
            response = client.get("/openapi.json").raise_for_status()
        document: dict[str, Any] = response.json()
        validate(document)
        return document

    return get


@pytest.fixture
def describe(ask: Ask) -> Ask:
    """Return a function of an application that gets the one operation it has."""

    def get(app: MicroASGI, **told: Any) -> dict[str, Any]:
        (item,) = ask(app, **told)["paths"].values()
        (operation,) = item.values()
        return dict(operation)

    return get
