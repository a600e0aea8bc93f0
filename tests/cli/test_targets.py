"""Which application is meant: by path, by folder, by module, by pyproject.toml, by the usual names."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("file", "argument"),
    [
        ("app.py", None),
        ("main.py", None),
        ("asgi.py", None),
        ("app.py", "app.py"),
        ("app.py", "app.py:app"),
        ("app.py", "."),
        ("app.py", "app:app"),
        ("app.py", "app"),
        ("site/app.py", "site"),
        ("site/main.py", "site:app"),
        ("deep/er/web.py", "deep/er/web.py"),
        ("deep/er/web.py", "./deep/er/web.py:app"),
        ("shop/__init__.py", "shop"),
        ("shop/__init__.py", "shop:app"),
    ],
)
def test_the_application_is_found(project: Any, file: str, argument: str | None) -> None:
    project.write(file)
    said = project.run("routes", *filter(None, [argument]))
    assert (said.code, said.err) == (0, "")
    assert "home" in said.out


def test_the_application_is_found_by_its_full_path_from_elsewhere(project: Any) -> None:
    path = project.write("elsewhere/web.py")
    assert "home" in project.run("routes", str(path)).out


def test_an_application_in_a_package_may_import_its_neighbours(project: Any) -> None:
    project.write("outer/shop/__init__.py", "")
    project.write("outer/shop/texts.py", "HELLO = 'hello'\n")
    project.write("outer/shop/app.py", "from .texts import HELLO\nfrom microasgi import MicroASGI\napp = MicroASGI()\n")
    assert project.run("routes", "outer/shop/app.py").out == "no routes\n"


def test_an_application_in_a_dotted_module_is_found(project: Any) -> None:
    project.write("shop/__init__.py", "")
    project.write("shop/web.py")
    assert "shop.web.home" in project.run("routes", "shop.web:app").out


@pytest.mark.parametrize("where", [".", "below/here"])
def test_pyproject_names_the_application(project: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("src/web.py")
    project.write("pyproject.toml", '[tool.microasgi]\napp = "src/web.py:app"\n')
    (project.folder / where).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(project.folder / where)
    assert "home" in project.run("routes").out


@pytest.mark.parametrize("own", ["app.py", "main.py", "asgi.py"])
def test_a_folders_own_application_goes_before_what_one_above_names(
    project: Any, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("pyproject.toml", '[tool.microasgi]\napp = "nowhere.py"\n')
    project.write(f"below/{own}")
    monkeypatch.chdir(project.folder / "below")
    assert "home" in project.run("routes").out
    project.write("below/pyproject.toml", '[tool.microasgi]\napp = "own.py"\n')
    assert project.complaint("routes").startswith("there is no own.py")


def test_a_pyproject_that_names_none_leaves_it_to_the_usual_files(project: Any) -> None:
    project.write("pyproject.toml", "[project]\nname = 'x'\n")
    project.write("main.py")
    assert "home" in project.run("routes").out


def test_a_broken_pyproject_is_named(project: Any) -> None:
    project.write("pyproject.toml", "[tool\n")
    assert project.complaint("routes").startswith("pyproject.toml is no TOML: ")


def test_a_pyproject_with_something_else_than_text_is_named(project: Any) -> None:
    project.write("pyproject.toml", "[tool.microasgi]\napp = 1\n")
    assert project.complaint("routes") == (
        'pyproject.toml: [tool.microasgi] app is text, as in app = "app.py:app", not 1'
    )


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("ap.py", "there is no ap.py; did you mean app.py?"),
        ("zzzzzz.py", "there is no zzzzzz.py; there is app.py"),
        ("nowhere/app.py", "there is no folder nowhere"),
        ("empty/x.py", "there is no empty/x.py"),
        ("ap:app", "; did you mean app?"),
        ("app.py:1x", "'app.py:1x': after the colon stands the application's name, as in app.py:app"),
        ("a-b", "'a-b' is neither a file nor a module: write app.py, app.py:name or module:name"),
        ("empty", "there is no app.py, main.py or asgi.py in empty, or set [tool.microasgi] app in pyproject.toml"),
        ("notes.txt", "notes.txt is no Python file"),
    ],
)
def test_a_wrong_path_is_answered_with_what_is_near(project: Any, argument: str, says: str) -> None:
    project.write("app.py")
    project.write("notes.txt", "")
    (project.folder / "empty").mkdir()
    assert project.complaint("routes", argument).endswith(says)


def test_nothing_in_the_folder_is_answered_with_the_files_that_there_are(project: Any) -> None:
    project.write("web.py")
    assert project.complaint("routes") == "there is no app.py, main.py or asgi.py here; name one of web.py"
