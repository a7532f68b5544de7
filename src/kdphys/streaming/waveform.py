"""The raw waveform of a method, sample by sample as they come, and how far each looks ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.transform import Block
from kdphys.dsp import runs
from kdphys.errors import InvalidInputError
from kdphys.pulse.engines import States, StreamEngine, StreamMethod, load_stream
from kdphys.pulse.estimate import BUNDLED, Method, TraceMethod, load_method
from kdphys.pulse.shape import MIN_RUN_S
from kdphys.streaming.ring import Ring

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

#: Windows of the methods whose windows are short, seconds; windows start at every sample or every half window.
_SHORT_S = 1.6
_EVERY_SAMPLE = {"pos": True, "chrom": False}
#: Crops that wait until they are computed together, unless a refresh comes first, and the most in one call.
_CHUNK, _MOST = 8, 64
#: Samples after which functions of a context are computed at the latest.
_LATEST = 300


class Waveform(ABC):
    """What a method makes of a stream.

    Args:
        name: of the method.
        fs: of its samples, Hz.
        lookahead: samples of the future that one output waits for.
        rows: samples that are kept.

    Attributes:
        size, box_scale: of the crops that it takes; size None: it takes the mean colour.
        ring: the raw waveform; its ``stop`` is how far it has come.
    """

    size: int | None = None
    box_scale: float = 1.0

    def __init__(self, name: str, fs: float, lookahead: int, rows: int) -> None:
        self.name, self.fs, self.lookahead = name, fs, lookahead
        self.ring = Ring(rows, 1)

    @abstractmethod
    def take(self, block: Block) -> None:
        """Take samples: crops float32 (N, S, S, 3) or colours (N, 3)."""

    @abstractmethod
    def settle(self) -> None:
        """Compute what can be computed now."""

    def restart(self) -> None:
        """Forget all: another person."""
        self.ring.clear()

    def raw(self, start: int, stop: int) -> tuple[Floats, Bools]:
        """The raw waveform (T,) and where there is one."""
        values, seen = self.ring.view(start, stop)
        return values[:, 0], seen


class Contextual(Waveform):
    """Any function of a finite context: each block is computed with the samples around it that it depends on.

    Args:
        function: of the samples of a stretch → wave (T,).
        back: samples of the past that one output depends on.
        hop: if the function's windows keep to a grid from the start of the stretch, its step.
        least: samples of the shortest stretch that is computed.
    """

    def __init__(
        self,
        name: str,
        fs: float,
        lookahead: int,
        rows: int,
        function: Callable[[NDArray[Any]], Floats],
        back: int,
        hop: int = 1,
        least: int = 1,
    ) -> None:
        super().__init__(name, fs, lookahead, rows)
        self._function, self._back, self._hop, self._least = function, back, hop, least
        self._begin()

    def _begin(self) -> None:
        self._samples: list[NDArray[np.float32]] = []
        # Numbers of samples: first of the stretch, first kept, next to come out, next to come in.
        self._origin = self._start = self._done = self._stop = 0

    def take(self, block: Block) -> None:
        if not self._samples:
            self._origin = self._start = self._done = self._stop = block.start
        if len(block.values):
            self._samples.append(block.values)
            self._stop = block.start + len(block.values)
        if block.ends:
            self._compute(0)
            self._begin()
        elif self._stop - self._done >= self.lookahead + _LATEST:
            self.settle()

    def settle(self) -> None:
        self._compute(self.lookahead)

    def restart(self) -> None:
        super().restart()
        self._begin()

    def _compute(self, lookahead: int) -> None:
        stop = self._stop - lookahead
        if self._stop - self._origin < self._least or stop <= self._done:
            return
        samples = np.concatenate(self._samples)
        wave = self._function(samples)[self._done - self._start : stop - self._start]
        self.ring.put(self._done, wave[:, None])
        self._done = stop
        keep = self._origin + max(stop - self._back - self._origin, 0) // self._hop * self._hop
        self._samples, self._start = [samples[keep - self._start :]], keep


class Rolling(Waveform):
    """A classical method in windows of 10 s: computed anew over the last samples at each refresh.

    Waiting for all windows that cover a sample would take 10 s. What is told instead is what would be told of a
    recording that ends now.
    """

    def __init__(self, method: TraceMethod, fs: float, rows: int) -> None:
        super().__init__(method.name, fs, 0, rows)
        self._function = method.function
        self.ring = Ring(rows, 3)

    def take(self, block: Block) -> None:
        self.ring.put(block.start, block.values)

    def settle(self) -> None:
        """Nothing waits."""

    def raw(self, start: int, stop: int) -> tuple[Floats, Bools]:
        rgb, valid = self.ring.view(start, stop)
        raw, seen = np.zeros(len(rgb)), np.zeros(len(rgb), bool)
        for run in runs(valid):
            if run.stop - run.start >= MIN_RUN_S * self.fs:
                raw[run], seen[run] = self._function(rgb[run], self.fs), True
        return raw, seen


class Learned(Waveform):
    """A learned method, run by its streaming graph: each frame is computed once."""

    def __init__(self, engine: StreamEngine, name: str, rows: int) -> None:
        spec = engine.spec
        super().__init__(name, spec.fs, spec.lookahead, rows)
        self.size, self.box_scale = spec.size, spec.box_scale
        self._engine = engine
        self._begin()

    def _begin(self) -> None:
        self._states: States | None = None
        self._waiting: list[NDArray[np.float32]] = []
        self._next = self._done = 0  # numbers of samples: next to come in, next to come out

    def take(self, block: Block) -> None:
        if self._states is None:
            self._states = self._engine.begin()
            self._next = self._done = block.start
        if len(block.values):
            self._waiting.append(block.values)
        if block.ends:
            self.settle()
            if self._next > self._done:
                self._put(self._engine.flush(self._states), self._next)
            self._begin()
        elif sum(len(part) for part in self._waiting) >= _CHUNK:
            self.settle()

    def settle(self) -> None:
        if not self._waiting or self._states is None:
            return
        rgb = np.concatenate(self._waiting)
        self._waiting.clear()
        for first in range(0, len(rgb), _MOST):
            part = rgb[first : first + _MOST]
            bvp, self._states = self._engine(part, self._states)
            self._next += len(part)
            self._put(bvp, self._next - self.lookahead)

    def restart(self) -> None:
        super().restart()
        self._begin()

    def _put(self, bvp: Floats, stop: int) -> None:
        """Keep samples that end before number ``stop``, without those before the first frame."""
        if stop > self._done:
            self.ring.put(self._done, bvp[len(bvp) - (stop - self._done) :, None])
            self._done = stop


def load_live(name: str) -> Method | StreamMethod:
    """A method for a stream by its name: of a learned one with a streaming graph, that alone.

    Raises:
        UnknownNameError, KDPhysError: as :func:`kdphys.load_method`.
    """
    learned = name in BUNDLED or (name.endswith(".onnx") and Path(name).is_file())
    return (load_stream(name) if learned else None) or load_method(name)


def open_waveform(method: Method | StreamMethod, fs: float, rows: int) -> Waveform:
    """A method on a stream.

    Args:
        method: from :func:`kdphys.load_method`.
        fs: of traces, Hz.
        rows: samples that are kept.

    Raises:
        InvalidInputError: the method needs the whole recording.
    """
    if isinstance(method, TraceMethod):
        return _classical(method, fs, rows)
    spec = method.spec
    if spec.lookback < 0 or spec.lookahead < 0 or spec.grid > 1:
        raise InvalidInputError(
            f"method {method.name!r} computes a recording in one piece or in large ones and cannot run on a stream; "
            "take 'student' or a classical one such as 'pos'"
        )
    if method.live is not None:
        return Learned(method.live, method.name, rows)
    assert not isinstance(method, StreamMethod)
    wave = Contextual(method.name, spec.fs, spec.lookahead, rows, method.engine, spec.lookback)
    wave.size, wave.box_scale = spec.size, spec.box_scale
    return wave


def _classical(method: TraceMethod, fs: float, rows: int) -> Waveform:
    if method.name not in _EVERY_SAMPLE:
        return Rolling(method, fs, rows)
    every = _EVERY_SAMPLE[method.name]
    size = int(np.ceil(_SHORT_S * fs))
    size += 0 if every else size % 2

    def function(rgb: NDArray[Any]) -> Floats:
        return method.function(rgb.astype(np.float64), fs)

    least = int(np.ceil(MIN_RUN_S * fs))
    hop = 1 if every else size // 2
    return Contextual(method.name, fs, size - every, rows, function, size, hop, least)
