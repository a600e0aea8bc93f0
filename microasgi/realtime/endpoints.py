"""A websocket handler as a class that is in groups: what a consumer of Channels is, by other names.

The law of this file: which method takes which message is said by a decorator. Nobody outside can name a method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, TypeVar

from microasgi.endpoints import WebSocketEndpoint
from microasgi.exceptions import ConfigurationError, WebSocketDisconnect
from microasgi.realtime.hub import Hub
from microasgi.realtime.limits import ConnectOptions
from microasgi.realtime.messages import Gap
from microasgi.realtime.sockets import SocketMember
from microasgi.realtime.subscription import Item
from microasgi.types import Message
from microasgi.websockets import WebSocket, WebSocketState

__all__ = ["GroupEndpoint", "on_event"]

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def on_event(name: str) -> Callable[[F], F]:
    """Let the decorated method of a GroupEndpoint take the groups' messages whose "type" is this."""

    def mark(method: F) -> F:
        method._event = name  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        return method

    return mark


class GroupEndpoint(WebSocketEndpoint):
    """A WebSocketEndpoint in groups of a `hub`: `groups` from the start, `self.member.join(...)` for more.

    A message of a group goes to the method that `on_event` has marked with its "type", others to `on_group_message`,
    which sends them. `options` are those of `hub.connect`.
    """

    hub: ClassVar[Hub]
    groups: Sequence[str] = ()
    options: ConnectOptions = ConnectOptions()
    member: SocketMember
    _events: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        inherited = {name: event for event, name in cls._events.items()}  # also for a method that is overridden
        events: dict[str, str] = {}
        for name in dir(cls):
            event = getattr(getattr(cls, name, None), "_event", None) or inherited.get(name)
            if event is not None and events.setdefault(event, name) != name:
                raise ConfigurationError(f"{cls.__qualname__}: {events[event]} and {name} both take {event!r}")
        cls._events = events

    async def dispatch(self, websocket: WebSocket[Any]) -> None:
        """Run the socket's life."""
        hub = getattr(self, "hub", None)
        if hub is None:
            raise ConfigurationError(f"{type(self).__qualname__} has no hub: write `hub = hub` in the class")
        self.websocket = websocket
        self.member = hub.connect(websocket, *self.groups, **{"send": self._hand_on, **self.options})
        await self.member.subscription.__aenter__()
        code = 1000
        try:
            await self.on_connect(websocket)
            if websocket.socket_state is not WebSocketState.CONNECTED:
                return
            code = await self._converse(websocket)
        except WebSocketDisconnect as disconnect:
            code = disconnect.code
        except Exception as error:
            code = getattr(error, "code", 1011)
            raise
        finally:
            self.member.subscription.close()
            await self.on_disconnect(websocket, code)

    async def on_group_message(self, websocket: WebSocket[Any], message: Any) -> None:
        """Handle a message of a group, or a Gap; by default send it, as JSON."""
        await (websocket.send_bytes(message) if isinstance(message, bytes) else websocket.send_json(message))

    async def _converse(self, websocket: WebSocket[Any]) -> int:
        message: Message = {}
        async with self.member:
            while (message := await websocket.receive())["type"] != "websocket.disconnect":
                self.member.note_message()
                await self.on_receive(websocket, await self.decode(websocket, message))
        return 1005 if message.get("code") is None else int(message["code"])

    async def _hand_on(self, item: Item) -> None:
        message: Any = item if isinstance(item, Gap) else item.data
        kind: Any = message.get("type") if message.__class__ is dict else None
        name = self._events.get(kind) if isinstance(kind, str) else None
        if name is not None:
            await getattr(self, name)(self.websocket, message)
        elif type(self).on_group_message is GroupEndpoint.on_group_message:
            await self.member.send_item(item)  # encoded once for all members
        else:
            await self.on_group_message(self.websocket, message)
