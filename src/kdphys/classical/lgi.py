"""LGI: local group invariance, the colours orthogonal to the dominant one.

Pilz, Zaunseder, Krajewski, Blazek 2018, "Local group invariance for heart rate estimation from face videos in the
wild", CVPR Workshops, doi:10.1109/CVPRW.2018.00172.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, in_windows, relative


def lgi(rgb: ArrayLike, fs: float) -> Floats:
    """Green after removing the dominant colour direction (first left singular vector), in windows of 10 s.

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, share of the mean green.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """
    return in_windows(check_trace(rgb, fs, "lgi"), fs, lambda part, _: residual_green(part, dominant(part)))


def dominant(x: Floats) -> Floats:
    """The colour direction (3,) that holds the most of x (T, 3), which is not centred: nearly its mean."""
    out: Floats = np.linalg.eigh(x.T @ x)[1][:, -1]
    return out


def residual_green(x: Floats, direction: Floats) -> Floats:
    """What is left of green after projecting out a direction, turned over, relative to the mean green; mean 0."""
    level = float(x[:, 1].mean())
    if level <= 0 or not relative(x).any():
        return np.zeros(len(x))
    rest = x[:, 1] - direction[1] * (x @ direction)
    out: Floats = -(rest - rest.mean()) / level
    return out
