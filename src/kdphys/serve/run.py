"""Starting and ending a server."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from kdphys.errors import OutputError
from kdphys.serve.app import create_app
from kdphys.serve.protocol import protocols
from kdphys.serve.settings import Settings
from kdphys.serve.streams import max_message

_log = logging.getLogger("kdphys.serve")


class Server(uvicorn.Server):
    """A server that lets what runs finish, for a while, when it is told to end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, grace_s: float) -> None:
        super().__init__(config)
        self._app, self._grace_s = app, grace_s
        self._told = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end; another one ends at once."""
        if self._told or not self.started:
            super().handle_exit(sig, frame)
        else:
            self._told = time.monotonic()
            self._captured_signals.append(sig)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        core = getattr(self._app.state, "core", None)
        if self._told and not self.should_exit and core is not None:
            core.drain()
            if core.board.drained or time.monotonic() - self._told > self._grace_s:
                self.should_exit = True
        return await super().on_tick(counter)


def run(settings: Settings) -> None:
    """Serve until a signal ends it.

    Raises:
        OutputError: the address cannot be had.
    """
    os.environ.pop("KDPHYS_TOKEN", None)  # workers need not know it
    app = create_app(settings)
    most_of_one = 0 if settings.proxy else max(settings.max_connections // 2, 1)
    http, websocket = protocols(settings.header_timeout_s, settings.send_timeout_s, most_of_one)
    config = uvicorn.Config(
        app,
        http=http,
        ws=websocket,
        ws_max_size=max_message(settings),
        ws_per_message_deflate=False,  # pictures are compressed already, and what inflates can be a bomb
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxy),
        forwarded_allow_ips=settings.proxy or None,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    listener = _listen(settings.host, settings.port)
    _log.info("http://%s:%d/ serves; end it with Ctrl-C", _shown(settings.host), listener.getsockname()[1])
    Server(config, app, settings.grace_s).run(sockets=[listener])


def log_to_stderr(level: int) -> None:
    """One line for each event, for the command line: who embeds the server has a log of their own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    quiet = {"uvicorn.error": logging.WARNING, "python_multipart.multipart": logging.ERROR}
    for name, least in {"kdphys.serve": level, **quiet}.items():
        # uvicorn's own lines below warnings hold whole addresses, with what clients wrongly put there.
        logger = logging.getLogger(name)
        logger.setLevel(least)
        logger.addHandler(handler)
        logger.propagate = False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise OutputError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); choose another one with --host and --port"
        ) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
