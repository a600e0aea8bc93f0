"""From a target to the application: names, factories, and every mistake on the way in one plain sentence."""

from __future__ import annotations

from typing import Any

import pytest

MADE = "from microasgi import MicroASGI\n\n\n"


@pytest.mark.parametrize(
    ("source", "argument"),
    [
        ("application = MicroASGI()\n", "app.py"),
        ("site = MicroASGI()\n", "app.py"),
        ("class Box:\n    app = MicroASGI()\n", "app.py:Box.app"),
        ("def make_app():\n    return MicroASGI()\n", "app.py"),
        ("def build(name='x'):\n    return MicroASGI()\n", "app.py:build()"),
        ("def create_app():\n    return MicroASGI()\n", "app:create_app()"),
    ],
)
def test_an_application_is_found_in_its_module(project: Any, source: str, argument: str) -> None:
    project.write("app.py", MADE + source)
    assert project.run("routes", argument).out == "no routes\n"


def test_a_factory_can_be_named_by_an_option(project: Any) -> None:
    project.write("app.py", MADE + "def site():\n    return MicroASGI()\n")
    assert project.run("routes", "--factory", "app.py:site").out == "no routes\n"


@pytest.mark.parametrize(
    "source",
    [
        "async def app(scope, receive, send): ...\n",
        "class App:\n    async def __call__(self, scope, receive, send): ...\n\napp = App()\n",
    ],
)
def test_any_asgi_application_will_do(project: Any, source: str) -> None:
    project.write("app.py", source)
    assert project.run("routes", "app.py:app").out == "no routes\n"


@pytest.mark.parametrize(
    ("source", "argument", "says"),
    [
        ("app = MicroASGI()\n", "app.py:ap", "app.py has no 'ap'; did you mean app? (applications there: app)"),
        ("app = 1\n", "app.py", "app in app.py is of type int, which is no ASGI application"),
        ("app = MicroASGI\n", "app.py:app", "app in app.py is a class: write app() where it is made"),
        ("def app(): ...\n", "app.py:app", "app in app.py is a function: is it a factory? Then write app()"),
        ("x = 1\n", "app.py", "app.py has no application: write app = MicroASGI() in it, or name yours after a colon"),
        (
            "a = MicroASGI()\nb = MicroASGI()\n",
            "app.py",
            "app.py has several applications: write app.py:a or app.py:b",
        ),
        ("app = MicroASGI()\n", "app.py:app()", "app in app.py is no factory: leave out --factory and the ()"),
        (
            "async def make_app():\n    return MicroASGI()\n",
            "app.py",
            "make_app in app.py is `async def`: a factory is a plain function",
        ),
        ("def make():\n    return 1\n", "app.py:make()", "make in app.py is of type int, which is no ASGI application"),
        (
            "def make(x):\n    return 1\n",
            "app.py:make()",
            "TypeError: make() missing 1 required positional argument: 'x'",
        ),
    ],
)
def test_what_is_no_application_is_named(project: Any, source: str, argument: str, says: str) -> None:
    project.write("app.py", MADE + source)
    assert project.complaint("routes", argument) == says


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1 / 0\n", "app.py:1: ZeroDivisionError: division by zero\n    x = 1 / 0"),
        ("x = (\n", "app.py:1: SyntaxError: '(' was never closed\n    x = ("),
        (
            "import nowhere_to_be_found\n",
            "app.py:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'\n    import nowhere_to_be_found\n"
            "    is it installed? pip install nowhere_to_be_found",
        ),
        ("import sys\nsys.exit(1)\n", "app.py:2: SystemExit: 1\n    sys.exit(1)"),
        ("raise RuntimeError\n", "app.py:1: RuntimeError\n    raise RuntimeError"),
        (
            "from microasgi import MissingPackage\nraise MissingPackage('jinja2', 'templates', 'to render')\n",
            'app.py:2: jinja2 is needed to render: pip install "microasgi[templates]" (or: pip install jinja2)\n'
            "    raise MissingPackage('jinja2', 'templates', 'to render')",
        ),
    ],
)
def test_an_error_at_import_shows_the_users_line(project: Any, source: str, says: str) -> None:
    project.write("app.py", source)
    assert project.complaint("routes") == says


def test_an_error_in_a_module_that_the_users_imports_shows_the_innermost_line(project: Any) -> None:
    project.write("app.py", "import parts\n")
    project.write("parts.py", "import json\njson.loads('{')\n")
    assert project.complaint("routes").startswith("parts.py:2: JSONDecodeError: ")


def test_a_module_that_is_not_there_is_told_from_one_that_it_imports(project: Any) -> None:
    assert project.complaint("routes", "shop:app") == f"there is no module 'shop' in {project.folder}"


def test_a_mistake_in_the_middleware_shows_where_the_application_is_made(project: Any) -> None:
    source = "\n".join(
        [
            "from microasgi import ConfigurationError, MicroASGI",
            "class Layer:",
            "    def __init__(self, app): ...",
            "app = MicroASGI(middleware=[Layer])",
        ]
    )
    project.write("app.py", source + "\n")
    assert project.complaint("routes").startswith("app.py:4: ")


def test_an_error_in_a_factory_shows_the_users_line(project: Any) -> None:
    project.write("app.py", "def make_app():\n    return {}['key']\n")
    assert project.complaint("routes") == "app.py:2: KeyError: 'key'\n    return {}['key']"


def test_a_file_named_like_a_module_of_python_is_said_to_be_hidden(project: Any) -> None:
    project.write("json.py")
    said = project.complaint("routes", "json.py")
    assert said.startswith("json.py is hidden by another module of its name, ")
    assert said.endswith(": rename it")
