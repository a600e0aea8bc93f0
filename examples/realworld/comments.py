"""Comments on articles."""

from __future__ import annotations

from sqlite3 import Connection, Row
from typing import Annotated

from articles import LARGEST, Slug
from database import Database, now
from errors import Rejected
from models import Comment, ManyComments, NewComment, OneComment, check
from profiles import AUTHOR, author_of
from security import Me, Visitor
from store import find_row

from microasgi import Router
from microasgi.typed import Body, Path, State

comments = Router()

COMMENTS = f"""SELECT comments.id, body, created_at, updated_at, {AUTHOR}
FROM comments JOIN users ON users.id = comments.author"""


@comments.get("/articles/{slug}/comments", raises=[401])
async def get_comments(slug: Slug, visitor: Visitor, database: State[Database]) -> ManyComments:
    """List the comments on an article, the oldest first."""
    return await database.read(list_comments, slug, visitor)


@comments.post("/articles/{slug}/comments", status=201)
async def create_comment(
    slug: Slug, me: Me, comment: Annotated[NewComment, Body(embed=True)], database: State[Database]
) -> OneComment:
    """Comment on an article."""
    check(comment)
    return await database.write(add_comment, slug, me.id, comment.body)


@comments.delete("/articles/{slug}/comments/{id}", raises=[403])
async def delete_comment(
    slug: Slug, number: Annotated[int, Path("id", ge=1, le=LARGEST)], me: Me, database: State[Database]
) -> None:
    """Delete a comment of one's own."""
    await database.write(remove_comment, slug, number, me.id)


def list_comments(connection: Connection, slug: str, visitor: int | None) -> ManyComments:
    """Return the comments on the article of that slug."""
    values = {"article": find_row(connection, slug)["id"], "visitor": visitor}
    rows = connection.execute(f"{COMMENTS} WHERE article = :article ORDER BY comments.id", values).fetchall()
    return ManyComments(comments=[comment_of(row) for row in rows])


def add_comment(connection: Connection, slug: str, me: int, body: str) -> OneComment:
    """Add a comment to the article of that slug."""
    article, moment = find_row(connection, slug)["id"], now()
    number = connection.execute(
        "INSERT INTO comments (article, author, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (article, me, body, moment, moment),
    ).fetchone()["id"]
    values = {"number": number, "visitor": me}
    return OneComment(
        comment=comment_of(connection.execute(f"{COMMENTS} WHERE comments.id = :number", values).fetchone())
    )


def remove_comment(connection: Connection, slug: str, number: int, me: int) -> None:
    """Delete a comment of one's own on the article of that slug."""
    values = (number, find_row(connection, slug)["id"])
    row = connection.execute("SELECT author FROM comments WHERE id = ? AND article = ?", values).fetchone()
    if row is None:
        raise Rejected(404, comment="not found")
    if row["author"] != me:
        raise Rejected(403, comment="forbidden")
    connection.execute("DELETE FROM comments WHERE id = ?", (number,))


def comment_of(row: Row) -> Comment:
    """Return the comment in a row that was asked for COMMENTS."""
    return Comment(
        id=row["id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        body=row["body"],
        author=author_of(row),
    )
