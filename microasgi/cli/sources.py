"""Sources: the user's code as a tree, where something stands in it, and the comments that wave findings through."""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

from microasgi.cli.complaints import is_users

__all__ = [
    "FunctionNode",
    "completes",
    "constants_in",
    "find_call",
    "find_definition",
    "find_function",
    "is_ignored",
    "own_nodes",
    "users_files",
]

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_IGNORE = re.compile(r"#\s*microasgi:\s*ignore(?:\[([\w\s,]*)\])?")


@cache
def _read(file: str) -> tuple[list[str], ast.Module]:
    """Return a file's lines and tree; of one that cannot be read, none."""
    try:
        with tokenize.open(file) as source:
            text = source.read()
        return text.splitlines(), ast.parse(text)
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError):
        return [], ast.Module([], [])


def users_files(first: str) -> list[str]:
    """Return the user's own files that are imported by now, this one first."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    folder = str(Path(first).parent)
    own = {file for file in files if file and is_users(file) and file.startswith(folder)}
    return [first, *sorted(own - {first})]


def find_function(file: str, line: int, name: str) -> FunctionNode | None:
    """Return the definition of this name whose first line, decorators included, this is."""
    for node in ast.walk(_read(file)[1]):
        if isinstance(node, FunctionNode) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if line in {first, node.lineno}:
                return node
    return None


def find_definition(file: str, name: str) -> int:
    """Return the line at which a module assigns or defines a name, 1 if it is not to be seen."""
    for node in _read(file)[1].body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if name in names or getattr(node, "name", None) == name:
            return node.lineno
    return 1


def find_call(files: list[str], name: str) -> tuple[str, int] | None:
    """Return where something of this name is called, or handed to a call: `Name(...)`, `add_middleware(Name, ...)`."""
    for file in files:
        for node in ast.walk(_read(file)[1]):
            if isinstance(node, ast.Call) and name in {_last_name(part) for part in (node.func, *node.args)}:
                return file, node.lineno
    return None


def _last_name(node: ast.expr) -> str | None:
    return getattr(node, "attr", None) or getattr(node, "id", None)


def constants_in(file: str, value: str) -> Iterator[tuple[int, bool]]:
    """Yield line, and whether it is only a fallback, for every place where a file spells out this text or bytes."""
    tree = _read(file)[1]
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in (value, value.encode()):
            yield node.lineno, _is_fallback(node, parents.get(node))


def _is_fallback(node: ast.Constant, parent: ast.AST | None) -> bool:
    """Tell whether a text is what stands in for something: `get("NAME", "text")`, `get("NAME") or "text"`."""
    if isinstance(parent, ast.BoolOp):
        return isinstance(parent.op, ast.Or)
    return isinstance(parent, ast.Call) and len(parent.args) > 1 and node in parent.args[1:]


def is_ignored(file: str, line: int, code: str) -> bool:
    """Tell whether `# microasgi: ignore[CODE]` stands on this line, or on one of its own just above."""
    lines = _read(file)[0]
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    above = lines[line - 2].strip() if 1 < line <= len(lines) else ""
    for text in (here, above if above.startswith("#") else ""):
        match = _IGNORE.search(text)
        if match and (match[1] is None or code in re.split(r"[\s,]+", match[1])):
            return True
    return False


def own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """Yield everything in a function's body, but for the functions and classes inside of it: they run elsewhere."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def completes(body: list[ast.stmt]) -> bool:
    """Tell whether the end of these statements can be reached; no, where one of them may well never return."""
    return all(_completes(statement) for statement in body)


def _completes(node: ast.stmt) -> bool:
    match node:
        case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
            return False
        case ast.If():
            return completes(node.body) or completes(node.orelse)
        case ast.While(test=ast.Constant(value=True)):
            return any(isinstance(inner, ast.Break) for inner in ast.walk(node))
        case ast.With() | ast.AsyncWith():
            return completes(node.body)
        case ast.Try() | ast.TryStar():
            ways = [[*node.body, *node.orelse], *(handler.body for handler in node.handlers)]
            return any(map(completes, ways)) and completes(node.finalbody)
        case ast.Match():
            wild = any(isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None for case in node.cases)
            return not wild or any(completes(case.body) for case in node.cases)
        case _:
            return True
