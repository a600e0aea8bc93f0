"""Spools go to a temporary file above their size and leave none behind; names become safe to create."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.spool import Spool, close_all, make_safe_filename

MIB = 1024 * 1024


def test_what_fits_stays_in_memory() -> None:
    spool = Spool(10)
    assert not spool.add(b"01234")
    assert not spool.add(b"56789")
    assert not spool.on_disk
    file = spool.finish()
    assert isinstance(file, BytesIO)
    assert file.read() == b"0123456789"
    assert spool.size == 10


def test_one_byte_more_goes_to_a_temporary_file() -> None:
    spool = Spool(10)
    assert spool.add(b"0123456789a")
    assert spool.on_disk
    spool.flush()
    file = spool.finish()
    assert not isinstance(file, BytesIO)
    assert file.fileno()
    assert file.read() == b"0123456789a"
    spool.close()
    assert file.closed


def test_after_the_first_the_batches_are_a_mebibyte() -> None:
    spool = Spool(10)
    spool.add(b"x" * 11)
    spool.flush()
    assert not spool.add(b"y" * (MIB - 1))
    assert spool.add(b"z")
    spool.flush()
    assert not spool.add(b"tail")
    file = spool.finish()
    assert file.read() == b"x" * 11 + b"y" * (MIB - 1) + b"ztail"
    spool.close()


def test_a_flush_that_comes_after_the_end_makes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[BinaryIO] = []
    real = tempfile.TemporaryFile

    def record() -> BinaryIO:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", record)
    spool = Spool(1)
    spool.add(b"late")
    spool.close()
    spool.flush()
    assert not made


def test_closing_goes_on_past_an_error() -> None:
    class Broken:
        def close(self) -> None:
            raise OSError("the disk has gone")

    last = BytesIO()
    with pytest.raises(OSError, match="the disk has gone"):
        close_all([BytesIO(), Broken(), last])
    assert last.closed


@pytest.mark.parametrize(
    "sent, safe",
    [
        ("report.pdf", "report.pdf"),
        ("naïve 文件.txt", "naïve 文件.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cv.doc", "cv.doc"),
        ("\\\\server\\share\\x.txt", "x.txt"),
        ("a/b\\c.txt", "c.txt"),
        ("evil.txt/", "file"),
        ("..", "file"),
        ("", "file"),
        (". . .", "file"),
        (".htaccess", "htaccess"),
        ("name. ", "name"),
        ("a\x00b\r\nc\x7f.txt", "abc.txt"),
        ("in\u202evoice\u200b.exe", "invoice.exe"),
        ("x\ud800y", "xy"),
        ("C:evil.txt", "C_evil.txt"),
        ("file.txt::$DATA", "file.txt__$DATA"),
        ('<a>"b"|c?*', "_a__b__c__"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("com1 .txt", "_com1 .txt"),
        ("LPT³", "_LPT³"),
        ("conin$", "_conin$"),
        ("console.log", "console.log"),
        ("CON\x00", "_CON"),
        ("x" * 300, "x" * 200),
        ("x" * 300 + ".tar", "x" * 196 + ".tar"),
        ("é" * 150 + ".txt", "é" * 98 + ".txt"),
        ("a." + "b" * 300, "a." + "b" * 198),
    ],
)
def test_a_name_becomes_safe_and_stays_readable(sent: str, safe: str) -> None:
    assert make_safe_filename(sent) == safe


@given(st.text(st.characters(), max_size=300) | st.text('./\\ :CON\x00"é', max_size=300))
def test_any_name_can_be_created_in_a_directory(sent: str) -> None:
    safe = make_safe_filename(sent)
    assert make_safe_filename(safe) == safe
    assert 1 <= len(safe.encode()) <= 201
    assert not set(safe) & set('/\\<>:"|?*\r\n\x00')
    assert not safe.startswith(".")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / safe).write_bytes(b"")
        assert [path.name for path in Path(folder).iterdir()] == [safe]
