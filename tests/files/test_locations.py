"""Locations: no path leads out of the directory, to a hidden name, or to anything but a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microasgi.exceptions import ConfigurationError
from microasgi.files.locations import find, find_package, is_plain_name, segments_of

NONE: frozenset[str] = frozenset()
HIDDEN = [
    *("", ".", "..", ".env", ".git", "a.", "a ", "...", "a/b", "a\\b", "..\\x", "C:", "c:x", "a\0", "a\n", "\x7f"),
    *("\\\\host\\share", "a\r", "a\t"),
]
ON_WINDOWS = ["nul", "CON", "aux.txt", "com1", "LPT³.x", "con .txt", "ab:c", "file::$DATA", "a*", "a?", '"', "a|b", "<"]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("windows", [False, True])
def test_these_are_no_plain_names(name: str, windows: bool) -> None:
    assert not is_plain_name(name, windows=windows)


@pytest.mark.parametrize("name", ON_WINDOWS)
def test_these_are_no_plain_names_on_windows(name: str) -> None:
    assert not is_plain_name(name, windows=True)
    assert is_plain_name(name, windows=False)


@pytest.mark.parametrize("name", ["a", "site.css", "a b", "Grüße.txt", "a..b", "%2e%2e", "nullable", "_", "-"])
@pytest.mark.parametrize("windows", [False, True])
def test_these_are_plain_names(name: str, windows: bool) -> None:
    assert is_plain_name(name, windows=windows)


def test_dot_names_are_plain_when_they_are_named() -> None:
    assert is_plain_name(".well-known", frozenset({".well-known"}))
    assert not is_plain_name(".env", frozenset({".well-known"}))


@pytest.mark.parametrize(
    "path, segments",
    [("", []), ("/", [""]), ("/a/b.css", ["a", "b.css"]), ("/a/", ["a", ""]), ("a", ["a"])],
)
def test_a_path_is_taken_apart(path: str, segments: list[str]) -> None:
    assert segments_of(path, NONE) == segments


@pytest.mark.parametrize("path", ["//a", "/a//b", "/a//", "//", "/../a", "/a/../b", "/a/./b", "/.git/config", "/a/.."])
def test_these_paths_name_nothing(path: str) -> None:
    assert segments_of(path, NONE) is None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a directory with files inside of it, and a secret beside it."""
    root = tmp_path / "static"
    (root / "css").mkdir(parents=True)
    (root / "css" / "site.css").write_text("body {}")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "static-secret").mkdir()
    (tmp_path / "static-secret" / "x").write_text("secret")
    return root


def test_a_file_is_found(tree: Path) -> None:
    found = find(str(tree), ["css", "site.css"], NONE, follow=False)
    assert found is not None
    assert found.is_file
    assert found.real == str(tree / "css" / "site.css")
    assert not found.is_directory


def test_the_root_itself_is_found(tree: Path) -> None:
    found = find(str(tree), [], NONE, follow=False)
    assert found is not None
    assert found.is_directory


@pytest.mark.parametrize("target", ["../secret", "../static-secret/x", ".git/config", "loop", "gone"])
def test_a_link_does_not_lead_out_nor_to_what_is_hidden(tree: Path, target: str) -> None:
    (tree / "loop").symlink_to("loop")
    (tree / "link").symlink_to(target)
    assert find(str(tree), ["link"], NONE, follow=False) is None


def test_a_directory_that_is_a_link_does_not_lead_out(tree: Path) -> None:
    (tree / "out").symlink_to(tree.parent / "static-secret")
    assert find(str(tree), ["out", "x"], NONE, follow=False) is None
    assert find(str(tree), ["out", "x"], NONE, follow=True) is not None


def test_a_link_inside_is_followed(tree: Path) -> None:
    (tree / "link.css").symlink_to("css/site.css")
    found = find(str(tree), ["link.css"], NONE, follow=False)
    assert found is not None
    assert found.real.endswith("css/site.css")


def test_the_directory_may_be_a_link_itself(tree: Path) -> None:
    (tree.parent / "current").symlink_to(tree)
    assert find(str(tree.parent / "current"), ["css", "site.css"], NONE, follow=False) is not None


@pytest.mark.parametrize("name", ["x" * 5000, "a\ud800", "none"])
def test_what_no_file_can_be_called_is_not_found(tree: Path, name: str) -> None:
    assert find(str(tree), [name], NONE, follow=False) is None


_pieces = st.sampled_from(
    ["..", ".", "", "css", "site.css", "secret", "static-secret", "x", ".git", "config", "link", "\\"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_pieces | st.text(max_size=4), max_size=6))
def test_no_path_at_all_leads_out(tree: Path, pieces: list[str]) -> None:
    if not (tree / "link").is_symlink():
        (tree / "link").symlink_to(tree.parent)
    segments = segments_of("/" + "/".join(pieces), NONE)
    found = find(str(tree), segments, NONE, follow=False) if segments is not None else None
    if found is not None:
        assert os.path.commonpath([found.real, tree]) == str(tree)
        assert "secret" not in Path(found.real).read_text() if found.is_file else True


def test_a_package_has_a_directory() -> None:
    assert find_package(("microasgi", "files")).endswith("files")


@pytest.mark.parametrize(
    "package, text",
    [
        ("nosuchpackage", "no package"),
        ("nosuchpackage.inner", "cannot be imported"),
        ("sys", "no files on disk"),
        ("microasgi", r'write \("microasgi", "<folder>"\)'),
        (("microasgi", "pictures"), "pictures"),
        ("", "cannot be imported"),
    ],
)
def test_a_package_without_one_is_named(package: str | tuple[str, str], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        find_package(package)
