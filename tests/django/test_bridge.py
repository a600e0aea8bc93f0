"""A bridge in a URLconf, over WSGI as Django's sync test client has it: scopes, responses, errors, names."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.signals import got_request_exception, request_finished
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, TestCase, override_settings
from django.urls import reverse, set_script_prefix

from microasgi.django.bridge import bridge
from microasgi.django.bridged_exchange import Exchange
from microasgi.exceptions import ConfigurationError

URLCONF = "tests.django.project.bridged_urls"


@pytest.fixture(autouse=True)
def urlconf() -> Iterator[None]:
    """The URLconf with the bridges."""
    with override_settings(ROOT_URLCONF=URLCONF):
        yield


def events() -> list[str]:
    from tests.django.project import bridged

    return bridged.events


def get(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers).json()


def test_what_is_below_the_path_goes_to_the_application() -> None:
    assert get("/api/") == {"at": "/api"}
    assert get("/api/items/3") == {"item": 3}
    assert Client().get("/api/nothing").status_code == 404
    assert Client().get("/").content == b"django"


def test_the_path_without_its_slash_is_redirected_by_django() -> None:
    assert Client().get("/api").headers["location"] == "/api/"


def test_a_path_that_only_begins_like_the_bridge_is_not_below_it() -> None:
    assert get("/no-slash/items/3") == {"item": 3}
    assert Client().get("/no-slash").json() == {"at": "/no-slash"}
    assert Client().get("/no-slashes").status_code == 404


def test_any_character_may_stand_in_the_path() -> None:
    assert Client().get("/api/items/3%0A").status_code == 404
    assert get("/api/scope?q=%C3%A9&q=2")["query"] == "q=%C3%A9&q=2"


def test_the_scope_has_the_whole_path_and_the_root_path_of_the_bridge() -> None:
    scope = get("/api/scope?a=1")
    assert (scope["path"], scope["root"], scope["query"]) == ("/api/scope", "/api", "a=1")
    assert scope["url"] == "http://testserver/api/items/3"
    assert (scope["scheme"], scope["method"], scope["client"]) == ("http", "GET", ["127.0.0.1", 0])
    assert scope["server"] == ["testserver", 80]
    assert scope["django"] == "/api/scope"


def test_the_root_path_begins_with_the_script_name() -> None:
    client = Client(SCRIPT_NAME="/site")
    scope = client.get("/api/scope").json()
    assert (scope["path"], scope["root"]) == ("/site/api/scope", "/site/api")
    assert scope["url"] == "http://testserver/site/api/items/3"


@override_settings(FORCE_SCRIPT_NAME="/forced")
def test_the_root_path_begins_with_the_forced_script_name() -> None:
    scope = get("/api/scope")
    assert (scope["path"], scope["root"]) == ("/forced/api/scope", "/forced/api")


@override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
def test_the_scheme_is_the_one_that_django_trusts() -> None:
    assert get("/api/scope", X_Forwarded_Proto="https")["scheme"] == "https"


def test_headers_of_the_environ_are_there() -> None:
    headers = get("/api/scope", X_Own="1", Accept="text/html")["headers"]
    assert ["x-own", "1"] in headers
    assert ["accept", "text/html"] in headers


def test_parameters_before_the_bridge_are_path_params() -> None:
    scope = get("/deep/acme/2024/api/scope")
    assert scope["root"] == "/deep/acme/2024/api"
    assert scope["params"] == {"tenant": "acme", "year": 2024}
    assert get("/deep/acme/2024/api/items/3") == {"tenant": "acme", "year": 2024, "item": 3}


@override_settings(MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"])
def test_a_bridge_may_stand_below_the_prefix_of_a_language() -> None:
    assert get("/de/told/items/3") == {"item": 3}
    assert get("/de/told/scope")["root"] == "/de/told"


def test_sync_endpoints_may_call_async_code() -> None:
    assert get("/api/back-and-forth") == {"count": 0, "anyio": 7}


def test_many_threads_may_ask_at_once() -> None:
    def ask(number: int) -> list[Any]:
        try:
            rows: Any = Client().get("/api/rows")
            return [get(f"/api/items/{number}"), get("/api/count-in-def")["count"], b"".join(rows)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(24)))
    assert answers == [[{"item": number}, 0, b"rows:0;0"] for number in range(24)]


def test_nothing_of_a_request_is_kept() -> None:
    logging.disable()  # pytest keeps records, with their tracebacks
    try:
        for _ in range(20):
            Client().get("/api/")
            Client(raise_request_exception=False).get("/api/fail")
            b"".join(Client().get("/api/stream"))  # type: ignore[arg-type]
    finally:
        logging.disable(logging.NOTSET)
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, Exchange)] == []


def test_the_named_bridge_is_found_by_reverse() -> None:
    assert reverse("api:root", urlconf=URLCONF) == "/api/"
    assert reverse("api:path", kwargs={"path": "items/1"}, urlconf=URLCONF) == "/api/items/1"
    params = {"tenant": "acme", "year": 2024}
    assert reverse("deep:root", kwargs=params, urlconf=URLCONF) == "/deep/acme/2024/api/"
    assert reverse("deep:path", kwargs={**params, "path": "x"}, urlconf=URLCONF) == "/deep/acme/2024/api/x"


def test_script_prefix_and_language_are_those_of_the_request() -> None:
    middleware = ["django.middleware.locale.LocaleMiddleware"]
    set_script_prefix("/site/")  # as Django's handlers do, but not those of its test clients
    try:
        with override_settings(MIDDLEWARE=middleware, LANGUAGES=[("de", "German")]):
            seen = Client().get("/api/prefix", headers={"accept-language": "de"}).json()
            in_def = Client().get("/api/prefix-in-def", headers={"accept-language": "de"}).json()
    finally:
        set_script_prefix("/")
    assert seen["here"] == seen["sensitive"] == in_def == ["/site/", "/site/admin/", "de"]


def test_the_lifespan_has_run_before_the_first_answer_and_gives_its_state() -> None:
    assert get("/api/scope")["state"] == {"shelf": "full"}
    events().clear()
    assert get("/unguarded/scope")["state"] == {"shelf": "full"}
    assert events() == []


def test_the_lifespan_of_another_framework_runs_too_once() -> None:
    events().clear()
    assert [Client().get("/starting/").content for _ in range(2)] == [b"other", b"other"]
    assert events() == ["other started"]


def test_an_application_that_does_not_start_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    assert [Client().get("/not-started/").status_code for _ in range(2)] == [503, 503]
    assert "ZeroDivisionError: at start" in caplog.text


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
def test_djangos_surroundings_are_not_there_twice() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/surrounded/echo", b"{}", content_type="application/json").content == b"{}"
    assert client.post("/surrounded/visit").json() == {"visits": 1}
    assert client.post("/surrounded/visit").status_code == 403  # now there is a session
    assert client.session["visits"] == 1


def test_djangos_system_check_has_nothing_against_bridges() -> None:
    from django.core.checks import run_checks

    assert [message for message in run_checks() if message.id and message.id.startswith("urls.")] == []


def test_headers_that_come_twice_are_joined_and_django_adds_its_own() -> None:
    response = Client().get("/api/headers")
    assert response.status_code == 207
    assert response.reason_phrase == "Multi-Status"
    assert response.headers["Vary"] == "Accept, Origin"
    assert response.headers["Link"] == "</a>, </b>"
    assert response.headers["Content-Type"] == "text/x-own; charset=utf-8"
    assert response.headers["Content-Length"] == "1"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_a_response_without_a_content_type_gets_none() -> None:
    response = Client().get("/api/bare")
    assert response.status_code == 204
    assert not response.has_header("Content-Type")


def test_head_has_the_length_of_get_and_no_body() -> None:
    response = Client().head("/api/")
    assert (response.headers["Content-Length"], response.content) == ("13", b"")
    unknown = Client().head("/api/stream")
    assert not unknown.has_header("Content-Length")


def test_a_response_streams_part_by_part() -> None:
    response: Any = Client().get("/api/stream")
    assert response.streaming
    assert not response.is_async
    assert list(response) == [b"0;", b"1;", b"2;"]


def test_an_endless_stream_answers_and_ends_when_it_is_closed() -> None:
    events().clear()
    response: Any = Client().get("/api/endless")
    parts = iter(response)
    assert next(parts) == b"x" * 1024
    response.close()
    assert [event.rpartition(" ")[0] for event in events()] == ["endless closed after"]
    assert int(events()[0].rpartition(" ")[2]) < 20  # it was made to wait


def test_an_application_that_is_silent_for_a_while_has_its_headers_sent() -> None:
    events().clear()
    response: Any = Client().get("/api/silent")
    assert response.status_code == 200
    response.close()
    assert events() == ["silent closed"]


def test_a_stream_reads_the_database_when_the_view_has_returned() -> None:
    assert b"".join(Client().get("/api/rows")) == b"rows:0;0"  # type: ignore[arg-type]


def test_an_error_reaches_django_and_its_test_client() -> None:
    seen: list[Any] = []

    def note(request: HttpRequest, **_: Any) -> None:
        seen.append(request.path)

    got_request_exception.connect(note)
    try:
        with pytest.raises(ZeroDivisionError, match="in the endpoint"):
            Client().get("/api/fail")
        response = Client(raise_request_exception=False).get("/api/fail")
    finally:
        got_request_exception.disconnect(note)
    assert seen == ["/api/fail", "/api/fail"]
    assert response.status_code == 500
    assert b"<h1>Server Error (500)</h1>" in response.content


def test_an_error_is_logged_once_by_django(caplog: pytest.LogCaptureFixture) -> None:
    assert Client(raise_request_exception=False).get("/api/fail").status_code == 500
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("django.request", "Internal Server Error: /api/fail")
    ]


def test_an_error_that_could_mean_a_disconnect_reaches_django() -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        Client().get("/api/fail-by-system")


def test_an_error_that_the_application_handles_is_answered_by_it() -> None:
    response = Client().get("/api/expected")
    assert (response.status_code, response.content) == (404, b"found nothing")


def test_an_error_reaches_django_though_the_application_has_sent_a_page() -> None:
    with pytest.raises(ZeroDivisionError, match="after the page"):
        Client().get("/page/")


def test_a_refusal_with_a_status_of_5xx_is_no_error() -> None:
    response = Client().get("/api/unavailable")
    assert (response.status_code, response.content) == (503, b"come later")


def test_an_error_in_the_middle_ends_the_stream() -> None:
    response: Any = Client().get("/api/broken")
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        b"".join(response)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/silent/", "ended without sending a response"),
        ("/confused/", "'http.response.body', which has no place in a response that is not begun"),
        ("/confused/trailers", "'http.response.trailers', which has no place"),
        ("/confused/status", "answered with the status 799"),
        ("/confused/cookie", "quote the value"),
    ],
)
def test_what_no_response_can_be_is_an_error_that_says_so(path: str, text: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=text.replace("(", r"\(")):
        Client().get(path)


def test_background_tasks_run_after_the_response() -> None:
    events().clear()
    finished: list[int] = []

    def note(**_: Any) -> None:
        finished.append(len(events()))

    request_finished.connect(note)
    try:
        assert Client().get("/api/later").content == b"now"
    finally:
        request_finished.disconnect(note)
    assert events() == ["background done"]
    assert finished == [1]


def test_an_error_in_the_background_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "microasgi"):
        assert Client().get("/api/later-fails").content == b"now"
    assert "in the background" in caplog.text


def test_a_session_that_is_changed_while_streaming_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    response: Any = Client().get("/api/late")
    with caplog.at_level(logging.WARNING, "microasgi"):
        assert b"".join(response) == b"begun;done"
    assert "the session was changed while the response to GET '/api/late' was streaming" in caplog.text


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
def test_the_session_is_the_one_of_django() -> None:
    client = Client()
    assert [client.post("/unguarded/visit").json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert client.session["visits"] == 3


def test_the_application_is_told_that_its_response_is_over() -> None:
    events().clear()
    assert Client().get("/receiver/").content == b"0"
    assert events() == ["http.disconnect"]


class InATransaction(TestCase):
    """What TestCase promises."""

    def test_the_application_sees_the_transaction_of_the_test(self) -> None:
        from django.contrib.auth.models import User

        from tests.django.project.notes.models import Note

        Note.objects.create(text="only here")
        assert get("/api/count") == {"count": 1}
        assert get("/api/count-in-def") == {"count": 1, "in_transaction": True}
        assert b"".join(Client().get("/api/rows")) == b"rows:1;1"  # type: ignore[arg-type]
        client = Client()
        client.force_login(User.objects.create(username="anna"))
        assert client.get("/api/me").json() == {"user": "anna"}
        assert client.get("/api/me-in-def").json() == {"user": "anna"}
        assert client.post("/api/visit").json() == {"visits": 1}
        assert client.session["visits"] == 1

    async def test_it_does_with_the_async_client_too(self) -> None:
        from django.contrib.auth.models import User

        from tests.django.project.notes.models import Note

        await Note.objects.acreate(text="only here")
        client = self.async_client
        for path in ("/api/count", "/api/count-in-def"):
            assert (await client.get(path)).json()["count"] == 1
        response: Any = await client.get("/api/rows")
        assert b"".join([part async for part in response.streaming_content]) == b"rows:1;1"
        await client.aforce_login(await User.objects.acreate(username="anna"))
        assert (await client.get("/api/me")).json() == {"user": "anna"}
        assert (await client.get("/api/me-in-def")).json() == {"user": "anna"}


def test_atomic_requests_do_not_stop_a_bridge_and_a_write_before_an_error_is_kept() -> None:
    from django.db import connection

    from tests.django.project.notes.models import Note

    before, connection.settings_dict["ATOMIC_REQUESTS"] = connection.settings_dict["ATOMIC_REQUESTS"], True
    try:
        assert get("/api/count-in-def") == {"count": 0, "in_transaction": False}
        with pytest.raises(ZeroDivisionError):
            Client().post("/unguarded/write-and-fail")
        assert [note.text for note in Note.objects.all()] == ["kept"]
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = before
        Note.objects.all().delete()


def test_a_view_is_no_longer_than_its_request() -> None:
    view: Any = bridge("tests.django.project.bridged:page_then_raise")[0][0].callback
    with pytest.raises(ZeroDivisionError):
        asyncio.run(view(RequestFactory().get("/")))


@pytest.mark.parametrize(
    ("app", "text"),
    [
        ("shop.api", "is written as 'package.module:name'"),
        ("shop.api:app", "No module named 'shop'"),
        ("tests.django.project.bridged:nothing", "has no 'nothing', which is to be the application of bridge"),
        (7, "is 7, which cannot be called"),
    ],
)
def test_an_application_that_is_not_there_is_refused_at_set_up(app: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        bridge(app)


def test_a_guard_that_is_unknown_is_refused_at_set_up() -> None:
    with pytest.raises(ConfigurationError, match="True, False or"):
        bridge("tests.django.project.bridged:app", csrf="sometimes")  # type: ignore[arg-type]


def test_every_cookie_is_sent_as_it_was_written() -> None:
    from tests.django.project.bridged import COOKIES

    response = Client().get("/api/cookies")
    assert sorted(cookie.OutputString() for cookie in response.cookies.values()) == sorted(COOKIES)
    assert response.cookies["full"]["samesite"] == "None"
    assert response.cookies["full"]["max-age"] == "60"
    assert response.cookies["quoted"].value == "a b"


def test_a_cookie_that_a_middleware_changes_is_changed() -> None:
    cookies = Client().get("/api/cookies").cookies
    cookies["full"]["samesite"] = "Lax"
    assert "SameSite=Lax" in cookies["full"].OutputString()
    assert cookies["full"].OutputString().endswith("Priority=High")


def test_a_response_with_cookies_can_be_pickled() -> None:
    import pickle

    from tests.django.project.bridged import COOKIES

    cookies = Client().get("/api/cookies").cookies
    again = pickle.loads(pickle.dumps(cookies))
    assert sorted(cookie.OutputString() for cookie in again.values()) == sorted(COOKIES)


def replacing(get_response: Any) -> Any:
    """A middleware that answers itself instead of the view."""

    def middleware(request: HttpRequest) -> HttpResponse:
        get_response(request)
        return HttpResponse(json.dumps("mine"))

    return middleware


@override_settings(MIDDLEWARE=[f"{__name__}.replacing"])
def test_a_middleware_may_drop_a_response(caplog: pytest.LogCaptureFixture) -> None:
    events().clear()
    assert Client().get("/api/endless").content == b'"mine"'
    for _ in range(200):
        if events():
            break
        import time

        time.sleep(0.01)
    assert len(events()) == 1
