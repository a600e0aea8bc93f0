"""What the published collections of requests ask of every implementation, in their order: one story for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import security
from app import app

from microasgi.testing import TestClient

ISO = re.compile(r"\d{4,}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d+(?:[+-][0-2]\d:[0-5]\d|Z)")
USER = {"email", "username", "bio", "image", "token"}
PROFILE = {"username", "bio", "image", "following"}
SUMMARY = {"slug", "title", "description", "tagList", "createdAt", "updatedAt", "favorited", "favoritesCount", "author"}
COMMENT = {"id", "body", "createdAt", "updatedAt", "author"}


class Visitor:
    """Sends the requests of one user, with the headers that the collections send."""

    def __init__(self, client: TestClient, name: str) -> None:
        self.client, self.name, self.token = client, name, ""

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Send a request, expect its status, and return the JSON of the answer."""
        headers = {"content-type": "application/json", "x-requested-with": "XMLHttpRequest"}
        if self.token:
            headers["authorization"] = f"Token {self.token}"
        response = self.client.request(method, f"/api{path}", headers=headers, json=body)
        assert response.status_code == status, (method, path, response.text)
        return response.json() if response.content else None

    def join(self) -> Visitor:
        """Sign up."""
        user = {"username": self.name, "email": f"{self.name}@example.org", "password": "password123"}
        self.token = self.send("POST", "/users", {"user": user}, 201)["user"]["token"]
        return self

    def publish(self, title: str, **more: Any) -> str:
        """Publish an article and return its slug."""
        article = {"title": title, "description": "What it is about", "body": "What it says", **more}
        return str(read_article(self.send("POST", "/articles", {"article": article}, 201))["slug"])


def read_user(answer: Any) -> Any:
    assert answer["user"].keys() == USER
    assert isinstance(answer["user"]["token"], str)
    assert answer["user"]["token"]
    return answer["user"]


def read_profile(profile: Any) -> Any:
    assert profile.keys() == PROFILE
    assert isinstance(profile["following"], bool)
    return profile


def check_moments(thing: Any) -> None:
    assert ISO.fullmatch(thing["createdAt"])
    assert ISO.fullmatch(thing["updatedAt"])


def check_article(article: Any, fields: set[str]) -> None:
    assert article.keys() == fields
    assert all(isinstance(article[name], str) for name in ("slug", "title", "description"))
    assert isinstance(article["tagList"], list)
    assert isinstance(article["favorited"], bool)
    assert type(article["favoritesCount"]) is int
    check_moments(article)
    read_profile(article["author"])


def read_article(answer: Any) -> Any:
    check_article(answer["article"], SUMMARY | {"body"})
    return answer["article"]


def read_articles(answer: Any) -> list[Any]:
    assert answer.keys() == {"articles", "articlesCount"}
    assert type(answer["articlesCount"]) is int
    assert answer["articlesCount"] >= len(answer["articles"])
    for article in answer["articles"]:
        check_article(article, SUMMARY)
    return list(answer["articles"])


def read_comment(comment: Any) -> Any:
    assert comment.keys() == COMMENT
    assert type(comment["id"]) is int
    check_moments(comment)
    read_profile(comment["author"])
    return comment


def first_error(answer: Any, name: str) -> str:
    return str(answer["errors"][name][0])


@pytest.fixture(params=["asyncio", "trio"])
def client(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DATABASE", str(tmp_path / "conduit.sqlite3"))
    monkeypatch.setattr(security, "COST", {"n": 16, "r": 8, "p": 1})
    with TestClient(app, backend=request.param) as client:
        yield client


@pytest.fixture
def nobody(client: TestClient) -> Visitor:
    return Visitor(client, "nobody")


@pytest.fixture
def main(client: TestClient) -> Visitor:
    return Visitor(client, "main_u1").join()


@pytest.fixture
def other(client: TestClient) -> Visitor:
    return Visitor(client, "celeb_u1").join()


def test_accounts(nobody: Visitor) -> None:
    main = Visitor(nobody.client, "main_u1").join()
    secret = {"email": "main_u1@example.org", "password": "password123"}
    main.token = read_user(nobody.send("POST", "/users/login", {"user": secret}))["token"]
    user = read_user(main.send("GET", "/user"))
    assert (user["username"], user["email"], user["bio"], user["image"]) == (main.name, secret["email"], None, None)
    assert read_user(main.send("PUT", "/user", {"user": {"email": secret["email"]}}))["email"] == secret["email"]
    for field, kept in (("bio", "Once upon a time"), ("image", "https://example.org/me.png")):
        for value, shown in ((kept, kept), ("", None), (kept, kept), (None, None), (kept, kept)):
            assert read_user(main.send("PUT", "/user", {"user": {field: value}}))[field] == shown
            assert read_user(main.send("GET", "/user"))[field] == shown
    renamed = {"username": "main_u1_new", "email": "main_u1_new@example.org"}
    main.token = read_user(main.send("PUT", "/user", {"user": renamed}))["token"]
    user = read_user(main.send("GET", "/user"))
    assert user.items() >= renamed.items()
    assert user["bio"] == "Once upon a time"


def test_lists_that_are_empty(nobody: Visitor, main: Visitor) -> None:
    for path in ("", "?author=johnjacob", f"?favorited={main.name}", "?tag=dragons"):
        assert nobody.send("GET", f"/articles{path}") == {"articles": [], "articlesCount": 0}
    assert main.send("GET", "/articles/feed") == {"articles": [], "articlesCount": 0}


def test_articles(nobody: Visitor, main: Visitor) -> None:
    # The older collection wants these two in alphabetical order, the newer one in its own, which is alphabetical.
    slug = main.publish("How to train your dragon", tagList=["training", "dragons"])
    for visitor in (nobody, main):
        for query in ("", f"?author={main.name}", "?tag=dragons"):
            (article,) = read_articles(visitor.send("GET", f"/articles{query}"))
            assert article["author"]["username"] == main.name
            assert article["tagList"] == ["dragons", "training"]
    article = read_article(nobody.send("GET", f"/articles/{slug}"))
    assert (article["slug"], article["favorited"], article["favoritesCount"]) == (slug, False, 0)
    changed = read_article(main.send("PUT", f"/articles/{slug}", {"article": {"body": "With two hands"}}))
    assert changed == article | {"body": "With two hands", "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] != article["updatedAt"]
    assert read_article(nobody.send("GET", f"/articles/{slug}")) == changed
    assert read_article(main.send("PUT", f"/articles/{slug}", {"article": {"tagList": []}}))["tagList"] == []
    assert read_article(nobody.send("GET", f"/articles/{slug}"))["tagList"] == []
    main.send("PUT", f"/articles/{slug}", {"article": {"tagList": None}}, 422)
    main.send("DELETE", f"/articles/{slug}", status=204)
    assert first_error(nobody.send("GET", f"/articles/{slug}", status=404), "article") == "not found"


def test_favorites(nobody: Visitor, main: Visitor) -> None:
    slug = main.publish("Worth to be kept")
    favorite = f"/articles/{slug}/favorite"
    for article in (read_article(main.send("POST", favorite)), read_article(main.send("GET", f"/articles/{slug}"))):
        assert (article["favorited"], article["favoritesCount"]) == (True, 1)
    for visitor in (nobody, main):
        (article,) = read_articles(visitor.send("GET", f"/articles?favorited={main.name}"))
        assert article["favoritesCount"] == 1
    for article in (read_article(main.send("DELETE", favorite)), read_article(main.send("GET", f"/articles/{slug}"))):
        assert (article["favorited"], article["favoritesCount"]) == (False, 0)


def test_comments(nobody: Visitor, main: Visitor) -> None:
    path = f"/articles/{main.publish('Worth a word')}/comments"
    first = read_comment(main.send("POST", path, {"comment": {"body": "Thank you!"}}, 201)["comment"])
    for visitor in (nobody, main):
        (comment,) = visitor.send("GET", path)["comments"]
        assert read_comment(comment) == first
    main.send("DELETE", f"{path}/{first['id']}", status=204)
    assert nobody.send("GET", path) == {"comments": []}
    numbers = [main.send("POST", path, {"comment": {"body": body}}, 201)["comment"]["id"] for body in ("One", "Two")]
    assert len(nobody.send("GET", path)["comments"]) == 2
    main.send("DELETE", f"{path}/{numbers[0]}", status=204)
    assert [comment["body"] for comment in nobody.send("GET", path)["comments"]] == ["Two"]


def test_profiles(nobody: Visitor, main: Visitor, other: Visitor) -> None:
    path = f"/profiles/{other.name}"
    expected = {"username": other.name, "bio": None, "image": None, "following": False}
    for visitor in (nobody, main):
        assert read_profile(visitor.send("GET", path)["profile"]) == expected
    # A body where none is asked for does no harm.
    followed = main.send("POST", f"{path}/follow", {"user": {"email": "main_u1@example.org"}})["profile"]
    assert read_profile(followed) == expected | {"following": True}
    assert read_profile(main.send("DELETE", f"{path}/follow")["profile"]) == expected
    assert read_profile(main.send("GET", path)["profile"]) == expected


def test_the_feed_and_its_pages(nobody: Visitor, main: Visitor, other: Visitor) -> None:
    main.send("POST", f"/profiles/{other.name}/follow")
    slugs = [other.publish(f"Part {number}") for number in (1, 2)]
    feed = main.send("GET", "/articles/feed")
    assert [article["slug"] for article in read_articles(feed)] == slugs[::-1]
    for visitor, path in ((main, "/articles/feed?"), (nobody, f"/articles?author={other.name}&")):
        for offset, slug in ((0, slugs[1]), (1, slugs[0])):
            answer = visitor.send("GET", f"{path}limit=1&offset={offset}")
            assert answer["articlesCount"] == 2
            (article,) = read_articles(answer)
            assert (article["slug"], article["author"]["following"]) == (slug, visitor is main)


def test_tags(nobody: Visitor, main: Visitor) -> None:
    main.publish("Tagged", tagList=["h_u1", "t_u1"])
    assert nobody.send("GET", "/tags") == {"tags": ["h_u1", "t_u1"]}


def test_errors_of_accounts(nobody: Visitor, main: Visitor) -> None:
    user = {"username": "new_u1", "email": "new_u1@example.org", "password": "password123"}
    for name in user:
        answer = nobody.send("POST", "/users", {"user": user | {name: ""}}, 422)
        assert first_error(answer, name) == "can't be blank"
    for name, taken in (("username", main.name), ("email", "main_u1@example.org")):
        answer = nobody.send("POST", "/users", {"user": user | {name: taken}}, 409)
        assert first_error(answer, name) == "has already been taken"
    secret = {"email": "main_u1@example.org", "password": "password123"}
    for name in secret:
        answer = nobody.send("POST", "/users/login", {"user": secret | {name: ""}}, 422)
        assert first_error(answer, name) == "can't be blank"
    answer = nobody.send("POST", "/users/login", {"user": secret | {"password": "wrong"}}, 401)
    assert first_error(answer, "credentials") == "invalid"
    for name in ("email", "username"):
        for nothing in ("", None):
            main.send("PUT", "/user", {"user": {name: nothing}}, 422)


def test_errors_without_a_token(nobody: Visitor) -> None:
    article = {"article": {"title": "x", "description": "x", "body": "x"}}
    for method, path, body in (
        ("GET", "/user", None),
        ("PUT", "/user", {"user": {"bio": "x"}}),
        ("POST", "/articles", article),
        ("PUT", "/articles/some", article),
        ("DELETE", "/articles/some", None),
        ("GET", "/articles/feed", None),
        ("POST", "/articles/some/favorite", None),
        ("DELETE", "/articles/some/favorite", None),
        ("POST", "/articles/some/comments", {"comment": {"body": "x"}}),
        ("DELETE", "/articles/some/comments/1", None),
        ("POST", "/profiles/some/follow", None),
        ("DELETE", "/profiles/some/follow", None),
    ):
        assert first_error(nobody.send(method, path, body, 401), "token") == "is missing"


def test_errors_of_articles(nobody: Visitor, main: Visitor, other: Visitor) -> None:
    article = {"title": "x", "description": "x", "body": "x"}
    for name in article:
        answer = main.send("POST", "/articles", {"article": article | {name: ""}}, 422)
        assert first_error(answer, name) == "can't be blank"
    first, second = main.publish("Twice"), main.publish("Twice")
    assert first != second
    for method, path, body in (
        ("GET", "", None),
        ("PUT", "", {"article": {"body": "x"}}),
        ("DELETE", "", None),
        ("POST", "/favorite", None),
        ("DELETE", "/favorite", None),
        ("GET", "/comments", None),
        ("POST", "/comments", {"comment": {"body": "x"}}),
        ("DELETE", "/comments/99999", None),
    ):
        answer = main.send(method, f"/articles/unknown{path}", body, 404)
        assert first_error(answer, "article") == "not found"
    for method, body in (("PUT", {"article": {"body": "x"}}), ("DELETE", None)):
        assert first_error(other.send(method, f"/articles/{first}", body, 403), "article") == "forbidden"


def test_errors_of_comments_and_profiles(nobody: Visitor, main: Visitor, other: Visitor) -> None:
    path = f"/articles/{main.publish('Spoken of')}/comments"
    assert first_error(main.send("POST", path, {"comment": {"body": ""}}, 422), "body") == "can't be blank"
    assert first_error(main.send("DELETE", f"{path}/99999", status=404), "comment") == "not found"
    number = main.send("POST", path, {"comment": {"body": "Mine"}}, 201)["comment"]["id"]
    assert first_error(other.send("DELETE", f"{path}/{number}", status=403), "comment") == "forbidden"
    assert [comment["body"] for comment in nobody.send("GET", path)["comments"]] == ["Mine"]
    for method, rest in (("GET", ""), ("POST", "/follow"), ("DELETE", "/follow")):
        assert first_error(main.send(method, f"/profiles/unknown{rest}", status=404), "profile") == "not found"
