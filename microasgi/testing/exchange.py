"""One scope of an application, driven message by message: the server's side of ASGI, in the hands of a test.

Law: the application runs in exactly one task, and that task has ended when the exchange is closed.
Everything here belongs to one event loop; another thread reaches it through a portal only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import anyio
import anyio.abc
import anyio.lowlevel

from microasgi.testing.endings import disconnect_message, is_disconnect, is_last, send_raises
from microasgi.testing.lint import lint as lint_app
from microasgi.testing.rules import ASGIViolation
from microasgi.types import ASGIApp, Message, Scope

__all__ = ["Exchange", "Spawn"]

Spawn = Callable[[Callable[[], Any]], object]


class Exchange:
    """Run an application with one scope, feed it, read it and disturb it: `async with Exchange(app, scope) as ex`.

    `window` is how many messages `send` takes before it waits for a reader (0: it waits for each one, a slow reader).
    `timeout` is the longest wait for the application in seconds (None: for ever), `grace` how long it may go on after
    a disconnect before it is cancelled. After a disconnect `send` raises OSError when the scope's `spec_version` is
    2.4 or later (ASGI HTTP, Disconnected Client), and does nothing otherwise. With `hears_errors` an application may
    call `scope["microasgi.on_error"](exc)` for an exception it answers itself, and that counts as raised.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        *,
        lint: bool = True,
        window: int = 256,
        timeout: float | None = 10.0,
        grace: float = 1.0,
        hears_errors: bool = False,
    ) -> None:
        self.scope = scope
        self.timeout = timeout
        self.finished = False
        self.error: BaseException | None = None
        self.error_told = False
        self.messages: list[Message] = []
        self._app = lint_app(app) if lint else app
        self._window = window
        self._grace = grace
        self._inputs: deque[Message] = deque()
        self._outputs: deque[Message] = deque()
        self._last: Message | None = None
        self.peer_left = False
        self._send_error: Exception | None = None
        self._trailers = False
        self._receiving = 0
        self._sending = 0
        self._changed: anyio.Event | None = None
        self._task: anyio.CancelScope | None = None
        self._group: anyio.abc.TaskGroup | None = None
        if hears_errors:
            scope["microasgi.on_error"] = self._hear

    async def __aenter__(self) -> Exchange:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.close()
        if kind is None and not self.error_told:
            self.raise_error()

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Yield the application's messages until it ends."""
        while (message := await self.advance(feeding=False)) is not None:
            yield message
        self.raise_error()

    async def open(self, spawn: Spawn | None = None) -> None:
        """Start the application in a task of its own, by `spawn` or in a new task group; `close` must follow."""
        if spawn is None:
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            spawn = self._group.start_soon
        spawn(partial(self.run, shield=True))

    async def close(self) -> None:
        """Disconnect, wait for the application to return, and cancel it when its time is over.

        Raises TimeoutError when it went on after its response was complete.
        """
        try:
            with anyio.CancelScope(shield=True):
                await self._end()
        finally:
            group, self._group = self._group, None
            if group is not None:
                await group.__aexit__(None, None, None)

    async def run(self, *, shield: bool = False) -> None:
        """Call the application and keep how it ended: the body of its task.

        With `shield` a cancelled test does not cancel it: as behind a server, it sees a disconnect, and has its grace.
        """
        try:
            with anyio.CancelScope(shield=shield) as self._task:
                await self._app(self.scope, self._receive, self._send)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:
            self._hear(exc)
        finally:
            self.finished = True
            self._notify()

    async def send_input(self, message: Message) -> None:
        """Queue a message for the application's `receive`."""
        self._inputs.append(message)
        self._notify()
        await anyio.lowlevel.checkpoint()

    async def receive_output(self, timeout: float | None = None, what: str = "its next message") -> Message:
        """Return the application's next message, waiting at most `timeout` seconds (default: the exchange's).

        Raises TimeoutError, the exception the application ended in, or EOFError when it has returned.
        """
        await self.wait_until(lambda: self.finished or bool(self._outputs), what, timeout)
        if self._outputs:
            return self._take()
        self.raise_error()
        raise EOFError(f"{self.describe()} has returned: there is no further message")

    async def advance(self, *, feeding: bool) -> Message | None:
        """Return the application's next message, or None when it has ended; with `feeding` also when it wants input."""
        await self.wait_until(
            lambda: self.finished or bool(self._outputs) or (feeding and self.wants_input), "its next message"
        )
        return self._take() if self._outputs else None

    @property
    def wants_input(self) -> bool:
        """Whether the application waits in `receive` and nothing is there for it."""
        return self._receiving > 0 and not self._inputs and self._last is None

    @property
    def unread_input(self) -> bool:
        """Whether something is queued that the application has not received."""
        return bool(self._inputs)

    @property
    def complete(self) -> bool:
        """Whether the application has sent its last message: the response is whole, the socket closed."""
        return self._last is not None and not self.peer_left

    async def wait_finished(self, timeout: float | None = None) -> None:
        """Wait until the application has ended, and raise its exception if it ended in one."""
        await self.wait_until(lambda: self.finished, "its end", timeout)
        self.raise_error()

    async def wait_until(self, ready: Callable[[], bool], what: str, timeout: float | None = None) -> None:
        """Wait until `ready()`; raise TimeoutError naming `what`, and what the application does meanwhile."""
        seconds = self.timeout if timeout is None else timeout
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(seconds):
            await self._until(ready)
        if not ready():
            raise TimeoutError(f"{self.describe()}: waited {seconds:g} s for {what}; the application {self._doing()}")

    def disconnect(self, code: int = 1005, reason: str = "") -> None:
        """Let the peer leave: `receive` gives what is queued, then the disconnect; `send` reaches nobody."""
        if self.finished or self._last is not None or self.scope["type"] == "lifespan":
            return
        self.peer_left = True
        self._last = disconnect_message(self.scope, code, reason)
        self._drop_waiting()

    def fail_send(self, error: Exception | None = None) -> None:
        """Make every `send` raise from now on, the waiting ones too; `error` is a ConnectionResetError by default."""
        self._send_error = error or ConnectionResetError("the peer has left")
        self._drop_waiting()

    def cancel(self) -> None:
        """Cancel the application's task."""
        if self._task is not None:
            self._task.cancel()

    def raise_error(self) -> None:
        """Raise the exception the application ended in, unless the peer had left and that was what it said."""
        self.error_told = True
        if self.error is None or self.error is self._send_error:
            return
        if not is_disconnect(self.error) or not (self.peer_left or self._send_error):
            raise self.error

    def describe(self) -> str:
        """Return a short name of the exchange for error texts, such as `http GET /`."""
        words = (self.scope.get("type"), self.scope.get("method"), self.scope.get("path"))
        return " ".join(str(word) for word in words if word)

    def _hear(self, error: BaseException) -> None:
        """Keep the first exception, but a broken rule before any other."""
        if self.error is None or isinstance(error, ASGIViolation):
            self.error = error
        self._notify()

    async def _receive(self) -> Message:
        await anyio.lowlevel.checkpoint()
        self._receiving += 1
        try:
            while not self._inputs and self._last is None:
                self._notify()
                await self._wait()
        finally:
            self._receiving -= 1
        return self._inputs.popleft() if self._inputs else dict(cast(Message, self._last))

    async def _send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if self._is_dropped():
            return
        self._outputs.append(message)
        number = len(self.messages) + len(self._outputs)
        self._notify()
        self._sending += 1
        try:
            while number - len(self.messages) > self._window:
                if self._is_dropped():
                    return
                await self._wait()
        finally:
            self._sending -= 1
        if message.get("type") == "http.response.start":
            self._trailers = bool(message.get("trailers"))
        if self._last is None and is_last(message, trailers=self._trailers):
            self._last = disconnect_message(self.scope, message.get("code", 1000), message.get("reason") or "")
            self._notify()

    def _drop_waiting(self) -> None:
        while len(self._outputs) > self._window:
            self._outputs.pop()
        self._notify()

    def _is_dropped(self) -> bool:
        """Raise, or return True, when a message of the application reaches nobody."""
        if self._send_error is not None:
            raise self._send_error
        if self.peer_left and send_raises(self.scope):
            raise ConnectionResetError("the peer has left")
        return self.peer_left

    async def _end(self) -> None:
        if self.finished:
            return
        complete = self.complete
        self.disconnect()
        try:
            await self.wait_until(lambda: self.finished, "its end", self.timeout if complete else self._grace)
        except TimeoutError:
            self.cancel()
            await self._until(lambda: self.finished)
            if complete:
                raise

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            await self._wait()

    def _take(self) -> Message:
        message = self._outputs.popleft()
        self.messages.append(message)
        self._notify()
        return message

    def _doing(self) -> str:
        if self.finished:
            return "has ended"
        if self._task is None:
            return "was never started: use `with`"
        if self._sending:
            return "waits in send(): nobody reads what it has sent"
        return "waits in receive()" if self._receiving else "runs, neither in receive() nor in send()"

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def _wait(self) -> None:
        # Made on the loop it is waited for on: the exchange itself may have been built in another thread.
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()
