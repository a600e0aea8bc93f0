"""Sessions: what comes back with the next request, in which cookie, and what is never believed."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import HTTPException, MicroASGI, Middleware, Request, Response, StreamingResponse, WebSocket
from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.middleware import MemoryStore, Session, SessionMiddleware
from microasgi.middleware.session import Saved
from microasgi.middleware.signing import Signatures
from microasgi.testing import Exchange, lifespan_scope, request, websocket_scope
from microasgi.types import ASGIApp, Receive, Scope, Send
from tests.middleware.visitor import KEY, Visitor

pytestmark = pytest.mark.anyio

OTHER_KEY = "sH6bGh1ZkQm5u9-qW0xTzYvN3rLcE7jA_pVdB2fKoM8"


def shop() -> MicroASGI:
    """An application that uses its session in every way."""
    app = MicroASGI()

    @app.get("/")
    async def show(request: Request) -> dict[str, Any]:
        return dict(request.session)

    @app.get("/static")
    async def static() -> str:
        return "nobody looks"

    @app.get("/identity")
    async def identity(request: Request) -> str:
        return str(request.session.identity)

    @app.post("/login")
    async def login(request: Request) -> str:
        request.session.cycle()
        request.session["user"] = {"name": "Ada", "seen": []}
        return "welcome"

    @app.post("/see")
    async def see(request: Request) -> str:
        request.session["user"]["seen"].append("tea")
        return "seen"

    @app.post("/logout")
    async def logout(request: Request) -> str:
        request.session.clear()
        return "goodbye"

    @app.post("/large")
    async def large(request: Request) -> str:
        request.session.update(small="x", cart="x" * 4000, name="x" * 200)
        return "too much"

    @app.post("/object")
    async def keeps_an_object(request: Request) -> str:
        request.session.update(fine=1, wrong=object())
        return "no"

    @app.post("/fail/{status:int}")
    async def fail(request: Request) -> str:
        request.session["failed"] = request.path_params["status"]
        raise HTTPException(request.path_params["status"])

    @app.get("/late")
    async def late(request: Request) -> Response:
        async def body() -> Any:
            yield b"begun"
            request.session["late"] = True

        return StreamingResponse(body())

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        websocket.session["visits"] = websocket.session.get("visits", 0) + 1
        await websocket.accept()
        await websocket.send_json(websocket.session)

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        websocket.session["visits"] = 1
        raise HTTPException(404)

    return app


def stacked(**options: Any) -> ASGIApp:
    """The shop with sessions, in signed cookies unless a store is given."""
    if "store" not in options:
        options.setdefault("secret_key", KEY)
    return SessionMiddleware(shop(), **options)


@pytest.fixture(params=["cookie", "store"])
def app(request: pytest.FixtureRequest) -> ASGIApp:
    return stacked() if request.param == "cookie" else stacked(store=MemoryStore())


@pytest.fixture
def visitor(app: ASGIApp) -> Visitor:
    return Visitor(app)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr("microasgi.middleware.keepers.time", lambda: self.now)
        monkeypatch.setattr("microasgi.middleware.stores.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_what_is_put_in_comes_back_with_the_next_request(visitor: Visitor) -> None:
    assert (await visitor.get()).json() == {}
    await visitor.post("/login")
    assert (await visitor.get()).json() == {"user": {"name": "Ada", "seen": []}}


async def test_a_nested_change_is_noticed(visitor: Visitor) -> None:
    await visitor.post("/login")
    await visitor.post("/see")
    await visitor.post("/see")
    assert (await visitor.get()).json()["user"]["seen"] == ["tea", "tea"]


async def test_an_emptied_session_takes_its_cookie_away(visitor: Visitor) -> None:
    await visitor.post("/login")
    await visitor.post("/logout")
    assert visitor.set_cookies == [
        "session=; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=0; Path=/; SameSite=lax"
    ]
    assert (await visitor.get()).json() == {}
    await visitor.post("/logout")
    assert visitor.set_cookies == []


async def test_who_does_not_look_gets_neither_cookie_nor_vary(visitor: Visitor) -> None:
    await visitor.post("/login")
    answer = await visitor.get("/static")
    assert (answer.header(b"vary"), visitor.set_cookies) == (None, [])


async def test_a_session_that_was_only_read_makes_the_response_vary(visitor: Visitor) -> None:
    assert (await visitor.get()).header(b"vary") == b"Cookie"
    await visitor.post("/login")
    answer = await visitor.get()
    assert (answer.header(b"vary"), visitor.set_cookies) == (b"Cookie", [])


async def test_the_cookie_has_the_safe_flags(visitor: Visitor) -> None:
    await visitor.post("/login")
    assert visitor.set_cookies[0].endswith("; HttpOnly; Max-Age=1209600; Path=/; SameSite=lax")


async def test_the_cookie_is_secure_when_the_request_came_by_https(app: ASGIApp) -> None:
    visitor = Visitor(app, scheme="https")
    await visitor.post("/login")
    assert visitor.set_cookies[0].endswith("; SameSite=lax; Secure")
    await visitor.post("/logout")
    assert visitor.set_cookies[0].endswith("; SameSite=lax; Secure")


@pytest.mark.parametrize(
    ("options", "scheme", "flags"),
    [
        ({"https_only": True}, "http", "Max-Age=1209600; Path=/; SameSite=lax; Secure"),
        ({"https_only": False}, "https", "Max-Age=1209600; Path=/; SameSite=lax"),
        ({"same_site": "none"}, "http", "Max-Age=1209600; Path=/; SameSite=none; Secure"),
        ({"partitioned": True}, "http", "Max-Age=1209600; Partitioned; Path=/; SameSite=lax; Secure"),
        ({"max_age": None, "same_site": "strict"}, "http", "HttpOnly; Path=/; SameSite=strict"),
        ({"path": "/shop", "domain": "tea.example"}, "http", "Max-Age=1209600; Path=/shop; SameSite=lax"),
    ],
)
async def test_the_flags_can_be_chosen(options: dict[str, Any], scheme: str, flags: str) -> None:
    visitor = Visitor(stacked(**options), scheme)
    await visitor.post("/login")
    assert visitor.set_cookies[0].endswith(f"; {flags}")
    assert ("Domain=tea.example" in visitor.set_cookies[0]) is ("domain" in options)


async def test_a_prefixed_name_is_secure_over_http_too() -> None:
    visitor = Visitor(stacked(session_cookie="__Host-session"))
    await visitor.post("/login")
    assert visitor.set_cookies[0].startswith("__Host-session=")
    assert visitor.set_cookies[0].endswith("; Secure")


async def test_a_login_changes_the_identity(visitor: Visitor) -> None:
    await visitor.post("/login")
    before, names = await visitor.get("/identity"), dict(visitor.cookies)
    assert (await visitor.get("/identity")).body == before.body
    await visitor.post("/login")
    assert visitor.cookies != names
    assert (await visitor.get("/identity")).body != before.body


async def test_what_follows_a_clear_has_another_identity() -> None:
    async def start_again(scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["session"]
        identities.append(session.identity)
        session.clear()
        session["new"] = True
        identities.append(session.identity)
        await Response("done")(scope, receive, send)

    identities: list[str] = []
    visitor = Visitor(SessionMiddleware(start_again, store=MemoryStore()))
    await visitor.get()
    await visitor.get()
    first, second, third, fourth = identities
    assert second == third
    assert len({first, second, fourth}) == 3


async def test_a_visit_after_a_tenth_of_its_lifetime_renews_the_session(visitor: Visitor, clock: Clock) -> None:
    await visitor.post("/login")
    clock.now += 1209600 * 0.05
    await visitor.get()
    assert visitor.set_cookies == []
    clock.now += 1209600 * 0.9
    await visitor.get()
    assert len(visitor.set_cookies) == 1
    clock.now += 1209600 * 0.9
    assert (await visitor.get()).json()["user"]["name"] == "Ada"


async def test_a_session_ends_max_age_after_its_last_use(visitor: Visitor, clock: Clock) -> None:
    await visitor.post("/login")
    clock.now += 1209601
    assert (await visitor.get()).json() == {}
    assert visitor.set_cookies == []


async def test_a_session_until_the_browser_closes_has_no_end_in_its_cookie(clock: Clock) -> None:
    visitor = Visitor(stacked(max_age=None))
    await visitor.post("/login")
    clock.now += 10 * 1209600
    assert (await visitor.get()).json() != {}
    assert visitor.set_cookies == []


async def test_a_store_keeps_a_session_until_the_browser_closes_for_two_weeks(clock: Clock) -> None:
    visitor = Visitor(stacked(max_age=None, store=MemoryStore()))
    await visitor.post("/login")
    clock.now += 1209599
    assert (await visitor.get()).json() != {}
    clock.now += 1209601
    assert (await visitor.get()).json() == {}


async def test_another_servers_clock_may_be_ahead(clock: Clock) -> None:
    visitor = Visitor(stacked())
    await visitor.post("/login")
    clock.now -= 5
    assert (await visitor.get()).json() != {}


async def test_any_change_of_the_cookie_is_no_session() -> None:
    visitor = Visitor(stacked())
    await visitor.post("/login")
    value = visitor.cookies["session"]
    for position in range(0, len(value), 7):
        other = "A" if value[position] not in "ABCD" else "g"  # the last one has two bits that mean nothing
        visitor.cookies["session"] = value[:position] + other + value[position + 1 :]
        assert (await visitor.get()).json() == {}
    visitor.cookies["session"] = value
    assert (await visitor.get()).json() != {}


async def test_the_cookie_of_another_name_or_key_is_no_session() -> None:
    visitor = Visitor(stacked())
    await visitor.post("/login")
    admin = Visitor(stacked(session_cookie="admin"))
    admin.cookies = {"admin": visitor.cookies["session"]}
    assert (await admin.get()).json() == {}
    other = Visitor(stacked(secret_key=OTHER_KEY))
    other.cookies = dict(visitor.cookies)
    assert (await other.get()).json() == {}


async def test_the_first_key_signs_and_all_are_believed() -> None:
    old = Visitor(stacked(secret_key=KEY))
    await old.post("/login")
    rotating = Visitor(stacked(secret_key=[OTHER_KEY, KEY]))
    rotating.cookies = dict(old.cookies)
    await rotating.post("/see")
    new = Visitor(stacked(secret_key=OTHER_KEY))
    new.cookies = dict(rotating.cookies)
    assert (await new.get()).json()["user"]["seen"] == ["tea"]


@pytest.mark.parametrize("text", ["", "no", "a.b", "zz.id.e30=", "6b.id.!", "6b.id.WzFd", "6b.id._w==", "6b.id.eyI="])
async def test_what_we_signed_but_cannot_read_is_no_session(text: str) -> None:
    visitor = Visitor(stacked(max_age=None))
    visitor.cookies = {"session": Signatures(KEY, "microasgi.session:session").sign(text)}
    assert (await visitor.get()).json() == {}


@pytest.mark.parametrize("record", [b"", b"no", b"6b.[1]", b"6b.\xff", b"zz.{}", b'6b.{"a":'])
async def test_what_is_stored_but_cannot_be_read_is_no_session(record: bytes) -> None:
    class Odd(MemoryStore):
        async def load(self, key: str) -> bytes | None:
            return record

    visitor = Visitor(stacked(store=Odd()))
    visitor.cookies = {"session": "x" * 43}
    assert (await visitor.get()).json() == {}


@given(value=st.text(st.characters(max_codepoint=255), max_size=60) | st.sampled_from(["x" * 5000, "x" * 43, "." * 99]))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_in_the_cookie_is_a_session(value: str) -> None:
    async def read() -> Any:
        return (await request(stacked(), headers=[("cookie", f"session={value}")])).json()

    assert anyio.run(read) == {}


async def test_a_cookie_too_large_to_be_ours_is_not_looked_at(visitor: Visitor) -> None:
    visitor.cookies = {"session": "x" * 4094}
    assert (await visitor.get()).json() == {}


async def test_a_cookie_among_others_is_found(visitor: Visitor) -> None:
    await visitor.post("/login")
    visitor.cookies = {"not_session": "1", **visitor.cookies, "theme": "dark"}
    assert (await visitor.get()).json() != {}
    visitor.cookies = {"not_session": visitor.cookies["session"]}
    assert (await visitor.get()).json() == {}


async def test_a_session_too_large_for_a_cookie_is_an_error_that_names_what_is_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    visitor = Visitor(MicroASGI(routes=shop().routes, middleware=[Middleware(SessionMiddleware, KEY)]))
    answer = await visitor.post("/large")
    assert (answer.status, visitor.set_cookies) == (500, [])
    assert "the session needs 5" in caplog.text
    assert "'cart' (4002 bytes), 'name' (202 bytes), 'small' (3 bytes)" in caplog.text


async def test_a_store_takes_large_sessions() -> None:
    visitor = Visitor(stacked(store=MemoryStore()))
    await visitor.post("/large")
    assert (await visitor.get()).json()["cart"] == "x" * 4000


async def test_a_value_that_is_no_json_is_an_error_that_names_its_key(app: ASGIApp) -> None:
    with pytest.raises(ValueError, match=r"session\['wrong'\] cannot be kept: Object of type object is not JSON"):
        await request(app, "POST", "/object")


@pytest.mark.parametrize("text", ["é", "日本", "\ud800", '"\\;,'])
async def test_any_text_comes_back(text: str) -> None:
    async def keep(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["session"]))
        scope["session"][text] = text
        await Response("kept")(scope, receive, send)

    for options in ({"secret_key": KEY}, {"store": MemoryStore()}):
        seen: list[dict[str, Any]] = []
        visitor = Visitor(SessionMiddleware(keep, **options))
        await visitor.get()
        await visitor.get()
        assert seen == [{}, {text: text}]


@pytest.mark.parametrize(("status", "kept"), [(400, True), (403, True), (500, False), (503, False)])
async def test_a_failed_request_leaves_the_session_as_it_was(visitor: Visitor, status: int, kept: bool) -> None:
    answer = await visitor.post(f"/fail/{status}")
    assert (answer.status, answer.header(b"vary")) == (status, b"Cookie")
    assert (await visitor.get()).json() == ({"failed": status} if kept else {})


async def test_an_exception_that_escapes_leaves_the_session_as_it_was() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["a"] = 1
        raise LookupError("lost")

    answer = await request(SessionMiddleware(failing, KEY), raise_errors=False)
    assert (answer.status, repr(answer.error)) == (0, "LookupError('lost')")


async def test_a_change_after_the_start_is_an_error_not_a_silent_loss(app: ASGIApp) -> None:
    with pytest.raises(RuntimeError, match="the response has started"):
        await request(app, path="/late")


async def test_a_vary_of_the_application_is_kept() -> None:
    async def varying(scope: Scope, receive: Receive, send: Send) -> None:
        len(scope["session"])
        await Response("x", headers={"vary": "Accept"})(scope, receive, send)

    assert (await request(SessionMiddleware(varying, KEY))).header(b"vary") == b"Accept, Cookie"


async def test_a_start_without_headers_can_carry_the_cookie() -> None:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"]["a"] = 1
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    answer = await request(SessionMiddleware(bare, KEY))
    assert [name for name, _ in answer.headers] == [b"vary", b"set-cookie"]


async def test_a_socket_reads_the_session_and_accepts_with_its_cookie(visitor: Visitor) -> None:
    for visits in (1, 2):
        cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
        scope = websocket_scope("/ws", headers={"cookie": cookies} if cookies else {})
        async with Exchange(visitor.app, scope) as exchange:
            await exchange.send_input({"type": "websocket.connect"})
            accept = await exchange.receive_output()
            ((name, value),) = accept["headers"]
            assert (name, value.startswith(b"session=")) == (b"set-cookie", True)
            visitor.cookies = {"session": value.decode().partition("=")[2].partition(";")[0]}
            assert json.loads((await exchange.receive_output())["text"]) == {"visits": visits}
    assert (await visitor.get()).json() == {"visits": 2}


async def test_a_denied_handshake_carries_the_cookie_too(app: ASGIApp) -> None:
    async with Exchange(app, websocket_scope("/denied")) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        start = await exchange.receive_output()
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
    assert b"set-cookie" in dict(start["headers"])


async def test_the_lifespan_passes(app: ASGIApp) -> None:
    async with Exchange(app, lifespan_scope()) as exchange:
        await exchange.send_input({"type": "lifespan.startup"})
        assert (await exchange.receive_output())["type"] == "lifespan.startup.complete"
        await exchange.send_input({"type": "lifespan.shutdown"})
        assert (await exchange.receive_output())["type"] == "lifespan.shutdown.complete"


async def test_requests_from_other_sites_are_refused_unless_that_is_turned_off() -> None:
    forged = {"headers": {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}}
    assert (await request(stacked(), "POST", "/login", **forged)).status == 403  # type: ignore[arg-type]
    for options in (
        {"origin_protection": False},
        {"allowed_origins": ["https://evil.example"]},
        {"exempt": ["/login"]},
    ):
        assert (await request(stacked(**options), "POST", "/login", **forged)).status == 200  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (None, "secret_key is missing"),
        ([], "secret_key is missing"),
        ("", "has 0 bytes, it needs at least 32"),
        ("short", "has 5 bytes"),
        ("x" * 40, "has 1 different characters"),
        ("django-insecure-4f7h2k9s0d8f7g6h5j4k3l2", "contains 'insecure'"),
        ("please-CHANGEme-before-you-deploy-this-0123", "contains 'change'"),
        (KEY.encode(), "is of type bytes, not str"),
        (object(), "is of type object, not str"),
        ((KEY, "short"), r"secret_key\[1\] has 5 bytes"),
        ([KEY, 5], r"secret_key\[1\] is of type int"),
    ],
)
@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_a_weak_key_is_refused_with_the_command_that_makes_one(key: Any, says: str, store: Any) -> None:
    if key is None and store is not None:
        return
    with pytest.raises(ConfigurationError, match=rf"{says}.*secrets\.token_urlsafe\(32\)") as raised:
        SessionMiddleware(shop(), key, store=store)
    assert "short" not in str(raised.value)
    assert "deploy" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_age": 0}, "max_age=0: give seconds"),
        ({"session_cookie": "my session"}, "the name must be a token"),
        ({"same_site": "none", "https_only": False}, "samesite='none' needs secure=True .secure is https_only here"),
        ({"session_cookie": "__Host-s", "path": "/shop"}, "__Host- needs path"),
        ({"same_site": "loose"}, "'loose'"),
        ({"domain": "a;b"}, "domain has ';'"),
        ({"origin_protection": False, "exempt": ["/a"]}, "which is turned off"),
        ({"origin_protection": False, "allowed_origins": ["https://a.example"]}, "which is turned off"),
    ],
)
def test_what_does_not_fit_is_refused_at_set_up(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        stacked(**options)


def test_a_missing_itsdangerous_is_said_at_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    with pytest.raises(MissingPackage, match=r'pip install "microasgi\[sessions\]"'):
        stacked()
    stacked(store=MemoryStore())  # which signs nothing


def test_importing_the_middleware_imports_no_package() -> None:
    code = "import microasgi.middleware, sys; print({'itsdangerous', 'redis'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


# The dictionary


@pytest.fixture
def session() -> Session:
    return Session(lambda: Saved("id", b'{"a":{"b":[1]},"c":2}', 0))


READING: list[Callable[[Session], Any]] = [
    lambda session: session["c"] == 2,
    lambda session: "c" in session,
    lambda session: session.get("c") == 2,
    lambda session: len(session) == 2,
    bool,
    lambda session: list(session) == ["a", "c"],
    lambda session: list(reversed(session)) == ["c", "a"],
    lambda session: list(session.keys()) == ["a", "c"],
    lambda session: list(session.values())[1] == 2,
    lambda session: list(session.items())[1] == ("c", 2),
    lambda session: session == {"a": {"b": [1]}, "c": 2},
    lambda session: {"a": {"b": [1]}, "c": 2} == session,  # noqa: SIM300
    lambda session: session != {},
    lambda session: repr(session) == "{'a': {'b': [1]}, 'c': 2}",
    lambda session: (session | {"d": 1})["c"] == 2,
    lambda session: ({"d": 1} | session)["c"] == 2,
    lambda session: session.copy()["c"] == 2,
    lambda session: dict(session)["c"] == 2,
    lambda session: {**session}["c"] == 2,
    lambda session: json.loads(json.dumps(session))["c"] == 2,
    lambda session: json.loads(json.dumps(session, indent=1))["c"] == 2,
    lambda session: type(copy.copy(session)) is dict and copy.copy(session)["c"] == 2,
    lambda session: copy.deepcopy(session)["a"] == {"b": [1]},
    lambda session: pickle.loads(pickle.dumps(session))["c"] == 2,
    lambda session: (lambda **given: given["c"] == 2)(**session),
    lambda session: session.identity != "id",
]


@pytest.mark.parametrize("look", READING)
def test_every_way_of_reading_is_noticed(session: Session, look: Callable[[Session], Any]) -> None:
    assert session.accessed is False
    assert look(session)
    assert (session.accessed, session.modified) == (True, False)


CHANGING: list[Callable[[Session], Any]] = [
    lambda session: session.__setitem__("d", 1),
    lambda session: session.__delitem__("c"),
    lambda session: session.pop("c"),
    lambda session: session.popitem(),
    lambda session: session.setdefault("d", 1),
    lambda session: session.update(d=1),
    lambda session: session.__ior__({"d": 1}),
    lambda session: session.clear(),
    lambda session: session.cycle(),
    lambda session: session["a"]["b"].append(2),
]


@pytest.mark.parametrize("change", CHANGING)
def test_every_way_of_changing_is_noticed(session: Session, change: Callable[[Session], Any]) -> None:
    assert session.modified is False
    change(session)
    assert (session.accessed, session.modified) == (True, True)


@pytest.mark.parametrize("change", CHANGING[:-1])
def test_no_way_of_changing_works_after_the_start(session: Session, change: Callable[[Session], Any]) -> None:
    session.ended = True
    with pytest.raises(RuntimeError, match="cannot be changed any more"):
        change(session)
    assert session["c"] == 2


def test_a_new_session_is_empty_and_unchanged_until_something_is_put_in() -> None:
    session = Session()
    assert session == {}
    session.cycle()
    session.clear()
    assert session.modified is False
    session["a"] = 1
    assert session.modified is True


def test_a_key_that_is_no_text_is_named() -> None:
    session = Session()
    session[(1, 2)] = 1  # type: ignore[index]
    with pytest.raises(ValueError, match=r"session\[\(1, 2\)\] cannot be kept"):
        session.change()


def test_a_value_nested_too_deep_is_named() -> None:
    session = Session()
    value: list[Any] = []
    value.append(value)
    session.update(fine=1, deep=value)
    with pytest.raises(ValueError, match=r"session\['deep'\] cannot be kept"):
        session.change()


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
@settings(max_examples=50, deadline=None)
def test_any_json_comes_back_unchanged(values: dict[str, Any]) -> None:
    session = Session()
    session.update(values)
    again = Session(lambda: Saved("id", session.change() or b"{}", 0))
    assert dict(again) == values
    assert again.modified is False
