"""All vital signs of one pulse."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from kdphys.containers import Pulse
from kdphys.dsp import runs
from kdphys.vitals.beats import find_beats
from kdphys.vitals.heart_rate import MIN_HR_S, Memory, denial, hr_course, hr_window
from kdphys.vitals.hrv import variability
from kdphys.vitals.impostors import MISSING
from kdphys.vitals.quality import Judge
from kdphys.vitals.respiration import respiration
from kdphys.vitals.result import REASONS, Estimate, HrWindow, Vitals

#: A recording up to this long is judged as one stretch, a longer one by the median of its windows, seconds.
_WHOLE_S = 30.0
#: Between the windows of a short recording, the middle 80 % of them, the rate of a steady heart changes by less, bpm.
_UNSTEADY_BPM = 12.0
#: The last frame is shown for as long as one is, seconds: that much a recording may lack.
_LAST_S = 0.1


def measure_vitals(pulse: Pulse, window_s: float = 10.0, step_s: float = 1.0) -> Vitals:
    """Heart rate, variability and respiration with their confidence, or why they cannot be told.

    Args:
        pulse: from :func:`kdphys.estimate_pulse`.
        window_s, step_s: of the heart rate's course over time, seconds.

    The heart rate of up to 30 s is that of the whole stretch; of a longer recording it is the median over the windows
    that have an answer, its SQI their mean. There is none when half as many windows read the same rate and found that
    it is a light's, an encoder's or that of the head's movement, or that the picture repeats itself: what they saw does
    not come and go. For the same reason a window has none when those of the half minute before it deny it, or, in a
    short recording, the whole. A short recording whose windows read rates far apart, of a heart that fibrillates or
    slows down, has none: its spectrum is of no one rate.
    """
    judged = hr_course(pulse, window_s, step_s)
    duration = len(pulse.bvp) / pulse.fs
    span = (pulse.t0, pulse.t0 + duration)
    whole = _whole(pulse, judged, duration)
    why = None if whole.hr_bpm is None else denial(judged, whole.hr_bpm)
    if why is not None:
        whole = replace(whole, hr_bpm=None, sqi=0.0, reason=why)
    if whole.hr_bpm is not None and duration <= _WHOLE_S and _spread(judged) > _UNSTEADY_BPM:
        whole = replace(whole, hr_bpm=None, sqi=min(whole.sqi, 0.5), reason="unsteady rate")
    if whole.hr_bpm is None and duration <= _WHOLE_S:
        judged = [_part(w, whole) for w in judged]
    course = list(map(Memory(), judged))
    answered = [w for w in course if w.hr_bpm is not None]
    coverage = len(answered) / len(course) if course else float(whole.hr_bpm is not None)
    if whole.hr_bpm is None:
        hr = Estimate.refused("bpm", MIN_HR_S, whole.reason or "no periodic component", (whole.t0, whole.t1))
        beat_course = answered
    else:
        hr = Estimate(whole.hr_bpm, "bpm", (whole.t0, whole.t1), whole.sqi, MIN_HR_S)
        beat_course = answered or [whole]
    beats, intervals, left_out = find_beats(pulse, beat_course) if hr.value is not None else _nothing()
    hrv = variability(intervals, left_out, whole.sqi)
    if hr.value is None:
        rr = Estimate.refused("brpm", 30.0, "no reliable pulse")
    else:
        rr = respiration(pulse, beats, intervals, whole.sqi)
    reasons = () if hr.value is not None else (hr.reason or "",)
    return Vitals(hr, rr, hrv, beats, intervals[:, 1], whole.sqi, span, tuple(course), coverage, reasons, pulse.method)


def _part(window: HrWindow, whole: HrWindow) -> HrWindow:
    """A window of a short recording, without its answer if the whole found the same rate to be no heart's."""
    why = None if window.hr_bpm is None else denial([whole], window.hr_bpm)
    return window if why is None else replace(window, hr_bpm=None, sqi=0.0, reason=why)


def _spread(course: list[HrWindow]) -> float:
    """Between the rates of windows, the lowest and the highest tenth left out, bpm; 0 where there are few."""
    rates = [w.hr_bpm for w in course if w.hr_bpm is not None]
    return float(np.ptp(np.percentile(rates, (10, 90)))) if len(rates) >= 3 else 0.0


def _nothing() -> tuple[np.ndarray, np.ndarray, int]:
    return np.empty(0), np.empty((0, 2)), 0


def _whole(pulse: Pulse, course: list[HrWindow], duration: float) -> HrWindow:
    """One heart rate for the whole recording."""
    t0, t1 = pulse.t0, pulse.t0 + duration
    if not pulse.valid.any():
        return HrWindow(t0, t1, None, 0.0, "no face" if duration >= MIN_HR_S else "too short")
    first, last = np.flatnonzero(pulse.valid)[[0, -1]]
    if (last + 1 - first) / pulse.fs < MIN_HR_S - _LAST_S:
        return HrWindow(t0, t1, None, 0.0, "too short")
    if duration <= _WHOLE_S or not course:
        if pulse.valid[first : last + 1].mean() < 1 - MISSING:
            longest = max(runs(pulse.valid), key=lambda run: run.stop - run.start)
            if (longest.stop - longest.start) >= MIN_HR_S * pulse.fs - 1:
                first, last = longest.start, longest.stop - 1
        return hr_window(Judge(pulse), int(first), int(last) + 1)
    answered = [w for w in course if w.hr_bpm is not None]
    if len(answered) < max(min(3, len(course)), 0.1 * len(course)):
        counts = Counter(w.reason for w in course if w.reason)
        ranked = sorted(counts, key=lambda r: (-counts[r], REASONS.index(r)))
        best = max((w.sqi for w in course), default=0.0)
        return HrWindow(t0, t1, None, min(best, 0.5), ranked[0] if ranked else "no periodic component")
    hr = float(np.median([w.hr_bpm for w in answered]))
    return HrWindow(answered[0].t0, answered[-1].t1, hr, float(np.mean([w.sqi for w in answered])), None, hr)
