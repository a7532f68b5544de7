"""The classical methods with rPPG-Toolbox's pre- and post-processing, to compare with numbers published with it.

Written from the published descriptions of Liu et al. 2023, "rPPG-Toolbox: deep remote PPG toolbox", NeurIPS,
arXiv:2210.00716, and checked against its output. Signs, units and the length of the result are the toolbox's: CHROM
may be a little shorter than the trace, POS ends in samples that no window covers, global methods use the whole trace.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace
from kdphys.classical.jade import jade
from kdphys.dsp import detrend
from kdphys.errors import InvalidInputError, UnknownNameError
from kdphys.sci import signal

_WINDOW_S = 1.6
_BAND_HZ = (0.7, 2.5)


def toolbox(name: str, rgb: ArrayLike, fs: float) -> Floats:
    """The pulse as rPPG-Toolbox gives it.

    Args:
        name: "green", "ica", "chrom", "pos", "lgi", "pbv" or "omit".
        rgb: (T, 3), RGB.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,); CHROM a whole number of half windows, at most T.

    Raises:
        UnknownNameError: no such method.
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`; a colour that does not change.
    """
    if name not in _METHODS:
        raise UnknownNameError("toolbox method", name, _METHODS)
    x = check_trace(rgb, fs, f"toolbox {name}")
    if name != "green" and not (np.ptp(x, axis=0) > 0).all():
        raise InvalidInputError(f"toolbox {name}: a colour channel does not change, and its protocol divides by that")
    return _METHODS[name](x, fs)


def _green(x: Floats, fs: float) -> Floats:
    return x[:, 1].copy()


def _pos(x: Floats, fs: float) -> Floats:
    n, size = len(x), int(np.ceil(_WINDOW_S * fs))
    total = np.zeros(n)
    for end in range(size, n):
        c = x[end - size : end] / x[end - size : end].mean(axis=0)
        s1, s2 = c[:, 1] - c[:, 2], c[:, 1] + c[:, 2] - 2 * c[:, 0]
        h = s1 + s1.std() / s2.std() * s2
        total[end - size : end] += h - h.mean()
    b, a = signal.butter(1, [0.75 / fs * 2, 3 / fs * 2], "bandpass")
    out: Floats = signal.filtfilt(b, a, detrend(total, 100.0))
    return out


def _chrom(x: Floats, fs: float) -> Floats:
    size = int(np.ceil(_WINDOW_S * fs))
    size += size % 2
    half = size // 2
    count = (len(x) - half) // half
    b, a = signal.butter(3, [f / (fs / 2) for f in _BAND_HZ], "bandpass")
    total = np.zeros(half * (count + 1))
    for start in range(0, count * half, half):
        c = x[start : start + size] / x[start : start + size].mean(axis=0)
        u = signal.filtfilt(b, a, 3 * c[:, 0] - 2 * c[:, 1])
        v = signal.filtfilt(b, a, 1.5 * c[:, 0] + c[:, 1] - 1.5 * c[:, 2])
        total[start : start + size] += (u - u.std() / v.std() * v) * signal.windows.hann(size)
    return total


def _ica(x: Floats, fs: float) -> Floats:
    flat = detrend(x, 100.0)
    sources = jade(((flat - flat.mean(axis=0)) / flat.std(axis=0)).T)
    n = (x.shape[0] - 1) // 2
    power = np.abs(np.fft.fft(sources, axis=1)[:, 1 : n + 1]) ** 2
    best = sources[np.argmax((power / power.sum(axis=1, keepdims=True)).max(axis=1))]
    b, a = signal.butter(3, [f / (fs / 2) for f in _BAND_HZ], "bandpass")
    out: Floats = signal.filtfilt(b, a, best)
    return out


def _residual(x: Floats, direction: Floats) -> Floats:
    out: Floats = x[:, 1] - direction[1] * (x @ direction)
    return out


def _lgi(x: Floats, fs: float) -> Floats:
    return _residual(x, np.linalg.svd(x.T, full_matrices=False)[0][:, 0])


def _omit(x: Floats, fs: float) -> Floats:
    return _residual(x, np.linalg.qr(x.T)[0][:, 0])


def _pbv(x: Floats, fs: float) -> Floats:
    c = x / x.mean(axis=0)
    signature = c.std(axis=0) / np.sqrt(c.var(axis=0).sum())
    w = np.linalg.solve(c.T @ c, signature)
    out: Floats = c @ w / (signature @ w)
    return out


_METHODS: dict[str, Callable[[Floats, float], Floats]] = {
    "green": _green,
    "ica": _ica,
    "chrom": _chrom,
    "pos": _pos,
    "lgi": _lgi,
    "pbv": _pbv,
    "omit": _omit,
}

#: The names that :func:`toolbox` knows.
TOOLBOX_METHODS = tuple(_METHODS)
