"""Articles in the database. What belongs to one comes with it in one query, however many are asked for."""

from __future__ import annotations

import json
import re
import secrets
import unicodedata
from collections.abc import Iterable
from sqlite3 import Connection, Row
from typing import Any

from database import now
from errors import Rejected
from models import Article, ArticleChanges, ArticleSummary, ManyArticles, ManyTags, NewArticle, OneArticle
from msgspec import UNSET
from profiles import AUTHOR, author_of

RESERVED = {"feed"}  # /articles/feed is not an article
SUMMARY = f"""articles.id, slug, title, description, created_at, updated_at,
(SELECT json_group_array(tag) FROM (SELECT tag FROM tags WHERE article = articles.id ORDER BY tag)) AS tags,
EXISTS (SELECT 1 FROM favorites WHERE article = articles.id AND user = :visitor) AS favorited,
(SELECT count(*) FROM favorites WHERE article = articles.id) AS favorites,
articles.author, {AUTHOR}"""
SOURCE = "FROM articles JOIN users ON users.id = articles.author"
FILTERS = {
    "tag": "articles.id IN (SELECT article FROM tags WHERE tag = :tag)",
    "author": "username = :author",
    "favorited": "articles.id IN (SELECT article FROM favorites "
    "WHERE user = (SELECT id FROM users WHERE username = :favorited))",
    "follower": "articles.author IN (SELECT followed FROM follows WHERE follower = :follower)",
}


def list_articles(
    connection: Connection, visitor: int | None, limit: int, offset: int, **filters: str | int | None
) -> ManyArticles:
    """Return a page of the articles that pass all filters that are not None, the newest first."""
    conditions = [FILTERS[name] for name, value in filters.items() if value is not None]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    values = {**filters, "visitor": visitor, "limit": limit, "offset": offset}
    count = connection.execute(f"SELECT count(*) {SOURCE} {where}", values).fetchone()[0]
    rows = connection.execute(
        f"SELECT {SUMMARY} {SOURCE} {where} ORDER BY articles.id DESC LIMIT :limit OFFSET :offset", values
    ).fetchall()
    return ManyArticles(articles=[ArticleSummary(**fields_of(row)) for row in rows], articles_count=count)


def find_article(connection: Connection, slug: str, visitor: int | None) -> OneArticle:
    """Return the article of that slug, as the visitor sees it."""
    row = find_row(connection, slug, visitor)
    return OneArticle(article=Article(**fields_of(row), body=row["body"]))


def find_row(connection: Connection, slug: str, visitor: int | None = None) -> Row:
    """Return the row of the article of that slug; 404 if there is none."""
    values = {"slug": slug, "visitor": visitor}
    row = connection.execute(f"SELECT {SUMMARY}, body {SOURCE} WHERE slug = :slug", values).fetchone()
    if row is None:
        raise Rejected(404, article="not found")
    return row


def fields_of(row: Row) -> dict[str, Any]:
    """Return what all articles show, of a row that was asked for SUMMARY."""
    return {
        **{name: row[name] for name in ("slug", "title", "description", "created_at", "updated_at")},
        "tag_list": json.loads(row["tags"]),
        "favorited": bool(row["favorited"]),
        "favorites_count": row["favorites"],
        "author": author_of(row),
    }


def find_own(connection: Connection, slug: str, me: int) -> Row:
    """Return the row of an article of one's own; 403 if it is somebody else's."""
    row = find_row(connection, slug)
    if row["author"] != me:
        raise Rejected(403, article="forbidden")
    return row


def add_article(connection: Connection, me: int, draft: NewArticle) -> OneArticle:
    """Publish an article."""
    moment, slug = now(), free_slug(connection, draft.title)
    number = connection.execute(
        "INSERT INTO articles (slug, title, description, body, created_at, updated_at, author) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (slug, draft.title, draft.description, draft.body, moment, moment, me),
    ).fetchone()["id"]
    set_tags(connection, number, draft.tag_list)
    return find_article(connection, slug, me)


def change_article(connection: Connection, slug: str, me: int, changes: ArticleChanges) -> OneArticle:
    """Change an article of one's own. With another title it gets another slug."""
    old = find_own(connection, slug, me)
    title = old["title"] if changes.title is UNSET else changes.title
    description = old["description"] if changes.description is UNSET else changes.description
    body = old["body"] if changes.body is UNSET else changes.body
    if title != old["title"]:
        slug = free_slug(connection, title)
    connection.execute(
        "UPDATE articles SET slug = ?, title = ?, description = ?, body = ?, updated_at = ? WHERE id = ?",
        (slug, title, description, body, now(after=old["updated_at"]), old["id"]),
    )
    if changes.tag_list is not UNSET:
        set_tags(connection, old["id"], changes.tag_list)
    return find_article(connection, slug, me)


def delete_article(connection: Connection, slug: str, me: int) -> None:
    """Delete an article of one's own, and all that belongs to it."""
    connection.execute("DELETE FROM articles WHERE id = ?", (find_own(connection, slug, me)["id"],))


def set_tags(connection: Connection, number: int, tags: Iterable[str]) -> None:
    """Give an article these tags, and no others; blank ones are none."""
    connection.execute("DELETE FROM tags WHERE article = ?", (number,))
    wanted = {tag.strip() for tag in tags} - {""}
    connection.executemany("INSERT INTO tags (article, tag) VALUES (?, ?)", [(number, tag) for tag in wanted])


def add_favorite(connection: Connection, slug: str, me: int) -> OneArticle:
    """Make an article a favorite of this user; once is enough."""
    values = (find_row(connection, slug)["id"], me)
    connection.execute("INSERT OR IGNORE INTO favorites (article, user) VALUES (?, ?)", values)
    return find_article(connection, slug, me)


def remove_favorite(connection: Connection, slug: str, me: int) -> OneArticle:
    """Make an article no favorite of this user."""
    values = (find_row(connection, slug)["id"], me)
    connection.execute("DELETE FROM favorites WHERE article = ? AND user = ?", values)
    return find_article(connection, slug, me)


def list_tags(connection: Connection) -> ManyTags:
    """Return all tags, those of the most articles first."""
    rows = connection.execute("SELECT tag FROM tags GROUP BY tag ORDER BY count(*) DESC, tag").fetchall()
    return ManyTags(tags=[row["tag"] for row in rows])


def free_slug(connection: Connection, title: str) -> str:
    """Return a slug for a title that no article has; the transaction keeps it free."""
    slug = base = slugify(title)
    while slug in RESERVED or connection.execute("SELECT 1 FROM articles WHERE slug = ?", (slug,)).fetchone():
        slug = f"{base}-{secrets.token_hex(4)}"
    return slug


def slugify(title: str) -> str:
    """Return the words of a title in plain ASCII, with hyphens between them."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:100].strip("-") or "article"
