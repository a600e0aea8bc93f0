"""What the servers load: files below the directory that the environment names, and one that a handler sends."""

import os
from pathlib import Path
from typing import Any

from microasgi import MicroASGI, Request
from microasgi.files import FileResponse, StaticFiles

__all__ = ["app"]

directory = Path(os.environ["MICROASGI_TEST_FILES"])


async def tell(request: Request, call_next: Any) -> Any:
    """Tell the client whether the server offers to send files by their path."""
    response = await call_next(request)
    offers = "http.response.pathsend" in (request.scope.get("extensions") or ())
    response.headers["x-pathsend"] = "yes" if offers else "no"
    return response


app = MicroASGI(middleware=[tell])
app.mount("/static", StaticFiles(directory=directory), name="static")


@app.get("/download")
async def download(request: Request) -> FileResponse:
    """Send the large file under another name."""
    return FileResponse(directory / "large.bin", filename="Grüße.bin")
