"""A blog: accounts, posts with pictures, comments, JSON for programs. Run it with `uvicorn app:app`."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile

from accounts import Members, accounts
from drafts import PICTURE_SIZE
from pages import Shared, templates, wants_json
from passwords import Passwords
from posts import pictures, posts
from store import Store

from microasgi import HTTPException, MicroASGI, Middleware, Request, Response, Router, run_in_threadpool
from microasgi.files import StaticFiles
from microasgi.middleware import (
    AuthenticationMiddleware,
    CompressionMiddleware,
    RequestIDMiddleware,
    SecurityHeadersMiddleware,
    SessionMiddleware,
)
from microasgi.types import ASGIApp

FRIENDLY = {
    404: ("There is no such page", "It may have moved, or it never existed."),
    413: ("That was too much", f"A picture has at most {PICTURE_SIZE >> 20} MB."),
    500: ("That is our fault", "Something broke here. We have been told, and nothing of yours is lost."),
}


def data_folder() -> Path:
    """Return the folder of the database, the pictures and the key, as BLOG_FOLDER says."""
    folder = Path(os.environ.get("BLOG_FOLDER") or Path(__file__).with_name("data"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def secret_key() -> str:
    """Return the key that signs sessions: BLOG_SECRET_KEY, or one that the first run makes and keeps in the folder."""
    if given := os.environ.get("BLOG_SECRET_KEY"):
        return given
    path = data_folder() / "secret_key"
    if not path.exists():
        with NamedTemporaryFile("w", dir=path.parent) as file:  # only its owner can read it
            file.write(secrets.token_urlsafe(48))
            file.flush()
            try:
                os.link(file.name, path)  # whole or not at all, and only one of several workers can
                print(f"blog: made a secret key for the sessions: {path} (BLOG_SECRET_KEY replaces it)", flush=True)
            except FileExistsError:
                pass
    return path.read_text()


def sessions(inner: ASGIApp) -> ASGIApp:
    """Keep sessions in signed cookies. The key is asked for when the application starts, not when it is imported."""
    return SessionMiddleware(inner, secret_key())


site = Router(middleware=[sessions, Middleware(AuthenticationMiddleware, backend=Members())])
site.include(accounts)
site.include(posts)

POLICY = {
    "default-src": "'none'",
    "script-src": "{nonce}",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}

app = MicroASGI(
    middleware=[
        RequestIDMiddleware,
        Middleware(SecurityHeadersMiddleware, content_security_policy=POLICY),
        CompressionMiddleware,
    ],
    max_body_size=64 * 1024,
)
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), name="static")
app.include(pictures)
app.mount("/", site)  # what is above is outside of the sessions: the same for everybody, in every cache


@app.lifespan
async def open_store() -> AsyncIterator[Shared]:
    """Open the database and the folder of pictures."""
    folder = data_folder() / "pictures"
    folder.mkdir(exist_ok=True)
    with closing(await run_in_threadpool(Store, data_folder() / "blog.sqlite3")) as store:
        yield {"store": store, "passwords": Passwords(), "pictures": folder}


@app.exception_handler(500)
@app.exception_handler(HTTPException)
async def show_problem(request: Request[Shared], error: Exception) -> Response:
    """Show an error as a page to people; programs get the framework's own answer."""
    if wants_json(request):
        raise error
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    title, detail = FRIENDLY.get(status, ("That did not work", detail))
    request_id = request.scope.get("microasgi.request_id") if status >= 500 else None
    context = {"status": status, "title": title, "detail": detail, "request_id": request_id}
    headers = error.headers if isinstance(error, HTTPException) else None
    return templates.TemplateResponse(request, "error.html", context, status, headers)
