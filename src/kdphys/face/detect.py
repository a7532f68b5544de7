"""Faces in one picture: BlazeFace short range (arXiv 1907.05047), run by ONNX Runtime on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.ort import open_session

Floats = NDArray[np.floating[Any]]

_SIZE = 128
_OVERLAP = 0.3


class Detections(NamedTuple):
    """Faces in one picture, best first.

    Attributes:
        boxes: float64 (N, 4), x0, y0, x1, y1 in pixels of the picture.
        scores: float64 (N,), in [0, 1].
    """

    boxes: Floats
    scores: Floats


@lru_cache(maxsize=1)
def _anchors() -> Floats:
    """Centres of the 896 anchors in [0, 1]: 16 × 16 cells of two, then 8 × 8 cells of six."""
    out = []
    for cells, repeat in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        centres = np.stack([x, y], -1).reshape(-1, 2)
        out.append(np.repeat((centres + 0.5) / cells, repeat, axis=0))
    return np.concatenate(out)


def iou(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with others (N, 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    inner = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(inner / np.maximum(area - inner, 1e-9))


def _merge(boxes: Floats, scores: Floats) -> Detections:
    """BlazeFace's blending: overlapping candidates are averaged by score, which steadies the box."""
    order = np.argsort(-scores)
    boxes, scores = boxes[order], scores[order]
    kept, kept_scores = [], []
    while len(boxes):
        same = iou(boxes[0], boxes) > _OVERLAP
        same[0] = True
        kept.append(np.average(boxes[same], axis=0, weights=scores[same]))
        kept_scores.append(scores[0])
        boxes, scores = boxes[~same], scores[~same]
    return Detections(np.array(kept).reshape(-1, 4), np.array(kept_scores))


def squares(shape: tuple[int, ...], side: int) -> list[tuple[int, int, int]]:
    """Squares (x, y, side) that cover a picture of this shape, neighbours half over each other."""
    height, width = shape[:2]
    xs, ys = (
        np.linspace(0, length - side, int(np.ceil((length - side) / (0.5 * side))) + 1).astype(int)
        for length in (width, height)
    )
    return [(int(x), int(y), side) for y in ys for x in xs]


@dataclass(frozen=True)
class FaceDetector:
    """Finds faces in pictures.

    Args:
        min_score: candidates below this are not faces, in (0, 1).
        thorough: look for small faces beside large ones too, not only when no large one is found.

    Faces are found down to about an eighth of the picture's short side, those of a video
    (:class:`kdphys.face.find.FaceFinder`) down to half of that.
    """

    min_score: float = 0.6
    thorough: bool = False

    def __call__(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find all faces.

        Args:
            rgb: uint8 (H, W, 3).
        """
        height, width = rgb.shape[:2]
        side = min(height, width)
        if side < 2:
            return Detections(np.zeros((0, 4)), np.zeros(0))
        found = self._square(rgb, 0, 0, max(height, width))
        if max(height, width) > 1.2 * side and (self.thorough or len(found.scores) == 0):
            tiles = self.look(rgb, squares(rgb.shape, side))
            found = _merge(np.concatenate([found.boxes, tiles.boxes]), np.concatenate([found.scores, tiles.scores]))
        return found

    def look(self, rgb: NDArray[np.uint8], where: list[tuple[int, int, int]]) -> Detections:
        """Find the faces in some squares (x, y, side) of a picture."""
        parts = [self._square(rgb, *square) for square in where]
        return _merge(np.concatenate([p.boxes for p in parts]), np.concatenate([p.scores for p in parts]))

    def _square(self, rgb: NDArray[np.uint8], x: int, y: int, side: int) -> Detections:
        """Run the network on the square at (x, y), black where it leaves the picture."""
        part = rgb[y : y + side, x : x + side]
        scale = _SIZE / side
        w, h = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
        left, top = (_SIZE - w) // 2, (_SIZE - h) // 2
        canvas = np.zeros((_SIZE, _SIZE, 3), np.uint8)
        # For shrinking by a lot, every pixel need not be read: the network sees 128 × 128.
        step = max(side // (4 * _SIZE), 1)
        canvas[top : top + h, left : left + w] = cv2.resize(part[::step, ::step], (w, h), interpolation=cv2.INTER_AREA)
        values = canvas.astype(np.float32)[None] / 127.5 - 1.0
        regressors, logits = _session().run(["regressors", "classificators"], {"input": values})
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits[0, :, 0].astype(np.float64), -80, 80)))
        good = scores >= self.min_score
        if not good.any():
            return Detections(np.zeros((0, 4)), np.zeros(0))
        raw = regressors[0, good, :4].astype(np.float64) / _SIZE
        centre = raw[:, :2] + _anchors()[good]
        boxes = np.concatenate([centre - raw[:, 2:] / 2, centre + raw[:, 2:] / 2], axis=1) * _SIZE
        shrink = np.array([w / part.shape[1], h / part.shape[0]] * 2)  # alike, up to the rounding of w and h
        boxes = (boxes - [left, top, left, top]) / shrink + [x, y, x, y]
        return _merge(boxes, scores[good])


@lru_cache(maxsize=1)
def _session() -> Any:
    path = files("kdphys") / "assets" / "blazeface_short.onnx"
    return open_session(path.read_bytes(), "the bundled face detector")
