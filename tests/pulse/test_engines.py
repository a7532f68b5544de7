"""Learned methods: any ONNX file of ours plugs in, and running it block by block changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import kdphys
from kdphys.errors import InvalidInputError, KDPhysError, UnknownNameError
from kdphys.pulse.engines import ClipMethod, load_onnx
from tests.conftest import face_trace
from tests.pulse.make import write_model

SIZE, BACK, AHEAD = 8, 40, 25


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face's mean green, weighted over 40 past and 25 future samples."""
    kernel = np.random.default_rng(0).normal(size=BACK + 1 + AHEAD)
    return write_model(tmp_path_factory.mktemp("model") / "green1.onnx", kernel, AHEAD, SIZE)


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


def test_blocks_of_the_teacher_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """It halves time twice: a block that began elsewhere than at a multiple of four frames would give another wave."""
    method = kdphys.load_method("teacher")
    assert isinstance(method, ClipMethod)
    rng = np.random.default_rng(3)
    beat = 1 + 0.01 * np.sin(2 * np.pi * 1.2 * np.arange(1102) / 30)[:, None, None, None]
    crops = (beat * rng.uniform(50, 200, (1, 36, 36, 3)) + rng.normal(0, 1, (1102, 36, 36, 3))).astype(np.float32)
    times = np.arange(1102) / 30
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
