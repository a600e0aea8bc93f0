"""The blog, through the test client."""

from __future__ import annotations

import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import passwords
import pytest
from app import app, secret_key
from drafts import PICTURE_SIZE, picture_kind
from posts import PAGE
from store import Store

from microasgi.testing import AsyncTestClient, TestClient, WebSocketDenialResponse

Visit = Callable[..., TestClient]


def make_png(width: int = 2, height: int = 2, padding: int = 0, colour: bytes = b"\x2f\x6f\x73") -> bytes:
    """Return a picture of one colour, with as many bytes of padding in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + colour * width) * height))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"paDd", bytes(padding)) + pixels + chunk(b"IEND", b"")


PNG = make_png()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BLOG_FOLDER", str(tmp_path / "data"))
    monkeypatch.delenv("BLOG_SECRET_KEY", raising=False)
    monkeypatch.setattr(passwords, "COST", {"n": 16, "r": 8, "p": 1})  # tests need not wait
    return tmp_path / "data"


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app, headers={"accept": "text/html"}) as client:
        yield client


def sign_up(client: TestClient, name: str = "Ada", password: str = "a long password") -> Any:
    return client.post("/sign-up", data={"name": name, "password": password})


def log_in(client: TestClient, name: str = "Ada", password: str = "a long password", **kwargs: Any) -> Any:
    return client.post("/log-in", data={"name": name, "password": password}, **kwargs)


def write(client: TestClient, title: str = "On looms", text: str = "Threads.", **kwargs: Any) -> Any:
    return client.post("/write", data={"title": title, "text": text, "alt": "a loom"}, **kwargs)


def as_json(client: TestClient, path: str = "/") -> Any:
    return client.get(path, headers={"accept": "application/json"}).json()


def switch_to(client: TestClient, name: str) -> None:
    client.post("/log-out")
    sign_up(client, name)


# Accounts


def test_signing_up_logs_in_and_says_so_once(client: TestClient) -> None:
    page = sign_up(client)
    assert (page.status_code, str(page.url.path)) == (200, "/")
    assert "Welcome, Ada!" in page.text
    assert "Log out" in page.text
    assert "Welcome" not in client.get("/").text


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", "a long password", "name"),
        ("x" * 31, "a long password", "name"),
        ("a\u202eb", "a long password", "name"),
        ("Ada", "short", "password"),
        ("Ada", "x" * 1001, "password"),
    ],
)
def test_a_faulty_account_is_shown_again_with_what_is_wrong(
    client: TestClient, name: str, password: str, field: str
) -> None:
    page = sign_up(client, name, password)
    assert page.status_code == 422
    assert re.search(f'id="{field}-error">Please ', page.text)
    assert page.text.count('aria-invalid="true"') == 1
    assert password not in page.text


@pytest.mark.parametrize(
    ("name", "other"),
    [("Ada", "ADA"), ("André", "Andre\u0301"), ("ÄDA", "äda"), ("Ada", "Ａda"), ("Straße", "STRASSE"), ("ﬁn", "Fin")],
)
def test_a_name_is_given_once_however_it_is_written(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, name: str, other: str
) -> None:
    sign_up(client, name)
    client.post("/log-out")
    monkeypatch.setattr(passwords, "_hash", lambda password: pytest.fail("a hash is made for a name that is taken"))
    assert "has this name already" in sign_up(client, other).text
    assert "Good to see you" in log_in(client, other).text


def test_a_name_that_is_taken_meanwhile_is_taken(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_up(client)
    client.post("/log-out")
    monkeypatch.setattr(Store, "member_named", lambda store, name: None)
    assert "has this name already" in sign_up(client).text


def test_logging_in_and_out(client: TestClient) -> None:
    sign_up(client)
    assert "You are logged out." in client.post("/log-out").text
    assert "Log in" in client.get("/").text
    assert "Good to see you, Ada." in log_in(client).text


@pytest.mark.parametrize(("name", "password"), [("Ada", "a wrong password"), ("Nobody", "a long password"), ("", "")])
def test_a_failed_log_in_does_not_say_what_was_wrong(client: TestClient, name: str, password: str) -> None:
    sign_up(client)
    client.post("/log-out")
    page = log_in(client, name, password)
    assert page.status_code == 422
    assert "No member has this name and this password." in page.text


def test_passwords_are_guessed_slowly(client: TestClient) -> None:
    statuses = [log_in(client, "Ada", "a wrong password").status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]


def test_accounts_are_made_slowly(client: TestClient) -> None:
    statuses = [sign_up(client, f"x{number}", "short").status_code for number in range(11)]
    assert statuses == [422] * 10 + [429]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_nobody_waits_at_the_log_in_for_new_members(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, goes_on = passwords.Passwords(), threading.Event()
    stored = await keeper.hash("a long password")
    monkeypatch.setattr(passwords, "_hash", lambda password: str(goes_on.wait(20)))
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(keeper.hash, "a long password")
        await anyio.wait_all_tasks_blocked()
        assert await keeper.check("a long password", stored)
        goes_on.set()


def test_passwords_are_kept_as_scrypt_hashes(client: TestClient, folder: Path) -> None:
    sign_up(client)
    store = Store(folder / "blog.sqlite3")
    member = store.member_named("ada")
    store.close()
    assert member is not None
    assert re.fullmatch(r"scrypt\$16\$8\$1\$[0-9a-f]{32}\$[0-9a-f]{64}", member.password)


def test_a_log_in_leads_to_where_the_visitor_wanted_to_be(client: TestClient) -> None:
    sign_up(client)
    client.post("/log-out")
    form = client.get("/write")
    assert form.url.path == "/log-in"
    page = client.post(str(form.url), data={"name": "Ada", "password": "a long password"})
    assert page.url.path == "/write"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", ""])
def test_a_log_in_never_leads_to_another_site(client: TestClient, wanted: str) -> None:
    sign_up(client)
    answer = client.post(
        "/log-in", params={"next": wanted}, data={"name": "Ada", "password": "a long password"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_session_cookie_is_safe_by_default(client: TestClient) -> None:
    answer = client.post("/sign-up", data={"name": "Ada", "password": "a long password"}, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    with TestClient(app, base_url="https://testserver") as secure:
        assert "secure" in log_in(secure, follow_redirects=False).headers["set-cookie"].lower()


def test_a_forged_cookie_is_nobody(client: TestClient) -> None:
    sign_up(client)
    name, value = next(iter(client.cookies.items()))
    client.cookies.set(name, value[:-4] + "AAAA", domain="testserver.local")
    with TestClient(app, cookies={name: value[:-4] + "AAAA"}, headers={"accept": "text/html"}) as forger:
        assert "Log in" in forger.get("/").text


# Posts


def test_an_empty_blog_invites_to_write(client: TestClient) -> None:
    assert "Be the first" in client.get("/").text


def test_a_post_is_published_and_read(client: TestClient) -> None:
    sign_up(client)
    page = write(client, "On looms", "First.\r\n\r\nSecond.")
    assert page.url.path == "/posts/1"
    assert "Your post is out." in page.text
    assert page.text.count('class="text"') == 2
    assert "On looms" in client.get("/").text


def test_what_members_write_is_escaped(client: TestClient) -> None:
    sign_up(client, "<i>Ada")
    page = write(client, "<script>alert(1)</script>", '"><img src=x>')
    client.post("/posts/1/comments", data={"text": "<b>bold</b>"})
    for text in (page.text, client.get("/").text, client.get("/posts/1").text, client.get("/posts/1/edit").text):
        assert not re.search("<script>alert|<img src=x>|<i>Ada|<b>bold", text)


@pytest.mark.parametrize(
    ("title", "text", "field"),
    [("", "Text", "title"), ("x" * 101, "Text", "title"), ("Title", " \n ", "text"), ("T", "x" * 20_001, "text")],
)
def test_a_faulty_post_is_shown_again_with_what_is_wrong(client: TestClient, title: str, text: str, field: str) -> None:
    sign_up(client)
    page = write(client, title, text)
    assert page.status_code == 422
    assert re.search(f'id="{field}-error">Please ', page.text)
    assert as_json(client)["posts"] == []


def test_its_author_edits_a_post(client: TestClient) -> None:
    sign_up(client)
    write(client)
    assert "Threads." in client.get("/posts/1/edit").text
    page = client.post("/posts/1/edit", data={"title": "Looms", "text": "More threads."})
    assert page.url.path == "/posts/1"
    assert "More threads." in page.text


def test_its_author_deletes_a_post_with_its_comments_and_picture(client: TestClient, folder: Path) -> None:
    sign_up(client)
    write(client, files={"picture": ("p.png", PNG)})
    client.post("/posts/1/comments", data={"text": "mine"})
    assert len(list((folder / "pictures").iterdir())) == 1
    assert "The post is gone." in client.post("/posts/1/delete").text
    assert client.get("/posts/1").status_code == 404
    assert list((folder / "pictures").iterdir()) == []


@pytest.mark.parametrize("path", ["/posts/1/edit", "/posts/1/delete"])
def test_nobody_else_changes_a_post(client: TestClient, path: str) -> None:
    sign_up(client)
    write(client)
    switch_to(client, "Eve")
    page = client.post(path, data={"title": "Mine", "text": "now"})
    assert page.status_code == 403
    assert "Only its author" in page.text
    assert as_json(client)["posts"][0]["title"] == "On looms"


@pytest.mark.parametrize("path", ["/write", "/posts/1/edit", "/posts/1/delete", "/posts/1/comments"])
def test_who_is_not_logged_in_is_asked_to(client: TestClient, path: str) -> None:
    sign_up(client)
    write(client)
    client.post("/log-out")
    assert client.post(path, data={"title": "x", "text": "y"}).url.path == "/log-in"
    assert as_json(client)["posts"][0]["title"] == "On looms"


def test_older_posts_are_on_pages_of_their_own(client: TestClient) -> None:
    sign_up(client)
    for number in range(1, PAGE + 3):
        write(client, f"Number {number}.")
    page = client.get("/")
    assert page.text.count("<article") == PAGE
    assert 'href="/?before=3"' in page.text
    older = client.get("/?before=3")
    assert older.text.count("<article") == 2
    assert "Older posts" not in older.text


def test_a_part_of_the_page_is_rendered_alone(client: TestClient) -> None:
    sign_up(client)
    write(client)
    part = client.get("/?part=posts").text
    assert part.strip().startswith("<article")
    assert "<html" not in part


def test_before_the_first_post_there_are_no_older_ones(client: TestClient) -> None:
    sign_up(client)
    write(client)
    page = client.get("/?before=0").text
    assert "There are no older posts." in page
    assert "Nobody has written" not in page


@pytest.mark.parametrize("number", ["x", "-1", "9" * 5000, "٣"])
def test_a_faulty_number_is_explained(client: TestClient, number: str) -> None:
    page = client.get("/", params={"before": number})
    assert page.status_code == 400
    assert "is the number of a post" in page.text


# Pictures


def picture_of(client: TestClient, post: int = 1) -> str:
    return cast(str, as_json(client, f"/posts/{post}")["picture"])


def test_a_picture_is_served_as_what_it_is_under_a_name_of_ours(client: TestClient) -> None:
    sign_up(client)
    write(client, files={"picture": ("../../evil.html", PNG, "text/html")})
    path = picture_of(client)
    assert re.fullmatch(r"/pictures/[0-9a-f-]{36}\.png", path)
    answer = client.get(path)
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]
    assert "cookie" not in answer.headers.get("vary", "").lower()
    assert client.get(path, headers={"range": "bytes=1-3"}).content == b"PNG"


def test_a_picture_is_replaced_and_removed_with_its_file(client: TestClient, folder: Path) -> None:
    sign_up(client)
    write(client, files={"picture": ("a.png", PNG)})
    first = picture_of(client)
    fields = {"title": "On looms", "text": "Threads."}
    client.post("/posts/1/edit", data=fields)
    assert picture_of(client) == first
    client.post("/posts/1/edit", data=fields, files={"picture": ("b.png", make_png(3, 3))})
    assert picture_of(client) != first
    assert client.get(first).status_code == 404
    client.post("/posts/1/edit", data={**fields, "remove": "yes"})
    assert picture_of(client) is None
    assert list((folder / "pictures").iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"x", make_png(padding=PICTURE_SIZE)]
)
def test_what_is_no_picture_or_too_large_is_refused(client: TestClient, folder: Path, content: bytes) -> None:
    sign_up(client)
    page = write(client, files={"picture": ("p.png", content, "image/png")})
    assert page.status_code == 422
    assert "Please choose a PNG" in page.text
    assert list((folder / "pictures").iterdir()) == []


def test_a_far_too_large_upload_is_cut_off(client: TestClient) -> None:
    sign_up(client)
    page = write(client, files={"picture": ("p.png", make_png(padding=PICTURE_SIZE + 300_000))})
    assert (page.status_code, "at most 5 MB" in page.text) == (413, True)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG[:12], "png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "jpg"),
        (b"GIF89a\1\0\1\0\0\0", "gif"),
        (b"RIFF\x24\0\0\0WEBP", "webp"),
        (b"RIFF\x24\0\0\0WAVE", ""),
        (b"", ""),
    ],
)
def test_pictures_are_known_by_their_first_bytes(head: bytes, kind: str) -> None:
    assert picture_kind(head) == kind


@pytest.mark.parametrize("name", ["..%2fsecret_key", "secret_key", f"{'0' * 36}.png", f"{'0' * 36}.html", "x.png"])
def test_a_picture_that_is_not_there_is_404(client: TestClient, name: str) -> None:
    assert client.get(f"/pictures/{name}").status_code == 404


# Comments


def test_a_comment_is_shown_after_a_redirect(client: TestClient) -> None:
    sign_up(client)
    write(client)
    answer = client.post("/posts/1/comments", data={"text": "Well woven"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/posts/1#comment-1")
    page = client.get("/posts/1")
    assert "Well woven" in page.text
    assert "1 comment</h2>" in page.text


def test_a_comment_on_a_post_that_has_just_gone_is_404(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_up(client)
    write(client)
    add_comment = Store.add_comment

    def delete_first(self: Store, post: int, author: int, text: str) -> int | None:
        self.delete_post(post)
        return add_comment(self, post, author, text)

    monkeypatch.setattr(Store, "add_comment", delete_first)
    assert client.post("/posts/1/comments", data={"text": "too late"}).status_code == 404


@pytest.mark.parametrize("text", ["", " \r\n ", "x" * 1001])
def test_a_faulty_comment_is_shown_again(client: TestClient, text: str) -> None:
    sign_up(client)
    write(client)
    page = client.post("/posts/1/comments", data={"text": text})
    assert page.status_code == 422
    assert 'id="text-error">Please ' in page.text


def test_a_comment_can_be_seen_before_it_is_sent(client: TestClient) -> None:
    sign_up(client)
    write(client)
    part = client.post("/posts/1/preview", data={"text": "<b>Well</b>"})
    assert part.text.strip().startswith("<article")
    assert "&lt;b&gt;Well" in part.text
    assert as_json(client, "/posts/1")["comments"] == []


# Programs


def test_programs_get_json_at_the_same_addresses(client: TestClient) -> None:
    sign_up(client)
    for number in range(1, PAGE + 2):
        write(client, f"Number {number}.")
    client.post("/posts/1/comments", data={"text": "Well woven"})
    first = as_json(client)
    assert [post["title"] for post in first["posts"]][:2] == [f"Number {PAGE + 1}.", f"Number {PAGE}."]
    second = as_json(client, first["next"])
    assert (second["posts"][0]["url"], second["next"]) == ("/posts/1", None)
    post = as_json(client, "/posts/1")
    assert (post["name"], post["comments"][0]["text"]) == ("Ada", "Well woven")
    assert "password" not in str(post)


@pytest.mark.parametrize("path", ["/", "/posts/1"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_caches_are_told_what_the_answer_depends_on(client: TestClient, path: str, accept: str) -> None:
    sign_up(client)
    write(client)
    vary = client.get(path, headers={"accept": accept}).headers["vary"].lower()
    assert {"accept", "cookie"} <= {name.strip() for name in vary.split(",")}


def test_a_missing_page_is_a_problem_to_programs(client: TestClient) -> None:
    answer = client.get("/nowhere", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


# The site


@pytest.mark.parametrize(
    "path", ["/nowhere", "/posts/7", f"/posts/{10**19}", "/posts/x", "/static/app.py", "/static/..%2fapp.py"]
)
def test_a_missing_page_is_a_page_of_the_site(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 404
    assert "There is no such page" in page.text


def test_a_socket_to_nowhere_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refusal:
        with client.websocket_connect("/nowhere"):
            pass
    assert refusal.value.status_code == 404


def test_a_missing_page_still_knows_the_visitor(client: TestClient) -> None:
    sign_up(client)
    assert "Log out" in client.get("/nowhere").text


def test_an_error_is_a_page_that_names_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Store, "newest", fail)
    with TestClient(app, headers={"accept": "text/html"}, raise_server_exceptions=False) as client:
        page = client.get("/")
    assert page.status_code == 500
    assert "That is our fault" in page.text
    assert f"<code>{page.headers['x-request-id']}</code>" in page.text
    assert "secret" not in page.text
    assert "content-security-policy" in page.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_from_another_site_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    sign_up(client)
    page = write(client, headers=headers)
    assert page.status_code == 403
    assert "content-security-policy" in page.headers
    assert as_json(client)["posts"] == []


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://testserver"}])
def test_a_form_from_this_site_is_taken(client: TestClient, headers: dict[str, str]) -> None:
    sign_up(client)
    assert write(client, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/nowhere", "/log-in"])
def test_scripts_run_only_with_the_nonce_of_this_answer(client: TestClient, path: str) -> None:
    first, second = client.get(path), client.get(path)
    nonces = [re.search(r"'nonce-([^']+)'", page.headers["content-security-policy"])[1] for page in (first, second)]  # type: ignore[index]
    assert nonces[0] != nonces[1]
    assert f'nonce="{nonces[0]}"' in first.text
    assert "unsafe-inline" not in first.headers["content-security-policy"]


def test_static_files_are_compressed_and_immutable_and_the_same_for_everybody(client: TestClient) -> None:
    sign_up(client)
    path = re.search(r'href="(/static/blog[^"]+css)"', client.get("/").text)[1]  # type: ignore[index]
    assert path != "/static/blog.css"
    answer = client.get(path, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert "cookie" not in answer.headers["vary"].lower()
    assert "set-cookie" not in answer.headers


def test_the_secret_key_is_made_once_and_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = secret_key()
    assert "made a secret key" in capsys.readouterr().out
    assert secret_key() == first
    assert len(first) >= 64
    assert capsys.readouterr().out == ""
    assert (folder / "secret_key").stat().st_mode & 0o077 == 0


def test_the_secret_key_of_the_environment_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOG_SECRET_KEY", "k" * 32)
    assert secret_key() == "k" * 32
    assert not folder.exists()


def test_sessions_outlive_the_server(client: TestClient) -> None:
    sign_up(client)
    cookies = dict(client.cookies.items())
    client.close()
    with TestClient(app, cookies=cookies, headers={"accept": "text/html"}) as again:
        assert "Log out" in again.get("/").text


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_it_works_on_asyncio_and_trio(anyio_backend: str) -> None:
    async with AsyncTestClient(app, headers={"accept": "text/html"}) as client:
        form = {"name": "Ada", "password": "a long password"}
        assert "Welcome, Ada!" in (await client.post("/sign-up", data=form, follow_redirects=True)).text
