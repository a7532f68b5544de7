"""Who may ask, from where, under which name, and how often; and what every answer carries."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kdphys.serve.limits import Rate, client_of
from kdphys.serve.metrics import Metrics
from kdphys.serve.problems import Refused
from kdphys.serve.settings import Settings

_log = logging.getLogger("kdphys.serve")
CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; style-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_METHODS = (*_SAFE, "POST", "DELETE", "PUT", "PATCH")
#: Subprotocol that carries a token where no header can be sent: browsers.
BEARER = "bearer."


def route_of(path: str) -> str:
    """The route of a path, for logs and counters: without ids, and none that a client made up."""
    if path in ("/v1/measurements", "/v1/stream", "/healthz", "/metrics", "/openapi.json", "/"):
        return path
    return "/v1/measurements/{id}" if path.startswith("/v1/measurements/") else "file"


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


class Outside:
    """Around everything: security headers, one line in the log and one count for each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`Outside`."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        # What a client sends unasked is not read to its end.
        unasked = scope["type"] == "http" and scope["method"] != "POST" and _has_body(scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                if unasked:
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = time.monotonic() - began
            method = "WS" if scope["type"] == "websocket" else scope["method"]
            route = route_of(scope["path"])
            if status:  # a WebSocket that was accepted has none, and a line of its own
                label = method if method in _METHODS or method == "WS" else "other"
                self._metrics.requests.labels(label, route, str(status)).inc()
                self._metrics.request_seconds.labels(route).observe(seconds)
                _log.info("%s %s %s %d, %.0f ms", client_of(scope), label, route, status, 1000 * seconds)


def _has_body(scope: Scope) -> bool:
    return bool(_header(scope, b"transfer-encoding")) or _header(scope, b"content-length") not in ("", "0")


class Guard:
    """Checks each request before anything else looks at it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._s = app, settings
        self._rate = Rate(settings.rate_per_min, settings.rate_per_min / 3)
        self._token = None if settings.token is None else settings.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :class:`Guard`."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refused as refusal:
            await refusal.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        host = _header(scope, b"host").lower()
        if not self._s.accepts_host(host_name(host)):
            raise Refused(
                400, "bad_host", "this server does not go by that name; start it with --allowed-host NAME to add one"
            )
        if path != "/healthz" and (wait := self._rate.take(client_of(scope))) > 0:
            raise Refused(429, "too_many_requests", "too many requests; wait a little", wait + 0.5)
        if scope["type"] == "websocket" or scope["method"] not in _SAFE:
            self._check_origin(_header(scope, b"origin"), host)
        # Not "==": the router lets a path with a line's end behind it pass.
        if path.startswith(("/metrics", "/v1")) and not self._knows_token(scope):
            raise Refused(401, "no_token", "expected the header 'Authorization: Bearer TOKEN' with the right token")

    def _knows_token(self, scope: Scope) -> bool:
        if self._token is None:
            return True
        right = [hmac.compare_digest(given, self._token) for given in _tokens(scope)]  # in constant time each
        return any(right)

    def _check_origin(self, origin: str, host: str) -> None:
        """Other people's pages may not reach into this server with their visitors' browsers."""
        if not origin or origin in self._s.cors:
            return
        there = urlsplit(origin.lower()).netloc
        if not there or _no_default_port(there) != _no_default_port(host):
            raise Refused(
                403,
                "bad_origin",
                "pages of this origin may not use this server; start it with --cors ORIGIN to allow it",
            )


def host_name(host: str) -> str:
    """Without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _no_default_port(netloc: str) -> str:
    return netloc.removesuffix(":80").removesuffix(":443")


def _tokens(scope: Scope) -> Iterator[bytes]:
    kind, _, given = _header(scope, b"authorization").partition(" ")
    if kind.lower() == "bearer":
        yield given.strip().encode("latin-1", "replace")
    for name in scope.get("subprotocols", []):
        if name.startswith(BEARER):
            yield name.removeprefix(BEARER).encode("latin-1", "replace")
