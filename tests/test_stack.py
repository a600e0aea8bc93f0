"""Middleware as a fold: the list, outermost first, becomes one callable."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from microasgi.exceptions import ConfigurationError
from microasgi.stack import Call, Folded, Layer, Middleware, as_middleware, fold
from microasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


class Named:
    """An ASGI middleware that notes its name in the scope."""

    def __init__(self, app: ASGIApp, name: str = "asgi") -> None:
        self.app, self.name = app, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["log"].append(self.name)
        await self.app(scope, receive, send)


async def named(request: Any, call_next: Call, name: str = "function") -> Any:
    request["log"].append(name)
    return await call_next(request)


async def another(request: Any, call_next: Call) -> Any:
    return await named(request, call_next, "another")


class Instance:
    """A function middleware that is an object."""

    async def __call__(self, request: Any, call_next: Call) -> Any:
        return await named(request, call_next, "instance")

    async def method(self, request: Any, call_next: Call) -> Any:
        return await named(request, call_next, "method")


async def call(request: Any) -> Any:
    request["log"].append("call")
    return "response"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    scope["log"].append("app")


def serve(call: Call, app: ASGIApp, layer: Layer | None) -> ASGIApp:
    """Make an application of both, as the entrance is one; requests are scopes here."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["log"].append(f"sent {await call(scope)}")
        else:
            await app(scope, receive, send)

    return served


def respond(app: ASGIApp) -> Call:
    async def responding(request: Any) -> Any:
        await app(request, receive, send)
        return "response of an application"

    return responding


def guard(call: Call) -> Call:
    async def guarded(request: Any) -> Any:
        request["log"].append("guard")
        return await call(request)

    return guarded


def guard_layer(layer: Callable[[Any, Call], Awaitable[Any]], call_next: Call) -> Call:
    async def guarded(request: Any) -> Any:
        request["log"].append("guard of a layer")
        return await layer(request, call_next)

    return guarded


async def receive() -> Any: ...


async def send(message: Any) -> None: ...


def folded(*items: Any) -> Folded:
    return fold(
        as_middleware(items),
        call,
        app,
        serve=serve,
        respond=respond,
        guard=guard,
        guard_layer=guard_layer,
        guard_app=lambda inside: inside,
    )


async def log_of(stack: Folded, kind: str = "http") -> list[str]:
    """Return what a scope passes, as the application would drive the stack."""
    scope: Scope = {"type": kind, "log": []}
    if stack.outermost is not None:
        await stack.outermost(scope, receive, send)
    elif kind == "http":
        await stack.call(scope)
    else:
        await stack.app(scope, receive, send)
    log: list[str] = scope["log"]
    return log


async def test_an_empty_stack_is_what_it_was_given() -> None:
    assert folded() == (call, app, None, None)


async def test_functions_call_each_other_outermost_first() -> None:
    stack = folded(named, another)
    assert await log_of(stack) == ["function", "guard of a layer", "another", "guard", "call"]
    assert stack.outermost is None


async def test_the_outermost_function_is_not_guarded_for_its_caller_is() -> None:
    assert await log_of(folded(named)) == ["function", "guard", "call"]


async def test_asgi_classes_wrap_each_other_outermost_first() -> None:
    stack = folded(Named, Middleware(Named, name="inner"))
    assert await log_of(stack) == ["asgi", "inner", "call", "sent response"]
    assert await log_of(stack, "websocket") == ["asgi", "inner", "app"]


async def test_a_function_may_stand_around_an_asgi_class() -> None:
    stack = folded(named, Named)
    assert await log_of(stack) == ["function", "guard", "asgi", "call", "sent response"]
    assert stack.outermost is None


async def test_an_asgi_class_may_stand_around_a_function() -> None:
    stack = folded(Named, named)
    assert await log_of(stack) == ["asgi", "function", "guard", "call", "sent response"]


async def test_both_kinds_may_alternate() -> None:
    stack = folded(named, Named, another, Middleware(Named, "inner"))
    assert await log_of(stack) == [
        *("function", "guard", "asgi"),
        *("another", "guard", "inner", "call", "sent response", "sent response of an application"),
    ]


async def test_other_scopes_pass_the_asgi_classes_only() -> None:
    stack = folded(named, Named, another, Middleware(Named, "inner"))
    assert await log_of(stack, "websocket") == ["asgi", "inner", "app"]
    assert await log_of(folded(named), "lifespan") == ["app"]


async def test_arguments_are_handed_on() -> None:
    stack = folded(Middleware(named, name="by keyword"), Middleware(named, "by place"), Middleware(Named, "class"))
    log = await log_of(stack)
    assert [entry for entry in log if "guard" not in entry] == [
        "by keyword",
        "by place",
        "class",
        "call",
        "sent response",
    ]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Instance(), "instance"),
        (Instance().method, "method"),
        (functools.partial(named, name="partial"), "partial"),
        (functools.wraps(named)(lambda request, call_next: named(request, call_next, "wrapped")), "wrapped"),
    ],
)
async def test_every_async_callable_of_request_and_call_next_is_a_function_middleware(
    function: Callable[..., Any], name: str
) -> None:
    assert Middleware(function).is_function
    assert await log_of(folded(function)) == [name, "guard", "call"]


@pytest.mark.parametrize("factory", [Named, functools.partial(Named, name="asgi"), lambda app: Named(app)])
async def test_everything_else_that_takes_the_application_is_an_asgi_middleware(factory: Callable[..., Any]) -> None:
    assert not Middleware(factory).is_function
    assert await log_of(folded(factory)) == ["asgi", "call", "sent response"]


def test_a_middleware_may_be_taken_apart_and_shown() -> None:
    middleware = Middleware(Named, 1, name="x")
    cls, args, kwargs = middleware
    assert (cls, args, kwargs) == (Named, (1,), {"name": "x"})
    assert repr(middleware) == "Middleware(Named, 1, name='x')"
    assert repr(Middleware(functools.partial(Named))).startswith("Middleware(functools.partial(")


async def no_call_next(request: Any) -> Any: ...


async def asgi_application(scope: Scope, receive: Receive, send: Send) -> None: ...


def not_async(request: Any, call_next: Call) -> Any: ...


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (5, "5 is not a middleware"),
        (Middleware("named"), "'named' is not a middleware"),  # type: ignore[arg-type]
        (no_call_next, r"Middleware\(no_call_next\) cannot be called.*takes \(request, call_next\)"),
        (asgi_application, r"takes \(request, call_next\)"),
        (not_async, "a function middleware is `async def`"),
        (Middleware(named, nme="x"), "unexpected keyword argument 'nme'"),
        (Middleware(Named, color="red"), "unexpected keyword argument 'color'.*takes the application first"),
    ],
)
def test_what_is_no_middleware_is_refused_when_it_is_added(item: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        as_middleware([item])


def test_a_callable_without_a_signature_is_taken_at_its_word() -> None:
    class Unsigned:
        __signature__ = None

        def __call__(self, app: ASGIApp) -> ASGIApp:
            return app

    assert len(as_middleware([min, Unsigned()])) == 2


def test_a_factory_that_makes_no_application_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"Middleware\(.*<lambda>\) returned None, which is not an ASGI"):
        folded(lambda app: None)
