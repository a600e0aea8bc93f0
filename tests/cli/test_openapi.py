"""`microasgi openapi`: the application's own document, asked of it in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

SITE = """from microasgi import JSONResponse, MicroASGI

app = MicroASGI()
log = []


@app.lifespan
async def life():
    log.append("start")
    yield {"title": "Shop ©"}
    log.append("stop")
    print(*log)


@app.get("/openapi.json")
async def document(request):
    log.append("asked")
    return {"openapi": "3.1.0", "info": {"title": request.state["title"]}}


@app.get("/text")
async def text(request):
    return "hello"


@app.get("/list")
async def numbers(request):
    return [1]


@app.get("/secret")
async def secret(request):
    return "no", 401
"""


def test_the_document_is_written_where_it_is_wanted(project: Any) -> None:
    project.write("app.py", SITE)
    assert project.run("openapi", "-o", "api.json").out == "start asked stop\n"
    text = (project.folder / "api.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"openapi": "3.1.0", "info": {"title": "Shop ©"}}
    assert text.startswith('{\n  "openapi"')
    assert text.endswith("}\n")
    assert "©" in text


def test_the_document_is_printed(project: Any) -> None:
    project.write("app.py", SITE.replace("    print(*log)\n", ""))
    assert json.loads(project.run("openapi").out)["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api.json", "the application answers nothing at /api.json: "),
        ("api.json", "the application answers nothing at /api.json: "),
        ("/secret", "/secret was answered with status 401: "),
        ("/text", "what the application serves at /text is no JSON"),
        ("/list", "what the application serves at /list is no OpenAPI document: it has no `openapi` key"),
    ],
)
def test_what_is_no_document_is_named(project: Any, path: str, says: str) -> None:
    project.write("app.py", SITE.replace("    print(*log)\n", ""))
    assert project.complaint("openapi", "--path", path).startswith(says)


def test_a_file_that_cannot_be_written_is_named(project: Any) -> None:
    project.write("app.py", SITE.replace("    print(*log)\n", ""))
    complaint = project.complaint("openapi", "-o", "nowhere/api.json")
    assert complaint == "cannot write nowhere/api.json: No such file or directory"


def test_a_start_that_fails_shows_the_reason(project: Any) -> None:
    project.write("app.py", SITE.replace('    log.append("start")\n', '    raise OSError("no database")\n'))
    assert "no database" in project.complaint("openapi")


def test_an_application_that_never_answers_has_failed(project: Any) -> None:
    project.write("app.py", "async def app(scope, receive, send): ...\n")
    assert project.complaint("openapi").startswith("/openapi.json was answered with status 500")


def test_an_application_that_reads_its_request_is_answered(project: Any) -> None:
    source = """async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    assert (await receive())["type"] == "http.request"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"openapi": "3.1.0"}'})
"""
    project.write("app.py", source)
    assert json.loads(project.run("openapi").out) == {"openapi": "3.1.0"}
