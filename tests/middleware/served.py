"""What a server and a browser are given to test the middleware for real."""

from typing import Any

from microasgi import HTMLResponse, MicroASGI, Middleware, Request, WebSocket
from microasgi.middleware import (
    CORSMiddleware,
    ProxyHeadersMiddleware,
    RequestIDMiddleware,
    SecurityHeadersMiddleware,
    TrustedHostMiddleware,
)

__all__ = ["app"]

PAGE = """<!doctype html><title>nothing ran</title>
<script>document.title = "forged"</script>
<script nonce="{nonce}">document.title += ", ours ran"</script>"""

app = MicroASGI(
    middleware=[
        RequestIDMiddleware,
        Middleware(ProxyHeadersMiddleware, "unix", host=True),
        Middleware(
            SecurityHeadersMiddleware,
            content_security_policy={"script-src": "{nonce}", "connect-src": ["'self'", "http:"]},
        ),
        Middleware(TrustedHostMiddleware, ["localhost", "127.0.0.1", "out.example"]),
        Middleware(CORSMiddleware, allow_origin_regex="http://localhost:[0-9]+", allow_headers=["x-key"]),
    ]
)


@app.get("/")
async def page(request: Request) -> HTMLResponse:
    return HTMLResponse(PAGE.format(nonce=request.scope["microasgi.csp_nonce"]))


@app.get("/seen")
async def seen(request: Request) -> dict[str, Any]:
    return {"url": str(request.url), "client": list(request.client or ())}


@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("inside")


@app.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
