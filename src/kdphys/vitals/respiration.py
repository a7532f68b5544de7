"""Respiration rate from how breathing modulates the pulse: amplitude, baseline and frequency, fused.

Karlen et al. 2013, doi:10.1109/TBME.2013.2246160 (smart fusion); Charlton et al. 2018, doi:10.1109/RBME.2017.2763681.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Pulse
from kdphys.dsp import detrend, peak_frequency, spectrum
from kdphys.sci import interp1d
from kdphys.vitals.hrv import timing_noise
from kdphys.vitals.result import Estimate

Floats = NDArray[np.floating[Any]]

#: The shortest stretch that a respiration rate is computed on, seconds.
MIN_RR_S = 30.0
#: Rates that are looked for, breaths per minute.
RR_BAND_BRPM = (6.0, 36.0)
_FS = 4.0
#: Modulations further apart than this do not agree (Karlen's 4 breaths a minute), breaths per minute.
_AGREE_BRPM = 4.0
#: A modulation counts when this share of its power lies at its peak.
_SHARE = 0.35
#: Intervals of which errors of the beats may make up more than this share (√2 σ of SDNN) say nothing of breathing.
_NOISE = 0.6
#: Two beats further apart than this have a gap between them, seconds.
_GAP_S = 4.0


def respiration(pulse: Pulse, beats: Floats, intervals: Floats, sqi: float) -> Estimate:
    """Respiration rate, or why it cannot be told.

    Args:
        pulse: with evidence, whose green channel gives the baseline.
        beats: (B,) seconds; the longest stretch of them without a gap is looked at.
        intervals: (K, 2): time of the second beat in seconds, interval in ms.
        sqi: of the heart rate.

    Returns:
        the estimate; its confidence is the mean spectral purity of the agreeing modulations times ``sqi``, an index,
        not calibrated.
    """
    beats = _longest(beats)
    if len(beats) < 5 or beats[-1] - beats[0] < MIN_RR_S:
        have = float(beats[-1] - beats[0]) if len(beats) else 0.0
        reason = f"too short: {have:.0f} s of beats, {MIN_RR_S:.0f} s needed"
        return Estimate.refused("brpm", MIN_RR_S, reason)
    window = (float(beats[0]), float(beats[-1]))
    intervals = intervals[(intervals[:, 0] > window[0]) & (intervals[:, 0] <= window[1])]
    found = [_rate(wave) for wave in _modulations(pulse, beats, intervals) if wave is not None]
    good = [(rate, share) for rate, share in found if share >= _SHARE]
    best: list[tuple[float, float]] = []
    for rate, _ in good:
        near = [pair for pair in good if abs(pair[0] - rate) <= _AGREE_BRPM / 2]
        if (len(near), sum(p[1] for p in near)) > (len(best), sum(p[1] for p in best)):
            best = near
    if len(best) < 2:
        return Estimate.refused("brpm", MIN_RR_S, "the modulations of the pulse do not agree", window)
    rates, shares = np.array(best).T
    return Estimate(float(np.average(rates, weights=shares)), "brpm", window, float(shares.mean()) * sqi, MIN_RR_S)


def _longest(beats: Floats) -> Floats:
    """The longest stretch without a gap: nothing is known of the breath in between."""
    if len(beats) == 0:
        return beats
    parts = np.split(beats, np.flatnonzero(np.diff(beats) > _GAP_S) + 1)
    return max(parts, key=lambda part: float(part[-1] - part[0]))


def _modulations(pulse: Pulse, beats: Floats, intervals: Floats) -> list[Floats | None]:
    grid = np.arange(beats[0], beats[-1], 1 / _FS)
    times = pulse.times
    heights = np.interp(beats, times, pulse.bvp)
    middles = (beats[1:] + beats[:-1]) / 2
    at = np.clip(np.searchsorted(times, beats), 0, len(times) - 1)
    feet = np.minimum.reduceat(pulse.bvp, at)[:-1]
    amplitude = heights[1:] - feet
    out: list[Floats | None] = [_even(middles, amplitude, grid)]
    ibi = intervals[:, 1]
    clear = len(ibi) > 0 and 2**0.5 * timing_noise(ibi) <= _NOISE * float(np.std(ibi))
    out.append(_even(intervals[:, 0], ibi, grid) if clear else None)
    if pulse.evidence is not None:
        green = pulse.evidence.rgb[:, 1]
        ok = np.isfinite(green)
        if ok.mean() > 0.9:
            width = max(int(pulse.fs / _FS * 2), 1)
            smooth = np.convolve(np.interp(times, times[ok], green[ok]), np.ones(width) / width, mode="same")
            out.append(np.interp(grid, times, smooth))
    return out


def _even(times: Floats, values: Floats, grid: Floats) -> Floats:
    wave = interp1d(times, values, kind="cubic", bounds_error=False, fill_value=(values[0], values[-1]))(grid)
    return np.asarray(wave)


def _rate(wave: Floats) -> tuple[float, float]:
    """Breaths per minute and the share of the band's power within ±1.5 brpm of it."""
    x = detrend(wave, lam=20.0)
    frequencies, power = spectrum(x, _FS, 0.1 / 60)
    low, high = RR_BAND_BRPM[0] / 60, RR_BAND_BRPM[1] / 60
    f = peak_frequency(frequencies, power, low, high)
    band = (frequencies >= low) & (frequencies <= high)
    near = band & (np.abs(frequencies - f) < 0.03)
    return 60 * f, float(power[near].sum() / max(float(power[band].sum()), 1e-30))
