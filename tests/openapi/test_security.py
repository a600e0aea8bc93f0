"""Security schemes and who asks for them."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from microasgi import ConfigurationError, MicroASGI
from microasgi.openapi import OpenAPI
from microasgi.typed import Depends, Security
from microasgi.typed.apikeys import APIKeyHeader
from microasgi.typed.oauth2 import OAuth2PasswordBearer
from microasgi.typed.security import HTTPBasic, HTTPBearer


def guarded(*dependencies: Any) -> MicroASGI:
    app = MicroASGI()

    @app.get("/", dependencies=dependencies)
    async def f() -> None: ...

    return app


def security_of(document: dict[str, Any]) -> Any:
    return document["paths"]["/"]["get"].get("security")


def test_a_scheme_of_a_dependency_is_required(ask: Any) -> None:
    document = ask(guarded(Depends(HTTPBearer(description="A token."))))
    assert security_of(document) == [{"HTTPBearer": []}]
    assert document["components"]["securitySchemes"] == {
        "HTTPBearer": {"type": "http", "scheme": "bearer", "description": "A token."}
    }


def test_a_scheme_below_a_dependency_is_required_with_its_scopes(ask: Any) -> None:
    oauth = OAuth2PasswordBearer(token_url="/token", scopes={"read": "Read.", "write": "Write."})

    def user(token: Annotated[str, Depends(oauth)]) -> str:
        return token

    app = MicroASGI()

    @app.get("/")
    async def f(name: Annotated[str, Security(user, scopes=["write"])]) -> None: ...

    document = ask(app)
    assert security_of(document) == [{"OAuth2PasswordBearer": ["write"]}]
    scheme = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["scopes"] == {"read": "Read.", "write": "Write."}


def test_several_schemes_are_all_required(ask: Any) -> None:
    document = ask(guarded(Depends(HTTPBearer()), Depends(APIKeyHeader("x-key"))))
    assert security_of(document) == [{"HTTPBearer": [], "APIKeyHeader": []}]


def test_schemes_that_let_requests_through_are_alternatives(ask: Any) -> None:
    document = ask(guarded(Depends(HTTPBearer(auto_error=False)), Depends(HTTPBasic(auto_error=False))))
    assert security_of(document) == [{"HTTPBearer": []}, {"HTTPBasic": []}, {}]
    assert "401" not in document["paths"]["/"]["get"]["responses"]


def test_different_schemes_of_one_name_are_told_apart(ask: Any) -> None:
    document = ask(guarded(Depends(APIKeyHeader("x-a")), Depends(APIKeyHeader("x-b")), Depends(APIKeyHeader("x-a"))))
    assert security_of(document) == [{"APIKeyHeader": [], "APIKeyHeader2": []}]


def test_the_whole_document_may_require_a_scheme(ask: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f() -> None: ...

    document = ask(app, security=[HTTPBearer(), HTTPBasic()])
    assert document["security"] == [{"HTTPBearer": []}, {"HTTPBasic": []}]
    assert [*document["components"]["securitySchemes"]] == ["HTTPBearer", "HTTPBasic"]
    assert security_of(document) is None


def test_what_is_no_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"security has 'bearer'"):
        OpenAPI(security=["bearer"])  # type: ignore[list-item]
