"""How pages are made: the templates, what every one of them knows, and the messages that the next one shows."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from drafts import Draft
from passwords import Passwords
from store import Member, Store

from microasgi import HTTPConnection, HTTPException, Request
from microasgi.negotiation import prefers_json
from microasgi.templates import Jinja2Templates

T = TypeVar("T")


class Shared(TypedDict):
    """What the lifespan opens, and every request finds in its state."""

    store: Store
    passwords: Passwords
    pictures: Path


def visitor(request: Request[Any]) -> dict[str, Any]:
    """Give every template the member, if somebody is logged in, and the messages that wait for them.

    Pages outside of the sessions, a 404 say, know nobody.
    """
    if "user" not in request.scope:
        return {"member": None, "knows_visitor": False, "flashes": []}
    flashes = request.session.pop("flashes", []) if "flashes" in request.session else []
    return {"member": member_of(request), "knows_visitor": True, "flashes": flashes}


def day(written: str) -> str:
    """Return a moment as its day, for readers."""
    moment = datetime.fromisoformat(written)
    return f"{moment.day} {moment:%B %Y}"


templates = Jinja2Templates(directory=Path(__file__).with_name("templates"), context_processors=[visitor], strict=True)
templates.env.filters["day"] = day


def flash(request: Request[Shared], text: str) -> None:
    """Say this at the top of the next page."""
    request.session["flashes"] = [*request.session.get("flashes", []), text]


def member_of(request: HTTPConnection[Any]) -> Member | None:
    """Return the member who sent this, or None."""
    return request.user if isinstance(request.user, Member) else None


def wants_json(request: HTTPConnection[Any]) -> bool:
    """Tell whether the client prefers JSON to a page."""
    return prefers_json(request.headers.get("accept", "").encode("latin-1"))


def empty(*names: str) -> Draft:
    """Return a form that nobody has filled in."""
    return Draft(dict.fromkeys(names, ""))


def found(value: T | None) -> T:
    """Return what a look-up gave, or answer 404."""
    if value is None:
        raise HTTPException(404)
    return value
