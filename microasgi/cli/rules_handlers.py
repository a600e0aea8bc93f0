"""Rules about handlers: what blocks the loop, what is never awaited, what is never returned."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from microasgi.application import MicroASGI
from microasgi.cli.blocking import blocking_cure, full_name
from microasgi.cli.inspection import Finding, Function, Inspection, Rule
from microasgi.cli.sources import completes
from microasgi.responses import Response

__all__ = ["RULES"]

_COROUTINES = {
    "http": ("body", "json", "form", "close", "is_disconnected"),
    "websocket": (
        *("accept", "close", "receive", "receive_text", "receive_bytes", "receive_json"),
        *("send", "send_text", "send_bytes", "send_json", "send_denial_response"),
    ),
    "middleware": ("body", "json", "form", "close"),
}
# Calls that may be given a coroutine to await it.
_AWAITERS = frozenset(("gather", "wait", "wait_for", "create_task", "ensure_future", "shield", "run", "as_completed"))


def blocking_calls(inspection: Inspection) -> Iterator[Finding]:
    """Find calls in `async def` that hold up every other request."""
    for function in inspection.functions:
        if not isinstance(function.node, ast.AsyncFunctionDef):
            continue
        for call in function.calls:
            target = function.resolve(call.func)
            cure = blocking_cure(target) if target is not None else None
            if cure is not None:
                what = f"{function.name} holds up every other request: {full_name(target)} waits in the event loop"
                thread = "" if function.kind != "http" else ", or write `def` instead of `async def`"
                yield Finding(function.at(call), what, cure + thread)


def forgotten_awaits(inspection: Inspection) -> Iterator[Finding]:
    """Find coroutines that are made and never awaited."""
    for function in inspection.functions:
        own = list(function.calls_on_parameter(*_COROUTINES[function.kind]))
        if any(isinstance(node, ast.AsyncWith) for node in function.nodes):
            entered = {item.context_expr for node in function.nodes for item in getattr(node, "items", ())}
            own = [call for call in own if call not in entered]
        others = [call for call in function.calls if _is_plain_coroutine(function, call)]
        for call in (*own, *others):
            if call in others or _is_unawaited(function, call):
                yield _forgotten(function, call)


def _forgotten(function: Function, call: ast.Call) -> Finding:
    text = ast.unparse(call.func)
    what = f"{function.name} never awaits {text}(...), so that it never runs"
    cure = f"write await {text}(...)"
    if not isinstance(function.node, ast.AsyncFunctionDef):
        cure += ", in an `async def`"
    return Finding(function.at(call), what, cure)


def _is_plain_coroutine(function: Function, call: ast.Call) -> bool:
    """Tell whether this is a statement of its own that calls an `async def` of the user's."""
    target = function.resolve(call.func) if isinstance(function.parents.get(call), ast.Expr) else None
    return inspect.isfunction(target) and inspect.iscoroutinefunction(target)


def _is_unawaited(function: Function, call: ast.Call) -> bool:
    match function.parents.get(call):
        case ast.Expr() | ast.Subscript() | ast.Attribute():
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return not any(_awaits(function, node, name) for node in function.nodes)
        case _:
            return False


def _awaits(function: Function, node: ast.AST, name: str) -> bool:
    """Tell whether the value of a name may be awaited here: `await name`, `async with name`, `gather(name)`."""
    if not (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)):
        return False
    parent = function.parents.get(node)
    if isinstance(parent, ast.Starred | ast.List | ast.Tuple):
        return True
    if isinstance(parent, ast.Call):
        called = getattr(parent.func, "attr", None) or getattr(parent.func, "id", "")
        return node is not parent.func and called in _AWAITERS
    return isinstance(parent, ast.Await | ast.withitem)


def forgotten_returns(inspection: Inspection) -> Iterator[Finding]:
    """Find handlers that work something out and return None: the client gets an empty 204."""
    for function, _ in inspection.handlers:
        nodes = function.nodes
        if function.kind != "http" or not completes(function.node.body):
            continue
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
            continue
        if any(isinstance(node, ast.Return) and node.value is not None for node in nodes):
            continue
        lost = _lost(function, function.node.body[-1])
        if lost:
            what = f"{function.name} returns nothing, so the client gets an empty 204: {lost}"
            yield Finding(function.at(function.node.body[-1]), what, "return it")


def _lost(function: Function, last: ast.stmt) -> str | None:
    """Return what the last statement works out for nobody."""
    match last:
        case ast.Expr(value=ast.Constant() | ast.Await()):
            return None
        case ast.Expr(value=ast.Call(func=called)):
            made = function.resolve(called)
            return f"{made.__name__}(...) is made" if isinstance(made, type) and issubclass(made, Response) else None
        case ast.Expr(value=value):
            return f"{ast.unparse(value)[:40]} is worked out"
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            used = any(isinstance(node, ast.Name) and node.id == name for node in function.nodes if _is_load(node))
            shared = any(isinstance(node, ast.Global | ast.Nonlocal) and name in node.names for node in function.nodes)
            return None if used or shared else f"{name} is set"
        case _:
            return None


def _is_load(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def missing_multipart(inspection: Inspection) -> Iterator[Finding]:
    """Find forms that nobody could parse."""
    if find_spec("python_multipart") is not None:
        return
    for function in inspection.functions:
        for call in function.calls_on_parameter("form"):
            what = f"{function.name} reads a form, and python-multipart is not installed: uploads would fail"
            yield Finding(function.at(call), what, 'pip install "microasgi[forms]"')


def unfilled_parameters(inspection: Inspection) -> Iterator[Finding]:
    """Find methods of class endpoints that want what nobody gives them."""
    for function, _ in inspection.handlers:
        if not function.is_method:
            continue
        try:
            inspect.signature(function.function).bind(None, None)
        except TypeError as error:
            what = f"{function.name} cannot be called with (self, request): {error}"
            yield Finding(function.place, what, f"write def {function.node.name}(self, request)")


def boundless_bodies(inspection: Inspection) -> Iterator[Finding]:
    """Find handlers that read a body of any size."""
    for function, found in inspection.handlers:
        if function.kind != "http" or _limit(found.route, found.owners) < sys.maxsize:
            continue
        for call in function.calls_on_parameter("form", "body", "json"):
            what = f"{function.name} reads a body of any size: max_body_size=None"
            cure = "give the route a limit in bytes, max_body_size=50 * 1024 * 1024, or read request.stream()"
            yield Finding(function.at(call), what, cure)


def _limit(route: Any, owners: tuple[Any, ...]) -> int:
    """Return the limit that holds for a route, the lowest that can be meant."""
    if route.max_body_size is not None:
        return int(route.max_body_size)
    limits = [owner.max_body_size for owner in owners if isinstance(owner, MicroASGI)]
    return min((limit for limit in limits if limit is not None), default=0)


RULES = [
    Rule("MA301", "a call that blocks the event loop", blocking_calls),
    Rule("MA302", "a coroutine that is never awaited", forgotten_awaits),
    Rule("MA303", "a handler that forgets to return", forgotten_returns),
    Rule("MA304", "a form without python-multipart", missing_multipart),
    Rule("MA305", "a parameter that nobody can fill", unfilled_parameters),
    Rule("MA306", "a body without a limit", boundless_bodies),
]
