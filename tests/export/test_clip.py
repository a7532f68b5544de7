"""What ONNX Runtime computes is what torch computes, and the pipeline runs it; otherwise nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import kdphys
from kdphys.errors import KDPhysError, OutputError
from kdphys.export import export_onnx, parity
from kdphys.export.graph import check_parity
from kdphys.models import create
from kdphys.pulse.engines import METADATA, load_onnx
from tests.export.make import Exported


def test_any_length_and_the_description_inside(student: Exported) -> None:
    assert student.clip_differs <= 1e-4
    method, model = load_onnx(student.clip), student.model
    assert (method.spec.name, method.spec.size, method.spec.fs) == ("student", 12, 30.0)
    assert (method.spec.lookback, method.spec.lookahead) == (model.lookback, model.lookahead)
    assert method.engine.about["version"] == kdphys.__version__
    rng = np.random.default_rng(3)
    for frames in (31, 300):
        rgb = rng.uniform(60, 200, (frames, 12, 12, 3)).astype(np.float32)
        with torch.no_grad():
            expected = model(torch.from_numpy(rgb)[None].permute(0, 1, 4, 2, 3))[0].numpy()
        assert np.abs(method.engine(rgb) - expected).max() < 1e-4 * max(float(expected.std()), 1.0)


def test_measures_a_video(student: Exported, demo_path: Path) -> None:
    assert kdphys.measure(demo_path, str(student.clip)).method == "student"


def test_nothing_is_overwritten_or_written_wrong(
    student: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="--force"):
        export_onnx(student.model, "student", student.clip)
    # As if the exporter had lost something on the way: what it gives computes what another model computes.
    monkeypatch.setattr("kdphys.export.clip._convert", lambda *args: student.clip.read_bytes())
    torch.manual_seed(1)
    other = create("student", size=12).eval()
    with pytest.raises(KDPhysError, match="differs from torch"):
        export_onnx(other, "student", tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_not_written(student: Exported) -> None:
    broken = create("student", size=12).eval()
    with torch.no_grad():
        for weights in broken.parameters():
            weights.fill_(torch.nan)
    with pytest.raises(KDPhysError, match="differs from torch"):
        check_parity("broken", parity(broken, student.clip.read_bytes()))


def test_a_network_of_the_users_is_judged_as_the_bundled_one(demo_path: Path, tmp_path: Path) -> None:
    """It has no fit of its own, and that of the classical methods does not know how sure it is."""
    bundled = Path(kdphys.__file__).parent / "assets" / "student.onnx"
    graph = onnx.load(str(bundled))
    (entry,) = (e for e in graph.metadata_props if e.key == METADATA)
    entry.value = json.dumps(json.loads(entry.value) | {"name": "mine"})
    onnx.save(graph, str(tmp_path / "mine.onnx"))
    mine, student = (kdphys.measure(demo_path, m) for m in (str(tmp_path / "mine.onnx"), "student"))
    assert mine.method == "mine"
    assert mine.sqi == pytest.approx(student.sqi, abs=1e-6)
