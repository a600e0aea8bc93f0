"""The clients of a Django project's tests: in the test's transaction, as a user, http and websocket, sync and async."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import TestCase, TransactionTestCase, override_settings
from django.urls import get_script_prefix, path
from django.utils import translation

from microasgi import HTMLResponse, MicroASGI, Request, WebSocket
from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge
from microasgi.django.testclient import AsyncDjangoTestClient, DjangoTestClient
from microasgi.exceptions import ConfigurationError, WebSocketDisconnect
from tests.django.loaded import Note, User, urls

ROOT = Path(__file__).parents[2]


def refuse(request: HttpRequest) -> HttpResponse:
    """Fail."""
    raise LookupError("a view that fails")


def post(request: HttpRequest) -> HttpResponse:
    """Take what needs a token."""
    return HttpResponse(request.method)


def sync_middleware(get_response: Any) -> Any:
    """Be a middleware that knows nothing of async: what is inside runs while this thread waits."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)  # type: ignore[no-any-return]

    return middleware


app = MicroASGI()


def in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@app.get("/async")
async def count_async(request: Request) -> dict[str, Any]:
    return {"count": await Note.objects.acount()}


@app.get("/sync")
def count_sync(request: Request) -> dict[str, Any]:
    return {"count": Note.objects.count(), "main": in_main_thread()}


@app.get("/back")
def back(request: Request) -> dict[str, Any]:
    async def count() -> int:
        return await Note.objects.acount()

    return {"count": async_to_sync(count)()}


@app.post("/notes")
async def add(request: Request) -> dict[str, Any]:
    note = await Note.objects.acreate(text=(await request.body()).decode())
    return {"id": note.pk}


@app.post("/rolled-back")
def roll_back(request: Request) -> None:
    with transaction.atomic():
        Note.objects.create(text="never")
        raise LookupError("a handler that fails")


@app.get("/stream")
async def stream(request: Request) -> HTMLResponse:
    translation.activate("fr")
    return HTMLResponse(await sync_to_async(translation.get_language)())


@app.get("/me")
async def me(request: Request) -> dict[str, Any]:
    user = await request.user()
    return {"user": user.get_username(), "pages": await request.session.aget("pages", 0)}


@app.get("/pages")
async def pages(request: Request) -> dict[str, Any]:
    await request.session.aset("pages", await request.session.aget("pages", 0) + 1)
    return {}


@app.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    user = await websocket.user()
    await websocket.accept()
    async for text in websocket.iter_text():
        await Note.objects.acreate(text=text)
        await websocket.send_json({"user": user.get_username(), "count": await Note.objects.acount()})


urlpatterns = [
    *urls.urlpatterns,
    path("refuse/", refuse),
    path("post/", post),
    path("inside/", bridge(app)),
]

plain = MicroASGI()


@plain.get("/async")
async def count_plainly(request: Request) -> dict[str, Any]:
    return {"count": await Note.objects.acount()}


@plain.lifespan
async def lifespan() -> Any:
    yield {"notes": await Note.objects.acount()}


@plain.get("/state")
async def state(request: Request) -> dict[str, Any]:
    return {"notes": request.state.notes}


_made: list[Any] = []


def application() -> Any:
    """The project's application, made when Django is ready."""
    if not _made:
        _made.append(asgi({"/api": app, "/plain": plain}))
    return _made[0]


def __getattr__(name: str) -> Any:
    if name == "asgi_application":  # what settings name
        return application()
    raise AttributeError(name)


@override_settings(ROOT_URLCONF=__name__)
class InATestCase(TestCase):
    """The test has a transaction, which is rolled back."""

    def setUp(self) -> None:
        self.begun = Note.objects.count()
        Note.objects.create(text="of the test")
        self.http = DjangoTestClient(application())
        self.addCleanup(self.http.close)

    def test_the_async_orm_sees_the_tests_rows(self) -> None:
        assert self.http.get("/api/async").json() == {"count": self.begun + 1}

    def test_sync_handlers_see_them_in_the_tests_thread(self) -> None:
        assert self.http.get("/api/sync").json() == {"count": self.begun + 1, "main": True}

    def test_async_code_called_from_a_sync_handler_sees_them(self) -> None:
        assert self.http.get("/api/back").json() == {"count": self.begun + 1}

    def test_django_pages_see_them(self) -> None:
        assert self.http.get("/count/").json() == {"count": self.begun + 1}

    def test_the_test_sees_the_applications_rows(self) -> None:
        note = Note.objects.get(pk=self.http.post("/api/notes", content="of the handler").json()["id"])
        assert note.text == "of the handler"

    def test_an_application_without_a_layer_of_django_sees_them(self) -> None:
        with DjangoTestClient(plain) as client:
            assert client.get("/async").json() == {"count": self.begun + 1}

    def test_the_lifespan_sees_them(self) -> None:
        with self.http:
            assert self.http.get("/plain/state").json() == {"notes": self.begun + 1}

    def test_a_socket_sees_them(self) -> None:
        with self.http.websocket_connect("/api/ws") as ws:
            ws.send_text("of the socket")
            assert ws.receive_json() == {"user": "", "count": self.begun + 2}
        assert Note.objects.filter(text="of the socket").exists()

    def test_requests_in_an_atomic_block_of_the_test_share_it(self) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            self.http.post("/api/notes", content="gone")
            raise ZeroDivisionError
        assert not Note.objects.filter(text="gone").exists()

    def test_what_a_handler_rolled_back_is_gone_and_the_tests_rows_are_there(self) -> None:
        with pytest.raises(LookupError, match="a handler that fails"):
            self.http.post("/api/rolled-back")
        assert not Note.objects.filter(text="never").exists()
        assert Note.objects.filter(text="of the test").exists()

    def test_what_a_view_raises_is_raised_here(self) -> None:
        with pytest.raises(LookupError, match="a view that fails"):
            self.http.get("/refuse/")

    def test_an_error_page_is_returned_when_that_is_asked_for(self) -> None:
        with DjangoTestClient(application(), raise_server_exceptions=False) as client:
            assert client.get("/refuse/").status_code == 500

    def test_the_language_of_a_handler_is_not_the_tests(self) -> None:
        before = translation.get_language(), get_script_prefix()
        assert self.http.get("/api/stream").text == "fr"
        assert (translation.get_language(), get_script_prefix()) == before

    def test_an_application_inside_the_urlconf_sees_the_tests_rows(self) -> None:
        assert self.http.get("/inside/async").json() == {"count": self.begun + 1}
        assert self.http.get("/inside/sync").json() == {"count": self.begun + 1, "main": True}

    def test_it_does_so_below_sync_middleware(self) -> None:
        with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.sync_middleware"]):
            with DjangoTestClient(asgi({"/api": app})) as client:
                for kind in ("async", "sync", "back"):
                    assert client.get(f"/inside/{kind}").json()["count"] == self.begun + 1
                assert client.get("/count/").json() == {"count": self.begun + 1}

    def test_two_clients_take_turns(self) -> None:
        with DjangoTestClient(application()) as other, self.http.websocket_connect("/api/ws") as ws:
            ws.send_text("one")
            assert other.get("/api/sync").json()["main"] is True
            assert other.post("/api/notes", content="two").status_code == 200
            assert ws.receive_json()["count"] in (self.begun + 2, self.begun + 3)

    def test_a_client_that_is_forgotten_ends_with_an_open_socket(self) -> None:
        client = DjangoTestClient(application())
        client.websocket_connect("/api/ws").__enter__().send_text("late")
        del client
        gc.collect()
        assert self.http.get("/api/sync").status_code == 200

    def test_the_connection_stays_open_for_the_test(self) -> None:
        mine = connection.connection
        self.http.get("/count/")
        assert connection.connection is mine


class OfUsers(TestCase):
    """The client as somebody."""

    def setUp(self) -> None:
        self.user = User.objects.create_user("ann", password="secret")
        self.http = DjangoTestClient(application())
        self.addCleanup(self.http.close)

    def test_nobody_is_logged_in_at_first(self) -> None:
        assert self.http.get("/whoami/").json()["user"] == "AnonymousUser"
        assert self.http.get("/api/me").json()["user"] == ""

    def test_a_user_is_known_to_pages_handlers_and_sockets(self) -> None:
        self.http.force_login(self.user)
        assert self.http.get("/whoami/").json()["user"] == "ann"
        assert self.http.get("/api/me").json()["user"] == "ann"
        with self.http.websocket_connect("/api/ws") as ws:
            ws.send_text("hello")
            assert ws.receive_json()["user"] == "ann"

    def test_credentials_log_in_too(self) -> None:
        assert not self.http.login(username="ann", password="wrong")
        assert self.http.get("/api/me").json()["user"] == ""
        assert self.http.login(username="ann", password="secret")
        assert self.http.get("/api/me").json()["user"] == "ann"

    def test_logging_out_deletes_the_session(self) -> None:
        self.http.force_login(self.user)
        store = self.http.session
        self.http.logout()
        assert not store.exists(store.session_key)
        assert self.http.get("/api/me").json()["user"] == ""

    def test_another_user_takes_the_place_of_the_first(self) -> None:
        self.http.force_login(self.user)
        self.http.force_login(User.objects.create_user("bob"))
        assert self.http.get("/api/me").json()["user"] == "bob"

    def test_the_session_keeps_what_the_application_writes(self) -> None:
        self.http.get("/api/pages")
        self.http.get("/api/pages")
        assert self.http.session["pages"] == 2
        assert len([cookie for cookie in self.http.cookies.jar if cookie.name == "sessionid"]) == 1

    def test_the_session_is_kept_when_somebody_logs_in(self) -> None:
        self.http.get("/api/pages")
        self.http.force_login(self.user)
        assert self.http.get("/api/me").json() == {"user": "ann", "pages": 1}

    def test_what_the_test_saves_in_the_session_is_read(self) -> None:
        session = self.http.session
        session["pages"] = 7
        session.save()
        assert self.http.get("/api/me").json()["pages"] == 7

    def test_the_login_page_works(self) -> None:
        self.user.is_staff = self.user.is_superuser = True
        self.user.save()
        page = self.http.post("/admin/login/?next=/whoami/", data={"username": "ann", "password": "secret"})
        assert page.json()["user"] == "ann"
        assert self.http.get("/api/me").json()["user"] == "ann"
        assert self.http.get("/admin/").status_code == 200


@override_settings(ROOT_URLCONF=__name__)
class OfTokens(TestCase):
    """CSRF."""

    def setUp(self) -> None:
        self.user = User.objects.create_user("ann")

    def test_unsafe_requests_carry_a_token(self) -> None:
        with DjangoTestClient(application()) as client:
            assert client.post("/post/").text == "POST"
            client.force_login(self.user)
            assert client.post("/post/").text == "POST"
            assert client.post("/api/notes", content="x").status_code == 200

    def test_they_do_so_over_https(self) -> None:
        with DjangoTestClient(application(), base_url="https://testserver") as client:
            client.force_login(self.user)
            assert client.post("/post/").text == "POST"
            assert client.post("/api/notes", content="x").status_code == 200

    @override_settings(CSRF_USE_SESSIONS=True)
    def test_they_do_so_where_the_session_has_the_token(self) -> None:
        with DjangoTestClient(application()) as client:
            client.force_login(self.user)
            assert client.post("/post/").text == "POST"

    def test_the_tests_own_header_is_left_alone(self) -> None:
        with DjangoTestClient(application()) as client:
            assert client.post("/post/", headers={"x-csrftoken": "wrong"}).status_code == 403

    def test_they_carry_none_when_that_is_tested(self) -> None:
        with DjangoTestClient(application(), enforce_csrf_checks=True) as client:
            assert client.post("/post/").status_code == 403
            client.force_login(self.user)
            assert client.post("/api/notes", content="x").status_code == 403


class InAnAsyncTest(TestCase):
    """The async client in a `TestCase`, whose coroutines Django runs from the test's thread."""

    async def test_everything_is_in_the_tests_transaction(self) -> None:
        begun = await Note.objects.acount()
        await Note.objects.acreate(text="of the test")
        async with AsyncDjangoTestClient(application()) as client:
            assert (await client.get("/api/async")).json() == {"count": begun + 1}
            assert (await client.get("/api/sync")).json() == {"count": begun + 1, "main": True}
            assert (await client.get("/count/")).json() == {"count": begun + 1}
            assert (await client.get("/plain/state")).json() == {"notes": begun + 1}
            assert (await client.post("/api/notes", content="x")).status_code == 200
            async with client.websocket_connect("/api/ws") as ws:
                await ws.send_text("of the socket")
                assert await ws.receive_json() == {"user": "", "count": begun + 3}
        assert await Note.objects.acount() == begun + 3

    async def test_a_user_is_known(self) -> None:
        user = await User.objects.acreate_user("ann", password="secret")
        async with AsyncDjangoTestClient(application()) as client:
            await client.aforce_login(user)
            assert (await client.get("/api/me")).json()["user"] == "ann"
            assert (await client.post("/api/notes", content="x")).status_code == 200
            await client.alogout()
            assert (await client.get("/api/me")).json()["user"] == ""
            assert await client.alogin(username="ann", password="secret")
            assert (await client.get("/api/me")).json()["user"] == "ann"

    async def test_requests_at_the_same_time_do_not_block_each_other(self) -> None:
        async with AsyncDjangoTestClient(application()) as client:
            answers = await asyncio.gather(*(client.get(f"/api/{kind}") for kind in ["async", "sync", "back"] * 5))
        assert {answer.status_code for answer in answers} == {200}

    async def test_what_a_view_raises_is_raised_here(self) -> None:
        with override_settings(ROOT_URLCONF=__name__):
            async with AsyncDjangoTestClient(application()) as client:
                with pytest.raises(LookupError, match="a view that fails"):
                    await client.get("/refuse/")

    async def test_below_sync_middleware_everything_is_seen_as_well(self) -> None:
        begun = await Note.objects.acount()
        await Note.objects.acreate(text="of the test")
        middleware = [*settings.MIDDLEWARE, f"{__name__}.sync_middleware"]
        with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware):
            async with AsyncDjangoTestClient(asgi({"/api": app})) as client:
                for kind in ("async", "sync", "back"):
                    assert (await client.get(f"/inside/{kind}")).json()["count"] == begun + 1

    async def test_the_sync_client_says_which_one_to_take(self) -> None:
        with pytest.raises(RuntimeError, match="use AsyncDjangoTestClient"):
            DjangoTestClient(application())


class InATransactionTestCase(TransactionTestCase):
    """The test has no transaction: everything is committed, and deleted at the end."""

    available_apps = ("tests.django.project.notes", "django.contrib.auth", "django.contrib.contenttypes",
                      "django.contrib.sessions")  # fmt: skip

    def test_rows_are_seen_both_ways(self) -> None:
        Note.objects.create(text="of the test")
        with DjangoTestClient(application()) as client:
            assert client.get("/api/async").json() == {"count": 1}
            assert client.get("/api/sync").json() == {"count": 1, "main": True}
            assert client.get("/count/").json() == {"count": 1}
            client.post("/api/notes", content="x")
        assert Note.objects.count() == 2

    async def test_rows_are_seen_both_ways_from_a_coroutine(self) -> None:
        await Note.objects.acreate(text="of the test")
        async with AsyncDjangoTestClient(application()) as client:
            assert (await client.get("/api/sync")).json()["count"] == 1
            assert (await client.get("/count/")).json() == {"count": 1}


class WithTheTestCasesOwnClient(TestCase):
    client_class = DjangoTestClient  # type: ignore[assignment]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.enterClassContext(override_settings(ASGI_APPLICATION=f"{__name__}.asgi_application"))

    def test_it_talks_to_the_project_s_application(self) -> None:
        assert self.client.get("/api/async").json() == {"count": Note.objects.count()}


@pytest.mark.anyio
async def test_on_a_loop_of_a_plugin_the_async_client_sees_what_is_committed() -> None:
    note = await Note.objects.acreate(text="committed")
    try:
        async with AsyncDjangoTestClient(application()) as client:
            assert (await client.get("/api/sync")).json()["count"] >= 1
            assert (await client.get("/count/")).json()["count"] >= 1
    finally:
        await note.adelete()


def test_an_application_is_asked_for_where_the_settings_have_none() -> None:
    with pytest.raises(ConfigurationError, match="which application\\? Write ASGI_APPLICATION"):
        DjangoTestClient()


def test_the_dependencies_of_an_application_can_be_overridden() -> None:
    with DjangoTestClient(app) as client, client.override({}):
        assert client.app.dependency_overrides == {}


def test_a_socket_that_the_application_refuses_is_told() -> None:
    with DjangoTestClient(application()) as client, pytest.raises(WebSocketDisconnect):
        client.websocket_connect("/nothing/").__enter__()


def test_djangos_connections_are_closed_after_requests_again() -> None:
    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections

    with DjangoTestClient(application()) as client:
        client.get("/")
    for signal in (request_started, request_finished):
        assert signal.disconnect(close_old_connections)
        signal.connect(close_old_connections)


PROJECT_TESTS = """
from django.contrib.auth.models import User
from django.test import TestCase

from microasgi.django.testclient import DjangoTestClient


class NotesTests(TestCase):
    def test_a_user_sees_the_rows_of_the_test(self):
        user = User.objects.create_user("ann")
        with DjangoTestClient() as client:
            client.force_login(user)
            assert client.get("/api/users").json() == {"user": "ann", "count": 1}
            assert client.get("/api/users-sync").json() == {"count": 1}

    async def test_it_works_in_a_coroutine(self):
        from microasgi.django.testclient import AsyncDjangoTestClient

        await User.objects.acreate_user("ann")
        async with AsyncDjangoTestClient() as client:
            assert (await client.get("/api/users")).json() == {"user": "", "count": 1}
"""
PYTEST_TESTS = """
import pytest
from django.contrib.auth.models import User

from microasgi.django.testclient import AsyncDjangoTestClient, DjangoTestClient


@pytest.fixture
def http(db):
    with DjangoTestClient() as client:
        yield client


def test_a_user_sees_the_rows_of_the_test(http, django_user_model):
    http.force_login(django_user_model.objects.create_user("ann"))
    assert http.get("/api/users").json() == {"user": "ann", "count": 1}
    assert http.get("/api/users-sync").json() == {"count": 1}


def test_the_rows_are_gone_afterwards(http):
    assert http.get("/api/users").json() == {"user": "", "count": 0}


@pytest.mark.django_db(transaction=True)
@pytest.mark.anyio
async def test_it_works_in_a_coroutine():
    await User.objects.acreate_user("ann")
    async with AsyncDjangoTestClient() as client:
        assert (await client.get("/api/users")).json() == {"user": "", "count": 1}
        assert (await client.get("/api/users-sync")).json() == {"count": 1}


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
API = """
from django.contrib.auth.models import User

from microasgi import MicroASGI

app = MicroASGI()


@app.get("/users")
async def users(request):
    user = await request.user()
    return {"user": user.get_username(), "count": await User.objects.acount()}


@app.get("/users-sync")
def users_sync(request):
    return {"count": User.objects.count()}
"""
ASGI = """
import os

from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

application = asgi({"/api": "mysite.api:app"})
"""


@pytest.fixture(scope="module")
def fresh_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as `django-admin startproject` makes it, with an API."""
    folder = tmp_path_factory.mktemp("fresh")
    run(folder, "-m", "django", "startproject", "mysite", ".")
    (folder / "mysite" / "api.py").write_text(API)
    (folder / "mysite" / "asgi.py").write_text(ASGI)
    (folder / "mysite" / "tests.py").write_text(PROJECT_TESTS)
    (folder / "test_with_pytest.py").write_text(PYTEST_TESTS)
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write('ASGI_APPLICATION = "mysite.asgi.application"\nINSTALLED_APPS += ["microasgi.django"]\n')
    return folder


def run(folder: Path, *arguments: str) -> str:
    names = ("DJANGO_SETTINGS_MODULE", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])
    result = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.slow
def test_the_clients_work_under_manage_py_test(fresh_project: Path) -> None:
    assert "Ran 2 tests" in run(fresh_project, "manage.py", "test", "mysite")


@pytest.mark.slow
def test_the_clients_work_under_pytest_django(fresh_project: Path) -> None:
    pytest.importorskip("pytest_django", reason="needs pytest-django")
    (fresh_project / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = mysite.settings\n")
    out = run(fresh_project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_with_pytest.py")
    assert "3 passed" in out
