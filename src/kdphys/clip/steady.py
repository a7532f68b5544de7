"""A face held still: a box that moves with the face's own pixels, to a fraction of one.

A detector's box trembles, comes a few times a second and is smoothed, so that a moving face slides through it, and an
edge that slides changes far more than a pulse changes skin. Here each frame's face is laid on the mean of those before
(Lucas & Kanade 1981, in the inverse form of Baker & Matthews 2004: shift and scale), while the box is drawn slowly to
the detector's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import square
from kdphys.containers import Frame
from kdphys.dsp import MAX_GAP_S

Floats = NDArray[np.floating[Any]]

#: Side of the template, and the width of the Gaussian that samples it, in its pixels.
_SIDE, _BLUR = 32, 1.2
#: Seconds in which the box is drawn to the detector's.
LEASH_S = 5.0
#: Memory of the template, seconds.
_TEMPLATE_S = 1.0
#: Further than this from the detector's box, in its sides, or larger or smaller by this ratio, is lost.
_FAR, _RATIO = 0.25, 1.4
#: What is followed is as like what it was as this (correlation), or it is lost. Faces: 0.78 and more, noise: 0.3 and
#: less.
_LIKE = 0.5
#: Steps for one frame at most, and how much the face may grow in one.
_STEPS, _GROWTH = 3, 0.2

_AXIS = ((np.arange(_SIDE) + 0.5) / _SIDE - 0.5).astype(np.float32)
_BELL = np.exp(-((_AXIS / 0.5) ** 2))
#: What counts: the middle of the face.
_WEIGHTS = np.outer(_BELL, _BELL).astype(np.float32)
_WEIGHTS /= _WEIGHTS.sum()


class Steady:
    """Follows one face from frame to frame."""

    def __init__(self) -> None:
        self._template: NDArray[np.float32] | None = None
        self._centre: Floats = np.zeros(2)
        self._side, self._t = 0.0, 0.0

    def __call__(self, frame: Frame, box: Floats) -> Floats:
        """The box on the face in ``frame``.

        Args:
            frame: the next one with this face.
            box: (4,) x0, y0, x1, y1 in pixels, from the tracker.

        Returns:
            (4,), of the same shape as ``box``, with fractions of pixels.
        """
        x0, y0, x1, y1 = (float(v) for v in square(box, 1.0))
        centre, side = np.array([x0 + x1, y0 + y1]) / 2, x1 - x0
        if self._template is None or frame.t - self._t > MAX_GAP_S:
            self._begin(frame, centre, side)
        else:
            self._follow(frame, centre, side)
        self._t = frame.t
        half = (box[2:] - box[:2]) / 2 * (self._side / side)
        return np.concatenate([self._centre - half, self._centre + half])

    def _begin(self, frame: Frame, centre: Floats, side: float) -> None:
        self._centre, self._side = centre, side
        grey = _Grey.around(frame.rgb, centre, side)
        self._template = grey.patch(centre, side) if grey else None

    def _follow(self, frame: Frame, centre: Floats, side: float) -> None:
        assert self._template is not None
        dt = frame.t - self._t
        grey = _Grey.around(frame.rgb, self._centre, self._side)
        if grey is None:
            self._begin(frame, centre, side)
            return
        slopes = _slopes(self._template)
        weighted = slopes * _WEIGHTS.reshape(-1)
        normal = (weighted @ slopes.T).astype(float)
        normal.flat[::4] *= 1 + 1e-3
        normal.flat[::4] += 1e-9
        solve = np.linalg.inv(normal)
        at, size = self._centre, self._side
        for _ in range(_STEPS):
            change = (grey.patch(at, size) - self._template).reshape(-1)
            dx, dy, grown = (solve @ (weighted @ change)).tolist()
            at = at - size * np.array([dx, dy])
            size *= 1 - min(max(grown, -_GROWTH), _GROWTH)
            if max(abs(dx), abs(dy), abs(grown)) < 1e-3:
                break
        height, width = frame.rgb.shape[:2]
        near = float(np.hypot(*(at - centre))) < _FAR * side and 0 <= at[0] < width and 0 <= at[1] < height
        if not near or not 1 / _RATIO < size / side < _RATIO:
            self._begin(frame, centre, side)
            return
        home = min(dt / LEASH_S, 1.0)
        way = home * np.array([*(centre - at), side - size])
        self._centre, self._side = at + way[:2], size + way[2]
        # The template comes along, or it would hold the box back.
        self._template += ((way / size).astype(np.float32) @ slopes).reshape(_SIDE, _SIDE)
        now = grey.patch(self._centre, self._side)
        if _likeness(now, self._template) < _LIKE:
            self._begin(frame, centre, side)
            return
        self._template += np.float32(min(dt / _TEMPLATE_S, 1.0)) * (now - self._template)


@dataclass(frozen=True, eq=False)
class _Grey:
    """The brightness around a face, shrunk by a whole number so that the face is some 24–48 pixels wide.

    Args:
        values: (H, W), 0–255.
        x, y: (W,) and (H,), where its columns and rows lie in the picture, pixels.
    """

    values: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]

    @classmethod
    def around(cls, rgb: NDArray[np.uint8], centre: Floats, side: float) -> Self | None:
        """None where too little of it is in the picture."""
        height, width = rgb.shape[:2]
        step = max(int(np.ceil(side / 48)), 1)
        cx, cy = centre.tolist()
        x0, y0 = (max(int(v - 0.7 * side), 0) for v in (cx, cy))
        across = (min(int(cx + 0.7 * side) + 1, width) - x0) // step
        down = (min(int(cy + 0.7 * side) + 1, height) - y0) // step
        ends = ((x0, across), (y0, down))
        if min(across, down) < 8:
            return None
        part = cv2.cvtColor(rgb[y0 : y0 + down * step, x0 : x0 + across * step], cv2.COLOR_RGB2GRAY).astype(np.float32)
        if step > 1:
            part = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
        x, y = (np.float32(first + step / 2) + np.float32(step) * np.arange(n, dtype=np.float32) for first, n in ends)
        return cls(np.asarray(part, np.float32), x, y)

    def patch(self, centre: Floats, side: float) -> NDArray[np.float32]:
        """What lies in the square, float32 (32, 32), of mean 0 and spread 1 where the template looks."""
        values = _bells(centre[1], side, self.y) @ self.values @ _bells(centre[0], side, self.x).T
        values -= np.vdot(values, _WEIGHTS)
        values /= np.sqrt(np.vdot(values * values, _WEIGHTS) + np.float32(1.0))
        return np.asarray(values, np.float32)


def _bells(centre: float, side: float, at: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (32, N) of the pixels at ``at`` for each row or column of a patch; beyond the last it goes on like it."""
    looked_at = np.minimum(np.maximum(np.float32(centre) + np.float32(side) * _AXIS, at[0]), at[-1])
    away = at - looked_at[:, None]
    away *= np.float32(_SIDE / side / _BLUR)
    away *= away
    away *= np.float32(-0.5)
    weights = np.exp(away, out=away)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights, np.float32)


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Correlation of two patches where the template looks."""
    weighted = a * _WEIGHTS
    power = float(np.vdot(weighted, a)) * float(np.vdot(b * _WEIGHTS, b))
    return float(np.vdot(weighted, b) / max(power, 1e-12) ** 0.5)


def _slopes(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """How a patch changes, a side, when it is shifted right, down, and grows: (3, 1024)."""
    out = np.empty((3, _SIDE, _SIDE), np.float32)
    right, down, grown = out
    for slope, values in ((right.T, patch.T), (down, patch)):
        np.subtract(values[2:], values[:-2], out=slope[1:-1])
        slope[1:-1] *= np.float32(_SIDE / 2)
        slope[0], slope[-1] = _SIDE * (values[1] - values[0]), _SIDE * (values[-1] - values[-2])
    np.multiply(right, _AXIS, out=grown)
    grown += down * _AXIS[:, None]
    return out.reshape(3, -1)
