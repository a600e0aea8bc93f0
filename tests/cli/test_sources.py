"""The user's code as a tree: what is found in it, and what is not."""

from __future__ import annotations

from pathlib import Path

from microasgi.cli.sources import find_call, find_definition, find_function, is_ignored

SOURCE = """one = 1
two: int = 2


def named(): ...


@staticmethod
def decorated(): ...


print(one)
call(x, Layer)
"""


def write(folder: Path) -> str:
    path = folder / "code.py"
    path.write_text(SOURCE)
    return str(path)


def test_definitions_are_found_by_name(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert [find_definition(file, name) for name in ("one", "two", "named", "decorated")] == [1, 2, 5, 9]


def test_what_is_not_there_is_taken_for_the_first_line(tmp_path: Path) -> None:
    assert find_definition(write(tmp_path), "three") == 1


def test_functions_are_found_by_name_and_line(tmp_path: Path) -> None:
    file = write(tmp_path)
    for line in (8, 9):
        node = find_function(file, line, "decorated")
        assert node is not None
        assert node.lineno == 9
    assert find_function(file, 5, "decorated") is None
    assert find_function(file, 1, "named") is None


def test_calls_are_found_by_what_is_called_or_handed_over(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert find_call([file], "print") == (file, 12)
    assert find_call([file], "Layer") == (file, 13)
    assert find_call([file], "Other") is None


def test_files_that_cannot_be_read_hold_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_bytes(b"# coding: nonsense\n")
    for file in (str(tmp_path / "gone.py"), str(broken)):
        assert find_function(file, 1, "x") is None
        assert not is_ignored(file, 1, "MA101")
