"""What the API takes and gives, as JSON. On the wire names are in camelCase, and each thing is wrapped by its name."""

from __future__ import annotations

import re
from typing import Annotated, Any

from errors import BLANK, Rejected
from msgspec import UNSET, Meta, Struct, UnsetType

# Without \s and \S, which are not the same in every language that reads the document.
FILLED = r"[^\x00-\x20]"
# It is a part of addresses, where dots mean something else; and what nobody sees would let one pass for another.
SEEN = r"[^\x00-\x20\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff/\\]+"
NAME = rf"^(?!\.{{1,2}}$){SEEN}( {SEEN})*$"
EMAIL = r"^[^\x00-\x20@]+@[^\x00-\x20@]+$"
PATTERNS = {"username": re.compile(NAME), "email": re.compile(EMAIL)}
NULLABLE = {"bio", "image"}


def text(longest: int, pattern: str = FILLED, **schema: Any) -> Any:
    """Return what the documentation says of a text that cannot be blank; `check` holds to it, with words of ours."""
    return Meta(max_length=longest, extra_json_schema={"minLength": 1, "pattern": pattern, **schema})


Name = Annotated[str, text(50, NAME)]
Email = Annotated[str, text(254, EMAIL)]
Password = Annotated[str, text(1000, format="password")]
Title = Annotated[str, text(250)]
Description = Annotated[str, text(1000)]
Text = Annotated[str, text(100_000)]
Tag = Annotated[str, Meta(max_length=50)]
Bio = Annotated[str, Meta(max_length=10_000)]
Link = Annotated[str, Meta(max_length=2000)]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Model(Struct, rename="camel", kw_only=True):
    """A JSON object."""


class NewUser(Model):
    """Somebody who signs up."""

    username: Name
    email: Email
    password: Password


class Credentials(Model):
    """Somebody who logs in."""

    email: Email
    password: Password


class UserChanges(Model):
    """What a user changes. What is left out stays; an empty or null `bio` or `image` is taken away."""

    username: Name | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    bio: Bio | UnsetType | None = UNSET
    image: Link | UnsetType | None = UNSET


class NewArticle(Model):
    """An article to be published."""

    title: Title
    description: Description
    body: Text
    tag_list: Annotated[list[Tag], Meta(max_length=50)] = []


class ArticleChanges(Model):
    """What an author changes of an article. What is left out stays."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    body: Text | UnsetType = UNSET
    tag_list: Annotated[list[Tag], Meta(max_length=50)] | UnsetType = UNSET


class NewComment(Model):
    """A comment to be added."""

    body: Text


class User(Model):
    """Who is logged in, with a fresh token."""

    email: str
    token: str
    username: str
    bio: str | None
    image: str | None


class Profile(Model):
    """A user, as others see them."""

    username: str
    bio: str | None
    image: str | None
    following: bool


class ArticleSummary(Model):
    """An article in a list, which has no bodies."""

    slug: str
    title: str
    description: str
    tag_list: list[str]
    created_at: Moment
    updated_at: Moment
    favorited: bool
    favorites_count: int
    author: Profile


class Article(ArticleSummary):
    """An article."""

    body: str


class Comment(Model):
    """A comment on an article."""

    id: int
    created_at: Moment
    updated_at: Moment
    body: str
    author: Profile


class OneUser(Model):
    """A user, wrapped."""

    user: User


class OneProfile(Model):
    """A profile, wrapped."""

    profile: Profile


class OneArticle(Model):
    """An article, wrapped."""

    article: Article


class ManyArticles(Model):
    """A page of articles, and how many there are on all pages."""

    articles: list[ArticleSummary]
    articles_count: int


class OneComment(Model):
    """A comment, wrapped."""

    comment: Comment


class ManyComments(Model):
    """The comments on an article."""

    comments: list[Comment]


class ManyTags(Model):
    """Tags, those of the most articles first."""

    tags: list[str]


def check(draft: Model) -> None:
    """Refuse a draft with blank texts, or with a name or an address that is none: all of them in one answer."""
    found = {name: reason for name in draft.__struct_fields__ if (reason := fault_of(name, getattr(draft, name)))}
    if found:
        raise Rejected(422, **found)


def fault_of(name: str, value: Any) -> str | None:
    """Return what is wrong with a field, None if nothing is."""
    if not isinstance(value, str) or name in NULLABLE:
        return None
    if not re.search(FILLED, value):
        return BLANK
    pattern = PATTERNS.get(name)
    return "is invalid" if pattern and not pattern.fullmatch(value) else None
