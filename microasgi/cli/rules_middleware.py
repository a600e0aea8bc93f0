"""Rules about middleware: order, secrets, what a handler needs, and what production does."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any, cast

from microasgi.cli.inspection import Finding, Function, Inspection, Rule
from microasgi.cli.sources import completes, constants_in
from microasgi.stack import Middleware

__all__ = ["RULES"]

_SECRETS = frozenset(("secret", "secret_key", "secret_keys", "secrets"))
_SHORTEST = 32
_FEWEST = 8  # different characters


def _name(middleware: Middleware) -> str:
    return getattr(middleware.cls, "__name__", type(middleware.cls).__name__)


def _called(middleware: Middleware, part: str) -> bool:
    return part in _name(middleware).lower()


def _options(middleware: Middleware) -> dict[str, Any]:
    """Return the arguments by name, those without one as well."""
    try:
        bound = inspect.signature(middleware.cls).bind(None, *middleware.args, **middleware.kwargs)
    except (TypeError, ValueError):
        return dict(middleware.kwargs)
    return dict(bound.arguments)


def open_cors(inspection: Inspection) -> Iterator[Finding]:
    """Find CORS that lets every site use the visitor's cookies."""
    for middleware in inspection.middleware:
        options = _options(middleware) if _called(middleware, "cors") else {}
        everyone = "*" in (options.get("allow_origins") or ()) or options.get("allow_origin_regex") in {".*", ".+"}
        if everyone and options.get("allow_credentials"):
            yield Finding(
                inspection.place_of(middleware),
                f"{_name(middleware)} lets every site read answers with the visitor's cookies",
                'name the sites, allow_origins=["https://example.org"], or leave out allow_credentials',
            )


def cors_inside_of_sessions(inspection: Inspection) -> Iterator[Finding]:
    """Find CORS that stands inside of a session: refusals from outside of it have no CORS headers."""
    for stack in inspection.stacks:
        sessions = [index for index, one in enumerate(stack) if _called(one, "session")]
        for index, middleware in enumerate(stack):
            if _called(middleware, "cors") and sessions and sessions[0] < index:
                outer = _name(stack[sessions[0]])
                yield Finding(
                    inspection.place_of(middleware),
                    f"{_name(middleware)} stands inside of {outer}, whose own answers have no CORS headers",
                    f"put it before {outer} in the list (of several add_middleware the last is the outermost)",
                )


def _secrets(middleware: Middleware) -> Iterator[str]:
    for name, value in _options(middleware).items():
        if name not in _SECRETS:
            continue
        several: list[Any] = list(cast(Any, value)) if isinstance(value, list | tuple) else [value]
        for one in several:
            text = one.decode(errors="replace") if isinstance(one, bytes) else str(one)
            if one is not None:
                yield text


def weak_secrets(inspection: Inspection) -> Iterator[Finding]:
    """Find secrets that can be guessed, and secrets that stand in the code."""
    cure = "generate one, python -c 'import secrets; print(secrets.token_urlsafe(32))', and read it from os.environ"
    for middleware in inspection.middleware:
        for secret in _secrets(middleware):
            if len(secret.encode()) < _SHORTEST or len(set(secret)) < _FEWEST:
                what = f"the secret of {_name(middleware)} can be guessed: it has {len(secret)} characters"
                what += f", {len(set(secret))} different ones"
                yield Finding(inspection.place_of(middleware), what, cure)
            yield from _spelled_out(inspection, middleware, secret, cure)


def _spelled_out(inspection: Inspection, middleware: Middleware, secret: str, cure: str) -> Iterator[Finding]:
    for file in inspection.files if secret else ():
        for line, is_fallback in constants_in(file, secret):
            if inspection.deploy or not is_fallback:
                what = f"the secret of {_name(middleware)} stands in the code, for all who can read that"
                place = inspection.app_place._replace(file=file, line=line)
                yield Finding(place, what, cure)


def missing_sessions(inspection: Inspection) -> Iterator[Finding]:
    """Find handlers that use the session where no middleware makes one."""
    if inspection.is_wrapped:  # by what cannot be looked into
        return
    for function, found in inspection.handlers:
        reads = [node for node in function.nodes if _reads_session(function, node)]
        if not reads or any(map(_may_make_sessions, found.middleware)):
            continue
        what = f"{function.name} uses {function.parameter}.session, and nothing around it makes sessions"
        cure = "add SessionMiddleware: MicroASGI(middleware=[Middleware(SessionMiddleware, secret_key=...)])"
        yield Finding(function.at(reads[0]), what, cure)


def _reads_session(function: Function, node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=value, attr="session", ctx=ast.Load()):
            return function.is_parameter(value)
        case _:
            return False


def _may_make_sessions(middleware: Middleware) -> bool:
    if _called(middleware, "session"):
        return True
    try:
        source = inspect.getsource(middleware.cls)
    except (OSError, TypeError):
        return True
    return "session" in source.lower()


def forgotten_responses(inspection: Inspection) -> Iterator[Finding]:
    """Find function middleware that can end without returning a response: the client gets an empty 204."""
    for function in inspection.layers:
        returns = any(isinstance(node, ast.Return) and node.value is not None for node in function.nodes)
        if completes(function.node.body) and not (returns and _may_stop(function)):
            what = f"the middleware {function.name} can end without returning a response"
            yield Finding(function.place, what, "return it: response = await call_next(request); return response")


def _may_stop(function: Function) -> bool:
    """Tell whether the last statement is a call that may never return."""
    last = function.node.body[-1]
    if not isinstance(last, ast.Expr):
        return False
    call = last.value.value if isinstance(last.value, ast.Await) else last.value
    return isinstance(call, ast.Call) and getattr(call.func, "id", "") != "call_next"


def debug_in_production(inspection: Inspection) -> Iterator[Finding]:
    """Find applications that show tracebacks."""
    owners = {id(owner): owner for found in inspection.routes for owner in found.owners}
    for owner in (owners or {0: inspection.app}).values():
        if getattr(owner, "debug", False) is True:
            what = "debug=True shows source code and requests to every visitor"
            yield Finding(inspection.app_place, what, "leave it out: `microasgi dev` switches it on by itself")


def untrusted_hosts(inspection: Inspection) -> Iterator[Finding]:
    """Find applications that answer to any Host header."""
    if inspection.is_wrapped or any(_called(one, "host") for stack in inspection.stacks for one in stack):
        return
    yield Finding(
        inspection.app_place,
        "every Host header is believed, so links in what you send out can be made to point elsewhere",
        'add Middleware(TrustedHostMiddleware, allowed_hosts=["example.org"]), outermost',
    )


RULES = [
    Rule("MA201", "CORS for every site, with credentials", open_cors),
    Rule("MA202", "CORS inside of sessions", cors_inside_of_sessions),
    Rule("MA203", "a secret that can be guessed or read", weak_secrets),
    Rule("MA204", "a session that nobody makes", missing_sessions),
    Rule("MA205", "a middleware that forgets the response", forgotten_responses),
    Rule("MA501", "debug in production", debug_in_production, deploy=True),
    Rule("MA502", "any Host header is believed", untrusted_hosts, deploy=True),
]
