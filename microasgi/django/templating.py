"""Templates of the Django project, as responses of a handler: with its context processors, its tags and its user.

Law: a template may query, so it is rendered in a thread of Django's, never on the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from microasgi.connection import HTTPConnection
from microasgi.django.djangorequest import django_request, set_cookies
from microasgi.django.reversing import below_site
from microasgi.django.threads import in_django_thread
from microasgi.responses import HTMLResponse
from microasgi.types import RawHeaders

__all__ = ["render"]

_MESSAGES: Final = "django.contrib.messages.middleware.MessageMiddleware"


async def render(
    connection: HTTPConnection[Any],
    template_name: str | list[str],
    context: Mapping[str, Any] | None = None,
    status_code: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    media_type: str | None = None,
    using: str | None = None,
) -> HTMLResponse:
    """Render a template of the project: `return await render(request, "shop/item.html", {"item": item})`.

    Context processors get a Django request with this connection's session and user; `{% csrf_token %}`, `{% url %}`
    and messages work. The first template of a list that is there is taken; `using` names an engine of TEMPLATES.
    Querysets are read in a thread. Raises Django's TemplateDoesNotExist.
    """
    request = django_request(connection.scope)
    given = None if context is None else dict(context)
    with below_site(connection.scope):
        text, cookies = await in_django_thread(partial(_render, request, template_name, given, using))
    response = HTMLResponse(text, status_code, headers, media_type)
    response.raw_headers += cookies
    return response


def _render(
    request: HttpRequest, template_name: str | list[str], context: dict[str, Any] | None, using: str | None
) -> tuple[str, RawHeaders]:
    """Return the text, and the cookies that showing the messages takes."""
    from django.template.loader import render_to_string

    if not _reads_messages(request):
        return render_to_string(template_name, context, request, using), []
    from django.contrib.messages.middleware import MessageMiddleware

    middleware = MessageMiddleware(lambda _: HttpResponse())
    middleware.process_request(request)
    text = render_to_string(template_name, context, request, using)
    response = middleware.process_response(request, HttpResponse())
    return text, set_cookies(response)


def _reads_messages(request: HttpRequest) -> bool:
    """Tell whether the project has messages, and nothing around this request answers for them."""
    return _MESSAGES in settings.MIDDLEWARE and hasattr(request, "session") and not hasattr(request, "_messages")
