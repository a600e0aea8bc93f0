"""`microasgi routes`: an aligned table, or JSON."""

from __future__ import annotations

import json
from typing import Any

from microasgi import MicroASGI, Mount
from microasgi.cli.tree import walk

SITE = """from microasgi import HTTPEndpoint, Host, MicroASGI, Middleware, Mount, Request, Route, Router, WebSocket


class Layer:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


async def mw(request, call_next):
    return await call_next(request)


async def raw(scope, receive, send): ...


class Things(HTTPEndpoint):
    async def get(self, request): ...
    async def post(self, request): ...


class Raw:
    async def __call__(self, scope, receive, send): ...


api = Router(middleware=[mw])


@api.get("/users/{id:int}", middleware=[Layer])
async def user(request: Request): ...


shop = MicroASGI(middleware=[Layer])
shop.add_route("/", user, methods=["DELETE", "PUT"], name="shop")
app = MicroASGI(middleware=[Layer])
app.include(api, "/api")
app.add_route("/things", Things)
app.add_route("/raw", Raw())


@app.websocket("/live")
async def live(websocket: WebSocket): ...


app.mount("/shop", shop, name="store")
app.mount("/plain", raw)
app.host("{tenant}.example.org", shop)
"""

TABLE = """\
methods     path                           name      endpoint      where      middleware
GET         /api/users/{id:int}            user      app.user      app.py:31  3
GET,POST    /things                        Things    app.Things    app.py:39  1
*           /raw                           Raw       Raw           app.py:40  1
WS          /live                          live      app.live      app.py:43  1
MOUNT       /shop                          store     MicroASGI     app.py:47  1
DELETE,PUT  /shop/                         shop      app.user      app.py:36  2
MOUNT       /plain                                   app.raw       app.py:48  1
HOST        //{tenant}.example.org/                  MicroASGI     app.py:49  1
DELETE,PUT  //{tenant}.example.org/        shop      app.user      app.py:36  2
"""


def test_the_table_is_aligned_and_goes_into_mounts_and_hosts(project: Any) -> None:
    project.write("app.py", SITE)
    said = project.run("routes")
    assert [line.split() for line in said.out.splitlines()] == [line.split() for line in TABLE.splitlines()]
    starts = {line.rindex("app.py:") for line in said.out.splitlines()[1:]}
    assert len(starts) == 1
    assert not any(line.endswith(" ") for line in said.out.splitlines())


def test_json_has_the_same_routes(project: Any) -> None:
    project.write("app.py", SITE)
    rows = json.loads(project.run("routes", "--json").out)
    assert len(rows) == len(TABLE.splitlines()) - 1
    assert rows[0] == {
        "methods": ["GET"],
        "path": "/api/users/{id:int}",
        "name": "user",
        "endpoint": "app.user",
        "where": "app.py:31",
        "middleware": 3,
    }


def test_routes_are_found_inside_of_layers_made_by_hand(project: Any) -> None:
    project.write("app.py", SITE + "\ninner = app\napp = Layer(Layer(app))\n")
    assert "/api/users" in project.run("routes").out


def test_applications_that_are_mounted_in_each_other_end() -> None:
    route = Mount("/other", one := MicroASGI())
    one._routes.append(Mount("/one", two := MicroASGI(routes=[route])))  # the registry itself would refuse it
    assert [found.path for found in walk(two)] == ["/other", "/other/one"]


def test_a_mounted_starlette_application_is_one_line(project: Any) -> None:
    source = "from microasgi import MicroASGI\nfrom starlette.applications import Starlette\n"
    source += "from starlette.routing import Route\nasync def f(request): ...\napp = MicroASGI()\n"
    project.write("app.py", source + "app.mount('/old', Starlette(routes=[Route('/', f)]))\n")
    said = project.run("routes")
    assert len(said.out.splitlines()) == 2
    assert "Starlette" in said.out
