"""What has a rhythm and is no pulse: a loop, a light, a head that nods in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Evidence
from kdphys.dsp import bandpass, spectrum

Floats = NDArray[np.floating[Any]]

#: Spacing of the spectrum's bins, Hz.
BIN_HZ = 0.25 / 60
#: Above this there is no pulse to speak of, only noise (Hz); how alike noise may be to itself, at one distance, and on
#: average over three and more multiples of one.
_NOISE_HZ = 5.0
_SAME = 0.65
_SAME_AGAIN = 0.4
#: Bins to each side of a line that Hann's window spreads it over.
_LINE = 2
#: What beats around the face as it does in it is the light: from this share of the swing in the face on, and when that
#: much of what happens there in the pulse's band happens at this rate.
_LIT = 0.4
_ALONE = 0.4
#: This near to the beat of the whole pictures of a coarse codec (Hz) a rate may be its doing, unless the SQI is as high
#: as this.
_BEAT_HZ = 0.05
_BEAT_SQI = 0.97
#: Nodding in time with the rate that was read: amplitude in widths of the face, share of all movement in the pulse's
#: band. The recoil of a heartbeat moves a head at rest by a tenth of that.
_NOD = 0.008
_NODDING = 0.5
#: Brightness that swings at the rate and leaves the colour as it is, to this share, is light; blood has a colour.
_GREY = 0.05
#: Below this difference between the mean colours, grey levels, a picture has no colour.
_COLOURED = 3.0
#: Up to this share of a window may be missing: it is bridged.
MISSING = 0.15


def impostor(
    evidence: Evidence, start: int, stop: int, fs: float, f0: float, contact: bool = False, sqi: float = 1.0
) -> str | None:
    """Why the beat at ``f0`` (Hz) in the samples ``start:stop`` is none of a heart, or None.

    Args:
        contact: a fingertip on the lens: there is no surround, and its colours may swing alike.
        sqi: how sure the beat is but for all this.
    """
    if _repeats(evidence, start, stop, fs):
        return "repeating picture"
    if contact:
        return None
    if _moves(evidence, start, stop, fs, f0):
        return "too much motion"
    if sqi < _BEAT_SQI and evidence.beat_hz is not None and abs(f0 - evidence.beat_hz) < _BEAT_HZ:
        return "flickering light"
    if _is_grey(evidence, start, stop, fs, f0) or _flickers(evidence, start, stop, fs, f0):
        return "flickering light"
    return None


def band(x: Floats, fs: float) -> Floats:
    """The band of the pulse, 0.6–4 Hz."""
    return bandpass(x, fs, 0.6, min(4.0, 0.45 * fs))


def near(frequencies: Floats, f: float, half_width: float) -> NDArray[np.bool_]:
    """Which of the frequencies lie around ``f``."""
    return np.asarray(np.abs(frequencies - f) <= half_width)


def _repeats(evidence: Evidence, start: int, stop: int, fs: float) -> bool:
    """Whether the picture repeats itself: a loop has a perfect rhythm, but it is no pulse.

    Looks above the pulse, where a living picture has only noise, which never comes back, and the overtones of fast
    hearts, which are the same everywhere: what the patches share is taken out.
    """
    if evidence.patches.shape[1] < 4 or fs < 2.5 * _NOISE_HZ:
        return False
    given = evidence.patches[start:stop]
    patches = _filled(given.reshape(len(given), -1).astype(np.float64))
    if patches is None:
        return False
    n, patches = len(patches), patches.reshape(given.shape)
    there = np.asarray(np.isfinite(given).all(axis=(1, 2)), np.float64)
    level = np.maximum(patches.mean(axis=0), 1e-9)
    relative = patches / level
    x = ((relative - relative.mean(axis=1, keepdims=True)) * level).reshape(n, -1)
    z = np.fft.rfft((x - x.mean(axis=0)) * np.hanning(n)[:, None], axis=0)
    z[np.fft.rfftfreq(n, 1 / fs) < _NOISE_HZ] = 0.0
    # The strongest line: a mains lamp under a rolling shutter makes bands that come back as a loop does, at one rate.
    line = int((np.abs(z) ** 2).sum(axis=1).argmax())
    z[max(line - _LINE, 0) : line + _LINE + 1] = 0.0
    x = np.fft.irfft(z, n, axis=0)
    spread = x.std(axis=0)
    x = x[:, spread > 0.003] / spread[spread > 0.003] * there[:, None]
    if x.shape[1] == 0:
        return False
    # Mean squared difference at every lag, from correlations: |a|² + |b|² − 2ab over what is there of both copies.
    lags = np.arange(int(0.25 * fs), n // 2)
    cross, both = _products(x, there, lags)
    # The taper weighs the two copies differently; what it does to equal pictures is divided out.
    weight, under = _products((np.hanning(n) * there)[:, None], there, lags)
    alike = (cross / np.maximum(both, 1e-12)) / (weight / np.maximum(under, 1e-12))
    return bool(alike.max(initial=0.0) > _SAME) or _rhythm(alike, int(lags[0])) > _SAME_AGAIN


def _products(x: Floats, there: Floats, lags: NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Of waves (T, N) and themselves some samples later: Σ 2ab, and Σ (a² + b²) where both are there."""
    n = len(x)
    nfft = 1 << int(np.ceil(np.log2(2 * n)))
    cross = np.fft.irfft((np.abs(np.fft.rfft(x, nfft, axis=0)) ** 2).sum(axis=1), nfft)
    energy, mask = np.fft.rfft((x**2).sum(axis=1), nfft), np.fft.rfft(there, nfft)
    both = np.fft.irfft(2 * np.real(energy * np.conj(mask)), nfft)
    return 2 * cross[lags], both[lags]


def _filled(series: Floats) -> Floats | None:
    """A series (T, …) with what is missing bridged by straight lines; None where too much is missing."""
    flat = series.reshape(len(series), -1)
    seen = np.isfinite(flat).all(axis=1)
    if seen.mean() < 1 - MISSING:
        return None
    if seen.all():
        return series
    at = np.arange(len(flat))
    return np.stack([np.interp(at, at[seen], column[seen]) for column in flat.T], axis=1).reshape(series.shape)


def _rhythm(alike: Floats, first: int) -> float:
    """The largest mean of ``alike`` (by lag, from ``first``) over all multiples, three or more, of one period.

    What a short loop loses in a codec is lost at each lag by chance; its mean over many lags stays.
    """
    last = first + len(alike) - 1
    periods = np.arange(4 * first, 4 * last // 3 + 1) / 4  # quarters of a sample: a loop need not fit the 30 Hz
    means = [alike[np.rint(np.arange(period, last + 0.5, period)).astype(int) - first].mean() for period in periods]
    return max(means, default=0.0)


def _flickers(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether what beats at ``f0`` (Hz) is the light, or the encoder: the picture around the face beats with it."""
    series = _filled(np.stack([evidence.luma[start:stop], evidence.surround[start:stop]], axis=1))
    if series is None or float(series.mean(axis=0).min()) < 1.0:
        return False
    x = np.stack([band(s / s.mean() - 1.0, fs) for s in series.T])
    face, around = _tone(x, fs, f0)
    # In step, and not much fainter than in the face.
    if float(np.real(around * np.conj(face))) < _LIT * float(np.abs(face)) ** 2:
        return False
    return _share_at(x[1:], fs, f0) > _ALONE


def _is_grey(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether all colours swing alike at ``f0`` (Hz), as they do in a light that falls on the face alone.

    A camera without colour shows nothing else, so there it cannot be told.
    """
    colour = _filled(evidence.rgb[start:stop])
    if colour is None or float(colour.mean(axis=0).min()) < 1.0:
        return False
    if float(np.ptp(colour.mean(axis=0))) < _COLOURED:
        return False
    tones = _tone(np.stack([band(c / c.mean() - 1.0, fs) for c in colour.T]), fs, f0)
    return float(np.abs(tones - tones.mean()).max()) < _GREY * float(np.abs(tones.mean()))


def _moves(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether the head nods, sways, bounces, comes and goes at ``f0`` (Hz), and does hardly anything else."""
    place = _filled(evidence.place[start:stop])
    if place is None:
        return False
    x = np.stack([band(p - p.mean(), fs) for p in place.T])
    return float(np.linalg.norm(_tone(x, fs, f0))) > _NOD and _share_at(x, fs, f0) > _NODDING


def _tone(waves: Floats, fs: float, f: float) -> NDArray[np.complexfloating[Any]]:
    """Complex amplitudes of waves (N, T) at ``f``."""
    window = np.hanning(waves.shape[1])
    tone = window * np.exp(-2j * np.pi * f * np.arange(waves.shape[1]) / fs)
    return np.asarray((waves * tone).sum(axis=1) * 2 / window.sum())


def _share_at(waves: Floats, fs: float, f0: float) -> float:
    """The share of the power of waves (N, T) in the pulse's band that lies at ``f0`` and its double."""
    spectra = [spectrum(wave, fs, BIN_HZ) for wave in waves]
    frequencies, power = spectra[0][0], np.sum([p for _, p in spectra], axis=0)
    inside = (frequencies >= 0.65) & (frequencies <= 4.0)
    there = inside & (near(frequencies, f0, 0.15) | near(frequencies, 2 * f0, 0.15))
    return float(power[there].sum()) / max(float(power[inside].sum()), 1e-30)
