"""Vital signs of a stream: the heart rate of the last window, breathing and variability of the last minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Evidence, Pulse
from kdphys.dsp import runs
from kdphys.vitals.beats import find_beats
from kdphys.vitals.heart_rate import MIN_HR_S, Memory, hr_window
from kdphys.vitals.hrv import variability
from kdphys.vitals.impostors import MISSING
from kdphys.vitals.quality import Judge
from kdphys.vitals.respiration import MIN_RR_S, respiration
from kdphys.vitals.result import Estimate, HrWindow, Vitals

Floats = NDArray[np.floating[Any]]

#: Intervals between beats are kept this long, for what needs more than the history, seconds.
HRV_S = 300.0
#: Context on the left of the window that is judged, seconds: what the filters of the judge need to settle.
_CONTEXT_S = 10.0
#: Beats nearer than this to the start of the history are taken from when they were further inside, seconds.
_EDGE_S = 5.0
#: Two beats further apart than this have a gap between them, seconds.
_GAP_S = 4.0


def cut(pulse: Pulse, start: int, stop: int) -> Pulse:
    """The samples ``start:stop`` of a pulse, with their evidence."""
    e = pulse.evidence
    part = slice(start, stop)
    names = (field.name for field in fields(Evidence) if field.name != "beat_hz")
    evidence = e and replace(e, **{name: getattr(e, name)[part] for name in names})
    scale = None if pulse.scale is None else pulse.scale[part]
    t0 = pulse.t0 + start / pulse.fs
    return Pulse(pulse.bvp[part], pulse.fs, t0, pulse.valid[part], pulse.method, evidence, scale)


class LiveVitals:
    """Remembers what the vital signs need beyond the history of the pulse.

    Args:
        window_s: of the heart rate.
        refresh_s: between calls.
        history_s: of the pulse that is given.
    """

    def __init__(self, window_s: float, refresh_s: float, history_s: float) -> None:
        self._window_s, self._history_s = window_s, history_s
        self._course: deque[HrWindow] = deque(maxlen=int(np.ceil(history_s / refresh_s)) + 1)
        self._memory = Memory()
        self._kept = np.empty((0, 2))  # intervals: time of the second beat, ms
        self._dropped = np.empty(0)  # times of intervals that were left out
        self._until = -np.inf  # up to where they are kept

    def restart(self) -> None:
        """Another person."""
        self._course.clear()
        self._memory.clear()
        self._kept, self._dropped, self._until = np.empty((0, 2)), np.empty(0), -np.inf

    def shift(self, by: float) -> None:
        """The clock of the frames was set: what is remembered happened ``by`` seconds later on the new one."""
        self._kept[:, 0] += by
        self._dropped = self._dropped + by
        self._until += by
        self._memory.shift(by)
        course = [replace(w, t0=w.t0 + by, t1=w.t1 + by) for w in self._course]
        self._course.clear()
        self._course.extend(course)

    def __call__(self, pulse: Pulse, face: bool) -> Vitals:
        """The vital signs at the end of ``pulse``.

        Args:
            pulse: the history.
            face: whether there is a face now, though the pulse may not reach to it yet.
        """
        end = pulse.t0 + len(pulse.bvp) / pulse.fs
        now = self._memory(self._now(pulse, face))
        if now.t1 - now.t0 >= MIN_HR_S - 0.5 / pulse.fs:
            self._course.append(now)
        while self._course and self._course[0].t1 <= end - self._history_s:
            self._course.popleft()
        course = tuple(self._course)
        answered = [w for w in course if w.hr_bpm is not None]
        beats, rows, left_out = find_beats(pulse, answered) if answered else (np.empty(0), np.empty((0, 2)), 0)
        kept, left_out = self._remember(pulse, beats, rows)
        if now.hr_bpm is None:
            reason = now.reason or "no periodic component"
            hr = Estimate.refused("bpm", MIN_HR_S, reason, (now.t0, now.t1))
            rr = Estimate.refused("brpm", MIN_RR_S, "no reliable pulse")
            kept, left_out = np.empty((0, 2)), 0
            reasons: tuple[str, ...] = (reason,)
        else:
            hr = Estimate(now.hr_bpm, "bpm", (now.t0, now.t1), now.sqi, MIN_HR_S)
            rr, reasons = respiration(pulse, beats, rows, now.sqi), ()
        coverage = len(answered) / len(course) if course else 0.0
        hrv = variability(kept, left_out, now.sqi)
        return Vitals(hr, rr, hrv, beats, rows[:, 1], now.sqi, (pulse.t0, end), course, coverage, reasons, pulse.method)

    def _now(self, pulse: Pulse, face: bool) -> HrWindow:
        """The heart rate of the last window, or of as much of it as there is since the face came."""
        n, fs = len(pulse.bvp), pulse.fs
        size, need = round(self._window_s * fs), MIN_HR_S * fs - 0.5
        end, start = pulse.t0 + n / fs, max(n - size, 0)
        stretches = runs(pulse.valid[start:])
        if not stretches:
            return HrWindow(pulse.t0 + start / fs, end, None, 0.0, "too short" if face else "no face")
        first, last = start + stretches[0].start, start + stretches[-1].start
        start = first
        if n - start < need or pulse.valid[start:].mean() < 1 - MISSING:
            start = last
            if n - start < need or not pulse.valid[-1]:
                return HrWindow(pulse.t0 + start / fs, end, None, 0.0, "too short" if face else "no face")
        before = max(start - round(_CONTEXT_S * fs), 0)
        return hr_window(Judge(cut(pulse, before, n)), start - before, n - before)

    def _remember(self, pulse: Pulse, beats: Floats, rows: Floats) -> tuple[Floats, int]:
        """All intervals of the last minutes and how many were left out."""
        left_out = beats[1:][~np.isin(beats[1:], rows[:, 0]) & (np.diff(beats) < _GAP_S)] if len(beats) else beats
        new, out = rows[rows[:, 0] > self._until], left_out[left_out > self._until]
        kept, dropped = np.concatenate([self._kept, new]), np.concatenate([self._dropped, out])
        end = pulse.t0 + len(pulse.bvp) / pulse.fs
        if end - pulse.t0 >= self._history_s - 0.5 / pulse.fs:
            edge = pulse.t0 + _EDGE_S
            early = end - HRV_S
            self._kept = kept[(kept[:, 0] <= edge) & (kept[:, 0] > early)]
            self._dropped = dropped[(dropped <= edge) & (dropped > early)]
            self._until = edge
        return kept, len(dropped)
