"""Typed handlers: parameters, dependencies and results by type annotations."""

from microasgi.typed.apikeys import APIKeyCookie, APIKeyHeader, APIKeyQuery
from microasgi.typed.conditional import Preconditions, etag_of
from microasgi.typed.credentials import HTTPAuthorizationCredentials, HTTPBasicCredentials
from microasgi.typed.faults import Fault, Faulty, ValidationError
from microasgi.typed.idempotency import Idempotency
from microasgi.typed.idempotencystores import IdempotencyStore, MemoryIdempotency, RedisIdempotency
from microasgi.typed.markers import Body, Cookie, Depends, File, Form, Header, Path, Query, Security, State
from microasgi.typed.oauth2 import (
    OAuth2,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordForm,
    OpenIdConnect,
)
from microasgi.typed.operation import Operation, bind_route
from microasgi.typed.pagination import (
    CursorPage,
    OffsetPage,
    Paginated,
    decode_cursor,
    encode_cursor,
    link_header,
    paginated,
)
from microasgi.typed.security import HTTPAuthorization, HTTPBasic, HTTPBearer, SecurityScheme, SecurityScopes

__all__ = [
    "APIKeyCookie",
    "APIKeyHeader",
    "APIKeyQuery",
    "Body",
    "Cookie",
    "CursorPage",
    "Depends",
    "Fault",
    "Faulty",
    "File",
    "Form",
    "HTTPAuthorization",
    "HTTPAuthorizationCredentials",
    "HTTPBasic",
    "HTTPBasicCredentials",
    "HTTPBearer",
    "Header",
    "Idempotency",
    "IdempotencyStore",
    "MemoryIdempotency",
    "OAuth2",
    "OAuth2AuthorizationCodeBearer",
    "OAuth2PasswordBearer",
    "OAuth2PasswordForm",
    "OffsetPage",
    "OpenIdConnect",
    "Operation",
    "Paginated",
    "Path",
    "Preconditions",
    "Query",
    "RedisIdempotency",
    "Security",
    "SecurityScheme",
    "SecurityScopes",
    "State",
    "ValidationError",
    "bind_route",
    "decode_cursor",
    "encode_cursor",
    "etag_of",
    "link_header",
    "paginated",
]
