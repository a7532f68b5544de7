"""``kdphys export`` writes both graphs, and says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

import kdphys
from kdphys.models.weights import save_weights
from tests.cli.conftest import Command
from tests.export.make import exported_student


@pytest.fixture
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(exported_student(tmp_path_factory.getbasetemp()).model, file, "small", "student")
    return file


def test_writes_the_clip_and_the_stream(
    command: Command,
    weights: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The same weights: what takes long is not done again, the gates are.
    student = exported_student(tmp_path_factory.getbasetemp())
    monkeypatch.setattr("kdphys.export.clip._convert", lambda *args: student.clip.read_bytes())
    monkeypatch.setattr("kdphys.export.stream._convert", lambda *args: student.stream.read_bytes())
    done = command("export", weights, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small-stream.onnx", "small.onnx"]
    assert done.stdout.count("differs from torch by") == 2
    with kdphys.stream(str(tmp_path / "small.onnx")) as session:
        assert session.latency_s == pytest.approx(29 / 30 + 0.16)
    again = command("export", weights, cwd=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr
    (tmp_path / "small.onnx").unlink()
    (tmp_path / "small-stream.onnx").unlink()
    assert command("export", weights, "--no-stream", cwd=tmp_path).returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["small.onnx"]


def test_says_what_is_missing(command: Command, weights: Path, tmp_path: Path) -> None:
    done = command("export", weights, "--int8", cwd=tmp_path)
    assert done.returncode == 2
    assert "--bench" in done.stderr
    done = command("export", weights, "--format", "tflite", cwd=tmp_path)
    assert done.returncode == 2
    assert "only 'onnx'" in done.stderr
    done = command("export", "teacher", "--stream", cwd=tmp_path)
    assert done.returncode == 2
    assert "only a student has a streaming graph" in done.stderr
    done = command("export", weights, "--out", "mine", cwd=tmp_path)
    assert done.returncode == 2
    assert "ends in .onnx" in done.stderr
    done = command("export", weights, "--int8", "--bench", tmp_path / "none", cwd=tmp_path)
    assert done.returncode == 2
    assert "--bench" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_write_is_said_in_a_line(command: Command, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a-stream.onnx").touch()
    done = command("export", weights, "--out", "a.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "a-stream.onnx: exists already" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a-stream.onnx"], "it is said before anything is written"
