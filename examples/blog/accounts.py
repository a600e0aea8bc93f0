"""Sign up, log in, log out; and who sent a request."""

from __future__ import annotations

from drafts import Draft, read_account
from pages import Shared, empty, flash, templates
from store import Member

from microasgi import HTTPConnection, Middleware, RedirectResponse, Request, Response, Router, run_in_threadpool
from microasgi.middleware import AuthCredentials, AuthenticationBackend, RateLimitMiddleware, local_path

accounts = Router()
join_slowly = Middleware(RateLimitMiddleware, limit="10/minute; 100/day", name="sign-up")
guess_slowly = Middleware(RateLimitMiddleware, limit="10/minute; 100/day", name="log-in")


class Members(AuthenticationBackend):
    """Knows members by their sessions."""

    async def authenticate(self, conn: HTTPConnection[Shared]) -> tuple[AuthCredentials, Member] | None:
        """Return the member of the session, if it has one who still exists."""
        number = conn.session.get("member")
        if number is None:
            return None
        member = await run_in_threadpool(conn.state["store"].member, number)
        return (AuthCredentials(["authenticated"]), member) if member else None


@accounts.get("/sign-up")
def sign_up(request: Request[Shared]) -> Response:
    """Show the form for a new account."""
    return show_form(request, empty("name"), new=True)


@accounts.post("/sign-up", middleware=[join_slowly])
async def create_account(request: Request[Shared]) -> Response:
    """Make an account and log in, or show the form again with what is wrong."""
    draft = read_account(await request.form())
    member = None if draft.errors else await add_member(request, draft)
    if member:
        return begin(request, member, f"Welcome, {member.name}!")
    return show_form(request, draft, new=True)


async def add_member(request: Request[Shared], draft: Draft) -> Member | None:
    """Add a member. A hash is made only for a name that is free, and the database has the last word on that."""
    store, name = request.state["store"], draft.values["name"]
    member = None
    if await run_in_threadpool(store.member_named, name) is None:
        password = await request.state["passwords"].hash(draft.values["password"])
        member = await run_in_threadpool(store.add_member, name, password)
    if member is None:
        draft.errors["name"] = "Somebody has this name already. Please choose another."
    return member


@accounts.get("/log-in")
def log_in(request: Request[Shared]) -> Response:
    """Show the form to log in."""
    return show_form(request, empty("name"), new=False)


@accounts.post("/log-in", middleware=[guess_slowly])
async def check_password(request: Request[Shared]) -> Response:
    """Log in and go to where the visitor wanted to be, or show the form again: it never tells which part was wrong."""
    draft = read_account(await request.form())
    member = await run_in_threadpool(request.state["store"].member_named, draft.values["name"])
    stored = member.password if member else None
    if await request.state["passwords"].check(draft.values["password"][:1000], stored) and member:
        return begin(request, member, f"Good to see you, {member.name}.")
    draft.errors = {"password": "No member has this name and this password."}
    return show_form(request, draft, new=False)


@accounts.post("/log-out")
async def log_out(request: Request[Shared]) -> Response:
    """Forget who this is."""
    request.session.clear()
    flash(request, "You are logged out.")
    return RedirectResponse(request.url_path_for("home"), 303)


def begin(request: Request[Shared], member: Member, welcome: str) -> Response:
    """Log a member in: with a new session, so that one which somebody planted before is worth nothing."""
    request.session.cycle()
    request.session["member"] = member.id
    flash(request, welcome)
    home = request.url_path_for("home")
    return RedirectResponse(local_path(request.query_params.get("next"), home), 303)


def show_form(request: Request[Shared], draft: Draft, *, new: bool) -> Response:
    context = {"draft": draft, "new": new, "title": "Sign up" if new else "Log in"}
    return templates.TemplateResponse(request, "account.html", context, 422 if draft.errors else 200)
