"""Signals: detrending, band-pass, spectra, resampling by time. NumPy and SciPy only."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import InvalidInputError
from kdphys.sci import linalg, signal

Floats = NDArray[np.floating[Any]]

#: The rates that a human heart is looked for at, beats per minute.
HR_BAND_BPM = (40.0, 200.0)
#: Samples further apart than this have a gap between them, seconds.
MAX_GAP_S = 0.5


def detrend(x: ArrayLike, lam: float = 100.0) -> Floats:
    """Remove the slow trend by smoothness priors, ``x − (I + λ² D₂ᵀD₂)⁻¹ x``.

    Solved as a banded system: time and memory grow linearly with the length.

    Args:
        x: (T,) or (T, C).
        lam: λ; larger keeps lower frequencies.

    References:
        Tarvainen, Ranta-aho, Karjalainen 2002, doi:10.1109/10.979357.
    """
    x = np.asarray(x, dtype=np.float64)
    n = len(x)
    if n < 3:
        return np.zeros_like(x)
    l2 = lam * lam
    bands = np.zeros((3, n))  # upper form: rows are the second, first and main diagonal of I + λ² D₂ᵀD₂
    main = np.full(n, 6.0)
    main[[0, -1]] = 1.0
    main[[1, -2]] = 5.0 if n > 3 else 4.0
    first = np.full(n - 1, -4.0)
    first[[0, -1]] = -2.0
    bands[2] = 1.0 + l2 * main
    bands[1, 1:] = l2 * first
    bands[0, 2:] = l2
    out: Floats = x - linalg.solveh_banded(bands, x)
    return out


@lru_cache(maxsize=64)
def _butter(order: int, low: float, high: float, fs: float) -> tuple[Floats, Floats, Floats]:
    b, a = signal.butter(order, [low, high], btype="bandpass", fs=fs)
    return b, a, signal.lfilter_zi(b, a)


def zero_phase(x: Floats, fs: float, low: float, high: float, order: int, pad: int) -> Floats:
    """Butterworth band-pass, forwards and backwards along the first axis.

    As SciPy's ``filtfilt``, which works out anew for each signal how the filter begins: half of its time on short ones.

    Args:
        x: (T, …).
        fs: sampling rate in Hz.
        low, high: corner frequencies in Hz.
        order: of the one-way filter.
        pad: samples added at either end, the signal turned around its end; below T.
    """
    b, a, settled = _butter(order, float(low), float(high), float(fs))
    settled = settled.reshape(-1, *[1] * (x.ndim - 1))
    y = np.concatenate([2 * x[:1] - x[pad:0:-1], x, 2 * x[-1:] - x[-2 : -pad - 2 : -1]])
    for _ in range(2):
        y = signal.lfilter(b, a, y, axis=0, zi=settled * y[:1])[0][::-1]
    out: Floats = y[pad : len(y) - pad]
    return out


def bandpass(x: ArrayLike, fs: float, low: float = 0.65, high: float = 3.5, order: int = 2) -> Floats:
    """Zero-phase Butterworth band-pass along the first axis.

    Args:
        x: (T,) or (T, C).
        fs: sampling rate in Hz.
        low, high: corner frequencies in Hz, 0 < low < high < fs / 2.
        order: of the one-way filter.

    Raises:
        InvalidInputError: the band does not fit ``fs`` or the signal is shorter than the filter's padding.
    """
    x = np.asarray(x, dtype=np.float64)
    if not 0 < low < high < fs / 2:
        raise InvalidInputError(f"band-pass {low}–{high} Hz does not fit a signal sampled at {fs} Hz")
    need = 3 * (2 * order + 1)
    if len(x) <= need:
        raise InvalidInputError(f"band-pass needs more than {need} samples, got {len(x)}")
    return zero_phase(x, fs, low, high, order, need)


#: The window under which a heart's rate is looked for. Hann's throws a third of the samples' weight away: in noise, of
#: which the periodogram without a window is the best reader (Rife & Boorstyn 1974, doi:10.1109/TIT.1974.1055282), the
#: right peak is then less often the highest. A quarter of taper keeps what leaks from the edges low.
HEART_WINDOW = ("tukey", 0.25)


def spectrum(
    x: ArrayLike, fs: float, resolution_hz: float = 0.05 / 60, window: str | tuple[str, float] = "hann"
) -> tuple[Floats, Floats]:
    """Power spectrum of a whole signal, zero-padded until bins are ``resolution_hz`` apart or closer.

    Args:
        x: (T,), its mean is removed.
        fs: Hz.
        window: as SciPy's ``get_window`` takes it.

    Returns:
        frequencies in Hz (F,), power (F,) in arbitrary units.
    """
    x = np.asarray(x, dtype=np.float64)
    nfft = 1 << max(int(np.ceil(np.log2(max(fs / resolution_hz, len(x))))), 4)
    power = np.abs(np.fft.rfft((x - x.mean()) * _window(window, len(x)), nfft)) ** 2
    return np.fft.rfftfreq(nfft, 1 / fs), power


@lru_cache(maxsize=64)
def _window(window: str | tuple[str, float], n: int) -> Floats:
    out: Floats = signal.get_window(window, n, fftbins=False)
    return out


def heart_spectrum(x: ArrayLike, fs: float, resolution_hz: float = 0.05 / 60) -> tuple[Floats, Floats]:
    """:func:`spectrum` under :data:`HEART_WINDOW`, for :func:`heart_frequency`."""
    return spectrum(x, fs, resolution_hz, HEART_WINDOW)


#: The slowest hearts that are thought of (their rates are not told), beats per minute.
_SLOWEST_BPM = 25.0
#: How far from half of a frequency its fundamental is looked for, Hz.
_HALF_HZ = 0.05
#: A weaker one, of at least this share of the power, is the fundamental when it beats in step with its double: phases
#: coupled to this, 0–1, over at least so long, seconds, and twice its frequency no further from the other than this.
_COUPLED_POWER, _COUPLED, _COUPLED_S, _COUPLED_HZ = 0.03, 0.9, 9.9, 4 / 60


def peak_frequency(frequencies: Floats, power: Floats, low: float, high: float) -> float:
    """Frequency (Hz) of the highest power in ``[low, high]``, refined by a parabola through three bins."""
    inside = np.flatnonzero((frequencies >= low) & (frequencies <= high))
    if len(inside) == 0:
        raise InvalidInputError(f"no spectrum bin between {low} and {high} Hz")
    k = int(inside[np.argmax(power[inside])])
    f = float(frequencies[k])
    if 0 < k < len(power) - 1:
        left, mid, right = (float(power[k + i]) for i in (-1, 0, 1))
        bend = left - 2 * mid + right
        if bend < 0:
            f += 0.5 * (left - right) / bend * float(frequencies[1] - frequencies[0])
    return float(np.clip(f, low, high))


def heart_frequency(frequencies: Floats, power: Floats) -> float:
    """Frequency (Hz) of a heart from the spectrum of its pulse: the highest peak in 40–200 bpm.

    Where half of that frequency holds a peak of its own with more than half of its power the half is the answer: the
    second harmonic of a slow heart often stands above its fundamental.

    Args:
        frequencies: Hz, evenly spaced.
        power: of the same length, from :func:`heart_spectrum`.
    """
    low, high = (bpm / 60 for bpm in HR_BAND_BPM)
    f = peak_frequency(frequencies, power, low, high)
    half, share = _half(frequencies, power, f)
    return half if share > 0.5 else f


def _half(frequencies: Floats, power: Floats, f: float, low: float = HR_BAND_BPM[0] / 60) -> tuple[float, float]:
    """The peak at half of ``f``, Hz, and its share of the power at ``f``; 0 where none is its own, from ``low``."""
    near = np.flatnonzero((frequencies >= max(f / 2 - _HALF_HZ, low)) & (frequencies <= f / 2 + _HALF_HZ))
    if f / 2 < low or len(near) < 3 or not near[0] < near[np.argmax(power[near])] < near[-1]:
        return f / 2, 0.0  # out of the band, or a slope
    half = peak_frequency(frequencies, power, float(frequencies[near[0]]), float(frequencies[near[-1]]))
    at = np.interp([half, f], frequencies, power)
    return half, float(at[0] / max(at[1], 1e-300))


def pulse_frequency(x: Floats, fs: float, resolution_hz: float = 0.05 / 60) -> float:
    """Frequency (Hz) of a heart from its pulse: :func:`heart_frequency`, or its half where it beats there as well.

    Some hearts that beat slowly push the wave up twice in each beat, so that hardly anything is left at their own rate.
    What is left goes in step with its double all the time (quadratic phase coupling, Kim & Powers 1979,
    doi:10.1109/TPS.1979.4317207), which noise does not.

    Args:
        x: (T,) the pulse.
        fs, resolution_hz: as of :func:`heart_spectrum`.
    """
    frequencies, power = heart_spectrum(x, fs, resolution_hz)
    f = heart_frequency(frequencies, power)
    half, share = _half(frequencies, power, f)
    return half if _in_step(x, fs, f, half, share) else f


def is_slower(x: Floats, fs: float, f: float, resolution_hz: float = 0.05 / 60) -> bool:
    """Whether ``f`` (Hz) is the second harmonic of a heart that beats slower than 40 a minute: tested as in
    :func:`heart_frequency` and :func:`pulse_frequency`, whose arguments these are."""
    if f / 2 >= HR_BAND_BPM[0] / 60:
        return False
    half, share = _half(*heart_spectrum(x, fs, resolution_hz), f, _SLOWEST_BPM / 60)
    return share > 0.5 or _in_step(x, fs, f, half, share)


def _in_step(x: Floats, fs: float, f: float, half: float, share: float) -> bool:
    weak = share < _COUPLED_POWER or abs(2 * half - f) > _COUPLED_HZ or len(x) < _COUPLED_S * fs
    return not weak and _coupling(x, fs, f) >= _COUPLED


def _coupling(x: Floats, fs: float, f: float) -> float:
    """How steady the phase at ``f`` Hz is against twice that at its half, over five stretches of a third of ``x``."""
    n = len(x) // 3
    starts = np.linspace(0, len(x) - n, 5).astype(int)
    tones = np.exp(-1j * np.pi * f / fs * np.arange(len(x)))
    parts = np.stack([x[s : s + n] * tones[s : s + n] for s in starts]) * np.hanning(n)
    half, whole = parts.sum(axis=1), (parts * np.stack([tones[s : s + n] for s in starts])).sum(axis=1)
    turns = whole * np.conj(half) ** 2
    return float(np.abs((turns / np.maximum(np.abs(turns), 1e-300)).mean()))


def stands_still(x: Floats, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a signal has not moved since the sample before, to a millionth of its range: bool (T,).

    Args:
        x: (T,).
        known: bool (T,), where there is a signal.
    """
    still = np.zeros(len(x), bool)
    if known.any():
        still[1:] = known[1:] & known[:-1] & (np.abs(np.diff(x)) <= 1e-6 * float(np.ptp(x[known])))
    return still


#: A pulse wave that does not move for so long is that of a sensor that has slipped, seconds.
STILL_S = 1.0


def moving(times: Floats, x: Floats, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a pulse wave is known and does not stand still for :data:`STILL_S` or more: bool (T,).

    Args:
        times: (T,) seconds.
        x: (T,).
        known: bool (T,), where there is a wave.
    """
    out = known.copy()
    for run in runs(stands_still(x, known)):
        first = run.start - 1  # it has stood there since
        if times[run.stop - 1] - times[first] >= STILL_S - 1e-9:
            out[first : run.stop] = False
    return out


def resample_by_time(
    times: ArrayLike, values: ArrayLike, fs: float, max_gap_s: float = MAX_GAP_S, t0: float | None = None
) -> tuple[Floats, NDArray[np.bool_], float]:
    """Put samples with their own times onto a uniform clock, keeping gaps as gaps.

    Each output sample is the mean, over one output period around its time, of the piecewise linear curve through
    the input: an interpolator when the input is slower than ``fs`` and an anti-aliasing average when it is faster.

    Args:
        times: (N,) seconds, increasing.
        values: (N, C) or (N,); rows with NaN are treated as missing.
        fs: output rate in Hz.
        max_gap_s: a stretch without samples longer than this stays a gap.
        t0: time of the first output sample; the first input time by default.

    Returns:
        values (T, C) or (T,) with NaN in gaps, valid bool (T,), t0 in seconds.

    Raises:
        InvalidInputError: times that do not increase, or are too far apart to be right.
    """
    times = np.asarray(times, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    if len(times) and not np.all(np.diff(times) > 0):
        raise InvalidInputError("resample: times must increase")
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    start = float(times[0]) if t0 is None and len(times) else float(t0 or 0.0)
    end = float(times[-1]) if len(times) else start
    if (end - start) * fs > _MOST_SAMPLES:
        raise InvalidInputError(f"resample: times from {start:g} to {end:g} s; are all of them right, and in seconds?")
    n = max(int(np.floor((end - start) * fs + 1e-6)) + 1, 0) if len(times) else 0
    slack = 1e-6 / fs + 1e-9  # the same, and rounding: a sample this near to the end of a run is in it
    grid = start + np.arange(n) / fs
    ok = np.isfinite(flat).all(axis=1)
    t, v = times[ok], flat[ok]
    out = np.full((n, flat.shape[1]), np.nan)
    valid = np.zeros(n, bool)
    # Runs of samples without a gap between them are resampled each for itself.
    cuts = np.flatnonzero(np.diff(t) > max_gap_s) + 1
    for run in np.split(np.arange(len(t)), cuts):
        if len(run) < 2:
            continue
        tr, vr = t[run], v[run]
        inside = np.flatnonzero((grid >= tr[0] - slack) & (grid <= tr[-1] + slack))
        if len(inside) == 0:
            continue
        for part in np.split(inside, range(_TOGETHER, len(inside), _TOGETHER)):
            lo = np.clip(grid[part] - 0.5 / fs, tr[0], tr[-1])
            hi = np.clip(grid[part] + 0.5 / fs, tr[0], tr[-1])
            a, b = np.searchsorted(tr, lo[0], side="right") - 1, np.searchsorted(tr, hi[-1]) + 1
            out[part] = _averages(tr[a:b], lo, hi) @ vr[a:b]
        valid[inside] = True
    return out.reshape((n, *values.shape[1:])), valid, start


#: Output samples that are computed together.
_TOGETHER = 64
# More are a time in another unit, or a wild one: eleven days at 30 Hz.
_MOST_SAMPLES = 3e7


def _averages(t: Floats, low: Floats, high: Floats) -> Floats:
    """Weights (M, N) of values at ``t`` (N,) in the means, from ``low`` to ``high`` (M,), of the lines through them."""
    # Where in each piece between two times an output begins and ends: from 0 to 1.
    step = np.diff(t)
    a, b = (np.clip((at[:, None] - t[:-1]) / step, 0.0, 1.0) for at in (low, high))
    right = (b**2 - a**2) / 2 * step
    out = np.zeros((len(low), len(t)))
    out[:, 1:] = right
    out[:, :-1] += (b - a) * step - right
    return out / (high - low)[:, None]


def runs(mask: NDArray[np.bool_]) -> list[slice]:
    """The stretches of True, as slices."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(mask, bool), [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
