"""A session gives what measuring the same frames gives, as they come."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import kdphys
from kdphys.containers import Frame
from kdphys.errors import InvalidInputError
from kdphys.pulse.engines import load_onnx
from kdphys.vitals.heart_rate import hr_window
from kdphys.vitals.quality import Judge
from tests.export.make import Exported
from tests.pulse.make import write_model
from tests.streaming.scene import BOX, SIDE, Skin


@pytest.mark.parametrize("method", ["pos", "chrom", "ica", "student"])
def test_a_stream_gives_what_the_recording_gives(
    method: str, demo_path: Path, demo_frames: list[Frame], student: Exported
) -> None:
    method = str(student.clip) if method == "student" else method
    whole = kdphys.measure_all(demo_path, method)[0]
    with kdphys.stream(method) as session:
        updates = [u for f in demo_frames if (u := session.push(f)) is not None]
    last = session.update
    assert last is not None
    n, shown = len(whole.pulse.bvp), len(last.pulse.bvp)
    assert shown == 300
    assert last.pulse.t0 == pytest.approx(whole.pulse.times[n - shown], abs=1e-9)
    assert last.pulse.scale is not None
    assert whole.pulse.scale is not None
    # In the method's own units, and of unit standard deviation.
    ours, theirs = last.pulse.bvp * last.pulse.scale, (whole.pulse.bvp * whole.pulse.scale)[-shown:]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose(last.pulse.bvp, whole.pulse.bvp[-shown:], atol=1e-3)
    expected = hr_window(Judge(whole.pulse), n - 300, n)
    assert expected.candidate_bpm is not None
    if method != str(student.clip):  # it has learned nothing: there is no heart rate in what it gives
        assert last.vitals.hr_bpm == pytest.approx(expected.hr_bpm, abs=0.01)
        assert last.vitals.sqi == pytest.approx(expected.sqi, abs=0.01)
        first = next(u for u in updates if u.vitals.hr_bpm is not None)
        assert first.t <= 8.0
        assert first.vitals.hr.confidence is not None
    assert last.vitals.course[-1].candidate_bpm == pytest.approx(expected.candidate_bpm, abs=0.01)
    assert [round(u.t) for u in updates if abs(u.t - round(u.t)) < 1e-6] == list(range(1, 12))


def test_a_window_as_long_as_the_recording_gives_its_heart_rate(demo_path: Path, demo_frames: list[Frame]) -> None:
    with kdphys.stream("pos", window_s=12.0) as session:
        for frame in demo_frames:
            session.push(frame)
    assert session.vitals is not None
    assert session.vitals.hr_bpm == pytest.approx(kdphys.measure(demo_path, "pos").hr_bpm, abs=0.01)


def test_equal_with_frames_lost_late_and_at_odd_times(demo_frames: list[Frame], student: Exported) -> None:
    rng = np.random.default_rng(0)
    kept = [f for f in demo_frames if rng.uniform() > 0.15 and not 5.0 < f.t < 5.8]
    times = np.array([f.t for f in kept]) + rng.uniform(-0.012, 0.012, len(kept))
    video = kdphys.read_video(np.stack([f.rgb for f in kept]), times=times)
    for method in (str(student.clip), "pos"):
        whole = kdphys.measure_all(video, method)[0].pulse
        with kdphys.stream(method, window_s=12.0, refresh_s=2.5) as session:
            for k, (frame, t) in enumerate(zip(kept, times, strict=True)):
                session.push(frame, t)
                if k % 40 == 7:  # comes a second time, and out of order
                    assert session.push(frame, t) is None
                    assert session.push(frame, t - 0.05) is None
        last = session.update
        assert last is not None
        n = len(last.pulse.bvp)
        assert last.pulse.scale is not None
        assert whole.scale is not None
        np.testing.assert_array_equal(last.pulse.valid, whole.valid[-n:])
        assert not last.pulse.valid.all()
        np.testing.assert_allclose(last.pulse.bvp * last.pulse.scale, (whole.bvp * whole.scale)[-n:], atol=1e-4)
        assert session.counts.gaps == 1
        assert session.counts.late == 2 * len(range(7, len(kept), 40))
        assert session.counts.persons == 1


def test_a_clip_graph_alone_streams_too(
    student: Exported, tmp_path: Path, demo_path: Path, demo_frames: list[Frame]
) -> None:
    """Without a streaming graph beside it, what the clip graph looks back at is computed anew."""
    (tmp_path / "student.onnx").write_bytes(student.clip.read_bytes())
    method = load_onnx(tmp_path / "student.onnx")
    whole = kdphys.estimate_pulse(demo_path, method)
    with kdphys.stream(method) as session:
        for frame in demo_frames:
            session.push(frame)
    assert session.update is not None
    assert session.update.pulse.scale is not None
    assert whole.scale is not None
    ours, theirs = session.update.pulse.bvp * session.update.pulse.scale, (whole.bvp * whole.scale)[-300:]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_says_how_late_it_is(student: Exported) -> None:
    assert kdphys.stream("pos").latency_s == pytest.approx(48 / 30 + 0.16)
    assert kdphys.stream("pos", roi="full").latency_s == pytest.approx(48 / 30)
    assert kdphys.stream(str(student.clip), roi="full").latency_s == pytest.approx(29 / 30)
    # And it is true: the newest settled sample lies that far behind the newest frame.
    with kdphys.stream(str(student.clip), refresh_s=0.1) as session:
        for picture, t in Skin().frames(5):
            update = session.push(picture, t, box=BOX)
            if update and t > 4:
                behind = t - float(update.pulse.times[update.pulse.valid][-1])
                assert 28 / 30 - 1e-6 <= behind <= session.latency_s + 1e-6


def test_what_cannot_be_streamed_is_refused(tmp_path: Path, student: Exported) -> None:
    whole_clip = write_model(tmp_path / "teacher.onnx", np.ones(3), 1, 8)
    import onnx

    graph = onnx.load(str(whole_clip))
    graph.metadata_props[0].value = graph.metadata_props[0].value.replace('"lookback": 1', '"lookback": -1')
    onnx.save(graph, str(whole_clip))
    with pytest.raises(InvalidInputError, match="in one piece or in large ones and cannot run on a stream"):
        kdphys.stream(str(whole_clip))
    with pytest.raises(InvalidInputError, match="at least 6 s"):
        kdphys.stream("pos", window_s=5)
    with pytest.raises(InvalidInputError, match="history must be"):
        kdphys.stream("pos", history_s=5)
    session = kdphys.stream("pos", roi=(0, 0, 100, 100))
    with pytest.raises(InvalidInputError, match="leaves the picture"):
        session.push(np.zeros((50, 50, 3), np.uint8), 0.0)


def test_wrong_frames_are_refused_and_the_stream_goes_on() -> None:
    session = kdphys.stream("pos")
    good = Skin().at(0.0)
    far = ([0, 0, np.inf, np.inf], [-1e5, -1e5, 1e5, 1e5], [-SIDE, 0, 2, 9])
    for bad in (good.astype(np.float32), good[..., 0], good[None], good[:0], good[:, :0], "frame"):
        with pytest.raises(InvalidInputError, match="expected uint8"):
            session.push(bad, 0.0, box=BOX)  # type: ignore[arg-type]
    for box in ([0, 0, 10], [5, 5, 5, 9], [SIDE, 0, SIDE + 9, 9], [0, 0, np.nan, 9], *far):
        with pytest.raises(InvalidInputError, match="box"):
            session.push(good, 0.0, box=np.array(box, float))
    for wrong in ("soon", [0.0, 1.0], timedelta(seconds=1)):
        with pytest.raises(InvalidInputError, match="t must be a"):
            session.push(good, wrong, box=BOX)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="t must be a"):
            kdphys.Frame(good, wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="box"):
        session.push(good, 0.0, box=("left", 0, 9, 9))
    assert session.counts.frames == 0
    assert session.close() is None
    session = kdphys.stream("pos")
    session.push(good, 0.0, box=BOX)
    assert session.close() is session.update is session.close()
    with pytest.raises(InvalidInputError, match="closed"):
        session.push(good, 1.0, box=BOX)


def test_a_writable_frame_may_be_used_again_by_its_owner(demo_frames: list[Frame]) -> None:
    """Frames wait for the next detection; a camera that fills one buffer over and over must not change them."""
    buffer = np.empty_like(demo_frames[0].rgb)
    with kdphys.stream("pos") as own, kdphys.stream("pos") as shared:
        for frame in demo_frames[:200]:
            own.push(frame)
            buffer[:] = frame.rgb
            shared.push(buffer, frame.t)
    assert own.update is not None
    assert shared.update is not None
    assert np.array_equal(own.update.pulse.bvp, shared.update.pulse.bvp)


def test_streaming_never_loads_torch(student: Exported, demo_path: Path) -> None:
    code = (
        "import sys, kdphys; s = kdphys.stream(sys.argv[1])\n"
        "for f in list(kdphys.read_video(sys.argv[2]))[:120]: s.push(f)\n"
        "s.close(); print(s.counts.frames, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(student.clip), str(demo_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["120", "False"]
