"""Learned methods: any ONNX file of ours plugs in, and running it block by block changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import kdphys
from kdphys.errors import InvalidInputError, KDPhysError, UnknownNameError
from kdphys.pulse.engines import METADATA, ClipMethod, load_onnx
from tests.conftest import face_trace

SIZE, BACK, AHEAD = 8, 40, 25


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one layer: the face's mean green, weighted over 40 past and 25 future samples."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(1, 3, BACK + 1 + AHEAD)).astype(np.float32)
    kernel[:, [0, 2]] = 0.0
    nodes = [
        helper.make_node("ReduceMean", ["rgb"], ["mean"], axes=[2, 3], keepdims=0),  # (B, T, 3)
        helper.make_node("Transpose", ["mean"], ["channels"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["channels", "kernel"], ["wave"], pads=[BACK, AHEAD]),
        helper.make_node("Squeeze", ["wave", "one"], ["bvp"]),
    ]
    graph = helper.make_graph(
        nodes,
        "green",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, ["batch", "time", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("bvp", TensorProto.FLOAT, ["batch", "time"])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(np.array([1]), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    entry = model.metadata_props.add()
    about = {"name": "green1", "size": SIZE, "fs": 30.0, "box_scale": 1.5, "lookback": BACK, "lookahead": AHEAD}
    entry.key, entry.value = METADATA, json.dumps(about)
    path = tmp_path_factory.mktemp("model") / "green1.onnx"
    onnx.save(model, str(path))
    return path


def run(method: ClipMethod, crops: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sink = method.open(float(times[0]))
    for t, one in zip(times, crops, strict=True):
        sink.push(float(t), one)
    n = round((times[-1] - times[0]) * 30) + 1
    pulse = sink.finish(n, None)
    return np.asarray(pulse.bvp), np.asarray(pulse.valid)


def test_blocks_give_what_the_whole_gives(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = load_onnx(file)
    rng = np.random.default_rng(1)
    crops = rng.uniform(50, 200, (1500, SIZE, SIZE, 3)).astype(np.float32)
    times = np.arange(1500) / 30
    blocks, valid = run(method, crops, times)
    monkeypatch.setattr("kdphys.pulse.engines._BLOCK", 10**9)
    whole, _ = run(method, crops, times)
    assert valid.all()
    assert np.abs(blocks - whole).max() < 1e-4


def test_a_gap_begins_anew(file: Path) -> None:
    """What is after a gap must not depend on what was before it."""
    method = load_onnx(file)
    rng = np.random.default_rng(2)
    crops = rng.uniform(50, 200, (900, SIZE, SIZE, 3)).astype(np.float32)
    times = np.concatenate([np.arange(450), np.arange(500, 950)]) / 30
    first, valid = run(method, crops, times)
    assert not valid[451:499].any()
    other = crops.copy()
    other[:450] = 100.0 + 20 * rng.uniform(size=other[:450].shape)
    second, _ = run(method, other, times)
    assert np.allclose(first[500:], second[500:], atol=1e-5)


def test_a_model_file_measures_a_video(file: Path, demo_path: Path) -> None:
    vitals = kdphys.measure(demo_path, str(file))
    assert vitals.method == "green1"
    assert len(vitals.course) > 0


def test_what_is_no_model_of_ours(file: Path, tmp_path: Path) -> None:
    with pytest.raises(KDPhysError, match="no such model file"):
        kdphys.load_method(str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(KDPhysError, match="cannot be loaded"):
        kdphys.load_method(str(tmp_path / "text.onnx"))
    model = onnx.load(str(file))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    with pytest.raises(KDPhysError, match="no kdphys description"):
        kdphys.load_method(str(tmp_path / "foreign.onnx"))
    with pytest.raises(UnknownNameError, match="Did you mean 'chrom'"):
        kdphys.load_method("chrome")


def test_pictures_are_needed(file: Path) -> None:
    with pytest.raises(InvalidInputError, match="needs the pictures"):
        kdphys.estimate_pulse(face_trace(10, 70.0), load_onnx(file))
