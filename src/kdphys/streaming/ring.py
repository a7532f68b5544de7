"""The last samples of a stream, by their number on its clock; and what puts samples there as they come."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.trace import COLOURS, TraceBuilder, evidence_of
from kdphys.clip.transform import Block, Resampler
from kdphys.containers import Evidence
from kdphys.dsp import MAX_GAP_S

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

#: Samples that wait until they are resampled together, unless a refresh comes first.
HOLD = 8
#: A patch of the face is used when it was seen in this share of the frames.
_SEEN = 0.9


class Ring:
    """The last ``rows`` samples; those that never came are not valid. Memory is fixed at creation.

    Args:
        rows: samples that are kept.
        columns: numbers in a sample.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows = rows
        self._values = np.zeros((2 * rows, columns))
        self._valid = np.zeros(2 * rows, bool)
        self._first = 0  # number of the sample in row 0
        self.stop = 0  # number of the sample that comes next

    def put(self, start: int, values: Floats) -> None:
        """Add samples (N, columns) from number ``start`` on; what lies between the last and them is a gap."""
        if len(values) > self.rows:
            start, values = start + len(values) - self.rows, values[-self.rows :]
        self.skip(start)
        at = self._room(len(values))
        self._values[at : at + len(values)] = values
        self._valid[at : at + len(values)] = True
        self.stop += len(values)

    def skip(self, stop: int) -> None:
        """No samples come up to number ``stop``."""
        n = stop - self.stop
        if n >= self.rows:
            self._valid[:] = False
            self._first = self.stop = stop
        elif n > 0:
            at = self._room(n)
            self._valid[at : at + n] = False
            self.stop = stop

    def clear(self) -> None:
        """Forget all samples; the clock goes on."""
        self._valid[:] = False

    def view(self, start: int, stop: int) -> tuple[Floats, Bools]:
        """Values (stop − start, columns) and whether they are there; a copy."""
        values = np.zeros((stop - start, self._values.shape[1]))
        valid = np.zeros(stop - start, bool)
        low, high = max(start, self._first, self.stop - self.rows), min(stop, self.stop)
        if high > low:
            here, there = slice(low - start, high - start), slice(low - self._first, high - self._first)
            values[here], valid[here] = self._values[there], self._valid[there]
        return values, valid

    def _room(self, n: int) -> int:
        """Make room for ``n`` more; the row of the first of them."""
        at = self.stop - self._first
        if at + n > 2 * self.rows:
            keep = min(self.rows, at)
            self._values[:keep] = self._values[at - keep : at]
            self._valid[:keep] = self._valid[at - keep : at]
            self._first = self.stop - keep
            at = keep
        return at


class LiveTrace(TraceBuilder):
    """A :class:`TraceBuilder` whose rows are taken out as they come.

    A row is: mean R, G, B, luma, clipped share, motion, surround, rate, place, sharpness, R, G, B of each patch.
    """

    columns = COLOURS + 3 * 16

    def __init__(self, fs: float, t0: float, whole: bool, memory: int) -> None:
        super().__init__(fs, t0, whole)
        self._stream = Resampler(fs, t0, MAX_GAP_S, hold=HOLD)
        self._marks: deque[tuple[int, Floats]] = deque(maxlen=memory)

    def take(self, settle: bool = False, end: bool = False) -> list[Block]:
        """The rows since the last call.

        Args:
            settle: those too that wait to be resampled together.
            end: the stretch ends here.
        """
        out, self._blocks = self._blocks, []
        assert self._stream is not None
        if end:
            return out + self._stream.flush()
        return out + self._stream.settle() if settle else out

    def mark(self) -> None:
        """A refresh: what is counted before the last ``memory`` of them is forgotten."""
        self._marks.append((self._count, self._seen.copy()))

    def evidence(self, rows: Floats, valid: Bools) -> Evidence:
        """From rows (T, columns), as :meth:`TraceBuilder.build` does for a whole recording."""
        count, seen = self._marks[0] if len(self._marks) == self._marks.maxlen else (0, 0.0)
        keep = np.flatnonzero(self._seen - seen > _SEEN * max(self._count - count, 1))
        table = np.where(valid[:, None], rows, np.nan)
        return evidence_of(table, table[:, COLOURS:].reshape(len(rows), len(self._seen), 3)[:, keep])
