"""CHROM: chrominance, which specular reflection does not change.

de Haan, Jeanne 2013, "Robust pulse rate from chrominance-based rPPG", IEEE Trans. Biomed. Eng. 60(10),
doi:10.1109/TBME.2013.2266196.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, overlap_add, ratio, relative
from kdphys.sci import signal

#: As in the paper.
WINDOW_S = 1.6
#: 40–240 bpm, as in the paper.
BAND_HZ = (0.667, 4.0)


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
    b, a = signal.butter(3, [BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs)], "bandpass", fs=fs)

    def part(window: Floats, _: Floats) -> Floats:
        c = relative(window)
        s = np.stack([3.0 * c[:, 0] - 2.0 * c[:, 1], 1.5 * c[:, 0] + c[:, 1] - 1.5 * c[:, 2]])
        s = signal.filtfilt(b, a, s, axis=1, padlen=min(3 * len(a), s.shape[1] - 1))
        spread = s.std(axis=1)
        out: Floats = s[0] - ratio(spread[0], spread[1]) * s[1]
        return out

    return overlap_add(x, size, part)
