"""`microasgi check`: each rule on code that is wrong, and on code that looks like it and is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microasgi.cli.check import RULES
from microasgi.convertors import CONVERTOR_TYPES

ROOT = Path(__file__).parents[2]
HEAD = """import asyncio, functools, pathlib, shutil, sqlite3, subprocess, time, urllib.request
from contextlib import suppress
from time import sleep as nap
from pathlib import Path
import anyio
from microasgi import *
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

KEY = "".join(chr(97 + number % 26) for number in range(40))
NOTES = Path("notes.txt")
database = sqlite3.connect(":memory:")


async def save(data): ...


def work(request): ...


async def hello(request):
    return "hello"


"""
LINES = HEAD.count("\n")
APP = "app = MicroASGI()\n"


def handler(body: str, how: str = "async def", path: str = "/x", more: str = "") -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{APP}\n\n@app.post({path!r}{more})\n{how} handler(request):\n{lines}"


def layer(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{APP}\n\n@app.middleware\nasync def layer(request, call_next):\n{lines}"


def stack(*layers: str) -> str:
    return f"app = MicroASGI(middleware=[{', '.join(layers)}])\n"


SESSIONS = "Middleware(SessionMiddleware, secret_key=KEY)"
CORS = 'Middleware(CORSMiddleware, allow_origins=["https://example.org"])'
EVERYONE = 'Middleware(CORSMiddleware, allow_origins=["*"])'
THINGS = APP + "@app.route('/')\nclass Things(HTTPEndpoint):\n    # a page\n"
UNLIMITED = "app = MicroASGI(max_body_size=None)\n"
BOTH = "inner = MicroASGI()\napp = MicroASGI()\n"
OUTER = BOTH + "app.mount('/in', inner)\n"

WRONG: list[tuple[str, int, str, str]] = [  # code, line after HEAD, what is said, source
    ("MA101", 4, "POST /in/x is never reached", OUTER + "inner.post('/x')(hello)\napp.post('/in/x')(hello)\n"),
    (
        "MA101",
        4,
        "GET /in/{id:int} is never reached",
        OUTER + "inner.get('/{id:int}')(hello)\napp.route('/in/{id:int}', methods=['GET'])(hello)\n",
    ),
    (
        "MA101",
        4,
        "WS /in/{id} is never reached",
        OUTER + "inner.websocket('/{id}')(hello)\napp.websocket('/in/{id}')(hello)\n",
    ),
    (
        "MA101",
        5,
        "* /in/x is never reached",
        OUTER + "raw = TrustedHostMiddleware(app)\ninner.add_route('/x', raw)\napp.add_route('/in/x', raw)\n",
    ),
    (
        "MA101",
        4,
        "GET /in/sub/x is never reached: Mount('/in/sub'",
        OUTER + "inner.add_route('/sub/x', hello)\napp.mount('/in/sub', TrustedHostMiddleware(inner))\n",
    ),
    ("MA102", 4, "host www.a.org is never", BOTH + "app.host('{x}.a.org', inner)\napp.host('www.a.org', inner)\n"),
    ("MA103", 2, "'/users/<id>' has no parameter: '<id>' is fixed", APP + "app.get('/users/<id>')(hello)\n"),
    ("MA103", 2, "'/u/<int:id>' has no parameter: '<int:id>'", APP + "app.get('/u/<int:id>')(hello)\n"),
    ("MA103", 2, "'/users/:id' has no parameter: ':id'", APP + "app.get('/users/:id')(hello)\n"),
    ("MA104", 6, "reads path_params['idd']", handler("return request.path_params['idd']", path="/{id}")),
    ("MA201", 1, "lets every site read", stack(f"{EVERYONE[:-1]}, allow_credentials=True)")),
    (
        "MA201",
        1,
        "lets every site read",
        stack('Middleware(CORSMiddleware, allow_origin_regex=".*", allow_credentials=True)'),
    ),
    ("MA202", 1, "CORSMiddleware stands inside of SessionMiddleware", stack(SESSIONS, CORS)),
    ("MA203", 1, "can be guessed: it has 6 characters, 6", stack("Middleware(SessionMiddleware, secret_key=KEY[:6])")),
    ("MA203", 1, "40 characters, 1 different", stack("Middleware(SessionMiddleware, secret_key=KEY[0] * 40)")),
    (
        "MA203",
        1,
        "stands in the code",
        'SECRET = "kd83-fj49-sl20-vm57-qp18-xz66-bn41"\n' + stack("Middleware(SessionMiddleware, SECRET)"),
    ),
    ("MA204", 6, "`handler` uses request.session", handler("request.session['a'] = 1")),
    ("MA205", 5, "the middleware `layer` can end", layer("response = await call_next(request)")),
    ("MA205", 5, "`layer`", layer("if request.method == 'GET':\n    return await call_next(request)\nx = 1")),
    ("MA205", 5, "`layer`", layer("while True:\n    break\nawait call_next(request)")),
    ("MA205", 5, "`layer`", layer("try:\n    await call_next(request)\nexcept OSError:\n    raise")),
    ("MA205", 5, "`layer`", layer("match request.method:\n    case 'GET':\n        return await call_next(request)")),
    ("MA301", 6, "`handler` holds up every other request: time.sleep waits", handler("time.sleep(1)\nreturn 'x'")),
    ("MA301", 6, "time.sleep", handler("nap(1)\nreturn 'x'")),
    ("MA301", 7, "time.sleep", handler("import time as t\nt.sleep(1)\nreturn 'x'")),
    ("MA301", 7, "time.sleep", handler("from time import sleep\nsleep(1)\nreturn 'x'")),
    ("MA301", 6, "subprocess.run", handler("subprocess.run([])\nreturn 'x'")),
    ("MA301", 6, "urllib.request.urlopen", handler("return urllib.request.urlopen('x')")),
    ("MA301", 6, "open waits", handler("with open('x') as file:\n    return file.read()")),
    ("MA301", 6, "sqlite3.connect", handler("return sqlite3.connect('x')")),
    ("MA301", 6, "sqlite3.Connection.execute", handler("return database.execute('x')")),
    ("MA301", 6, "pathlib.Path.read_text", handler("return NOTES.read_text()")),
    ("MA301", 6, "pathlib.Path.write_text", handler("return pathlib.Path('x').write_text('')")),
    ("MA301", 6, "shutil.rmtree", handler("return shutil.rmtree('x')")),
    ("MA301", 6, "`layer` holds up", layer("time.sleep(1)\nreturn await call_next(request)")),
    (
        "MA301",
        5,
        "time.sleep",
        APP + "def make():\n    clock = time\n    async def h(request):\n        clock.sleep(1)\n        return later\n"
        "    app.get('/')(h)\n    if not app:\n        later = 1\nmake()\n",
    ),
    (
        "MA101",
        4,
        "GET /in/sub/x is never reached",
        OUTER + "inner.get('/sub/x')(hello)\nasync def raw(scope, receive, send): ...\napp.mount('/in/sub', raw)\n",
    ),
    ("MA302", 6, "`handler` never awaits request.json(...)", handler("request.json()\nreturn 'x'")),
    ("MA302", 6, "request.json", handler("return request.json()['x']")),
    ("MA302", 6, "request.json", handler("data = request.json()\nreturn data")),
    ("MA302", 6, "request.body", handler("data = request.body()\nreturn len(data)")),
    ("MA302", 6, "request.form", handler("data = request.form()\nasync with anyio.Lock():\n    return data['x']")),
    ("MA302", 6, "write await request.json(...), in an `async def`", handler("return request.json()['x']", "def")),
    ("MA302", 6, "never awaits save(...)", handler("save(1)\nreturn 'x'")),
    ("MA303", 6, "`handler` returns nothing", handler("{'total': 1}")),
    ("MA303", 6, "[1] is worked out", handler("[1]", "def")),
    ("MA303", 6, "JSONResponse(...) is made", handler("JSONResponse({})")),
    ("MA303", 7, "total is set", handler("x = 1\ntotal = x + 1")),
    ("MA303", 6, "total is set", handler("total: int = 1")),
    ("MA305", 5, "missing a required argument: 'page'", THINGS + "    def get(self, request, page):\n        ...\n"),
    ("MA306", 6, "reads a body of any size", handler("return await request.body()").replace(APP, UNLIMITED)),
    ("MA306", 6, "reads a body of any size", handler("return await request.body()", more=", max_body_size=2**63")),
]  # fmt: skip

RIGHT = [
    OUTER + "app.host('{x}.a.org', inner)\napp.host('www.b.org', inner)\n",
    APP + "class Box:\n    routes = [Route('/x', hello)]\n    async def __call__(self, scope, receive, send): ...\n"
    "app = Box()\n",
    APP + "class Layer:\n    def __init__(self, app, secret=None): ...\n    async def __call__(self, *_): ...\n"
    "app.add_middleware(Layer, secret=None)\n",
    "exec('class Made:\\n def __init__(self, app): ...\\n async def __call__(self, *_): ...')\n"
    + stack("Made")
    + "@app.get('/')\nasync def h(request):\n    return request.session\n",
    APP + "exec(compile('async def made(request): time.sleep(1)', __file__, 'exec'))\napp.get('/')(made)\n",
    OUTER + "inner.get('/x')(hello)\napp.post('/in/x')(hello)\n",
    OUTER + "inner.get('/{id:int}')(hello)\napp.post('/in/{name}')(hello)\n",
    OUTER + "inner.get('/{id:uuid}')(hello)\ninner.get('/{f:float}')(hello)\ninner.get('/{p:path}')(hello)\n",
    OUTER + "inner.get('/{a}-{b}')(hello)\ninner.get('/{a}')(hello)\ninner.get('/')(hello)\n",
    OUTER + "app.host('www.a.org', inner)\napp.host('{x}.a.org', inner)\ninner.get('/x')(hello)\n",
    APP + "app.get('/a')(hello)\napp.head('/a')(hello)\napp.get('/b:c')(hello)\n",
    "inner = MicroASGI()\napp = MicroASGI(routes=[Mount('/{lang}', inner)])\n"
    "@inner.get('/{x}')\nasync def h(request):\n    return request.path_params['lang'] + request.path_params['x']\n",
    "inner = MicroASGI()\napp = MicroASGI(routes=[Host('{sub}.a.org', inner)])\n"
    "@inner.get('/')\nasync def h(request):\n    return request.path_params['sub']\n",
    APP + "@app.get('/{a}')\n@app.get('/{b}/x')\nasync def h(request):\n    return request.path_params['b']\n",
    stack(CORS, SESSIONS) + "@app.get('/')\nasync def h(request):\n    return request.session.get('x')\n",
    stack(EVERYONE),
    stack("Middleware(SessionMiddleware, secret_key=KEY)"),
    'SECRET = {}.get("x", "kd83-fj49-sl20-vm57-qp18-xz66-bn41")\n' + stack("Middleware(SessionMiddleware, SECRET)"),
    'SECRET = None or "kd83-fj49-sl20-vm57-qp18-xz66-bn41"\n' + stack("Middleware(SessionMiddleware, SECRET)"),
    handler("request.session = 1"),  # nothing is read
    handler("return request.session", more=", middleware=[Middleware(SessionMiddleware, secret_key=KEY)]"),
    "async def own(request, call_next):\n    request.scope['session'] = {}\n    return await call_next(request)\n"
    + stack("own")
    + "@app.get('/')\nasync def h(request):\n    return request.session\n",
    handler("return request.session") + "app = SessionMiddleware(app, secret_key=KEY)\n",
    layer("return await call_next(request)"),
    layer("if request.method == 'GET':\n    return 'x'\nelse:\n    return await call_next(request)"),
    layer("while True:\n    return await call_next(request)"),
    layer("with suppress(OSError):\n    return await call_next(request)"),
    layer("async with anyio.Lock():\n    return await call_next(request)"),
    layer("try:\n    return await call_next(request)\nfinally:\n    work(request)"),
    layer("try:\n    response = await call_next(request)\nexcept OSError:\n    raise\nelse:\n    return response"),
    layer("match request.method:\n    case 'GET':\n        return 'x'\n    case _:\n        return 'y'"),
    layer("if request.method == 'GET':\n    return await call_next(request)\nwork(request)"),
    layer("if request.method == 'GET':\n    return await call_next(request)\nawait save(request)"),
    layer("raise HTTPException(404)"),
    layer("for _ in 'x':\n    continue\nreturn await call_next(request)"),
    handler("await anyio.sleep(1)\nreturn 'x'"),
    handler("await anyio.to_thread.run_sync(time.sleep, 1)\nreturn 'x'"),
    handler("def later():\n    time.sleep(1)\nreturn 'x'"),
    handler("later = lambda: time.sleep(1)\nreturn str(later)"),
    handler("time = request\ntime.sleep(1)\nreturn 'x'"),
    handler("time.sleep(1)\nreturn 'x'", "def"),
    handler("return request.headers.get('x', '').partition(',')[0]"),
    handler("return functools.partial(time.sleep, 1).func.__name__"),
    handler("data = await request.json()\nreturn data"),
    handler("return (await request.json())['x']"),
    handler("body = request.body()\nreturn await body"),
    handler("body = request.body()\nreturn await asyncio.gather(body, save(1))"),
    handler("bodies = request.body()\nreturn await asyncio.gather(*[bodies])"),
    handler("return await asyncio.wait_for(request.body(), 1)"),
    handler("async with request.form() as form:\n    return form['x']"),
    handler("form = request.form()\nasync with form:\n    return 'x'"),
    handler("await save(await request.body())"),
    handler("work(request)", "def"),
    handler("'''It does nothing.'''"),
    handler("..."),
    handler("request.state.count = 1"),
    handler("global count\ncount = 1"),
    handler("x = 1\nx = x + 1", "def"),
    handler("yield 'x'"),
    handler("raise HTTPException(404)"),
    handler("if request.method == 'GET':\n    return 'x'\n[1]"),
    handler("unknown(request)", "def"),
    handler("return await request.body()", more=", max_body_size=100").replace(APP, UNLIMITED),
    handler("return [one async for one in request.stream()]").replace(APP, UNLIMITED),
    THINGS + "    def get(self, request):\n        return 'x'\n",
    APP + "class Site:\n    async def home(self, request):\n        return 'x'\napp.get('/')(Site().home)\n",
    APP + "app.get('/')(functools.partial(hello))\napp.get('/len')(len)\n",
    APP + "class Live(WebSocketEndpoint): ...\napp.websocket('/live')(Live)\n",
    APP + "exec('async def made(request): time.sleep(1)')\napp.get('/')(made)\n",
    "import starlette.applications\napp = starlette.applications.Starlette()\n",
    "async def app(scope, receive, send): ...\n",
]  # fmt: skip


def findings(project: Any, source: str, *options: str) -> list[dict[str, Any]]:
    project.write("app.py", HEAD + source)
    said = project.run("check", "--json", *options)
    assert said.err == ""
    found = json.loads(said.out)
    assert said.code == (1 if found else 0)
    return found


@pytest.mark.parametrize(
    ("code", "line", "what", "source"), WRONG, ids=[f"{code}-{number}" for number, (code, *_) in enumerate(WRONG)]
)
def test_what_is_wrong_is_found_where_it_stands(project: Any, code: str, line: int, what: str, source: str) -> None:
    found = findings(project, source)
    assert [(one["code"], one["file"], one["line"] - LINES) for one in found] == [(code, "app.py", line)]
    assert what in f"{found[0]['what']}: {found[0]['cure']}"
    assert found[0]["cure"]


@pytest.mark.parametrize("source", RIGHT, ids=range(len(RIGHT)))
def test_what_only_looks_wrong_is_not_reported(project: Any, source: str) -> None:
    assert findings(project, source) == []


def test_paths_with_convertors_of_ones_own_are_passed_over(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONVERTOR_TYPES, "digits", CONVERTOR_TYPES["int"])
    assert findings(project, APP + "app.get('/{number:digits}')(hello)\n") == []


def test_production_is_held_to_more(project: Any) -> None:
    found = findings(project, "app = MicroASGI(debug=True)\napp.get('/')(hello)\n", "--deploy")
    assert [(one["code"], one["line"] - LINES) for one in found] == [("MA501", 1), ("MA502", 1)]


def test_production_with_hosts_and_without_debug_is_fine(project: Any) -> None:
    assert findings(project, stack("Middleware(TrustedHostMiddleware)"), "--deploy") == []


def test_hosts_that_a_layer_around_may_check_are_not_asked_for(project: Any) -> None:
    assert findings(project, APP + "app = TrustedHostMiddleware(app)\n", "--deploy") == []


def test_a_fallback_secret_is_not_for_production(project: Any) -> None:
    source = 'SECRET = {}.get("x", "kd83-fj49-sl20-vm57-qp18-xz66-bn41")\n'
    source += stack("Middleware(TrustedHostMiddleware)", "Middleware(SessionMiddleware, SECRET)")
    assert [(one["code"], one["line"] - LINES) for one in findings(project, source, "--deploy")] == [("MA203", 1)]


@pytest.mark.parametrize(
    "comment",
    [
        "time.sleep(1)  # microasgi: ignore[MA301]",
        "time.sleep(1)  # microasgi: ignore",
        "time.sleep(1)  # why: microasgi: ignore[MA302, MA301]".replace("why: microasgi", "microasgi"),
        "# microasgi: ignore[MA301]\n    time.sleep(1)",
    ],
)
def test_a_comment_waves_a_finding_through(project: Any, comment: str) -> None:
    assert findings(project, f"{APP}@app.get('/')\nasync def h(request):\n    {comment}\n    return 'x'\n") == []


@pytest.mark.parametrize(
    "comment", ["time.sleep(1)  # microasgi: ignore[MA302]", "x = 1  # microasgi: ignore[MA301]\n    time.sleep(x)"]
)
def test_a_comment_is_for_its_own_line_and_code(project: Any, comment: str) -> None:
    found = findings(project, f"{APP}@app.get('/')\nasync def h(request):\n    {comment}\n    return 'x'\n")
    assert [one["code"] for one in found] == ["MA301"]


def test_forms_need_their_package(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = handler("async with request.form() as form:\n    return form['x']")
    monkeypatch.setattr("microasgi.cli.rules_handlers.find_spec", lambda name: None)
    found = findings(project, source)
    assert [(one["code"], one["line"] - LINES, one["cure"]) for one in found] == [
        ("MA304", 6, 'pip install "microasgi[forms]"')
    ]


TEMPLATES = """from pathlib import Path
from microasgi import MicroASGI
from starlette.templating import Jinja2Templates
import jinja2

app = MicroASGI()
here = Path(__file__).parent
there = Jinja2Templates(directory=here / "templates")
gone = Jinja2Templates(directory=here / "letters")
several = Jinja2Templates(env=jinja2.Environment(loader=jinja2.FunctionLoader(str), autoescape=True))


@app.get("/")
async def home(request):
    if request.method == "GET":
        return there.TemplateResponse(request, "home.html")
    if request.method == "HEAD":
        return several.TemplateResponse(request, "any.html")
    if request.query_params:
        return there.TemplateResponse(request, request.query_params["name"])
    return there.TemplateResponse(request, name="hom.html")
"""


def test_templates_that_are_not_there_are_found(project: Any) -> None:
    project.write("templates/home.html", "")
    project.write("app.py", TEMPLATES)
    found = json.loads(project.run("check", "--json").out)
    assert [(one["code"], one["line"], one["what"]) for one in found] == [
        ("MA401", 9, "there is no template directory letters"),
        ("MA402", 21, "`home` renders 'hom.html', and there is no such template; did you mean home.html?"),
    ]


@pytest.mark.parametrize(
    ("module", "shown"), [("starlette.staticfiles", ".env, build.py, data.db and 1 more"), ("microasgi.files", None)]
)
def test_private_files_among_the_static_ones_are_found(project: Any, module: str, shown: str | None) -> None:
    for name in (".env", "build.py", "data.db", "sub/key.pem", ".well-known/security.txt", ".gitkeep", "site.css"):
        project.write(f"static/{name}", "")
    source = f"from microasgi import MicroASGI\nfrom {module} import StaticFiles\napp = MicroASGI()\n"
    project.write("app.py", source + "app.mount('/static', StaticFiles(directory='static'))\n")
    found = json.loads(project.run("check", "--json").out)
    shown = shown or "build.py, data.db, sub/key.pem"
    assert [(one["code"], one["line"], one["what"]) for one in found] == [
        ("MA403", 4, f"the static directory static holds {shown}")
    ]


def test_files_that_are_for_everybody_are_not_reported(project: Any) -> None:
    project.write("static/site.css", "")
    source = "from microasgi import MicroASGI\nfrom microasgi.files import StaticFiles\napp = MicroASGI()\n"
    project.write("app.py", source + "app.mount('/static', StaticFiles(directory='static'))\n")
    assert project.run("check").out == "nothing found (1 route, 18 rules)\n"


def test_every_rule_has_a_code_of_its_own_and_is_listed(project: Any) -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    lines = project.run("check", "--rules").out.splitlines()
    assert [line.split()[0] for line in lines] == [rule.code for rule in RULES]


def test_the_page_lists_every_rule() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [code for code in sorted(set(page.split())) if code in {f"`{rule.code}`" for rule in RULES}] == [
        f"`{rule.code}`" for rule in RULES
    ]


def test_the_bad_application_breaks_every_rule_that_can_be_broken_here(project: Any, capsys: Any) -> None:
    said = project.run("check", "--deploy", str(Path(__file__).with_name("bad_app")))
    assert said.code == 1
    codes = {line.split()[1] for line in said.out.splitlines() if ": MA" in line}
    assert codes == {rule.code for rule in RULES} - {"MA204", "MA304"}
    assert said.out.endswith("29 findings (19 routes, 20 rules)\n")


@pytest.mark.parametrize("example", ["guestbook", "blog"])
def test_the_examples_are_clean(project: Any, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ROOT / "examples" / example
    monkeypatch.setenv("BLOG_FOLDER", str(project.folder / "blog"))
    assert project.run("check", str(folder)).out.startswith("nothing found (")
