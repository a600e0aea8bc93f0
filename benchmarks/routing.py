"""Routing alone: the time of one look-up and of building the table, by the number of routes.

Law: the routers are asked as their framework asks them, for random routes of the table and another path each time,
so that neither the place in the table nor a cache of answers decides.
"""

import argparse
import gc
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

COUNTS = (10, 100, 1000, 10_000)
SHAPES = {
    "static": ("/area{number}/list", "/area{number}/list"),
    "parameter": ("/area{number}/{{id}}", "/area{number}/b{value}"),
    "inner parameter": ("/area{number}/{{id}}/detail", "/area{number}/b{value}/detail"),
}
PATHS = 4096
Match = Callable[[str], Any]
Built = Callable[[], Match]  # what a framework's builder returns: the way to ask it, made when the clock has stopped


async def handler(request: Any) -> None:
    """Never called."""


def microasgi(templates: list[str]) -> Built:
    from microasgi import MicroASGI
    from microasgi.paths import Template
    from microasgi.table import Table

    app = MicroASGI()
    for template in templates:
        app.add_route(template, handler)
    app.freeze()

    def ask() -> Match:
        table = Table((Template(template), template) for template in templates)  # as the one that the app keeps inside
        exact, find = table.exact, table.find
        return lambda path: exact.get(path) or find(path)

    return ask


def starlette(templates: list[str]) -> Built:
    from starlette.applications import Starlette
    from starlette.routing import Match as Result
    from starlette.routing import Route

    routes = Starlette(routes=[Route(template, handler) for template in templates]).router.routes
    scope = {"type": "http", "method": "GET", "root_path": "", "headers": []}

    def match(path: str) -> Any:
        scope["path"] = path
        for route in routes:
            if route.matches(scope)[0] is Result.FULL:
                return route
        return None

    return lambda: match


def falcon(templates: list[str]) -> Built:
    from falcon.routing import CompiledRouter

    class Resource:
        async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
            """Never called."""

    router = CompiledRouter()
    for template in templates:
        router.add_route(template, Resource(), _asgi=True)
    router.find("/")  # compiles
    return lambda: router.find


def blacksheep(templates: list[str]) -> Built:
    from blacksheep import Router

    router = Router()
    for template in templates:
        router.add_get(template, handler)
    router.apply_routes()
    router.sort_routes()

    def match(path: str) -> Any:
        return router.get_match_by_method_and_path("GET", path.encode())

    return lambda: match


ROUTERS = {"microasgi": microasgi, "starlette": starlette, "falcon": falcon, "blacksheep": blacksheep}


def sample(form: str, count: int) -> list[str]:
    pick = random.Random(count)
    return [form.format(number=pick.randrange(count), value=value) for value in range(PATHS)]


def look_up_time(match: Match, paths: list[str], seconds: float) -> float:
    """The least mean in microseconds over some batches, each of which takes up to `seconds` / 5."""
    endless = itertools.cycle(paths)
    count, least = 1, float("inf")
    for _ in range(20):
        fresh = ["".join((path[:1], path[1:])) for path in itertools.islice(endless, count)]
        start = perf_counter()
        for path in fresh:
            match(path)
        spent = perf_counter() - start
        mean = spent / count * 1e6
        if spent > seconds / 20:
            least = min(least, mean)
        count = max(1, min(int(seconds / 5 * 1e6 / mean), count * 8, PATHS))
    return least if least < float("inf") else mean


def measure(build: Callable[[list[str]], Built], shape: str, count: int, seconds: float) -> dict[str, float]:
    template, form = SHAPES[shape]
    templates = [template.format(number=number) for number in range(count)]
    random.Random(1).shuffle(templates)
    paths = sample(form, count)
    gc.collect()
    gc.disable()
    try:
        start = perf_counter()
        ask = build(templates)
        built = perf_counter() - start
        match = ask()
        wrong = [path for path in paths[:50] if not match(path)]
        if wrong or match("/nowhere/at/all"):
            raise RuntimeError(f"the router does not know its routes: {wrong[:3]}")
        return {"us": look_up_time(match, paths, seconds), "build_ms": built * 1000}
    finally:
        gc.enable()


def all_counts(build: Callable[[list[str]], Built], shape: str, seconds: float) -> list[dict[str, float]]:
    """The figures by count; those that a router would build for minutes are left out."""
    build([SHAPES[shape][0].format(number=0)])  # imports belong to nobody's table
    figures: list[dict[str, float]] = []
    for count in COUNTS:
        if figures and figures[-1]["build_ms"] > 500:
            break
        figures.append(measure(build, shape, count, seconds))
    return figures


def line(name: str, shape: str, figures: list[dict[str, float]]) -> str:
    missing = ["–"] * (len(COUNTS) - len(figures))
    look_ups = [f"{figure['us']:.2f}" for figure in figures] + missing
    builds = [f"{figure['build_ms']:,.1f}" for figure in figures] + missing
    return f"| {name}, {shape} | {' | '.join(look_ups + builds)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--routers", nargs="+", choices=list(ROUTERS), default=list(ROUTERS), metavar="ROUTER")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure, about")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    counts = " | ".join(f"{count:,}" for count in COUNTS)
    print(f"look-up in us, then build in ms, by number of routes\n\n| router | {counts} | {counts} |")
    print("|---" * (1 + 2 * len(COUNTS)) + "|")
    results: dict[str, Any] = {}
    for name in options.routers:
        for shape in SHAPES:
            try:
                figures = all_counts(ROUTERS[name], shape, options.seconds)
            except ImportError as error:
                print(f"| {name} | not installed ({error}) |")
                break
            results[f"{name}, {shape}"] = figures
            print(line(name, shape, figures), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
