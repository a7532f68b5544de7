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
#: Smoothness of the trends that are taken out (see :func:`kdphys.dsp.detrend`), below 8.5 and below 3 breaths a minute.
_TREND, _SLOW_TREND = 20.0, 160.0
#: Sampled once a beat, R breaths a minute look like HR − R. Up to this rate, that of somebody at rest, the slower one
#: of the two is meant; above, the baseline, which is sampled by the camera, must be among those that agree.
_REST_BRPM = 16.0


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
    found = {name: _rate(wave) for name, wave in _modulations(pulse, beats, intervals).items()}
    good = {name: pair for name, pair in found.items() if pair[1] >= _SHARE}
    best: dict[str, tuple[float, float]] = {}
    for rate, _ in good.values():
        near = {name: pair for name, pair in good.items() if abs(pair[0] - rate) <= _AGREE_BRPM / 2}
        if (len(near), sum(p[1] for p in near.values())) > (len(best), sum(p[1] for p in best.values())):
            best = near
    if len(best) < 2:
        return Estimate.refused("brpm", MIN_RR_S, "the modulations of the pulse do not agree", window)
    rates, shares = np.array(list(best.values())).T
    rate = float(np.average(rates, weights=shares))
    other = 60.0 / float(np.median(np.diff(beats))) - rate
    if rate > _REST_BRPM and other < RR_BAND_BRPM[1] and "baseline" not in best:
        why = f"once a beat, {rate:.0f} breaths a minute look like {other:.0f}"
        return Estimate.refused("brpm", MIN_RR_S, why, window)
    return Estimate(rate, "brpm", window, float(shares.mean()) * sqi, MIN_RR_S)


def _longest(beats: Floats) -> Floats:
    """The longest stretch without a gap: nothing is known of the breath in between."""
    if len(beats) == 0:
        return beats
    parts = np.split(beats, np.flatnonzero(np.diff(beats) > _GAP_S) + 1)
    return max(parts, key=lambda part: float(part[-1] - part[0]))


def _modulations(pulse: Pulse, beats: Floats, intervals: Floats) -> dict[str, Floats]:
    grid = np.arange(beats[0], beats[-1], 1 / _FS)
    times = pulse.times
    heights = np.interp(beats, times, pulse.bvp)
    middles = (beats[1:] + beats[:-1]) / 2
    at = np.clip(np.searchsorted(times, beats), 0, len(times) - 1)
    feet = np.minimum.reduceat(pulse.bvp, at)[:-1]
    amplitude = heights[1:] - feet
    out = {"amplitude": _even(middles, amplitude, grid)}
    ibi = intervals[:, 1]
    if len(ibi) > 0 and 2**0.5 * timing_noise(ibi) <= _NOISE * float(np.std(ibi)):
        out["frequency"] = _even(intervals[:, 0], ibi, grid)
    if pulse.evidence is not None:
        green = pulse.evidence.rgb[:, 1]
        ok = np.isfinite(green)
        if ok.mean() > 0.9:
            width = max(int(pulse.fs / _FS * 2), 1)
            smooth = np.convolve(np.interp(times, times[ok], green[ok]), np.ones(width) / width, mode="same")
            out["baseline"] = np.interp(grid, times, smooth)
    return out


def _even(times: Floats, values: Floats, grid: Floats) -> Floats:
    wave = interp1d(times, values, kind="cubic", bounds_error=False, fill_value=(values[0], values[-1]))(grid)
    return np.asarray(wave)


def _rate(wave: Floats) -> tuple[float, float]:
    """Breaths per minute and the share of the band's power within ±1.8 brpm of it.

    Where there is more at half of that rate, which the first trend has taken out, it is the half that breathes.
    """
    frequencies, power = spectrum(detrend(wave, lam=_TREND), _FS, 0.1 / 60)
    low, high = RR_BAND_BRPM[0] / 60, RR_BAND_BRPM[1] / 60
    f = peak_frequency(frequencies, power, low, high)
    _, slow = spectrum(detrend(wave, lam=_SLOW_TREND), _FS, 0.1 / 60)
    width = _FS / len(wave)
    half = peak_frequency(frequencies, slow, f / 2 - width / 2, f / 2 + width / 2)
    at = np.interp([half, f], frequencies, slow)
    if at[0] > at[1]:
        if half < low - width / 2:
            return 60 * half, 0.0  # out of the band
        f, power = max(half, low), slow
    band = (frequencies >= low) & (frequencies <= high)
    near = band & (np.abs(frequencies - f) < 0.03)
    return 60 * f, float(power[near].sum() / max(float(power[band].sum()), 1e-30))
