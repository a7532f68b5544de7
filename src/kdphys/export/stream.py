"""The streaming graph: a few frames a call, the past handed on as states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdphys.errors import InvalidInputError
from kdphys.export.clip import Crops, pulsing
from kdphys.export.graph import check_parity, convert, describe
from kdphys.files import check_free, whole
from kdphys.models.base import PulseModel
from kdphys.models.stream import StudentStream
from kdphys.models.student import Student
from kdphys.pulse.engines import StreamEngine

_MOST_FRAMES = 4096


def export_stream(model: PulseModel, name: str, path: Path, source_sha256: str = "", force: bool = False) -> float:
    """Write the streaming graph of ``model`` to ``path`` if it gives what torch gives for the whole clip.

    Inputs: ``rgb`` (1, T, S, S, 3) with any T from 1, ``present`` (T,): 1, or 0 for frames after the last one, and
    ``state_…``: zeros at first. Outputs: ``bvp`` (T,), late by the look-ahead, and ``state_…_out``.

    Args:
        model: a trained student; it is put into eval mode.
        name: registered name.
        path: of the ONNX file.
        source_sha256: hash of the weights that it was made from.
        force: overwrite.

    Returns:
        the largest difference to the offline model in torch, over several ways to cut clips into calls, relative to
        the output's spread.

    Raises:
        InvalidInputError: the architecture has no streaming graph.
        OutputError: the file exists.
        KDPhysError: the outputs differ by more than 1e-4: nothing is written.
    """
    if not isinstance(model, Student):
        raise InvalidInputError(f"{name}: {type(model).__name__} has no streaming graph; only the student has one")
    check_free(path, force)
    model = model.eval().cpu().float()
    module = StudentStream(model)
    states = [[state, list(shape)] for state, shape in module.states.items()]
    content = _convert(module, describe(model, name, "stream", source_sha256, states=states))
    worst = check_parity(f"{name} as a stream", stream_parity(model, content))
    with whole(path) as part:
        part.write_bytes(content)
    return worst


def _convert(module: StudentStream, about: dict[str, Any]) -> bytes:
    frames = 7
    states = [torch.zeros(shape) for shape in module.states.values()]
    example = (torch.rand(1, frames, module.size, module.size, 3) * 255, torch.ones(frames), *states)
    time = torch.export.Dim("time", min=1, max=_MOST_FRAMES)
    dynamic: tuple[Any, ...] = ({1: time}, {0: time}, tuple({} for _ in states))
    outputs = ["bvp", *(f"{name}_out" for name in module.states)]
    return convert(module, example, ["rgb", "present", *module.states], outputs, dynamic, about)


def stream_parity(model: Student, content: bytes) -> float:
    """Largest difference between a stream in ONNX Runtime and the whole clip in torch, relative to its spread (at
    least 1); start and end of the clip included.

    Args:
        model: in eval mode.
        content: of the ONNX file.
    """
    engine = StreamEngine(content, "the exported stream")
    rng = np.random.default_rng(0)
    worst = 0.0
    for frames, most in ((3, 1), (40, 1), (330, 50), (450, 450)):
        rgb = pulsing(1, frames, model.size, model.fs)
        with torch.no_grad():
            theirs = Crops(model)(torch.from_numpy(rgb))[0].numpy()
        cuts = np.cumsum(rng.integers(1, most + 1, frames))
        states, out = engine.begin(), []
        for part in np.split(rgb[0], cuts[cuts < frames]):
            bvp, states = engine(part, states)
            out.append(bvp)
        ours = np.concatenate([*out, engine.flush(states)])[engine.spec.lookahead :]
        # NaN passes through np.maximum and not through max: what is not a number is no match.
        worst = float(np.maximum(worst, np.abs(ours - theirs).max() / max(float(theirs.std()), 1.0)))
    return worst
