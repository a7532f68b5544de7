"""What the exports share: torch to ONNX, and the description inside the file."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from kdphys.errors import KDPhysError
from kdphys.models.base import PulseModel
from kdphys.pulse.engines import METADATA

OPSET = 18
#: Largest difference between torch and ONNX Runtime that is let through, relative to the output's spread (at least 1).
TOLERANCE = 1e-4


def describe(model: PulseModel, name: str, kind: str, weights_sha256: str, **more: Any) -> dict[str, Any]:
    """What a file says about itself.

    Args:
        model: what is in it.
        name: registered name.
        kind: "clip" or "stream".
        weights_sha256: hash of the weights that it was made from.
        more: entries of this kind of graph.
    """
    return {
        "name": name,
        "kind": kind,
        "size": model.size,
        "fs": model.fs,
        "box_scale": model.box_scale,
        "lookback": -1 if model.lookback is None else model.lookback,
        "lookahead": -1 if model.lookahead is None else model.lookahead,
        "grid": model.grid,
        "normalisation": model.normalisation,
        "opset": OPSET,
        "version": version("kdphys"),
        "weights_sha256": weights_sha256,
        **more,
    }


def _asinh(x: Any) -> Any:
    """sign(x) · log(|x| + √(x² + 1)): ONNX Runtime has fast code for each of these and none for Asinh."""
    from onnxscript import opset18 as op

    size = op.Abs(x)
    return op.Mul(op.Sign(x), op.Log(op.Add(size, op.Sqrt(op.Add(op.Mul(x, x), op.Constant(value_float=1.0))))))


def convert(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: tuple[Any, ...],
    about: Mapping[str, Any],
) -> bytes:
    """A module as the content of an ONNX file.

    Args:
        module: in eval mode.
        example: arguments.
        inputs, outputs: names.
        dynamic: of each argument, its axes that may differ.
        about: the description.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            module.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            custom_translation_table={torch.ops.aten.asinh.default: _asinh},
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)
        graph = onnx.load(str(path))
    return pack(graph, about)


def pack(graph: Any, about: Mapping[str, Any]) -> bytes:
    """The content of a file: a checked graph with its description."""
    del graph.metadata_props[:]
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(dict(about), sort_keys=True)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString())


def check_parity(name: str, worst: float) -> float:
    """Let ``worst`` through if it is small enough.

    Raises:
        KDPhysError: it is not.
    """
    if not worst <= TOLERANCE:
        raise KDPhysError(
            f"{name}: ONNX differs from torch by {worst:.1e} (relative), more than {TOLERANCE:g}: not written"
        )
    return worst
