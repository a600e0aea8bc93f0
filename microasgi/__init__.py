"""microasgi: one application object over raw ASGI, for small web apps, APIs, and beside Django."""

from microasgi.application import MicroASGI
from microasgi.background import BackgroundTask, BackgroundTasks
from microasgi.binding import Binding as _Binding
from microasgi.binding import Namespace as _Namespace
from microasgi.binding import join_binder as _join_binder
from microasgi.concurrency import run_in_threadpool
from microasgi.connection import Address, HTTPConnection, QueryParams, State
from microasgi.convertors import Convertor, register_url_convertor
from microasgi.endpoints import CallNext, HTTPEndpoint, WebSocketEndpoint
from microasgi.exceptions import (
    ClientDisconnect,
    ConfigurationError,
    HTTPException,
    InvalidJSON,
    MissingField,
    MissingPackage,
    NoMatchFound,
    RouteConflict,
    WebSocketDisconnect,
    WebSocketException,
    WebSocketStateError,
)
from microasgi.forms import FormData, UploadFile
from microasgi.headers import Headers, MutableHeaders
from microasgi.requests import Request
from microasgi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from microasgi.routing import Host, Mount, Route, Router, WebSocketRoute
from microasgi.stack import Middleware
from microasgi.streaming import StreamingResponse
from microasgi.urls import URL, URLPath
from microasgi.websockets import WebSocket, WebSocketState

__all__ = [
    "URL",
    "Address",
    "BackgroundTask",
    "BackgroundTasks",
    "CallNext",
    "ClientDisconnect",
    "ConfigurationError",
    "Convertor",
    "FormData",
    "HTMLResponse",
    "HTTPConnection",
    "HTTPEndpoint",
    "HTTPException",
    "Headers",
    "Host",
    "InvalidJSON",
    "JSONResponse",
    "MicroASGI",
    "Middleware",
    "MissingField",
    "MissingPackage",
    "Mount",
    "MutableHeaders",
    "NoMatchFound",
    "PlainTextResponse",
    "QueryParams",
    "RedirectResponse",
    "Request",
    "Response",
    "Route",
    "RouteConflict",
    "Router",
    "State",
    "StreamingResponse",
    "URLPath",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "WebSocketEndpoint",
    "WebSocketException",
    "WebSocketRoute",
    "WebSocketState",
    "WebSocketStateError",
    "register_url_convertor",
    "run_in_threadpool",
]
__version__ = "0.1.0"


def _bind_typed(route: Route, namespace: _Namespace) -> _Binding | None:
    """Load the room for typed handlers when the first one is registered: who has none does not pay for it."""
    from microasgi.typed import bind_route

    return bind_route(route, namespace)


_join_binder(_bind_typed)
