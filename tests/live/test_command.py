"""``kdphys live`` as a person runs it: in a terminal, in a pipe, in a window, with Ctrl-C."""

from __future__ import annotations

import csv
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import kdphys

CLIP = Path(kdphys.__file__).parent / "assets" / "demo.mp4"
TRUE_BPM = 72.1
LIVE = [sys.executable, "-m", "kdphys.cli.main", "live"]
PLAY = [*LIVE, "--source", str(CLIP)]


@dataclass
class Ended:
    code: int
    text: str


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Ended:
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out + err)


def piped(*arguments: str, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*PLAY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def in_terminal(*arguments: str, key: bytes, after: str) -> tuple[Ended, bool]:
    """Run in a pseudo-terminal, press ``key`` when ``after`` is on the screen; and whether its settings came back."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen([*PLAY, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    seen, pressed, end = b"", False, time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 65536)
        if not pressed and after in seen.decode(errors="replace"):
            os.write(ours, key)
            pressed = True
    code = process.wait(timeout=5)
    while select.select([ours], [], [], 0.2)[0]:
        seen += os.read(ours, 65536)
    restored = termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    return Ended(code, seen.decode(errors="replace")), restored


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended, Ended]:
    """Two plays of the clip at once: recorded to its end, and ended by Ctrl-C after 3 s."""
    folder = tmp_path_factory.mktemp("live")
    recorded, stopped = piped("--record", str(folder / "take")), piped("--plain")
    assert stopped.stdout is not None
    first = stopped.stdout.readline()
    time.sleep(1.5)
    stopped.send_signal(signal.SIGINT)
    rest = finish(stopped)
    return folder, finish(recorded), Ended(rest.code, first + rest.text)


def test_in_a_pipe_a_line_a_second_and_a_summary(whole: tuple[Path, Ended, Ended]) -> None:
    _, ended, _ = whole
    assert ended.code == 0, ended.text
    told = [float(v) for v in re.findall(r"s  (\d+) bpm  confidence \d+%", ended.text)]
    assert len(told) >= 4
    assert all(abs(v - TRUE_BPM) < 3 for v in told)
    assert "too short" in ended.text.splitlines()[0]
    assert "\x1b" not in ended.text
    found = re.search(r"heart rate ([\d.]+) bpm \(median", ended.text)
    assert found
    assert float(found[1]) == pytest.approx(TRUE_BPM, abs=3)
    assert "Not a medical device." in ended.text


def test_a_recording_holds_every_frame_at_its_time_and_every_sample(whole: tuple[Path, Ended, Ended]) -> None:
    folder, ended, _ = whole
    assert "recorded:" in ended.text
    frames, dropped = (re.search(rf"(\d+) {what}", ended.text) for what in ("frames", "dropped"))
    assert frames
    lost = int(dropped[1]) if dropped else 0  # a busy machine drops some, and says so
    assert lost < 60
    was = list(kdphys.read_video(CLIP))
    taken = list(kdphys.read_video(folder / "take.mkv"))
    assert len(was) == int(frames[1])
    assert len(taken) == len(was) - lost
    at = np.array([f.t - was[0].t for f in was])
    for frame in taken[::30]:
        nearest = int(np.abs(at - frame.t).argmin())
        assert abs(at[nearest] - frame.t) < 2e-3
        assert np.abs(frame.rgb.astype(float) - was[nearest].rgb).mean() < 3
    with (folder / "take.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    times = np.array([float(r["time_s"]) for r in rows])
    assert np.allclose(np.diff(times), 1 / 30, atol=1e-3)
    assert times[-1] - times[0] > 11
    assert {r["reason"] for r in rows} >= {"too short"}
    assert abs(float(rows[-1]["hr_bpm"]) - TRUE_BPM) < 3
    assert abs(kdphys.measure(folder / "take.mkv").hr_bpm - TRUE_BPM) < 3


def test_a_recording_is_never_overwritten_unasked(whole: tuple[Path, Ended, Ended]) -> None:
    folder, _, _ = whole
    before = (folder / "take.mkv").read_bytes()
    ended = finish(piped("--record", str(folder / "take")))
    assert ended.code == 2
    assert "exists already" in ended.text
    assert (folder / "take.mkv").read_bytes() == before


def test_ctrl_c_ends_with_a_summary(whole: tuple[Path, Ended, Ended]) -> None:
    _, _, ended = whole
    assert ended.code == 3  # nothing can be told so early
    assert "no reliable pulse: too short" in ended.text
    assert "Traceback" not in ended.text


def test_in_a_terminal_q_ends_it_and_leaves_the_terminal_as_it_was() -> None:
    ended, restored = in_terminal(key=b"q", after="confidence 9")
    assert ended.code == 0, ended.text
    assert restored
    assert "┏" in ended.text
    assert re.search(r"[⠀-⣿]{20}", ended.text), "no waveform"
    assert "not a medical device" in ended.text
    assert re.search(r"heart rate 7[\d.]+ bpm", ended.text)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_the_window_shows_the_picture_the_box_and_the_wave(tmp_path: Path) -> None:
    pytest.importorskip("tkinter")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x800x24", "-fbdir", str(tmp_path)],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    try:
        number = os.read(read, 16).decode().strip()
        environment = {**os.environ, "DISPLAY": f":{number}"}
        process = subprocess.Popen([*PLAY, "--window"], env=environment, stdout=subprocess.PIPE, text=True)
        time.sleep(9)
        dump = np.fromfile(tmp_path / "Xvfb_screen0", np.uint8)
        out, _ = process.communicate(timeout=30)
    finally:
        server.kill()
        server.wait()
    screen = dump[-800 * 800 * 4 :].reshape(800, 800, 4)[..., 2::-1].astype(int)  # BGRX
    green = (np.abs(screen - [89, 211, 140]).max(-1) < 12).sum()
    red = (np.abs(screen - [255, 92, 92]).max(-1) < 12).sum()
    assert green > 300, "no box"
    assert red > 500, "no wave and no rate"
    assert screen.std() > 20, "no picture"
    assert process.returncode == 0
    assert "heart rate 7" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--camera", "97"], "camera 97: there is no such camera"),
        (["--camera", "front"], "expected a number such as 0"),
        (["--camera", "0", "--source", "x.mp4"], "choose one"),
        (["--source", "none.mp4"], "no such file"),
        (["--source", "ftp://host/x"], "a stream must be rtsp"),
        (["--source", "rtsp://127.0.0.1:1/x"], "cannot be opened"),
        (["--seconds", "0"], "must be positive"),
        (["--window", "--plain"], "choose one"),
        (["--method", "poss"], "pos"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments: list[str], message: str) -> None:
    done = subprocess.run([*LIVE, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
