"""POS: the plane orthogonal to the skin tone.

Wang, den Brinker, Stuijk, de Haan 2017, "Algorithmic principles of remote PPG", IEEE Trans. Biomed. Eng. 64(7),
doi:10.1109/TBME.2016.2609282.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, ratio, relative

#: As in the paper: longer than one beat at 40 bpm.
WINDOW_S = 1.6
_PROJECTION = np.array([[0.0, 1.0, -1.0], [-2.0, 1.0, 1.0]])
_BLOCK = 2048


def pos(rgb: ArrayLike, fs: float) -> Floats:
    """Project colour, in windows of 1.6 s that start at every sample, onto the plane orthogonal to the skin tone.

    Differs from the paper in three points: the windows reach the last sample, a sample is the mean of the windows
    that cover it (their sum in the paper, which fades the ends), and the sign is that of blood volume.

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, relative to the mean colour.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """
    x = check_trace(rgb, fs, "pos")
    size = int(np.ceil(WINDOW_S * fs))
    views = sliding_window_view(x, size, axis=0).swapaxes(1, 2)  # (windows, size, 3)
    total = np.zeros(len(x))
    for first in range(0, len(views), _BLOCK):
        s = relative(views[first : first + _BLOCK]) @ _PROJECTION.T
        spread = s.std(axis=1, keepdims=True)
        h = s[..., 0] + ratio(spread[..., 0], spread[..., 1]) * s[..., 1]
        h -= h.mean(axis=1, keepdims=True)
        for k in range(size):
            total[first + k : first + k + len(h)] += h[:, k]
    n = len(x)
    count = np.minimum(np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)), min(size, n - size + 1))
    return -total / count
