"""Single heart beats in the pulse, and the intervals between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Pulse
from kdphys.dsp import bandpass, runs
from kdphys.sci import CubicSpline, signal
from kdphys.vitals.result import HrWindow

Floats = NDArray[np.floating[Any]]

#: Beats are placed on a grid this fine, Hz, so that the camera's 33 ms do not show in the intervals.
_FINE_HZ = 500.0
#: The shortest stretch that beats are looked for in, seconds.
MIN_BEATS_S = 8.0
#: A rate that leaves its median by more than this is followed in pieces of the second, each with as much around it as
#: the third, seconds: a filter for the median would lose half of the beats of a heart at twice that rate. Peaks of two
#: pieces nearer than the fourth, in intervals, are one.
_STEADY, _PIECE_S, _AROUND_S, _SEAM = 1.25, 10.0, 8.0, 0.4


def find_beats(pulse: Pulse, course: list[HrWindow]) -> tuple[Floats, Floats, int]:
    """Systolic peaks of the pulse where the heart rate is known.

    The pulse is band-passed around the known heart rate (0.6 to 1.9 times it), interpolated by a cubic spline, and its
    maxima are taken. Intervals outside 0.3–2 s, or more than 30 % off the median of their neighbours, are left out and
    counted.

    Args:
        pulse: the pulse.
        course: heart rate over windows; beats are found only inside windows with an answer.

    Returns:
        times of all beats found (B,), accepted intervals in ms (K,) with the time of each one's second beat (K,) as a
        (K, 2) array [time s, interval ms], and how many intervals were left out.
    """
    answered = [w for w in course if w.hr_bpm is not None]
    if not answered:
        return np.empty(0), np.empty((0, 2)), 0
    inside = np.zeros(len(pulse.bvp), bool)
    for w in answered:
        a, b = (round((t - pulse.t0) * pulse.fs) for t in (w.t0, w.t1))
        inside[max(a, 0) : b] = True
    inside &= pulse.valid
    centres = np.array([(w.t0 + w.t1) / 2 for w in answered])
    rates = np.array([w.hr_bpm for w in answered], float)
    all_beats, intervals, left_out = [], [], 0
    for run in runs(inside):
        if (run.stop - run.start) < MIN_BEATS_S * pulse.fs:
            continue
        times = pulse.times[run]
        beats = _along(pulse.bvp[run], times, pulse.fs, np.interp(times, centres, rates))
        kept, dropped = _accept(beats)
        all_beats.append(beats)
        intervals.append(kept)
        left_out += dropped
    if not all_beats:
        return np.empty(0), np.empty((0, 2)), 0
    return np.concatenate(all_beats), np.concatenate(intervals), left_out


def _along(bvp: Floats, times: Floats, fs: float, hr_bpm: Floats) -> Floats:
    """The peaks of a stretch, in one piece where its rate is much the same, else piece by piece."""
    middle = float(np.median(hr_bpm))
    if hr_bpm.max() <= _STEADY * middle and hr_bpm.min() >= middle / _STEADY:
        return _peaks(bvp, times, fs, middle)
    size, context = round(_PIECE_S * fs), round(_AROUND_S * fs)
    beats: list[float] = []
    for start in range(0, len(times), size):
        stop = min(start + size, len(times))
        near = slice(max(start - context, 0), stop + context)
        hr = float(np.median(hr_bpm[start:stop]))
        found = _peaks(bvp[near], times[near], fs, hr)
        end = times[stop] if stop < len(times) else np.inf
        new = [float(t) for t in found if times[start] <= t < end]
        if beats and new and new[0] - beats[-1] < _SEAM * 60 / hr:  # the same one, seen from both sides
            new = new[1:]
        beats += new
    return np.array(beats)


def _peaks(bvp: Floats, times: Floats, fs: float, hr_bpm: float) -> Floats:
    f0 = hr_bpm / 60
    wave = bandpass(bvp, fs, max(0.6 * f0, 0.5), min(1.9 * f0, 0.45 * fs))
    spline = CubicSpline(times, wave)
    fine = np.arange(times[0], times[-1], 1 / _FINE_HZ)
    peaks, _ = signal.find_peaks(spline(fine), distance=max(int(0.55 / f0 * _FINE_HZ), 1), height=0.0)
    return np.asarray(fine[peaks])


def _accept(beats: Floats) -> tuple[Floats, int]:
    ibi = 1000 * np.diff(beats)
    if len(ibi) == 0:
        return np.empty((0, 2)), 0
    padded = np.pad(ibi, 3, mode="edge")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7), axis=1)
    good = (ibi > 300) & (ibi < 2000) & (np.abs(ibi - around) < 0.3 * around)
    return np.stack([beats[1:][good], ibi[good]], axis=1), int((~good).sum())
