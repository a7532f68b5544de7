"""Which pixels of a face are skin that can be trusted, learned from the face itself.

The colour of the middle of the face (cheeks and nose: always skin, whatever its tone) defines what skin looks like in
this light; a pixel's weight falls with the distance of its chromaticity and brightness from that. Over- and
under-exposed pixels weigh nothing: a clipped channel carries no pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import LUMA

Floats = NDArray[np.floating[Any]]

#: Side of the face picture that skin weights and patch means are computed on, pixels.
SIZE = 64
#: Patches along each side of the face for spatial agreement.
GRID = 4
_DARK, _BRIGHT = 8.0, 250.0
_LUMA = LUMA.astype(np.float32)


def _prior() -> NDArray[np.float32]:
    """An ellipse inside the face box, soft at the rim."""
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE - 1.0) - 0.5
    radius = np.hypot(x / 0.47, (y + 0.02) / 0.56)
    return np.asarray(np.clip((1.0 - radius) / 0.15, 0, 1), np.float32)


#: Where in the face box a face is, float32 (64, 64), 0–1.
OVAL = _prior()
_CORE = np.zeros((SIZE, SIZE), bool)
_CORE[int(0.40 * SIZE) : int(0.72 * SIZE), int(0.22 * SIZE) : int(0.78 * SIZE)] = True


@dataclass
class SkinWeights:
    """Skin weights that follow one face over time.

    Args:
        tau_s: time constant in seconds with which the weights follow the picture. Slow against the pulse, so that the
            weights themselves do not put a pulse into the mean.
    """

    tau_s: float = 1.5

    def __post_init__(self) -> None:
        self._mean: NDArray[np.float32] | None = None
        self._weights: NDArray[np.float32] | None = None
        self._t = 0.0
        self._t_weights = 0.0

    def update(self, face: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        """Take the face at time ``t`` (float32 (64, 64, 3), 0–255); return weights float32 (64, 64) in [0, 1]."""
        if self._mean is None or self._weights is None:
            self._mean = face.copy()
            self._weights = self._compute(face)
            self._t = self._t_weights = t
            return self._weights
        cv2.accumulateWeighted(face, self._mean, 1.0 - float(np.exp(-max(t - self._t, 0.0) / self.tau_s)))
        self._t = t
        if t - self._t_weights >= 0.2:
            share = np.float32(1.0 - np.exp(-(t - self._t_weights) / self.tau_s))
            self._weights = self._weights + share * (self._compute(self._mean) - self._weights)
            self._t_weights = t
        return self._weights

    @staticmethod
    def _compute(face: NDArray[np.float32]) -> NDArray[np.float32]:
        smooth = cv2.blur(face, (3, 3)).astype(np.float32)
        r, g, b = (smooth[..., k] for k in range(3))
        total = r + g + b + 1e-3
        features = np.stack(
            [r / total, b / total, 0.2 * np.log(total)], axis=2
        )  # chromaticity r and b, and brightness counted weakly: shading is not another material
        usable = (np.minimum(np.minimum(r, g), b) > _DARK) & (brightest(smooth) < _BRIGHT)
        core = features[_CORE & usable]
        if len(core) < 30:
            core = features[_CORE]
        centre = np.median(core, axis=0)
        spread = 1.4826 * np.median(np.abs(core - centre), axis=0) + np.float32(0.012)
        distance = (((features - centre) / (3.0 * spread)) ** 2).sum(axis=2)
        weights = np.exp(-0.5 * distance) * usable * OVAL
        return np.asarray(weights, np.float32)


def brightest(face: NDArray[np.float32]) -> NDArray[np.float32]:
    """The brightest of the three channels of each pixel (…, 3)."""
    return np.maximum(np.maximum(face[..., 0], face[..., 1]), face[..., 2])


def sharpness(face: NDArray[np.float32]) -> float:
    """Mean difference of a pixel of a face (S, S, 3) from its four neighbours, grey levels, four times over."""
    grey = face @ _LUMA
    away = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.abs(away).mean())


def skin_means(face: NDArray[np.float32], weights: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Skin-weighted mean colour of the face and of its patches.

    Args:
        face: float32 (64, 64, 3).
        weights: float32 (64, 64).

    Returns:
        mean (3,) and patches (GRID², 3); NaN where there is no skin.
    """
    cell = SIZE // GRID
    rows = (face * weights[..., None]).reshape(GRID, cell, -1).sum(axis=1, dtype=np.float64)
    sums = rows.reshape(GRID, GRID, cell, 3).sum(axis=2).reshape(-1, 3)
    mass = weights.reshape(GRID, cell, -1).sum(axis=1, dtype=np.float64).reshape(-1, cell).sum(axis=1)
    total = float(mass.sum())
    mean = sums.sum(axis=0) / total if total > 1.0 else np.full(3, np.nan)
    patches = np.where(mass[:, None] > 0.06 * cell * cell, sums / np.maximum(mass, 1e-9)[:, None], np.nan)
    return mean, patches
