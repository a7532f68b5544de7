"""Errors of heart rates and likeness of waves, each mean with its standard error.

Floating-point formulas and standard errors are rPPG-Toolbox's (Liu et al. 2023, arXiv:2210.00716), so that its
numbers are reproduced; what they do not define (too few samples, no spread) is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import InvalidInputError
from kdphys.sci import signal

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Metric:
    """A number over n samples.

    Args:
        value: in the metric's own unit; NaN when it is not defined.
        error: standard error, same unit; NaN when it is not defined.
        n: samples.
    """

    value: float
    error: float
    n: int


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two measurements (Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8).

    Args:
        bias: mean of estimate − reference.
        sd: standard deviation (ddof 1) of the differences; NaN for one sample.
        lower, upper: 95 % limits of agreement, bias ± 1.96 sd.
        n: samples.
    """

    bias: float
    sd: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Mean error when only the estimates with the highest quality are kept.

    Args:
        coverage: (N,), share kept, ascending to 1.
        mae: (N,), mean absolute error of those.
        threshold: (N,), the lowest quality kept.
    """

    coverage: Floats
    mae: Floats
    threshold: Floats


def mae(estimate: ArrayLike, reference: ArrayLike) -> Metric:
    """Mean absolute error, in the unit of its arguments."""
    e, r = _pair(estimate, reference)
    return mean(np.abs(e - r))


def rmse(estimate: ArrayLike, reference: ArrayLike) -> Metric:
    """Root mean squared error; its standard error is √(sd(e²) / √n)."""
    e, r = _pair(estimate, reference)
    squared = np.square(e - r)
    return Metric(
        float(np.sqrt(np.mean(squared))), float(np.sqrt(np.std(squared) / np.sqrt(len(squared)))), len(squared)
    )


def mape(estimate: ArrayLike, reference: ArrayLike) -> Metric:
    """Mean absolute error in per cent of the reference, which must not be 0."""
    e, r = _pair(estimate, reference)
    if (r == 0).any():
        raise InvalidInputError("MAPE: a reference is 0; leave out what has no reference")
    share = np.abs((e - r) / r)
    return Metric(float(np.mean(share) * 100), float(np.std(share) / np.sqrt(len(share)) * 100), len(share))


def pearson(estimate: ArrayLike, reference: ArrayLike) -> Metric:
    """Pearson correlation; NaN without spread, its error √((1 − r²) / (n − 2)) NaN for fewer than three samples."""
    e, r = _pair(estimate, reference)
    n = len(e)
    if n < 2 or np.ptp(e) == 0 or np.ptp(r) == 0:
        return Metric(float("nan"), float("nan"), n)
    value = float(np.corrcoef(e, r)[0][1])
    error = float(np.sqrt(max(1 - value**2, 0.0) / (n - 2))) if n > 2 else float("nan")
    return Metric(value, error, n)


def mean(values: ArrayLike) -> Metric:
    """Mean and sd(ddof 0) / √n."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise InvalidInputError(f"mean: expected one or more finite numbers, got {x.size} of shape {x.shape}")
    return Metric(float(np.mean(x)), float(np.std(x) / np.sqrt(len(x))), len(x))


def bland_altman(estimate: ArrayLike, reference: ArrayLike) -> BlandAltman:
    """Bias and limits of agreement."""
    e, r = _pair(estimate, reference)
    difference = e - r
    bias = float(difference.mean())
    sd = float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
    return BlandAltman(bias, sd, bias - 1.96 * sd, bias + 1.96 * sd, len(difference))


def risk_coverage(error: ArrayLike, quality: ArrayLike) -> RiskCoverage:
    """The mean absolute error of the best estimates, for every share of them; equal qualities count together.

    Args:
        error: (N,), signed or absolute.
        quality: (N,), higher is better.
    """
    e, q = _pair(error, quality)
    order = np.argsort(-q, kind="stable")
    absolute, quality_down = np.abs(e[order]), q[order]
    last = np.append(quality_down[1:] != quality_down[:-1], True)  # of its quality: ties are kept or left together
    n = np.arange(1, len(e) + 1)
    return RiskCoverage((n / len(e))[last], (np.cumsum(absolute) / n)[last], quality_down[last])


def snr_db(bvp: ArrayLike, fs: float, hr_bpm: float, band_hz: tuple[float, float] = (0.6, 3.3)) -> float:
    """Power within 0.1 Hz of a heart rate and of twice it, against the rest of the band, in dB.

    Args:
        bvp: (T,).
        fs: Hz.
        hr_bpm: the reference's heart rate.
        band_hz: what counts as the rest.

    Returns:
        dB; 0 where nothing is left in the rest of the band.

    References:
        de Haan, Jeanne 2013, doi:10.1109/TBME.2013.2266196.
    """
    frequencies, power = periodogram(bvp, fs)
    first, second, half_width = hr_bpm / 60, 2 * (hr_bpm / 60), 6 / 60
    near_first = (frequencies >= first - half_width) & (frequencies <= first + half_width)
    near_second = (frequencies >= second - half_width) & (frequencies <= second + half_width)
    rest = (frequencies >= band_hz[0]) & (frequencies <= band_hz[1]) & ~near_first & ~near_second
    left = float(np.sum(power[rest]))
    kept = float(np.sum(power[near_first])) + float(np.sum(power[near_second]))
    if left == 0:
        return 0.0
    return float(10 * np.log10(max(kept, np.finfo(float).tiny) / left))


def macc(bvp: ArrayLike, reference: ArrayLike) -> float:
    """Largest absolute correlation of a wave with its reference rolled by 0 … N − 2 samples.

    Of two lengths the shorter counts. Computed for all lags at once by FFT. NaN where a wave does not change.
    """
    a, b = np.asarray(bvp, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    n = min(len(a), len(b))
    if a.ndim != 1 or b.ndim != 1 or n < 2:
        raise InvalidInputError(f"MACC: expected two waves of at least 2 samples, got {a.shape} and {b.shape}")
    a, b = a[:n] - a[:n].mean(), b[:n] - b[:n].mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    if size == 0:
        return float("nan")
    correlation = np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), n) / size
    return float(np.abs(correlation[: n - 1]).max())


def periodogram(x: ArrayLike, fs: float) -> tuple[Floats, Floats]:
    """Frequencies (Hz) and power, zero-padded to the next power of two, mean not removed."""
    x = np.asarray(x, dtype=np.float64)
    frequencies, power = signal.periodogram(x, fs=fs, nfft=next_power_of_2(len(x)), detrend=False)
    return frequencies, power


def next_power_of_2(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 if n < 1 else 1 << (n - 1).bit_length()


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        raise InvalidInputError(f"metrics: expected two equally long lists of numbers, got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidInputError("metrics: NaN or infinite values; leave out what has no answer or no reference first")
    return x, y
