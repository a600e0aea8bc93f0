"""A bookshop whose OpenAPI document is written by hand: the page's tests drive it, with all that a page has to show."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from struct import pack
from typing import Any
from zlib import compress, crc32

import anyio

from microasgi import JSONResponse, MicroASGI, Request, Response, StreamingResponse
from microasgi.openapi.page import docs_routes
from tests.openapi.page_typed import shop


def png(size: int) -> bytes:
    """Return a square of blue."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack("!I", len(data)) + kind + data + pack("!I", crc32(kind + data))

    header = pack("!IIBBBBB", size, size, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x33\x46\xd3" * size) * size
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")


REF = "#/components/schemas/"


def reference(name: str) -> dict[str, Any]:
    return {"$ref": REF + name}


def answer(description: str, schema: Any = None, media: str = "application/json", **more: Any) -> dict[str, Any]:
    content = {} if schema is None else {"content": {media: {"schema": schema, **more}}}
    return {"description": description, **content}


PROBLEM = answer("The request does not fit", reference("Problem"), "application/problem+json")
LARGEST = 9_223_372_036_854_775_807
ID = {"type": "integer", "minimum": 1, "maximum": LARGEST}
BOOK_ID = {"name": "book_id", "in": "path", "required": True, "schema": ID}

SCHEMAS: dict[str, Any] = {
    "Book": {
        "type": "object",
        "description": "A book on the shelf.",
        "required": ["title", "price", "authors"],
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "title": {"type": "string", "minLength": 1, "maxLength": 200, "examples": ["On Looms"]},
            "price": {"type": "string", "format": "decimal", "description": "In euros, with **two** digits."},
            "authors": {"type": "array", "items": reference("Author"), "minItems": 1},
            "published": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
            "format": {"enum": ["hardcover", "paperback", "ebook"], "default": "paperback"},
            "related": {"type": "array", "items": reference("Book"), "description": "Books like this one."},
            "isbn": {"type": "string", "pattern": "^97[89]-[0-9-]+$", "deprecated": True},
        },
    },
    "Author": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "examples": ["Ada"]}, "born": {"type": "integer", "maximum": 2026}},
    },
    "Gift": {
        "allOf": [
            reference("Book"),
            {"type": "object", "required": ["wrapping"], "properties": {"wrapping": {"enum": ["red", "blue"]}}},
        ]
    },
    "Problem": {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "status": {"type": "integer", "examples": [422]},
            "errors": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
    },
    "Payment": {"oneOf": [reference("Card"), reference("Voucher")], "discriminator": {"propertyName": "kind"}},
    "Card": {"type": "object", "properties": {"kind": {"const": "card"}, "number": {"type": "string"}}},
    "Voucher": {"type": "object", "properties": {"kind": {"const": "voucher"}, "code": {"type": "string"}}},
    "Upload": {
        "type": "object",
        "required": ["cover"],
        "properties": {
            "cover": {"type": "string", "format": "binary", "description": "A picture."},
            "caption": {"type": "string", "maxLength": 80},
        },
    },
}

INTRODUCTION = """\
Everything a **small bookshop** does over HTTP.

- look up books with `GET /books`
- put new ones on the shelf
- read the [rules](https://example.com/rules)

Ask for a token first: user `ada`, any password."""

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Bookshop",
        "version": "1.4.0",
        "description": INTRODUCTION,
        "contact": {"name": "The shop", "url": "https://example.com/"},
        "license": {"name": "BSD-3-Clause"},
    },
    "tags": [{"name": "books", "description": "What is on the shelf."}, {"name": "orders"}, {"name": "odds and ends"}],
    "paths": {
        "/books": {
            "get": {
                "operationId": "list_books",
                "summary": "Look books up",
                "tags": ["books"],
                "parameters": [
                    {"name": "q", "in": "query", "description": "Words of the title.", "schema": {"type": "string"}},
                    {
                        "name": "limit",
                        "in": "query",
                        "description": "How many at most.",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
                    },
                    {
                        "name": "format",
                        "in": "query",
                        "schema": {"enum": ["hardcover", "paperback", "ebook"]},
                    },
                    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "in_stock", "in": "query", "schema": {"type": "boolean"}},
                    {"name": "x-shop", "in": "header", "schema": {"type": "string", "maxLength": 20}},
                    {"name": "seen", "in": "cookie", "schema": {"type": "string"}},
                ],
                "responses": {
                    "200": answer("The books", {"type": "array", "items": reference("Book")}),
                    "422": PROBLEM,
                },
            },
            "post": {
                "operationId": "add_book",
                "summary": "Put a book on the shelf",
                "tags": ["books"],
                "security": [{"token": ["books:write"]}, {"key": []}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": reference("Book"),
                            "examples": {
                                "short": {
                                    "value": {"title": "On Looms", "price": "9.50", "authors": [{"name": "Ada"}]}
                                },
                                "long": {
                                    "value": {
                                        "title": "On Weaving",
                                        "price": "12.00",
                                        "authors": [{"name": "Grace"}, {"name": "Ada"}],
                                        "format": "ebook",
                                    }
                                },
                            },
                        }
                    },
                },
                "responses": {
                    "201": {
                        **answer("The book as it is now", reference("Book")),
                        "headers": {"location": {"schema": {}}},
                    },
                    "401": PROBLEM,
                    "422": PROBLEM,
                },
            },
        },
        "/books/{book_id}": {
            "parameters": [BOOK_ID],
            "get": {
                "operationId": "read_book",
                "summary": "One book",
                "tags": ["books"],
                "description": "What is known of one book.\n\nThe answer has an `ETag`.",
                "responses": {"200": answer("The book", reference("Book")), "404": PROBLEM},
            },
            "put": {
                "operationId": "change_book",
                "summary": "Change a book",
                "tags": ["books"],
                "security": [{"token": ["books:write"]}, {"own": [], "crumb": [], "word": []}],
                "requestBody": {"content": {"application/json": {"schema": reference("Gift")}}},
                "responses": {"200": answer("The book", reference("Gift"))},
            },
            "delete": {
                "operationId": "drop_book",
                "summary": "Take a book off the shelf",
                "tags": ["books"],
                "deprecated": True,
                "responses": {"204": answer("It is gone")},
            },
        },
        "/books/{book_id}/cover": {
            "post": {
                "operationId": "upload_cover",
                "summary": "Upload a cover",
                "tags": ["books"],
                "parameters": [BOOK_ID],
                "requestBody": {"content": {"multipart/form-data": {"schema": reference("Upload")}}},
                "responses": {"201": answer("Its name and size", {"type": "object"})},
            }
        },
        "/orders": {
            "patch": {
                "operationId": "pay",
                "summary": "Pay",
                "tags": ["orders"],
                "security": [{"login": []}],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": reference("Payment")},
                        "application/x-www-form-urlencoded": {"schema": reference("Voucher")},
                    }
                },
                "responses": {"200": answer("Thanks", {"type": "object"})},
            }
        },
        "/picture": {
            "get": {
                "operationId": "picture",
                "summary": "A picture",
                "tags": ["odds and ends"],
                "responses": {"200": answer("It", {}, "image/png")},
            }
        },
        "/events": {
            "get": {
                "operationId": "events",
                "summary": "Events, one a moment",
                "tags": ["odds and ends"],
                "responses": {"200": answer("Lines", {"type": "object"}, "application/jsonl")},
            }
        },
        "/archive": {
            "get": {
                "operationId": "archive",
                "summary": "A file",
                "tags": ["odds and ends"],
                "responses": {"200": answer("Bytes", {}, "application/octet-stream")},
            }
        },
    },
    "webhooks": {"sold": {"post": {"summary": "A book was sold", "responses": {"204": answer("Thanks")}}}},
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {
            "token": {
                "type": "oauth2",
                "description": "A token for one hour.",
                "flows": {"password": {"tokenUrl": "token", "scopes": {"books:write": "change the shelf"}}},
            },
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "login": {"type": "http", "scheme": "basic"},
            "own": {"type": "http", "scheme": "Token"},
            "crumb": {"type": "apiKey", "in": "cookie", "name": "crumb"},
            "word": {"type": "apiKey", "in": "query", "name": "word"},
        },
    },
}

EVIL = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
HOSTILE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": EVIL,
        "version": EVIL,
        "description": f"{EVIL} [click](javascript:document.title='owned') `{EVIL}`\n\n- {EVIL}",
        "contact": {"url": "javascript:document.title='owned'", "name": EVIL},
        "license": {"url": "data:text/html,<script>alert(1)</script>", "name": EVIL},
    },
    "servers": [{"url": "javascript:document.title='owned'//"}, {"url": "https://elsewhere.example/"}],
    "tags": [{"name": EVIL, "description": EVIL}, None, 3],
    "paths": {
        f"/{EVIL}": {
            "get": {
                "operationId": "main",
                "summary": EVIL,
                "tags": [EVIL],
                "parameters": [
                    {"name": EVIL, "in": "query", "required": True, "schema": {"enum": [EVIL], "default": EVIL}},
                    {"name": "__proto__", "in": "query", "schema": reference("Loop")},
                    None,
                    "no object",
                ],
                "requestBody": {"content": {"application/json": {"schema": reference("Tree")}}},
                "responses": {"200": answer(EVIL, reference("Tree"), example=EVIL), "404": None, "500": 7},
            },
            "post": {"parameters": {"no": "list"}, "requestBody": 5, "responses": [1], "tags": "none"},
            "put": {"requestBody": {"content": {"application/json": {"schema": reference("Wide0")}}}, "responses": {}},
            "patch": {"requestBody": {"content": {"application/json": {"schema": reference("Merged0")}}}},
        },
        "/x": None,
        "/y": 5,
    },
    "components": {
        "schemas": {
            "Loop": reference("Loop"),
            "Fan": {"anyOf": [reference("Fan")] * 200, "items": reference("Fan")},
            **{f"Merged{level}": {"allOf": [reference(f"Merged{level + 1}")] * 50} for level in range(30)},
            "Tree": {
                "type": "object",
                "properties": {"__proto__": {"type": "string"}, "left": reference("Tree"), "right": reference("Tree")},
            },
            "Odd": {"type": 7, "properties": 9, "enum": {}, "required": "x", "allOf": [None, 3], "anyOf": "text"},
            **{
                f"Wide{level}": {
                    "type": "object",
                    "properties": {f"p{index}": reference(f"Wide{level + 1}") for index in range(8)},
                }
                for level in range(10)
            },
            EVIL: {"type": "object", "description": EVIL, "properties": {EVIL: {"type": EVIL}}},
        },
        "securitySchemes": {EVIL: {"type": "apiKey", "in": EVIL, "name": EVIL}, "none": None},
    },
}


async def echo(request: Request) -> JSONResponse:
    form = {}
    if request.headers.get("content-type", "").startswith("multipart/"):
        async with request.form() as fields:
            for name, value in fields.multi_items():
                form[name] = value if isinstance(value, str) else [value.filename, len(await value.read())]
    seen = {
        "method": request.method,
        "path": request.url.path,
        "query": list(request.query_params.multi_items()),
        "headers": {name: request.headers.get(name) for name in ("authorization", "x-key", "x-shop", "content-type")},
        "cookies": dict(request.cookies),
        "form": form,
    }
    if not form and (body := await request.body()):
        seen["body"] = json.loads(body) if b"json" in request.headers["content-type"].encode() else body.decode()
    return JSONResponse(seen, 201 if request.method == "POST" else 200)


async def list_books(request: Request) -> Response:
    book = '{"id":12345678901234567890,"title":"On Looms","price":"9.50","authors":[{"name":"Ada"}],"related":[]}'
    content = f'{{"query":{json.dumps(list(request.query_params.multi_items()))},"seen":'
    content += f'{json.dumps([request.headers.get("x-shop"), request.cookies.get("seen")])},"books":[{book}]}}'
    return Response(content, media_type="application/json")


async def token(request: Request) -> JSONResponse:
    async with request.form() as form:
        if form["username"] != "ada":
            return JSONResponse({"error": "invalid_grant", "error_description": "Who is that?"}, 400)
        return JSONResponse({"access_token": f"token-of-ada-{form.get('scope')}", "token_type": "bearer"})


async def events(request: Request) -> StreamingResponse:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(200):
            yield b'{"number": %d}\n' % number
            await anyio.sleep(0.05)

    return StreamingResponse(lines(), media_type="application/jsonl")


async def picture(request: Request) -> Response:
    return Response(png(64), media_type="image/png")


async def archive(request: Request) -> Response:
    headers = {"content-disposition": 'attachment; filename="shelf.zip"'}
    return Response(bytes(range(256)), headers=headers, media_type="application/zip")


def document(content: dict[str, Any]) -> Any:
    async def serve(request: Request) -> JSONResponse:
        return JSONResponse(content)

    return serve


def make_app() -> MicroASGI:
    app = MicroASGI()
    for title, at, content in (("Bookshop", "", DOCUMENT), (EVIL, "/hostile", HOSTILE)):
        app.add_route(f"{at}/openapi.json", document(content))
        for route in docs_routes(title, f"{at}/openapi.json", f"{at}/docs"):
            app.add_route(route.path, route.endpoint)
    app.add_route("/books", list_books)
    app.add_route("/books", echo, methods=["POST"])
    app.add_route("/books/{book_id}", echo, methods=["GET", "PUT", "DELETE"])
    app.add_route("/books/{book_id}/cover", echo, methods=["POST"])
    app.add_route("/orders", echo, methods=["PATCH"])
    app.add_route("/token", token, methods=["POST"])
    app.add_route("/events", events)
    app.add_route("/picture", picture)
    app.add_route("/archive", archive)
    app.mount("/typed", shop)
    return app


app = make_app()
