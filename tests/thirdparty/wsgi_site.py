"""The same small WSGI site in Flask, CherryPy and Django, each mounted through a2wsgi.

`make_app` is for a server and has all three. Django allows one configuration in a process, so its tests are
run against a server in a process of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from microasgi import CallNext, MicroASGI, Request, Response

__all__ = ["MAKERS", "build", "make_app", "make_cherrypy", "make_django", "make_flask"]


def slowly() -> Iterator[bytes]:
    for number in range(4):
        yield b"%d " % number * 500


def make_flask() -> Any:
    import flask

    app = flask.Flask(__name__)
    app.secret_key = "a key for tests, long enough to be one"

    @app.get("/where/<path:rest>")
    def where(rest: str) -> Any:
        environ = flask.request.environ
        keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "wsgi.url_scheme")
        return {**{key: environ[key] for key in keys}, "url": flask.request.url, "rest": rest}

    @app.post("/form")
    def form() -> Any:
        return {name: flask.request.form.getlist(name) for name in flask.request.form}

    @app.post("/upload")
    def upload() -> Any:
        file = flask.request.files["file"]
        data = file.read()
        return {"name": file.filename, "size": len(data), "digest": hashlib.sha256(data).hexdigest()}

    @app.get("/stream")
    def stream() -> Any:
        return flask.Response(slowly(), mimetype="text/plain")

    @app.get("/away")
    def away() -> Any:
        return flask.redirect(flask.url_for("where", rest="back"))

    @app.get("/count")
    def count() -> Any:
        flask.session["count"] = flask.session.get("count", 0) + 1
        return {"count": flask.session["count"]}

    @app.get("/boom")
    def boom() -> Any:
        raise ZeroDivisionError("the view failed")

    return app


def make_cherrypy() -> Any:
    import cherrypy

    class Site:
        @cherrypy.expose  # type: ignore[untyped-decorator]
        @cherrypy.tools.json_out()  # type: ignore[untyped-decorator]
        def where(self, *rest: str, **query: str) -> Any:
            environ = cherrypy.request.wsgi_environ
            keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "wsgi.url_scheme")
            url = cherrypy.url(qs=cherrypy.request.query_string)
            return {**{key: environ[key] for key in keys}, "url": url, "rest": "/".join(rest)}

        @cherrypy.expose  # type: ignore[untyped-decorator]
        @cherrypy.tools.json_out()  # type: ignore[untyped-decorator]
        def form(self, **fields: Any) -> Any:
            return {name: [value] if isinstance(value, str) else value for name, value in fields.items()}

        @cherrypy.expose  # type: ignore[untyped-decorator]
        @cherrypy.tools.json_out()  # type: ignore[untyped-decorator]
        def upload(self, file: Any) -> Any:
            with file.file:
                data = file.file.read()
            return {"name": file.filename, "size": len(data), "digest": hashlib.sha256(data).hexdigest()}

        @cherrypy.expose  # type: ignore[untyped-decorator]
        @cherrypy.config(**{"response.stream": True})  # type: ignore[untyped-decorator]
        def stream(self) -> Any:
            cherrypy.response.headers["Content-Type"] = "text/plain"
            return slowly()

        @cherrypy.expose  # type: ignore[untyped-decorator]
        def away(self) -> Any:
            raise cherrypy.HTTPRedirect(cherrypy.url("/where/back"), 302)

        @cherrypy.expose  # type: ignore[untyped-decorator]
        @cherrypy.tools.json_out()  # type: ignore[untyped-decorator]
        def count(self) -> Any:
            cherrypy.session["count"] = cherrypy.session.get("count", 0) + 1
            return {"count": cherrypy.session["count"]}

        @cherrypy.expose  # type: ignore[untyped-decorator]
        def boom(self) -> Any:
            raise ZeroDivisionError("the view failed")

    cherrypy.config.update({"environment": "embedded", "log.screen": False, "request.show_tracebacks": False})
    # The script name comes from the WSGI environ when the tree is not told one.
    application = cherrypy.Application(Site(), script_name=None, config={"/": {"tools.sessions.on": True}})
    application.log.error_log.propagate = False
    return application


def make_django() -> Any:
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
    from django.urls import path, reverse

    def where(request: HttpRequest, rest: str) -> HttpResponse:
        keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "wsgi.url_scheme")
        found = {key: request.META.get(key) or request.environ[key] for key in keys}  # type: ignore[attr-defined]
        return JsonResponse({**found, "url": request.build_absolute_uri(), "rest": rest})

    def form(request: HttpRequest) -> HttpResponse:
        return JsonResponse(dict(request.POST.lists()))

    def upload(request: HttpRequest) -> HttpResponse:
        file = request.FILES["file"]
        data = file.read()
        return JsonResponse({"name": file.name, "size": len(data), "digest": hashlib.sha256(data).hexdigest()})

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(slowly(), content_type="text/plain")

    def away(request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("where", kwargs={"rest": "back"}))

    def count(request: HttpRequest) -> HttpResponse:
        request.session["count"] = request.session.get("count", 0) + 1
        return JsonResponse({"count": request.session["count"]})

    def boom(request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError("the view failed")

    views = {"form": form, "upload": upload, "stream": stream, "away": away, "count": count, "boom": boom}
    urls = [path("where/<path:rest>", where, name="where"), *(path(name, view) for name, view in views.items())]
    settings.configure(
        ROOT_URLCONF=tuple(urls),
        SECRET_KEY="a key for tests, long enough to be one",
        ALLOWED_HOSTS=["*"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        LOGGING_CONFIG=None,
    )
    django.setup()
    return get_wsgi_application()


MAKERS: dict[str, Callable[[], Any]] = {"flask": make_flask, "cherrypy": make_cherrypy, "django": make_django}


async def passing(request: Request, call_next: CallNext) -> Response:
    response = await call_next(request)
    response.headers["x-passed"] = "function"
    return response


def build(*names: str) -> MicroASGI:
    """Return an application with these WSGI sites mounted, each at a path with its own name."""
    from a2wsgi import WSGIMiddleware

    app = MicroASGI()
    for name in names:
        site = WSGIMiddleware(MAKERS[name]())
        app.mount(f"/{name}", site)
        app.mount(f"/around/{name}", site, middleware=[passing])
    return app


def make_app() -> MicroASGI:
    """Return an application with all of them, for a server."""
    return build(*MAKERS)
