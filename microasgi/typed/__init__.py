"""Typed handlers: parameters, dependencies and results by type annotations."""

from microasgi.typed.faults import Fault, Faulty, ValidationError
from microasgi.typed.markers import Body, Cookie, Depends, File, Form, Header, Path, Query, Security, State
from microasgi.typed.operation import Operation, bind_route

__all__ = [
    "Body",
    "Cookie",
    "Depends",
    "Fault",
    "Faulty",
    "File",
    "Form",
    "Header",
    "Operation",
    "Path",
    "Query",
    "Security",
    "State",
    "ValidationError",
    "bind_route",
]
