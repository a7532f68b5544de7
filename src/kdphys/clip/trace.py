"""One face over time, reduced to numbers: the RGB trace and the evidence about its quality."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import crop, square
from kdphys.clip.skin import GRID, SIZE, SkinWeights, skin_means
from kdphys.containers import Evidence, Frame, RgbTrace
from kdphys.dsp import resample_by_time

Floats = NDArray[np.floating[Any]]

#: A stretch without a face, or without frames, longer than this stays a gap, seconds.
MAX_GAP_S = 0.5
_PATCHES = GRID * GRID
_COLUMNS = 3 + 3 + 3 * _PATCHES  # rgb; luma, clipped, motion; patches


class TraceBuilder:
    """Collects one person's skin colour, frame by frame; memory is some hundred bytes a frame.

    Args:
        whole: take the box as it is and weigh all its pixels alike (a finger on the lens, a patch of skin) instead of
            looking for the skin of a face in it.
    """

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole
        self._skin = SkinWeights()
        self._times: list[float] = []
        self._rows: list[Floats] = []
        self._last: tuple[float, Floats] | None = None

    def __len__(self) -> int:
        return len(self._times)

    def add(self, frame: Frame, box: Floats) -> None:
        """Take a frame and the face box (x0, y0, x1, y1) in it."""
        region = np.asarray(box, float) if self.whole else square(box, 1.0)
        face = crop(frame.rgb, region, SIZE)
        weights = np.ones((SIZE, SIZE), np.float32) if self.whole else self._skin.update(face, frame.t)
        mean, patches = skin_means(face, weights)
        motion = 0.0
        if self._last is not None:
            t, before = self._last
            shift = np.abs(np.asarray(box) - before)
            side = max(float(box[2] - box[0]), 1.0)
            motion = float(shift.mean()) / side / max(frame.t - t, 1e-3)
        self._last = (frame.t, np.array(box, float))
        clipped = float((face[8:-8, 8:-8].max(axis=2) > 250.0).mean())
        luma = float(mean @ [0.299, 0.587, 0.114])
        self._times.append(frame.t)
        self._rows.append(np.concatenate([mean, [luma, clipped, motion], patches.reshape(-1)]).astype(np.float32))

    def build(self, fs: float = 30.0, t0: float | None = None) -> RgbTrace:
        """The trace on a uniform clock, with its evidence.

        Args:
            fs: sampling rate in Hz.
            t0: time of the first sample; that of the first frame by default.
        """
        times = np.array(self._times)
        rows = np.array(self._rows, dtype=np.float64).reshape(len(times), _COLUMNS)
        patches = _whole_patches(rows[:, 6:].reshape(len(times), _PATCHES, 3), times)
        table = np.concatenate([rows[:, :6], patches.reshape(len(times), -1)], axis=1)
        values, valid, start = resample_by_time(times, table, fs, MAX_GAP_S, t0)
        step = np.diff(times)
        rate = 1.0 / float(np.mean(step[step <= MAX_GAP_S])) if (step <= MAX_GAP_S).any() else 0.0
        evidence = Evidence(
            rgb=values[:, :3],
            patches=values[:, 6:].reshape(len(values), patches.shape[1], 3),
            luma=values[:, 3],
            clipped=values[:, 4],
            motion=values[:, 5],
            source_fps=rate,
        )
        return RgbTrace(values[:, :3], fs, start, valid, evidence)


def _whole_patches(patches: Floats, times: Floats) -> Floats:
    """The patches that showed skin in nearly all frames, their few missing frames interpolated."""
    seen = np.asarray(np.isfinite(patches).all(axis=2))
    keep = np.flatnonzero(seen.mean(axis=0) > 0.9) if len(times) else np.arange(0)
    out = patches[:, keep].copy()
    for column, k in enumerate(keep):
        missing = ~seen[:, k]
        if missing.any():
            for c in range(3):
                out[missing, column, c] = np.interp(times[missing], times[~missing], patches[~missing, k, c])
    return out
