"""Sources that go and come back, clocks that jump, waves on the screen."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import kdphys
from kdphys.errors import InvalidInputError, OutputError, VideoError
from kdphys.live.capture import Capture
from kdphys.live.record import Recorder
from kdphys.live.run import LiveRun
from kdphys.live.terminal import braille, plain_line, render
from kdphys.video.live import Anchor, Playback, pictures
from kdphys.video.network import NetworkStream

CLIP = Path(kdphys.__file__).parent / "assets" / "demo.mp4"


@pytest.fixture
def camera() -> Iterator[tuple[str, list[int]]]:
    """An MJPEG camera on the network that breaks off after 1.5 s and is there again, 30 pictures a second."""
    frames = [f.rgb for f, _ in zip(kdphys.read_video(CLIP), range(120), strict=False)]
    pictures = [cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for rgb in frames]
    connections: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = len(connections)
            connections.append(0)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            begin = time.monotonic()
            try:
                for k in range(45 if number == 0 else len(pictures)):
                    data = pictures[k]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                    self.wfile.write(head + data + b"\r\n")
                    connections[number] += 1
                    time.sleep(max(begin + (k + 1) / 30 - time.monotonic(), 0))
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/video?token=secret", connections
    server.shutdown()
    server.server_close()


def test_a_camera_that_goes_is_reported_and_tried_again(camera: tuple[str, list[int]]) -> None:
    url, connections = camera
    source = NetworkStream(url)
    assert "secret" not in source.name
    run = LiveRun(source, kdphys.stream("pos"), capture=Capture(source, first_wait_s=0.6))
    troubles = set()
    with run:
        end = time.monotonic() + 20
        while run.look().capture.returns < 1 and time.monotonic() < end:
            seen = run.look()
            if seen.capture.state == "lost":
                troubles.add(seen.capture.trouble)
                assert seen.capture.retry_s is None or seen.capture.retry_s <= 0.6
            time.sleep(0.02)
        time.sleep(2.0)
        state = run.look()
    run.check()
    assert len(troubles) == 1
    assert "127.0.0.1" in str(troubles)
    assert state.capture.state == "running"
    assert len(connections) >= 2
    summary = run.summary()
    assert summary.returns == 1
    assert summary.frames > 45 + 30
    assert summary.frames - 3 <= summary.measured + summary.dropped <= summary.frames


def test_a_source_that_was_never_there_is_an_error() -> None:
    run = LiveRun(NetworkStream("http://127.0.0.1:1/x"), kdphys.stream("pos"))
    with run:
        end = time.monotonic() + 10
        while not run.over and time.monotonic() < end:
            time.sleep(0.02)
    with pytest.raises(VideoError, match="cannot be opened"):
        run.check()


def test_a_slow_measurement_drops_the_oldest_frames_and_counts_them() -> None:
    source = Playback(CLIP)
    session = kdphys.stream("pos")
    push = session.push

    def slow(*args: object, **options: object) -> object:
        time.sleep(0.1)
        return push(*args, **options)  # type: ignore[arg-type]

    session.push = slow  # type: ignore[method-assign,assignment]
    run = LiveRun(source, session)
    with run:
        time.sleep(2.5)
        seen = run.look()
    assert seen.capture.dropped > 20
    assert seen.lag_s < 1.5  # what is shown stays near to now


def test_a_clock_of_its_own_is_laid_on_ours_and_keeps_its_steps() -> None:
    anchor = Anchor()
    arrivals = np.arange(150) / 30 + np.random.default_rng(0).uniform(0, 0.02, 150)
    times = np.array([anchor(100.0 + k / 30, 5000.0 + now) for k, now in enumerate(arrivals)])
    assert np.allclose(times[:89], 5000.0 + arrivals[:89]), "until it has shown that it is a clock"
    assert np.allclose(np.diff(times[93:]), 1 / 30)
    assert np.abs(times - 5000.0 - arrivals).max() < 0.05
    assert anchor(7.0, 5006.0) == pytest.approx(5006.0)  # the source began anew
    assert anchor(7.1, 5006.2) == pytest.approx(5006.1)
    assert anchor(None, 5008.0) == 5008.0
    camera = Anchor()
    steps = [camera(5000.0 + k / 30, 5000.0 + now) for k, now in enumerate(arrivals)]
    assert np.allclose(np.diff(steps), 1 / 30), "this machine's own clock needs no proof"


def test_a_clock_that_runs_a_little_fast_never_steps_back() -> None:
    """A whole day of a camera that is 200 ppm fast, in steps of 2 s."""
    anchor, day = Anchor(), np.arange(0.0, 86400.0, 2.0)
    times = np.array([anchor(1.0002 * now, 5000.0 + now) for now in day])
    assert np.abs(np.diff(times) - 2).max() < 0.003
    assert np.abs(times - 5000 - day).max() < 1.0
    jump = [anchor(2e5 + k / 30, 5000.0 + 86400 + k / 30) for k in range(30)]  # a real one
    assert np.diff([times[-1], *jump]).min() > 0


def test_waves_are_drawn_where_they_are_and_gaps_are_empty() -> None:
    t = np.arange(300) / 30
    wave, valid = np.sin(2 * np.pi * 0.5 * t), np.ones(300, bool)
    lines = braille(wave, valid, 40, 4)
    assert [len(line) for line in lines] == [40] * 4
    assert all(any(line[k] != "⠀" for line in lines) for k in range(40))
    valid[150:] = False
    half = braille(wave, valid, 40, 4)
    assert all(line[20:] == "⠀" * 20 for line in half)
    assert not any(c != "⠀" for line in braille(wave, np.zeros(300, bool), 40, 4) for c in line)


def test_without_pictures_no_rate_is_shown() -> None:
    source = Playback(CLIP)
    with LiveRun(source, kdphys.stream("pos")) as run:
        while run.look().update is None and not run.over:
            time.sleep(0.05)
        fresh = run.look()
        assert fresh.fresh
        assert "bpm" in plain_line(fresh) or "no reliable pulse" in plain_line(fresh)
        render(fresh)
    object.__setattr__(fresh.capture, "silent_s", 4.0)
    assert not fresh.fresh
    assert "no pictures come" in plain_line(fresh)


def test_a_recording_goes_on_after_a_gap(tmp_path: Path) -> None:
    frames = [kdphys.Frame(f.rgb[::4, ::4], f.t) for f in kdphys.read_video(CLIP)]
    frames += [kdphys.Frame(f.rgb, f.t + 30) for f in frames[:120]]
    recorder, session = Recorder(tmp_path / "a"), kdphys.stream("pos", roi="full")
    last = 0.0
    for frame in frames:
        recorder.frame(frame)
        if update := session.push(frame):
            recorder.update(update)
            if frame.t < 20 and len(update.pulse.bvp):
                last = float(update.pulse.times[-1])
    final = session.close()
    assert final is not None
    recorder.update(final)
    recorder.close()
    rows = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()[1:]]
    times = np.array([float(row[0]) for row in rows if row[1]])
    (gap,) = np.flatnonzero(np.diff(times) > 0.05)
    assert times[gap] == pytest.approx(last, abs=0.02)  # all that was told before it
    assert 30 <= times[gap + 1] < 32  # the method needs a moment
    assert times[-1] == pytest.approx(34.0, abs=0.1)
    assert len(list(kdphys.read_video(tmp_path / "a.mkv"))) == len(frames)


def test_recordings_go_where_they_can(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="leave the suffix out"):
        Recorder(tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="is a folder"):
        Recorder(tmp_path)
    (tmp_path / "b.csv").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        Recorder(tmp_path / "b")
    assert (tmp_path / "b.csv").read_text() == "mine"
    (tmp_path / "d.mkv").write_text("a film")
    with pytest.raises(OutputError, match="is what is measured"):
        Recorder(tmp_path / "d", force=True, source=tmp_path / "d.mkv")
    Recorder(tmp_path / "c").close()
    assert not list(tmp_path.glob("c*")), "nothing is written before the first frame"


def test_times_go_on_after_a_source_came_back() -> None:
    """A camera gives at once what it had kept, which puts its clock ahead; then the connection breaks."""
    anchor = Anchor()
    first = [anchor(10.0 + k / 30, 5000.0 + k / 300) for k in range(90)]  # three seconds in 0.3
    anchor.renew()
    then = [anchor(k / 30, 5001.0 + k / 30) for k in range(90)]
    assert np.diff([*first, *then]).min() > 0
    assert np.allclose(np.diff(then), 1 / 30, atol=1e-3)


def test_frames_that_a_recording_cannot_hold_are_counted(tmp_path: Path) -> None:
    class Jumping(Playback):
        def connect(self, stop: threading.Event) -> Iterator[kdphys.Frame]:
            for k, frame in enumerate(self._video):
                yield kdphys.Frame(frame.rgb[::4, ::4], frame.t - 5.0 * (150 <= k < 160))

    source = Jumping(CLIP)
    with LiveRun(source, kdphys.stream("pos", roi="full"), Recorder(tmp_path / "a"), Capture(source, 1000)) as run:
        while not run.over:
            time.sleep(0.05)
    run.check()
    summary = run.summary()
    video = list(kdphys.read_video(tmp_path / "a.mkv"))
    assert len(video) == summary.measured - 10
    assert any("10 frames are not in the recorded video" in note for note in summary.notes)


@pytest.mark.parametrize("real", [15.0, 25.0, 36.0])
def test_a_source_that_only_counts_its_pictures_is_not_believed(real: float) -> None:
    """Stamped as 30 a second whatever comes, so that a heart of 60 would be told as 72 where 25 come."""
    for paced in (False, True):
        anchor = Anchor(paced=paced)
        arrivals = 5000.0 + np.arange(round(40 * real)) / real
        times = np.array([anchor(k / 30, now) for k, now in enumerate(arrivals)])
        late = arrivals > 5010
        if paced and real > 30:
            continue  # it is waited for: what is faster than its clock does not come
        assert np.diff(times).min() > 0
        assert np.allclose(np.diff(times[late]), 1 / real, atol=1e-6)
        assert anchor.strayed == pytest.approx(real / 30 - 1, abs=0.02)


@pytest.mark.parametrize("paced", [False, True])
def test_a_machine_that_decodes_too_slowly_does_not_blame_the_clock(paced: bool) -> None:
    """Thirty pictures a second of which it manages twenty: their times are right, and late."""
    anchor = Anchor(ahead_s=60.0, behind_s=60.0, paced=paced)
    own = np.arange(600) / 30
    times = np.array([anchor(t, 5000.0 + 1.5 * t, waited_s=0.05 * t) for t in own])
    assert anchor.strayed == 0
    assert np.allclose(np.diff(times[200:]), 1 / 30, atol=1e-3)


def test_a_burst_at_the_beginning_is_no_wrong_clock() -> None:
    anchor = Anchor()
    own = np.arange(600) / 30
    arrivals = 5000.0 + np.maximum(own - 2.0, own / 100)  # two seconds were kept and come at once
    times = np.array([anchor(t, now) for t, now in zip(own, arrivals, strict=True)])
    assert anchor.strayed == 0
    assert np.allclose(np.diff(times[300:]), 1 / 30)


def test_a_name_with_a_colon_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recorder = Recorder(Path("10:30"))
    for frame, _ in zip(kdphys.read_video(CLIP), range(5), strict=False):
        recorder.frame(frame)
    recorder.close()
    assert len(list(kdphys.read_video("10:30.mkv"))) == 5


def test_a_source_without_a_picture_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdphys.video.live._BLIND_S", -1.0)
    with av.open(str(CLIP)) as container, pytest.raises(VideoError, match="no picture can be decoded"):
        list(pictures(container, Playback(CLIP), threading.Event()))
