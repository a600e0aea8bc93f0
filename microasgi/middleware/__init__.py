"""Middleware that comes along: pure ASGI classes, to be stacked in any ASGI application."""

from microasgi.middleware.authentication import AuthenticationBackend, AuthenticationError, AuthenticationMiddleware
from microasgi.middleware.clientnetwork import client_network
from microasgi.middleware.compression import DEFAULT_EXCLUDED_CONTENT_TYPES, CompressionMiddleware
from microasgi.middleware.concurrencylimit import ConcurrencyLimitMiddleware
from microasgi.middleware.cors import CORSMiddleware
from microasgi.middleware.csrf import CSRFMiddleware
from microasgi.middleware.gzip import GZipMiddleware
from microasgi.middleware.httpsredirect import HTTPSRedirectMiddleware
from microasgi.middleware.origin import OriginMiddleware
from microasgi.middleware.proxyheaders import ProxyHeadersMiddleware
from microasgi.middleware.ratelimit import RateLimitMiddleware
from microasgi.middleware.rates import MemoryRates
from microasgi.middleware.requestid import RequestIDFilter, RequestIDMiddleware
from microasgi.middleware.requires import local_path, requires
from microasgi.middleware.securityheaders import SecurityHeadersMiddleware
from microasgi.middleware.session import Session
from microasgi.middleware.sessions import SessionMiddleware
from microasgi.middleware.stores import MemoryStore, RedisStore, SessionStore
from microasgi.middleware.timeout import TimeoutMiddleware
from microasgi.middleware.trustedhost import TrustedHostMiddleware
from microasgi.middleware.users import AuthCredentials, BaseUser, SimpleUser, UnauthenticatedUser

__all__ = [
    "DEFAULT_EXCLUDED_CONTENT_TYPES",
    "AuthCredentials",
    "AuthenticationBackend",
    "AuthenticationError",
    "AuthenticationMiddleware",
    "BaseUser",
    "CORSMiddleware",
    "CSRFMiddleware",
    "CompressionMiddleware",
    "ConcurrencyLimitMiddleware",
    "GZipMiddleware",
    "HTTPSRedirectMiddleware",
    "MemoryRates",
    "MemoryStore",
    "OriginMiddleware",
    "ProxyHeadersMiddleware",
    "RateLimitMiddleware",
    "RedisStore",
    "RequestIDFilter",
    "RequestIDMiddleware",
    "SecurityHeadersMiddleware",
    "Session",
    "SessionMiddleware",
    "SessionStore",
    "SimpleUser",
    "TimeoutMiddleware",
    "TrustedHostMiddleware",
    "UnauthenticatedUser",
    "client_network",
    "local_path",
    "requires",
]
