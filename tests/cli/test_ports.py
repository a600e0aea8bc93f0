"""Ports: who has one, which is free, and what is said where none can be had."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from microasgi.cli.complaints import Complaint
from microasgi.cli.ports import bind, check_free, check_socket_file, open_inodes


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_free_port_is_bound(free_port: int) -> None:
    check_free("127.0.0.1", free_port)
    with bind("127.0.0.1", free_port) as listener:
        assert listener.getsockname() == ("127.0.0.1", free_port)


def test_a_port_in_use_is_answered_with_who_has_it_and_a_free_one(taken: int) -> None:
    with pytest.raises(Complaint) as caught:
        check_free("127.0.0.1", taken)
    text = str(caught.value)
    assert text.startswith(f"port {taken} is in use by process {os.getpid()} (")
    free = int(text.rpartition("--port ")[2])
    assert free > taken
    check_free("127.0.0.1", free)


def test_who_has_a_port_may_stay_unknown(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microasgi.cli.ports._TABLES", ("/nowhere",))
    monkeypatch.setattr("microasgi.cli.ports._TRIES", 0)
    with pytest.raises(Complaint, match=rf"^port {taken} is in use: stop that$"):
        check_free("127.0.0.1", taken)


def test_a_process_that_shows_nothing_is_passed_over(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microasgi.cli.ports.open_inodes", lambda process: set())
    with pytest.raises(Complaint, match=rf"^port {taken} is in use: stop that, or take a free one: --port \d+$"):
        check_free("127.0.0.1", taken)


def test_ports_that_are_taken_as_well_are_passed_over(taken: int) -> None:
    with socket.socket() as second:
        with suppress(OSError):  # somebody else has it: all the better
            second.bind(("127.0.0.1", taken + 1))
            second.listen()
        with pytest.raises(Complaint) as caught:
            check_free("127.0.0.1", taken)
        assert int(str(caught.value).rpartition("--port ")[2]) > taken + 1


@pytest.mark.parametrize("host", ["1.2.3.4.5", "192.0.2.1", "a" * 80])
def test_an_address_of_another_machine_is_named(host: str, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if host == "1.2.3.4.5":  # without asking a name server

        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Complaint, match="is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all"):
        check_free(host, free_port)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "port 80 is for the system's own servers: take one from 1024 on, as in --port 8000"),
        (errno.ENOBUFS, "cannot listen on 127.0.0.1 port 80: no room"),
    ],
)
def test_what_the_system_refuses_is_explained(number: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, address: Any) -> None:
        raise OSError(number, "no room")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(Complaint) as caught:
        bind("127.0.0.1", 80)
    assert str(caught.value) == says


def test_elsewhere_than_on_unix_ports_are_not_shared(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microasgi.cli.ports._SHARES", False)
    with bind("127.0.0.1", free_port) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0


def test_a_process_that_is_gone_has_nothing_open() -> None:
    assert open_inodes(Path("/proc/no-such-process")) == set()


def test_a_socket_file_may_be_left_over_and_not_be_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    check_socket_file(path)
    assert not (tmp_path / "socket").exists()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        check_socket_file(path)
        listener.listen()
        with pytest.raises(Complaint, match="a server listens on .* already: stop it, or take another path"):
            check_socket_file(path)
    check_socket_file(path)


def test_a_socket_file_needs_its_folder_and_takes_no_other_files_place(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match="there is no folder .*nowhere for the socket"):
        check_socket_file(str(tmp_path / "nowhere" / "socket"))
    with pytest.raises(Complaint, match=r"^no socket can be made at /proc/socket: No such file or directory$"):
        check_socket_file("/proc/socket")
    (tmp_path / "notes").write_text("")
    with pytest.raises(Complaint, match="exists and is no socket: take another path"):
        check_socket_file(str(tmp_path / "notes"))
