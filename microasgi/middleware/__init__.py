"""Middleware that comes along: pure ASGI classes, to be stacked in any ASGI application."""

from microasgi.middleware.cors import CORSMiddleware
from microasgi.middleware.csrf import CSRFMiddleware
from microasgi.middleware.httpsredirect import HTTPSRedirectMiddleware
from microasgi.middleware.origin import OriginMiddleware
from microasgi.middleware.proxyheaders import ProxyHeadersMiddleware
from microasgi.middleware.requestid import RequestIDFilter, RequestIDMiddleware
from microasgi.middleware.securityheaders import SecurityHeadersMiddleware
from microasgi.middleware.session import Session
from microasgi.middleware.sessions import SessionMiddleware
from microasgi.middleware.stores import MemoryStore, RedisStore, SessionStore
from microasgi.middleware.trustedhost import TrustedHostMiddleware

__all__ = [
    "CORSMiddleware",
    "CSRFMiddleware",
    "HTTPSRedirectMiddleware",
    "MemoryStore",
    "OriginMiddleware",
    "ProxyHeadersMiddleware",
    "RedisStore",
    "RequestIDFilter",
    "RequestIDMiddleware",
    "SecurityHeadersMiddleware",
    "Session",
    "SessionMiddleware",
    "SessionStore",
    "TrustedHostMiddleware",
]
