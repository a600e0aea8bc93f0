"""The API of todos, through the test client."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import accounts
import pytest
import store
import todos
from app import app

from microasgi.testing import TestClient

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PASSWORD = "a long password"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    cheap = {"n": 16, "r": 8, "p": 1}  # tests need not wait
    monkeypatch.setattr(accounts, "COST", cheap)
    monkeypatch.setattr(accounts, "NOBODY", accounts.hash_password("nobody"))
    monkeypatch.setenv("TODO_DATABASE", str(tmp_path / "todos.sqlite3"))
    with TestClient(app, headers={"accept": "application/json"}) as client:
        yield client


@pytest.fixture
def ada(client: TestClient) -> TestClient:
    """The client, as Ada."""
    return become(client, "ada")


def become(client: TestClient, name: str) -> TestClient:
    client.headers.pop("authorization", None)
    client.post("/users", json={"name": name, "password": PASSWORD})
    client.headers["authorization"] = f"Bearer {log_in(client, name).json()['access_token']}"
    return client


def log_in(client: TestClient, name: str, password: str = PASSWORD) -> Any:
    return client.post("/tokens", data={"grant_type": "password", "username": name, "password": password})


def add(client: TestClient, title: str = "Buy milk", **rest: Any) -> Any:
    return client.post("/todos", json={"title": title, **rest}).raise_for_status().json()


def faults(answer: Any) -> set[str]:
    """Return where something is faulty; the answer is a 422."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {error["in"] + " " + error.get("name", error.get("pointer")) for error in answer.json()["errors"]}


# Accounts


def test_an_account_gives_a_token_and_the_token_says_who_it_is(client: TestClient) -> None:
    made = client.post("/users", json={"name": "ada", "password": PASSWORD})
    assert (made.status_code, made.json()) == (201, {"id": 1, "name": "ada"})
    token = log_in(client, "ada").json()
    assert (token["token_type"], token["expires_in"]) == ("bearer", store.TOKEN_SECONDS)
    me = client.get("/users/me", headers={"authorization": f"Bearer {token['access_token']}"})
    assert me.json() == {"id": 1, "name": "ada"}


def test_few_passwords_are_hashed_at_once_and_others_need_not_wait(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, at_work, most = threading.Event(), [0], [0]

    def slow(*args: Any, **options: Any) -> bytes:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        go_on.wait(10)
        at_work[0] -= 1
        return bytes(32)

    monkeypatch.setattr(accounts, "scrypt", slow)
    guesses = [threading.Thread(target=log_in, args=(client, "nobody")) for _ in range(60)]
    for guess in guesses:
        guess.start()
    try:
        assert client.get("/users/me", headers={"authorization": "Bearer guess"}).status_code == 401
    finally:
        go_on.set()
        for guess in guesses:
            guess.join()
    assert most[0] <= accounts.HASHED_AT_ONCE


def test_a_name_is_given_once(ada: TestClient) -> None:
    answer = ada.post("/users", json={"name": "ADA", "password": PASSWORD})
    assert (answer.status_code, answer.json()["detail"]) == (409, "The name ADA is taken.")


def test_a_faulty_account_is_explained(client: TestClient) -> None:
    answer = client.post("/users", json={"name": "a b", "password": PASSWORD})
    assert faults(answer) == {"body #/name"}
    assert PASSWORD not in answer.text
    assert faults(client.post("/users", json={"name": "ada\n", "password": PASSWORD})) == {"body #/name"}
    assert faults(client.post("/users", json={"name": "ada", "password": "short"})) == {"body #/password"}


@pytest.mark.parametrize(("name", "password"), [("ada", "a wrong password"), ("bob", PASSWORD), ("", "")])
def test_a_wrong_name_or_password_gives_no_token(ada: TestClient, name: str, password: str) -> None:
    answer = log_in(ada, name, password)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "Name or password are wrong."


@pytest.mark.parametrize("value", [None, "Bearer", "Bearer x", "Basic YTpi", "Bearer \u00fc", "Token abc"])
@pytest.mark.parametrize("path", ["/users/me", "/todos", "/todos/1"])
def test_nothing_is_shown_without_a_token(client: TestClient, path: str, value: str | None) -> None:
    headers = {} if value is None else {b"authorization": value.encode("latin-1")}
    answer = client.get(path, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_token_ends_with_its_time(ada: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    later = store.time.time() + store.TOKEN_SECONDS + 2
    monkeypatch.setattr(store.time, "time", lambda: later)
    assert ada.get("/users/me").status_code == 401


def test_the_database_has_no_password_and_no_token(ada: TestClient, tmp_path: Path) -> None:
    token = ada.headers["authorization"].removeprefix("Bearer ")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ada" in kept
    assert token.encode() not in kept
    assert PASSWORD.encode() not in kept


# Todos


def test_a_todo_is_added_read_changed_and_deleted(ada: TestClient) -> None:
    answer = ada.post("/todos", json={"title": "Buy milk", "due": "2030-01-31"})
    todo = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/todos/{todo['id']}")
    assert (todo["title"], todo["done"], todo["due"], todo["version"]) == ("Buy milk", False, "2030-01-31", 1)
    assert ada.get("/todos/1").json() == todo

    changed = ada.put("/todos/1", json={"title": "Buy oat milk", "done": True})
    assert changed.status_code == 200
    todo = ada.get("/todos/1").json()
    assert todo == changed.json()
    assert (todo["title"], todo["done"], todo["due"], todo["version"]) == ("Buy oat milk", True, None, 2)

    assert ada.delete("/todos/1").status_code == 204
    missing = ada.get("/todos/1")
    assert (missing.status_code, missing.json()["detail"]) == (404, "There is no todo 1.")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "/title"),
        ({"title": ""}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"title": 7}, "/title"),
        ({"title": "a", "done": "yes"}, "/done"),
        ({"title": "a", "due": "tomorrow"}, "/due"),
        ([], ""),
        (None, ""),
    ],
)
def test_a_faulty_todo_is_explained(ada: TestClient, body: Any, where: str) -> None:
    assert faults(ada.post("/todos", json=body)) == {f"body #{where}"}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [(b'{"title": ', "application/json", 400), (b"title=milk", "application/x-www-form-urlencoded", 415)],
)
def test_what_is_no_json_is_told_so(ada: TestClient, content: bytes, kind: str, status: int) -> None:
    assert ada.post("/todos", content=content, headers={"content-type": kind}).status_code == status


@pytest.mark.parametrize("number", ["0", "x", "1.5", str(2**63), "9" * 400])
def test_a_faulty_number_is_explained(ada: TestClient, number: str) -> None:
    assert faults(ada.get(f"/todos/{number}")) == {"path todo_id"}


def test_all_that_is_faulty_is_said_at_once(ada: TestClient) -> None:
    assert faults(ada.get("/todos?limit=0&done=perhaps")) == {"query limit", "query done"}
    assert faults(ada.get("/todos?cursor=made-up")) == {"query cursor"}


def test_nobody_sees_what_is_another_users(ada: TestClient) -> None:
    add(ada)
    bob = become(ada, "bob")
    assert bob.get("/todos").json() == []
    assert bob.get("/todos/1").status_code == 404
    assert bob.put("/todos/1", json={"title": "mine"}).status_code == 404
    assert bob.delete("/todos/1").status_code == 404
    assert bob.get("/todos/1/attachments").status_code == 404


def test_todos_are_listed_in_pages(ada: TestClient) -> None:
    for number in range(5):
        add(ada, f"todo {number}", done=number % 2 == 0)
    first = ada.get("/todos?limit=2")
    assert [todo["title"] for todo in first.json()] == ["todo 0", "todo 1"]
    second = ada.get(first.links["next"]["url"])
    assert [todo["title"] for todo in second.json()] == ["todo 2", "todo 3"]
    third = ada.get(second.links["next"]["url"])
    assert [todo["title"] for todo in third.json()] == ["todo 4"]
    assert "next" not in third.links


def test_a_page_keeps_what_was_asked_for(ada: TestClient) -> None:
    for number in range(5):
        add(ada, f"todo {number}", done=number % 2 == 0)
    first = ada.get("/todos?limit=2&done=true")
    assert [todo["title"] for todo in first.json()] == ["todo 0", "todo 2"]
    assert [todo["title"] for todo in ada.get(first.links["next"]["url"]).json()] == ["todo 4"]
    assert [todo["title"] for todo in ada.get("/todos?done=false").json()] == ["todo 1", "todo 3"]


def test_a_todo_that_is_known_is_not_sent_again(ada: TestClient) -> None:
    add(ada)
    etag = ada.get("/todos/1").headers["etag"]
    assert ada.get("/todos/1", headers={"if-none-match": etag}).status_code == 304
    ada.put("/todos/1", json={"title": "Buy bread"})
    assert ada.get("/todos/1", headers={"if-none-match": etag}).status_code == 200


def test_two_who_change_the_same_todo_do_not_undo_each_other(ada: TestClient) -> None:
    add(ada)
    seen = {"if-match": ada.get("/todos/1").headers["etag"]}
    assert ada.put("/todos/1", json={"title": "Buy bread"}, headers=seen).status_code == 200
    assert ada.put("/todos/1", json={"title": "Buy beer"}, headers=seen).status_code == 412
    assert ada.delete("/todos/1", headers=seen).status_code == 412
    now = {"if-match": ada.get("/todos/1").headers["etag"]}
    assert ada.get("/todos/1").json()["title"] == "Buy bread"
    assert ada.delete("/todos/1", headers=now).status_code == 204


def test_one_that_is_changed_between_reading_and_writing_is_not_overwritten(
    ada: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(ada)
    real = store.Store.change_todo

    def slow(self: store.Store, todo: store.Todo, draft: store.Draft) -> Any:
        real(self, todo, store.Draft("faster"))
        return real(self, todo, draft)

    monkeypatch.setattr(store.Store, "change_todo", slow)
    assert ada.put("/todos/1", json={"title": "slower"}).status_code == 412
    assert ada.get("/todos/1").json()["title"] == "faster"


def test_a_todo_that_is_sent_twice_is_added_once(ada: TestClient) -> None:
    key = {"idempotency-key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
    first, second = (ada.post("/todos", json={"title": "Buy milk"}, headers=key) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert second.headers["location"] == first.headers["location"]
    assert len(ada.get("/todos").json()) == 1
    other = become(ada, "bob").post("/todos", json={"title": "Buy milk"}, headers=key)
    assert (other.status_code, "Buy milk" in other.text) == (422, False)  # a key is its first user's


# Attachments


def upload(client: TestClient, content: bytes = PNG, name: str = "a.png", todo: int = 1) -> Any:
    return client.post(f"/todos/{todo}/attachments", files={"file": (name, content, "text/html")})


def test_a_file_is_attached_and_given_back(ada: TestClient) -> None:
    add(ada)
    answer = upload(ada, name="../../milk.png")
    assert answer.status_code == 201
    assert answer.json() == {"id": 1, "name": "milk.png", "media_type": "image/png", "size": 108, "sha256": None}
    file = ada.get("/todos/1/attachments/1")
    assert (file.content, file.headers["content-type"]) == (PNG, "image/png")
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["x-content-type-options"] == "nosniff"


def test_the_checksum_is_there_after_the_answer(ada: TestClient) -> None:
    add(ada)
    upload(ada)
    (attachment,) = ada.get("/todos/1/attachments").json()
    assert attachment["sha256"] == store.hashlib.sha256(PNG).hexdigest()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"<script>alert(1)</script>", 415),
        (b"", 415),
        (PNG + bytes(todos.UPLOAD_SIZE), 413),
        (PNG + bytes(2 * todos.UPLOAD_SIZE), 413),
    ],
)
def test_other_files_are_refused(ada: TestClient, content: bytes, status: int) -> None:
    add(ada)
    assert upload(ada, content).status_code == status
    assert ada.get("/todos/1/attachments").json() == []


def test_an_upload_without_a_file_is_explained(ada: TestClient) -> None:
    add(ada)
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert faults(ada.post("/todos/1/attachments", content=b"--x--\r\n", headers=form)) == {"form file"}
    assert ada.post("/todos/1/attachments", json={}).status_code == 415


def test_attachments_go_with_their_todo(ada: TestClient) -> None:
    add(ada)
    upload(ada)
    ada.delete("/todos/1")
    add(ada)
    assert ada.get("/todos/2/attachments").json() == []
    assert ada.get("/todos/2/attachments/1").status_code == 404
    assert upload(ada, todo=1).status_code == 404


# The whole


def test_errors_are_problem_documents(client: TestClient) -> None:
    answer = client.get("/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_todos_outlive_the_server(ada: TestClient) -> None:
    add(ada)
    ada.close()
    with TestClient(app, headers=ada.headers) as again:
        assert again.get("/todos").json()[0]["title"] == "Buy milk"


def test_many_at_once(ada: TestClient) -> None:
    workers = [threading.Thread(target=add, args=(ada, f"todo {number}")) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({todo["id"] for todo in ada.get("/todos").json()}) == 8


def test_the_document_describes_what_there_is(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["paths"].keys() == {
        "/users",
        "/users/me",
        "/tokens",
        "/todos",
        "/todos/{todo_id}",
        "/todos/{todo_id}/attachments",
        "/todos/{todo_id}/attachments/{number}",
    }
    change = document["paths"]["/todos/{todo_id}"]["put"]
    assert change["tags"] == ["todos"]
    assert {"200", "401", "404", "412", "422"} <= change["responses"].keys()
    assert change["security"]
    assert {"Draft", "Todo", "Attachment", "Account", "Token", "User"} <= document["components"]["schemas"].keys()


def test_the_document_is_valid(client: TestClient) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(client.get("/openapi.json").json())


def test_the_page_of_the_documentation_is_there(client: TestClient) -> None:
    page = client.get("/docs", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Todos" in page.text or "openapi.json" in page.text


# On a real server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Run the application with uvicorn on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "TODO_DATABASE": str(tmp_path / "todos.sqlite3")}
    with subprocess.Popen(command, cwd=Path(__file__).parent, env=environment) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            assert process.wait(timeout=20) in {0, -15}


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "uvicorn has stopped"
        try:
            urlopen(f"{url}/openapi.json").close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("uvicorn does not answer")


@pytest.mark.server
def test_a_visit_to_a_real_server(server: str) -> None:
    def send(path: str, data: bytes | None = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with urlopen(Request(server + path, data, named), timeout=20) as answer:
            return json.load(answer)

    account = json.dumps({"name": "ada", "password": PASSWORD}).encode()
    assert send("/users", account, content_type="application/json")["name"] == "ada"
    form = urlencode({"grant_type": "password", "username": "ada", "password": PASSWORD}).encode()
    bearer = f"Bearer {send('/tokens', form)['access_token']}"
    send("/todos", b'{"title": "Buy milk"}', content_type="application/json", authorization=bearer)
    assert [todo["title"] for todo in send("/todos", authorization=bearer)] == ["Buy milk"]


@pytest.mark.server
@pytest.mark.browser
def test_the_page_signs_up_logs_in_and_adds_a_todo(server: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must run this test: there is no Chromium on this machine")
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server}/docs")
        main = page.locator("main")

        main.get_by_text("Make an account", exact=True).click()
        main.get_by_role("textbox").first.fill(json.dumps({"name": "ada", "password": PASSWORD}))
        main.get_by_role("button", name="Send").last.click()
        main.get_by_text('"id": 1').wait_for()

        page.get_by_role("button", name="Authorize").first.click()
        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        with page.expect_response("**/tokens") as token:
            page.get_by_role("button", name="Get a token").click()
        assert token.value.status == 200
        page.get_by_role("button", name="Done").click()

        main.get_by_text("Add a todo", exact=True).click()
        with page.expect_response("**/todos") as added:
            main.get_by_role("button", name="Send").last.click()
        assert added.value.status == 201
        main.get_by_text('"title": "Buy milk"').last.wait_for()
        assert complaints == []
        browser.close()
