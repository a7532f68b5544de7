"""OMIT: orthogonal matrix image transformation, the colours orthogonal to the first one seen.

Álvarez Casado, Bordallo López 2023, "Face2PPG: an unsupervised pipeline for blood volume pulse extraction from
faces", IEEE J. Biomed. Health Inform. 27(11), doi:10.1109/JBHI.2023.3307942.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, in_windows
from kdphys.classical.lgi import residual_green


def omit(rgb: ArrayLike, fs: float) -> Floats:
    """Green after removing the first column of Q in the QR decomposition of the colours, in windows of 10 s.

    That column is the direction of the window's first sample, so a disturbed first sample disturbs the window.

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, share of the mean green.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """
    return in_windows(
        check_trace(rgb, fs, "omit"), fs, lambda part, _: residual_green(part, np.linalg.qr(part.T)[0][:, 0])
    )
