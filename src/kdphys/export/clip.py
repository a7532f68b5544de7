"""The clip graph: any number of crops at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdphys.export.graph import check_parity, convert, describe
from kdphys.files import check_free, whole
from kdphys.models.base import PulseModel
from kdphys.ort import open_session


class Crops(nn.Module):
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
    check_free(path, force)
    model = model.eval().cpu().float()
    content = _convert(model, describe(model, name, "clip", source_sha256))
    worst = check_parity(name, parity(model, content))
    with whole(path) as part:
        part.write_bytes(content)
    return worst


def _convert(model: PulseModel, about: dict[str, Any]) -> bytes:
    example = torch.rand(2, 200, model.size, model.size, 3) * 255
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time", min=8)}
    return convert(Crops(model), (example,), ["rgb"], ["bvp"], (axes,), about)


def parity(model: PulseModel, content: bytes) -> float:
    """Largest difference between torch and ONNX Runtime, relative to the output's standard deviation (at least 1).

    Args:
        model: in eval mode.
        content: of the ONNX file.
    """
    session = open_session(content, "the exported model")
    worst = 0.0
    for batch, frames in ((1, 160), (3, 97), (1, 450)):
        rgb = pulsing(batch, frames, model.size, model.fs)
        with torch.no_grad():
            theirs = Crops(model)(torch.from_numpy(rgb)).numpy()
        ours = session.run(None, {"rgb": rgb})[0]
        # NaN passes through np.maximum and not through max: what is not a number is no match.
        worst = float(np.maximum(worst, np.abs(ours - theirs).max() / max(float(theirs.std()), 1.0)))
    return worst


def pulsing(batch: int, frames: int, size: int, fs: float) -> NDArray[np.float32]:
    """Crops (B, T, S, S, 3) of noise with a rhythm."""
    rng = np.random.default_rng(frames)
    t = np.arange(frames)[None, :, None, None, None] / fs
    rgb = 120 + 3 * np.sin(2 * np.pi * 1.3 * t) + rng.normal(0, 4, (batch, frames, size, size, 3))
    return np.clip(rgb, 0, 255).astype(np.float32)
