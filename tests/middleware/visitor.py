"""A browser as far as cookies go, in front of an ASGI application."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

from microasgi.testing import RawResponse, request
from microasgi.types import ASGIApp

__all__ = ["KEY", "Visitor"]

KEY = "PbAbZm04ynWpR-3w0pyGvXQ3mJpsFx7oRkd6kl3rHnE"


class Visitor:
    """Send requests with the cookies that came, and keep those that come."""

    def __init__(self, app: ASGIApp, scheme: str = "http") -> None:
        self.app = app
        self.scheme = scheme
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    async def get(self, path: str = "/", **options: Any) -> RawResponse:
        """GET it."""
        return await self.send("GET", path, **options)

    async def post(self, path: str = "/", **options: Any) -> RawResponse:
        """POST it."""
        return await self.send("POST", path, **options)

    async def send(
        self, method: str, path: str = "/", headers: dict[str, str] | None = None, **options: Any
    ) -> RawResponse:
        """Send a request and keep the cookies of the answer."""
        sent = {**(headers or {})}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await request(self.app, method, path, headers=sent, scheme=self.scheme, **options)
        self.set_cookies = [value.decode() for name, value in answer.headers if name == b"set-cookie"]
        for line in self.set_cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer
