"""Middleware that comes along: pure ASGI classes, to be stacked in any ASGI application."""

from microasgi.middleware.cors import CORSMiddleware
from microasgi.middleware.httpsredirect import HTTPSRedirectMiddleware
from microasgi.middleware.proxyheaders import ProxyHeadersMiddleware
from microasgi.middleware.requestid import RequestIDFilter, RequestIDMiddleware
from microasgi.middleware.securityheaders import SecurityHeadersMiddleware
from microasgi.middleware.trustedhost import TrustedHostMiddleware

__all__ = [
    "CORSMiddleware",
    "HTTPSRedirectMiddleware",
    "ProxyHeadersMiddleware",
    "RequestIDFilter",
    "RequestIDMiddleware",
    "SecurityHeadersMiddleware",
    "TrustedHostMiddleware",
]
