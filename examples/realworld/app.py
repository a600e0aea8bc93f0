"""Conduit, the RealWorld API: users, profiles, articles, comments. Run it with `uvicorn app:app` and open /docs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import TypedDict

from articles import articles, favorites, tags
from comments import comments
from database import Database
from errors import Errors, show_error
from profiles import profiles
from security import Passwords, Tokens
from users import users

from microasgi import HTTPException, MicroASGI, Middleware, Router, run_in_threadpool
from microasgi.middleware import CORSMiddleware
from microasgi.openapi import OpenAPI


class Shared(TypedDict):
    """What every request finds in its state: `database: State[Database]`."""

    database: Database
    passwords: Passwords
    tokens: Tokens


# Any site may be a client: who is asking is in a header that it has to know, not in a cookie.
anywhere = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])

api = Router()
api.include(users, tags=["User and Authentication"])
api.include(profiles, tags=["Profile"])
api.include(articles, tags=["Articles"])
api.include(favorites, tags=["Favorites"])
api.include(comments, tags=["Comments"])
api.include(tags, tags=["Tags"])

app = MicroASGI(middleware=[anywhere], max_body_size=2 * 1024 * 1024)
app.include(api, prefix="/api")
app.include(
    OpenAPI(title="Conduit", version="2.0.0", description="Articles, and what people say of them.", errors=Errors)
)
app.add_exception_handler(HTTPException, show_error)


@app.lifespan
async def open_database() -> AsyncIterator[Shared]:
    """Open the database: DATABASE is its path."""
    path = Path(os.environ.get("DATABASE") or Path(__file__).with_name("conduit.sqlite3"))
    with closing(Database(path)) as database:
        await database.open()
        passwords = await run_in_threadpool(Passwords)
        yield {"database": database, "passwords": passwords, "tokens": Tokens.from_environment()}
