"""Samples with their own times onto a uniform clock, block by block, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.dsp import MAX_GAP_S, resample_by_time

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Block:
    """Samples that follow each other without a gap.

    Args:
        start: index of the first sample on the clock.
        values: float32 (N, …); N may be 0.
        ends: whether the stretch ends here: what comes next is after a gap.
    """

    start: int
    values: NDArray[np.float32]
    ends: bool


class Resampler:
    """Resamples arrays (crops, colours) to ``fs`` as they come.

    Gives what :func:`kdphys.dsp.resample_by_time` gives for the whole.

    Args:
        fs: sampling rate in Hz.
        t0: time of sample 0 in seconds.
        max_gap_s: a stretch without samples longer than this ends the stretch of samples.
        hold: how many are collected before they are resampled.
    """

    def __init__(self, fs: float, t0: float, max_gap_s: float = MAX_GAP_S, hold: int = 64) -> None:
        self.fs, self.t0, self.max_gap_s, self.hold = fs, t0, max_gap_s, hold
        self._times: list[float] = []
        self._samples: list[NDArray[np.float32]] = []
        self._next = 0  # the sample that comes next

    def push(self, t: float, sample: NDArray[np.float32]) -> list[Block]:
        """Take an array float32 of any shape, always the same, at time ``t`` in seconds; give back what is settled."""
        out = []
        if self._times and t - self._times[-1] > self.max_gap_s:
            out += self.flush()
        self._times.append(t)
        self._samples.append(sample)
        if len(self._times) >= self.hold:
            out += self.settle()
        return out

    def settle(self) -> list[Block]:
        """What can be told from the samples so far."""
        return self._settle(last=False)

    def flush(self) -> list[Block]:
        """End of the stretch: all that is left."""
        out = self._settle(last=True)
        self._times.clear()
        self._samples.clear()
        return out

    def _settle(self, last: bool) -> list[Block]:
        times = np.array(self._times)
        if len(times) < 2:
            return [Block(self._next, _none(self._samples), True)] if last and self._samples else []
        end = times[-1] if last else times[-1] - 0.5 / self.fs
        first = max(self._next, int(np.ceil((times[0] - self.t0) * self.fs - 1e-6)))
        stop = int(np.floor((end - self.t0) * self.fs + 1e-6)) + 1
        if stop <= first:
            return [Block(first, _none(self._samples), True)] if last else []
        flat = np.array(self._samples, dtype=np.float64).reshape(len(times), -1)
        begin = self.t0 + first / self.fs
        values, valid, _ = resample_by_time(times, flat, self.fs, self.max_gap_s, begin)
        n = stop - first
        settled = values[:n][valid[:n]].astype(np.float32).reshape(-1, *self._samples[0].shape)
        self._next = first + len(settled)
        if not last:  # keep what the next sample's average reaches back to
            reach = self.t0 + (self._next - 0.5) / self.fs
            keep = max(int(np.searchsorted(times, reach, side="right")) - 1, 0)
            del self._times[:keep]
            del self._samples[:keep]
        return [Block(first, settled, last)]


def _none(samples: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.empty((0, *samples[0].shape), np.float32)
