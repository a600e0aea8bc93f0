"""Lifespans beside Django: each application has its own, and the state that it yields is its own as well.

Law: what runs them, lazily where the server does not ask, and what drains them is the core's router; here is only
what applications that share a process and know nothing of each other need.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio

from microasgi.concurrency import current_loop
from microasgi.exceptions import NoMatchFound
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["OwnState"]

_PATIENCE: Final = 5.0  # seconds that the end of the process waits for one application


class OwnState:
    """An application that finds in its scopes what its own lifespan has put into the state, over what is there.

    What is around it, such as the Django site, sees that too, unless another one has a value of the same name.
    `started` is called when it has. `named` is the application whose routes have names, inside of all layers.
    """

    def __init__(self, app: ASGIApp, named: ASGIApp, started: Callable[[], object]) -> None:
        self.app = app
        self._named = named
        self._started = started
        self._states: dict[object, dict[str, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one scope, whose state is replaced: it has to be a copy of the server's."""
        loop = current_loop()
        if scope["type"] != "lifespan":
            scope["state"] = {**(scope.get("state") or {}), **self._states.get(loop, {})}
            return await self.app(scope, receive, send)
        own = self._states[loop] = {}
        life = _Life(receive)
        atexit.register(life.end)
        try:
            await self.app({**scope, "state": own}, life.receive, partial(self._send, scope, own, send))
        finally:
            self._states.pop(loop, None)
            atexit.unregister(life.end)
            life.over.set()

    async def _send(self, scope: Scope, own: dict[str, Any], send: Send, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            shared = scope.setdefault("state", {})
            shared.update({key: value for key, value in own.items() if key not in shared})
            self._started()
        await send(message)

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """Return the path of the application's route, if it has such names."""
        find: Callable[..., Any] | None = getattr(self._named, "url_path_for", None)
        if find is None:
            raise NoMatchFound(f"the routes of {self._named!r} have no names")
        return find(name, **path_params)


class _Life:
    """A lifespan that also ends where the process does while its loop runs on in a thread, as a reloader leaves it."""

    def __init__(self, receive: Receive) -> None:
        self.over = threading.Event()
        self._receive = receive
        self._loop = current_loop()
        self._leave = anyio.Event()
        self._has_begun = False

    async def receive(self) -> Message:
        """Return what the server says, or that it is time to stop."""
        if not self._has_begun:
            self._has_begun = True
            return await self._receive()
        message: Message = {"type": "lifespan.shutdown"}

        async def hear() -> None:
            nonlocal message
            message = await self._receive()
            self._leave.set()

        async with anyio.create_task_group() as group:
            group.start_soon(hear)
            await self._leave.wait()
            group.cancel_scope.cancel()
        return message

    def end(self) -> None:
        """Have it stop, and wait for that: in the main thread, at exit. What runs in threads is over by then."""
        if isinstance(self._loop, asyncio.AbstractEventLoop) and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._leave.set)
            self.over.wait(_PATIENCE)
