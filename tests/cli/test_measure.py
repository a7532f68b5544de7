"""The command line as its users meet it."""

from __future__ import annotations

import contextlib
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
from typing import Any

import av
import cv2
import jsonschema
import numpy as np
import pytest

from kdphys import Measurement, Video, serialize
from kdphys.cli import output
from kdphys.video.reader import read_video
from tests.cli.conftest import Command, kdphys
from tests.video.make import write_video


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of nothing."""
    path = tmp_path_factory.mktemp("grey") / "grey.mp4"
    write_video(path, [np.full((120, 160, 3), 128, np.uint8)] * 300, fps=30)
    return path


@pytest.fixture(scope="module")
def small(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled clip in a quarter of the pixels."""
    path = tmp_path_factory.mktemp("small") / "small.mp4"
    return write_video(path, (f.rgb[::2, ::2] for f in read_video(demo_path)), options={"crf": "14"})


def test_summary_for_a_person(demo_path: Path) -> None:
    out = kdphys("measure", demo_path)
    assert out.returncode == 0, out.stderr
    assert "heart rate" in out.stdout
    assert "confidence" in out.stdout
    assert "Not a medical device" in out.stdout
    assert "\x1b" not in out.stdout + out.stderr, "no colours, no progress bar into a pipe"
    assert out.stderr == ""


def test_json_keeps_to_its_schema(small: Path, grey: Path, tmp_path: Path, command: Command) -> None:
    one = command("measure", small, "--json", "-")
    document = json.loads(one.stdout)
    jsonschema.validate(document, serialize.schema())
    hr = document["measurements"][0]["heart_rate"]
    assert hr["unit"] == "bpm"
    assert hr["window_s"][1] - hr["window_s"][0] > 8
    assert 0.7 <= hr["confidence"] <= 1
    target = tmp_path / "out.json"
    both = command("measure", small, grey, tmp_path / "none.mp4", "--json", target, "-q")
    document = json.loads(target.read_text())
    jsonschema.validate(document, serialize.schema())
    assert len(document["measurements"]) == 2
    assert [Path(f["source"]).name for f in document["failures"]] == ["none.mp4"]
    assert both.returncode == 2


def test_csv_outputs(small: Path, tmp_path: Path, command: Command) -> None:
    bvp, course = tmp_path / "bvp.csv", tmp_path / "hr.csv"
    out = command("measure", small, "--bvp", bvp, "--csv", course, "-q", "--window", 8, "--step", 2)
    assert out.returncode == 0
    rows = list(csv.DictReader(io.StringIO(bvp.read_text())))
    times = np.array([float(row["time_s"]) for row in rows])
    assert np.allclose(np.diff(times), 1 / 30, atol=2e-4)
    assert len(rows) > 300
    windows = list(csv.DictReader(io.StringIO(course.read_text())))
    assert [float(w["end_s"]) - float(w["start_s"]) for w in windows] == pytest.approx([8.0] * len(windows), abs=1e-3)
    assert float(windows[1]["start_s"]) - float(windows[0]["start_s"]) == pytest.approx(2.0)


def test_no_pulse_is_exit_code_3_with_the_reason(grey: Path, command: Command) -> None:
    out = command("measure", grey)
    assert out.returncode == 3
    assert "no reliable pulse: no face" in out.stdout


def test_batch_loses_nothing(small: Path, grey: Path, tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(small, folder / "a.mp4")
    shutil.copy(grey, folder / "b.mp4")
    (folder / "c.mp4").write_bytes(b"not a video")
    (folder / "notes.txt").write_text("left alone")
    out = kdphys("measure", folder)
    assert out.returncode == 2
    assert "3 videos: 2 measured (1 with an answer), 1 failed" in out.stdout
    assert "c.mp4" in out.stdout.splitlines()[-2]
    assert [line.split()[0] for line in out.stdout.splitlines() if ".mp4 " in line][:2] == ["a.mp4", "b.mp4"], "short"
    long = folder / f"{'x' * 90}.mp4"
    shutil.move(folder / "c.mp4", long)
    short = write_video(folder / "short.mp4", [f.rgb for _, f in zip(range(210), read_video(small), strict=False)])
    table = tmp_path / "all.csv"
    out = command("measure", folder, folder / "a.mp4", "--csv", table)
    assert "4 videos: 3 measured (2 with an answer), 1 failed" in out.stdout
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert {Path(row["source"]).name for row in rows} == {"a.mp4", "b.mp4", "short.mp4", long.name}
    (whole,) = [row for row in rows if row["source"] == str(short)]
    assert float(whole["hr_bpm"]) > 40
    assert float(whole["end_s"]) == pytest.approx(7.0, abs=0.2)
    assert [row["reason"][:7] for row in rows if row["source"] == str(long)] == ["failed:"]
    assert out.stdout.count("x") >= 90, "names are folded, not cut"
    long.unlink()
    short.unlink()
    assert command("measure", folder, "-q", "-m", "pos").returncode == 3


@pytest.mark.parametrize("option", ["--json", "--csv", "--bvp", "--plot"])
def test_existing_output_is_kept_without_force(option: str, small: Path, tmp_path: Path, command: Command) -> None:
    target = tmp_path / "out.png"
    target.write_text("precious")
    out = command("measure", small, option, target)
    assert out.returncode == 2
    assert "--force" in out.stderr
    assert target.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [target], "nothing half-written beside it"


def test_force_overwrites_all(small: Path, tmp_path: Path, command: Command) -> None:
    targets = {option: tmp_path / f"out{option}.png" for option in ("--json", "--csv", "--bvp", "--plot")}
    for target in targets.values():
        target.write_text("precious")
    options = [word for pair in targets.items() for word in pair]
    assert command("measure", small, *options, "--force", "-q").returncode == 0
    assert all(target.read_bytes() != b"precious" for target in targets.values())
    assert set(tmp_path.iterdir()) == set(targets.values()), "nothing half-written beside them"


def test_unwritable_output_is_refused_before_measuring(demo_path: Path, tmp_path: Path, command: Command) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for where in (blocked / "out.json", tmp_path):
        out = command("measure", demo_path, "--json", where)
        assert out.returncode == 2
        assert out.stderr.startswith("kdphys: ")
        assert out.stderr.count("\n") == 1


def test_names_that_are_no_text_lose_nothing(small: Path, tmp_path: Path) -> None:
    """Files from another system, and links to one file: each has its rows."""
    shutil.copy(small, os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    for name in ("one.mp4", "two.mp4"):
        (tmp_path / name).symlink_to(small)
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    out = kdphys("measure", ".", "-m", "pos", "-q", "--csv", "all.csv", "--json", "all.json", cwd=tmp_path)
    assert "Traceback" not in out.stderr
    text = (tmp_path / "all.csv").read_text()
    assert all(name in text for name in ("one.mp4", "two.mp4", "caf"))
    assert len(json.loads((tmp_path / "all.json").read_text())["measurements"]) == 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--method", "magic"], "Known: "),
        (["--faces", "some"], "'largest' or 'all'"),
        (["--roi", "1,2,3"], "x0,y0,x1,y1"),
        (["--window", "2"], "at least 6 s"),
        (["--window", "nan"], "at least 6 s"),
        (["--window", "inf"], "finite"),
        (["--json", "q.json", "--csv", "./q.json"], "named for two outputs"),
        (["--plot", "out.bmp"], ".png"),
    ],
)
def test_wrong_options(args: list[str], words: str, small: Path, tmp_path: Path, command: Command) -> None:
    out = command("measure", small, *args, cwd=tmp_path)
    assert out.returncode == 2
    assert words in out.stderr
    assert "Traceback" not in out.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_and_mediumless(tmp_path: Path, command: Command) -> None:
    for source in (tmp_path, tmp_path / "none.mp4"):
        out = command("measure", source, "--json", tmp_path / "x.json")
        assert out.returncode == 2
        assert out.stderr.startswith("kdphys: ")
        assert not (tmp_path / "x.json").exists()


def test_what_is_measured_is_never_overwritten(small: Path, tmp_path: Path, command: Command) -> None:
    video = tmp_path / "a.mp4"
    shutil.copy(small, video)
    (tmp_path / "b.json").symlink_to(video)
    for target in (video, tmp_path / "b.json"):
        out = command("measure", video, "--json", target, "--force")
        assert out.returncode == 2
        assert "is what is measured" in out.stderr
    assert video.read_bytes() == small.read_bytes()


def repeat(source: Path, path: Path, times: int) -> Path:
    """A video over and over, copied as it is coded."""
    with av.open(str(path), "w") as out:
        stream = None
        start = 0
        for _ in range(times):
            with av.open(str(source)) as container:
                one = container.streams.video[0]
                stream = stream or out.add_stream_from_template(one)
                end = 0
                for packet in container.demux(one):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, stream
                    end = max(end, packet.pts + (packet.duration or 1))
                    out.mux(packet)
                start = end
    return path


def share_read(pid: int, path: Path) -> float:
    """How far into a file a process has read; 0 when it is not open."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if link.resolve() == path:
                info = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
                return int(info.split()[1]) / path.stat().st_size
    return 0.0


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="how far a process has read is seen in /proc")
def test_ctrl_c_gives_a_partial_result(demo_path: Path, tmp_path: Path) -> None:
    """A long file, stopped in the middle: what was read is measured and said to be partial."""
    long = repeat(demo_path, tmp_path / "long.mp4", 12).resolve()
    frames = read_video(long).n_frames
    assert frames is not None
    assert frames > 4000
    target = tmp_path / "out.json"
    command = [sys.executable, "-m", "kdphys.cli.main", "measure", str(long), "--json", str(target)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, SIGINT is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        seen = 0  # looks in a row: the index at the end of the file is read for a moment too
        deadline = time.monotonic() + 120
        while seen < 3:
            assert process.poll() is None, "it ended before it was stopped"
            assert time.monotonic() < deadline
            seen = seen + 1 if 0.1 < share_read(process.pid, long) < 0.9 else 0
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "partial" in out
    document = json.loads(target.read_text())
    assert document["measurements"][0]["partial"] is True
    assert 0 < document["measurements"][0]["frames"] < frames


def test_plot_is_a_picture(small: Path, tmp_path: Path, command: Command) -> None:
    target = tmp_path / "new" / "plot.png"
    assert command("measure", small, "--plot", target, "-q").returncode == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert target.stat().st_size > 50_000


def test_demo_knows_the_truth(command: Command) -> None:
    out = command("demo")
    assert out.returncode == 0
    assert "off by" in out.stdout


def test_help_and_version() -> None:
    assert "measure" in kdphys("--help").stdout
    assert kdphys("--version").stdout.startswith("kdphys ")


def test_plots_of_a_batch_show_the_faces(
    small: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [shutil.copy(small, tmp_path / f"{k}.mp4") for k in range(5)]
    seen: list[bool] = []

    def save(m: Measurement, path: Path) -> None:
        seen.append(m.portrait is not None)
        path.touch()

    monkeypatch.setattr("kdphys.plot.save_figure", save)
    command("measure", *files, "-m", "pos", "--plot", tmp_path / "a.png", "-q")
    assert seen == [True] * 5


def test_ctrl_c_between_two_files(
    small: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only while pictures are read: whatever was being done, the exit code says that it was stopped."""
    measured, files = output.measure_all, [shutil.copy(small, tmp_path / f"{k}.mp4") for k in range(3)]

    def stopped(video: Video, *args: Any, **options: Any) -> list[Measurement]:
        if video.name == "1.mp4":
            raise KeyboardInterrupt
        return measured(video, *args, **options)

    monkeypatch.setattr(output, "measure_all", stopped)
    out = command("measure", *files, "-m", "pos", "--csv", tmp_path / "a.csv")
    assert out.returncode == 130
    assert out.stdout.count("stopped before") == 2
    assert "0.mp4" in (tmp_path / "a.csv").read_text()


def test_what_of_a_folder_is_not_measured_is_said(small: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "picture.png").write_bytes(
        cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    )
    out = command("measure", tmp_path)
    assert out.returncode == 2
    assert "it has 1 folders: name them" in out.stderr
    shutil.copy(small, tmp_path / "a.mp4")
    shutil.copy(tmp_path / "deeper" / "picture.png", tmp_path)
    out = command("measure", tmp_path, "-m", "pos")
    assert out.returncode == 0
    assert "1 images and 1 folders beside the videos not looked at" in out.stderr


def test_images_without_times_need_their_rate(small: Path, tmp_path: Path, command: Command) -> None:
    for k, frame in enumerate(read_video(small)):
        (tmp_path / f"{k:04d}.jpg").write_bytes(cv2.imencode(".jpg", frame.rgb[..., ::-1])[1].tobytes())
    out = command("measure", tmp_path)
    assert out.returncode == 2
    assert "--fs" in out.stderr
    out = command("measure", tmp_path, "--fs", "30", "--json", "-")
    assert out.returncode == 0
    truth = json.loads(command("measure", small, "--json", "-").stdout)["measurements"][0]["heart_rate"]["value"]
    assert json.loads(out.stdout)["measurements"][0]["heart_rate"]["value"] == pytest.approx(truth, abs=1.5)
