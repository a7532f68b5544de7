"""What uvicorn leaves to a proxy: connections that are held open for nothing are closed."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from kdphys.serve.limits import client_of

#: How often connections are looked at, seconds.
_LOOK_S = 1.0


class _Watched(asyncio.Protocol):
    """Cuts off a peer that does not take what is sent, and a connection that does not finish closing.

    A transport that is closed still waits until its peer has taken the last byte, for ever if need be.
    """

    header_timeout_s = 15.0
    send_timeout_s = 10.0
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        self._stuck = self._silent = 0.0
        self._look_at = self.loop.call_later(_LOOK_S, self._look)
        self._blocked = False
        self._last: object = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self._look_at.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._blocked = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """See :class:`asyncio.Protocol`."""
        self._blocked = False
        super().resume_writing()

    def _waits_for_headers(self) -> bool:
        return False

    def _request(self) -> object:
        """Another one for each request."""
        return None

    def _look(self) -> None:
        current: object = self.transport.get_protocol()
        if current is not self:
            return  # another protocol has taken over
        self._stuck = self._stuck + _LOOK_S if self._blocked or self.transport.is_closing() else 0.0
        request, self._last = self._last, self._request()
        same = request is self._last
        self._silent = self._silent + _LOOK_S if same and self._waits_for_headers() else 0.0
        if self._stuck >= self.send_timeout_s or self._silent >= self.header_timeout_s:
            self.transport.abort()
        else:
            self._look_at = self.loop.call_later(_LOOK_S, self._look)


class Http(_Watched, H11Protocol):
    """HTTP/1.1 with a time limit for headers and for taking answers, and so many connections of one peer."""

    most_of_one = 0  # 0: any number, as from a proxy

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        super().connection_made(transport)
        clients: list[Any] = [getattr(other, "client", None) for other in self.connections]
        of_one = sum(client_of({"client": client}) == client_of({"client": self.client}) for client in clients)
        if self.most_of_one and of_one > self.most_of_one:
            transport.abort()

    def _request(self) -> object:
        return self.cycle

    def _waits_for_headers(self) -> bool:
        """Whether a request has begun, or none ever came, and its headers are not all there."""
        kept_alive = self.timeout_keep_alive_task is not None  # between requests uvicorn has a limit of its own
        answering = self.cycle is not None and not self.cycle.response_complete
        return self.conn.their_state is h11.IDLE and not kept_alive and not answering


class WebSocket(_Watched, WebSocketsSansIOProtocol):
    """A WebSocket with a time limit for taking answers."""


def protocols(header_timeout_s: float, send_timeout_s: float, most_of_one: int) -> tuple[type[Http], type[WebSocket]]:
    """The two with their limits, for uvicorn, which creates them itself."""
    limits = {"header_timeout_s": header_timeout_s, "send_timeout_s": send_timeout_s}
    return type("Http", (Http,), {**limits, "most_of_one": most_of_one}), type("WebSocket", (WebSocket,), dict(limits))
