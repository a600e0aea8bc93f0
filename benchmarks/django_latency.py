"""What one URL of a server does under wrk: its rate, the processor time of a request, and its latency alone."""

import os
import re
import subprocess
from typing import NamedTuple

from wire import pinned, processor_ticks

UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}


class Figures(NamedTuple):
    """One round: requests per second, microseconds of the server's processor, median microseconds of an answer."""

    rate: float
    cpu: float
    latency: float


def ask(pid: int, url: str, seconds: int) -> Figures:
    """Ask with 16 connections, then with one."""
    before = processor_ticks(pid)
    many = wrk(url, 16, seconds)
    used = (processor_ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
    requests = int(matched(r"(\d+) requests in", many))
    alone = wrk(url, 1, max(1, seconds // 2))
    number, unit = matched(r"50%\s+([\d.]+)(?:us|ms|s)", alone), matched(r"50%\s+[\d.]+(us|ms|s)", alone)
    return Figures(
        float(matched(r"Requests/sec:\s+([\d.]+)", many)), used / requests * 1e6, float(number) * UNITS[unit]
    )


def wrk(url: str, connections: int, seconds: int) -> str:
    """What wrk says; RuntimeError when an answer was no success."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pinned(1), check=True)
    if "Non-2xx" in done.stdout:
        raise RuntimeError(f"{url}: {done.stdout}")
    return done.stdout


def matched(pattern: str, text: str) -> str:
    """The first group of a pattern that has to be there."""
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said: {text}")
    return found[1]
