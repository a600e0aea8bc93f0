"""What a page of this site may load: what this site has, and nothing that is written into the page."""

from collections.abc import Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def with_policy(response: HttpResponse) -> HttpResponse:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response


@sync_and_async_middleware
def policy(get_response: Callable) -> Callable:
    """Send the policy with every answer that has none of its own."""
    if iscoroutinefunction(get_response):

        async def async_policy(request: HttpRequest) -> HttpResponse:
            return with_policy(await get_response(request))

        return async_policy
    return lambda request: with_policy(get_response(request))
