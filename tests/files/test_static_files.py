"""Files below directories: what is found, what is not, how long it may be kept, and what it costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount as StarletteMount

from microasgi import ConfigurationError, MicroASGI, Request
from microasgi.files import StaticFiles, fingerprints, memory, reading, static
from microasgi.files.fingerprints import fingerprint
from microasgi.files.memory import Memory
from microasgi.files.reading import SMALL, OpenFile, load
from microasgi.testing import Exchange, Faults, RawResponse, TestClient, lifespan_scope, request, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

CSS = b"body { color: #333 }"
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory of a site's files, and a secret beside it."""
    root = tmp_path / "static"
    (root / "css").mkdir(parents=True)
    (root / "css" / "site.css").write_bytes(CSS)
    (root / "large.bin").write_bytes(b"x" * (SMALL + 1))
    (root / ".env").write_text("secret")
    (root / ".well-known").mkdir()
    (root / ".well-known" / "security.txt").write_text("contact")
    (tmp_path / "static-secret").mkdir()
    (tmp_path / "static-secret" / "x").write_text("secret")
    return root


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what ran in worker threads."""
    names: list[str] = []
    real = static.run_in_threadpool

    async def count(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        names.append(function.__name__)
        return await real(function, *args, **kwargs)

    monkeypatch.setattr("microasgi.files.static.run_in_threadpool", count)
    monkeypatch.setattr("microasgi.files.reading.run_in_threadpool", count)
    return names


def mounted(files: StaticFiles) -> MicroASGI:
    app = MicroASGI()
    app.mount("/static", files, name="static")
    return app


async def get(files: StaticFiles, path: str, method: str = "GET", **headers: str) -> RawResponse:
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await request(mounted(files), method, f"/static{path}", headers=given_headers)


def pack(path: Path, suffix: str, content: bytes, age: float = 0) -> None:
    """Put a packed sibling beside a file, so many seconds older than it."""
    sibling = path.with_name(path.name + suffix)
    sibling.write_bytes(content)
    moment = path.stat().st_mtime - age
    os.utime(sibling, (moment, moment))


async def test_a_file_is_served(root: Path) -> None:
    answer = await get(StaticFiles(directory=root), "/css/site.css")
    assert (answer.status, answer.body) == (200, CSS)
    assert answer.header(b"content-type") == b"text/css; charset=utf-8"
    assert answer.header(b"cache-control") == b"no-cache"
    assert answer.header(b"vary") is None


async def test_it_is_an_application_by_itself_too(root: Path) -> None:
    files = StaticFiles(directory=str(root))
    assert (await request(files, path="/css/site.css")).body == CSS
    assert (await request(files, path="/pre/css/site.css", root_path="/pre")).body == CSS
    assert (await request(files, path="/css/site.css", root_path="/cs")).body == CSS
    assert (await request(files, path="/gone")).status == 404
    assert (await request(files, "PUT", "/css/site.css")).header(b"allow") == b"GET, HEAD"


async def test_another_framework_may_mount_it(root: Path) -> None:
    app = Starlette(routes=[StarletteMount("/static", StaticFiles(directory=root))])
    assert (await request(app, path="/static/css/site.css")).body == CSS
    assert (await request(app, path="/static/gone")).status == 404


async def test_a_mount_has_a_name(root: Path) -> None:
    app = mounted(StaticFiles(directory=root))
    assert app.url_path_for("static", path="css/site.css") == "/static/css/site.css"


async def test_what_is_missing_is_answered_by_the_applications_handler(root: Path) -> None:
    app = mounted(StaticFiles(directory=root))

    @app.exception_handler(404)
    async def lost(request: Request, error: Exception) -> tuple[str, int]:
        return "lost", 404

    assert (await request(app, path="/static/gone")).body == b"lost"


async def test_what_stands_around_sees_a_refusal_as_a_response(root: Path) -> None:
    seen: list[int] = []

    def noting(app: ASGIApp) -> ASGIApp:
        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                seen.append(message.get("status", 0))
                await send(message)

            await app(scope, receive, note)

        return noted

    app = MicroASGI()
    app.mount("/static", noting(StaticFiles(directory=root)))
    assert (await request(app, path="/static/gone")).status == 404
    assert (await request(app, "PUT", "/static/css/site.css")).status == 405
    assert [status for status in seen if status] == [404, 405]


@pytest.mark.parametrize(
    "path",
    [
        *("/.env", "/css/../.env", "/%2e%2e/static-secret/x", "/../static-secret/x", "-secret/x", "/css%2fsite.css"),
        *("/css%2Fsite.css", "/css%5csite.css", "/css\\site.css", "//css/site.css", "/css//site.css", "/css/site.css/"),
        *("/css/site.css.", "/css/site.css%20", "/css/site.css%00", "/css/site.css%0a", "/c:/css/site.css", "/css"),
        *("/css/", "/", "", "//host/share", "/%5c%5chost/share", "/.well-known/security.txt", "/" + "a" * 5000),
        *("/css/./site.css", "/css/%2e/site.css", "/%ff", "/%c0%ae%c0%ae/x", "/css/site.css%ed%a0%80"),
    ],
)
async def test_these_paths_name_no_file(root: Path, path: str) -> None:
    files = StaticFiles(directory=root)
    await get(files, "/css/site.css")
    assert (await get(files, path)).status == 404


_pieces = st.sampled_from(
    ["..", ".", "%2e", "%2f", "%5c", "", ".env", "css", "site.css", "static-secret", "x", "\\", "%00"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(_pieces, max_size=6))
def test_no_path_shows_a_secret(root: Path, pieces: list[str]) -> None:
    answer = TestClient(mounted(StaticFiles(directory=root, html=True))).get("/static/" + "/".join(pieces))
    assert answer.status_code < 500
    assert b"secret" not in answer.content


async def test_dot_names_are_served_when_they_are_named(root: Path) -> None:
    files = StaticFiles(directory=root, dotfiles=(".well-known",))
    assert (await get(files, "/.well-known/security.txt")).body == b"contact"
    assert (await get(files, "/.env")).status == 404


@pytest.mark.parametrize("name", ["env", ".", "..", ".a/b", ""])
def test_a_dot_name_has_a_dot_and_no_slash(root: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="single names such as"):
        StaticFiles(directory=root, dotfiles=[name])


def test_one_dot_name_may_come_as_text(root: Path) -> None:
    assert StaticFiles(directory=root, dotfiles=".well-known")


@pytest.mark.parametrize("follow", [False, True])
async def test_links_lead_out_only_when_allowed(root: Path, follow: bool) -> None:
    (root / "out").symlink_to(root.parent / "static-secret")
    answer = await get(StaticFiles(directory=root, follow_symlink=follow), "/out/x")
    assert answer.status == (200 if follow else 404)


async def test_special_files_are_refused(root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "null").symlink_to("/dev/null")
    files = StaticFiles(directory=root, follow_symlink=True, html=True)
    assert (await get(files, "/fifo")).status == 404
    assert (await get(files, "/null")).status == 404


async def test_a_file_that_goes_while_it_is_opened_is_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*args: Any, **kwargs: Any) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr(static, "load", gone)
    assert (await get(StaticFiles(directory=root), "/css/site.css")).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get", "TRACE"])
async def test_other_methods_are_405(root: Path, method: str) -> None:
    answer = await get(StaticFiles(directory=root), "/css/site.css", method)
    assert (answer.status, answer.header(b"allow")) == (405, b"GET, HEAD")


async def test_options_tells_the_methods(root: Path) -> None:
    answer = await get(StaticFiles(directory=root), "/css/site.css", "OPTIONS")
    assert (answer.status, answer.header(b"allow")) == (204, b"GET, HEAD")


async def test_head_gets_the_headers_of_get(root: Path) -> None:
    files = StaticFiles(directory=root)
    for path in ("/css/site.css", "/large.bin"):
        before, whole, after = await get(files, path, "HEAD"), await get(files, path), await get(files, path, "HEAD")
        assert before.headers == whole.headers == after.headers
        assert (before.body, after.body) == (b"", b"")


async def test_a_handshake_is_refused(root: Path) -> None:
    async with Exchange(StaticFiles(directory=root), websocket_scope("/css/site.css")) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        assert (await exchange.receive_output())["status"] == 404


async def test_there_is_no_lifespan(root: Path) -> None:
    with pytest.raises(RuntimeError, match="http, not lifespan"):
        async with Exchange(StaticFiles(directory=root), lifespan_scope(), lint=False) as exchange:
            await exchange.wait_finished()


async def test_the_first_directory_that_has_it_wins(root: Path) -> None:
    own = root.parent / "own"
    (own / "css").mkdir(parents=True)
    (own / "css" / "site.css").write_text("own")
    files = StaticFiles(directory=[own, root], packages=[("microasgi", "files")])
    assert (await get(files, "/css/site.css")).body == b"own"
    assert (await get(files, "/large.bin")).status == 200
    assert (await get(files, "/static.py")).status == 200


async def test_a_files_place_may_be_a_directory_elsewhere(root: Path) -> None:
    other = root.parent / "other"
    (other / "css" / "site.css").mkdir(parents=True)
    assert (await get(StaticFiles(directory=[other, root]), "/css/site.css")).body == CSS


def test_a_place_that_is_missing_is_found_at_set_up(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no directory 'nowhere' \\(/"):
        StaticFiles(directory="nowhere")
    with pytest.raises(ConfigurationError, match="there is no directory"):
        StaticFiles(directory=[root, root / "css" / "site.css"])
    with pytest.raises(ConfigurationError, match="needs a place"):
        StaticFiles()
    with pytest.raises(ConfigurationError, match="needs a place"):
        StaticFiles(directory=[])
    with pytest.raises(ConfigurationError, match="no package"):
        StaticFiles(packages=["nosuchpackage"])


async def test_a_directory_may_come_later(tmp_path: Path) -> None:
    files = StaticFiles(directory=tmp_path / "later", check_dir=False)
    assert (await get(files, "/a.txt")).status == 404
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.txt").write_text("here")
    assert (await get(files, "/a.txt")).body == b"here"


async def test_a_relative_directory_is_that_of_the_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    files = StaticFiles(directory="static")
    monkeypatch.chdir("/")
    assert (await get(files, "/css/site.css")).body == CSS


@pytest.mark.parametrize("middlewares", [0, 1])
@pytest.mark.parametrize("method, headers", [("GET", {}), ("GET", {"range": "bytes=0-0,9-9"}), ("HEAD", {})])
async def test_the_file_is_closed_when_the_client_leaves(
    root: Path, monkeypatch: pytest.MonkeyPatch, middlewares: int, method: str, headers: dict[str, str]
) -> None:
    opened: list[OpenFile] = []

    class Noted(OpenFile):
        def __init__(self, path: str, **options: Any) -> None:
            super().__init__(path, **options)
            opened.append(self)

    async def through(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    monkeypatch.setattr(reading, "OpenFile", Noted)
    app = MicroASGI(middleware=[through] * middlewares)
    app.mount("/static", StaticFiles(directory=root))
    left = Faults(leave_after_bytes=0)
    await request(app, method, "/static/large.bin", headers=headers, faults=left, raise_errors=False)
    assert [file._closed for file in opened] == [True]


class TestHTML:
    """Directories with an index, and a page for what is missing."""

    @pytest.fixture
    def site(self, root: Path) -> StaticFiles:
        (root / "index.html").write_text("home")
        (root / "docs").mkdir()
        (root / "docs" / "index.html").write_text("docs")
        (root / "odd").mkdir()
        (root / "odd" / "index.html").mkdir()
        (root / "ab:c").mkdir()
        (root / "ab:c" / "index.html").write_text("colon")
        return StaticFiles(directory=root, html=True)

    async def test_a_directory_is_its_index(self, site: StaticFiles) -> None:
        answer = await get(site, "/docs/")
        assert (answer.body, answer.header(b"content-type")) == (b"docs", b"text/html; charset=utf-8")
        assert (await get(site, "/")).body == b"home"

    @pytest.mark.parametrize(
        "path, location",
        [
            ("/docs", b"./docs/"),
            ("", b"./static/"),
            ("/docs?a=1&b=%2F", b"./docs/?a=1&b=%2F"),
            ("/ab:c", b"./ab:c/"),
        ],
    )
    async def test_a_directory_without_its_slash_is_a_relative_redirect(
        self, site: StaticFiles, path: str, location: bytes
    ) -> None:
        answer = await get(site, path)
        assert (answer.status, answer.header(b"location")) == (307, location)

    async def test_a_directory_without_an_index_is_not_there(self, site: StaticFiles) -> None:
        for path in ("/css", "/css/", "/odd/", "/odd"):
            assert (await get(site, path)).status == 404

    async def test_the_index_may_be_in_the_second_directory(self, site: StaticFiles, root: Path) -> None:
        other = root.parent / "other"
        (other / "docs").mkdir(parents=True)
        files = StaticFiles(directory=[other, root], html=True)
        assert (await get(files, "/docs/")).body == b"docs"

    async def test_a_page_for_what_is_missing(self, site: StaticFiles, root: Path) -> None:
        (root / "404.html").write_text("nothing here")
        for _ in range(2):
            answer = await get(site, "/gone", if_none_match="*", range="bytes=0-1")
            assert (answer.status, answer.body) == (404, b"nothing here")
        assert (await get(site, "/.env")).body != b"nothing here"

    @pytest.mark.parametrize("policy", [FOREVER, lambda path: FOREVER, None])
    async def test_that_page_is_not_kept_under_the_name_of_a_file_to_come(
        self, root: Path, policy: static.CachePolicy
    ) -> None:
        (root / "404.html").write_text("nothing here")
        files = StaticFiles(directory=root, html=True, cache_control=policy)
        answer = await get(files, "/css/new.js")
        assert (answer.status, answer.header(b"cache-control")) == (404, b"no-cache")


class TestCaching:
    """What may be kept, and for how long."""

    async def test_the_client_is_told_that_it_has_the_file(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        for _ in range(2):
            etag = ((await get(files, "/css/site.css")).header(b"etag") or b"").decode()
            again = await get(files, "/css/site.css", if_none_match=etag)
            assert (again.status, again.header(b"cache-control")) == (304, b"no-cache")

    async def test_a_range_of_a_kept_file(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        for _ in range(2):
            assert (await get(files, "/css/site.css", range="bytes=0-3")).body == CSS[:4]

    async def test_a_name_with_the_right_hash_may_be_kept_for_ever(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        name = files.asset_path("css/site.css")
        assert name.startswith("css/site.")
        assert len(name) == len("css/site.123456789012.css")
        for _ in range(2):
            answer = await get(files, f"/{name}")
            assert (answer.status, answer.body) == (200, CSS)
            assert answer.header(b"cache-control") == b"public, max-age=31536000, immutable"
            assert answer.header(b"content-type") == b"text/css; charset=utf-8"

    async def test_another_hash_gets_the_present_file_which_may_not_be_kept(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        old = files.asset_path("css/site.css")
        (root / "css" / "site.css").write_text("new")
        new = files.asset_path("css/site.css")
        assert new != old
        answer = await get(files, f"/{old}")
        assert (answer.body, answer.header(b"cache-control")) == (b"new", b"no-cache")
        assert b"immutable" in ((await get(files, f"/{new}")).header(b"cache-control") or b"")

    @pytest.mark.parametrize("policy", [FOREVER, lambda path: FOREVER, None])
    async def test_no_policy_keeps_the_present_file_under_another_hash(
        self, root: Path, policy: static.CachePolicy
    ) -> None:
        files = StaticFiles(directory=root, cache_control=policy)
        answer = await get(files, "/css/site.0123456789ab.css")
        assert (answer.body, answer.header(b"cache-control")) == (CSS, b"no-cache")
        etag = (answer.header(b"etag") or b"").decode()
        again = await get(files, "/css/site.0123456789ab.css", if_none_match=etag)
        assert (again.status, again.header(b"cache-control")) == (304, b"no-cache")

    @pytest.mark.parametrize(
        "policy, expected", [("private, max-age=9", b"private, no-cache"), ("No-Store", b"no-store, no-cache")]
    )
    async def test_another_hash_gives_no_more_leave_to_store_than_the_policy(
        self, root: Path, policy: str, expected: bytes
    ) -> None:
        files = StaticFiles(directory=root, cache_control=policy)
        assert (await get(files, "/css/site.0123456789ab.css")).header(b"cache-control") == expected

    async def test_a_file_that_changes_after_its_hash_was_made_may_not_be_kept(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def change_and_load(path: str, **options: Any) -> reading.Loaded:
            Path(path).write_bytes(b"new")
            return load(path, **options)

        files = StaticFiles(directory=root)
        name = files.asset_path("css/site.css")
        monkeypatch.setattr(static, "load", change_and_load)
        answer = await get(files, f"/{name}")
        assert (answer.body, answer.header(b"cache-control")) == (b"new", b"no-cache")

    async def test_a_made_up_hash_of_a_large_file_costs_no_hash(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (root / "film.bin").open("wb") as file:
            file.truncate(fingerprints.ON_REQUEST + 1)
        made: list[str] = []
        monkeypatch.setattr(fingerprints, "_make", lambda key: made.append(key[0]))
        files = StaticFiles(directory=root)
        for number in range(3):
            answer = await get(files, f"/film.{number:012x}.bin", "HEAD")
            assert (answer.status, answer.header(b"cache-control")) == (200, b"no-cache")
        assert made == []

    async def test_a_large_file_is_kept_under_the_hash_that_was_given_out(self, root: Path) -> None:
        with (root / "film.bin").open("wb") as file:
            file.truncate(fingerprints.ON_REQUEST + 1)
        name = StaticFiles(directory=root).asset_path("film.bin")
        answer = await get(StaticFiles(directory=root), f"/{name}", "HEAD")
        assert answer.header(b"cache-control") == FOREVER.encode()

    async def test_a_small_file_is_kept_under_a_hash_that_another_process_gave_out(self, root: Path) -> None:
        name = StaticFiles(directory=root).asset_path("css/site.css")
        fingerprints._made.clear()
        assert (await get(StaticFiles(directory=root), f"/{name}")).header(b"cache-control") == FOREVER.encode()

    def test_no_more_is_hashed_than_the_file_had(self, root: Path) -> None:
        path = str(root / "css" / "site.css")
        status = os.stat(path)
        before = fingerprint(path, status)
        fingerprints._made.clear()
        for content in (CSS + b"more", CSS[:4]):
            Path(path).write_bytes(content)
            assert (fingerprint(path, status) == before) == (content != CSS[:4])
            fingerprints._made.clear()

    def test_a_hash_is_asked_for_by_text_or_by_a_path(self, root: Path) -> None:
        class Named:
            def __fspath__(self) -> str:
                return "css/site.css"

        files = StaticFiles(directory=root)
        names = {
            files.asset_path(path)
            for path in ("css/site.css", Path("css") / "site.css", PureWindowsPath("css", "site.css"), Named())
        }
        assert len(names) == 1

    @pytest.mark.parametrize("path", [None, 3, b"css/site.css", ["css"]])
    def test_a_hash_of_what_is_no_path_is_an_error_that_shows_one(self, root: Path, path: Any) -> None:
        with pytest.raises(TypeError, match=r'asset_path takes .*"css/site\.css".*, not'):
            StaticFiles(directory=root).asset_path(path)

    async def test_a_hash_of_a_file_that_is_missing_is_404(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        assert (await get(files, "/css/gone.0123456789ab.css")).status == 404
        assert (await get(files, "/css/site.0123456789ab.css/")).status == 404

    async def test_a_hash_is_made_once_for_each_state_of_a_file(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = StaticFiles(directory=root)
        made: list[str] = []

        def note(path: str, status: os.stat_result) -> str:
            made.append(path)
            return fingerprint(path, status)

        monkeypatch.setattr(static, "fingerprint", note)
        names = {files.asset_path("css/site.css") for _ in range(3)}
        assert (len(names), len(made)) == (1, 1)

    @pytest.mark.parametrize("path", ["css/gone.css", "", "/", "css", ".env", "../static-secret/x", "css/"])
    def test_a_path_without_a_file_is_an_error_that_names_it(self, root: Path, path: str) -> None:
        with pytest.raises(LookupError, match=f"there is no file '{path}' in /"):
            StaticFiles(directory=root).asset_path(path)

    def test_a_file_that_is_gone_has_no_hash(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        files.asset_path("css/site.css")
        shutil.rmtree(root / "css")
        with pytest.raises(LookupError):
            files.asset_path("css/site.css")

    def test_a_file_that_goes_away_while_it_is_asked_for_is_an_error_for_each(self, root: Path) -> None:
        path = root / "css" / "site.css"
        status = path.stat()
        path.unlink()
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                fingerprint(str(path), status)
        assert fingerprints._in_work == {}  # pyright: ignore[reportPrivateUsage]

    def test_what_is_remembered_of_hashes_is_bounded(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("microasgi.files.fingerprints._MOST", 1)
        files = StaticFiles(directory=root)
        assert files.asset_path("css/site.css") != files.asset_path("large.bin")

    async def test_the_policy_is_a_parameter(self, root: Path) -> None:
        def policy(path: str) -> str | None:
            return None if path.startswith("css/") else "max-age=60"

        answers = {
            kind: (await get(StaticFiles(directory=root, cache_control=kind), "/css/site.css")).header(b"cache-control")
            for kind in ("public, max-age=300", None, policy)
        }
        assert list(answers.values()) == [b"public, max-age=300", None, None]
        other = await get(StaticFiles(directory=root, cache_control=policy), "/large.bin")
        assert other.header(b"cache-control") == b"max-age=60"

    def test_a_policy_that_is_no_header_is_refused_at_set_up(self, root: Path) -> None:
        with pytest.raises(ValueError, match="control character"):
            StaticFiles(directory=root, cache_control="a\r\nb")


class TestPackedSiblings:
    """Files that lie packed beside the one that is asked for."""

    async def test_the_best_one_that_the_client_takes_is_sent(self, root: Path) -> None:
        for suffix in (".br", ".zst", ".gz"):
            pack(root / "css" / "site.css", suffix, suffix.encode())
        files = StaticFiles(directory=root)
        for accept, coding, body in [
            ("gzip, deflate, br, zstd", b"br", b".br"),
            ("gzip, zstd", b"zstd", b".zst"),
            ("gzip;q=0.1", b"gzip", b".gz"),
            ("gzip, br;q=0.5", b"gzip", b".gz"),
            ("identity", None, CSS),
        ]:
            for _ in range(2):
                answer = await get(files, "/css/site.css", accept_encoding=accept)
                assert (answer.header(b"content-encoding"), answer.body) == (coding, body)
                assert answer.header(b"vary") == b"accept-encoding"
                assert answer.header(b"content-type") == b"text/css; charset=utf-8"

    async def test_each_has_a_tag_of_its_own(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", CSS)
        pack(root / "css" / "site.css", ".br", CSS)
        files = StaticFiles(directory=root)
        tags = {
            (await get(files, "/css/site.css", accept_encoding=coding)).header(b"etag") for coding in ("gzip", "br", "")
        }
        assert len(tags) == 3

    async def test_a_range_is_one_of_the_packed_bytes(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", b"packed")
        answer = await get(StaticFiles(directory=root), "/css/site.css", accept_encoding="gzip", range="bytes=0-1")
        assert (answer.status, answer.body, answer.header(b"content-encoding")) == (206, b"pa", b"gzip")

    async def test_one_that_is_older_than_the_file_is_not_sent(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", b"old", age=60)
        answer = await get(StaticFiles(directory=root), "/css/site.css", accept_encoding="gzip")
        assert (answer.body, answer.header(b"vary")) == (CSS, None)

    async def test_one_that_grows_old_while_it_is_kept_is_not_sent(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", b"packed")
        files = StaticFiles(directory=root)
        assert (await get(files, "/css/site.css", accept_encoding="gzip")).body == b"packed"
        later = (root / "css" / "site.css").stat().st_mtime + 60
        os.utime(root / "css" / "site.css", (later, later))
        assert (await get(files, "/css/site.css", accept_encoding="gzip")).body == CSS

    async def test_one_that_is_no_file_or_leads_out_is_not_sent(self, root: Path) -> None:
        (root / "css" / "site.css.br").mkdir()
        (root / "css" / "site.css.gz").symlink_to(root.parent / "static-secret" / "x")
        answer = await get(StaticFiles(directory=root), "/css/site.css", accept_encoding="br, gzip")
        assert answer.body == CSS

    async def test_they_can_be_left_out(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", b"packed")
        files = StaticFiles(directory=root, precompressed=False)
        assert (await get(files, "/css/site.css", accept_encoding="gzip")).body == CSS

    async def test_a_name_with_a_hash_has_them_too(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", b"packed", age=-1)
        files = StaticFiles(directory=root)
        for _ in range(2):
            answer = await get(files, "/" + files.asset_path("css/site.css"), accept_encoding="gzip")
            assert (answer.body, answer.header(b"cache-control")) == (b"packed", FOREVER.encode())

    async def test_one_that_is_not_newer_than_the_file_may_not_be_kept_under_its_hash(self, root: Path) -> None:
        pack(root / "css" / "site.css", ".gz", b"of the last version")
        os.utime(root / "css" / "site.css", (1_700_000_000, 1_700_000_000))
        os.utime(root / "css" / "site.css.gz", (1_700_000_000, 1_700_000_000))
        files = StaticFiles(directory=root, cache_control=FOREVER)
        name = "/" + files.asset_path("css/site.css")
        for _ in range(2):
            answer = await get(files, name, accept_encoding="gzip")
            assert (answer.body, answer.header(b"cache-control")) == (b"of the last version", b"no-cache")
        assert (await get(files, name)).header(b"cache-control") == FOREVER.encode()


class TestCost:
    """How often a request goes into a worker thread."""

    async def test_a_small_file_costs_one_hop_and_then_none(self, root: Path, hops: list[str]) -> None:
        files = StaticFiles(directory=root)
        await get(files, "/css/site.css")
        assert hops == ["_open"]
        await get(files, "/css/site.css")
        await get(files, "/css/site.css", if_none_match="*")
        assert hops == ["_open"]

    async def test_without_memory_every_request_costs_one(self, root: Path, hops: list[str]) -> None:
        files = StaticFiles(directory=root, memory=0)
        for _ in range(2):
            assert (await get(files, "/css/site.css")).body == CSS
        assert hops == ["_open"] * 2

    async def test_a_large_file_sent_by_path_costs_one(self, root: Path, hops: list[str]) -> None:
        app = mounted(StaticFiles(directory=root))
        answer = await request(app, path="/static/large.bin", extensions={"http.response.pathsend": {}})
        assert answer.messages[-1] == {"type": "http.response.pathsend", "path": str(root / "large.bin")}
        assert hops == ["_open"]

    async def test_a_path_that_no_file_can_have_costs_none(self, root: Path, hops: list[str]) -> None:
        await get(StaticFiles(directory=root), "/../x")
        assert hops == []

    async def test_a_file_that_changes_is_read_again(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        for content in (b"one", b"two", b"three"):
            (root / "css" / "site.css").write_bytes(content)
            os.utime(root / "css" / "site.css", ns=(len(content), content[0]))
            assert (await get(files, "/css/site.css")).body == content

    async def test_a_file_that_goes_is_not_there_any_more(self, root: Path) -> None:
        files = StaticFiles(directory=root)
        await get(files, "/css/site.css")
        (root / "css" / "site.css").unlink()
        assert (await get(files, "/css/site.css")).status == 404

    async def test_a_link_that_turns_outwards_is_not_followed_from_memory(self, root: Path) -> None:
        (root / "link").symlink_to("css")
        files = StaticFiles(directory=root)
        (root.parent / "static-secret" / "site.css").write_text("secret")
        assert (await get(files, "/link/site.css")).status == 200
        (root / "link").unlink()
        (root / "link").symlink_to(root.parent / "static-secret")
        assert (await get(files, "/link/site.css")).status == 404

    async def test_a_file_is_searched_for_again_after_seconds(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = root.parent / "own"
        (own / "css").mkdir(parents=True)
        files = StaticFiles(directory=[own, root])
        assert (await get(files, "/css/site.css")).body == CSS
        (own / "css" / "site.css").write_text("own")
        now = memory.monotonic()
        monkeypatch.setattr(memory, "monotonic", lambda: now + 6)
        assert (await get(files, "/css/site.css")).body == b"own"

    async def test_names_with_wrong_hashes_do_not_fill_the_memory(self, root: Path, hops: list[str]) -> None:
        files = StaticFiles(directory=root)
        await get(files, "/css/site.css")
        for number in range(5):
            assert (await get(files, f"/css/site.{number:012x}.css")).body == CSS
        assert len(hops) == 6
        assert len(files._memory._entries) == 1

    async def test_the_memory_stays_below_its_budget(self, root: Path, hops: list[str]) -> None:
        for number in range(4):
            (root / f"{number}.txt").write_bytes(b"x" * 1000)
        files = StaticFiles(directory=root, memory=7000)  # two of them, with what they cost besides
        for number in (0, 1, 2, 3, 3, 2, 0):
            await get(files, f"/{number}.txt")
        assert len(hops) == 5

    def test_an_entry_is_replaced_by_one_of_its_name(self, root: Path) -> None:
        kept = Memory(10_000)
        for _ in range(20):
            kept.put(("a", ()), load(str(root / "css" / "site.css")), [], [], ())
        assert kept._used < 5000
        assert kept.get(("a", ())) is not None
