"""What a test puts in the place of dependencies is there as long as it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest

from microasgi import MicroASGI
from microasgi.testing import AsyncTestClient, TestClient
from microasgi.typed import Depends


async def real() -> str:
    return "real"


def made_app() -> MicroASGI:
    app = MicroASGI()

    @app.get("/")
    async def show(value: Annotated[str, Depends(real)]) -> str:
        return value

    return app


def test_an_override_lasts_as_long_as_its_block() -> None:
    client = TestClient(made_app())
    with client.override({real: lambda: "fake"}):
        assert client.get("/").text == "fake"
        with client.override({real: lambda: "inner"}):
            assert client.get("/").text == "inner"
        assert client.get("/").text == "fake"
    assert client.get("/").text == "real"


def test_an_override_ends_with_an_error_too() -> None:
    client = TestClient(made_app())

    @contextmanager
    def fails() -> Iterator[None]:
        with client.override({real: lambda: "fake"}):
            raise LookupError
        yield

    with pytest.raises(LookupError), fails():
        pass
    assert client.get("/").text == "real"


@pytest.mark.anyio
async def test_the_async_client_overrides_too() -> None:
    client = AsyncTestClient(made_app())
    with client.override({real: lambda: "fake"}):
        assert (await client.get("/")).text == "fake"


def test_an_application_without_overrides_is_named() -> None:
    async def foreign(scope: Any, receive: Any, send: Any) -> None: ...

    with pytest.raises(TypeError, match="has no dependency_overrides"), TestClient(foreign).override({}):
        pass
