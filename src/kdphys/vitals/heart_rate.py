"""Heart rate from the spectrum of the pulse, over one stretch or over sliding windows."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Pulse
from kdphys.dsp import heart_spectrum, pulse_frequency
from kdphys.errors import InvalidInputError
from kdphys.vitals.impostors import BIN_HZ, REPEATING, UNSTEADY
from kdphys.vitals.quality import Judge
from kdphys.vitals.result import HrWindow

Floats = NDArray[np.floating[Any]]

#: The shortest stretch that a heart rate is computed on, seconds.
MIN_HR_S = 6.0
#: The least time between heart rates, seconds: more would be about the same samples.
MIN_STEP_S = 0.02
#: What a window may have found out about its rate, and how near the same rate is, bpm.
_IMPOSTORS, _SAME_BPM = frozenset({"flickering light", "too much motion", UNSTEADY}), 5.0
#: As many windows that found that out, as a share of those with an answer, and the others are not believed either, for
#: so long, seconds.
_DENIED, _MEMORY_S = 0.5, 30.0


def hr_spectrum(bvp: Floats, fs: float) -> tuple[Floats, Floats]:
    """Frequencies (Hz) and power of a stretch of pulse, as its rate is read from them."""
    return heart_spectrum(bvp, fs, BIN_HZ)


def heart_rate(bvp: Floats, fs: float) -> float:
    """Heart rate in bpm: :func:`kdphys.dsp.pulse_frequency` of the stretch.

    Args:
        bvp: (T,), at least 6 s.
        fs: Hz.

    Raises:
        InvalidInputError: shorter than 6 s.
    """
    if len(bvp) < MIN_HR_S * fs - 1:
        raise InvalidInputError(f"heart rate needs at least {MIN_HR_S:g} s of pulse, got {len(bvp) / fs:.1f} s")
    return 60.0 * pulse_frequency(np.asarray(bvp, float), fs, BIN_HZ)


def hr_window(judge: Judge, start: int, stop: int) -> HrWindow:
    """Heart rate and quality of the samples ``start:stop`` of a judged pulse."""
    pulse = judge.pulse
    t0, t1 = pulse.t0 + start / pulse.fs, pulse.t0 + stop / pulse.fs
    quality = judge(start, stop)
    answer = quality.hr_bpm if quality.reason is None else None
    return HrWindow(t0, t1, answer, quality.sqi, quality.reason, quality.hr_bpm)


class Memory:
    """Believes a window only if those before it do not deny it.

    What makes a light or an encoder look like a heart comes and goes less than it is noticed: a window that answers
    while others, not long ago, found the same rate to be of that kind, is not believed.
    """

    def __init__(self) -> None:
        self._recent: deque[HrWindow] = deque()

    def __call__(self, now: HrWindow) -> HrWindow:
        """The window that comes next, without its answer if that is denied."""
        self._recent.append(now)
        while self._recent[0].t1 <= now.t1 - _MEMORY_S:
            self._recent.popleft()
        why = None if now.hr_bpm is None else denial(self._recent, now.hr_bpm)
        return now if why is None else replace(now, hr_bpm=None, sqi=0.0, reason=why)

    def clear(self) -> None:
        """Another person."""
        self._recent.clear()

    def shift(self, by: float) -> None:
        """The clock was set: all happened ``by`` seconds later on the new one."""
        self._recent = deque(replace(w, t0=w.t0 + by, t1=w.t1 + by) for w in self._recent)


def denial(course: Iterable[HrWindow], hr_bpm: float) -> str | None:
    """What the windows found a rate to come from, when half as many found that as there are with an answer; or None.

    A picture that repeats itself has no rate at all.

    Args:
        course: as they were judged, each by itself.
        hr_bpm: the rate.
    """
    course = list(course)
    near = [w for w in course if w.candidate_bpm is not None and abs(w.candidate_bpm - hr_bpm) < _SAME_BPM]
    known = Counter(w.reason for w in near if w.reason in _IMPOSTORS and w.sqi == 0.0)
    known += Counter(w.reason for w in course if w.reason == REPEATING)
    answered = sum(w.hr_bpm is not None for w in course)
    return known.most_common(1)[0][0] if known and known.total() >= _DENIED * answered else None


def check_windows(window_s: float, step_s: float) -> None:
    """Refuse windows that no heart rate can be computed on.

    Raises:
        InvalidInputError: window below 6 s, or step below 0.02 s.
    """
    if not MIN_HR_S <= window_s < np.inf:
        raise InvalidInputError(f"window must be at least {MIN_HR_S:g} s and finite, got {window_s:g} s")
    if not MIN_STEP_S <= step_s < np.inf:
        raise InvalidInputError(f"step must be at least {MIN_STEP_S:g} s and finite, got {step_s:g} s")


def hr_course(pulse: Pulse, window_s: float = 10.0, step_s: float = 1.0) -> list[HrWindow]:
    """Heart rate over sliding windows, with gaps where it cannot tell.

    Args:
        pulse: what to look at.
        window_s: at least 6 s.
        step_s: between the starts of windows.

    Raises:
        InvalidInputError: window or step out of range.
    """
    check_windows(window_s, step_s)
    size = round(window_s * pulse.fs)
    last = len(pulse.bvp) - size
    if last < 0:
        return []
    judge = Judge(pulse)
    starts = [round(k * step_s * pulse.fs) for k in range(int(last / (step_s * pulse.fs)) + 1)]
    return [hr_window(judge, start, start + size) for start in starts]
