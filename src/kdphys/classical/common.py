"""What the classical methods share: the check of their input, colour relative to its mean, overlap-add."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.dsp import detrend
from kdphys.errors import InvalidInputError
from kdphys.sci import signal

Floats = NDArray[np.floating[Any]]

#: The shortest trace that a method takes, seconds.
MIN_S = 2.0
#: The lowest sampling rate that a method takes, Hz: 200 bpm must lie below half of it.
MIN_FS = 7.0
#: The window of the methods that their papers apply to a whole trace, seconds.
WINDOW_S = 10.0
#: How the blood volume pulse shows in relative R, G, B under white light (de Haan and van Leest 2014).
PULSE_SIGNATURE = np.array([0.33, 0.77, 0.53])
#: A relative change of colour below this is rounding, not light.
FLAT = 1e-9


def check_trace(rgb: ArrayLike, fs: float, what: str) -> Floats:
    """The trace as float64 (T, 3).

    Args:
        rgb: (T, 3), finite, not negative, any unit that is proportional to light.
        fs: sampling rate in Hz, at least 7.
        what: the method's name, for the message.

    Raises:
        InvalidInputError: wrong shape, NaN, negative colour, fs too low, too short.
    """
    x = np.asarray(rgb, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != 3:
        raise InvalidInputError(f"{what}: expected an RGB trace of shape (T, 3), got {x.shape}")
    if not (np.isfinite(fs) and fs >= MIN_FS):
        raise InvalidInputError(f"{what}: fs must be at least {MIN_FS:g} Hz to see a pulse, got {fs!r}")
    bad = int((~np.isfinite(x)).any(axis=1).sum())
    if bad:
        raise InvalidInputError(
            f"{what}: {bad} of {len(x)} samples are NaN or infinite; give each stretch between gaps by itself"
        )
    if len(x) and float(x.min()) < 0:
        raise InvalidInputError(f"{what}: colours must not be negative, got {float(x.min()):g}")
    need = int(np.ceil(MIN_S * fs - 1e-9))
    if len(x) < need:
        raise InvalidInputError(
            f"{what}: needs at least {MIN_S:g} s, that is {need} samples at {fs:g} Hz, got {len(x)} samples"
        )
    return x


def relative(x: Floats) -> Floats:
    """Colour relative to its mean over time, minus one; a channel that is black or does not change is zero.

    Args:
        x: (..., T, C).
    """
    mean = x.mean(axis=-2, keepdims=True)
    lit = mean > FLAT
    out: Floats = np.where(lit, x / np.where(lit, mean, 1.0) - 1.0, 0.0)
    return np.where(np.ptp(out, axis=-2, keepdims=True) > FLAT, out, 0.0)


def ratio(a: Floats, b: Floats) -> Floats:
    """``a / b``, and 0 where b is 0."""
    out: Floats = np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0)
    return out


def flatten(x: Floats, fs: float) -> Floats:
    """Remove what is slower than about 0.5 Hz, at any sampling rate, by smoothness priors."""
    return detrend(x, 100.0 * (fs / 30.0) ** 2)


def windows(n: int, size: int, hop: int) -> Iterator[slice]:
    """Windows of ``size`` every ``hop`` samples; the last one ends with the last sample."""
    size = min(size, n)
    last = n - size
    for start in range(0, last, hop):
        yield slice(start, start + size)
    yield slice(last, n)


def overlap_add(x: Floats, size: int, part: Callable[[Floats, Floats], Floats]) -> Floats:
    """Apply ``part`` in half-overlapping Hann windows and put its results together, to the last sample.

    Each sample is the mean of the results that cover it, weighted by the windows, so that the ends are as loud as
    the middle.

    Args:
        x: (T, C).
        size: of a window, in samples; a shorter trace is one window.
        part: (samples of the window (W, C), what is known of its result so far (W,), NaN where nothing is) → (W,).
    """
    total = np.zeros(len(x))
    weight = np.zeros(len(x))
    taper = signal.windows.hann(min(size, len(x)) + 2)[1:-1]  # nowhere zero: the ends count too
    for at in windows(len(x), size, max(size // 2, 1)):
        so_far = np.where(weight[at] > 0, total[at] / np.where(weight[at] > 0, weight[at], 1.0), np.nan)
        total[at] += taper * part(x[at], so_far)
        weight[at] += taper
    return total / weight


def in_windows(x: Floats, fs: float, part: Callable[[Floats, Floats], Floats]) -> Floats:
    """:func:`overlap_add` in windows of 10 s, for methods that their papers apply to a whole trace.

    Live use can reproduce the result, since no sample depends on anything farther than 10 s away.
    """
    return overlap_add(x, round(WINDOW_S * fs), part)
