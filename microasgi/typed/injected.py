"""Injected values: what a handler gets because of a parameter's type, and what becomes of it after the handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from microasgi.background import BackgroundTasks
from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.typed.bodies import Slots
from microasgi.typed.conditional import Respond
from microasgi.typed.faults import Fault
from microasgi.typed.parameters import Read
from microasgi.websockets import WebSocket

__all__ = [
    "Dress",
    "MakeStep",
    "dressed",
    "find_state",
    "read_state",
    "refuse_elsewhere",
    "run_after",
]


_DRESS: Final = "microasgi.response"


class Dress(Response):
    """What a handler gets that asks for a `Response`: headers, cookies, a status (0: as the route says)."""

    def __init__(self) -> None:
        super().__init__()
        self.status_code = 0


class MakeStep:
    """Make a new object for each request: background tasks to be filled, or a response to be dressed."""

    def __init__(self, slot: int, make: Callable[[], Any]) -> None:
        self.slot = slot
        self._make = make

    async def run(self, slots: Slots, faults: list[Fault]) -> None:
        """Fill the slot."""
        slots[self.slot] = made = self._make()
        if isinstance(made, Dress):  # where what answers finds it
            slots[0].scope[_DRESS] = made


def refuse_elsewhere(kind: type, name: str, *, websocket: bool, where: str) -> None:
    """Refuse what a websocket, or a request, does not have."""
    if kind in {BackgroundTasks, Response} and websocket:
        raise ConfigurationError(
            f"{where}: nobody can fill {name}: a websocket has no response, so there is no {kind.__name__} for it; "
            "work beside the socket is started by app.tasks.start_soon"
        )
    other = Request if websocket else WebSocket
    if issubclass(kind, other):
        what = "a websocket" if websocket else "a request"
        raise ConfigurationError(
            f"{where}: {name} is to be a {other.__name__}, and the route answers {what}: annotate what is used for "
            "both kinds with HTTPConnection"
        )


def find_state(connection: HTTPConnection[Any]) -> Any:
    """Return the whole state of the request."""
    return connection.state


def read_state(name: str) -> Read:
    """Return the function that gets a name of the request's state."""

    def read(connection: HTTPConnection[Any]) -> Any:
        try:
            return connection.state[name]
        except KeyError:
            known = ", ".join(connection.state) or "nothing"
            raise RuntimeError(
                f"the state has no {name!r}, which a handler asks for as State[...]; it has: {known}. Yield "
                f"{{{name!r}: ...}} from the application's lifespan, and let it run (tests: `with TestClient(app)`)"
            ) from None

    return read


def run_after(response: Response, tasks: BackgroundTasks) -> Response:
    """Return the response with these background tasks, before those it has."""
    if not tasks.tasks:
        return response
    if response.background is not None:
        tasks.add_task(response.background)
    response = response.as_returned()
    response.background = tasks
    return response


def dressed(respond: Respond) -> Respond:
    """Let a response have what the handler, or a dependency, gave to the `Response` that it asked for."""

    async def answer(request: Request[Any], values: Sequence[Any]) -> Response:
        return _merged(await respond(request, values), request.scope[_DRESS])

    return answer


def _merged(response: Response, dress: Response) -> Response:
    """Return the response with the status, the headers, the cookies and the background of another one."""
    if dress.status_code and response.status_code != dress.status_code:
        response = response.with_status(dress.status_code)
    response = response.as_returned()
    given = [pair for pair in dress.raw_headers if pair[0] not in {b"content-length", b"content-type"}]
    names = {name for name, _ in given if name != b"set-cookie"}
    response.raw_headers = [pair for pair in response.raw_headers if pair[0] not in names] + given
    if dress.background is not None and response.background is None:
        response.background = dress.background
    return response
