"""Heart-rate variability from the intervals between beats (Task Force 1996, doi:10.1161/01.CIR.93.5.1043).

Noise in a pulse wave shifts its peaks, and shifted peaks look like variability: errors of 20 ms give an RMSSD of 49 ms
to a heart that has none. So those errors are estimated, and a measure that they may have made is not told.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.sci import signal
from kdphys.vitals.result import Estimate

Floats = NDArray[np.floating[Any]]

#: name → (unit, shortest stretch in seconds).
MEASURES = {
    "sdnn": ("ms", 60.0),
    "rmssd": ("ms", 30.0),
    "pnn50": ("%", 60.0),
    "lf": ("ms²", 120.0),
    "hf": ("ms²", 60.0),
    "lf_hf": ("ratio", 120.0),
}
#: How many times the standard deviation of the beats' times they add, at most this share of which is accepted: to SDNN,
#: and what is as slow, √2 of it; to RMSSD, and what is as fast, √6.
NOISE, _SLOW, _FAST = 0.4, 2**0.5, 6**0.5
_LF, _HF = (0.04, 0.15), (0.15, 0.40)
#: Length of the segments that spectra of intervals are made of, seconds.
_SEGMENT_S = 300.0


def variability(intervals: Floats, left_out: int, sqi: float) -> dict[str, Estimate]:
    """SDNN, RMSSD, pNN50, LF, HF and LF/HF, each refused below its minimum length, and where noise may have made it.

    Args:
        intervals: (K, 2): time of the second beat in seconds, interval in ms.
        left_out: how many intervals were not plausible; their share lowers the confidence.
        sqi: of the heart rate, [0, 1].

    Returns:
        by name; the confidence is the share of plausible intervals times ``sqi``. It is an index and, unlike the
        heart rate's, not calibrated.
    """
    n = len(intervals)
    if n < 3:
        return {name: Estimate.refused(unit, need, "too few beats") for name, (unit, need) in MEASURES.items()}
    times, ibi = intervals[:, 0], intervals[:, 1]
    window = (float(times[0] - ibi[0] / 1000), float(times[-1]))
    covered = float(ibi.sum()) / 1000
    share = n / (n + left_out)
    confidence = share * sqi
    values = _values(times, ibi)
    noise = timing_noise(ibi)
    slow, fast = _SLOW * noise > NOISE * values["sdnn"], not _FAST * noise <= NOISE * values["rmssd"]
    out = {}
    for name, (unit, need) in MEASURES.items():
        if covered < need:
            reason = f"too short: {covered:.0f} s of beats, {need:.0f} s needed"
            out[name] = Estimate.refused(unit, need, reason, window)
        elif share < 0.8:
            reason = f"too irregular: {left_out} of {n + left_out} intervals are not plausible"
            out[name] = Estimate.refused(unit, need, reason, window)
        elif slow if name in ("sdnn", "lf") else fast:
            reason = f"too noisy: the beats are timed to ±{noise:.0f} ms only"
            out[name] = Estimate.refused(unit, need, reason, window)
        else:
            out[name] = Estimate(values[name], unit, window, confidence, need)
    return out


def timing_noise(ibi: Floats) -> float:
    """How far beats lie from where they are found, as a standard deviation, in the units of the intervals.

    Errors of the times of beats, independent of one another, give the intervals between them a spectrum of
    2 (1 − cos ω) σ² (ω in radians a beat). What breathing and slower rhythms give lies below a quarter of the heart's
    rate, or is a line. So σ² is the median, above that, of power over 2 (1 − cos ω). A real irregularity from beat to
    beat counts as noise, too.

    Args:
        ibi: (K,), in order.

    Returns:
        infinite for fewer than 12 intervals.
    """
    if len(ibi) < 12:
        return float("inf")
    at = np.arange(len(ibi))
    window = np.hanning(len(ibi))
    x = (ibi - np.polyval(np.polyfit(at, ibi, 2), at)) * window
    power = np.abs(np.fft.rfft(x)) ** 2 / float(window @ window)
    omega = 2 * np.pi * np.fft.rfftfreq(len(ibi))
    fast = omega > np.pi / 2
    ratio = power[fast] / (2 - 2 * np.cos(omega[fast]))
    return float(np.sqrt(np.median(ratio) / np.log(2)))  # power is exponential: its median is ln 2 of its mean


def _values(times: Floats, ibi: Floats) -> dict[str, float]:
    # Successive differences only between intervals that share a beat.
    adjacent = np.abs(np.diff(times) - ibi[1:] / 1000) < 0.02
    steps = np.diff(ibi)[adjacent]
    lf, hf = _band_powers(times, ibi)
    return {
        "sdnn": float(np.std(ibi, ddof=1)),
        "rmssd": float(np.sqrt(np.mean(steps**2))) if len(steps) else float("nan"),
        "pnn50": float(100 * np.mean(np.abs(steps) > 50)) if len(steps) else float("nan"),
        "lf": lf,
        "hf": hf,
        "lf_hf": lf / hf if hf > 0 else float("nan"),
    }


def _band_powers(times: Floats, ibi: Floats) -> tuple[float, float]:
    """Power in LF and HF, ms²: the mean over segments of up to 5 min, as the Task Force has it."""
    start, span = float(times[0]), float(times[-1] - times[0])
    if span < 10:
        return float("nan"), float("nan")
    count = max(int(np.ceil(span / _SEGMENT_S)), 1)
    part = np.minimum((times - start) / span * count, count - 1).astype(int)
    segments = [(times[part == k], ibi[part == k]) for k in range(count) if (part == k).sum() >= 8]
    if not segments:
        return float("nan"), float("nan")
    lf, hf = np.average([_lomb(*s) for s in segments], axis=0, weights=[s[1].sum() for s in segments])
    return float(lf), float(hf)


def _lomb(times: Floats, ibi: Floats) -> tuple[float, float]:
    """Power in LF and HF of one segment by the Lomb–Scargle periodogram: beats are not evenly spaced."""
    t = times - times[0]
    span = float(t[-1])
    step = 1 / (4 * span)
    f = np.arange(_LF[0], _HF[1], step)
    x = ibi - np.polyval(np.polyfit(t, ibi, 1), t)
    # ms²/Hz, one-sided; the time between samples is that of an interval: gaps hold none
    density = signal.lombscargle(t, x, 2 * np.pi * f) * 2 * float(ibi.mean()) / 1000
    lf, hf = (float(density[(f >= a) & (f < b)].sum() * step) for a, b in (_LF, _HF))
    return lf, hf
