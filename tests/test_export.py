"""What ONNX Runtime computes is what torch computes, and the pipeline runs it; otherwise nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import kdphys
from kdphys.errors import KDPhysError, OutputError
from kdphys.export import export_onnx
from kdphys.models import create
from kdphys.models.base import PulseModel
from kdphys.pulse.engines import load_onnx


@pytest.fixture(scope="module")
def student() -> PulseModel:
    torch.manual_seed(0)
    return create("student").eval()


@pytest.fixture(scope="module")
def file(student: PulseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "student.onnx"
    assert export_onnx(student, "student", path) <= 1e-4
    return path


def test_any_length_and_the_description_inside(file: Path, student: PulseModel) -> None:
    method = load_onnx(file)
    assert (method.spec.name, method.spec.size, method.spec.fs) == ("student", 36, 30.0)
    assert (method.spec.lookback, method.spec.lookahead) == (student.lookback, student.lookahead)
    rng = np.random.default_rng(3)
    for frames in (31, 300):
        rgb = rng.uniform(60, 200, (frames, 36, 36, 3)).astype(np.float32)
        with torch.no_grad():
            expected = student(torch.from_numpy(rgb)[None].permute(0, 1, 4, 2, 3))[0].numpy()
        assert np.abs(method.engine(rgb) - expected).max() < 1e-4 * max(float(expected.std()), 1.0)


def test_measures_a_video(file: Path, demo_path: Path) -> None:
    assert kdphys.measure(demo_path, str(file)).method == "student"


def test_nothing_is_overwritten_or_written_wrong(
    file: Path, student: PulseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="--force"):
        export_onnx(student, "student", file)
    # As if the exporter had lost something on the way: what it gives computes what another model computes.
    monkeypatch.setattr("kdphys.export._convert", lambda *args: file.read_bytes())
    torch.manual_seed(1)
    other = create("student").eval()
    with pytest.raises(KDPhysError, match="differs from torch"):
        export_onnx(other, "student", tmp_path / "bad.onnx")
    assert list(tmp_path.iterdir()) == []
