"""The streaming graph in ONNX Runtime gives what torch gives for the whole clip; otherwise nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import kdphys
from kdphys.errors import InvalidInputError, KDPhysError, OutputError
from kdphys.export import export_stream
from kdphys.export.clip import Crops, pulsing
from kdphys.models import create
from kdphys.pulse.engines import METADATA, Engine, StreamEngine, load_onnx
from tests.export.make import WEIGHTS, Exported
from tests.models.test_student import trained


def test_any_cut_gives_the_whole(student: Exported) -> None:
    engine = load_onnx(student.clip).live
    assert engine is not None
    rgb = pulsing(1, 333, 12, 30.0)
    with torch.no_grad():
        expected = Crops(student.model)(torch.from_numpy(rgb))[0].numpy()
    rng = np.random.default_rng(0)
    for _ in range(3):
        cuts = np.sort(rng.choice(np.arange(1, 333), 60, replace=False))
        states, out = engine.begin(), []
        for part in np.split(rgb[0], cuts):
            bvp, states = engine(part, states)
            out.append(bvp)
        got = np.concatenate([*out, engine.flush(states)])[engine.spec.lookahead :]
        assert np.abs(got - expected).max() <= 1e-4


def test_two_streams_do_not_meet(student: Exported) -> None:
    engine = load_onnx(student.clip).live
    assert engine is not None
    a, b = pulsing(1, 60, 12, 30.0)[0], pulsing(1, 61, 12, 30.0)[0]
    alone = engine(a[30:], engine(a[:30], engine.begin())[1])[0]
    first, other = engine(a[:30], engine.begin())[1], engine(b[:30], engine.begin())[1]
    engine(b[30:], other)
    assert np.array_equal(engine(a[30:], first)[0], alone)


def test_the_file_says_what_a_reader_must_know(student: Exported) -> None:
    graph = onnx.load(str(student.stream))
    about = json.loads({e.key: e.value for e in graph.metadata_props}[METADATA])
    assert about["kind"] == "stream"
    assert (about["size"], about["fs"], about["box_scale"], about["lookahead"]) == (12, 30.0, 1.5, 28)
    assert about["opset"] == 18
    assert about["weights_sha256"] == WEIGHTS
    assert about["version"] == kdphys.__version__
    inputs = {i.name: [d.dim_value or d.dim_param for d in i.type.tensor_type.shape.dim] for i in graph.graph.input}
    assert inputs.pop("rgb") == [1, "time", 12, 12, 3]
    assert inputs.pop("present") == ["time"]
    assert [[name, shape] for name, shape in inputs.items()] == about["states"]
    assert [o.name for o in graph.graph.output] == ["bvp", *(f"{name}_out" for name in inputs)]
    # Standard operators alone, so that browsers run it too.
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    assert [(o.domain, o.version) for o in graph.opset_import if o.domain in ("", "ai.onnx")] == [("", 18)]


def test_nothing_is_overwritten_or_written_wrong(
    student: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="--force"):
        export_stream(student.model, "student", student.stream)
    with pytest.raises(InvalidInputError, match="PhysNet has no streaming graph"):
        export_stream(create("physnet"), "physnet", tmp_path / "a.onnx")
    # As if the exporter had lost something on the way: what it gives computes what another model computes.
    monkeypatch.setattr("kdphys.export.stream._convert", lambda *args: student.stream.read_bytes())
    other = trained(12)
    with torch.no_grad():
        other.out.weight.mul_(1.01)
    with pytest.raises(KDPhysError, match="as a stream: ONNX differs from torch"):
        export_stream(other, "student", tmp_path / "b.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_wrong_file_is_told_apart(student: Exported, tmp_path: Path) -> None:
    with pytest.raises(KDPhysError, match="holds the stream graph of 'student'"):
        Engine(student.stream.read_bytes(), "it")
    with pytest.raises(KDPhysError, match="holds the clip graph of 'student'"):
        StreamEngine(student.clip.read_bytes(), "it")
    (tmp_path / "student.onnx").write_bytes(student.clip.read_bytes())
    assert load_onnx(tmp_path / "student.onnx").live is None
    graph = onnx.load(str(student.stream))
    graph.metadata_props[0].value = graph.metadata_props[0].value.replace(WEIGHTS, "of others")
    onnx.save(graph, str(tmp_path / "student-stream.onnx"))
    with pytest.raises(KDPhysError, match="other weights"):
        _ = load_onnx(tmp_path / "student.onnx").live
