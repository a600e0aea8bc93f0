"""A hub with a client of redis-py's Sentinel: it follows the master when another one takes over."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import anyio
import pytest

from microasgi.realtime import Gap, Hub, HubUnavailable
from tests.realtime.reading import take, until

pytestmark = [pytest.mark.anyio, pytest.mark.server]


@pytest.fixture(scope="module")
def anyio_backend() -> Any:
    """redis-py runs on asyncio."""
    return "asyncio"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a master, a replica and a sentinel that watches them; return the sentinel's port and the master."""
    binary = which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine (Debian: apt-get install redis-server)")
    master, replica, sentinel = ports(3)
    (tmp_path / "sentinel.conf").write_text(
        f"port {sentinel}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor hub 127.0.0.1 {master} 1\n"
        "sentinel down-after-milliseconds hub 1000\nsentinel failover-timeout hub 2000\n"
    )
    common = ("--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0", "--dir", str(tmp_path))
    commands = [
        (binary, "--port", str(master), *common),
        (binary, "--port", str(replica), *common, "--replicaof", f"127.0.0.1 {master}"),
        (binary, str(tmp_path / "sentinel.conf"), "--sentinel"),
    ]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            wait_for((master, replica, sentinel)[len(processes) - 1])
        yield sentinel, processes[0]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def ports(number: int) -> list[int]:
    listeners = [socket.socket() for _ in range(number)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    found = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return found


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)


async def test_a_hub_follows_the_master_that_sentinel_names(watched: Any) -> None:
    from redis.asyncio.sentinel import Sentinel

    port, master = watched
    sentinel = Sentinel([("127.0.0.1", port)], socket_timeout=1)
    client = sentinel.master_for("hub")
    hub = Hub(client, timeout=1)

    async def has_replica() -> bool:
        replicas = await sentinel.sentinels[0].sentinel_slaves("hub")
        return bool(replicas) and "s_down" not in replicas[0]["flags"] and int(replicas[0]["slave-repl-offset"]) > 0

    async with hub.lifespan(), hub.subscribe("a") as member:
        await hub.publish("a", 1)
        assert await take(member) == [1]
        with anyio.fail_after(30):
            await sentinel.sentinels[0].execute_command("SENTINEL", "DEBUG", "info-period", "100")  # 10 s otherwise
            await until(has_replica)
            master.kill()
            assert await anext(member) == Gap(("a",))
            await until(lambda: is_published(hub, 2))
            assert await anext(member) == 2
    await client.aclose()
    for one in sentinel.sentinels:
        await one.aclose()


async def is_published(hub: Hub, message: int) -> bool:
    try:
        await hub.publish("a", message)
    except HubUnavailable:
        return False
    return True
