"""Eight bits are let through when heart rates stay, and refused with the numbers when they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdphys.errors import DataError, KDPhysError
from kdphys.export import int8
from kdphys.export.int8 import Crops, export_int8
from kdphys.models.weights import BUNDLED
from kdphys.pulse.engines import Engine, load_onnx
from tests.export.make import Exported


@pytest.fixture
def bench(tmp_path: Path, demo_path: Path) -> Path:
    """A benchmark of one recording."""
    folder = tmp_path / "bench"
    folder.mkdir()
    for suffix in (".mp4", ".csv"):
        (folder / f"demo{suffix}").write_bytes(demo_path.with_suffix(suffix).read_bytes())
    return folder


def test_is_quantised_judged_and_refused(
    student: Exported, bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "LARGEST_RISE_BPM", 1e9)
    path = tmp_path / "student-int8.onnx"
    result = export_int8(student.clip, path, bench, cache=tmp_path / "cache")
    assert result.recordings == 1
    rgb = next(iter(Crops(bench, load_onnx(student.clip).spec, tmp_path / "cache"))).rgb
    method = load_onnx(path)
    assert method.engine.about["precision"] == "int8"
    assert (method.spec.name, method.spec.lookahead) == ("student", 28)
    exact, rough = load_onnx(student.clip).engine(rgb), method.engine(rgb)
    assert np.abs(exact - rough).max() > 1e-4  # it is not the same
    assert float(np.corrcoef(exact, rough)[0, 1]) > 0.9  # but close
    # From here on the crops come from the cache: the videos are not needed any more.
    monkeypatch.setattr(int8, "extract_clip", None)
    truth = iter([72.0, 72.5] * 2)
    monkeypatch.setattr(int8, "_rate", lambda engine, sample: sample.ref_bpm + next(truth) - 72.0)
    monkeypatch.setattr(int8, "LARGEST_RISE_BPM", 0.1)
    with pytest.raises(KDPhysError, match=r"rises from 0\.00 to 0\.50 bpm, by more than 0\.1: not written"):
        export_int8(student.clip, tmp_path / "no.onnx", bench, cache=tmp_path / "cache")
    assert not (tmp_path / "no.onnx").exists()


def test_the_reference_of_the_crops_is_that_of_the_stretch(student: Exported, bench: Path, tmp_path: Path) -> None:
    (sample,) = Crops(bench, Engine(student.clip.read_bytes(), "it").spec, tmp_path / "cache")
    assert sample.rgb.shape == (360, 12, 12, 3)
    assert sample.ref_bpm == pytest.approx(72.0, abs=1.0)


def test_the_reference_is_the_one_that_evaluation_uses(student: Exported, bench: Path, tmp_path: Path) -> None:
    """Readings that the device did not take are no heart rates, and a wave speaks before them."""
    crops = Crops(bench, Engine(student.clip.read_bytes(), "it").spec, tmp_path / "cache")
    readings = [(t, 0 if t % 3 == 0 else 80) for t in range(13)]
    (bench / "demo.csv").write_text("time,hr_bpm\n" + "".join(f"{t},{hr}\n" for t, hr in readings))
    (sample,) = crops
    assert sample.ref_bpm == 80.0
    waves = (f"{k / 30:.4f},{np.sin(2 * np.pi * 1.1 * k / 30):.5f},80\n" for k in range(400))
    (bench / "demo.csv").write_text("time,bvp,hr_bpm\n" + "".join(waves))
    (sample,) = crops
    assert sample.ref_bpm == pytest.approx(66.0, abs=0.3)
    (bench / "demo.csv").write_text("time,resp\n0,1\n1,2\n")
    with pytest.raises(DataError, match=r"demo\.csv: no reference: expected a 'bvp' wave"):
        list(crops)


def test_a_folder_without_faces_is_no_benchmark(student: Exported, bench: Path, tmp_path: Path) -> None:
    (bench / "demo.csv").write_text("time,hr_bpm\n100.0,70\n101.0,70\n")
    with pytest.raises(DataError, match="no recording with 6 s of face and a reference"):
        export_int8(student.clip, tmp_path / "no.onnx", bench)


def test_the_pulse_is_not_rounded_away(bench: Path, tmp_path: Path) -> None:
    """The bundled student draws the same wave in 8 bits: what first sees the colours keeps its precision."""
    content = (BUNDLED.parent / "student.onnx").read_bytes()
    engine = Engine(content, "student")
    (sample,) = Crops(bench, engine.spec, tmp_path / "cache")
    rough = Engine(int8.quantise(content, [sample.rgb[:300]]), "student in 8 bits")
    exact = engine(sample.rgb)
    assert np.abs(exact - rough(sample.rgb)).max() < 0.03 * exact.std()  # 0.09 with colours in 8 bits, 0.01 without
