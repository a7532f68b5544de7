"""What the makers of the browser's test vectors share: arrays as JSON, and signals with a known pulse."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

FS = 30.0
Json = dict[str, Any]


def packed(x: Any, dtype: str = "float32") -> Json:
    """An array as JSON."""
    array = np.ascontiguousarray(x, dtype)
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def unpacked(x: Json) -> np.ndarray:
    """The inverse of :func:`packed`."""
    return np.frombuffer(base64.b64decode(x["data"]), x["dtype"]).reshape(x["shape"])


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def f32(x: Any) -> np.ndarray:
    return np.asarray(x, np.float32).astype(np.float64)


def skin_rgb(n: int, seed: int, bpm: float = 72.0, pulse: float = 0.006, noise: float = 0.002) -> np.ndarray:
    """A skin colour trace (n, 3) with a pulse, breathing, drift and noise."""
    random, t = rng(seed), np.arange(n) / FS
    rate = bpm / 60 * (1 + 0.03 * np.sin(2 * np.pi * 0.25 * t) + 0.02 * np.sin(2 * np.pi * 0.1 * t))
    phase = 2 * np.pi * np.cumsum(rate) / FS
    beat = (1 + 0.2 * np.sin(2 * np.pi * 0.25 * t)) * (np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6))
    light = 1 + 0.02 * np.sin(2 * np.pi * 0.07 * t) + 0.01 * np.cumsum(random.normal(size=n)) / n**0.5
    colour = np.array([150.0, 110.0, 90.0]) * light[:, None]
    breath = 1 + 0.002 * np.sin(2 * np.pi * 0.25 * t)[:, None]
    return f32(colour * breath * (1 - pulse * beat[:, None] * [0.4, 1.0, 0.7] + noise * random.normal(size=(n, 3))))
