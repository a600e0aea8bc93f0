"""Where the figures come from: this machine, and a greenhouse that is made up. Two messages a second, for everybody.

In one process the application publishes them itself. With Redis this is a program of its own, and any number of
processes show what it says: `DASHBOARD_HUB=redis://localhost python feed.py`.
"""

from __future__ import annotations

import logging
import math
import os
import random
import secrets
import time
from pathlib import Path

import anyio

from microasgi.concurrency import run_in_threadpool
from microasgi.realtime import Hub, HubUnavailable

GROUP = "figures"
INTERVAL = 0.5  # seconds
PAST = 120  # messages that are kept: a minute

logger = logging.getLogger("dashboard")


def make_hub() -> Hub:
    """Return the hub that DASHBOARD_HUB names, or one in this process' memory."""
    return Hub(os.environ.get("DASHBOARD_HUB", "memory://"), replay=PAST)


async def publish_figures(hub: Hub) -> None:
    """Publish for ever. `feed` and `number` let a page see whether it has missed something."""
    machine, greenhouse = Machine(), Greenhouse()
    feed, number = secrets.token_hex(4), 0
    while True:
        number += 1
        values = greenhouse.read() | await run_in_threadpool(machine.read)
        try:
            viewers = await hub.count(GROUP)
            message = {"feed": feed, "number": number, "time": time.time(), "viewers": viewers, "values": values}
            await hub.publish(GROUP, message)
        except HubUnavailable as error:  # this one is lost, and the pages will see by the numbers that it is
            logger.warning("%s", error)
        await anyio.sleep(INTERVAL)


class Greenhouse:
    """Sensors that wander around a mean, as real ones do; nobody has to buy any."""

    def __init__(self) -> None:
        self._begin = time.monotonic() - random.uniform(0, 1000)
        self._drift = dict.fromkeys(("inside", "outside", "soil", "moist", "air"), 0.0)

    def read(self) -> dict[str, float]:
        """Return temperatures in °C and moisture in percent."""
        drift = {name: 0.94 * value + random.gauss(0, 0.16) for name, value in self._drift.items()}
        self._drift = drift
        elapsed = time.monotonic() - self._begin
        wave = [math.sin(elapsed * 2 * math.pi / seconds) for seconds in (47, 31, 79)]
        return {
            "inside": round(23.5 + 1.6 * wave[0] + drift["inside"], 2),
            "outside": round(14.2 + 1.1 * wave[1] + 1.3 * drift["outside"], 2),
            "soil": round(18.4 + 0.9 * wave[2] + 0.3 * drift["soil"], 2),
            "air": round(61 + 6 * wave[1] + 3 * drift["air"], 1),
            "moist": round(42 - 4 * wave[2] + drift["moist"], 1),
        }


class Machine:
    """The load of this machine in percent; on a system without /proc, what Python knows."""

    def __init__(self) -> None:
        self._before = _processor_times()

    def read(self) -> dict[str, float]:
        """Return how busy the processors have been since the last call, and how much of the memory is in use."""
        now = _processor_times()
        (idle, total), self._before = (late - early for early, late in zip(self._before, now, strict=True)), now
        values = {"processor": round(100 * (1 - idle / total), 1) if total > 0 else 0.0}
        memory = Path("/proc/meminfo")
        if memory.exists():
            rows = dict(line.split(":") for line in memory.read_text().splitlines())
            free, size = (int(rows[name].split()[0]) for name in ("MemAvailable", "MemTotal"))
            values["memory"] = round(100 * (1 - free / size), 1)
        return values


def _processor_times() -> tuple[float, float]:
    """Return the seconds that all processors together have been idle, and those that have passed for them."""
    path = Path("/proc/stat")
    if not path.exists():
        total = time.monotonic() * (os.cpu_count() or 1)
        return total - time.process_time(), total
    columns = [int(text) for text in path.read_text().split("\n", 1)[0].split()[1:9]]
    return float(columns[3] + columns[4]), float(sum(columns))


async def main() -> None:
    """Publish until interrupted."""
    hub = make_hub()
    async with hub.lifespan():
        await publish_figures(hub)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        anyio.run(main)
    except KeyboardInterrupt:
        pass
