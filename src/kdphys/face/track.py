"""Faces over time: steady boxes, stable identities, and no box where there is no face.

The tracker looks ahead by one detection interval. Between two detections that belong together the box is
interpolated; where a detection fails there is no box, so a stale one is never used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Frame
from kdphys.face.detect import Detections, FaceDetector, iou

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame with the faces in it: person → (box float64 (4,) in pixels, detector score)."""

    frame: Frame
    faces: dict[int, tuple[Floats, float]]


@dataclass
class _Person:
    id: int
    box: Floats  # smoothed, at `t`
    score: float
    t: float
    speed: float = 0.0  # of the centre, box widths a second
    look: Floats | None = None


@dataclass
class FaceTracker:
    """Finds and follows faces, frame by frame.

    Args:
        interval_s: time between detections.
        memory_s: a face that comes back to its place within this time is the same person.
        detector: what finds faces in a picture.
        buffer_bytes: memory for the frames that wait for the next detection; large frames are detected more often.

    A face is "there" at a time only when detections on both sides of it, at most ``interval_s`` (or one frame, if
    frames are slower) apart, saw it. A picture that changes at once (a cut) ends all tracks.
    """

    interval_s: float = 0.16
    memory_s: float = 2.0
    detector: Callable[[NDArray[np.uint8]], Detections] = field(default_factory=FaceDetector)
    buffer_bytes: int = 64 << 20
    cuts: int = 0

    def __post_init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._persons: list[_Person] = []
        self._seen: dict[int, tuple[Floats, float]] = {}  # faces at the last detection
        self._seen_t = 0.0
        self._next_id = 0
        self._thumb: Floats | None = None
        self._started = False

    def push(self, frame: Frame) -> list[TrackedFrame]:
        """Take one frame; give back, in order, the frames whose boxes are now known."""
        cut = self._is_cut(frame)
        out: list[TrackedFrame] = []
        if cut:
            out = self._release_without_future()
            self._persons.clear()
            self._seen = {}
            self._started = False
            self.cuts += 1
        full = (len(self._waiting) + 1) * frame.rgb.nbytes > self.buffer_bytes
        if self._started and frame.t - self._seen_t < self.interval_s - 1e-3 and not full:
            self._waiting.append(frame)
            return out
        now = self._detect(frame)
        if self._started:
            out += [self._between(waiting, now, frame.t) for waiting in self._waiting]
            self._waiting.clear()
        self._seen, self._seen_t, self._started = now, frame.t, True
        out.append(TrackedFrame(frame, dict(now)))
        return out

    def flush(self) -> list[TrackedFrame]:
        """The frames after the last detection: one more detection settles them."""
        if not self._waiting:
            return []
        last = self._waiting.pop()
        now = self._detect(last)
        out = [self._between(waiting, now, last.t) for waiting in self._waiting]
        self._waiting.clear()
        self._seen, self._seen_t = now, last.t
        return [*out, TrackedFrame(last, dict(now))]

    def track(self, frames: Iterable[Frame]) -> Iterator[TrackedFrame]:
        """All frames of a video, in order, with their faces."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def _release_without_future(self) -> list[TrackedFrame]:
        """Before a cut: settle what waits by a detection on the last frame of the old scene."""
        return self.flush()

    def _between(self, frame: Frame, now: dict[int, tuple[Floats, float]], t: float) -> TrackedFrame:
        share = (frame.t - self._seen_t) / max(t - self._seen_t, 1e-9)
        faces: dict[int, tuple[Floats, float]] = {}
        for key in self._seen.keys() & now.keys():
            (a, p), (b, q) = self._seen[key], now[key]
            faces[key] = (a + share * (b - a), min(p, q))
        return TrackedFrame(frame, faces)

    def _detect(self, frame: Frame) -> dict[int, tuple[Floats, float]]:
        found = self.detector(frame.rgb)
        self._persons = [p for p in self._persons if frame.t - p.t <= self.memory_s]
        free = list(range(len(found.scores)))
        out: dict[int, tuple[Floats, float]] = {}
        pairs = sorted(
            ((float(overlap), k, p) for p in self._persons for k, overlap in enumerate(iou(p.box, found.boxes))),
            key=lambda pair: -pair[0],
        )
        for overlap, k, person in pairs:
            if overlap < 0.2 or k not in free or person.id in out:
                continue
            free.remove(k)
            self._follow(person, found.boxes[k], float(found.scores[k]), frame.t)
            out[person.id] = (person.box, person.score)
        for k in free:
            person = _Person(self._next_id, found.boxes[k], float(found.scores[k]), frame.t)
            self._next_id += 1
            self._persons.append(person)
            out[person.id] = (person.box, person.score)
        return out

    def _follow(self, person: _Person, box: Floats, score: float, t: float) -> None:
        """One-euro smoothing (Casiez et al. 2012): strong when the face is still, weak when it moves."""
        dt = max(t - person.t, 1e-3)
        size = float(np.mean(person.box[2:] - person.box[:2]))
        rate = float(np.abs(box - person.box).max()) / max(size, 1e-9) / dt
        person.speed += (rate - person.speed) * dt / (dt + 1 / (2 * np.pi * 1.0))
        cutoff = 0.4 + 6.0 * person.speed
        person.box = person.box + (box - person.box) * dt / (dt + 1 / (2 * np.pi * cutoff))
        person.score, person.t = score, t

    def _is_cut(self, frame: Frame) -> bool:
        """Whether the picture, or all of a face, changed from one frame to the next."""
        h, w = frame.rgb.shape[:2]
        thumb = _look(frame.rgb[:: max(h // 48, 1), :: max(w // 64, 1)], (32, 24))
        before, self._thumb = self._thumb, thumb
        cut = before is not None and _changed(before, thumb, 0.5)
        for person in self._persons:
            x0, y0, x1, y1 = np.clip(person.box, 0, [w, h, w, h]).astype(int)
            step = max((x1 - x0) // 32, 1)
            patch = frame.rgb[y0:y1:step, x0:x1:step]
            look = _look(patch, (12, 12)) if patch.size else None
            if look is not None and person.look is not None:
                cut = cut or _changed(person.look, look, 0.6)
            person.look = look
        return cut


def _look(rgb: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float64)
    return np.asarray(small.reshape(-1, 3))


def _changed(a: Floats, b: Floats, correlation: float) -> bool:
    """Whether two thumbnails (N, 3) show different things. A change of light alone is not a cut."""
    x, y = a - a.mean(axis=0), b - b.mean(axis=0)
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    contrast = float(np.sqrt(max((x * x).mean(), (y * y).mean())))
    if contrast < 8.0:  # two flat pictures: nothing to compare
        return False
    return float((x * y).sum()) < correlation * max(power, 1e-9)
