"""Lifespans beside Django: each application has its own, and the state that it yields is its own as well.

Law: what runs them, lazily where the server does not ask, and what drains them is the core's router; here is only
what applications that share a process and know nothing of each other need.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from microasgi.concurrency import current_loop
from microasgi.exceptions import NoMatchFound
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["OwnState"]


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
        try:
            await self.app({**scope, "state": own}, receive, partial(self._send, scope, own, send))
        finally:
            self._states.pop(loop, None)

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
