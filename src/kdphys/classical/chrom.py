"""CHROM: chrominance, which specular reflection does not change.

de Haan, Jeanne 2013, "Robust pulse rate from chrominance-based rPPG", IEEE Trans. Biomed. Eng. 60(10),
doi:10.1109/TBME.2013.2266196.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, overlap_add, ratio, relative, windows
from kdphys.dsp import zero_phase

#: As in the paper.
WINDOW_S = 1.6
#: 40–240 bpm, as in the paper.
BAND_HZ = (0.667, 4.0)
_CHROMINANCE = np.array([[3.0, -2.0, 0.0], [1.5, 1.0, -1.5]])
#: Windows that are filtered together.
_TOGETHER = 256


def chrom(rgb: ArrayLike, fs: float) -> Floats:
    """The difference of two chrominance signals, balanced in half-overlapping Hann windows of 1.6 s.

    Differs from the paper in that the windows reach the last sample and their weights are divided out at the ends.

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, relative to the mean colour.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """
    x = check_trace(rgb, fs, "chrom")
    size = int(np.ceil(WINDOW_S * fs))
    size += size % 2
    parts = _parts(x, min(size, len(x)), fs)
    return overlap_add(x, size, lambda *_: next(parts))


def _parts(x: Floats, size: int, fs: float) -> Iterator[Floats]:
    """The pulse (size,) in each window, in order; filtered many at a time."""
    starts = np.array([at.start for at in windows(len(x), size, max(size // 2, 1))])
    for some in np.split(starts, range(_TOGETHER, len(starts), _TOGETHER)):
        c = np.moveaxis(relative(x[some[:, None] + np.arange(size)]), 1, 0)  # (size, windows, 3)
        s = zero_phase(c @ _CHROMINANCE.T, fs, BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs), 3, min(21, size - 1))
        spread = s.std(axis=0)
        yield from (s[..., 0] - ratio(spread[:, 0], spread[:, 1]) * s[..., 1]).T
