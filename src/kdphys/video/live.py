"""What frames come from while they happen: a camera, a network stream, a file that is played in real time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from kdphys.containers import Frame, Video
from kdphys.errors import VideoError
from kdphys.video.packets import demux
from kdphys.video.picture import MAX_PIXELS, Painter, check_size, orientation
from kdphys.video.reader import read_video


class LiveSource(ABC):
    """Frames in real time, one connection after the other.

    Attributes:
        name: what to call it in messages, without passwords.
        lasting: whether it is there again after it went, so that it is worth trying: a camera, not a file.
        corrupt: pictures so far that could not be decoded and were left out.
        waited_s: for what comes from it, so far, seconds; the rest of the time was spent on decoding.
    """

    name: str
    lasting: bool = True
    corrupt: int = 0
    waited_s: float = 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong without ending it."""
        return ()

    @abstractmethod
    def connect(self, stop: Event) -> Iterator[Frame]:
        """Open it and yield frames as they come, until it ends or ``stop`` is set.

        Times increase, also from one connection to the next: seconds on the clock of :func:`time.monotonic` for
        what lasts, those of the file for a file.

        Raises:
            VideoError: it cannot be opened, or breaks off.
        """


class Playback(LiveSource):
    """A video that is played in real time, as if a camera saw it.

    Args:
        video: a path, or a video.

    Raises:
        VideoError: as :func:`kdphys.read_video`.
    """

    lasting = False

    def __init__(self, video: Path | Video) -> None:
        self._video = video if isinstance(video, Video) else read_video(video)
        self.name = self._video.name

    def connect(self, stop: Event) -> Iterator[Frame]:
        """Each frame when its time has come, or as soon as it is decoded."""
        begin: float | None = None
        for frame in self._video:
            if begin is None:
                begin = time.monotonic() - frame.t
            stop.wait(max(begin + frame.t - time.monotonic(), 0.0))
            if stop.is_set():
                return
            yield frame

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong in the file so far."""
        return self._video.notes


#: Two clocks this far apart, seconds, are drawn together by this share of each step: enough for any quartz, and too
#: little to be seen in a heart rate.
_APART_S, _PULL = 0.5, 1e-3
#: A source that goes back by more than the first has a new clock; its times go on after the second, seconds.
_BACK_S, _STEP_S = 0.5, 1e-3
#: A clock that runs faster or slower by more than the last, over the first (seconds) so often in a row, is none: some
#: encoders count pictures, at a rate that they do not keep.
_WATCH_S, _STRIKES, _STRAY = 3.0, 2, 0.06
#: Who waits for less than this share of the time cannot keep up.
_IDLE = 0.2
#: A connection that gives no picture for so long is given up, seconds.
_BLIND_S = 15.0


class Anchor:
    """Lays the clock of a source on :func:`time.monotonic`, keeping its steps: they are exact where arrivals jitter.

    What runs a little faster or slower than this machine is drawn back to it so slowly that no step is wrong by more
    than a thousandth. What runs much faster or slower is no clock: then frames count when they come, as they do until
    a foreign clock has shown for some seconds that it is one.

    Args:
        ahead_s: a source further ahead than this has a new clock, seconds.
        behind_s: the same for one that fell behind.
        paced: frames are waited for until their time has come, so that their clock, unless it is slow, is right.

    Attributes:
        strayed: by how much the clock ran wrong when it was not believed, as a share; else 0.
    """

    def __init__(self, ahead_s: float = 5.0, behind_s: float = 5.0, paced: bool = False) -> None:
        self._ahead_s, self._behind_s, self._paced = ahead_s, behind_s, paced
        self._offset: float | None = None
        self._last = -np.inf
        self._trusted = paced
        self._mark = (0.0, 0.0, 0.0)
        self._strikes, self._drift = 0, 0.0
        self.strayed = 0.0

    def renew(self) -> None:
        """A connection begins, maybe with another clock: its times go on after those of the one before."""
        self._offset = None

    def __call__(self, own: float | None, now: float, waited_s: float = np.inf) -> float:
        """Time of a frame, seconds.

        Args:
            own: on the source's clock, or None: it has none.
            now: when the frame came.
            waited_s: see :class:`LiveSource`: who never waits is slow itself, and that tells nothing of the source.
        """
        if own is None:
            self._last = max(self._last, now)
            return now
        if self._offset is None:
            # Cameras mostly count on the machine's own clock.
            ours = -self._behind_s < own - now < 0.1
            self._offset = 0.0 if ours else now - own
            self._offset += max(self._last + _STEP_S - (own + self._offset), 0.0)
            self._trusted |= ours
            self._mark, self._strikes = (own, now, waited_s), 0
        self._watch(own, now, waited_s)
        if not self._trusted:
            self._last = max(now, self._last + _STEP_S)
            self._offset = self._last - own
            return self._last
        t = own + self._offset
        if not -self._behind_s <= t - now <= self._ahead_s or t < self._last - _BACK_S:
            t = max(now, self._last + _STEP_S)
            self._offset = t - own
        elif abs(t - now) > _APART_S and self._last < t < self._last + self._ahead_s:
            self._offset -= np.copysign(_PULL * (t - self._last), t - now)
            t = own + self._offset
        self._last = max(self._last, t)
        return t

    def _watch(self, own: float, now: float, waited_s: float) -> None:
        """Compare the two clocks every few seconds."""
        then, before, waited = self._mark
        if now - before < _WATCH_S and own >= then:
            return
        drift = (own - then) / max(now - before, 1e-6) - 1
        self._mark = (own, now, waited_s)
        if own < then or now - before > 2 * _WATCH_S or (self._paced and drift > 0):
            return  # it jumped, or paused, or is waited for
        busy = np.isfinite(waited_s) and waited_s - waited < _IDLE * (now - before)
        if abs(drift) <= _STRAY or (drift < 0 and busy):
            self._trusted, self._strikes = True, 0
            return
        self._strikes = self._strikes + 1 if drift * self._drift > 0 else 1
        self._drift = drift
        if self._strikes >= _STRIKES:
            self._trusted, self.strayed = False, drift


def first_video(container: InputContainer, name: str) -> VideoStream:
    """The largest video stream, made ready to be decoded without delay.

    Raises:
        VideoError: there is none that can be decoded.
    """
    streams = [s for s in container.streams.video if s.codec_context is not None]
    if not streams:
        raise VideoError(f"{name}: no video in it that can be decoded here")
    stream = max(streams, key=lambda s: s.codec_context.width * s.codec_context.height)
    context = stream.codec_context
    check_size(name, context.width, context.height)
    context.thread_type = "SLICE"  # threads for whole frames would hold some of them back
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def pictures(
    container: InputContainer, source: LiveSource, stop: Event
) -> Iterator[tuple[NDArray[np.uint8], float | None]]:
    """RGB pictures with their own times in seconds; those that cannot be decoded are left out and counted.

    Raises:
        VideoError: colours or a rotation that are not known here.
        av.error.FFmpegError: reading breaks off.
    """
    stream = first_video(container, source.name)
    paint: Painter | None = None
    whole = False  # whether a key frame has come: before it pictures are built on what was never seen
    began = time.monotonic()
    packets = demux(container, stream)
    while True:
        asked = time.monotonic()
        packet = next(packets, None)
        source.waited_s += time.monotonic() - asked
        if packet is None or stop.is_set():
            return
        if paint is None and time.monotonic() - began > _BLIND_S:
            raise VideoError(f"{source.name}: opened, but no picture can be decoded (no key frame comes)")
        decoded: list[av.VideoFrame] = []
        try:
            with suppress(EOFError):
                decoded = stream.decode(packet)
        except av.error.FFmpegError:
            source.corrupt += 1
            whole = False
            continue
        for picture in decoded:
            whole |= bool(picture.key_frame)
            if picture.is_corrupt or not whole:
                source.corrupt += 1
                whole = whole and not picture.is_corrupt
                continue
            if paint is None:
                check_size(source.name, picture.width, picture.height)
                paint = Painter(source.name, picture.rotation, orientation(picture))
            base = picture.time_base or stream.time_base
            own = None if picture.pts is None or base is None else float(picture.pts * base)
            yield paint(picture), own
