"""All persons of a video while its frames pass by, each with what is kept of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import crop, square
from kdphys.clip.steady import Steady
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Evidence, Frame, Pulse

Floats = NDArray[np.floating[Any]]

#: A person seen for less than this, seconds, and for less than half of the video, is not reported.
MIN_FACE_S = 2.0
#: Pictures of so many persons are kept, the largest.
_PORTRAITS = 8


class Sink(Protocol):
    """What takes the crops of one person: see :class:`kdphys.pulse.engines.ClipSink`."""

    size: int
    box_scale: float

    def push(self, t: float, crop: NDArray[np.float32]) -> None:
        """Take a crop float32 (S, S, 3) at ``t`` seconds."""

    def finish(self, n: int, evidence: Evidence | None) -> Pulse | None:
        """The pulse of ``n`` samples."""


class Collector:
    """One person while the frames pass by.

    Args:
        fs: sampling rate of the trace, Hz.
        t0: time of its first sample, seconds.
        whole: see :class:`kdphys.clip.trace.TraceBuilder`.
        sink: takes the crops, if anything wants them.

    Attributes:
        times, scores: of the frames with this face, seconds and 0–1.
        area: of its boxes, summed over the frames, pixels.
        portrait: the frame in which it was seen best.
    """

    def __init__(self, fs: float, t0: float, whole: bool, sink: Sink | None) -> None:
        self.builder = TraceBuilder(fs, t0, whole)
        self._steady = Steady()
        self.sink = sink
        self.times, self.scores = array("d"), array("f")
        self._boxes = array("f")  # four a frame; packed, for hours of video
        self.portrait: Frame | None = None
        self._best = -1.0
        self.area = 0.0

    def add(self, frame: Frame, box: Floats, score: float) -> None:
        """Take a frame with the face in ``box`` (x0, y0, x1, y1 in pixels)."""
        held = None if self.sink is None or self.builder.whole else self._steady(frame, box)
        self.builder.add(frame, box, held)
        if self.sink is not None:
            region = box if held is None else square(held, self.sink.box_scale)
            self.sink.push(frame.t, crop(frame.rgb, region, self.sink.size))
        self.times.append(frame.t)
        self._boxes.extend(float(v) for v in box)
        self.scores.append(score)
        self.area += float(np.prod(box[2:] - box[:2]))
        if score > self._best + 0.02:  # few copies: only for a clearly better look
            self._best, self.portrait = score, Frame(frame.rgb.copy(), frame.t)

    @property
    def boxes(self) -> Floats:
        """float64 (T, 4): x0, y0, x1, y1 in pixels."""
        return np.array(self._boxes, dtype=np.float64).reshape(-1, 4)

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return self.times[-1] - self.times[0] if self.times else 0.0


class Crowd:
    """All persons of a video; of those who are gone only as much is kept as may be asked for.

    Args:
        most: how many persons, the largest, will be asked for; None: all.
        open_one: makes a collector.
    """

    def __init__(self, most: int | None, open_one: Callable[[], Collector]) -> None:
        self._most, self._open = most, open_one
        self.people: dict[int, Collector] = {}
        self._gone: list[float] = []  # seconds of those who are forgotten

    def add(self, frame: Frame, faces: Mapping[int, tuple[Floats, float]], known: Callable[[int], bool]) -> None:
        """Take a frame.

        Args:
            frame: the picture.
            faces: person → (box, score).
            known: whether a person may still come back.
        """
        for key, (where, score) in faces.items():
            if key not in self.people:
                self._forget(lambda other: other in faces or known(other))
                self.people[key] = self._open()
            self.people[key].add(frame, where, score)

    def _forget(self, known: Callable[[int], bool]) -> None:
        ranked = sorted(self.people, key=lambda k: (self.people[k].seconds < MIN_FACE_S, -self.people[k].area))
        for key in ranked[_PORTRAITS:]:
            self.people[key].portrait = None
        for key in ranked[self._most :] if self._most is not None else ():
            if not known(key):
                self._gone.append(self.people.pop(key).seconds)

    def chosen(self, least_s: float) -> tuple[dict[int, Collector], list[float], int]:
        """Who is asked for.

        Args:
            least_s: who was there for less is not meant, seconds.

        Returns:
            the persons, the largest first; for how many seconds each of the others was there; and how many were there
            more briefly.
        """
        long = [key for key, c in self.people.items() if c.seconds >= least_s]
        order = sorted(long, key=lambda key: -self.people[key].area)
        asked = order if self._most is None else order[: self._most]
        others = [*self._gone, *(c.seconds for key, c in self.people.items() if key not in asked)]
        rest = [s for s in others if s >= least_s]
        return {key: self.people[key] for key in asked}, rest, len(others) - len(rest)
