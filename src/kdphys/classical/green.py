"""GREEN: the green channel alone.

Verkruysse, Svaasand, Nelson 2008, "Remote plethysmographic imaging using ambient light", Optics Express 16(26),
doi:10.1364/OE.16.021434.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, in_windows, relative


def green(rgb: ArrayLike, fs: float) -> Floats:
    """The green channel relative to its mean, turned over: blood absorbs green.

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, share of the mean green.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """
    x = check_trace(rgb, fs, "green")
    return in_windows(x[:, 1:2], fs, lambda part, _: -relative(part)[:, 0])
