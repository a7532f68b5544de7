"""Small faces in the pictures of a video: where they were, and elsewhere in turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.face.detect import Detections, FaceDetector, iou, squares

Floats = NDArray[np.floating[Any]]
Square = tuple[int, int, int]

#: Squares smaller than this, in pixels, are not looked at: the network would see them enlarged.
_MIN_SIDE = 128
#: Squares that are looked at in each picture after the first.
_IN_TURN = 4
#: A small face is looked for where it was in so many pictures after the last that showed it.
_PATIENCE = 6


@dataclass
class FaceFinder:
    """Finds faces in picture after picture of a video, those too small for one look at all of it as well.

    Args:
        detector: what finds faces in one picture. If it is thorough, small faces are looked for beside large ones, too.

    When the detector finds no face, squares of half the picture's short side are looked at: all of them in the first
    picture, some of them in turn in those that follow, and the surroundings of the small faces found before. So a
    face from about 7 % of the short side on is found, within a second.
    """

    detector: FaceDetector = field(default_factory=FaceDetector)
    _known: list[tuple[Floats, int]] = field(
        default_factory=list, init=False
    )  # small faces, pictures since each was seen
    _turn: int | None = field(default=None, init=False)  # the square that is next

    def __call__(self, rgb: NDArray[np.uint8]) -> Detections:
        """Find all faces.

        Args:
            rgb: uint8 (H, W, 3), the next picture.
        """
        found = self.detector(rgb)
        if min(rgb.shape[:2]) < 2 * _MIN_SIDE or (len(found.scores) and not self.detector.thorough):
            self._known = []
            return found
        where = [_around(box, rgb.shape) for box, _ in self._known] + self._next(rgb.shape)
        small = self.detector.look(rgb, where)
        good = [k for k, box in enumerate(small.boxes) if _is_new(box, found.boxes, 0.25 * min(rgb.shape[:2]))]
        boxes, scores = small.boxes[good], small.scores[good]
        lost = [(box, since + 1) for box, since in self._known if not (iou(box, boxes) > 0.1).any()]
        self._known = [(box, 0) for box in boxes] + [(box, since) for box, since in lost if since <= _PATIENCE]
        boxes, scores = np.concatenate([found.boxes, boxes]), np.concatenate([found.scores, scores])
        order = np.argsort(-scores, kind="stable")
        return Detections(boxes[order], scores[order])

    def _next(self, shape: tuple[int, ...]) -> list[Square]:
        """The squares whose turn it is."""
        everywhere = squares(shape, min(shape[:2]) // 2)
        if self._turn is None:
            self._turn = 0
            return everywhere
        if any(since == 0 for _, since in self._known) and not self.detector.thorough:
            return []  # somebody is there
        chosen = [everywhere[(self._turn + k) % len(everywhere)] for k in range(min(_IN_TURN, len(everywhere)))]
        self._turn = (self._turn + len(chosen)) % len(everywhere)
        return chosen


def _is_new(box: Floats, found: Floats, widest: float) -> bool:
    """Whether a face is so small that no square of half the short side need cut it, and none of those found before."""
    centre = (box[:2] + box[2:]) / 2
    inside = (centre > found[:, :2]).all(axis=1) & (centre < found[:, 2:]).all(axis=1)
    return bool(box[2] - box[0] < widest and not inside.any())


def _around(box: Floats, shape: tuple[int, ...]) -> Square:
    """The square around a face in which the network sees it best."""
    height, width = shape[:2]
    side = min(round(4.0 * float(box[2] - box[0])), height, width)
    x, y = (box[:2] + box[2:]) / 2 - side / 2
    return int(np.clip(x, 0, width - side)), int(np.clip(y, 0, height - side)), side
