"""Frames in, vital signs out, each second, for as long as there are frames."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.clip.crop import square
from kdphys.containers import Frame, Pulse
from kdphys.dsp import MAX_GAP_S
from kdphys.errors import InvalidInputError
from kdphys.face.track import FaceTracker
from kdphys.pipeline import DEFAULT_METHOD, FS, roi_box
from kdphys.pulse.engines import StreamMethod
from kdphys.pulse.estimate import Method, TraceMethod
from kdphys.streaming.advice import advise
from kdphys.streaming.clock import Clock
from kdphys.streaming.faces import Choice
from kdphys.streaming.signal import LiveSignal
from kdphys.streaming.vitals import LiveVitals, cut
from kdphys.streaming.waveform import load_live, open_waveform
from kdphys.vitals.heart_rate import MIN_HR_S, check_windows
from kdphys.vitals.result import Vitals

Floats = NDArray[np.floating[Any]]

#: Length of the waveform in an update, seconds.
SHOWN_S = 10.0
#: The camera's rate is that of so many seconds.
_FPS_S = 4.0
#: So many updates may come at once.
_BURST = 20
#: A box may be this many times as long as the picture.
_MOST_SIDES = 4
#: The face whose box is given; the tracker counts its own from 0.
_GIVEN = -1


@dataclass
class Counts:
    """What happened to the frames of a session so far.

    Args:
        frames: given to the session, refused ones included.
        late: refused, since their time did not lie after that of the frame before or was no number.
        gaps: stretches of more than 0.5 s without frames.
        lost: times the face that is measured went away.
        persons: that were measured one after the other.
        clock_jumps: times the clock of the frames was set back and the session went on with the new one.
    """

    frames: int = 0
    late: int = 0
    gaps: int = 0
    lost: int = 0
    persons: int = 0
    clock_jumps: int = 0


@dataclass(frozen=True, eq=False)
class Update:
    """The state of a session at a refresh.

    Args:
        t: time of the newest frame, seconds on the clock of the frames.
        vitals: heart rate of the last window; respiration and variability of the last minutes.
        pulse: the waveform of the last 10 s, with evidence.
        box: face box (x0, y0, x1, y1) of the newest frame whose faces are known, None without a face.
        fps: of the camera, measured over the last seconds.
        advice: what would help, most important first; empty when all is well.
        person: number of who is measured, from 0; None before there was a face. Changes when another takes over.
        notes: what happened since the update before.
    """

    t: float
    vitals: Vitals
    pulse: Pulse
    box: Floats | None
    fps: float
    advice: tuple[str, ...]
    person: int | None
    notes: tuple[str, ...] = ()


def stream(
    method: Method | StreamMethod | str = DEFAULT_METHOD,
    *,
    roi: tuple[float, float, float, float] | str | None = None,
    window_s: float = 10.0,
    refresh_s: float = 1.0,
    history_s: float = 60.0,
    tracker: FaceTracker | None = None,
) -> Session:
    """Measure frames as they come.

    Example::

        with kdphys.stream() as s:
            for frame, t in camera:
                if update := s.push(frame, t):
                    print(update.vitals.hr_bpm, update.vitals.sqi, *update.advice)

    Args:
        method: name or method. Learned methods that need the whole recording are refused.
        roi: measure this part of the picture (x0, y0, x1, y1 in pixels, or "full") instead of looking for faces.
        window_s: stretch that the heart rate is computed on, at least 6 s. The first one comes from 6 s.
        refresh_s: stream time between updates, seconds.
        history_s: stretch that respiration and beats are computed on, at least ``window_s``, seconds.
        tracker: another face tracker than the default.

    Raises:
        InvalidInputError: an option is out of range, or the method cannot run on a stream.
    """
    return Session(method, roi=roi, window_s=window_s, refresh_s=refresh_s, history_s=history_s, tracker=tracker)


class Session:
    """One stream; see :func:`stream`. Not thread-safe. Memory does not grow with time.

    Args:
        most_per_s: updates a second of this machine's clock, beyond the first twenty: a stream whose own time runs
            faster has fewer of them.

    Attributes:
        counts: what happened to the frames.
        update: the latest, or None.
        latency_s: how far the waveform lags behind the newest frame: the method's look-ahead, one sample of the
            resampler, and the interval of face detection.
    """

    def __init__(
        self,
        method: Method | StreamMethod | str = DEFAULT_METHOD,
        *,
        roi: tuple[float, float, float, float] | str | None = None,
        window_s: float = 10.0,
        refresh_s: float = 1.0,
        history_s: float = 60.0,
        tracker: FaceTracker | None = None,
        most_per_s: float | None = None,
    ) -> None:
        check_windows(window_s, refresh_s)
        if not window_s <= history_s <= 3600:
            raise InvalidInputError(f"history must be from the window ({window_s:g} s) to 3600 s, got {history_s:g} s")
        self._method = load_live(method) if isinstance(method, str) else method
        self._refresh_s, self._roi, self._most_per_s = refresh_s, roi, most_per_s
        self._left, self._refilled = float(_BURST), time.monotonic()
        self._size: tuple[int, ...] = ()  # of the pictures
        self._area: Floats | None = None  # roi in pixels
        self._fs = FS if isinstance(self._method, TraceMethod) else self._method.spec.fs
        self._rows = round(history_s * self._fs)
        self._wave = open_waveform(self._method, self._fs, self._rows)
        self._marks = int(np.ceil(history_s / refresh_s)) + 1
        self._tracker = tracker or FaceTracker()
        self._choice = Choice(self._tracker.memory_s)
        self._measure = LiveVitals(window_s, refresh_s, history_s)
        self._clock = Clock()
        self._steps: deque[float] = deque(maxlen=480)  # between the frames of the last seconds
        self._last = self._next = np.nan
        self._given = -np.inf  # when a box was given last
        self._signal: LiveSignal | None = None
        self._closed = self._warm = False
        self._box: Floats | None = None
        self._notes: list[str] = []
        self.counts = Counts()
        self.update: Update | None = None
        self.latency_s = (self._wave.lookahead + 1) / self._fs + (0.0 if roi is not None else self._tracker.interval_s)

    @property
    def vitals(self) -> Vitals | None:
        """The latest, or None before the first refresh."""
        return self.update.vitals if self.update else None

    def push(
        self, frame: NDArray[np.uint8] | Frame, t: float | None = None, *, box: ArrayLike | None = None
    ) -> Update | None:
        """Take a frame.

        Args:
            frame: uint8 (H, W, 3) RGB. A writable array is copied, since it waits for the next detection; a
                :class:`kdphys.Frame` is not.
            t: its time in seconds, any origin; that of the frame, or the time now, by default. A frame that does not
                come after the one before is refused and counted. When frames keep coming with earlier times, for 1 s or
                until their times pass the old ones, their clock was set back, and the session goes on with it.
            box: of the face, x0, y0, x1, y1 in pixels, if it is known: no face is looked for. Frames without one
                between frames with one are those without a face; after 4 s of them faces are looked for.

        Returns:
            an update whenever the vital signs were refreshed, else None.

        Raises:
            InvalidInputError: no such picture, time or box; the session is closed.
        """
        if self._closed:
            raise InvalidInputError("this session is closed; open another one with kdphys.stream()")
        if isinstance(frame, Frame):
            rgb, t = frame.rgb, frame.t if t is None else t
        else:
            rgb, t = Frame(frame, 0.0).rgb, time.monotonic() if t is None else t
            if box is None and self._roi is None and frame.flags.writeable:
                rgb = rgb.copy()
        where = None if box is None else _checked(box, rgb)
        area = None if self._roi is None else roi_box(self._roi, rgb.shape[1], rgb.shape[0])
        seconds = _seconds(t)
        self.counts.frames += 1
        before = self._clock.offset
        now = self._clock(seconds)
        if now is None:
            self.counts.late += 1
            return None
        if self._clock.jumps > self.counts.clock_jumps:
            self.counts.clock_jumps = self._clock.jumps
            self._notes.append("the clock of the frames was set back")
            self._measure.shift(before - self._clock.offset)
        self._tick(now)
        if rgb.shape != self._size:
            self._resize(rgb.shape)
        self._area = area
        for seen, faces in self._find(Frame(rgb, now), where):
            self._take(seen, faces)
        due = self._has_first() or now >= self._next
        return self._refresh() if due and self._may_refresh() else None

    def close(self) -> Update | None:
        """End of the stream: what waited for frames to come is computed without them.

        Returns:
            the last update, or None when there was no frame.
        """
        if not self._closed:
            self._closed = True
            for tracked in self._tracker.flush():
                self._take(tracked.frame, tracked.faces)
            if self._signal is not None:
                face = self._signal.open
                self._signal.end()
                self._refresh(face)
        return self.update

    def _tick(self, now: float) -> None:
        """The clock of the frames moves on."""
        if self._signal is None:
            self._next = now + self._refresh_s
            self._signal = LiveSignal(self._wave, now, self._rows, self._roi is not None, self._marks)
        elif now - self._last > MAX_GAP_S:
            self.counts.gaps += 1
        if np.isfinite(self._last):
            self._steps.append(now - self._last)
            while sum(self._steps) > _FPS_S and len(self._steps) > 1:
                self._steps.popleft()
        self._last = now

    def _resize(self, shape: tuple[int, ...]) -> None:
        """Pictures of another size come: places in them mean nothing to the tracker."""
        if self._size:
            self._notes.append(f"the picture is now {shape[1]}×{shape[0]} pixels")
            for tracked in self._tracker.flush():
                self._take(tracked.frame, tracked.faces)
            self._tracker = replace(self._tracker)
            self._choice.forget()
        self._size = shape

    def _find(self, frame: Frame, box: Floats | None) -> list[tuple[Frame, dict[int, tuple[Floats, float]]]]:
        """The frames whose faces are known now."""
        if self._area is not None:
            return [(frame, {_GIVEN: (self._area, 1.0)})]
        if box is not None:
            self._given = frame.t
            waited = [(tracked.frame, tracked.faces) for tracked in self._tracker.flush()]
            return [*waited, (frame, {_GIVEN: (box, 1.0)})]
        if frame.t - self._given <= self._tracker.memory_s:
            return [(frame, {})]
        return [(tracked.frame, tracked.faces) for tracked in self._tracker.push(frame)]

    def _take(self, frame: Frame, faces: dict[int, tuple[Floats, float]]) -> None:
        assert self._signal is not None
        known = self._choice.id
        forgotten = known is not None and (known == _GIVEN or not self._tracker.remembers(known))
        key, another = self._choice(faces, frame.t, forgotten)
        another = another and self.counts.persons > 0
        if key is None:
            self.counts.lost += self._box is not None
            self._box = None
            self._signal.absent(frame.t)
            return
        if another:
            self._notes.append("another person: the history starts anew")
            self._signal.restart(frame.t)
            self._measure.restart()
            self._warm = False
        self.counts.persons += another or self.counts.persons == 0
        self._box = faces[key][0]
        self._signal.add(frame, self._box)

    def _has_first(self) -> bool:
        """Whether there is enough for a first heart rate since the last refresh."""
        assert self._signal is not None
        enough = not self._warm and self._signal.length_s >= MIN_HR_S
        self._warm |= enough
        return enough

    def _may_refresh(self) -> bool:
        if self._most_per_s is None:
            return True
        now = time.monotonic()
        self._left = min(self._left + self._most_per_s * (now - self._refilled), _BURST)
        self._refilled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _refresh(self, face: bool = False) -> Update:
        assert self._signal is not None
        if self._last >= self._next:
            self._next += self._refresh_s * (np.floor((self._last - self._next) / self._refresh_s) + 1)
        self._signal.settle()
        pulse = self._signal.pulse(self._last, self._clock.offset)
        vitals = self._measure(pulse, face or self._signal.open)
        shown = cut(pulse, max(len(pulse.bvp) - round(SHOWN_S * self._fs), 0), len(pulse.bvp))
        fps = len(self._steps) / sum(self._steps) if self._steps else 0.0
        person = self.counts.persons - 1 if self.counts.persons else None
        advice = advise(vitals, self._box, self._roi is not None, fps)
        t = self._last - self._clock.offset
        self.update = Update(t, vitals, shown, self._box, fps, advice, person, tuple(self._notes))
        self._notes = []
        return self.update

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def _seconds(t: Any) -> float:
    try:
        return float(t)
    except (TypeError, ValueError):
        raise InvalidInputError(f"t must be a time in seconds, a number, got {t!r}") from None


def _checked(box: ArrayLike, rgb: NDArray[np.uint8]) -> Floats:
    try:
        out = np.asarray(box, float)
    except (TypeError, ValueError):
        out = np.empty(0)
    if out.shape != (4,) or not np.isfinite(out).all() or not (out[2] - out[0] >= 2 and out[3] - out[1] >= 2):
        raise InvalidInputError(f"box must be x0, y0, x1, y1 with x1 > x0 and y1 > y0 (pixels), got {box!r}")
    height, width = rgb.shape[:2]
    if (out[2:] - out[:2]).max() > _MOST_SIDES * max(height, width):
        raise InvalidInputError(f"box {out.tolist()} is far larger than the picture of {width}×{height} pixels")
    x0, y0, x1, y1 = np.round(square(out, 1.0))
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise InvalidInputError(f"box {out.tolist()} lies outside the picture of {width}×{height} pixels")
    return out
