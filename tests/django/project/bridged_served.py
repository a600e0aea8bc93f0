"""What a server serves: the project as an ASGI application, counting the ends of requests."""

from __future__ import annotations

from typing import Any

from django.core.asgi import get_asgi_application
from django.core.signals import request_finished

application = get_asgi_application()

from tests.django.project.bridged import events  # noqa: E402 - models are there now


def note(**_: Any) -> None:
    """Note that Django is done with a request."""
    events.append("finished")


request_finished.connect(note)
