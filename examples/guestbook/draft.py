"""What the form may hold: names, texts and pictures within limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from microasgi import FormData, UploadFile

NAME_LENGTH, TEXT_LENGTH, PICTURE_SIZE = 40, 1000, 5 * 1024 * 1024


@dataclass
class Draft:
    """What was typed into the form, and what is wrong with it."""

    name: str = ""
    text: str = ""
    picture: UploadFile | None = None
    picture_type: str | None = None
    errors: dict[str, str] = field(default_factory=dict[str, str])


async def read_draft(form: FormData) -> Draft:
    """Return what a form holds; everything that is wrong is found at once."""
    name, text, file = form.get("name"), form.get("text"), form.get("picture")
    draft = Draft(" ".join(name.split()) if isinstance(name, str) else "")
    draft.text = text.replace("\r\n", "\n").strip() if isinstance(text, str) else ""
    if not 1 <= len(draft.name) <= NAME_LENGTH:
        draft.errors["name"] = f"Please give a name of at most {NAME_LENGTH} characters."
    if not 1 <= len(draft.text) <= TEXT_LENGTH:
        draft.errors["text"] = f"Please write something, at most {TEXT_LENGTH:,} characters."
    if isinstance(file, UploadFile) and file.size:  # browsers send an empty file when none was chosen
        draft.picture, draft.picture_type = file, picture_type(await file.read(12))
        await file.seek(0)
        if draft.picture_type is None or file.size > PICTURE_SIZE:
            draft.errors["picture"] = f"Please choose a PNG, JPEG, GIF or WebP of at most {PICTURE_SIZE >> 20} MB."
    return draft


def picture_type(head: bytes) -> str | None:
    """Return a picture's media type by its first 12 bytes, whatever its sender says; None if it is no picture."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None
