"""Todos with attachments: what the API is about. Who asks sees nothing but what is theirs."""

from __future__ import annotations

from typing import Annotated, Any

from accounts import current_user
from store import Attachment, Draft, Store, Todo, User

from microasgi import BackgroundTasks, HTTPException, Request, Response, Router, UploadFile
from microasgi.concurrency import run_in_threadpool
from microasgi.typed import CursorPage, Depends, File, Paginated, Path, Preconditions, Query, State, paginated

LARGEST = 2**63 - 1  # what SQLite takes
UPLOAD_SIZE = 1024 * 1024
KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"%PDF-": "application/pdf"}
ANY_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {kind: {} for kind in KINDS.values()}}
}

Owner = Annotated[User, Depends(current_user)]
todos = Router()


def own_todo(todo_id: Annotated[int, Path(ge=1, le=LARGEST)], user: Owner, store: State[Store]) -> Todo:
    """Return the todo that the path names, or answer 404: also for one of somebody else."""
    todo = store.todo(user, todo_id)
    if todo is None:
        raise HTTPException(404, f"There is no todo {todo_id}.")
    return todo


OwnTodo = Annotated[Todo, Depends(own_todo)]
Conditions = Annotated[Preconditions, Depends()]


@todos.get("/todos")
def list_todos(
    request: Request,
    user: Owner,
    store: State[Store],
    page: Annotated[CursorPage, Query()],
    done: Annotated[bool | None, Query(description="Only those that are done, or are not.")] = None,
) -> Paginated[Todo]:
    """List todos.

    The header `Link` has the address of the next page (RFC 8288).
    """
    (after,) = page.after(int) or (0,)
    found = store.todos(user, page.limit + 1, after, done)  # one more tells whether there is a next page
    return paginated(request, page, found, cursor=lambda todo: todo.id)


@todos.post("/todos", status=201, idempotent=True)
def add_todo(draft: Draft, user: Owner, store: State[Store], request: Request) -> tuple[Todo, int, dict[str, str]]:
    """Add a todo.

    With an `Idempotency-Key` it is added once, however often it is sent.
    """
    todo = store.add_todo(user, draft)
    return todo, 201, {"location": str(request.url_path_for("get_todo", todo_id=todo.id))}


@todos.get("/todos/{todo_id}", etag=True, raises=[404])
def get_todo(todo: OwnTodo) -> Todo:
    """Return a todo.

    With `If-None-Match`, only if it has changed.
    """
    return todo


@todos.put("/todos/{todo_id}", raises=[404, 412])
def change_todo(todo: OwnTodo, draft: Draft, conditions: Conditions, store: State[Store]) -> Todo:
    """Change a todo.

    With `If-Match`, only if nobody else has changed it (412).
    """
    conditions.check(todo)
    changed = store.change_todo(todo, draft)
    if changed is None:
        raise HTTPException(412, "Somebody has changed this todo meanwhile.")
    return changed


@todos.delete("/todos/{todo_id}", raises=[404, 412])
def delete_todo(todo: OwnTodo, conditions: Conditions, store: State[Store]) -> None:
    """Delete a todo with its attachments.

    With `If-Match`, only if nobody else has changed it (412).
    """
    conditions.check(todo)
    if not store.delete_todo(todo):
        raise HTTPException(412, "Somebody has changed this todo meanwhile.")


@todos.get("/todos/{todo_id}/attachments", raises=[404])
def list_attachments(todo: OwnTodo, store: State[Store]) -> list[Attachment]:
    """List what is attached to a todo."""
    return store.attachments(todo)


@todos.post("/todos/{todo_id}/attachments", status=201, raises=[404, 413, 415], max_body_size=UPLOAD_SIZE + 16 * 1024)
async def attach(
    todo: OwnTodo, file: Annotated[UploadFile, File()], store: State[Store], tasks: BackgroundTasks
) -> Attachment:
    """Attach a file.

    A PNG, a JPEG or a PDF of at most 1 MiB. Its checksum is worked out after the answer.
    """
    content = await file.read(UPLOAD_SIZE + 1)
    if len(content) > UPLOAD_SIZE:
        raise HTTPException(413, "An attachment has at most 1 MiB.")
    # By its first bytes: what the sender says of it is not asked.
    kind = next((kind for head, kind in KINDS.items() if content.startswith(head)), None)
    if kind is None:
        raise HTTPException(415, "An attachment is a PNG, a JPEG or a PDF.")
    attachment = await run_in_threadpool(store.attach, todo, file.safe_filename, kind, content)
    if attachment is None:
        raise HTTPException(404, "This todo was deleted meanwhile.")
    tasks.add_task(store.add_digest, attachment, content)
    return attachment


@todos.get("/todos/{todo_id}/attachments/{number}", raises=[404], responses=ANY_FILE)
def get_attachment(todo: OwnTodo, number: Annotated[int, Path(ge=1, le=LARGEST)], store: State[Store]) -> Response:
    """Return an attached file."""
    found = store.content(todo, number)
    if found is None:
        raise HTTPException(404, f"There is no attachment {number}.")
    media_type, content = found
    # To be saved, never to be shown as a page of this site.
    headers = {"content-disposition": "attachment", "x-content-type-options": "nosniff"}
    return Response(content, media_type=media_type, headers=headers)
