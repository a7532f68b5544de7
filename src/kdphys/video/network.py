"""A video stream from the network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event
from urllib.parse import urlsplit

import av
import av.error

from kdphys.containers import Frame
from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.live import Anchor, LiveSource, pictures
from kdphys.video.picture import MAX_PIXELS

SCHEMES = ("rtsp", "rtsps", "http", "https")
#: Nobody answers, or nothing more comes, for this long: the connection is given up, seconds.
TIMEOUT_S = 10.0

# What a stream may lead to: never to a file of this machine.
_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,hls"
_NO_TIMESTAMPS = 0x0080  # AVFMT_NOTIMESTAMPS
# Pictures one after the other, without times: FFmpeg would make them up from a rate that it guesses.
_TIMELESS = frozenset({"mpjpeg", "mjpeg", "jpeg_pipe"})
# Segments come many seconds at once.
_AHEAD_S = 60.0


# An address is not shown when it cannot be taken apart: somewhere in it is a password.
_ESCAPE = "expected rtsp://USER:PASSWORD@HOST:PORT/…; in user and password write # / ? [ ] @ as %23 %2F %3F %5B %5D %40"


class NetworkStream(LiveSource):
    """A stream by RTSP (over TCP where the server can) or HTTP: MJPEG, MPEG-TS, HLS, MP4, ….

    Times are the stream's own, laid on the clock of this machine, when they keep up with it; those of MJPEG, and of
    streams that only count their pictures, are the times of arrival. What HTTP gives faster than in real time is played
    in real time.

    Args:
        url: rtsp://, rtsps://, http:// or https://.
        timeout_s: the connection is given up when nothing comes for this long, seconds.

    Raises:
        InvalidInputError: another kind of address.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidInputError(f"the stream's address cannot be read: {_ESCAPE}") from None
        if ":" in parts.netloc and "@" not in parts.netloc and "@" in url:
            raise InvalidInputError(f"the stream's address has its @ behind the host: {_ESCAPE}")
        if parts.scheme.lower() not in SCHEMES or not parts.hostname:
            raise InvalidInputError(
                "a stream must be rtsp://HOST/…, rtsps://, http:// or https://, "
                f"got {parts.scheme}://{parts.hostname or ''}"
            )
        self._url, self._timeout_s = url, timeout_s
        self._paced = parts.scheme.lower().startswith("http")
        self._anchor = Anchor(ahead_s=_AHEAD_S if self._paced else 5.0, paced=self._paced)
        # No more than that: the rest holds secrets, of some cameras even the path, and this is shown.
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.name = f"{parts.scheme}://{host}{f':{port}' if port else ''}"

    def connect(self, stop: Event) -> Iterator[Frame]:
        """See :meth:`LiveSource.connect`."""
        options = {
            "protocol_whitelist": _PROTOCOLS,
            "rtsp_flags": "prefer_tcp",  # over UDP pictures break; some servers know nothing else
            "analyzeduration": "1000000",
            "max_pixels": str(MAX_PIXELS),
        }
        if not self._paced:
            options["fflags"] = "nobuffer"
        try:
            container = av.open(self._url, "r", options=options, timeout=self._timeout_s, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{self.name}: cannot be opened ({self._why(error)})") from error
        timeless = container.format.name in _TIMELESS or bool(container.format.flags & _NO_TIMESTAMPS)
        self._anchor.renew()
        with container:
            try:
                for rgb, own in pictures(container, self, stop):
                    now = time.monotonic()
                    t = self._anchor(None if timeless else own, now, self.waited_s)
                    if self._paced and t > now:
                        stop.wait(t - now)
                    yield Frame(rgb, t)
            except (av.error.FFmpegError, OSError) as error:
                raise VideoError(f"{self.name}: breaks off ({self._why(error)})") from error
        if not stop.is_set():
            raise VideoError(f"{self.name}: the stream ends")

    @property
    def notes(self) -> tuple[str, ...]:
        """See :attr:`LiveSource.notes`."""
        if not self._anchor.strayed:
            return ()
        return (f"{self.name}: its times run wrong by {abs(self._anchor.strayed):.0%}; pictures count when they come",)

    def _why(self, error: Exception) -> str:
        if isinstance(error, av.error.ExitError):
            return f"nothing came for {self._timeout_s:g} s"
        if isinstance(error, av.error.HTTPUnauthorizedError):
            return "user and password are needed: rtsp://USER:PASSWORD@HOST/…"
        return getattr(error, "strerror", None) or type(error).__name__
