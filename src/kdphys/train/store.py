"""Clips out of a prepared store: the user's own recordings, or a public data set's."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kdphys.data.store import StoreItem, open_store
from kdphys.dsp import moving, pulse_frequency, runs
from kdphys.errors import DataError
from kdphys.train.augment import Augmentation
from kdphys.train.config import SourceConfig
from kdphys.train.data import ClipBatch
from kdphys.train.pool import FS, collate, cut

_log = logging.getLogger(__name__)


class StoreSource:
    """Windows of the recordings of one part of a store's split, every recording as often as the others.

    A window lies in a stretch where the face was there and the reference is known throughout. Recordings without one
    that is long enough are left out with a warning; the heart rate is read from the reference as from a pulse.

    Args:
        config: of the source.

    Raises:
        DataError: no store, another sampling rate than 30 Hz, or nobody in this part.
    """

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        store = open_store(config.path)
        if store.fs != FS:
            raise DataError(f"{config.path}: prepared at {store.fs} Hz; prepare it at {FS} Hz for training")
        fold = int(config.fold) if config.fold.isdecimal() else config.fold or None
        items = list(store) if config.part == "all" else store.part(config.split, config.part, fold)
        if not items:
            raise DataError(f"{config.path}: no recordings in part {config.part!r} of split {config.split!r}")
        self.size = store.size
        self._told: set[int] = set()
        self.items = [(item, item.bvp, _usable(item)) for item in items]

    def draw(self, seed: Sequence[int], batch: int, frames: int, size: int) -> ClipBatch:
        """See :class:`kdphys.train.data.Source`."""
        if size != self.size:
            raise DataError(f"{self.config.path}: holds crops of {self.size} px; the run needs {size} px")
        long = [(i, b, [r for r in stretches if r.stop - r.start >= frames]) for i, b, stretches in self.items]
        good = [entry for entry in long if entry[2]]
        if not good:
            raise DataError(f"{self.config.path}: no recording with {frames} samples of face and reference in a row")
        if len(good) < len(long) and frames not in self._told:
            self._told.add(frames)
            missing = ", ".join(item.key for item, _, stretches in long if not stretches)
            _log.warning("%s: no %d samples in a row in %s", self.config.path, frames, missing)
        rng = np.random.default_rng([int(s) for s in seed])
        return collate([self._window(*good[int(rng.integers(len(good)))], frames, rng) for _ in range(batch)])

    def _window(
        self,
        item: StoreItem,
        bvp: NDArray[np.float32],
        stretches: list[slice],
        frames: int,
        rng: np.random.Generator,
    ) -> ClipBatch:
        lengths = np.array([r.stop - r.start for r in stretches], float)
        stretch = stretches[int(rng.choice(len(stretches), p=lengths / lengths.sum()))]
        longest = int(np.ceil(frames * Augmentation().stretch)) + 1 if self.config.augment else frames
        length = min(longest, stretch.stop - stretch.start)
        start = int(rng.integers(stretch.start, stretch.stop - length + 1))
        wave = torch.from_numpy(bvp[start : start + length])
        rate = 60.0 * pulse_frequency(bvp[start : start + length].astype(np.float64), FS)
        pixels = torch.from_numpy(item.read(start, start + length))
        return cut(pixels, wave, rate, True, frames, rng, self.config.augment)


def _usable(item: StoreItem) -> list[slice]:
    """Stretches with a face and a reference; one that stands still, as sensors do that have slipped, is none."""
    bvp = np.asarray(item.bvp, np.float64)
    return runs(moving(np.arange(len(bvp)) / FS, bvp, item.valid & np.isfinite(bvp)))
