"""Rooms with two seats: who sits where, and what the two have to hear of each other.

They are kept in this process. A call runs between the browsers, so one process introduces a great many of them.
"""

from __future__ import annotations

from typing import Any

import anyio

from microasgi.realtime import Hub


class NoSeat(Exception):
    """Why there is none, as a websocket says it when it is closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Seat:
    """One of two places in a room; what is published to its `inbox` reaches who sits there."""

    def __init__(self, room: Room, number: int) -> None:
        self.room, self.number = room, number
        self.inbox = f"{room.name}/{room.opened}/{number}"
        self.is_ready = False  # whether messages arrive


class Room:
    """Two seats, and the number of the call that runs between them."""

    def __init__(self, name: str, opened: int) -> None:
        self.name, self.opened = name, opened
        self.seats: list[Seat | None] = [None, None]
        self.call = 0

    def opposite(self, seat: Seat) -> Seat | None:
        """Return the other seat, if somebody sits there who can hear."""
        other = self.seats[1 - seat.number]
        return other if other is not None and other.is_ready else None


class Rooms:
    """All rooms in which somebody is."""

    def __init__(self, hub: Hub, most: int = 1000) -> None:
        self._hub, self._most = hub, most
        self._rooms: dict[str, Room] = {}
        self._opened = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def take(self, name: str) -> Seat:
        """Take a seat; NoSeat if both are taken, or if this would be a room too many."""
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self._most:
                raise NoSeat(1013, "there are too many rooms")
            self._opened += 1
            room = self._rooms[name] = Room(name, self._opened)
        for number, taken in enumerate(room.seats):
            if taken is None:
                seat = room.seats[number] = Seat(room, number)
                return seat
        raise NoSeat(4409, "this room is full")

    async def arrive(self, seat: Seat) -> None:
        """Begin a call if somebody is there already. One of the two is polite: it gives way when both make an offer."""
        seat.is_ready = True
        other = seat.room.opposite(seat)
        if other is None:
            return
        seat.room.call += 1
        for one in (other, seat):
            message = {"type": "call", "call": seat.room.call, "polite": one.number == 1}
            await self._hub.publish(one.inbox, message)

    async def relay(self, seat: Seat, signal: dict[str, Any]) -> None:
        """Hand on what belongs to the call that runs; what comes late, from the one before, is dropped."""
        other = seat.room.opposite(seat)
        if other is not None and signal["call"] == seat.room.call:
            await self._hub.publish(other.inbox, signal)

    async def leave(self, seat: Seat) -> None:
        """Give the seat back, and tell the other one."""
        room = seat.room
        other = room.opposite(seat)
        room.seats[seat.number] = None
        if room.seats == [None, None]:
            del self._rooms[room.name]
        if other is not None:
            with anyio.CancelScope(shield=True):  # who leaves is cancelled, and it has to be said all the same
                await self._hub.publish(other.inbox, {"type": "left"})
