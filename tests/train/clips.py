"""Clips for the tests of training: a flat face whose colour pulses, so that a few steps can learn something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.train.pool import write_pool


def pool_arrays(n: int = 6, frames: int = 96, size: int = 12, seed: int = 0) -> dict[str, NDArray[Any]]:
    """A pool of clips at 30 Hz; the last one has no pulse."""
    rng = np.random.default_rng(seed)
    hr = rng.uniform(55, 150, n).astype(np.float32)
    t = np.arange(frames) / 30
    bvp = np.sin(2 * np.pi * hr[:, None] / 60 * t + rng.uniform(0, 6, (n, 1))).astype(np.float32)
    has_pulse = np.arange(n) < n - 1
    skin = np.array([170.0, 120.0, 100.0]) * rng.uniform(0.6, 1.1, (n, 1))
    depth = np.array([0.004, 0.012, 0.007]) * has_pulse[:, None]
    colour = skin[:, None] * (1 + depth[:, None] * bvp[:, :, None])
    rgb = colour[:, :, None, None] + rng.normal(0, 1.5, (n, frames, size, size, 3))
    return {
        "rgb": np.clip(np.round(rgb), 0, 255).astype(np.uint8),
        "bvp": bvp,
        "hr_bpm": hr,
        "has_pulse": has_pulse,
    }


def make_pool(path: Path, **how: Any) -> Path:
    """Write :func:`pool_arrays` to disk."""
    write_pool(path, pool_arrays(**how))
    return path
