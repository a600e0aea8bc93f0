"""What a browser visits in tests: a form, a login, and a page that sends its form to another site."""

from __future__ import annotations

import secrets

from microasgi import HTMLResponse, MicroASGI, Middleware, Request, WebSocket
from microasgi.middleware import CSRFMiddleware, SessionMiddleware

KEY = secrets.token_urlsafe(32)
FORM = '<form method="post" action="{action}"><input name="csrf_token" value="{token}"><button>Send</button></form>'

app = MicroASGI(middleware=[Middleware(SessionMiddleware, KEY)])


@app.get("/form")
async def form(request: Request) -> HTMLResponse:
    """A form for any address, under any referrer policy."""
    policy = request.query_params.get("policy", "strict-origin-when-cross-origin")
    action = request.query_params.get("action", "/send")
    return HTMLResponse(FORM.format(action=action, token=""), headers={"referrer-policy": policy})


@app.post("/send")
async def send(request: Request) -> str:
    """Count what has come."""
    request.session["sent"] = request.session.get("sent", 0) + 1
    return f"sent {request.session['sent']}"


@app.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """Count the visits, and say how much was sent."""
    websocket.session["visits"] = websocket.session.get("visits", 0) + 1
    await websocket.accept()
    await websocket.send_text(f"visit {websocket.session['visits']}, sent {websocket.session.get('sent', 0)}")


token_app = MicroASGI(middleware=[Middleware(CSRFMiddleware, KEY)])
app.mount("/tokens", token_app)


@token_app.get("/form")
async def token_form(request: Request) -> HTMLResponse:
    """A form with a token."""
    return HTMLResponse(FORM.format(action="/tokens/send", token=request["microasgi.csrf_token"]()))


@token_app.post("/send")
async def token_send(request: Request) -> str:
    """Say which fields have come."""
    return f"sent {list(await request.form())}"
