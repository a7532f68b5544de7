"""A trained network as an ONNX file, with a parity gate: what does not match the source is not written.

The graph takes crops as the pipeline makes them, float32 (B, T, S, S, 3), RGB 0–255, with any B and T, and gives the
BVP (B, T). What the pipeline must know about it (size, rate, look-back, look-ahead) is inside the file.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from kdphys.clip.crop import BOX_SCALE
from kdphys.errors import KDPhysError, OutputError
from kdphys.models.base import PulseModel
from kdphys.ort import open_session
from kdphys.pulse.engines import METADATA

OPSET = 18
#: Largest difference between torch and ONNX Runtime that is let through, relative to the output's spread (at least 1).
TOLERANCE = 1e-4
_FS = 30.0


class _Crops(nn.Module):
    """The network behind the pipeline's layout of crops."""

    def __init__(self, model: PulseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor) -> Tensor:
        """(B, T, S, S, 3) → (B, T)."""
        out: Tensor = self.model(rgb.permute(0, 1, 4, 2, 3))
        return out


def export_onnx(model: PulseModel, name: str, path: Path, source_sha256: str = "", force: bool = False) -> float:
    """Write ``model`` to ``path`` if ONNX Runtime computes what torch computes.

    Args:
        model: trained; it is put into eval mode.
        name: registered name.
        path: of the ONNX file.
        source_sha256: hash of the weights that it was made from.
        force: overwrite.

    Returns:
        the largest difference to torch over several lengths and batch sizes, relative to the output's spread.

    Raises:
        OutputError: the file exists.
        KDPhysError: the outputs differ by more than 1e-4: nothing is written.
    """
    if path.exists() and not force:
        raise OutputError(f"{path}: exists already; overwrite it with --force")
    model = model.eval().cpu().float()
    about = {
        "name": name,
        "size": model.size,
        "fs": _FS,
        "box_scale": BOX_SCALE,
        "lookback": getattr(model, "lookback", -1),
        "lookahead": getattr(model, "lookahead", -1),
        "normalisation": model.normalisation,
        "opset": OPSET,
        "weights_sha256": source_sha256,
    }
    content = _convert(_Crops(model), model.size, about)
    worst = parity(model, content)
    if not worst <= TOLERANCE:
        raise KDPhysError(
            f"{name}: ONNX differs from torch by {worst:.1e} (relative), more than {TOLERANCE:g}: not written"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        part.write_bytes(content)
        part.replace(path)
    return worst


def _convert(module: nn.Module, size: int, about: dict[str, Any]) -> bytes:
    example = torch.rand(2, 200, size, size, 3) * 255
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["rgb"],
            output_names=["bvp"],
            dynamic_shapes=({0: torch.export.Dim("batch"), 1: torch.export.Dim("time", min=8)},),
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)
        graph = onnx.load(str(path))
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(about, sort_keys=True)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def parity(model: PulseModel, content: bytes) -> float:
    """Largest difference between torch and ONNX Runtime, relative to the output's standard deviation.

    Args:
        model: in eval mode.
        content: of the ONNX file.
    """
    session = open_session(content, "the exported model")
    rng = np.random.default_rng(0)
    worst = 0.0
    for batch, frames in ((1, 160), (3, 97), (1, 450)):
        t = np.arange(frames)[None, :, None, None, None] / _FS
        rgb = 120 + 3 * np.sin(2 * np.pi * 1.3 * t) + rng.normal(0, 4, (batch, frames, model.size, model.size, 3))
        rgb = np.clip(rgb, 0, 255).astype(np.float32)
        with torch.no_grad():
            theirs = _Crops(model)(torch.from_numpy(rgb)).numpy()
        ours = session.run(None, {"rgb": rgb})[0]
        worst = max(worst, float(np.abs(ours - theirs).max() / max(float(theirs.std()), 1.0)))
    return worst


def sha256(path: Path) -> str:
    """Hash of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
