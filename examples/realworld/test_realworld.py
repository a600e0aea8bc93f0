"""Conduit, through the test client: one behaviour at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import security
from app import app
from database import now
from openapi_spec_validator import OpenAPIV31SpecValidator
from store import slugify

from microasgi import ConfigurationError
from microasgi.testing import TestClient

SECRET = "a secret that is long enough to sign with"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE", str(tmp_path / "data" / "conduit.sqlite3"))
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setattr(security, "COST", {"n": 16, "r": 8, "p": 1})  # tests need not wait


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def call(client: TestClient) -> Call:
    """Send a request, expect its status, and return the JSON of the answer."""

    def send(method: str, path: str, expected: int = 200, token: str | None = None, **body: Any) -> Any:
        headers = {"authorization": f"Token {token}"} if token else {}
        response = client.request(method, f"/api{path}", headers=headers, json=body or None)
        assert response.status_code == expected, response.text
        return response.json() if response.content else None

    return send


@pytest.fixture
def sign_up(call: Call) -> Callable[[str], str]:
    """Sign up and return the token."""

    def register(name: str) -> str:
        user = {"username": name, "email": f"{name}@example.org", "password": "correct horse"}
        return str(call("POST", "/users", 201, user=user)["user"]["token"])

    return register


@pytest.fixture
def ada(sign_up: Callable[[str], str]) -> str:
    return sign_up("ada")


@pytest.fixture
def bob(sign_up: Callable[[str], str]) -> str:
    return sign_up("bob")


@pytest.fixture
def publish(call: Call) -> Call:
    """Publish an article and return it."""

    def write(token: str, title: str = "On looms", tags: list[str] | None = None, **fields: str) -> Any:
        article = {"title": title, "description": "About threads.", "body": "They cross.", **fields}
        if tags is not None:
            article["tagList"] = tags  # type: ignore[assignment]
        return call("POST", "/articles", 201, token, article=article)["article"]

    return write


# Users


def test_signing_up_logs_in(call: Call) -> None:
    user = {"username": "ada", "email": "ada@example.org", "password": "correct horse"}
    found = call("POST", "/users", 201, user=user)["user"]
    assert call("GET", "/user", token=found["token"])["user"] | {"token": ""} == {
        "username": "ada",
        "email": "ada@example.org",
        "bio": None,
        "image": None,
        "token": "",
    }


@pytest.mark.parametrize("field", ["username", "email", "password"])
@pytest.mark.parametrize("blank", ["", "  \t"])
def test_nothing_of_a_new_user_may_be_blank(call: Call, field: str, blank: str) -> None:
    user = {"username": "ada", "email": "ada@example.org", "password": "correct horse", field: blank}
    assert call("POST", "/users", 422, user=user) == {"errors": {field: ["can't be blank"]}}


@pytest.mark.parametrize("name", [".", "..", "ada\u200b", "\u202eada", "a\xadda", "a\u2028b"])
def test_a_name_can_be_seen_and_asked_for(call: Call, name: str) -> None:
    user = {"username": name, "email": "ada@example.org", "password": "correct horse"}
    assert call("POST", "/users", 422, user=user) == {"errors": {"username": ["is invalid"]}}


def test_a_name_may_have_dots_and_letters_of_all_languages(call: Call) -> None:
    for number, name in enumerate(["...", ".ada", "a.", "Zoë", "陳大文", "ada 🙂"]):
        user = {"username": name, "email": f"{number}@example.org", "password": "correct horse"}
        assert call("POST", "/users", 201, user=user)["user"]["username"] == name


def test_all_that_is_wrong_is_told_at_once(call: Call) -> None:
    user = {"username": "a/b", "email": "nowhere", "password": ""}
    assert call("POST", "/users", 422, user=user) == {
        "errors": {"username": ["is invalid"], "email": ["is invalid"], "password": ["can't be blank"]}
    }


def test_a_field_that_is_left_out_is_named(call: Call) -> None:
    user = {"username": "ada", "password": "correct horse"}
    assert call("POST", "/users", 422, user=user) == {"errors": {"email": ["is missing"]}}


def test_a_body_without_its_wrapper_is_refused(call: Call) -> None:
    assert list(call("POST", "/users", 422, username="ada")["errors"]) == ["user"]


@pytest.mark.parametrize(
    "name, email, errors",
    [
        ("ada", "other@example.org", ["username"]),
        ("ADA", "other@example.org", ["username"]),
        ("other", "Ada@Example.org", ["email"]),
        ("ada", "ada@example.org", ["username", "email"]),
    ],
)
def test_names_and_addresses_belong_to_one_user(call: Call, ada: str, name: str, email: str, errors: list[str]) -> None:
    user = {"username": name, "email": email, "password": "correct horse"}
    assert call("POST", "/users", 409, user=user) == {"errors": {key: ["has already been taken"] for key in errors}}


def test_logging_in_gives_a_token(call: Call, ada: str) -> None:
    found = call("POST", "/users/login", user={"email": "ada@example.org", "password": "correct horse"})["user"]
    assert call("GET", "/user", token=found["token"])["user"]["username"] == "ada"


@pytest.mark.parametrize("email, password", [("ada@example.org", "wrong"), ("eve@example.org", "correct horse")])
def test_a_log_in_that_fails_does_not_tell_what_was_wrong(call: Call, ada: str, email: str, password: str) -> None:
    answer = call("POST", "/users/login", 401, user={"email": email, "password": password})
    assert answer == {"errors": {"credentials": ["invalid"]}}


def test_what_is_left_out_of_changes_stays(call: Call, ada: str) -> None:
    call("PUT", "/user", token=ada, user={"bio": "Weaves.", "image": "https://example.org/ada.png"})
    user = call("PUT", "/user", token=ada, user={"username": "countess"})["user"]
    assert (user["username"], user["email"]) == ("countess", "ada@example.org")
    assert (user["bio"], user["image"]) == ("Weaves.", "https://example.org/ada.png")


@pytest.mark.parametrize("nothing", ["", None])
@pytest.mark.parametrize("field", ["bio", "image"])
def test_bio_and_image_can_be_taken_away(call: Call, ada: str, field: str, nothing: str | None) -> None:
    call("PUT", "/user", token=ada, user={field: "something"})
    assert call("PUT", "/user", token=ada, user={field: nothing})["user"][field] is None


@pytest.mark.parametrize("field", ["username", "email", "password"])
@pytest.mark.parametrize("nothing", ["", None])
def test_what_a_user_needs_cannot_be_taken_away(call: Call, ada: str, field: str, nothing: str | None) -> None:
    assert list(call("PUT", "/user", 422, ada, user={field: nothing})["errors"]) == [field]


def test_a_user_cannot_take_a_name_that_somebody_has(call: Call, ada: str, bob: str) -> None:
    assert call("PUT", "/user", 409, bob, user={"username": "Ada"}) == {
        "errors": {"username": ["has already been taken"]}
    }
    call("PUT", "/user", token=bob, user={"username": "BOB"})


def test_a_new_password_replaces_the_old(call: Call, ada: str) -> None:
    call("PUT", "/user", token=ada, user={"password": "battery staple"})
    call("POST", "/users/login", 401, user={"email": "ada@example.org", "password": "correct horse"})
    call("POST", "/users/login", user={"email": "ada@example.org", "password": "battery staple"})


# Who is asking


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("GET", "/user", {}),
        ("PUT", "/user", {"user": {"bio": "x"}}),
        ("POST", "/profiles/ada/follow", {}),
        ("DELETE", "/profiles/ada/follow", {}),
        ("GET", "/articles/feed", {}),
        ("POST", "/articles", {"article": {"title": "x", "description": "x", "body": "x"}}),
        ("POST", "/articles", {"article": "what does not fit is not told to anybody"}),
        ("PUT", "/articles/x", {"article": {"body": "x"}}),
        ("DELETE", "/articles/x", {}),
        ("POST", "/articles/x/favorite", {}),
        ("DELETE", "/articles/x/favorite", {}),
        ("POST", "/articles/x/comments", {"comment": {"body": "x"}}),
        ("DELETE", "/articles/x/comments/1", {}),
    ],
)
def test_without_a_token_it_is_401(client: TestClient, method: str, path: str, body: dict[str, Any]) -> None:
    response = client.request(method, f"/api{path}", json=body or None)
    assert (response.status_code, response.json()) == (401, {"errors": {"token": ["is missing"]}})
    assert response.headers["www-authenticate"] == 'Bearer realm="conduit"'


@pytest.mark.parametrize("header", ["Token", "Token ", "Bearer a b", "Basic YTpi"])
def test_a_header_without_a_token_is_401(client: TestClient, header: str) -> None:
    response = client.get("/api/user", headers={"authorization": header})
    assert response.status_code == 401
    assert response.json()["errors"]["token"][0] in {"is missing", "is invalid"}


def test_a_bearer_token_does_as_well(client: TestClient, ada: str) -> None:
    assert client.get("/api/user", headers={"authorization": f"Bearer {ada}"}).status_code == 200


def forge(key: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    claims = {"sub": "1", "exp": datetime.now(UTC) + timedelta(hours=1)} | claims
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm=algorithm)


@pytest.mark.parametrize("path", ["/user", "/articles", "/profiles/ada"])
@pytest.mark.parametrize(
    "token",
    [
        "rubbish",
        forge(key="another secret that is long enough to sign"),
        forge(key="", algorithm="none"),
        forge(algorithm="HS512", key=SECRET * 2),
        forge(exp=datetime.now(UTC) - timedelta(seconds=1)),
        forge(exp=None),
        forge(sub=None),
        forge(sub="ada"),
    ],
)
def test_a_token_that_was_not_made_here_or_is_too_old_is_401(call: Call, ada: str, path: str, token: str) -> None:
    assert call("GET", path, 401, token) == {"errors": {"token": ["is invalid"]}}


def test_a_token_of_nobody_is_401(call: Call) -> None:
    assert call("GET", "/user", 401, forge(sub="99")) == {"errors": {"token": ["is invalid"]}}


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="JWT_SECRET is too short"):
        security.Tokens("short")


def test_without_a_secret_one_is_made_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    token = security.Tokens(None).issue(1)
    assert "JWT_SECRET is not set" in caplog.text
    assert security.Tokens(None).user_of(token) is None


def test_hashes_of_one_password_differ() -> None:
    first, second = security.make_hash("correct horse"), security.make_hash("correct horse")
    assert first != second
    assert security.is_hash_of("correct horse", first)
    assert not security.is_hash_of("wrong", first)


# Profiles


def test_a_profile_is_there_for_everybody(call: Call, ada: str) -> None:
    profile = {"username": "ada", "bio": None, "image": None, "following": False}
    assert call("GET", "/profiles/ada") == {"profile": profile}


def test_following_is_seen_by_the_follower_alone(call: Call, ada: str, bob: str) -> None:
    for _ in range(2):
        assert call("POST", "/profiles/ada/follow", token=bob)["profile"]["following"] is True
    assert call("GET", "/profiles/ada", token=bob)["profile"]["following"] is True
    assert call("GET", "/profiles/ada", token=ada)["profile"]["following"] is False
    assert call("GET", "/profiles/ada")["profile"]["following"] is False


def test_following_ends(call: Call, ada: str, bob: str) -> None:
    call("POST", "/profiles/ada/follow", token=bob)
    for _ in range(2):
        assert call("DELETE", "/profiles/ada/follow", token=bob)["profile"]["following"] is False
    assert call("GET", "/profiles/ada", token=bob)["profile"]["following"] is False


@pytest.mark.parametrize("method, path", [("GET", ""), ("POST", "/follow"), ("DELETE", "/follow")])
def test_there_is_no_profile_of_nobody(call: Call, ada: str, method: str, path: str) -> None:
    assert call(method, f"/profiles/eve{path}", 404, ada) == {"errors": {"profile": ["not found"]}}


# Articles


def test_a_new_article_is_shown_whole(call: Call, ada: str, publish: Call) -> None:
    article = publish(ada, "How to weave?", ["threads", "looms", "threads", " "])
    assert MOMENT.fullmatch(article["createdAt"])
    assert article == {
        "slug": "how-to-weave",
        "title": "How to weave?",
        "description": "About threads.",
        "body": "They cross.",
        "tagList": ["looms", "threads"],
        "createdAt": article["updatedAt"],
        "updatedAt": article["createdAt"],
        "favorited": False,
        "favoritesCount": 0,
        "author": {"username": "ada", "bio": None, "image": None, "following": False},
    }
    assert call("GET", "/articles/how-to-weave") == {"article": article}


@pytest.mark.parametrize("field", ["title", "description", "body"])
def test_nothing_of_an_article_may_be_blank(call: Call, ada: str, publish: Call, field: str) -> None:
    article = {"title": "x", "description": "x", "body": "x", field: " "}
    wrong = {"errors": {field: ["can't be blank"]}}
    assert call("POST", "/articles", 422, ada, article=article) == wrong
    assert call("PUT", f"/articles/{publish(ada)['slug']}", 422, ada, article={field: ""}) == wrong


def test_articles_of_one_title_have_different_slugs(ada: str, bob: str, publish: Call) -> None:
    slugs = {publish(token, "Looms")["slug"] for token in (ada, ada, bob)}
    assert len(slugs) == 3
    assert all(slug.startswith("looms") for slug in slugs)


def test_an_article_called_feed_does_not_hide_the_feed(call: Call, ada: str, publish: Call) -> None:
    slug = publish(ada, "Feed")["slug"]
    assert call("GET", f"/articles/{slug}")["article"]["title"] == "Feed"


@pytest.mark.parametrize(
    "title, slug",
    [
        ("Ten looms, & more!", "ten-looms-more"),
        ("Čtení o tkaní", "cteni-o-tkani"),
        ("織機", "article"),
        ("x" * 200, "x" * 100),
    ],
)
def test_slugs_are_plain_words(title: str, slug: str) -> None:
    assert slugify(title) == slug


def test_a_list_has_no_bodies_and_the_newest_first(call: Call, ada: str, publish: Call) -> None:
    articles = [publish(ada, f"Loom {number}") for number in range(3)]
    for article in articles:
        del article["body"]
    assert call("GET", "/articles") == {"articles": articles[::-1], "articlesCount": 3}


def test_pages_have_the_count_of_all(call: Call, ada: str, publish: Call) -> None:
    slugs = [publish(ada, f"Loom {number}")["slug"] for number in range(3)]
    page = call("GET", "/articles?limit=1&offset=1")
    assert ([article["slug"] for article in page["articles"]], page["articlesCount"]) == ([slugs[1]], 3)
    assert call("GET", "/articles?offset=3") == {"articles": [], "articlesCount": 3}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=many", "offset=-1", "limit=1001", f"offset={2**63}", f"limit={10**30}"]
)
def test_pages_that_cannot_be_are_refused(call: Call, query: str) -> None:
    assert list(call("GET", f"/articles?{query}", 422)["errors"]) == [query.partition("=")[0]]


def test_articles_are_found_by_tag_author_and_favorite(call: Call, ada: str, bob: str, publish: Call) -> None:
    loom, wheel = publish(ada, "Looms", ["threads"])["slug"], publish(bob, "Wheels", ["threads", "wool"])["slug"]
    call("POST", f"/articles/{loom}/favorite", token=bob)
    found = {
        query: [article["slug"] for article in call("GET", f"/articles?{query}")["articles"]]
        for query in ("tag=threads", "tag=wool", "author=ada", "favorited=bob", "favorited=ada", "tag=wool&author=ada")
    }
    assert found == {
        "tag=threads": [wheel, loom],
        "tag=wool": [wheel],
        "author=ada": [loom],
        "favorited=bob": [loom],
        "favorited=ada": [],
        "tag=wool&author=ada": [],
    }


@pytest.mark.parametrize("odd", ["' OR 1=1 --", "%", "\x00", "\ud800".encode("utf-8", "surrogatepass"), b"\xff"])
@pytest.mark.parametrize("name", ["tag", "author", "favorited"])
def test_a_filter_is_never_more_than_a_value(client: TestClient, ada: str, publish: Call, name: str, odd: Any) -> None:
    publish(ada, "Looms", ["threads"])
    response = client.get("/api/articles", params={name: odd})
    assert response.status_code in {200, 400, 422}
    if response.status_code == 200:
        assert response.json() == {"articles": [], "articlesCount": 0}


def test_the_feed_has_the_articles_of_those_whom_one_follows(call: Call, ada: str, bob: str, publish: Call) -> None:
    slugs = [publish(ada, f"Loom {number}")["slug"] for number in range(2)]
    publish(bob)
    assert call("GET", "/articles/feed", token=bob) == {"articles": [], "articlesCount": 0}
    call("POST", "/profiles/ada/follow", token=bob)
    feed = call("GET", "/articles/feed?limit=1", token=bob)
    assert ([article["slug"] for article in feed["articles"]], feed["articlesCount"]) == ([slugs[1]], 2)
    assert feed["articles"][0]["author"]["following"] is True
    assert "body" not in feed["articles"][0]


def test_what_is_left_out_of_an_article_stays(call: Call, ada: str, publish: Call) -> None:
    article = publish(ada, tags=["threads"])
    changed = call("PUT", f"/articles/{article['slug']}", token=ada, article={"body": "They knot."})["article"]
    assert changed == article | {"body": "They knot.", "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > article["updatedAt"]


def test_another_title_is_another_slug(call: Call, ada: str, publish: Call) -> None:
    old = publish(ada, "Looms")["slug"]
    new = call("PUT", f"/articles/{old}", token=ada, article={"title": "On wheels"})["article"]["slug"]
    assert new == "on-wheels"
    call("GET", f"/articles/{old}", 404)
    call("GET", f"/articles/{new}")


def test_tags_can_be_replaced_and_taken_away_but_not_be_null(call: Call, ada: str, publish: Call) -> None:
    path = f"/articles/{publish(ada, tags=['threads'])['slug']}"
    assert call("PUT", path, token=ada, article={"tagList": ["wool", "looms"]})["article"]["tagList"] == [
        "looms",
        "wool",
    ]
    assert call("PUT", path, token=ada, article={"tagList": []})["article"]["tagList"] == []
    assert list(call("PUT", path, 422, ada, article={"tagList": None})["errors"]) == ["tagList"]


def test_an_article_belongs_to_its_author(call: Call, ada: str, bob: str, publish: Call) -> None:
    path = f"/articles/{publish(ada)['slug']}"
    assert call("PUT", path, 403, bob, article={"body": "x"}) == {"errors": {"article": ["forbidden"]}}
    assert call("DELETE", path, 403, bob) == {"errors": {"article": ["forbidden"]}}
    assert call("GET", path)["article"]["body"] == "They cross."


def test_an_article_goes_with_all_that_belongs_to_it(call: Call, ada: str, bob: str, publish: Call) -> None:
    path = f"/articles/{publish(ada, tags=['threads'])['slug']}"
    call("POST", f"{path}/comments", 201, bob, comment={"body": "Nice."})
    call("POST", f"{path}/favorite", token=bob)
    assert call("DELETE", path, 204, ada) is None
    assert call("GET", path, 404) == {"errors": {"article": ["not found"]}}
    assert call("GET", "/tags") == {"tags": []}
    assert call("GET", "/articles?favorited=bob")["articlesCount"] == 0


def test_clients_cannot_set_what_is_ours(ada: str, publish: Call) -> None:
    article = publish(ada, slug="mine", favoritesCount="7", createdAt="2000-01-01T00:00:00.000Z")
    assert (article["slug"], article["favoritesCount"]) == ("on-looms", 0)
    assert not article["createdAt"].startswith("2000")


@pytest.mark.parametrize(
    "method, path, body",
    [
        ("GET", "", {}),
        ("PUT", "", {"article": {"body": "x"}}),
        ("DELETE", "", {}),
        ("POST", "/favorite", {}),
        ("DELETE", "/favorite", {}),
        ("GET", "/comments", {}),
        ("POST", "/comments", {"comment": {"body": "x"}}),
        ("DELETE", "/comments/1", {}),
    ],
)
def test_there_is_nothing_about_an_article_that_is_none(
    call: Call, ada: str, method: str, path: str, body: dict[str, Any]
) -> None:
    assert call(method, f"/articles/none{path}", 404, ada, **body) == {"errors": {"article": ["not found"]}}


def test_a_favorite_counts_once_for_each_user(call: Call, ada: str, bob: str, publish: Call) -> None:
    path = f"/articles/{publish(ada)['slug']}"
    for token, count in ((ada, 1), (ada, 1), (bob, 2)):
        article = call("POST", f"{path}/favorite", token=token)["article"]
        assert (article["favorited"], article["favoritesCount"]) == (True, count)
    article = call("DELETE", f"{path}/favorite", token=ada)["article"]
    assert (article["favorited"], article["favoritesCount"]) == (False, 1)
    assert call("GET", path, token=bob)["article"]["favorited"] is True
    assert call("GET", path)["article"]["favorited"] is False


def test_tags_of_the_most_articles_come_first(call: Call, ada: str, publish: Call) -> None:
    for tags in (["wool", "threads"], ["threads"], ["looms"]):
        publish(ada, tags=tags)
    assert call("GET", "/tags") == {"tags": ["threads", "looms", "wool"]}


# Comments


def test_comments_are_listed_with_their_authors(call: Call, ada: str, bob: str, publish: Call) -> None:
    path = f"/articles/{publish(ada)['slug']}/comments"
    comments = [call("POST", path, 201, token, comment={"body": "Nice."})["comment"] for token in (ada, bob)]
    assert [comment["author"]["username"] for comment in comments] == ["ada", "bob"]
    assert MOMENT.fullmatch(comments[0]["createdAt"])
    assert comments[0]["createdAt"] == comments[0]["updatedAt"]
    assert call("GET", path) == {"comments": comments}
    call("POST", "/profiles/ada/follow", token=bob)
    assert [comment["author"]["following"] for comment in call("GET", path, token=bob)["comments"]] == [True, False]


def test_a_comment_may_not_be_blank(call: Call, ada: str, publish: Call) -> None:
    path = f"/articles/{publish(ada)['slug']}/comments"
    assert call("POST", path, 422, ada, comment={"body": ""}) == {"errors": {"body": ["can't be blank"]}}


def test_a_comment_belongs_to_its_author(call: Call, ada: str, bob: str, publish: Call) -> None:
    path = f"/articles/{publish(ada)['slug']}/comments"
    first, second = (call("POST", path, 201, bob, comment={"body": "Nice."})["comment"]["id"] for _ in range(2))
    assert call("DELETE", f"{path}/{first}", 403, ada) == {"errors": {"comment": ["forbidden"]}}
    call("DELETE", f"{path}/{first}", 204, bob)
    assert [comment["id"] for comment in call("GET", path)["comments"]] == [second]


def test_a_comment_is_found_below_its_article_only(call: Call, ada: str, publish: Call) -> None:
    here, there = (f"/articles/{publish(ada, title)['slug']}/comments" for title in ("Here", "There"))
    number = call("POST", here, 201, ada, comment={"body": "Nice."})["comment"]["id"]
    assert call("DELETE", f"{there}/{number}", 404, ada) == {"errors": {"comment": ["not found"]}}


@pytest.mark.parametrize("number", ["x", "0", "-1", str(2**63), "9" * 30])
def test_what_is_no_number_of_a_comment_is_refused(call: Call, ada: str, publish: Call, number: str) -> None:
    path = f"/articles/{publish(ada)['slug']}/comments/{number}"
    assert list(call("DELETE", path, 422, ada)["errors"]) == ["id"]


# The form of it all


@pytest.mark.parametrize(
    "content, content_type, status",
    [
        ('{"user": ', "application/json", 400),
        ("[1]", "application/json", 422),
        ('{"user": {"email": 1, "password": []}}', "application/json", 422),
        ('{"user": {"email": "\\ud800@example.org", "password": "x"}}', "application/json", 400),
        ('{"user": {}}', "text/plain", 415),
        (" " * 2_100_000, "application/json", 413),
        ("[" * 100_000, "application/json", 400),
    ],
)
def test_bodies_that_do_not_fit_are_told_so_in_the_same_form(
    client: TestClient, content: str, content_type: str, status: int
) -> None:
    response = client.post("/api/users/login", content=content, headers={"content-type": content_type})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert all(isinstance(reason, str) for reasons in response.json()["errors"].values() for reason in reasons)


def test_an_unknown_address_or_method_has_the_same_form(call: Call) -> None:
    assert list(call("GET", "/nothing", 404)) == ["errors"]
    assert list(call("DELETE", "/tags", 405)) == ["errors"]


def test_pages_of_other_sites_may_call_it(client: TestClient) -> None:
    headers = {"origin": "https://example.org", "access-control-request-method": "PUT"}
    preflight = client.options(
        "/api/user", headers=headers | {"access-control-request-headers": "authorization,content-type"}
    )
    assert preflight.status_code == 200
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    # By name: a browser does not take `*` for this one (Fetch standard, CORS-unsafe request-header names).
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    refused = client.get("/api/user", headers={"origin": "https://example.org"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")


def test_everything_is_there_after_a_restart(call: Call, client: TestClient, ada: str, publish: Call) -> None:
    slug = publish(ada)["slug"]
    with TestClient(app) as again:
        assert again.get(f"/api/articles/{slug}").status_code == 200
        assert again.get("/api/user", headers={"authorization": f"Token {ada}"}).status_code == 200


def test_moments_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOMENT.fullmatch(now())
    assert now(after="2999-12-31T23:59:59.999Z") == "3000-01-01T00:00:00.000Z"


# The documentation


@pytest.fixture
def document(client: TestClient) -> Any:
    return client.get("/openapi.json").json()


def operations(document: Any) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_document_has_every_operation_of_the_specification(document: Any) -> None:
    assert sorted(operations(document)) == [
        "DELETE /api/articles/{slug}",
        "DELETE /api/articles/{slug}/comments/{id}",
        "DELETE /api/articles/{slug}/favorite",
        "DELETE /api/profiles/{username}/follow",
        "GET /api/articles",
        "GET /api/articles/feed",
        "GET /api/articles/{slug}",
        "GET /api/articles/{slug}/comments",
        "GET /api/profiles/{username}",
        "GET /api/tags",
        "GET /api/user",
        "POST /api/articles",
        "POST /api/articles/{slug}/comments",
        "POST /api/articles/{slug}/favorite",
        "POST /api/profiles/{username}/follow",
        "POST /api/users",
        "POST /api/users/login",
        "PUT /api/articles/{slug}",
        "PUT /api/user",
    ]


def test_operations_have_identifiers_summaries_and_tags(document: Any) -> None:
    described = operations(document).values()
    assert len({operation["operationId"] for operation in described}) == len(described)
    assert all(operation["summary"] and len(operation["tags"]) == 1 for operation in described)


def test_the_document_says_who_needs_a_token(document: Any) -> None:
    described = operations(document)
    assert document["components"]["securitySchemes"]["Token"]["scheme"] == "bearer"
    assert described["GET /api/user"]["security"] == [{"Token": []}]
    assert described["GET /api/articles"]["security"] == [{"Token": []}, {}]
    assert not described["GET /api/tags"].get("security")


def test_all_errors_are_documented_in_the_form_they_have(document: Any) -> None:
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if status >= "4":
                assert response["content"] == {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}
                }, (name, status)


def test_articles_in_lists_are_documented_without_bodies(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert "body" in schemas["Article"]["properties"]
    assert "body" not in schemas["ArticleSummary"]["properties"]
    assert schemas["ArticleSummary"]["properties"]["createdAt"] == {"type": "string", "format": "date-time"}


def test_the_documentation_is_a_page(client: TestClient) -> None:
    page = client.get("/docs", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert "errors" not in client.get("/nothing", headers={"accept": "application/json"}).json()
