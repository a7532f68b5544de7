"""About the times of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import VideoError

Floats = NDArray[np.floating[Any]]


def effective_fps(times: ArrayLike) -> float:
    """Frames per second by the median step; 0 for fewer than two frames.

    Args:
        times: (N,) seconds.
    """
    steps = np.diff(np.asarray(times, float))
    return float(1.0 / np.median(steps)) if len(steps) else 0.0


def gaps(times: ArrayLike, max_gap_s: float = 0.5) -> list[tuple[float, float]]:
    """Stretches (start, end) in seconds without a frame that are longer than ``max_gap_s``."""
    t = np.asarray(times, float)
    return [(float(t[k]), float(t[k + 1])) for k in np.flatnonzero(np.diff(t) > max_gap_s)]


def check_order(name: str, index: int, before: float, t: float) -> None:
    """Refuse a frame that is not later than the one before.

    Raises:
        VideoError: with the place.
    """
    if not t > before:
        raise VideoError(
            f"{name}: frame times must increase, but frame {index} is at {t:.6f} s after {before:.6f} s; "
            "re-encode the video with correct timestamps"
        )
