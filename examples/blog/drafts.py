"""What forms may hold, within limits. Everything that is wrong with one is found at once."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from microasgi import FormData, UploadFile

NAME, PASSWORD, TITLE, TEXT, COMMENT = 30, 10, 100, 20_000, 1000
PICTURE_SIZE = 5 * 1024 * 1024
KINDS = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


@dataclass
class Draft:
    """What was typed into a form, and what is wrong with it, by field."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict[str, str])
    picture: UploadFile | None = None
    kind: str = ""


def read_account(form: FormData) -> Draft:
    """Return the name and the password of somebody new."""
    name = " ".join(unicodedata.normalize("NFKC", _text(form, "name")).split())  # one way to write what looks the same
    password = _text(form, "password")
    draft = Draft({"name": name, "password": password})
    if not 1 <= len(name) <= NAME or not name.isprintable():
        draft.errors["name"] = f"Please choose a name of at most {NAME} characters."
    if not PASSWORD <= len(password) <= 1000:
        draft.errors["password"] = f"Please choose a password of at least {PASSWORD} characters."
    return draft


async def read_post(form: FormData) -> Draft:
    """Return a post's title, text and picture."""
    title = " ".join(_text(form, "title").split())
    draft = Draft({"title": title, "text": _lines(form, "text"), "alt": " ".join(_text(form, "alt").split())})
    draft.values["remove"] = _text(form, "remove")
    if not 1 <= len(title) <= TITLE:
        draft.errors["title"] = f"Please give a title of at most {TITLE} characters."
    if not 1 <= len(draft.values["text"]) <= TEXT:
        draft.errors["text"] = f"Please write something, at most {TEXT:,} characters."
    if len(draft.values["alt"]) > 200:
        draft.errors["alt"] = "Please describe the picture in at most 200 characters."
    file = form.get("picture")
    if isinstance(file, UploadFile) and file.size:  # browsers send an empty file when none was chosen
        draft.picture, draft.kind = file, picture_kind(await file.read(12))
        await file.seek(0)
        if not draft.kind or file.size > PICTURE_SIZE:
            draft.errors["picture"] = f"Please choose a PNG, JPEG, GIF or WebP of at most {PICTURE_SIZE >> 20} MB."
    return draft


def read_comment(form: FormData) -> Draft:
    """Return the text of a comment."""
    draft = Draft({"text": _lines(form, "text")})
    if not 1 <= len(draft.values["text"]) <= COMMENT:
        draft.errors["text"] = f"Please write something, at most {COMMENT:,} characters."
    return draft


def picture_kind(head: bytes) -> str:
    """Return a picture's suffix by its first 12 bytes, whatever its sender says; nothing if it is no picture."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _lines(form: FormData, name: str) -> str:
    return _text(form, name).replace("\r\n", "\n").strip()
