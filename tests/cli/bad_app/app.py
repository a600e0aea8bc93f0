# ruff: noqa
"""Everything that `microasgi check` has a rule for, done wrong. Its output is in tests/cli/test_check.py."""

import sqlite3
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from microasgi import HTTPEndpoint, JSONResponse, Middleware, MicroASGI, Request, Router, WebSocket

HERE = Path(__file__).parent
SECRET = "not-so-secret"
templates = Jinja2Templates(directory=HERE / "templates")
letters = Jinja2Templates(directory=HERE / "letters")
database = sqlite3.connect(":memory:", check_same_thread=False)

app = MicroASGI(
    debug=True,
    max_body_size=None,
    middleware=[
        Middleware(SessionMiddleware, secret_key=SECRET),
        Middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True),
    ],
)
api = Router()


@app.middleware
async def measure(request: Request, call_next):
    response = await call_next(request)
    response.headers["server-timing"] = "app;dur=1"


@app.get("/users/<id>")
async def user(request: Request):
    return {"id": request.path_params["id"]}


@app.get("/slow")
async def slow(request: Request):
    time.sleep(1)
    subprocess.run(["true"])
    urlopen("http://example.org").close()
    database.execute("SELECT 1")
    return (HERE / "app.py").name + open(__file__).readline()


@app.post("/notes")
async def add_note(request: Request):
    data = request.json()
    save(data)
    return JSONResponse(data, 201)


async def save(data):
    pass


@app.get("/total")
def total(request: Request):
    {"total": 1 + 1}


@app.get("/made")
async def made(request: Request):
    JSONResponse({"made": True})


@app.get("/set")
async def is_set(request: Request):
    result = [1, 2, 3]


@app.get("/home")
def home(request: Request):
    return templates.TemplateResponse(request, "hom.html")


@app.post("/upload")
async def upload(request: Request):
    async with request.form() as form:
        return list(form)


@app.route("/things")
class Things(HTTPEndpoint):
    def get(self, request, page):
        return page


@app.websocket("/live")
async def live(websocket: WebSocket):
    websocket.accept()
    time.sleep(1)


@api.get("/users")
async def inner_users(request: Request):
    return request.session.get("user")


@app.get("/api/users")
async def outer_users(request: Request):
    return []


@app.get("/quiet")
async def quiet(request: Request):
    time.sleep(1)  # microasgi: ignore[MA301]
    return "known"


app.mount("/api", api)
app.mount("/static", StaticFiles(directory=HERE / "static"))

tenants = MicroASGI()
app.host("{tenant}.example.org", tenants)
app.host("www.example.org", tenants)


@tenants.get("/")
async def tenant_home(request: Request):
    return request.session["user"]
