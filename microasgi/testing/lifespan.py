"""The lifespan of an application under test: started, and stopped, as a server would, but telling every failure."""

from __future__ import annotations

from typing import Any

from microasgi.testing.exchange import Exchange
from microasgi.testing.rules import ASGIViolation
from microasgi.testing.scopes import lifespan_scope
from microasgi.types import ASGIApp

__all__ = ["LifespanFailed", "LifespanRun"]


class LifespanFailed(RuntimeError):
    """The application answered startup or shutdown with `failed`; the text is its message."""


class LifespanRun:
    """One run of an application's lifespan: `exchange` holds its task, which the owner starts.

    An application that raises before it receives anything does not support lifespan, and that is no failure
    (ASGI Lifespan, Scope). One that raises later has failed: a server would go on with a broken application.
    """

    def __init__(self, app: ASGIApp, state: dict[str, Any], *, lint: bool, timeout: float | None) -> None:
        self.exchange = Exchange(app, lifespan_scope(state=state), lint=lint, timeout=timeout, hears_errors=True)
        self._supported = True

    async def startup(self) -> None:
        """Start the application; raise what it raised, LifespanFailed, or TimeoutError."""
        try:
            await self._ask("startup")
        except BaseException:
            await self._abandon()
            raise

    async def shutdown(self) -> None:
        """Stop the application and wait until it has returned; raise as `startup` does."""
        try:
            if self._supported:
                await self._ask("shutdown")
                await self.exchange.wait_finished()
        finally:
            await self._abandon()

    async def _ask(self, stage: str) -> None:
        exchange = self.exchange
        await exchange.send_input({"type": f"lifespan.{stage}"})
        try:
            answer = await exchange.receive_output(what=f"the answer to lifespan.{stage}")
        except Exception:
            if stage == "shutdown" or not self._is_refused():
                raise
            self._supported = False
            return
        if answer["type"] == f"lifespan.{stage}.complete":
            return
        await exchange.close()
        exchange.raise_error()
        raise LifespanFailed(f"{answer['type']}: {answer.get('message', '')}")

    async def _abandon(self) -> None:
        # Whatever it still does, it has had its time.
        self.exchange.cancel()
        await self.exchange.close()

    def _is_refused(self) -> bool:
        exchange = self.exchange
        return exchange.finished and exchange.unread_input and not isinstance(exchange.error, ASGIViolation)
