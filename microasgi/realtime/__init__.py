"""Live messages: one hub for websockets and server-sent events, over memory, Redis or a channel layer."""

from microasgi.realtime.hub import Hub
from microasgi.realtime.messages import Delivery, Gap, HubUnavailable, SlowReader
from microasgi.realtime.subscription import Overflow, Subscription

__all__ = ["Delivery", "Gap", "Hub", "HubUnavailable", "Overflow", "SlowReader", "Subscription"]
