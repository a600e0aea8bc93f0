"""opentelemetry-instrumentation-asgi: spans with names, status and parents, wherever the middleware stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from microasgi import MicroASGI, Middleware
from microasgi.testing import TestClient, request
from tests.thirdparty.packages import require
from tests.thirdparty.site import AROUND_EVERYTHING, PLACES, build

require("opentelemetry.sdk", "opentelemetry.instrumentation.asgi")

from opentelemetry import trace  # noqa: E402
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: E402
from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402
from opentelemetry.trace import SpanKind, StatusCode  # noqa: E402

each_place = pytest.mark.parametrize("place", PLACES)
each_place_around_everything = pytest.mark.parametrize("place", AROUND_EVERYTHING)
PARENT = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Telemetry:
    """A provider of tracers and meters that keeps what it is given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def middleware(self, **options: Any) -> Middleware:
        return Middleware(OpenTelemetryMiddleware, tracer_provider=self.tracers, meter_provider=self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    @property
    def server_span(self) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.kind is SpanKind.SERVER]
        return span


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    telemetry = Telemetry()
    yield telemetry
    telemetry.tracers.shutdown()
    telemetry.meters.shutdown()


@pytest.mark.anyio
@each_place
async def test_a_request_is_a_span_with_its_name_status_and_parent(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    await request(app, "GET", "/items/7?page=2", headers=PARENT)
    span = telemetry.server_span
    assert span.name == "GET /items/7"
    assert span.attributes is not None
    assert span.attributes["http.status_code"] == 200
    assert span.attributes["http.target"] == "/items/7"
    assert span.attributes["http.url"] == "http://testserver/items/7?page=2"
    assert span.parent is not None
    assert f"{span.parent.span_id:x}" == "b7ad6b7169203331"


@pytest.mark.anyio
@each_place
async def test_each_message_is_a_span_below_it(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    await request(app, "POST", "/echo", body=b"tea")
    server = telemetry.server_span
    below = [span for span in telemetry.spans if span is not server]
    assert [span.name for span in below] == [
        "POST /echo http receive",
        "POST /echo http send",
        "POST /echo http send",
    ]
    assert all(span.parent is not None and span.parent.span_id == server.context.span_id for span in below)


@pytest.mark.anyio
@each_place
async def test_an_unhandled_error_is_a_span_with_status_500_and_an_error(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    answer = await request(app, "GET", "/error")
    assert answer.status == 500
    assert telemetry.server_span.attributes is not None
    assert telemetry.server_span.attributes["http.status_code"] == 500
    assert telemetry.server_span.status.status_code is StatusCode.ERROR


@pytest.mark.anyio
@each_place
async def test_a_refusal_is_a_span_without_an_error(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    await request(app, "GET", "/refused")
    assert telemetry.server_span.attributes is not None
    assert telemetry.server_span.attributes["http.status_code"] == 418
    assert telemetry.server_span.status.status_code is StatusCode.UNSET


@pytest.mark.anyio
@each_place_around_everything
async def test_what_no_route_answers_is_a_span_with_status_404(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    await request(app, "GET", "/nowhere")
    assert telemetry.server_span.attributes is not None
    assert telemetry.server_span.attributes["http.status_code"] == 404


@pytest.mark.anyio
@each_place
async def test_a_stream_is_one_span_to_its_end(place: str, telemetry: Telemetry) -> None:
    app, site = build(place, telemetry.middleware(exclude_spans=["receive"]))
    answer = await request(app, "GET", "/stream")
    assert len(answer.body) == 5 * 600
    assert [span.name for span in telemetry.spans] == ["GET /stream http send"] * 7 + ["GET /stream"]
    assert site.done == ["stream closed"]


@pytest.mark.anyio
@each_place
async def test_a_broken_stream_is_a_span_with_its_exception(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    answer = await request(app, "GET", "/broken", raise_errors=False)
    assert isinstance(answer.error, RuntimeError)
    span = telemetry.server_span
    assert span.status.status_code is StatusCode.ERROR
    assert [event.attributes["exception.message"] for event in span.events if event.attributes] == ["the stream broke"]


@pytest.mark.anyio
@each_place
async def test_a_background_task_is_inside_the_span(place: str, telemetry: Telemetry) -> None:
    app, site = build(place, telemetry.middleware())
    seen: list[int] = []

    async def look(name: str) -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    site._finish = look  # type: ignore[method-assign]
    await request(app, "GET", "/task")
    assert seen == [telemetry.server_span.context.span_id]


@pytest.mark.anyio
@each_place
async def test_a_mounted_application_is_inside_the_span(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    await request(app, "GET", "/foreign/below")
    assert telemetry.server_span.name == "GET /foreign/below"
    assert telemetry.server_span.attributes is not None
    assert telemetry.server_span.attributes["http.status_code"] == 203


@each_place
def test_a_socket_is_a_span_and_so_is_each_message(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    with TestClient(app) as client:
        with client.websocket_connect("/socket", headers=PARENT) as socket:
            socket.send_text("tea")
            assert socket.receive_text() == "you said tea"
    server = telemetry.server_span
    assert server.name.endswith("/socket")
    assert server.parent is not None
    assert f"{server.parent.span_id:x}" == "b7ad6b7169203331"
    below = [str(span.attributes["asgi.event.type"]) for span in telemetry.spans if span.attributes and span != server]
    assert below == [
        "websocket.connect",
        "websocket.accept",
        "websocket.receive",
        "websocket.send",
        "websocket.disconnect",
    ]


@each_place
def test_a_socket_that_fails_is_closed_with_1011_inside_the_span(place: str, telemetry: Telemetry) -> None:
    app, _ = build(place, telemetry.middleware())
    with TestClient(app, raise_server_exceptions=False) as client:
        with client.websocket_connect("/socket_error") as socket:
            assert socket.receive() == {"type": "websocket.close", "code": 1011, "reason": ""}
    assert telemetry.server_span.name.endswith("/socket_error")


@pytest.mark.anyio
async def test_the_meters_count_requests_and_time(telemetry: Telemetry) -> None:
    app, _ = build("list", telemetry.middleware())
    for _ in range(3):
        await request(app, "GET", "/home")
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for one in data.resource_metrics[0].scope_metrics for metric in one.metrics}
    (duration,) = metrics["http.server.duration"].data.data_points
    (active,) = metrics["http.server.active_requests"].data.data_points
    assert (duration.count, active.value) == (3, 0)


@pytest.mark.anyio
async def test_a_span_in_the_handler_is_below_the_request(telemetry: Telemetry) -> None:
    app = MicroASGI(middleware=[telemetry.middleware()])
    tracer = telemetry.tracers.get_tracer("shop")

    @app.get("/sync")
    def sync() -> str:
        with tracer.start_as_current_span("in a thread"):
            return "done"

    await request(app, "GET", "/sync")
    (inner,) = [span for span in telemetry.spans if span.name == "in a thread"]
    assert inner.parent is not None
    assert inner.parent.span_id == telemetry.server_span.context.span_id
