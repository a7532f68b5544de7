"""The page, as built from ``web/``."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

#: Where the build goes.
STATIC = Path(__file__).parent / "static"
# Said here, since the system's own table differs from machine to machine.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
    ".gz": "application/octet-stream",  # the page unpacks it itself
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_NOT_BUILT = """<!doctype html>
<html lang="en">
  <meta charset="utf-8" />
  <meta name="viewport" content="width=device-width, initial-scale=1" />
  <title>kdphys: the page is not built</title>
  <h1>The page is not built</h1>
  <p>The server runs, and its API works (<a href="/openapi.json">its description</a>), but this installation lacks the
  page that measures in the browser. Install kdphys from a wheel, or build the page in a source checkout:</p>
  <pre>cd web &amp;&amp; npm ci &amp;&amp; npm run build</pre>
</html>
"""


class Page:
    """Files of the page for GET and HEAD, for paths that nothing else answers.

    Args:
        folder: with index.html.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, html=True, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`Page`."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(404)
        if not (self._folder / "index.html").is_file():
            if scope["path"] != "/":
                raise HTTPException(404)
            await HTMLResponse(_NOT_BUILT, 503)(scope, receive, send)
            return
        response = await self._find(scope)
        suffix = os.path.splitext(scope["path"])[1].lower() or ".html"
        if response.status_code in (200, 206):
            response.headers["Content-Type"] = _TYPES.get(suffix, "application/octet-stream")
        response.headers["Cache-Control"] = "no-cache"
        await response(scope, receive, send)

    async def _find(self, scope: Scope) -> Response:
        try:
            return await self._files.get_response(self._files.get_path(scope), scope)
        except (ValueError, OSError):  # a path that no file can have
            raise HTTPException(404) from None
