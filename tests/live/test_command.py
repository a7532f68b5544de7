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
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import kdphys
from tests.cli.conftest import Command, command

__all__ = ["command"]  # a fixture

CLIP = Path(kdphys.__file__).parent / "assets" / "demo.mp4"
TRUE_BPM = 72.1
LIVE = [sys.executable, "-m", "kdphys.cli.main", "live"]
PLAY = [*LIVE, "--source", str(CLIP)]


@pytest.fixture(scope="module", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell's background jobs, and what they start, ignore Ctrl-C; these plays are to hear it all the same."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass
class Ended:
    code: int
    text: str


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Ended:
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out + err)


def piped(*arguments: str, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "FORCE_COLOR": "1"}  # a pipe gets plain lines even so
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*PLAY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def in_terminal(*presses: tuple[bytes, str]) -> tuple[Ended, bool]:
    """Run in a pseudo-terminal, press each key when a text is on the screen; and whether its settings came back."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(PLAY, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    seen, left, end = b"", list(presses), time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 65536)
        if left and left[0][1] in seen.decode(errors="replace"):
            os.write(ours, left.pop(0)[0])
    code = process.wait(timeout=5)
    while select.select([ours], [], [], 0.2)[0]:
        seen += os.read(ours, 65536)
    restored = termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    return Ended(code, seen.decode(errors="replace")), restored


@pytest.fixture(scope="module")
def terminal() -> Iterator[Future[tuple[Ended, bool]]]:
    """A play in a terminal, while others run: an arrow, then keys with a q among them."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit(in_terminal, (b"\x1b[A", "pixels wide"), (b"aq", "confidence 9"))


@pytest.fixture(scope="module")
def whole(terminal: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended, Ended]:
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


def test_a_recording_is_never_overwritten_unasked(whole: tuple[Path, Ended, Ended], command: Command) -> None:
    folder, _, _ = whole
    before = (folder / "take.mkv").read_bytes()
    done = command(*PLAY[3:], "--record", folder / "take")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert (folder / "take.mkv").read_bytes() == before


def test_ctrl_c_ends_with_a_summary(whole: tuple[Path, Ended, Ended]) -> None:
    _, _, ended = whole
    assert ended.code == 3  # nothing can be told so early
    assert "no reliable pulse: too short" in ended.text
    assert "Traceback" not in ended.text


def test_in_a_terminal_q_ends_it_and_leaves_the_terminal_as_it_was(terminal: Future[tuple[Ended, bool]]) -> None:
    ended, restored = terminal.result()
    assert ended.code == 0, ended.text  # the arrow did not end it
    assert restored
    frames = re.search(r"(\d+) frames(,|\r)", ended.text)
    assert frames
    assert int(frames[1]) < 350, "q did not end it"
    assert "╺━┓" in ended.text  # the top of a large 7
    assert re.search(r"[⠀-⣿]{20}", ended.text), "no waveform"
    assert "not a medical device" in ended.text
    assert re.search(r"heart rate 7[\d.]+ bpm", ended.text)


def test_without_a_screen_there_is_no_window_and_no_recording(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    done = command(*PLAY[3:], "--window", "--record", tmp_path / "take")
    assert done.returncode == 2
    assert "--window needs a screen" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], Path]]:
    """An environment with a display of its own, and the file that holds its pixels."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    folder = tmp_path_factory.mktemp("screen")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x800x24", "-fbdir", str(folder)]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        yield {**os.environ, "DISPLAY": f":{os.read(read, 16).decode().strip()}"}, folder / "Xvfb_screen0"
    finally:
        os.close(read)
        server.kill()
        server.wait()


def test_the_window_says_what_cannot_be_and_ends(screen: tuple[dict[str, str], Path]) -> None:
    command = [*LIVE, "--camera", "97", "--window"]
    done = subprocess.run(command, env=screen[0], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "there is no such camera" in done.stderr


def test_ctrl_c_ends_the_window_even_while_it_draws(screen: tuple[dict[str, str], Path]) -> None:
    code = """if True:
        import os, signal, sys
        from kdphys.cli.main import main
        from kdphys.live.window import Window
        Window._show_picture = lambda self, seen: os.kill(os.getpid(), signal.SIGINT)
        main()"""
    command = [sys.executable, "-c", code, *PLAY[3:], "--window"]
    done = subprocess.run(command, env=screen[0], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3, done.stderr
    assert "too short" in done.stdout or "no face" in done.stdout
    assert done.stderr == ""


def test_the_window_shows_the_picture_the_box_and_the_wave(screen: tuple[dict[str, str], Path]) -> None:
    environment, pixels = screen
    process = subprocess.Popen([*PLAY, "--window"], env=environment, stdout=subprocess.PIPE, text=True)
    box = rate = wave = picture = 0.0
    end = time.monotonic() + 30
    while not (box > 300 and rate > 500 and wave > 500 and picture > 20) and time.monotonic() < end:
        time.sleep(0.2)
        shown = np.fromfile(pixels, np.uint8)[-800 * 800 * 4 :].reshape(800, 800, 4)[..., 2::-1].astype(int)  # BGRX
        red = np.abs(shown - [255, 92, 92]).max(-1) < 12
        box = (np.abs(shown - [89, 211, 140]).max(-1) < 12).sum()
        rate, wave, picture = red[:, :160].sum(), red[:, 160:].sum(), shown.std()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert box > 300
    assert rate > 500
    assert wave > 500
    assert picture > 20
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
        *(
            (["--source", f"rtsp://me:{word}@127.0.0.1/x"], "USER:PASSWORD")
            for word in ("S3#cret", "S3/cret", "S3[cret")
        ),
        (["--source", "rtsp://me:123#S3cret@127.0.0.1/x"], "USER:PASSWORD"),
        (["--source", "rtsp://me:S3cret@127.0.0.1:5x4/x"], "USER:PASSWORD"),
        (["--source", "rtsp://127.0.0.1:1/user=me_password=S3cret"], "rtsp://127.0.0.1:1: cannot be opened"),
        (["--source", "rtsp://127.0.0.1:1/x"], "cannot be opened"),
        (["--seconds", "0"], "must be positive"),
        (["--window", "--plain"], "choose one"),
        (["--method", "poss"], "pos"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments: list[str], message: str, command: Command) -> None:
    done = command("live", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "S3" not in done.stderr
