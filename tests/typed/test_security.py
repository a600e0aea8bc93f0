"""Security schemes: what they read, what they refuse, and how they show in the document."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import HTTPException, MicroASGI, Request, WebSocket
from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.testing import TestClient, WebSocketDenialResponse
from microasgi.typed import Depends, Form, Security
from microasgi.typed.apikeys import APIKeyCookie, APIKeyHeader, APIKeyQuery
from microasgi.typed.credentials import HTTPAuthorizationCredentials, HTTPBasicCredentials, Unreadable
from microasgi.typed.oauth2 import (
    OAuth2,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordForm,
    OpenIdConnect,
)
from microasgi.typed.security import Challenge, HTTPAuthorization, HTTPBasic, HTTPBearer, SecurityScheme, SecurityScopes

pytestmark = pytest.mark.anyio

ANY: dict[str, Callable[..., SecurityScheme[Any]]] = {
    "bearer": HTTPBearer,
    "basic": HTTPBasic,
    "token": lambda **options: HTTPAuthorization("Token", **options),
    "header": lambda **options: APIKeyHeader("X-Key", **options),
    "query": lambda **options: APIKeyQuery("key", **options),
    "cookie": lambda **options: APIKeyCookie("key", **options),
    "password": lambda **options: OAuth2PasswordBearer("/token", **options),
    "code": lambda **options: OAuth2AuthorizationCodeBearer("/authorize", "/token", **options),
    "openid": lambda **options: OpenIdConnect("/.well-known/openid-configuration", **options),
}
each = pytest.mark.parametrize("make", ANY.values(), ids=ANY.keys())


def connection(*headers: tuple[str, str], query: str = "") -> HTTPConnection[Any]:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return HTTPConnection({"type": "http", "headers": raw, "query_string": query.encode()})


async def ask(scheme: SecurityScheme[Any], *headers: tuple[str, str], query: str = "") -> Any:
    return await scheme(connection(*headers, query=query))


async def refusal(scheme: SecurityScheme[Any], *headers: tuple[str, str], query: str = "") -> HTTPException:
    with pytest.raises(HTTPException) as caught:
        await ask(scheme, *headers, query=query)
    return caught.value


def challenge(error: HTTPException) -> str:
    assert error.headers is not None
    return error.headers["www-authenticate"]


def basic(username: str, password: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def test_a_bearer_token_is_read_whatever_the_case_of_its_scheme() -> None:
    for sent in ("Bearer abc.def", "bearer abc.def", "BEARER   abc.def "):
        found = await ask(HTTPBearer(), ("Authorization", sent))
        assert found.credentials == "abc.def"


async def test_a_scheme_of_ones_own_is_read() -> None:
    token = HTTPAuthorization("Token")
    found = await ask(token, ("Authorization", "Token jwt.token.here"))
    assert found == HTTPAuthorizationCredentials("Token", "jwt.token.here")
    assert (await refusal(token, ("Authorization", "Bearer x"))).status_code == 401
    assert token.scheme == {"type": "http", "scheme": "token"}


async def test_basic_credentials_are_utf_8() -> None:
    found = await ask(HTTPBasic(), basic("Jürgen", "pass:wörd"))
    assert found == HTTPBasicCredentials("Jürgen", "pass:wörd")
    assert challenge(await refusal(HTTPBasic(realm='my "shop"'))) == 'Basic realm="my \\"shop\\"", charset="UTF-8"'


def test_credentials_match_without_regard_to_time_and_for_any_text() -> None:
    found = HTTPBasicCredentials("jö", "secret")
    assert found.matches("jö", "secret")
    assert not found.matches("jö", "secreT")
    assert not found.matches("joe", "secret")
    assert not found.matches("\ud800", "")


def test_secrets_are_not_in_what_is_logged_of_credentials() -> None:
    form = OAuth2PasswordForm("joe", "hidden", "password", client_secret="hidden")
    for value in (HTTPBasicCredentials("joe", "hidden"), HTTPAuthorizationCredentials("Bearer", "hidden"), form):
        assert "hidden" not in repr(value)


async def test_api_keys_come_from_their_place() -> None:
    assert await ask(APIKeyHeader("X-Key"), ("x-key", "k1")) == "k1"
    assert await ask(APIKeyQuery("key"), query="a=b&key=k%2B1") == "k+1"
    assert await ask(APIKeyCookie("key"), ("cookie", "a=b; key=k1")) == "k1"


@pytest.mark.parametrize("kind", ["password", "code", "openid"])
async def test_oauth2_gives_the_text_of_the_token(kind: str) -> None:
    assert await ask(ANY[kind](), ("Authorization", "Bearer t1")) == "t1"


@each
async def test_nothing_sent_is_401_with_a_challenge(make: Callable[..., SecurityScheme[Any]]) -> None:
    error = await refusal(make())
    assert error.status_code == 401
    assert challenge(error)
    assert "error=" not in challenge(error)  # RFC 6750 section 3.1: none without credentials


@each
async def test_without_auto_error_nothing_sent_is_none(make: Callable[..., SecurityScheme[Any]]) -> None:
    assert await ask(make(auto_error=False)) is None
    twice = (("Authorization", "Bearer a"), ("Authorization", "Bearer b"), ("X-Key", "a"), ("X-Key", "b"))
    assert await ask(make(auto_error=False), *twice, query="key=a&key=b") is None


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a, Bearer b",
        "Bearer caf\xe9",
        "Bearer a\x00b",
        "Bearer " + "x" * 20_000,
    ],
)
@pytest.mark.parametrize("make", [HTTPBearer, lambda: OAuth2PasswordBearer("token")])
async def test_an_odd_token_is_an_invalid_token(make: Callable[[], SecurityScheme[Any]], value: str) -> None:
    error = await refusal(make(), ("Authorization", value))
    assert error.status_code == 401
    assert value == "Bearer " or 'error="invalid_token"' in challenge(error)


@pytest.mark.parametrize(
    "value",
    ["Basic", "Basic !!", "Basic YQ", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic /w==", "Basic am9lOgA="],
)
async def test_odd_basic_credentials_are_401(value: str) -> None:
    assert (await refusal(HTTPBasic(), ("Authorization", value))).status_code == 401


async def test_what_is_sent_twice_proves_nothing() -> None:
    bearer = ("Authorization", "Bearer a")
    assert (await refusal(HTTPBearer(), bearer, bearer)).status_code == 401
    assert (await refusal(APIKeyHeader("X-Key"), ("X-Key", "a"), ("x-key", "a"))).status_code == 401
    assert (await refusal(APIKeyQuery("key"), query="key=a&key=a")).status_code == 401


@pytest.mark.parametrize("kind", ["header", "query", "cookie"])
async def test_keys_are_printable_ascii(kind: str) -> None:
    odd = (("X-Key", "\xff"), ("cookie", "key=\xff"))
    assert (await refusal(ANY[kind](), *odd, query="key=%C3%A9")).status_code == 401


@each
@given(header=st.text(st.characters(max_codepoint=255)), query=st.binary(max_size=50), again=st.booleans())
def test_no_credentials_are_ever_an_error_of_ours(
    make: Callable[..., SecurityScheme[Any]], header: str, query: bytes, again: bool
) -> None:
    raw = [(name, header.encode("latin-1")) for name in (b"authorization", b"x-key", b"cookie")]
    scope = {"type": "http", "headers": raw * (1 + again), "query_string": b"key=" + query}
    with suppress(Unreadable):
        make().read(HTTPConnection(scope))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), st.text(st.characters(codec="utf-8")))
def test_what_basic_reads_is_what_was_sent(username: str, password: str) -> None:
    username = username.replace(":", "")
    with suppress(Unreadable):
        found = HTTPBasic().read(connection(basic(username, password)))
        assert found is not None
        assert found.matches(username, password)


def test_a_wrong_token_is_told_in_the_words_of_rfc_6750() -> None:
    bearer = HTTPBearer(realm="shop")
    error = bearer.invalid_token('it has "expired"\n')
    assert error.status_code == 401
    assert challenge(error) == ('Bearer realm="shop", error="invalid_token", error_description="it has ?expired??"')
    lacking = bearer.insufficient_scope(["items:write", "items:read"])
    assert lacking.status_code == 403
    assert challenge(lacking) == 'Bearer realm="shop", error="insufficient_scope", scope="items:write items:read"'


def test_security_scopes_are_each_there_once() -> None:
    scopes = SecurityScopes(["a", "b", "a"])
    assert scopes.scopes == ["a", "b"]
    assert scopes.scope_str == "a b"
    assert repr(scopes) == "SecurityScopes(['a', 'b'])"


def test_schemes_describe_themselves_for_the_document() -> None:
    jwt = HTTPBearer(bearer_format="JWT", description="From /login")
    assert jwt.scheme_name == "HTTPBearer"
    assert jwt.scheme == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "From /login"}
    assert HTTPBasic().scheme == {"type": "http", "scheme": "basic"}
    key = APIKeyHeader("X-Key", scheme_name="key")
    assert (key.scheme_name, key.scheme) == ("key", {"type": "apiKey", "in": "header", "name": "X-Key"})
    password = OAuth2PasswordBearer("token", {"read": "Read all"}, refresh_url="again")
    flow = {"tokenUrl": "token", "refreshUrl": "again", "scopes": {"read": "Read all"}}
    assert password.scheme == {"type": "oauth2", "flows": {"password": flow}}
    code = OAuth2AuthorizationCodeBearer("/authorize", "/token").scheme["flows"]["authorizationCode"]
    assert code == {"authorizationUrl": "/authorize", "tokenUrl": "/token", "scopes": {}}
    assert OpenIdConnect("/c").scheme == {"type": "openIdConnect", "openIdConnectUrl": "/c"}
    assert repr(key) == "APIKeyHeader(scheme_name='key')"


@pytest.mark.parametrize(
    ("wrong", "lesson"),
    [
        (lambda: APIKeyHeader("X Key"), "X-API-Key"),
        (lambda: HTTPAuthorization(""), "Token"),
        (lambda: HTTPBearer(realm="é"), "printable ASCII"),
        (lambda: OAuth2({"device": {}}), "password"),
        (lambda: OAuth2({"authorizationCode": {"tokenUrl": "/token"}}), "needs authorizationUrl"),
        (lambda: OAuth2PasswordBearer(""), "needs tokenUrl"),
        (lambda: OpenIdConnect(""), "openid-configuration"),
        (lambda: Challenge("Bear er"), "token"),
    ],
)
def test_a_wrong_scheme_is_refused_when_it_is_made(wrong: Callable[[], object], lesson: str) -> None:
    with pytest.raises(ConfigurationError, match=lesson):
        wrong()


async def test_a_scheme_without_read_says_so() -> None:
    with pytest.raises(NotImplementedError, match="def read"):
        await ask(SecurityScheme({}, Challenge("X")))


def test_the_scopes_of_a_password_form_are_a_list() -> None:
    assert OAuth2PasswordForm("joe", "x", "password", scope="read  write read").scopes == ["read", "write"]
    assert OAuth2PasswordForm("joe", "x", "password").scopes == []


def test_a_refusal_goes_out_with_its_challenge_on_http_and_websocket() -> None:
    bearer = HTTPBearer()
    app = MicroASGI()

    @app.get("/")
    async def page(request: Request) -> str:
        found = await bearer(request)
        return found.credentials if found else ""

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await bearer(websocket)

    with TestClient(app) as client:
        response = client.get("/")
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/", headers={"authorization": "Bearer x"}).text == "x"
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/ws"):
            pass
        assert denied.value.status_code == 401
        assert denied.value.headers["www-authenticate"] == "Bearer"


BEARER = OAuth2PasswordBearer("/token", {"read": "Read"})


def allowed(token: Annotated[str, Depends(BEARER)], wanted: SecurityScopes) -> str:
    if token != wanted.scope_str:
        raise BEARER.insufficient_scope(wanted)
    return token


api = MicroASGI()


@api.get("/me")
async def me(token: Annotated[str, Security(allowed, scopes=["read", "write"])]) -> str:
    return token


@api.websocket("/live")
async def live(websocket: WebSocket, token: Annotated[str, Depends(BEARER)]) -> None:
    await websocket.accept()
    await websocket.send_text(token)


@api.post("/token")
async def log_in(form: Annotated[OAuth2PasswordForm, Form()]) -> dict[str, object]:
    return {"access_token": form.username, "scopes": form.scopes, "client": form.client_id}


def test_typed_handlers_depend_on_schemes_and_scopes() -> None:
    with TestClient(api) as client:
        assert client.get("/me").status_code == 401
        assert client.get("/me", headers={"authorization": "Bearer read write"}).status_code == 401
        lacking = client.get("/me", headers={"authorization": "Bearer t"})
        assert lacking.status_code == 403
        assert lacking.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="read write"'


def test_typed_sockets_depend_on_schemes_before_they_are_accepted() -> None:
    with TestClient(api) as client:
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/live"):
            pass
        assert denied.value.status_code == 401
        with client.websocket_connect("/live", headers={"authorization": "Bearer t"}) as socket:
            assert socket.receive_text() == "t"


@api.post("/token-too")
async def log_in_too(form: Annotated[OAuth2PasswordForm, Depends()]) -> str:
    return form.username


def test_the_form_of_the_password_flow_is_read_from_a_form_alone() -> None:
    right = {"grant_type": "password", "username": "ada", "password": "x"}
    with TestClient(api) as client:
        for path in ("/token", "/token-too"):
            assert client.post(path, data=right).status_code == 200
            refused = client.post(path, params=right)
            assert {(error["in"], error["name"]) for error in refused.json()["errors"]} == {
                ("form", name) for name in right
            }


def test_the_form_of_the_password_flow_is_strict() -> None:
    right = {"grant_type": "password", "username": "ada", "password": "x", "scope": "read write"}
    with TestClient(api) as client:
        assert client.post("/token", data=right).json() == {
            "access_token": "ada",
            "scopes": ["read", "write"],
            "client": None,
        }
        for wrong in ({"grant_type": "code"}, {"grant_type": ""}, {"password": "x" * 4097}):
            assert client.post("/token", data={**right, **wrong}).status_code == 422
        for missing in ("grant_type", "username", "password"):
            data = {name: value for name, value in right.items() if name != missing}
            assert client.post("/token", data=data).status_code == 422
        assert client.post("/token", json=right).status_code == 415
