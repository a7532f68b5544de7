"""The raw waveform of a method, sample by sample as they come, and how far each looks ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.transform import Block
from kdphys.dsp import runs
from kdphys.errors import InvalidInputError
from kdphys.pulse.engines import ClipMethod
from kdphys.pulse.estimate import TraceMethod
from kdphys.pulse.shape import MIN_RUN_S
from kdphys.streaming.ring import Ring

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

#: Methods in short windows: name → (samples between the starts of windows, or 0 for half a window).
_WINDOWED = {"pos": 1, "chrom": 0}
_WINDOW_S = 1.6


class Waveform(ABC):
    """What a method makes of a stream.

    Attributes:
        fs: of its samples, Hz.
        lookahead: samples of the future that one output waits for.
        exact: whether the output is that of the whole recording.
        size, box_scale: of the crops that it takes; size None: it takes the mean colour.
    """

    size: int | None = None
    box_scale: float = 1.0
    exact = True

    def __init__(self, name: str, fs: float, lookahead: int, rows: int) -> None:
        self.name, self.fs, self.lookahead = name, fs, lookahead
        self.ring = Ring(rows, 1)

    @abstractmethod
    def take(self, block: Block) -> None:
        """Take samples: crops (N, S, S, 3) or colours (N, 3)."""

    @abstractmethod
    def settle(self) -> None:
        """Compute what can be computed now."""

    @abstractmethod
    def restart(self) -> None:
        """Forget all: another person."""

    def raw(self, start: int, stop: int) -> tuple[Floats, Bools]:
        """The raw waveform (T,) and where there is one."""
        values, seen = self.ring.view(start, stop)
        return values[:, 0], seen


class _Stretch:
    """The samples of the current stretch that are still needed."""

    def __init__(self) -> None:
        self.parts: list[Floats] = []
        self.origin = self.start = self.done = self.stop = 0  # numbers of samples

    def add(self, block: Block) -> None:
        if not self.parts:
            self.origin = self.start = self.done = self.stop = block.start
        if len(block.values):
            self.parts.append(block.values)
            self.stop = block.start + len(block.values)

    def all(self) -> Floats:
        values = np.concatenate(self.parts)
        self.parts = [values]
        return values

    def forget(self, before: int) -> None:
        if before > self.start:
            self.parts = [self.all()[before - self.start :]]
            self.start = before


class Windowed(Waveform):
    """A classical method whose windows are finite: each block is computed with the context that its samples depend on.

    Args:
        method: in windows of 1.6 s that start every ``hop`` samples from the start of the stretch.
    """

    def __init__(self, method: TraceMethod, fs: float, rows: int) -> None:
        size = int(np.ceil(_WINDOW_S * fs))
        size += size % 2
        hop = _WINDOWED[method.name] or size // 2
        super().__init__(method.name, fs, size - (hop == 1), rows)
        self._function, self._size, self._hop = method.function, size, hop
        self._stretch = _Stretch()

    def take(self, block: Block) -> None:
        self._stretch.add(block)
        if block.ends:
            self._compute(0)
            self._stretch = _Stretch()

    def settle(self) -> None:
        self._compute(self.lookahead)

    def restart(self) -> None:
        self.ring.clear()
        self._stretch = _Stretch()

    def _compute(self, lookahead: int) -> None:
        s = self._stretch
        stop = s.stop - lookahead
        if s.stop - s.origin < MIN_RUN_S * self.fs or stop <= s.done:
            return
        wave = self._function(s.all().astype(np.float64), self.fs)
        self.ring.put(s.done, wave[s.done - s.start : stop - s.start, None])
        s.done = stop
        # Windows keep their places: the context starts where a window does.
        back = max(stop - self._size - s.origin, 0) // self._hop * self._hop
        s.forget(s.origin + back)


class Rolling(Waveform):
    """A classical method in windows of 10 s: computed anew over the last samples at each refresh.

    Waiting for all windows that cover a sample would take 10 s. What is told now is as if the recording ended here.
    """

    exact = False

    def __init__(self, method: TraceMethod, fs: float, rows: int) -> None:
        super().__init__(method.name, fs, 0, rows)
        self._function = method.function
        self._colour = Ring(rows, 3)
        self.ring = self._colour

    def take(self, block: Block) -> None:
        self._colour.put(block.start, block.values.astype(np.float64))

    def settle(self) -> None:
        pass

    def restart(self) -> None:
        self._colour.clear()

    def raw(self, start: int, stop: int) -> tuple[Floats, Bools]:
        rgb, valid = self._colour.view(start, stop)
        raw, seen = np.zeros(len(rgb)), np.zeros(len(rgb), bool)
        for run in runs(valid):
            if run.stop - run.start >= MIN_RUN_S * self.fs:
                raw[run], seen[run] = self._function(rgb[run], self.fs), True
        return raw, seen


def open_waveform(method: TraceMethod | ClipMethod, fs: float, rows: int) -> Waveform:
    """A method on a stream.

    Args:
        method: from :func:`kdphys.load_method`.
        fs: of traces, Hz.
        rows: samples that are kept.

    Raises:
        InvalidInputError: the method needs the whole recording.
    """
    if isinstance(method, ClipMethod):
        raise InvalidInputError(f"method {method.name!r} does not run on a stream yet; take 'pos'")
    return (Windowed if method.name in _WINDOWED else Rolling)(method, fs, rows)
