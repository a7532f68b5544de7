"""Frames from a source in a thread of their own; the newest are kept when nobody takes them in time."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

from kdphys.containers import Frame
from kdphys.errors import KDPhysError, VideoError
from kdphys.video.live import LiveSource

#: Frames that wait to be measured, a quarter of a second of a usual camera: then the oldest is dropped.
WAITING = 8
#: Waiting before a source that went is tried again: at first, and at most, seconds.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
#: Rates are those of so many seconds.
RATE_S = 3.0


@dataclass(frozen=True)
class Captured:
    """The state of a capture.

    Args:
        state: "opening", "running", "lost" (tried again), "ended" or "failed" (not tried again).
        trouble: what happened, where the state is "lost" or "failed".
        retry_s: until it is tried again, seconds; None: that does not wait.
        silent_s: since the last frame, seconds; None before the first.
        frames: that came so far.
        dropped: of those, how many were not taken in time.
        corrupt: pictures that could not be decoded, not among the frames.
        returns: times that the source went and came back.
        fps: frames per second, over the last seconds.
        size: of the pictures, width and height in pixels; None before the first.
    """

    state: str
    trouble: str | None
    retry_s: float | None
    silent_s: float | None
    frames: int
    dropped: int
    corrupt: int
    returns: int
    fps: float
    size: tuple[int, int] | None


class Rate:
    """How often something happens, over the last seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=1024)

    def tick(self, now: float) -> None:
        """It happens."""
        self._times.append(now)

    def per_s(self, now: float) -> float:
        """Times a second; 0 when it has stopped."""
        recent = [t for t in self._times.copy() if now - t <= RATE_S]
        if len(recent) < 2 or now - recent[-1] > RATE_S / 2:
            return 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6)


class Capture:
    """Reads a source in a thread, again and again when it lasts.

    A source that was never there is an error. One that was there and went is tried again for ever, after waits that
    grow.

    Args:
        source: where frames come from.
        waiting: frames that are kept for who measures.
        first_wait_s, longest_wait_s: waits before the source is tried again, seconds.
    """

    def __init__(
        self,
        source: LiveSource,
        waiting: int = WAITING,
        first_wait_s: float = FIRST_WAIT_S,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._source = source
        self._waiting = waiting
        self._first_wait_s, self._longest_wait_s = first_wait_s, longest_wait_s
        self._queue: deque[tuple[Frame, float]] = deque()
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._state = "opening"
        self._trouble: str | None = None
        self._retry_at: float | None = None
        self._last: float | None = None
        self._frames = self._dropped = self._returns = 0
        self._size: tuple[int, int] | None = None
        self._rate = Rate()
        self.error: BaseException | None = None
        # A thread that hangs in a driver must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="kdphys-capture", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; frames that wait may still be taken."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def take(self, timeout_s: float) -> tuple[Frame, float] | None:
        """The oldest frame that waits and the time on :func:`time.monotonic` when it came, or None: none came."""
        with self._news:
            if not self._queue and not self.over:
                self._news.wait(timeout_s)
            return self._queue.popleft() if self._queue else None

    @property
    def over(self) -> bool:
        """Whether no more frames will come."""
        return self._state in ("ended", "failed")

    def look(self) -> Captured:
        """The state now."""
        now = time.monotonic()
        with self._news:
            retry = None if self._retry_at is None else max(self._retry_at - now, 0.0)
            silent = None if self._last is None else now - self._last
            fps = self._rate.per_s(now) if self._state == "running" else 0.0
            return Captured(
                self._state,
                self._trouble,
                retry,
                silent,
                self._frames,
                self._dropped,
                self._source.corrupt,
                self._returns,
                fps,
                self._size,
            )

    def _run(self) -> None:
        wait_s = self._first_wait_s
        try:
            while not self._stop.is_set():
                before = self._frames
                trouble = self._connect()
                if trouble is None:
                    break
                if not (self._source.lasting and self._frames):
                    raise trouble
                wait_s = self._first_wait_s if self._frames > before else min(2 * wait_s, self._longest_wait_s)
                self._to("lost", str(trouble), time.monotonic() + wait_s)
                self._stop.wait(wait_s)
                with self._news:
                    self._retry_at = None
        except KDPhysError as error:
            self.error = error
            self._to("failed", str(error))
        except BaseException as error:
            self.error = error
            self._to("failed", f"{type(error).__name__}: {error}")
        else:
            self._to("ended")

    def _connect(self) -> KDPhysError | None:
        """One connection; what ended it, or None: its end."""
        try:
            for frame in self._source.connect(self._stop):
                self._put(frame)
                if self._stop.is_set():
                    break
        except VideoError as error:
            return None if self._stop.is_set() else error
        return None

    def _put(self, frame: Frame) -> None:
        now = time.monotonic()
        with self._news:
            self._returns += self._state == "lost"
            self._state, self._trouble, self._last = "running", None, now
            self._size = (frame.rgb.shape[1], frame.rgb.shape[0])
            self._frames += 1
            self._rate.tick(now)
            if len(self._queue) >= self._waiting:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append((frame, now))
            self._news.notify()

    def _to(self, state: str, trouble: str | None = None, retry_at: float | None = None) -> None:
        with self._news:
            self._state, self._trouble, self._retry_at = state, trouble, retry_at
            self._news.notify_all()
