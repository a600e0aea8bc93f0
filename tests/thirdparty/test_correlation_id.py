"""asgi-correlation-id: the identifier reaches handler, log and response, wherever the middleware stands."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import pytest

from microasgi import Middleware
from microasgi.testing import TestClient
from tests.thirdparty.packages import require
from tests.thirdparty.site import AROUND_EVERYTHING, PLACES, build

require("asgi_correlation_id")

from asgi_correlation_id import CorrelationIdFilter, CorrelationIdMiddleware, correlation_id  # noqa: E402

GIVEN = "0b9a4c9f5d2e4c6f8a1b2c3d4e5f6071"
Backend = Literal["asyncio", "trio"]

each_place = pytest.mark.parametrize("place", PLACES)
each_place_around_everything = pytest.mark.parametrize("place", AROUND_EVERYTHING)


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    backend: Backend = request.param
    return backend


def client_at(place: str, backend: Backend = "asyncio") -> TestClient:
    app, _ = build(place, Middleware(CorrelationIdMiddleware))
    # No lint: where it makes an identifier it writes into the server's scope, which ASGI forbids.
    return TestClient(app, backend=backend, raise_server_exceptions=False, lint=False)


@each_place
def test_a_given_identifier_comes_back_once(place: str, backend: Backend) -> None:
    with client_at(place, backend) as client:
        for path in ("/home", "/large", "/stream", "/refused", "/task", "/foreign/x"):
            response = client.get(path, headers={"x-request-id": GIVEN})
            assert response.headers.get_list("x-request-id") == [GIVEN], path


@each_place
def test_a_new_identifier_is_made_for_each_request(place: str) -> None:
    with client_at(place) as client:
        made = [client.post("/echo", content=b"x").headers["x-request-id"] for _ in range(3)]
    assert len(set(made)) == 3
    assert all(UUID(one) for one in made)


@each_place
def test_an_unhandled_error_is_answered_with_its_identifier(place: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(log_filter := CorrelationIdFilter())
    with client_at(place) as client:
        response = client.get("/error", headers={"x-request-id": GIVEN})
    caplog.handler.removeFilter(log_filter)
    assert response.status_code == 500
    assert response.headers["x-request-id"] == GIVEN
    assert [record.__dict__["correlation_id"] for record in caplog.records if record.name == "microasgi"] == [GIVEN]


@each_place_around_everything
def test_what_no_route_answers_has_an_identifier(place: str) -> None:
    with client_at(place) as client:
        assert client.get("/nowhere", headers={"x-request-id": GIVEN}).headers["x-request-id"] == GIVEN
        assert client.delete("/home", headers={"x-request-id": GIVEN}).headers["x-request-id"] == GIVEN


@each_place
def test_a_socket_has_an_identifier_and_works(place: str, backend: Backend) -> None:
    seen: list[str | None] = []
    app, _ = build(place, Middleware(CorrelationIdMiddleware, transformer=lambda given: seen.append(given) or given))
    with TestClient(app, backend=backend) as client:
        with client.websocket_connect("/socket", headers={"x-request-id": GIVEN}) as socket:
            socket.send_text("tea")
            assert socket.receive_text() == "you said tea"
    assert seen == [GIVEN]


def test_a_background_task_sees_the_identifier() -> None:
    app, site = build("add_middleware", Middleware(CorrelationIdMiddleware))
    seen: list[str | None] = []

    async def look(name: str) -> None:
        seen.append(correlation_id.get())

    site._finish = look  # type: ignore[method-assign]
    with TestClient(app) as client:
        client.get("/task", headers={"x-request-id": GIVEN})
    assert seen == [GIVEN]


@each_place_around_everything
def test_the_handler_reads_a_new_identifier_as_a_header_of_the_request(place: str) -> None:
    app, _ = build(place, Middleware(CorrelationIdMiddleware))
    with TestClient(app, lint=False) as client:
        response = client.post("/echo", headers={"x-show": "x-request-id"})
    assert response.text == response.headers["x-request-id"]


def test_the_lint_passes_where_the_request_header_is_not_rewritten() -> None:
    app, _ = build("list", Middleware(CorrelationIdMiddleware, update_request_header=False))
    with TestClient(app) as client:
        assert UUID(client.get("/home").headers["x-request-id"])
