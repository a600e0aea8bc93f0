"""The house: which module stands on which floor, what it may import, how large it may grow.

A file at the root of microasgi/ is core and stands on a floor; it imports lower floors only, never its own floor and
never a room. A folder is a room; it imports the core, no other room. Imports inside functions and under TYPE_CHECKING
count like all others.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "microasgi"

# Floor 0 is the ground. The floor of a module is its place in this list.
FLOORS: list[set[str]] = [
    {"exceptions", "types"},
    {
        *("concurrency", "convertors", "cookies", "headers", "masks", "multidict", "multipart", "negotiation"),
        *("serialization", "signals", "spool", "urls"),
    },
    {
        *("ahead", "background", "connection", "draining", "forms", "iteration", "lifespan", "paths", "responses"),
        *("socketrules", "stack", "stepper", "tracebacks"),
    },
    {"debugroutes", "intake", "options", "overlap", "socketconnection", "streaming", "table"},
    {"body", "websockets"},
    {"requests"},
    {"debugpage", "endpoints", "foreign"},
    {"binding", "errors"},
    {"routes"},
    {"entrance", "hosts", "refusals", "sockets"},
    {"dispatch", "registry"},
    {"routing"},
    {"application"},
    {"__init__"},
]

# Each room with the third-party packages that it may import, each of them in one module.
ROOMS: dict[str, set[str]] = {
    "cli": {"uvicorn", "watchfiles"},
    "django": {"asgiref", "django"},
    "files": set(),
    "middleware": {"brotli", "itsdangerous", "limits", "redis", "zstandard"},
    "openapi": set(),
    "realtime": {"cryptography", "msgpack", "redis"},
    "templates": {"jinja2", "markupsafe"},
    "testing": {"httpx", "httpx2"},  # either of the two
    "typed": {"msgspec", "pydantic", "redis"},
}
# Of django/, the clients for tests alone: they are those of testing/ in a test case's own transaction.
ROOM_IMPORTS_ROOM = {("django", "testing"), ("openapi", "typed")}
# A room that is a bridge to a package imports it wherever it speaks of it.
BRIDGES = {("django", "django"), ("django", "asgiref")}
# The front door joins this room on to the core's seam for handlers, when the first typed handler is registered.
JOINED_AT_THE_DOOR = {"typed"}

EVERYWHERE = {"anyio"}
# Type checkers bring it along, so a block under TYPE_CHECKING may use it though nobody installs it.
FOR_TYPE_CHECKERS = {"typing_extensions"}
CORE_LEAVES: dict[str, set[str]] = {"multipart": {"python_multipart"}}
# The pure ground: floors without coroutines, but for these.
PURE_FLOORS = (0, 1)
ASYNC_ON_PURE_FLOORS = {"concurrency", "multipart"}

LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
DEEPEST_NESTING = 3
# ("module" or "module.function", the law it breaks): the reason, with the number that it buys.
EXCEPTIONS: dict[tuple[str, str], str] = {}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

# What `import microasgi` may load besides itself and the standard library: anyio and what anyio needs.
LOADED_BY_IMPORT = {"anyio", "idna", "sniffio", "typing_extensions", "exceptiongroup"}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path

    @cached_property
    def name(self) -> str:
        parts = self.path.relative_to(PACKAGE).with_suffix("").parts
        return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str | None:
        parts = self.path.relative_to(PACKAGE).parts
        return parts[0] if len(parts) > 1 else None

    @property
    def floor(self) -> int | None:
        return next((number for number, floor in enumerate(FLOORS) if self.name in floor), None)

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def imports(self) -> set[str]:
        """Dotted names of everything imported, wherever the import stands."""
        return {name for node in ast.walk(self.tree) for name in self._imported_by(node)}

    def _imported_by(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from self._imported_from(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "__import__",
            "import_module",
            "importlib.import_module",
        ):
            yield from (
                arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )

    def _imported_from(self, node: ast.ImportFrom) -> Iterator[str]:
        base = node.module or ""
        if node.level:
            package = ["microasgi", *self.path.relative_to(PACKAGE).parts[:-1]]
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            yield submodule if is_module_of_package(submodule) else base

    @property
    def imports_of_package(self) -> set[str]:
        """Names, as in `name`, of the package's own modules imported; "__init__" is the front door."""
        own = {name for name in self.imports if name.split(".")[0] == "microasgi"}
        return {name.partition(".")[2] or "__init__" for name in own}

    @property
    def third_party(self) -> set[str]:
        typing_only = {
            name
            for block in ast.walk(self.tree)
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for statement in block.body
            for name in self._imported_by(statement)
        }
        tops = {name.split(".")[0] for name in self.imports}
        return tops - sys.stdlib_module_names - {"microasgi"} - (FOR_TYPE_CHECKERS & typing_only)

    def functions(self) -> Iterator[tuple[str, FunctionNode]]:
        yield from functions_in(self.tree, self.name)


def is_module_of_package(dotted: str) -> bool:
    top, _, rest = dotted.partition(".")
    if top != "microasgi" or not rest:
        return False
    path = PACKAGE.joinpath(*rest.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def functions_in(node: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{prefix}.{child.name}"
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inner, child
        yield from functions_in(child, inner)


def length(function: FunctionNode) -> int:
    """Lines from `def` to the end, decorators and docstring left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def nesting(node: ast.AST, depth: int = 0) -> int:
    """Return how many blocks stand in each other at the deepest place; elif is as deep as its if."""
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child.col_offset == node.col_offset
        inner = depth + 1 if isinstance(child, BLOCKS) and not is_elif else depth
        deepest = max(deepest, nesting(child, inner))
    return deepest


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
CORE = [module for module in MODULES if module.room is None]
IN_ROOMS = [module for module in MODULES if module.room is not None]
each_core_module = pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
each_module_of_a_room = pytest.mark.parametrize("module", IN_ROOMS, ids=lambda module: module.name)


def floor_of(name: str) -> int | None:
    return next((number for number, floor in enumerate(FLOORS) if name in floor), None)


def breaking(law: str, found: Iterator[tuple[str, int]], limit: int) -> dict[str, int]:
    return {name: number for name, number in found if number > limit and (name, law) not in EXCEPTIONS}


@each_core_module
def test_a_core_module_has_a_floor(module: Module) -> None:
    assert floor_of(module.name) is not None, f"which floor does {module.path.name} stand on? Add it to FLOORS."


def test_no_floor_is_kept_for_a_module_that_is_gone() -> None:
    assert set().union(*FLOORS) == {module.name for module in CORE}


@each_module_of_a_room
def test_a_folder_is_a_known_room(module: Module) -> None:
    assert module.room in ROOMS, f"{module.room}/ is not a room yet; add it to ROOMS with what it may import."


@each_core_module
def test_core_imports_lower_floors_only(module: Module) -> None:
    floor = floor_of(module.name)
    wrong = []
    for name in sorted(module.imports_of_package - {"__init__"}):
        other = floor_of(name)
        if module.name == "__init__" and name in JOINED_AT_THE_DOOR:
            continue
        if other is None:
            wrong.append(f"{name} is a room or has no floor")
        elif floor is not None and other >= floor:
            wrong.append(f"{name} stands on floor {other}, {module.name} on floor {floor}")
    assert not wrong


@each_module_of_a_room
def test_rooms_do_not_import_each_other(module: Module) -> None:
    tops = {name.split(".")[0] for name in module.imports_of_package}
    others = {top for top in tops if floor_of(top) is None} - {module.room}
    assert not {other for other in others if (module.room, other) not in ROOM_IMPORTS_ROOM}


@each_module
def test_nobody_imports_the_front_door(module: Module) -> None:
    assert "__init__" not in module.imports_of_package, "import from the module that defines the name"


@each_core_module
def test_core_needs_the_standard_library_and_anyio(module: Module) -> None:
    assert module.third_party <= EVERYWHERE | CORE_LEAVES.get(module.name, set())


@each_module_of_a_room
def test_a_room_imports_its_own_packages_only(module: Module) -> None:
    assert module.third_party <= EVERYWHERE | ROOMS.get(module.room or "", set())


def test_a_third_party_package_is_imported_in_one_leaf() -> None:
    leaves: dict[tuple[str | None, str], set[str]] = {}
    for module in MODULES:
        for package in module.third_party - EVERYWHERE:
            leaves.setdefault((module.room, package), set()).add(module.name)
    assert not {place: names for place, names in leaves.items() if len(names) > 1 and place not in BRIDGES}


@each_core_module
def test_the_ground_floors_have_no_coroutines(module: Module) -> None:
    if floor_of(module.name) not in PURE_FLOORS or module.name in ASYNC_ON_PURE_FLOORS:
        return
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    lines = [node.lineno for node in ast.walk(module.tree) if isinstance(node, kinds)]
    assert not lines, f"coroutines belong on floor 2 or above: lines {lines}"


@each_module
def test_modules_stay_short(module: Module) -> None:
    found = iter([(module.name, len(module.source.splitlines()))])
    assert not breaking("length", found, LONGEST_MODULE), f"at most {LONGEST_MODULE} lines"


@each_module
def test_functions_stay_short(module: Module) -> None:
    found = ((name, length(function)) for name, function in module.functions())
    assert not breaking("length", found, LONGEST_FUNCTION), f"at most {LONGEST_FUNCTION} lines without docstring"


@each_module
def test_functions_stay_flat(module: Module) -> None:
    found = ((name, nesting(function)) for name, function in module.functions())
    assert not breaking("nesting", found, DEEPEST_NESTING), f"at most {DEEPEST_NESTING} blocks in each other"


def test_exceptions_are_still_needed() -> None:
    lengths: dict[str, int] = {}
    depths: dict[str, int] = {}
    for module in MODULES:
        lengths.update((name, length(function)) for name, function in module.functions())
        depths.update((name, nesting(function)) for name, function in module.functions())
    needed = {(module.name, "length") for module in MODULES if len(module.source.splitlines()) > LONGEST_MODULE}
    needed |= {(name, "length") for name, lines in lengths.items() if lines > LONGEST_FUNCTION}
    needed |= {(name, "nesting") for name, depth in depths.items() if depth > DEEPEST_NESTING}
    assert not EXCEPTIONS.keys() - needed
    assert all(EXCEPTIONS.values()), "an exception gives its reason"


@each_module
def test_a_module_says_what_it_is(module: Module) -> None:
    assert ast.get_docstring(module.tree), "the docstring names the noun and the law of the file"


@each_module
def test_a_module_lists_its_names_in_order(module: Module) -> None:
    values = [
        node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    ]
    assert len(values) == 1, "__all__ is assigned once"
    names = ast.literal_eval(values[0])
    assert list(names) == sorted(names, key=natural_order), "sort __all__ (ruff check --fix does it)"


def natural_order(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """Sort CONSTANTS, then Classes, then functions; numbers within names by value. As ruff's RUF022."""
    kind = 0 if re.fullmatch(r"[A-Z0-9_]*[A-Z][A-Z0-9_]*", name) and len(name) > 1 else 1 if name[:1].isupper() else 2
    parts = re.findall(r"\d+|\D+", name)
    return kind, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


@each_module
def test_a_module_is_named_after_a_thing(module: Module) -> None:
    assert not FORBIDDEN_NAMES & set(module.name.lower().split(".")), "say what is in it"


def test_importing_the_package_loads_nothing_but_anyio() -> None:
    code = """
import sys
before = set(sys.modules)
import microasgi
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    loaded = {name for name in result.stdout.split() if name.strip("_") not in sys.stdlib_module_names}
    loaded -= sys.stdlib_module_names | {"microasgi"}
    assert loaded <= LOADED_BY_IMPORT, f"import microasgi loads {sorted(loaded)}"


Check = Callable[[Module], None]


@pytest.mark.parametrize(
    ("path", "source", "check"),
    [
        ("headers.py", "from microasgi.urls import URL", test_core_imports_lower_floors_only),
        ("headers.py", "from .routing import Router", test_core_imports_lower_floors_only),
        ("routing.py", "def f():\n    import microasgi.application", test_core_imports_lower_floors_only),
        (
            "application.py",
            "if TYPE_CHECKING:\n    from .testing import TestClient",
            test_core_imports_lower_floors_only,
        ),
        ("application.py", "import_module('microasgi.typed')", test_core_imports_lower_floors_only),
        ("routing.py", "from microasgi import MicroASGI", test_nobody_imports_the_front_door),
        ("testing/client.py", "from .. import MicroASGI", test_nobody_imports_the_front_door),
        ("testing/client.py", "from ..typed.models import Model", test_rooms_do_not_import_each_other),
        ("testing/client.py", "import microasgi.openapi", test_rooms_do_not_import_each_other),
        ("requests.py", "def f():\n    import httpx", test_core_needs_the_standard_library_and_anyio),
        ("requests.py", "if TYPE_CHECKING:\n    import httpx", test_core_needs_the_standard_library_and_anyio),
        ("requests.py", "import typing_extensions", test_core_needs_the_standard_library_and_anyio),
        ("testing/client.py", "import jinja2", test_a_room_imports_its_own_packages_only),
        ("urls.py", "async def f(): ...", test_the_ground_floors_have_no_coroutines),
        ("shop.py", "", test_a_core_module_has_a_floor),
        ("shop/cart.py", "", test_a_folder_is_a_known_room),
        ("testing/utils.py", "", test_a_module_is_named_after_a_thing),
        ("urls.py", "x = 1\n" * 301, test_modules_stay_short),
        ("urls.py", "def f():\n" + "    x = 1\n" * 40, test_functions_stay_short),
        ("urls.py", "def f():\n if a:\n  for b in c:\n   while d:\n    with e: pass", test_functions_stay_flat),
        ("urls.py", "__all__ = ['b', 'a']", test_a_module_lists_its_names_in_order),
        ("urls.py", "x = 1", test_a_module_says_what_it_is),
    ],
)
def test_the_house_notices(path: str, source: str, check: Check) -> None:
    module = Module(PACKAGE / path)
    vars(module).update(source=source)
    with pytest.raises(AssertionError):
        check(module)


@pytest.mark.parametrize(
    ("path", "source", "check"),
    [
        (
            "routing.py",
            "from microasgi.headers import Headers\nfrom . import errors",
            test_core_imports_lower_floors_only,
        ),
        ("openapi/document.py", "from microasgi.typed import x", test_rooms_do_not_import_each_other),
        ("testing/client.py", "from .lint import x\nfrom ..types import Scope", test_rooms_do_not_import_each_other),
        ("urls.py", "if TYPE_CHECKING:\n    import typing_extensions", test_core_needs_the_standard_library_and_anyio),
        ("multipart.py", "def f():\n    import python_multipart", test_core_needs_the_standard_library_and_anyio),
        ("urls.py", "def f():\n" + "    x = 1\n" * 39, test_functions_stay_short),
        ("urls.py", 'def f():\n    """a\n\n    b"""\n' + "    x = 1\n" * 39, test_functions_stay_short),
        ("urls.py", "def f():\n if a: pass\n elif b: pass\n elif c: pass\n elif d: pass", test_functions_stay_flat),
        (
            "urls.py",
            "__all__ = ['LIMIT', 'URL', 'Path2', 'Path10', 'a_b', 'quote']",
            test_a_module_lists_its_names_in_order,
        ),
    ],
)
def test_the_house_allows(path: str, source: str, check: Check) -> None:
    module = Module(PACKAGE / path)
    vars(module).update(source=source)
    check(module)
