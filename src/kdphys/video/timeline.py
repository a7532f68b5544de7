"""About the times of frames."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import InvalidInputError, VideoError

Floats = NDArray[np.floating[Any]]


def check_order(name: str, index: int, before: float, t: float, hint: str = "") -> None:
    """Refuse a frame that is not later than the one before.

    Args:
        name: of the source.
        index: of the frame, from 0.
        before: time of the frame before, seconds.
        t: its own time, seconds.
        hint: what to do, put at the end of the message.

    Raises:
        VideoError: with the place.
    """
    if not t > before:
        raise VideoError(
            f"{name}: frame times must increase, but frame {index} is at {t:.6f} s after {before:.6f} s"
            + (f"; {hint}" if hint else "")
        )


def frame_times(name: str, n: int | None, fs: float | None, times: ArrayLike | None) -> Floats | None:
    """The times that a caller gives for ``n`` frames, checked.

    Args:
        name: of the source.
        n: how many frames there are; None when that is not known before reading.
        fs: rate in Hz.
        times: (n,) seconds.

    Returns:
        (n,) seconds; None when neither is given, or when ``fs`` is and ``n`` is not known.

    Raises:
        InvalidInputError: both are given, ``fs`` is no rate, or ``times`` has another length or values not finite.
        VideoError: ``times`` do not increase.
    """
    if fs is not None and times is not None:
        raise InvalidInputError(f"{name}: give either fs (Hz) or times (seconds), not both")
    if fs is not None:
        if isinstance(fs, bool) or not isinstance(fs, Real) or not (np.isfinite(fs) and fs > 0):
            raise InvalidInputError(f"{name}: fs must be a positive rate in Hz, got {fs!r}")
        return None if n is None else np.arange(n) / fs
    if times is None:
        return None
    try:
        out = np.array(times, float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name}: times must be numbers, in seconds, one for each frame ({error})") from None
    if out.ndim != 1 or (n is not None and len(out) != n) or not np.isfinite(out).all():
        frames = "the frames" if n is None else f"{n} frames"
        bad = int((~np.isfinite(out)).sum())
        what = f"{bad} times that are not finite" if bad else f"times of shape {out.shape}"
        raise InvalidInputError(f"{name}: {frames} need as many finite times in seconds, got {what}")
    for k in np.flatnonzero(np.diff(out) <= 0)[:1] + 1:
        check_order(name, int(k), float(out[k - 1]), float(out[k]))
    out.setflags(write=False)
    return out
