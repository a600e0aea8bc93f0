"""Files: `FileResponse` for one that a handler chooses, `StaticFiles` for a directory.

The law of this room: what a client sends never decides which file is opened beyond the directories that were named,
and no file is read on the event loop unless its bytes are in memory already.
"""

from microasgi.files.responses import FileResponse
from microasgi.files.static import StaticFiles

__all__ = ["FileResponse", "StaticFiles"]
