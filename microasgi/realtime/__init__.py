"""Live messages: one hub for websockets and server-sent events, over memory, Redis or a channel layer."""

from microasgi.realtime.endpoints import GroupEndpoint, on_event
from microasgi.realtime.eventstream import EventStream, ServerSentEvent
from microasgi.realtime.hub import Hub
from microasgi.realtime.limits import ConnectOptions
from microasgi.realtime.messages import Delivery, Gap, HubUnavailable, SlowReader
from microasgi.realtime.sockets import SocketMember
from microasgi.realtime.subscription import Overflow, Subscription

__all__ = [
    "ConnectOptions",
    "Delivery",
    "EventStream",
    "Gap",
    "GroupEndpoint",
    "Hub",
    "HubUnavailable",
    "Overflow",
    "ServerSentEvent",
    "SlowReader",
    "SocketMember",
    "Subscription",
    "on_event",
]
