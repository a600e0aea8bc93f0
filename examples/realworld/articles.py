"""Articles: published, listed, changed, made favorites; and their tags."""

from __future__ import annotations

from typing import Annotated

import store
from database import Database
from models import ArticleChanges, ManyArticles, ManyTags, NewArticle, OneArticle, check
from security import Me, Visitor

from microasgi import Router
from microasgi.typed import Body, Path, Query, State

articles = Router()
favorites = Router()
tags = Router()

LARGEST = 2**63 - 1  # what SQLite takes
Slug = Annotated[str, Path(description="The article's name in addresses.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many articles at most.")]
Offset = Annotated[int, Query(ge=0, le=LARGEST, description="How many articles to pass over.")]


@articles.get("/articles", raises=[401])
async def get_articles(
    visitor: Visitor,
    database: State[Database],
    tag: Annotated[str | None, Query(description="Those with this tag.")] = None,
    author: Annotated[str | None, Query(description="Those of the user of this name.")] = None,
    favorited: Annotated[str | None, Query(description="The favorites of the user of this name.")] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ManyArticles:
    """List articles, the newest first."""
    return await database.read(store.list_articles, visitor, limit, offset, tag=tag, author=author, favorited=favorited)


@articles.get("/articles/feed")
async def get_feed(me: Me, database: State[Database], limit: Limit = 20, offset: Offset = 0) -> ManyArticles:
    """List the articles of the users that one follows, the newest first."""
    return await database.read(store.list_articles, me.id, limit, offset, follower=me.id)


@articles.get("/articles/{slug}", raises=[401])
async def get_article(slug: Slug, visitor: Visitor, database: State[Database]) -> OneArticle:
    """Return an article."""
    return await database.read(store.find_article, slug, visitor)


@articles.post("/articles", status=201)
async def create_article(
    me: Me, article: Annotated[NewArticle, Body(embed=True)], database: State[Database]
) -> OneArticle:
    """Publish an article."""
    check(article)
    return await database.write(store.add_article, me.id, article)


@articles.put("/articles/{slug}", raises=[403])
async def update_article(
    slug: Slug, me: Me, article: Annotated[ArticleChanges, Body(embed=True)], database: State[Database]
) -> OneArticle:
    """Change an article of one's own; with its title, its slug changes too."""
    check(article)
    return await database.write(store.change_article, slug, me.id, article)


@articles.delete("/articles/{slug}", raises=[403])
async def delete_article(slug: Slug, me: Me, database: State[Database]) -> None:
    """Delete an article of one's own."""
    await database.write(store.delete_article, slug, me.id)


@favorites.post("/articles/{slug}/favorite")
async def favorite(slug: Slug, me: Me, database: State[Database]) -> OneArticle:
    """Make an article a favorite."""
    return await database.write(store.add_favorite, slug, me.id)


@favorites.delete("/articles/{slug}/favorite")
async def unfavorite(slug: Slug, me: Me, database: State[Database]) -> OneArticle:
    """Make an article a favorite no longer."""
    return await database.write(store.remove_favorite, slug, me.id)


@tags.get("/tags")
async def get_tags(database: State[Database]) -> ManyTags:
    """List tags, those of the most articles first."""
    return await database.read(store.list_tags)
