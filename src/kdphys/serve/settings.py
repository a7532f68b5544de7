"""What can be set about the server, checked before anything starts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from kdphys.errors import InvalidInputError

#: Shorter tokens can be guessed.
MIN_TOKEN = 16
#: Smallest values.
_LEAST = {
    0: "rate_per_min grace_s",
    0.1: "upload_timeout_s idle_timeout_s header_timeout_s hello_timeout_s send_timeout_s",
    1: "workers stream_workers max_upload_bytes max_spool_bytes max_pixels max_frames queue keep_count max_streams "
    "stream_pixels queue_frames queue_bytes max_malformed client_uploads client_streams max_connections max_duration_s "
    "job_timeout_s keep_s",
    1 << 30: "memory_bytes",
}


def _half_of_the_cores() -> int:
    return min(max((os.cpu_count() or 1) // 2, 1), 8)


@dataclass(frozen=True)
class Settings:
    """Addresses, access and limits.

    Args:
        host: address to listen on. Beyond loopback a token is required.
        port: 0 takes a free one.
        token: what clients must send as ``Authorization: Bearer …``; None asks for none.
        cors: origins ("https://example.org") whose pages may use the API; none by default.
        allowed_hosts: names by which clients may call the server, beside those of loopback. When there are none and the
            server listens beyond loopback, any name is taken.
        proxy: address of a reverse proxy whose X-Forwarded-For is believed; "" believes nobody.
        workers: processes that measure uploads, one at a time each.
        stream_workers: processes that measure streams, many each.
        max_upload_bytes: of one request.
        max_spool_bytes: of all uploads that lie on disk.
        upload_timeout_s: for a whole upload.
        idle_timeout_s: without a byte of an upload, or a message of a stream.
        header_timeout_s: for the headers of a request.
        max_pixels: width × height of an uploaded video.
        max_frames: of an uploaded video, decoded.
        max_duration_s: of an uploaded video.
        job_timeout_s: for measuring one video.
        memory_bytes: address space of a worker process (Linux).
        queue: uploads that may wait or arrive.
        keep_s: a result is kept in memory this long.
        keep_count: results that are kept at most; the oldest are forgotten first.
        max_streams: at once.
        stream_pixels: width × height of a frame of a stream.
        queue_frames: frames of a stream that wait; the oldest are dropped.
        queue_bytes: the same in bytes.
        max_malformed: malformed messages of a stream in a row; then it is closed.
        hello_timeout_s: for the first message of a stream.
        send_timeout_s: a client that does not take an answer for this long is cut off.
        rate_per_min: requests a minute and client; 0 does not limit.
        client_uploads: uploads of one client at once.
        client_streams: streams of one client at once.
        max_connections: at once.
        grace_s: running measurements get this long to finish on shutdown.

    Raises:
        InvalidInputError: a value is out of range, or a token is missing or short.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    cors: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    proxy: str = ""
    workers: int = field(default_factory=_half_of_the_cores)
    stream_workers: int = field(default_factory=_half_of_the_cores)
    max_upload_bytes: int = 1 << 30
    max_spool_bytes: int = 8 << 30
    upload_timeout_s: float = 900.0
    idle_timeout_s: float = 30.0
    header_timeout_s: float = 15.0
    max_pixels: int = 3840 * 2160
    max_frames: int = 120_000
    max_duration_s: float = 1800.0
    job_timeout_s: float = 900.0
    memory_bytes: int = 4 << 30
    queue: int = 32
    keep_s: float = 900.0
    keep_count: int = 1000
    max_streams: int = 16
    stream_pixels: int = 1280 * 720
    queue_frames: int = 30
    queue_bytes: int = 8 << 20
    max_malformed: int = 10
    hello_timeout_s: float = 10.0
    send_timeout_s: float = 10.0
    rate_per_min: float = 600.0
    client_uploads: int = 4
    client_streams: int = 8
    max_connections: int = 512
    grace_s: float = 15.0

    def __post_init__(self) -> None:
        for least, names in _LEAST.items():
            for name in names.split():
                _at_least(name, getattr(self, name), least)
        if not 0 <= self.port <= 65535:
            raise InvalidInputError(f"port must be from 0 to 65535, got {self.port}")
        for origin in self.cors:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
                raise InvalidInputError(
                    f"an origin looks like 'https://example.org' or 'http://localhost:3000', got {origin!r}"
                )
        for name in self.allowed_hosts:
            if "/" in name or "[" in name or name.count(":") == 1:  # an IPv6 address has more
                raise InvalidInputError(
                    f"a host's name has no scheme and no port, as in 'pulse.example.org', got {name!r}"
                )
        for place in filter(None, map(str.strip, self.proxy.split(","))):
            try:
                ip_network("::/0" if place == "*" else place)
            except ValueError:
                raise InvalidInputError(
                    f"a proxy is an IP address or a network, such as 127.0.0.1, got {place!r}"
                ) from None
        if self.token is not None:
            if (
                len(self.token) < MIN_TOKEN
                or not self.token.isascii()
                or not self.token.isprintable()
                or " " in self.token
            ):
                raise InvalidInputError(
                    f"a token needs at least {MIN_TOKEN} printable ASCII characters without spaces; make one with: "
                    "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
        elif not self.loopback or self.proxy:
            what = f"behind a proxy at {self.proxy}" if self.loopback else f"on {self.host}, beyond this machine,"
            raise InvalidInputError(
                f"listening {what} needs a token: set KDPHYS_TOKEN or --token-file (make one with: python -c 'import "
                "secrets; print(secrets.token_urlsafe(32))')"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    def accepts_host(self, name: str) -> bool:
        """Whether a client may call the server ``name`` (without a port)."""
        if is_loopback(name) or name in self.allowed_hosts:
            return True
        return not self.loopback and not self.allowed_hosts


def is_loopback(name: str) -> bool:
    """Whether a host name or address means this machine itself."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise InvalidInputError(f"{name} must be at least {least:g}, got {value!r}")
