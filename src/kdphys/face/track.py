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
from kdphys.face.detect import Detections, iou
from kdphys.face.find import FaceFinder

Floats = NDArray[np.floating[Any]]


#: A picture that differs by more than this from the last one, in standard deviations, may be another scene.
_LEAP = 0.3
#: A face that differs by more than this from who was there before, in standard deviations, is another one.
_OTHER = 0.7
#: Stands for the whole picture where the others are persons.
_PICTURE = -1
#: A picture with less contrast than this, in grey levels, is flat.
_FLAT = 8.0


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """A frame with the faces in it: person → (box float64 (4,) in pixels, detector score)."""

    frame: Frame
    faces: dict[int, tuple[Floats, float]]


@dataclass(frozen=True, eq=False)
class _Look:
    """A thumbnail whose light does not count: float32 (N, 3), each colour's mean taken out, over their spread."""

    values: NDArray[np.float32]
    spread: float  # grey levels


@dataclass
class _Person:
    id: int
    box: Floats  # smoothed, at `t`
    score: float
    t: float
    speed: float = 0.0  # of the centre, box widths a second
    look: _Look | None = None  # when last seen


@dataclass
class FaceTracker:
    """Finds and follows faces, frame by frame.

    Args:
        interval_s: time between detections.
        memory_s: a face that comes back to its place within this time is the same person.
        detector: what finds faces in picture after picture.
        buffer_bytes: memory for the frames that wait for the next detection; large frames are detected more often.

    A face is "there" at a time only when detections on both sides of it, at most ``interval_s`` (or one frame, if
    frames are slower) apart, saw it. A picture that changes at once (a cut) ends all tracks; a face that changes at
    once into another face ends its own.
    """

    interval_s: float = 0.16
    memory_s: float = 4.0
    detector: Callable[[NDArray[np.uint8]], Detections] = field(default_factory=FaceFinder)
    buffer_bytes: int = 32 << 20
    cuts: int = 0

    def __post_init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._persons: list[_Person] = []
        self._seen: dict[int, tuple[Floats, float]] = {}  # faces at the last detection
        self._seen_t = 0.0
        self._next_id = 0
        self._before: tuple[NDArray[np.uint8], _Look] | None = None  # the last picture, made small, and how it looked
        self._looks: dict[int, tuple[Floats, _Look | None]] = {}  # the same of each face, and where that was
        self._steps: dict[int, deque[float]] = {}
        self._started = False

    def push(self, frame: Frame) -> list[TrackedFrame]:
        """Take one frame; give back, in order, the frames whose boxes are now known."""
        cut, changed = self._changes(frame)
        out: list[TrackedFrame] = []
        if cut or changed:
            out = self.flush()  # a detection on the last picture before settles what waits
            visible = [p for p in self._persons if p.id in self._seen]
            replaced = {p.id for p in self._replaced(visible if cut else changed, frame)}
            self._persons = [p for p in self._persons if p.id not in replaced]
            self._seen = {}
            self._started = False
            self.cuts += cut
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

    def remembers(self, person: int) -> bool:
        """Whether ``person`` would be known again on coming back now."""
        return any(p.id == person for p in self._persons)

    def track(self, frames: Iterable[Frame]) -> Iterator[TrackedFrame]:
        """All frames of a video, in order, with their faces."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def _replaced(self, changed: list[_Person], frame: Frame) -> list[_Person]:
        """Those whose place in the picture now shows another face; a face that is merely hidden may come back."""
        boxes = self.detector(frame.rgb).boxes
        return [p for p in changed if (iou(p.box, boxes) > 0.2).any()]

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
            if person.id not in self._seen and self._is_other(person, frame, found.boxes[k]):
                continue
            free.remove(k)
            self._follow(person, found.boxes[k], float(found.scores[k]), frame.t)
            out[person.id] = (person.box, person.score)
        for k in free:
            person = _Person(self._next_id, found.boxes[k], float(found.scores[k]), frame.t)
            self._next_id += 1
            self._persons.append(person)
            out[person.id] = (person.box, person.score)
        for person in self._persons:
            if person.id in out:
                person.look = _patch(frame.rgb, person.box)
        for key in self._steps.keys() - {_PICTURE, *(p.id for p in self._persons)}:
            del self._steps[key]
        return out

    @staticmethod
    def _is_other(person: _Person, frame: Frame, box: Floats) -> bool:
        """Whether who appears where a person was hidden looks like somebody else."""
        look = _patch(frame.rgb, box)
        return person.look is not None and look is not None and _difference(person.look, look) > _OTHER

    def _follow(self, person: _Person, box: Floats, score: float, t: float) -> None:
        """One-euro smoothing (Casiez et al. 2012): strong when the face is still, weak when it moves."""
        dt = max(t - person.t, 1e-3)
        size = float(np.mean(person.box[2:] - person.box[:2]))
        rate = float(np.abs(box - person.box).max()) / max(size, 1e-9) / dt
        person.speed += (rate - person.speed) * dt / (dt + 1 / (2 * np.pi * 1.0))
        cutoff = 0.4 + 6.0 * person.speed
        person.box = person.box + (box - person.box) * dt / (dt + 1 / (2 * np.pi * cutoff))
        person.score, person.t = score, t

    def _changes(self, frame: Frame) -> tuple[bool, list[_Person]]:
        """Whether the whole picture changed from the last frame to this one, and whose face did."""
        step = max(min(frame.rgb.shape[:2]) // 96, 1)
        height, width = frame.rgb.shape[:2]
        small = np.asarray(
            cv2.resize(frame.rgb, (width // step, height // step), interpolation=cv2.INTER_NEAREST), np.uint8
        )
        look = _look(small, (32, 24))
        last, self._before = self._before, (small, look)
        known, self._looks = self._looks, {}
        if last is None or last[0].shape != small.shape:
            return False, []
        cut = self._leaps(_PICTURE, last[1], look)
        changed = []
        for person in self._persons:
            if person.id not in self._seen:
                continue  # hidden already
            where, was = known.get(person.id, (None, None))
            if where is not person.box:  # it moved since
                was = _patch(last[0], person.box / step)
            now = _patch(small, person.box / step)
            self._looks[person.id] = person.box, now
            if was is not None and now is not None and self._leaps(person.id, was, now):
                changed.append(person)
        return cut, changed

    def _leaps(self, key: int, was: _Look, now: _Look) -> bool:
        """Whether a part of the picture changed at once, and not by the kind of change that it was in already."""
        steps = self._steps.setdefault(key, deque(maxlen=8))
        step = _difference(was, now)
        usual = max(steps, default=0.0)
        steps.append(step)
        return len(steps) > 2 and step > _LEAP and step > 4.0 * usual


def _look(rgb: NDArray[np.uint8], size: tuple[int, int]) -> _Look:
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
    small -= np.array(cv2.mean(small.reshape(-1, 1, 3))[:3], np.float32)
    spread = float(cv2.norm(small)) / small.size**0.5
    return _Look(small / np.float32(max(spread, _FLAT)), spread)


def _patch(rgb: NDArray[np.uint8], box: Floats) -> _Look | None:
    """How the face in ``box`` looks, or None where it is not in the picture."""
    h, w = rgb.shape[:2]
    x0, y0, x1, y1 = np.clip(box, 0, [w, h, w, h]).astype(int)
    step = max((x1 - x0) // 48, 1)
    part = rgb[y0:y1:step, x0:x1:step]
    return _look(part, (16, 16)) if min(part.shape[:2]) >= 4 else None


def _difference(a: _Look, b: _Look) -> float:
    """Mean difference of two looks in standard deviations: a change of light alone is none."""
    if max(a.spread, b.spread) < _FLAT:  # two flat pictures: nothing to compare
        return 0.0
    return float(cv2.norm(a.values, b.values, cv2.NORM_L1)) / a.values.size
