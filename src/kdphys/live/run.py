"""Capture, measurement and recording, each at its own pace; and what is to be seen of them."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Frame
from kdphys.errors import OutputError
from kdphys.live.capture import Capture, Captured, Rate
from kdphys.live.record import Recorder
from kdphys.streaming import Session, Update
from kdphys.video.live import LiveSource

#: Without a frame for this long there is no heart rate to be shown, seconds.
STALE_S = 3.0
#: What happened is shown for this long, seconds.
_NOTE_S = 10.0
#: What happened is remembered for the summary, at most.
_MOST_NOTES = 20


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that a view shows.

    Args:
        source, method: their names.
        elapsed_s: since the first frame, seconds.
        capture: of the source.
        update: the latest, or None.
        measured: frames that were measured.
        measured_fps: frames per second that were measured, over the last seconds.
        lag_s: from when a frame came until it was measured, over the last frames, seconds.
        recording: files that are written.
        trouble: of the recording, or None.
        notes: what happened in the last seconds.
        picture: the newest frame that was measured, or None.
    """

    source: str
    method: str
    elapsed_s: float
    capture: Captured
    update: Update | None = None
    measured: int = 0
    measured_fps: float = 0.0
    lag_s: float = 0.0
    recording: tuple[str, ...] = ()
    trouble: str | None = None
    notes: tuple[str, ...] = ()
    picture: NDArray[np.uint8] | None = None

    @property
    def fresh(self) -> bool:
        """Whether what was measured holds for now."""
        silent = self.capture.silent_s
        return (
            self.capture.state in ("running", "ended")
            and silent is not None
            and (self.capture.state == "ended" or silent < STALE_S)
        )


@dataclass(frozen=True)
class Summary:
    """What a run gave.

    Args:
        seconds: from the first frame to the last.
        hr_bpm: median of the heart rates, or None when there was none.
        hr_low_bpm, hr_high_bpm: the lowest and the highest.
        coverage: share of the refreshes with a heart rate, from when there could be one, [0, 1].
        reason: of the last refresh, where there never was a heart rate.
        frames, measured, dropped, corrupt, returns: see :class:`Captured` and :class:`Snapshot`.
        recording: files that were written.
        trouble: of the recording, or None.
        notes: what happened.
    """

    seconds: float
    hr_bpm: float | None
    hr_low_bpm: float | None
    hr_high_bpm: float | None
    coverage: float
    reason: str | None
    frames: int
    measured: int
    dropped: int
    corrupt: int
    returns: int
    recording: tuple[str, ...]
    trouble: str | None
    notes: tuple[str, ...]


class _Rates:
    """Heart rates of any length of time in constant memory, to 0.1 bpm."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.asked = 0

    def add(self, update: Update) -> None:
        hr = update.vitals.hr_bpm
        if hr is None and not self.asked and "too short" in update.vitals.reasons:
            return  # there could not be one yet
        self.asked += 1
        if hr is not None:
            self._bins[round(10 * hr)] += 1

    @property
    def answered(self) -> int:
        return self._bins.total()

    def quantile(self, share: float) -> float | None:
        rank, seen = share * (self.answered - 1), 0
        for key in sorted(self._bins):
            seen += self._bins[key]
            if seen > rank:
                return key / 10
        return None


class LiveRun:
    """Measures a source until it ends or is stopped.

    Example::

        with LiveRun(source, kdphys.stream()) as run:
            while not run.over:
                show(run.look())
        print(run.summary())

    Args:
        source: where frames come from.
        session: that measures them; closed at the end.
        recorder: that writes them, or None.
        capture: of the source, if not the usual one.
        method: its name.
    """

    def __init__(
        self,
        source: LiveSource,
        session: Session,
        recorder: Recorder | None = None,
        capture: Capture | None = None,
        method: str = "",
    ) -> None:
        self._source, self._name, self._method = source, source.name, method
        self._capture = capture or Capture(source)
        self._session, self._recorder = session, recorder
        self._first: tuple[float, float] | None = None  # time on the source's clock, and on ours
        self._last_t = 0.0
        self._update: Update | None = None
        self._measured = 0
        self._rate = Rate()
        self._lags: deque[float] = deque(maxlen=30)
        self._rates = _Rates()
        self._reason: str | None = None
        self._recent: deque[tuple[float, str]] = deque(maxlen=_MOST_NOTES)
        self._notes: dict[str, int] = {}
        self._picture: NDArray[np.uint8] | None = None
        self._trouble: str | None = None
        self._error: BaseException | None = None
        self._begun = self._abandon = False
        self._thread = threading.Thread(target=self._run, name="kdphys-measure", daemon=True)

    def __enter__(self) -> LiveRun:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to capture and to measure."""
        self._begun = True
        self._capture.start()
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End: what was captured is measured and written. Safe to be called twice.

        A source that hangs in its driver is left behind.
        """
        self._capture.stop()
        if self._begun:
            self._abandon = not self._capture.join(2.0)
            self._thread.join(timeout_s)

    @property
    def over(self) -> bool:
        """Whether all has been measured."""
        return self._begun and not self._thread.is_alive()

    def check(self) -> None:
        """Raise what ended the capture or the measurement, if it was an error."""
        error = self._error or self._capture.error
        if error is not None:
            raise error

    @property
    def elapsed_s(self) -> float:
        """Since the first frame, seconds; 0 before it."""
        return time.monotonic() - self._first[1] if self._first else 0.0

    def look(self) -> Snapshot:
        """The state now."""
        now = time.monotonic()
        lags = list(self._lags)
        return Snapshot(
            self._name,
            self._method,
            self.elapsed_s,
            self._capture.look(),
            self._update,
            self._measured,
            self._rate.per_s(now),
            float(np.median(lags)) if lags else 0.0,
            self._recorder.files if self._recorder else (),
            self._trouble,
            tuple(text for at, text in list(self._recent) if now - at < _NOTE_S),
            self._picture,
        )

    def summary(self) -> Summary:
        """What it gave; after the end."""
        seen, rates = self._capture.look(), self._rates
        return Summary(
            self._last_t - self._first[0] if self._first else 0.0,
            rates.quantile(0.5),
            rates.quantile(0.0),
            rates.quantile(1.0),
            rates.answered / rates.asked if rates.asked else 0.0,
            None if rates.answered else self._reason,
            seen.frames,
            self._measured,
            seen.dropped,
            seen.corrupt,
            seen.returns,
            self._recorder.files if self._recorder else (),
            self._trouble,
            (
                *(text if n == 1 else f"{text} ({n} times)" for text, n in self._notes.items()),
                *self._source.notes,
                *self._unrecorded(),
            ),
        )

    def _unrecorded(self) -> tuple[str, ...]:
        n = self._recorder.skipped if self._recorder else 0
        return (f"{n} frames are not in the recorded video: their times did not increase",) if n else ()

    def _run(self) -> None:
        try:
            while True:
                taken = self._capture.take(0.1)
                if taken is not None:
                    self._measure(*taken)
                elif self._capture.over or self._abandon:
                    break
            last = self._session.close()
            if last is not None and last is not self._update:
                self._show(last)
        except BaseException as error:
            self._error = error
            self._capture.stop()
        finally:
            self._keep(Recorder.close, always=True)

    def _measure(self, frame: Frame, came: float) -> None:
        if self._first is None:
            self._first = (frame.t, came)
        self._last_t = frame.t
        self._keep(lambda recorder: recorder.frame(frame))
        update = self._session.push(frame)
        if update is not None:
            self._show(update)
        now = time.monotonic()
        self._measured += 1
        self._rate.tick(now)
        self._lags.append(now - came)
        self._picture = frame.rgb

    def _show(self, update: Update) -> None:
        self._update = update
        self._rates.add(update)
        self._reason = update.vitals.reasons[0] if update.vitals.reasons else None
        for note in update.notes:
            self._recent.append((time.monotonic(), note))
            if note in self._notes or len(self._notes) < _MOST_NOTES:
                self._notes[note] = self._notes.get(note, 0) + 1
        self._keep(lambda recorder: recorder.update(update))

    def _keep(self, write: Callable[[Recorder], None], always: bool = False) -> None:
        """Record; a disk that is full ends the recording and nothing else."""
        if self._recorder is None or (self._trouble and not always):
            return
        try:
            write(self._recorder)
        except OutputError as error:
            self._trouble = self._trouble or str(error)
