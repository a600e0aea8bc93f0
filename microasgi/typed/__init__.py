"""Typed handlers: parameters, dependencies and results by type annotations."""
