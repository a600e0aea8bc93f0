"""The error tree: what errors say of themselves."""

from __future__ import annotations

import pytest

from microasgi import (
    ConfigurationError,
    HTTPException,
    InvalidJSON,
    MissingField,
    MissingPackage,
    RouteConflict,
    WebSocketDisconnect,
    WebSocketException,
)


def test_an_http_exception_says_its_status_and_detail() -> None:
    assert HTTPException(404).detail == "Not Found"
    assert HTTPException(404, "").detail == ""
    assert HTTPException(599).detail == ""
    assert str(HTTPException(404, "no such order")) == "404: no such order"
    assert repr(HTTPException(404, "x")) == "HTTPException(status_code=404, detail='x')"


def test_a_websocket_exception_says_its_code_and_reason() -> None:
    assert str(WebSocketException(1008, "policy")) == "1008: policy"
    assert repr(WebSocketException(1008)) == "WebSocketException(code=1008, reason='')"
    assert (WebSocketDisconnect().code, WebSocketDisconnect(1001, "bye").reason) == (1000, "bye")


def test_a_missing_package_names_the_line_that_installs_it() -> None:
    error = MissingPackage("httpx", "testing", "for TestClient")
    assert str(error) == 'httpx is needed for TestClient: pip install "microasgi[testing]" (or: pip install httpx)'
    assert error.name == "httpx"


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (MissingPackage("a", "b", "c"), (ImportError, ConfigurationError)),
        (RouteConflict("x"), (ConfigurationError,)),
        (InvalidJSON("x"), (HTTPException, ValueError)),
        (MissingField("form", "x"), (HTTPException, KeyError)),
    ],
)
def test_errors_are_what_users_catch(error: Exception, bases: tuple[type, ...]) -> None:
    assert all(isinstance(error, base) for base in bases)
