"""Writes small learned methods for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kdphys.pulse.engines import METADATA


def write_model(path: Path, kernel: np.ndarray, lookahead: int, size: int) -> Path:
    """A network of one layer, named as its file: the crop's mean green, weighted over time.

    Args:
        path: of the file.
        kernel: (K,) weights; the last ``lookahead`` of them are of the future.
        lookahead: samples.
        size: side of the crops, pixels.
    """
    back = len(kernel) - 1 - lookahead
    weights = np.zeros((1, 3, len(kernel)), np.float32)
    weights[0, 1] = kernel
    nodes = [
        helper.make_node("ReduceMean", ["rgb"], ["mean"], axes=[2, 3], keepdims=0),  # (B, T, 3)
        helper.make_node("Transpose", ["mean"], ["channels"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["channels", "kernel"], ["wave"], pads=[back, lookahead]),
        helper.make_node("Squeeze", ["wave", "one"], ["bvp"]),
    ]
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, ["batch", "time", size, size, 3])],
        [helper.make_tensor_value_info("bvp", TensorProto.FLOAT, ["batch", "time"])],
        [numpy_helper.from_array(weights, "kernel"), numpy_helper.from_array(np.array([1]), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    entry = model.metadata_props.add()
    about = {"name": path.stem, "size": size, "fs": 30.0, "box_scale": 1.5, "lookback": back, "lookahead": lookahead}
    entry.key, entry.value = METADATA, json.dumps(about)
    onnx.save(model, str(path))
    return path
