"""The command line: `microasgi dev|run|routes|check|openapi`. Law: one line of what is wrong, never a traceback."""

from microasgi.cli.program import main

__all__ = ["main"]
