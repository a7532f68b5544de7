"""Refusals: a status, a code for programs and a message for people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

#: After a refusal the rest of a request is read and thrown away for this long and this much, so that a client that is
#: still sending sees the answer instead of a reset connection.
LINGER_S = 2.0
LINGER_BYTES = 64 << 20


class Refused(Exception):
    """A request that is not served.

    Args:
        status: of HTTP.
        code: stable, for programs: "queue_full".
        message: for people: what was expected, what came, what to do.
        retry_s: when it may be tried again, seconds, or None.
    """

    def __init__(self, status: int, code: str, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_s = status, code, message, retry_s

    def response(self) -> Refusal:
        """As an answer."""
        headers = {} if self.retry_s is None else {"Retry-After": str(max(round(self.retry_s), 1))}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="kdphys"'
        return Refusal(self.status, self.code, self.message, headers)


class Refusal(Response):
    """An error; the connection ends after it when the client had not sent everything."""

    media_type = "application/json"

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps({"code": code, "message": message}, ensure_ascii=False)
        super().__init__(text.encode("utf-8", "replace"), status, dict(headers or {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; linger for the rest of the request."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await super().__call__(scope, receive, send)
            return
        self.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await _linger(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _linger(receive: Receive) -> None:
    read = 0
    try:
        async with asyncio.timeout(LINGER_S):
            more = True
            while more and read < LINGER_BYTES:
                message: Message = await receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
                read += len(message.get("body", b""))
    except TimeoutError:
        pass
