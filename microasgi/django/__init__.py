"""Django both ways: beside a Django site, inside its URLconf, or around it.

Importing this neither needs nor touches the project's settings. Clients for tests: `microasgi.django.testclient`.
"""

from __future__ import annotations

from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge
from microasgi.django.csrf import CSRFLayer, csrf_token
from microasgi.django.database import atomic, db
from microasgi.django.djangorequest import django_request
from microasgi.django.guards import current_user, login_required, optional_user, permission, permission_required
from microasgi.django.handshake import MiddlewareLayer
from microasgi.django.hosts import HostsLayer
from microasgi.django.publishing import publish_on_commit
from microasgi.django.reversing import reverse, url_path_for
from microasgi.django.sessions import SessionLayer
from microasgi.django.site import site
from microasgi.django.surroundings import DjangoMiddleware
from microasgi.django.templating import render
from microasgi.django.threads import ThreadsLayer
from microasgi.django.users import LazyUser, authenticate, login, logout, revalidate

__all__ = [
    "CSRFLayer",
    "DjangoMiddleware",
    "HostsLayer",
    "LazyUser",
    "MiddlewareLayer",
    "SessionLayer",
    "ThreadsLayer",
    "asgi",
    "atomic",
    "authenticate",
    "bridge",
    "csrf_token",
    "current_user",
    "db",
    "django_request",
    "login",
    "login_required",
    "logout",
    "optional_user",
    "permission",
    "permission_required",
    "publish_on_commit",
    "render",
    "revalidate",
    "reverse",
    "site",
    "url_path_for",
]
