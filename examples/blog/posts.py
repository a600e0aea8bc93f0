"""Posts and their comments: as pages, as parts of pages, and as JSON."""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from drafts import KINDS, PICTURE_SIZE, Draft, read_comment, read_post
from pages import Shared, empty, flash, found, member_of, templates, wants_json
from store import Comment, Post, now

from microasgi import HTTPException, JSONResponse, RedirectResponse, Request, Response, Router, run_in_threadpool
from microasgi.files import FileResponse
from microasgi.middleware import requires

PAGE = 8
PICTURE_NAME = re.compile(r"[0-9a-f-]{36}\.(png|jpg|gif|webp)")
VARY = {"vary": "accept"}
UPLOAD = PICTURE_SIZE + 256 * 1024  # in bytes: a picture and the fields around it

posts = Router()
pictures = Router()  # outside of the sessions, as static files are


@posts.get("/")
def home(request: Request[Shared]) -> Response:
    """Show the newest posts, or those `before` one. A plain function runs in a worker thread, so it may wait."""
    before = read_number(request, "before")
    rows = request.state["store"].newest(PAGE + 1, before)
    shown, older = rows[:PAGE], len(rows) > PAGE
    if wants_json(request):
        following = f"{request.url.path}?before={shown[-1].id}" if older else None
        return JSONResponse({"posts": [as_json(request, post) for post in shown], "next": following}, headers=VARY)
    block = "posts" if request.query_params.get("part") == "posts" else None
    context = {"posts": shown, "older": older, "before": before}
    return templates.TemplateResponse(request, "home.html", context, headers=VARY, block=block)


@posts.get("/posts/{id:int}")
def show_post(request: Request[Shared]) -> Response:
    """Show a post and what is said about it."""
    store = request.state["store"]
    post = found(store.post(request.path_params["id"]))
    if wants_json(request):
        comments = [asdict(comment) for comment in store.comments(post.id)]
        return JSONResponse(as_json(request, post) | {"comments": comments}, headers=VARY)
    return show_page(request, post, empty("text"))


@posts.get("/write")
@requires("authenticated", redirect="log_in")
def new_post(request: Request[Shared]) -> Response:
    """Show the form for a new post."""
    return show_form(request, empty("title", "text", "alt"))


@posts.post("/write", max_body_size=UPLOAD)
@requires("authenticated", redirect="log_in")
async def create_post(request: Request[Shared]) -> Response:
    """Publish a post."""
    async with request.form(max_files=1, max_fields=10) as form:
        draft = await read_post(form)
        if draft.errors:
            return await run_in_threadpool(show_form, request, draft)
        number = await run_in_threadpool(save, request, draft)
    flash(request, "Your post is out.")
    return RedirectResponse(request.url_path_for("show_post", id=number), 303)


@posts.get("/posts/{id:int}/edit")
@requires("authenticated", redirect="log_in")
def edit_post(request: Request[Shared]) -> Response:
    """Show the form with a post in it."""
    post = own_post(request)
    return show_form(request, Draft({"title": post.title, "text": post.text, "alt": post.alt}), post)


@posts.post("/posts/{id:int}/edit", max_body_size=UPLOAD)
@requires("authenticated", redirect="log_in")
async def change_post(request: Request[Shared]) -> Response:
    """Change a post."""
    post = await run_in_threadpool(own_post, request)
    async with request.form(max_files=1, max_fields=10) as form:
        draft = await read_post(form)
        if draft.errors:
            return await run_in_threadpool(show_form, request, draft, post)
        await run_in_threadpool(save, request, draft, post)
    flash(request, "Your changes are saved.")
    return RedirectResponse(request.url_path_for("show_post", id=post.id), 303)


@posts.post("/posts/{id:int}/delete")
@requires("authenticated", redirect="log_in")
def delete_post(request: Request[Shared]) -> Response:
    """Delete a post, its comments and its picture."""
    post = own_post(request)
    request.state["store"].delete_post(post.id)
    drop_picture(request, post.picture)
    flash(request, "The post is gone.")
    return RedirectResponse(request.url_path_for("home"), 303)


@posts.post("/posts/{id:int}/comments")
@requires("authenticated", redirect="log_in")
async def comment(request: Request[Shared]) -> Response:
    """Say something about a post."""
    store, member = request.state["store"], found(member_of(request))
    post = found(await run_in_threadpool(store.post, request.path_params["id"]))
    draft = read_comment(await request.form())
    if draft.errors:
        return await run_in_threadpool(show_page, request, post, draft)
    number = found(await run_in_threadpool(store.add_comment, post.id, member.id, draft.values["text"]))
    return RedirectResponse(f"{request.url_path_for('show_post', id=post.id)}#comment-{number}", 303)


@posts.post("/posts/{id:int}/preview")
@requires("authenticated")
async def preview(request: Request[Shared]) -> Response:
    """Show what a comment would look like: that block of the page, alone."""
    draft = read_comment(await request.form())
    if draft.errors:
        raise HTTPException(422, draft.errors["text"])
    said = Comment(0, found(member_of(request)).name, draft.values["text"], now())
    return templates.TemplateResponse(request, "post.html", {"comment": said}, block="comment")


@pictures.get("/pictures/{name}")
def picture(request: Request[Shared]) -> Response:
    """Send a picture as the type that it was found to be. A name is never used for other bytes."""
    name: str = request.path_params["name"]
    path = request.state["pictures"] / name
    if not (PICTURE_NAME.fullmatch(name) and path.is_file()):
        raise HTTPException(404)
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return FileResponse(path, headers=headers, media_type=KINDS[path.suffix[1:]])


def show_page(request: Request[Shared], post: Post, draft: Draft) -> Response:
    context = {"post": post, "comments": request.state["store"].comments(post.id), "draft": draft}
    return templates.TemplateResponse(request, "post.html", context, 422 if draft.errors else 200, VARY)


def show_form(request: Request[Shared], draft: Draft, post: Post | None = None) -> Response:
    title = "Edit your post" if post else "A new post"
    context = {"draft": draft, "post": post, "title": title, "picture_size": PICTURE_SIZE}
    return templates.TemplateResponse(request, "write.html", context, 422 if draft.errors else 200)


def own_post(request: Request[Shared]) -> Post:
    """Return the post that the path names; 404 if there is none, 403 if it is somebody else's."""
    post = found(request.state["store"].post(request.path_params["id"]))
    if post.author != found(member_of(request)).id:
        raise HTTPException(403, "Only its author can change a post.")
    return post


def save(request: Request[Shared], draft: Draft, post: Post | None = None) -> int:
    """Write a draft over a post, or as a new one, with its picture in the folder; return its number."""
    store = request.state["store"]
    name = post.picture if post and not draft.values["remove"] else None
    if draft.picture:
        name = f"{uuid4()}.{draft.kind}"  # nothing of the sender's name is in it
        with (request.state["pictures"] / name).open("xb") as file:
            shutil.copyfileobj(draft.picture.file, file)
    fields = draft.values["title"], draft.values["text"], name, draft.values["alt"]
    if post is None:
        return store.add_post(found(member_of(request)).id, *fields)
    store.change_post(post.id, *fields)
    if post.picture != name:
        drop_picture(request, post.picture)
    return post.id


def drop_picture(request: Request[Shared], name: str | None) -> None:
    if name:
        (request.state["pictures"] / name).unlink(missing_ok=True)


def as_json(request: Request[Shared], post: Post) -> dict[str, Any]:
    """Return a post as programs get it."""
    shown = str(request.url_path_for("picture", name=post.picture)) if post.picture else None
    return asdict(post) | {"picture": shown, "url": str(request.url_path_for("show_post", id=post.id))}


def read_number(request: Request[Shared], name: str) -> int | None:
    """Return a number out of the query, or None if it is not there."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HTTPException(400, f"{name} is the number of a post, not {text[:40]!r}.")
    return int(text)
