"""The command line as its users meet it, run as a process."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from kdphys import serialize
from tests.video.make import write_video


def kdphys(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kdphys.cli.main", *map(str, args)]
    env = os.environ | {"COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=cwd, env=env)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of nothing."""
    path = tmp_path_factory.mktemp("grey") / "grey.mp4"
    write_video(path, [np.full((120, 160, 3), 128, np.uint8)] * 300, fps=30)
    return path


def test_summary_for_a_person(demo_path: Path) -> None:
    out = kdphys("measure", demo_path)
    assert out.returncode == 0, out.stderr
    assert "heart rate" in out.stdout
    assert "confidence" in out.stdout
    assert "Not a medical device" in out.stdout
    assert "\x1b" not in out.stdout + out.stderr, "no colours, no progress bar into a pipe"
    assert out.stderr == ""


def test_json_keeps_to_its_schema(demo_path: Path, grey: Path, tmp_path: Path) -> None:
    one = kdphys("measure", demo_path, "--json", "-")
    document = json.loads(one.stdout)
    jsonschema.validate(document, serialize.schema())
    hr = document["measurements"][0]["heart_rate"]
    assert hr["unit"] == "bpm"
    assert hr["window_s"][1] - hr["window_s"][0] > 8
    assert 0.7 <= hr["confidence"] <= 1
    target = tmp_path / "out.json"
    both = kdphys("measure", demo_path, grey, tmp_path / "none.mp4", "--json", target, "-q")
    document = json.loads(target.read_text())
    jsonschema.validate(document, serialize.schema())
    assert len(document["measurements"]) == 2
    assert [Path(f["source"]).name for f in document["failures"]] == ["none.mp4"]
    assert both.returncode == 2


def test_csv_outputs(demo_path: Path, tmp_path: Path) -> None:
    bvp, course = tmp_path / "bvp.csv", tmp_path / "hr.csv"
    out = kdphys("measure", demo_path, "--bvp", bvp, "--csv", course, "-q", "--window", 8, "--step", 2)
    assert out.returncode == 0
    rows = list(csv.DictReader(io.StringIO(bvp.read_text())))
    times = np.array([float(row["time_s"]) for row in rows])
    assert np.allclose(np.diff(times), 1 / 30, atol=2e-4)
    assert len(rows) > 300
    windows = list(csv.DictReader(io.StringIO(course.read_text())))
    assert [float(w["end_s"]) - float(w["start_s"]) for w in windows] == pytest.approx([8.0] * len(windows), abs=1e-3)
    assert float(windows[1]["start_s"]) - float(windows[0]["start_s"]) == pytest.approx(2.0)


def test_no_pulse_is_exit_code_3_with_the_reason(grey: Path) -> None:
    out = kdphys("measure", grey)
    assert out.returncode == 3
    assert "no reliable pulse: no face" in out.stdout


def test_batch_loses_nothing(demo_path: Path, grey: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(demo_path, folder / "a.mp4")
    shutil.copy(grey, folder / "b.mp4")
    (folder / "c.mp4").write_bytes(b"not a video")
    (folder / "notes.txt").write_text("left alone")
    out = kdphys("measure", folder)
    assert out.returncode == 2
    assert "3 videos: 2 measured (1 with an answer), 1 failed" in out.stdout
    assert "c.mp4" in out.stdout.splitlines()[-2]
    (folder / "c.mp4").unlink()
    assert kdphys("measure", folder, "-q").returncode == 3


@pytest.mark.parametrize("option", ["--json", "--csv", "--bvp", "--plot"])
def test_existing_output_is_kept_without_force(option: str, demo_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_text("precious")
    out = kdphys("measure", demo_path, option, target)
    assert out.returncode == 2
    assert "--force" in out.stderr
    assert target.read_text() == "precious"
    assert kdphys("measure", demo_path, option, target, "--force", "-q").returncode == 0
    assert target.read_bytes() != b"precious"
    assert list(tmp_path.iterdir()) == [target], "nothing half-written beside it"


def test_unwritable_output_is_refused_before_measuring(demo_path: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for where in (blocked / "out.json", tmp_path):
        out = kdphys("measure", demo_path, "--json", where)
        assert out.returncode == 2
        assert out.stderr.startswith("kdphys: ")
        assert out.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--method", "magic"], "Known: "),
        (["--faces", "some"], "'largest' or 'all'"),
        (["--roi", "1,2,3"], "x0,y0,x1,y1"),
        (["--window", "2"], "at least 6 s"),
        (["--plot", "out.bmp"], ".png"),
    ],
)
def test_wrong_options(args: list[str], words: str, demo_path: Path, tmp_path: Path) -> None:
    out = kdphys("measure", demo_path, *args, cwd=tmp_path)
    assert out.returncode == 2
    assert words in out.stderr
    assert "Traceback" not in out.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_and_mediumless(tmp_path: Path) -> None:
    for source in (tmp_path / "none.mp4", tmp_path):
        out = kdphys("measure", source, "--json", tmp_path / "x.json")
        assert out.returncode == 2
        assert out.stderr.startswith("kdphys: ")
        assert not (tmp_path / "x.json").exists()


def test_ctrl_c_gives_a_partial_result(demo_path: Path, tmp_path: Path) -> None:
    """A long file, stopped in the middle: what was read is measured and said to be partial."""
    long = tmp_path / "long.mp4"
    frames = [np.asarray(f.rgb) for f in __import__("kdphys").read_video(demo_path)]
    write_video(long, frames * 6, fps=30)
    target = tmp_path / "out.json"
    command = [sys.executable, "-m", "kdphys.cli.main", "measure", str(long), "--json", str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "partial" in out
    document = json.loads(target.read_text())
    assert document["measurements"][0]["partial"] is True
    assert 0 < document["measurements"][0]["frames"] < len(frames) * 6


def test_plot_is_a_picture(demo_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "plot.png"
    assert kdphys("measure", demo_path, "--plot", target, "-q").returncode == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert target.stat().st_size > 50_000


def test_demo_knows_the_truth() -> None:
    out = kdphys("demo")
    assert out.returncode == 0
    assert "off by" in out.stdout


def test_help_and_version() -> None:
    assert "measure" in kdphys("--help").stdout
    assert kdphys("--version").stdout.startswith("kdphys ")
