"""Django's ASGI handler with async views and no middleware but the case's own."""

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import django as package
from cases import (
    DOCUMENT,
    HELLO,
    files_directory,
    item_from,
    parameter_template,
    static_template,
    stream_bytes,
    upload_answer,
)
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.http import require_http_methods
from django.views.static import serve

SKIP = {"websocket": "no websockets", "upload_parts": "no part by part reading"}
TEXT = "text/plain; charset=utf-8"

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], SECRET_KEY="benchmark", MIDDLEWARE=[], LOGGING_CONFIG=None)
package.setup(set_prefix=False)


def application(*patterns: Any, middleware: tuple[str, ...] = ()) -> Any:
    """One handler at a time: the settings belong to the process."""
    urls = ModuleType("benchmark_urls")
    urls.urlpatterns = list(patterns)
    settings.ROOT_URLCONF, settings.MIDDLEWARE = urls, list(middleware)
    return get_asgi_application()


def single(view: Any, template: str = "", methods: tuple[str, ...] = ("GET",), middleware: Any = ()) -> Any:
    return application(path(template, require_http_methods(methods)(view)), middleware=middleware)


def text(content: str, status: int = 200) -> HttpResponse:
    return HttpResponse(content, content_type=TEXT, status=status)


async def hello(request: HttpRequest, **values: Any) -> HttpResponse:
    return text(HELLO)


def plaintext() -> Any:
    return single(hello)


def site() -> Any:
    get_only = require_http_methods(["GET"])(hello)
    both = require_http_methods(["GET", "POST"])(hello)
    return application(path("", get_only), path("items", both), path("items/<int:id>", get_only))


def path_query() -> Any:
    async def item(request: HttpRequest, id: int) -> HttpResponse:
        return JsonResponse({"id": id, "page": int(request.GET["page"]), "q": request.GET["q"]})

    return single(item, "items/<int:id>")


def json_echo() -> Any:
    async def echo(request: HttpRequest) -> HttpResponse:
        return JsonResponse(json.loads(request.body), safe=False)

    return single(echo, methods=("POST",))


def json_dataclass() -> Any:
    async def total(request: HttpRequest) -> HttpResponse:
        item = item_from(json.loads(request.body))
        return JsonResponse({"name": item.name, "total": item.price * item.quantity})

    return single(total, methods=("POST",))


def form() -> Any:
    async def submit(request: HttpRequest) -> HttpResponse:
        fields = request.POST
        return text(f"{len(fields)} {fields['name']} {fields['comment']}")

    return single(submit, methods=("POST",))


def cookie() -> Any:
    async def theme(request: HttpRequest) -> HttpResponse:
        return text(request.COOKIES.get("theme", "none"))

    return single(theme)


class Conflict(Exception):
    """The application's own error."""


@sync_and_async_middleware
def conflict_middleware(get_response: Callable[..., Any]) -> Any:
    """Django's way to answer an application's own error: `process_exception`."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        return await get_response(request)

    async def process_exception(request: HttpRequest, error: Exception) -> HttpResponse | None:
        return text(f"conflict: {error}", 409) if isinstance(error, Conflict) else None

    middleware.process_exception = process_exception
    return middleware


def exception() -> Any:
    async def fail(request: HttpRequest) -> HttpResponse:
        raise Conflict("order 7")

    return single(fail, middleware=[f"{__name__}.conflict_middleware"])


def static_routes(count: int) -> Any:
    def make(number: int) -> Any:
        async def view(request: HttpRequest) -> HttpResponse:
            return text(f"list {number}")

        return view

    return application(*[path(static_template(number)[1:], make(number)) for number in range(count)])


def parameter_routes(count: int) -> Any:
    async def show(request: HttpRequest, id: str) -> HttpResponse:
        return text(id)

    templates = [parameter_template(number)[1:].replace("{id}", "<str:id>") for number in range(count)]
    return application(*[path(template, show) for template in templates])


@sync_and_async_middleware
def through(get_response: Callable[..., Any]) -> Any:
    async def middleware(request: HttpRequest) -> HttpResponse:
        return await get_response(request)

    return middleware


@sync_and_async_middleware
def add_header(get_response: Callable[..., Any]) -> Any:
    async def middleware(request: HttpRequest) -> HttpResponse:
        response = await get_response(request)
        response["x-pair"] = "after"
        return response

    return middleware


def middlewares() -> Any:
    return single(hello, middleware=[f"{__name__}.through"] * 5)


def pair() -> Any:
    return single(hello, middleware=[f"{__name__}.add_header"])


def stream() -> Any:
    async def chunks(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(stream_bytes(), content_type=TEXT)

    return single(chunks)


def json_large() -> Any:
    async def document(request: HttpRequest) -> HttpResponse:
        return JsonResponse(DOCUMENT, safe=False)

    return single(document)


def upload() -> Any:
    async def save(request: HttpRequest) -> HttpResponse:
        size, tail = 0, b""
        for piece in request.FILES["file"].chunks(1024 * 1024):
            size, tail = size + len(piece), piece
        return text(upload_answer(request.POST["title"], size, tail))

    return single(save, methods=("POST",))


def files() -> Any:
    return application(path("static/<path:path>", serve, {"document_root": files_directory()}))
