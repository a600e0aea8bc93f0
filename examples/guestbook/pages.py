"""The pages: `string.Template` files in which every value is escaped, unless it is HTML of ours."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from book import Entry
from draft import NAME_LENGTH, PICTURE_SIZE, TEXT_LENGTH, Draft

from microasgi import HTMLResponse, HTTPConnection, Response

TEMPLATES = {
    path.stem: Template(path.read_text(encoding="utf-8"))
    for path in Path(__file__).with_name("templates").glob("*.html")
}


class HTML(str):
    """Text that is HTML already."""


def fill(template: str, **values: object) -> HTML:
    """Return a template with its values filled in; what is not HTML is escaped, for attributes too."""
    safe = {name: value if isinstance(value, HTML) else escape(str(value)) for name, value in values.items()}
    return HTML(TEMPLATES[template].substitute(safe))


def show_page(request: HTTPConnection[Any], title: str, content: HTML, status: int = 200) -> Response:
    urls = {f"{kind}_url": request.url_path_for("static", name=f"guestbook.{kind}") for kind in ("css", "js", "svg")}
    home = request.url_path_for("home")
    return HTMLResponse(fill("page", title=title, content=content, home=home, **urls), status)


def show_book(
    request: HTTPConnection[Any], draft: Draft, entries: list[Entry], *, newest: bool, older: bool, status: int
) -> Response:
    """Show the form, filled with a draft, and entries; the `newest` are joined by what comes while the page is open."""
    home = request.url_path_for("home")
    content = fill(
        "book",
        home=home,
        name=draft.name,
        text=draft.text,
        name_length=NAME_LENGTH,
        text_length=TEXT_LENGTH,
        picture_size=PICTURE_SIZE,
        picture_limit=f"{PICTURE_SIZE >> 20} MB",
        live=request.url_path_for("live_entries") if newest else "",
        last=entries[0].id if entries else 0,
        entries=HTML("".join(show_entry(request, entry) for entry in entries)),
        newest="" if newest else fill("link", url=home, text="Newest entries"),
        older=fill("link", url=f"{home}?before={entries[-1].id}", text="Older entries") if older else "",
        **{f"{name}_error": draft.errors.get(name, "") for name in ("name", "text", "picture")},
        **{f"{name}_invalid": "true" if name in draft.errors else "false" for name in ("name", "text", "picture")},
    )
    return show_page(request, "Guestbook", content, status)


def show_entry(connection: HTTPConnection[Any], entry: Entry) -> HTML:
    url = picture_path(connection, entry)
    return fill(
        "entry",
        id=entry.id,
        name=entry.name,
        initial=entry.name[0].upper(),
        colour=sum(entry.name.encode()) % 6,
        written=entry.written.isoformat(),
        date=f"{entry.written:%d %B %Y, %H:%M} UTC",
        text=entry.text,
        picture=fill("picture", url=url, name=entry.name) if url else "",
    )


def show_error(request: HTTPConnection[Any], status: int, title: str, detail: str) -> Response:
    content = fill("error", status=status, title=title, detail=detail, home=request.url_path_for("home"))
    return show_page(request, f"{title} · Guestbook", content, status)


def picture_path(connection: HTTPConnection[Any], entry: Entry) -> str | None:
    return str(connection.url_path_for("picture", number=entry.id)) if entry.picture else None
