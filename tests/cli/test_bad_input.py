"""Bad input from the outside: one clear line, exit code 2, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import kdphys
from tests.cli.conftest import Command
from tests.video.make import damage, write_video

Maker = Callable[[Path, Path], Path]


def missing(folder: Path, demo: Path) -> Path:
    return folder / "none.mp4"


def empty(folder: Path, demo: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def truncated(folder: Path, demo: Path) -> Path:
    (folder / "cut.mp4").write_bytes(demo.read_bytes()[: demo.stat().st_size // 2])
    return folder / "cut.mp4"


def text(folder: Path, demo: Path) -> Path:
    (folder / "text.mp4").write_text("hello " * 1000)
    return folder / "text.mp4"


def audio(folder: Path, demo: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for _ in range(20):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.rate = 44100
            container.mux(stream.encode(samples))
        container.mux(stream.encode())
    return path


def nothing_inside(folder: Path, demo: Path) -> Path:
    (folder / "inner").mkdir()
    (folder / "inner" / "notes.txt").write_text("no media")
    return folder / "inner"


@pytest.mark.parametrize("make", [missing, empty, truncated, text, audio, nothing_inside])
def test_one_line_and_exit_code_2(make: Maker, tmp_path: Path, demo_path: Path, command: Command) -> None:
    source = make(tmp_path, demo_path)
    out = command("measure", source, "--json", tmp_path / "out.json", "--plot", tmp_path / "out.png")
    assert out.returncode == 2
    assert out.stdout == ""
    assert out.stderr.startswith("kdphys: ")
    assert out.stderr.count("\n") == 1
    assert source.name in out.stderr
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("frames", "size", "reason"), [(1, 64, "too short"), (240, 16, "no face")])
def test_what_can_be_read_but_not_measured(
    frames: int, size: int, reason: str, tmp_path: Path, command: Command
) -> None:
    path = write_video(tmp_path / "clip.mp4", [np.full((size, size, 3), 120, np.uint8)] * frames)
    out = command("measure", path)
    assert out.returncode == 3, out.stderr
    assert reason in out.stdout


def test_one_frame_of_a_face_is_too_short(tmp_path: Path, demo_frames: list[kdphys.Frame], command: Command) -> None:
    out = command("measure", write_video(tmp_path / "one.mp4", [demo_frames[0].rgb]))
    assert out.returncode == 3, out.stderr
    assert "too short" in out.stdout


def test_corrupt_middle_is_measured_on_the_rest_and_reported(
    tmp_path: Path, demo_frames: list[kdphys.Frame], command: Command
) -> None:
    small = (f.rgb[::2, ::2] for f in demo_frames)
    whole = write_video(tmp_path / "whole.mkv", small, options={"g": "15"}, bit_rate=1_500_000)
    hit = tmp_path / "hit.mkv"
    hit.write_bytes(whole.read_bytes())
    damage(whole, hit, range(170, 176))
    out = command("measure", hit, "--json", "-")
    (m,) = json.loads(out.stdout)["measurements"]
    assert any("corrupt" in note for note in m["notes"])
    assert 300 < m["frames"] < 360
    assert out.returncode in (0, 3)


def test_files_are_written_whatever_the_terminal_can_show(tmp_path: Path, demo_path: Path) -> None:
    """Characters that it lacks are escaped, and the reader of a pipe may go: the measurement is kept."""
    dollars = tmp_path / "take$_$1.mp4"  # no mathematics
    dollars.write_bytes(demo_path.read_bytes())
    targets = ["--json", tmp_path / "m.json", "--plot", tmp_path / "m.png"]
    call = [sys.executable, "-m", "kdphys.cli.main", "measure", dollars, "-m", "pos", *targets]
    read, write = os.pipe()
    os.close(read)
    gone = subprocess.run(list(map(str, call)), stdout=write, stderr=subprocess.PIPE, text=True, timeout=180)
    os.close(write)
    assert gone.returncode == 1, gone.stderr
    assert json.loads((tmp_path / "m.json").read_text())
    assert (tmp_path / "m.png").exists()
    narrow = [*call[:-4], "--json", tmp_path / "n.json"]
    shown = subprocess.run(
        list(map(str, narrow)),
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert shown.returncode == 0, shown.stderr
    assert "heart rate" in shown.stdout
    assert (tmp_path / "n.json").exists()


def test_a_path_that_the_system_refuses_does_not_end_a_batch(tmp_path: Path, demo_path: Path, command: Command) -> None:
    folder = tmp_path / "images"
    (folder / "sub.png").mkdir(parents=True)  # a folder, whatever its name
    cv2.imwrite(str(folder / "1.png"), np.zeros((64, 64, 3), np.uint8))
    (folder / "0.png").symlink_to("nowhere.png")  # the first one: its size is asked for
    (folder / "timestamps.csv").write_text("0.png,0\n1.png,0.04\n")
    out = command("measure", folder, "a" * 300 + ".mp4", demo_path, "-m", "pos", "--json", tmp_path / "m.json")
    assert out.returncode == 2, out.stderr
    assert "too long" in out.stdout
    assert "Traceback" not in out.stderr
    written = json.loads((tmp_path / "m.json").read_text())
    assert len(written["failures"]) == 1
    images, demo = written["measurements"]
    assert "the first unreadable image is 0.png" in images["notes"]
    assert demo["heart_rate"]["value"] == pytest.approx(72.1, abs=1.0)
