"""PBV: the blood-volume pulse signature.

de Haan, van Leest 2014, "Improved motion robustness of remote-PPG by using the blood volume pulse signature",
Physiol. Meas. 35(9), doi:10.1088/0967-3334/35/9/1913.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import FLAT, PULSE_SIGNATURE, Floats, check_trace, flatten, in_windows, relative

#: Share of the mean channel power added to the diagonal: the pulse survives a signature that is a little off, and
#: colours that are copies of each other stay solvable.
_RIDGE = 1e-3


def pbv(rgb: ArrayLike, fs: float) -> Floats:
    """The weights of R, G, B whose result is proportional to the pulse signature, in windows of 10 s.

    The signature is the paper's for white light, (0.33, 0.77, 0.53).

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, relative to the mean colour.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """

    def part(window: Floats, _: Floats) -> Floats:
        c = flatten(relative(window), fs)
        if not (c.std(axis=0) > FLAT).any():
            return np.zeros(len(c))
        q = c.T @ c
        q += _RIDGE * np.trace(q) / 3 * np.eye(3)
        w = np.linalg.solve(q, PULSE_SIGNATURE)
        out: Floats = -(c @ w) / float(PULSE_SIGNATURE @ w)
        return out

    return in_windows(check_trace(rgb, fs, "pbv"), fs, part)
