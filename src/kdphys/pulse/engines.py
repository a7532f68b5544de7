"""Learned methods: an ONNX file that turns clips into a pulse, run block by block in constant memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.transform import Block, Resampler
from kdphys.containers import Evidence, Pulse
from kdphys.errors import KDPhysError
from kdphys.ort import open_session
from kdphys.pulse.shape import shape_pulse

Floats = NDArray[np.floating[Any]]

#: Samples that are computed at once, beside the context that they need.
_BLOCK = 450
#: Key of the description inside an ONNX file.
METADATA = "kdphys"
#: What the name of the file with the streaming graph has after that of the file with the clip graph.
STREAM_SUFFIX = "-stream"


@dataclass(frozen=True)
class ModelSpec:
    """What an ONNX file says about itself.

    Args:
        name: registered name.
        size: side of the crop in pixels.
        fs: sampling rate in Hz that the model expects.
        box_scale: face box × this = crop.
        lookback, lookahead: samples that one output depends on, before and after it; -1: all of the clip.
        grid: a block that is computed by itself must begin at a multiple of this many samples.
    """

    name: str
    size: int
    fs: float
    box_scale: float
    lookback: int
    lookahead: int
    grid: int = 1


def _open(model: bytes, what: str, threads: int, kind: str) -> tuple[Any, ModelSpec, dict[str, Any]]:
    session = open_session(model, what, threads)
    described = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if described is None:
        raise KDPhysError(f"{what}: holds no kdphys description; write it with 'kdphys export'")
    about = json.loads(described)
    got = about.get("kind", "clip")
    if got != kind:
        other = "a clip: NAME.onnx" if kind == "clip" else f"a stream: NAME{STREAM_SUFFIX}.onnx"
        raise KDPhysError(f"{what}: holds the {got} graph of {about['name']!r}; here it takes that of {other}")
    fields = ("name", "size", "fs", "box_scale", "lookback", "lookahead")
    return session, ModelSpec(**{field: about[field] for field in fields}, grid=about.get("grid", 1)), about


class Engine:
    """An ONNX model: clips float32 (1, T, S, S, 3), 0–255 → BVP (1, T).

    Args:
        model: content of the file.
        what: its name for messages.
        threads: for one call.

    Raises:
        KDPhysError: not a model that ``kdphys export`` wrote, or the streaming graph.
    """

    def __init__(self, model: bytes, what: str, threads: int = 1) -> None:
        self._session, self.spec, self.about = _open(model, what, threads, "clip")
        self._input = self._session.get_inputs()[0].name

    def __call__(self, rgb: NDArray[np.float32]) -> Floats:
        """BVP float64 (T,) of a clip float32 (T, S, S, 3)."""
        out = self._session.run(None, {self._input: rgb[None]})[0]
        return np.asarray(out[0], np.float64)


#: The states of one stream, by name; what they hold is known to the engine that made them.
States = dict[str, Any]


class StreamEngine:
    """An ONNX model that takes a few frames a call and hands on what it must remember. Holds no stream itself.

    Args:
        model: content of the file.
        what: its name for messages.
        threads: for one call.

    Raises:
        KDPhysError: not a streaming graph that ``kdphys export`` wrote.
    """

    def __init__(self, model: bytes, what: str, threads: int = 1) -> None:
        self._session, self.spec, self.about = _open(model, what, threads, "stream")
        from onnxruntime import OrtValue

        self._value = OrtValue.ortvalue_from_numpy
        self._shapes = {name: tuple(shape) for name, shape in self.about["states"]}
        self._names = ["bvp", *(f"{name}_out" for name in self._shapes)]

    def begin(self) -> States:
        """The states before the first frame."""
        return {name: self._value(np.zeros(shape, np.float32)) for name, shape in self._shapes.items()}

    def __call__(self, rgb: NDArray[np.float32], states: States) -> tuple[Floats, States]:
        """Take the next frames.

        Args:
            rgb: float32 (T, S, S, 3), 0–255.
            states: what the call before gave back; not changed.

        Returns:
            bvp float64 (T,) of the frames ``spec.lookahead`` before those given (without meaning where that is before
            the first), and the new states.
        """
        return self._run(rgb, np.ones(len(rgb), np.float32), states)

    def flush(self, states: States) -> Floats:
        """The last ``spec.lookahead`` samples, computed as if no frame came any more."""
        n, size = self.spec.lookahead, self.spec.size
        return self._run(np.zeros((n, size, size, 3), np.float32), np.zeros(n, np.float32), states)[0]

    def _run(self, rgb: NDArray[np.float32], present: NDArray[np.float32], states: States) -> tuple[Floats, States]:
        # Values stay where ONNX Runtime has put them: the states are not copied between calls.
        feeds = {"rgb": self._value(np.ascontiguousarray(rgb[None])), "present": self._value(present), **states}
        bvp, *after = self._session.run_with_ort_values(self._names, feeds)
        return bvp.numpy().astype(np.float64), dict(zip(self._shapes, after, strict=True))


@dataclass(frozen=True)
class ClipMethod:
    """A learned method.

    Args:
        name: registered name.
        engine: what runs it.
        source: where it comes from, as :func:`load_stream` takes it; "" without.
    """

    name: str
    engine: Engine
    source: str = ""

    @cached_property
    def live(self) -> StreamEngine | None:
        """What runs it on a stream, frame by frame; None without such a file.

        Raises:
            KDPhysError: the file is not the streaming graph of the same weights.
        """
        found = load_stream(self.source) if self.source else None
        if found is None:
            return None
        if found.live.about.get("weights_sha256") != self.engine.about.get("weights_sha256"):
            raise KDPhysError(f"{self.source}: the file with its streaming graph was made from other weights; "
                              "export both again")  # fmt: skip
        return found.live

    @property
    def spec(self) -> ModelSpec:
        """What the model expects."""
        return self.engine.spec

    def open(self, t0: float) -> ClipSink:
        """Begin a recording whose clock starts at ``t0`` seconds."""
        return ClipSink(self, t0)


class ClipSink:
    """Takes the crops of one person and gives the pulse at the end; memory does not grow with the pixels."""

    def __init__(self, method: ClipMethod, t0: float) -> None:
        self._method, self._spec, self._t0 = method, method.spec, t0
        self.size, self.box_scale = self._spec.size, self._spec.box_scale
        self._stream = Resampler(self._spec.fs, t0)
        self._waiting: list[NDArray[np.float32]] = []
        self._start = 0  # sample number of the first waiting crop
        self._done = 0  # sample number up to which the stretch has been computed
        self._pieces: list[tuple[int, Floats]] = []

    def push(self, t: float, crop: NDArray[np.float32]) -> None:
        """Take the crop float32 (S, S, 3) at ``t`` seconds."""
        for block in self._stream.push(t, crop):
            self._take(block)

    def finish(self, n: int, evidence: Evidence | None) -> Pulse:
        """The pulse of ``n`` samples: band-passed like every method's, each stretch of unit standard deviation."""
        for block in self._stream.flush():
            self._take(block)
        raw, seen = np.zeros(n), np.zeros(n, bool)
        for start, piece in self._pieces:
            stop = min(start + len(piece), n)
            raw[start:stop], seen[start:stop] = piece[: stop - start], True
        return shape_pulse(raw, seen, self._spec.fs, self._t0, self._method.name, evidence)

    def _take(self, block: Block) -> None:
        if not self._waiting:
            self._start = self._done = block.start
        if len(block.values):
            self._waiting.append(block.values)
        have = self._start + sum(len(part) for part in self._waiting)
        whole = self._spec.lookback < 0
        while not whole and have - self._done >= _BLOCK + self._spec.lookahead:
            self._compute(self._done + _BLOCK, have)
        if block.ends:
            if have > self._done:
                self._compute(have, have)
            self._waiting.clear()

    def _compute(self, stop: int, have: int) -> None:
        """Compute the samples up to ``stop``; forget the crops that no later sample looks back at."""
        rgb = np.concatenate(self._waiting)
        out = self._method.engine(rgb)
        self._pieces.append((self._done, out[self._done - self._start : stop - self._start]))
        self._done = stop
        keep = max(stop - max(self._spec.lookback, 0) - self._start, 0) // self._spec.grid * self._spec.grid
        self._waiting = [rgb[keep:]]
        self._start += keep


@dataclass(frozen=True)
class StreamMethod:
    """A learned method for streams alone: its clip graph is not loaded.

    Args:
        name: registered name.
        live: what runs it.
    """

    name: str
    live: StreamEngine

    @property
    def spec(self) -> ModelSpec:
        """What the model expects."""
        return self.live.spec


def _bundled(file: str) -> tuple[bytes, str] | None:
    """Content of a bundled model and its name for messages, or None where there is no such file."""
    assets = files("kdphys") / "assets"
    listed = json.loads((assets / "models.json").read_text())
    if file not in listed:
        return None
    content = (assets / f"{file}.onnx").read_bytes()
    if hashlib.sha256(content).hexdigest() != listed[file]["sha256"]:
        raise KDPhysError(f"the bundled model {file!r} is damaged (its hash is not the expected one); reinstall kdphys")
    return content, f"the bundled model {file!r}"


def load_stream(name: str) -> StreamMethod | None:
    """The streaming graph of a learned method, without its clip graph; None where there is none.

    Args:
        name: of a bundled model, or a path that ends in ".onnx" of the clip graph beside which it lies.

    Raises:
        KDPhysError: damaged, or no such model.
    """
    if name.endswith(".onnx"):
        path = Path(name).with_name(f"{Path(name).stem}{STREAM_SUFFIX}.onnx")
        found = (path.read_bytes(), str(path)) if path.is_file() else None
    else:
        found = _bundled(f"{name}{STREAM_SUFFIX}")
    if found is None:
        return None
    engine = StreamEngine(*found)
    return StreamMethod(engine.spec.name, engine)


def load_onnx(path: Path) -> ClipMethod:
    """A method from an ONNX file that ``kdphys export`` wrote.

    Raises:
        KDPhysError: missing, or no such model.
    """
    if not path.is_file():
        raise KDPhysError(f"{path}: no such model file")
    engine = Engine(path.read_bytes(), str(path))
    return ClipMethod(engine.spec.name, engine, str(path))


def load_bundled(name: str) -> ClipMethod:
    """A bundled model by its name; its hash must be the one in ``assets/models.json``, and so must that of its
    streaming graph, which is listed there as NAME-stream.

    Raises:
        KDPhysError: damaged installation.
    """
    found = _bundled(name)
    if found is None:
        raise KDPhysError(f"the bundled model {name!r} is not listed in models.json; reinstall kdphys")
    return ClipMethod(name, Engine(*found), name)
