"""Recordings of a prepared store: their faces have been found and cropped already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.clip.skin import SIZE
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Pulse, RgbTrace, Signal
from kdphys.data.store import CHUNK, Store, StoreItem
from kdphys.errors import InvalidInputError
from kdphys.pipeline import FS
from kdphys.pulse.engines import ClipMethod


@dataclass(frozen=True, eq=False)
class Prepared:
    """One recording of a store. What it knows of the face is its crops: head motion and the camera's own rate are lost.

    Args:
        item: of the store.
        box_scale: face box × this = crop.
    """

    item: StoreItem
    box_scale: float

    @property
    def subject(self) -> str:
        """The person, "data set/person"."""
        return self.item.subject

    @property
    def name(self) -> str:
        """The key in the store."""
        return self.item.key

    @property
    def conditions(self) -> Mapping[str, str]:
        """Tags."""
        return self.item.conditions

    @property
    def references(self) -> Mapping[str, Signal]:
        """As recorded."""
        return self.item.references

    def measure(self, methods: Sequence[ClipMethod]) -> tuple[RgbTrace, list[Pulse]]:
        """One pass over the crops.

        Args:
            methods: learned methods; they are given the crops as they are, averaged down to their size.

        Returns:
            the colour of the skin in the inner part of the crops, which is the face box; the pulse of each method
            in their order.

        Raises:
            InvalidInputError: the crops are too small for a method, or cut wider or narrower than it expects.
        """
        for method in methods:
            self._check(method)
        item, builder = self.item, TraceBuilder(FS, self.item.t0)
        sinks = [method.open(item.t0) for method in methods]
        box = _inner(item.size, self.box_scale)
        x0, _, x1, _ = box
        for t, crop in self._crops():
            inner = crop[x0:x1, x0:x1]
            builder.add_face(t, _resized(inner, SIZE), np.array(box, float))
            for sink in sinks:
                sink.push(t, _resized(crop, sink.size))
        trace = builder.build(float(item.times[-1]))
        return trace, [sink.finish(len(trace.rgb), trace.evidence) for sink in sinks]

    def _check(self, method: ClipMethod) -> None:
        spec = method.spec
        if spec.size > self.item.size or abs(spec.box_scale - self.box_scale) > 1e-6:
            raise InvalidInputError(
                f"{self.name}: method {method.name!r} needs crops of {spec.size} px or more, {spec.box_scale:g} × the "
                f"face box; the store holds {self.item.size} px, {self.box_scale:g} ×. Prepare one with --size "
                f"{spec.size}, or evaluate the videos themselves"
            )

    def _crops(self) -> Iterator[tuple[float, NDArray[np.float32]]]:
        times, valid = self.item.times, self.item.valid
        for start in range(0, len(times), CHUNK):
            block = self.item.read(start, start + CHUNK).astype(np.float32)
            for k in np.flatnonzero(valid[start : start + CHUNK]):
                yield float(times[start + k]), block[k]


def prepared(store: Store, items: Sequence[StoreItem]) -> list[Prepared]:
    """Some recordings of a store, to be evaluated."""
    settings: Mapping[str, Any] = (store.manifest or {})["settings"]
    return [Prepared(item, float(settings["box_scale"])) for item in items]


def _inner(size: int, scale: float) -> tuple[int, int, int, int]:
    """The face box in its crop, whole pixels."""
    edge = round(size * (1 - 1 / scale) / 2)
    return edge, edge, size - edge, size - edge


def _resized(rgb: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Averaged down, or interpolated up."""
    if rgb.shape[0] == size:
        return rgb
    how = cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=how), np.float32)
