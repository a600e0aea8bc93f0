"""Say hello through an installed microasgi: one request, by hand, with nothing but the standard library."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import microasgi


def main(checkout: Path) -> None:
    package = Path(microasgi.__file__).parent
    if checkout.resolve() == package.resolve().parent:
        sys.exit(f"microasgi was imported from the checkout, not from the wheel: {package}")
    if not (package / "py.typed").is_file():
        sys.exit("the wheel has no py.typed: type checkers would ignore the package's types")
    app = microasgi.MicroASGI()

    @app.get("/hello/{name}")
    async def hello(request: microasgi.Request) -> str:
        return f"hello {request.path_params['name']}"

    status, body = asyncio.run(get(app, "/hello/wheel"))
    if (status, body) != (200, b"hello wheel"):
        sys.exit(f"expected 200 and 'hello wheel', got {status} and {body!r}")
    print(f"200 {body.decode()!r} from {package}")


async def get(app: Any, path: str) -> tuple[int, bytes]:
    """Send one GET request to an ASGI application and return status and body."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
