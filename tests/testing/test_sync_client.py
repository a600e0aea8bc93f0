"""The sync client in front of plain ASGI applications: requests, streams, failures, the loop and the lifespan."""

from __future__ import annotations

import contextvars
import gc
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import anyio
import httpx
import pytest
import sniffio

from microasgi.testing import ASGIViolation, LifespanFailed, TestClient
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

Backend = Literal["asyncio", "trio"]
Open = Callable[..., TestClient]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def open_client(backend: Backend) -> Iterator[Open]:
    """Build clients on one backend and close them, and find no thread of theirs afterwards."""
    before = set(threading.enumerate())
    clients: list[TestClient] = []

    def build(app: ASGIApp, **options: Any) -> TestClient:
        clients.append(TestClient(app, backend=backend, **options))
        return clients[-1]

    yield build
    for client in clients:
        client.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if "portal" in thread.name]


START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def start(status: int = 200, *headers: tuple[bytes, bytes], **keys: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **keys}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sends(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def read_body(receive: Receive) -> list[bytes]:
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        chunks.append(message["body"])
        more = message["more_body"]
    return chunks


async def tells_scope(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the scope and the body's chunks, as far as JSON can hold them."""
    plain = {key: value for key, value in scope.items() if key not in ("state", "microasgi.on_error")}
    plain["chunks"] = await read_body(receive)
    data = json.dumps(plain, default=lambda value: value.decode("latin-1"))
    await send(start(200, (b"content-type", b"application/json")))
    await send(body(data.encode()))


async def counts(scope: Scope, receive: Receive, send: Send) -> None:
    """Send numbers until the client leaves."""
    left = anyio.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await send(START)
            for number in range(10**9):
                await send(body(b"%d" % number, more=True))
    finally:
        scope["state"]["log"].append("left" if left.is_set() else "cut")


class TestRequests:
    def test_the_path_is_that_of_the_request_line_with_whatever_is_encoded_in_it(self, open_client: Open) -> None:
        scope = open_client(tells_scope).get("/a%3Fb%23c%2F%2541%C3%A9.css?d=%3F").json()
        assert scope["path"] == "/a?b#c/%41é.css"
        assert scope["raw_path"] == "/a%3Fb%23c%2F%2541%C3%A9.css"
        assert scope["query_string"] == "d=%3F"

    def test_the_scope_is_what_a_server_would_write(self, open_client: Open) -> None:
        client = open_client(tells_scope, root_path="/pre", client=("10.0.0.1", 99))
        scope = client.put("/a%20b?x=1&y", headers={"X-A": "b"}).json()
        assert scope["type"] == "http"
        assert (scope["method"], scope["path"], scope["raw_path"]) == ("PUT", "/a b", "/a%20b")
        assert (scope["query_string"], scope["root_path"], scope["scheme"]) == ("x=1&y", "/pre", "http")
        assert (scope["client"], scope["server"]) == (["10.0.0.1", 99], ["testserver", 80])
        assert (scope["http_version"], scope["asgi"]["version"]) == ("1.1", "3.0")
        assert ["host", "testserver"] in scope["headers"]
        assert ["x-a", "b"] in scope["headers"]
        assert ["user-agent", "testclient"] in scope["headers"]
        assert set(scope["extensions"]) == {
            "http.response.debug",
            "http.response.early_hint",
            "http.response.trailers",
        }

    def test_base_url_headers_and_cookies_are_the_clients(self, open_client: Open) -> None:
        client = open_client(
            tells_scope, base_url="https://example.org:8443/v1", headers={"User-Agent": "me"}, cookies={"a": "b"}
        )
        scope = client.get("/x").json()
        assert (scope["scheme"], scope["path"], scope["server"]) == ("https", "/v1/x", ["example.org", 8443])
        assert ["host", "example.org:8443"] in scope["headers"]
        assert ["user-agent", "me"] in scope["headers"]
        assert ["cookie", "a=b"] in scope["headers"]

    def test_a_body_is_sent_in_one_message(self, open_client: Open) -> None:
        assert open_client(tells_scope).post("/", content=b"abc").json()["chunks"] == ["abc"]
        assert open_client(tells_scope).get("/").json()["chunks"] == [""]

    def test_a_streamed_body_is_asked_for_chunk_by_chunk_in_the_tests_own_thread(self, open_client: Open) -> None:
        threads: set[int] = set()

        def upload() -> Iterator[bytes]:
            for letter in (b"a", b"b"):
                threads.add(threading.get_ident())
                yield letter

        assert open_client(tells_scope).post("/", content=upload()).json()["chunks"] == ["a", "b", ""]
        assert threads == {threading.get_ident()}

    def test_an_endless_upload_ends_with_an_early_answer(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(start(413))
            await send(body(b"too much"))

        def upload() -> Iterator[bytes]:
            while True:
                yield b"x"

        response = open_client(app).post("/", content=upload())
        assert (response.status_code, response.text) == (413, "too much")

    def test_an_upload_goes_on_while_the_response_streams(self, open_client: Open) -> None:
        async def echo(scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            more = True
            while more:
                message = await receive()
                more = message["more_body"]
                await send(body(message["body"].upper(), more=more))

        assert open_client(echo).post("/", content=iter([b"a", b"b"])).text == "AB"

    def test_an_upload_that_fails_ends_the_request(self, open_client: Open) -> None:
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while "http.disconnect" not in seen:
                seen.append((await receive())["type"])

        def upload() -> Iterator[bytes]:
            yield b"a"
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            open_client(app).post("/", content=upload())
        assert seen == ["http.request", "http.disconnect"]

    def test_redirects_are_followed_and_cookies_kept(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/old":
                await send(start(303, (b"location", b"/new"), (b"set-cookie", b"seen=1")))
                await send(body())
            else:
                await tells_scope(scope, receive, send)

        client = open_client(app)
        response = client.get("/old")
        assert response.json()["path"] == "/new"
        assert ["cookie", "seen=1"] in response.json()["headers"]
        assert open_client(app, follow_redirects=False).get("/old").status_code == 303

    def test_head_gives_the_headers_and_no_body(self, open_client: Open) -> None:
        response = open_client(sends(start(200, (b"content-length", b"5")), body())).head("/")
        assert (response.headers["content-length"], response.content) == ("5", b"")

    def test_a_body_sent_for_head_is_dropped_where_no_lint_complains(self, open_client: Open) -> None:
        assert open_client(sends(START, body(b"hello")), lint=False).head("/").content == b""

    def test_what_extensions_say_is_on_the_response(self, open_client: Open) -> None:
        app = sends(
            {"type": "http.response.debug", "info": {"template": "T", "context": {"a": 1}}},
            {"type": "http.response.early_hint", "links": [b"<a>"]},
            {"type": "http.response.early_hint", "links": [b"<b>"]},
            start(trailers=True),
            body(b"x"),
            {"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True},
            {"type": "http.response.trailers", "headers": [(b"b", b"2")]},
        )
        response = open_client(app).get("/")
        assert response.extensions["debug"] == {"template": "T", "context": {"a": 1}}
        assert response.extensions["early_hints"] == [b"<a>", b"<b>"]
        assert response.extensions["trailers"] == [(b"a", b"1"), (b"b", b"2")]
        assert response.extensions["http.response.trailers"] == response.extensions["trailers"]
        assert response.extensions["http.response.debug"] == response.extensions["debug"]
        assert (getattr(response, "template", None), getattr(response, "context", None)) == ("T", {"a": 1})

    def test_messages_nobody_knows_pass_where_no_lint_complains(self, open_client: Open) -> None:
        assert open_client(sends({"type": "http.response.x"}, START, body(b"x")), lint=False).get("/").text == "x"

    def test_context_variables_of_the_test_are_seen_by_the_application(self, open_client: Open) -> None:
        variable = contextvars.ContextVar("variable", default="")
        seen: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(variable.get())
            await sends(START, body())(scope, receive, send)

        variable.set("test")
        open_client(app).get("/")
        assert seen == ["test"]


class TestStreams:
    def test_chunks_arrive_as_they_are_sent(self, open_client: Open) -> None:
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            for letter in (b"a", b"b", b"c"):
                log.append(f"sends {letter.decode()}")
                await send(body(letter, more=True))
            await send(body())

        with open_client(app).stream("GET", "/") as response:
            for chunk in response.iter_raw():
                log.append(f"reads {chunk.decode()}")
        assert log.index("reads a") < log.index("sends c")
        assert log.index("reads b") < log.index("reads c")

    def test_an_endless_stream_can_be_left(self, open_client: Open) -> None:
        client = open_client(counts)
        client.app_state["log"] = log = list[Any]()
        with client.stream("GET", "/") as response:
            chunks = response.iter_raw()
            assert [next(chunks), next(chunks)] == [b"0", b"1"]
            assert log == []
        assert log == ["left"]

    def test_a_stream_left_open_is_left_with_the_client(self, backend: Backend) -> None:
        client = TestClient(counts, backend=backend)
        client.app_state["log"] = log = list[Any]()
        request = client.build_request("GET", "/")
        response = client.send(request, stream=True)
        client.close()
        response.close()
        assert log == ["left"]

    def test_an_application_that_does_not_listen_is_cancelled(self, open_client: Open) -> None:
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await send(START)
                await anyio.sleep_forever()
            finally:
                log.append("cancelled")

        with open_client(app).stream("GET", "/"):
            assert log == []
        assert log == ["cancelled"]

    def test_work_after_the_response_is_done_when_the_request_returns(self, open_client: Open) -> None:
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sends(START, body(b"x"))(scope, receive, send)
            await anyio.sleep(0.01)
            log.append("done")

        assert open_client(app).get("/").text == "x"
        assert log == ["done"]


class TestFailures:
    def test_what_the_application_raises_is_raised(self, open_client: Open) -> None:
        error = ValueError("mine")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise error

        with pytest.raises(ValueError) as caught:
            open_client(app).get("/")
        assert caught.value is error

    def test_what_it_raises_after_answering_500_is_raised(self, open_client: Open) -> None:
        error = ValueError("mine")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sends(start(500), body(b"sorry"))(scope, receive, send)
            raise error

        with pytest.raises(ValueError) as caught:
            open_client(app).get("/")
        assert caught.value is error
        assert open_client(app, raise_server_exceptions=False).get("/").text == "sorry"

    @pytest.mark.parametrize("early", [True, False])
    def test_what_it_reports_while_answering_500_is_raised(self, open_client: Open, early: bool) -> None:
        error = ValueError("mine")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            report = scope.get("microasgi.on_error", lambda exc: None)
            if early:
                report(error)
            await sends(start(500), body(b"sorry"))(scope, receive, send)
            if not early:
                report(error)

        with pytest.raises(ValueError) as caught, open_client(app).stream("GET", "/") as response:
            response.read()
        assert caught.value is error
        response = open_client(app, raise_server_exceptions=False).get("/")
        assert (response.status_code, response.text) == (500, "sorry")

    def test_an_application_that_raises_without_an_answer_is_a_500(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise ValueError

        response = open_client(app, raise_server_exceptions=False).get("/")
        assert (response.status_code, response.content) == (500, b"")

    def test_what_it_raises_in_the_middle_of_the_body_is_raised_to_the_reader(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sends(START, body(b"x", more=True))(scope, receive, send)
            raise ValueError("mine")

        with open_client(app).stream("GET", "/") as response:
            chunks = response.iter_raw()
            assert next(chunks) == b"x"
            with pytest.raises(ValueError, match="mine"):
                next(chunks)
        with pytest.raises(httpx.RemoteProtocolError, match="ended before its response was complete"):
            open_client(app, raise_server_exceptions=False).get("/")

    def test_what_it_raises_when_the_client_leaves_is_raised(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            await receive()
            await receive()
            raise ValueError("clean-up")

        with pytest.raises(ValueError, match="clean-up"):
            with open_client(app).stream("GET", "/"):
                pass
        with open_client(app, raise_server_exceptions=False).stream("GET", "/"):
            pass

    @pytest.mark.parametrize("raise_server_exceptions", [True, False])
    def test_a_broken_rule_is_raised_always(self, open_client: Open, raise_server_exceptions: bool) -> None:
        client = open_client(sends(body()), raise_server_exceptions=raise_server_exceptions)
        with pytest.raises(ASGIViolation, match="before 'http.response.start'"):
            client.get("/")

    def test_no_response_is_an_error_with_and_without_lint(self, open_client: Open) -> None:
        for lint in (True, False):
            with pytest.raises(ASGIViolation, match="returned without a response"):
                open_client(sends(), lint=lint).get("/")
        assert open_client(sends(), lint=False, raise_server_exceptions=False).get("/").status_code == 500

    def test_an_application_that_never_answers_times_out(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        with pytest.raises(httpx.ReadTimeout, match="http GET /x: waited 0.3 s .* waits in receive"):
            open_client(app).get("/x", timeout=0.3)
        with pytest.raises(httpx.ReadTimeout):
            open_client(app, timeout=0.05).get("/x")

    def test_an_application_that_never_returns_times_out(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sends(START, body(b"x"))(scope, receive, send)
            await anyio.sleep_forever()

        with pytest.raises(httpx.ReadTimeout, match="the application runs"):
            open_client(app, timeout=0.3).get("/")

    def test_an_application_that_never_returns_times_out_when_its_response_is_left(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sends(START, body(b"x"))(scope, receive, send)
            await anyio.sleep_forever()

        with pytest.raises(httpx.ReadTimeout, match="waited 0.3 s for its end"):
            with open_client(app, timeout=0.3).stream("GET", "/") as response:
                assert next(response.iter_raw()) == b"x"


class TestLoop:
    def test_one_loop_serves_all_requests_of_the_chosen_backend(self, open_client: Open, backend: Backend) -> None:
        seen: list[tuple[str, int]] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((sniffio.current_async_library(), threading.get_ident()))
            await sends(START, body())(scope, receive, send)

        client = open_client(app)
        client.get("/")
        client.get("/")
        assert len(set(seen)) == 1
        assert seen[0][0] == backend
        assert client.portal.call(threading.get_ident) == seen[0][1]

    def test_a_forgotten_client_leaves_no_thread(self, backend: Backend) -> None:
        client = TestClient(counts, backend=backend)
        client.app_state["log"] = []
        thread = client.portal.call(threading.current_thread)
        client.send(client.build_request("GET", "/"), stream=True)
        del client
        gc.collect()
        thread.join(5)
        assert not thread.is_alive()

    def test_a_client_collected_in_its_own_loop_leaves_no_thread(self, backend: Backend) -> None:
        client = TestClient(sends(START, body()), backend=backend)
        thread = client.portal.call(threading.current_thread)
        holder = [client]
        portal = client.portal
        del client
        portal.start_task_soon(holder.clear)
        thread.join(5)
        assert not thread.is_alive()

    def test_a_closed_client_is_of_no_more_use(self, backend: Backend) -> None:
        client = TestClient(sends(START, body()), backend=backend)
        client.close()
        client.close()
        with pytest.raises(RuntimeError, match="has been closed"):
            client.get("/")


class Lifespan:
    """An application with a lifespan that does what it is told, and counts."""

    def __init__(self, *answers: str, raises: Exception | None = None) -> None:
        self.answers = answers
        self.raises = raises
        self.log: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.log.append(f"state {sorted(scope['state'])}")
            return await sends(START, body())(scope, receive, send)
        scope["state"]["db"] = "x"
        for answer in self.answers:
            self.log.append((await receive())["type"])
            await send({"type": f"lifespan.{answer}", "message": "the reason"})
        if self.raises is not None:
            raise self.raises
        return None


class TestLifespan:
    def test_with_runs_it_and_its_state_is_everywhere(self, open_client: Open) -> None:
        app = Lifespan("startup.complete", "shutdown.complete")
        with open_client(app) as client:
            assert client.app_state == {"db": "x"}
            client.get("/")
        assert app.log == ["lifespan.startup", "state ['db']", "lifespan.shutdown"]

    def test_without_with_it_does_not_run(self, open_client: Open) -> None:
        app = Lifespan("startup.complete", "shutdown.complete")
        open_client(app).get("/")
        assert app.log == ["state []"]

    def test_a_client_can_be_entered_again_but_not_twice(self, open_client: Open) -> None:
        app = Lifespan("startup.complete", "shutdown.complete")
        client = open_client(app)
        for _ in range(2):
            with client:
                with pytest.raises(RuntimeError, match="already entered"):
                    client.__enter__()
        assert app.log == ["lifespan.startup", "lifespan.shutdown"] * 2
        client.get("/")

    def test_closing_inside_with_stops_it_once(self, backend: Backend) -> None:
        app = Lifespan("startup.complete", "shutdown.complete")
        with TestClient(app, backend=backend) as client:
            client.close()
        assert app.log == ["lifespan.startup", "lifespan.shutdown"]

    def test_open_streams_are_left_before_it_stops(self, open_client: Open) -> None:
        log: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                return await counts(scope, receive, send)
            scope["state"]["log"] = log
            for stage in ("startup", "shutdown"):
                await receive()
                log.append(stage)
                await send({"type": f"lifespan.{stage}.complete"})
            return None

        with open_client(app) as client:
            client.send(client.build_request("GET", "/"), stream=True)
        assert log == ["startup", "left", "shutdown"]

    def test_an_application_that_refuses_the_scope_has_none(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                raise TimeoutError(scope["type"])
            await sends(START, body(b"x"))(scope, receive, send)

        with open_client(app) as client:
            assert client.get("/").text == "x"

    def test_an_application_that_returns_at_once_has_none_where_no_lint_complains(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            pass

        with open_client(app, lint=False):
            pass
        with pytest.raises(ASGIViolation, match="raise if it does not support lifespan"):
            open_client(app).__enter__()

    @pytest.mark.parametrize("error", [ValueError("no database"), TimeoutError("no database")])
    def test_an_exception_in_startup_is_raised(self, open_client: Open, error: Exception) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            raise error

        with pytest.raises(type(error), match="no database"):
            open_client(app).__enter__()

    def test_failing_tells_the_exception_or_the_message(self, open_client: Open) -> None:
        with pytest.raises(ValueError, match="no database"):
            open_client(Lifespan("startup.failed", raises=ValueError("no database"))).__enter__()
        with pytest.raises(LifespanFailed, match="lifespan.startup.failed: the reason"):
            open_client(Lifespan("startup.failed")).__enter__()
        with pytest.raises(LifespanFailed, match="lifespan.shutdown.failed: the reason"):
            with open_client(Lifespan("startup.complete", "shutdown.failed")):
                pass

    def test_failing_tells_the_exception_that_was_reported(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            scope["microasgi.on_error"](KeyError("reported"))
            await send({"type": "lifespan.startup.failed"})

        with pytest.raises(KeyError, match="reported"):
            open_client(app).__enter__()

    def test_an_exception_in_between_is_raised_at_the_end(self, open_client: Open) -> None:
        with pytest.raises(ValueError, match="died"):
            with open_client(Lifespan("startup.complete", raises=ValueError("died"))):
                pass

    def test_a_startup_that_never_answers_times_out(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await anyio.sleep_forever()

        with pytest.raises(TimeoutError, match="lifespan: waited 0.05 s for the answer to lifespan.startup"):
            open_client(app, timeout=0.05).__enter__()

    def test_a_shutdown_that_never_returns_times_out(self, open_client: Open) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            await anyio.sleep_forever()

        with pytest.raises(TimeoutError, match="lifespan: waited 0.3 s for its end"):
            with open_client(app, timeout=0.3):
                pass
