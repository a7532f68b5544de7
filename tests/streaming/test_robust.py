"""Streams as they are: clocks that jump, faces that come and go, cameras that change their rate, hours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import kdphys
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Frame
from kdphys.streaming import Session, Update
from kdphys.streaming.clock import Clock
from tests.streaming.scene import BOX, Skin, wave


def run(session: Session, skin: Skin, seconds: float, fps: float = 30.0, start: float = 0.0) -> list[Update]:
    """Push skin at a rate."""
    return [u for rgb, t in skin.frames(seconds, fps, start) if (u := session.push(rgb, t, box=BOX))]


def test_a_clock_that_is_set_back_is_followed() -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    run(session, skin, 15, start=1000.0)
    assert session.counts.late == 0
    updates = run(session, skin, 15, start=500.0)
    assert session.counts.clock_jumps == 1
    assert session.counts.late == 30  # one second, until it was plain
    assert any("clock" in note for u in updates for note in u.notes)
    last = updates[-1]
    assert last.t == pytest.approx(515, abs=1.1)
    assert last.vitals.hr_bpm == pytest.approx(72, abs=1)
    assert last.pulse.times[-1] == pytest.approx(last.t - session.latency_s + 0.16, abs=0.1)


def test_a_jump_forward_is_a_gap() -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    run(session, skin, 12)
    updates = run(session, skin, 13, start=9000.0)
    assert session.counts.gaps == 1
    assert updates[0].vitals.hr_bpm is None  # nothing is told of what was not seen
    assert updates[-1].vitals.hr_bpm == pytest.approx(72, abs=1)
    assert len(updates[-1].vitals.course) < 20


def test_times_that_are_no_numbers_and_stand_still() -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    run(session, skin, 10)
    before = session.update
    for t in (np.nan, np.inf, -np.inf, 1e15, *[9.0] * 99):
        assert session.push(skin.at(0.0), t, box=BOX) is None
    assert session.counts.late == 103
    assert session.counts.clock_jumps == 0
    assert session.update is before
    assert run(session, skin, 5, start=10.0)[-1].vitals.hr_bpm == pytest.approx(72, abs=1)


def test_a_camera_that_changes_its_rate() -> None:
    skin, session = Skin(80.0), kdphys.stream("pos")
    assert run(session, skin, 12, fps=30)[-1].fps == pytest.approx(30, abs=0.1)
    after = run(session, skin, 15, fps=15, start=12.0)
    assert after[-1].fps == pytest.approx(15, abs=0.1)
    assert after[-1].vitals.hr_bpm == pytest.approx(80, abs=1)
    slow = run(session, skin, 12, fps=5, start=27.0)
    assert slow[-1].fps == pytest.approx(5, abs=0.1)
    assert slow[-1].vitals.reasons == ("fs too low",)
    back = run(session, skin, 12, fps=30, start=39.0)
    assert back[-1].vitals.hr_bpm == pytest.approx(80, abs=1)
    crawl = run(session, skin, 12, fps=1, start=51.0)[-1]
    assert crawl.fps == pytest.approx(1, abs=0.1)
    assert any("too slow" in advice for advice in crawl.advice)


def test_a_fast_heart_before_a_camera_that_slows_down_is_never_read_as_a_slow_one() -> None:
    """As webcams do when the light goes; at 5 frames a second 165 bpm look like 135."""
    skin, session = Skin(165.0), kdphys.stream("pos")
    assert run(session, skin, 40, fps=30)[-1].vitals.hr_bpm == pytest.approx(165, abs=1)
    told = [u.vitals.hr_bpm for u in run(session, skin, 40, fps=5, start=40.0)]
    assert all(bpm is None or abs(bpm - 165) < 3 for bpm in told)
    assert told[-20:] == [None] * 20
    assert session.vitals is not None
    assert session.vitals.reasons == ("fs too low",)


def test_a_clock_that_is_set_back_keeps_what_was_known() -> None:
    skin, session = Skin(72.0, breaths=15.0, depth=0.012, rsa=0.05), kdphys.stream("pos")
    before = run(session, skin, 75, start=1000.0)[-1].vitals
    assert before.rr_brpm == pytest.approx(15, abs=1)
    after = run(session, skin, 16, start=875.0)[-1]
    assert session.counts.clock_jumps == 1
    assert after.vitals.rr_brpm == pytest.approx(15, abs=1)
    assert max(w.t1 for w in after.vitals.course) < after.t + 0.1
    assert len(after.vitals.course) > 55


@pytest.mark.parametrize("order", ["twice", "swapped"])
def test_a_clock_that_is_set_back_is_followed_though_frames_come_twice_or_swapped(order: str) -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    run(session, skin, 9, start=1000.0)
    frames = list(skin.frames(9, start=500.0))
    for k in range(0, len(frames), 2):
        pair = [frames[k], frames[k], frames[k + 1], frames[k + 1]] if order == "twice" else [frames[k + 1], frames[k]]
        for rgb, t in pair:
            session.push(rgb, t, box=BOX)
    assert session.counts.clock_jumps == 1
    assert session.update is not None
    assert session.update.t == pytest.approx(509, abs=1.1)


@pytest.mark.parametrize(("step", "every"), [(0.15, 2.0), (0.3, 4.0), (0.8, 6.0)])
def test_a_clock_that_is_set_back_a_little_again_and_again_bends_no_rate(step: float, every: float) -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    told = []
    for rgb, t in skin.frames(60):
        update = session.push(rgb, t - step * np.floor(t / every) + 0.003 * np.sin(37 * t), box=BOX)
        told += [update.vitals.hr_bpm] if update is not None else []
    assert session.counts.clock_jumps == round(60 / every) - 1
    assert len(told) > 20
    assert all(bpm is None or bpm == pytest.approx(72, abs=3) for bpm in told)


def test_a_clock_that_is_set_back_before_a_pause_tells_how_long_that_was() -> None:
    clock = Clock()
    for k in range(10):
        assert clock(k / 30) == pytest.approx(k / 30)
    late = [clock((k - 4) / 30) for k in range(10, 13)]  # set back by four frames, then nothing for 0.4 s
    assert late == [None] * 3
    assert clock((12 - 4) / 30 + 0.4) == pytest.approx(12 / 30 + 0.4)
    assert clock.jumps == 1


def test_pictures_that_are_overtaken_or_come_twice_set_no_clock() -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    frames = list(skin.frames(20))
    for k in range(0, len(frames) - 3, 3):
        for j in (k + 1, k, k + 2, k + 2):
            session.push(*frames[j], box=BOX)
    assert session.counts.clock_jumps == 0
    assert session.vitals is not None
    assert session.vitals.hr_bpm == pytest.approx(72, abs=1)


def test_a_late_picture_of_another_size_changes_nothing() -> None:
    skin = Skin(65.0)
    with kdphys.stream("pos", roi="full") as session:
        for k, (rgb, t) in enumerate(skin.frames(14)):
            session.push(rgb, t)
            if k == 60:
                assert session.push(np.zeros((480, 640, 3), np.uint8), 0.5) is None
    assert session.vitals is not None
    assert session.vitals.hr_bpm == pytest.approx(65, abs=1)


def test_advice_and_reasons() -> None:
    skin = Skin(72.0)
    with kdphys.stream("pos") as session:
        for rgb, t in skin.frames(9):
            session.push((rgb * 0.1).astype(np.uint8), t, box=BOX)
    assert session.update is not None
    assert session.update.vitals.reasons == ("too dark",)
    assert session.update.advice[:1] == ("more light",)
    assert "come closer" in session.update.advice
    with kdphys.stream("pos") as session:
        session.push(np.full((60, 80, 3), 90, np.uint8), 0.0)
    assert session.update is not None
    assert session.update.person is None
    assert session.update.advice[0] == "no face: look into the camera"


def test_a_short_stream_ends_with_its_face(demo_frames: list[Frame]) -> None:
    """It is too short for a heart rate, not without a face."""
    pictures = small(demo_frames)
    for options in ({}, {"roi": "full"}):
        session = kdphys.stream("pos", **options)
        for k, picture in enumerate(pictures[:30]):
            session.push(picture, k / 10)
        last = session.close()
        assert last is not None
        assert last.vitals.reasons == ("too short",), options
        assert not any("no face" in advice for advice in last.advice)


def test_pictures_that_are_shown_again_hide_no_slow_camera() -> None:
    """As in a video call: 30 pictures come a second, of which 4 are new. A heart of 140 would be told as one of 100."""
    skin, session = Skin(140.0), kdphys.stream("pos")
    pictures = [skin.at(k / 4) for k in range(60)]
    for k in range(450):
        session.push(pictures[k * 4 // 30], k / 30, box=BOX)
    assert session.update is not None
    assert session.update.vitals.reasons == ("fs too low",)


def test_times_that_are_no_seconds_are_suspected(demo_frames: list[Frame]) -> None:
    session = kdphys.stream("pos")
    updates = [u for k, p in enumerate(small(demo_frames)[:20]) if (u := session.push(p, 100.0 * k))]
    assert "are their times in seconds?" in updates[-1].advice[0]


def test_a_part_of_the_picture_needs_no_face() -> None:
    skin = Skin(65.0)
    with kdphys.stream("pos", roi="full") as session:
        for rgb, t in skin.frames(14):
            session.push(rgb, t)
    assert session.vitals is not None
    assert session.vitals.hr_bpm == pytest.approx(65, abs=1)


def test_breathing_and_variability_after_their_minimum() -> None:
    """Variability over minutes from a history of one minute."""
    frames = list(Skin(66.0, breaths=15.0, depth=0.014, rsa=0.1).frames(170, 10))
    session, builder, by_time = kdphys.stream("pos", refresh_s=2.0), TraceBuilder(30.0, 0.0), {}
    for rgb, t in frames:
        builder.add(Frame(rgb, t), BOX)
        if update := session.push(rgb, t, box=BOX):
            by_time[round(t)] = update.vitals
    last = session.close()
    assert last is not None
    assert "too short" in (by_time[20].rr.reason or "")
    assert by_time[60].rr_brpm == pytest.approx(15, abs=1)
    assert last.vitals.rr_brpm == pytest.approx(15, abs=1)
    assert by_time[100].hrv["lf"].value is None
    whole = kdphys.measure_vitals(kdphys.load_method("pos").pulse(builder.build()))
    nothing = {"lf": 20.0, "lf_hf": 0.01}  # ms² and a ratio: this heart has no slow rhythm
    for name, ours in last.vitals.hrv.items():
        assert ours.window == pytest.approx(whole.hrv[name].window, abs=1.5)
        assert ours.value == pytest.approx(whole.hrv[name].value, rel=0.1, abs=nothing.get(name, 0.0))


def small(frames: list[Frame]) -> list[NDArray[np.uint8]]:
    """Every third picture at half the size: 10 a second."""
    return [np.asarray(cv2.resize(np.asarray(f.rgb), (320, 240), interpolation=cv2.INTER_AREA)) for f in frames[::3]]


class Scene:
    """Two places side by side in which people may be."""

    def __init__(self, left: list[NDArray[np.uint8]]) -> None:
        self.left = left
        self.empty = np.full_like(left[0], 70)
        self.there = np.array([1.0, 0.0])
        other = [p[40:200, 80:240].copy() for p in left]  # nearer to the camera, turned, in another light
        self.right = [cv2.resize((p[:, ::-1] * 0.7).astype(np.uint8), (320, 320))[40:280] for p in other]

    def play(self, session: Session, seconds: float, start: float, left: bool, right: bool) -> list[Update]:
        """People come and go within a second: a picture that changes at once is another scene."""
        out = []
        for k in range(round(seconds * 10)):
            at = (k + round(start * 10)) % len(self.left)
            self.there += np.clip([left - self.there[0], right - self.there[1]], -0.1, 0.1)
            picture = np.hstack(
                [
                    cv2.addWeighted(person[at], share, self.empty, 1 - share, 0)
                    for person, share in zip((self.left, self.right), self.there, strict=True)
                ]
            )
            if update := session.push(Frame(picture, start + k / 10)):
                out.append(update)
        return out


def test_a_face_that_goes_for_a_moment_is_the_same_person(demo_frames: list[Frame]) -> None:
    scene, session = Scene(small(demo_frames)), kdphys.stream("pos")
    scene.play(session, 9, 0.0, True, False)
    assert session.update is not None
    assert session.update.person == 0
    gone = scene.play(session, 2, 9.0, False, False)
    assert gone[-1].box is None
    assert gone[-1].advice[0] == "no face: look into the camera"
    back = scene.play(session, 9, 11.0, True, False)
    assert back[-1].person == 0
    assert session.counts.lost == 1
    assert session.counts.persons == 1
    assert back[-1].box is not None
    assert back[-1].vitals.course[0].t1 < 9.0  # what was told before still stands
    assert back[-1].vitals.reasons in ((), ("no periodic component",))


def test_a_face_that_stays_away_begins_anew(demo_frames: list[Frame]) -> None:
    scene, session = Scene(small(demo_frames)), kdphys.stream("pos")
    scene.play(session, 8, 0.0, True, False)
    gone = scene.play(session, 13, 8.0, False, False)
    assert gone[-1].vitals.reasons == ("no face",)
    assert not gone[-1].pulse.valid.any()
    back = scene.play(session, 9, 21.0, True, False)
    assert back[-1].person == 1
    assert back[1].vitals.reasons == ("too short",)
    assert back[-1].vitals.course[0].t1 > 21.0
    assert any("another person" in note for u in back for note in u.notes)


def test_another_person_takes_over_only_when_the_first_is_gone_for_long(demo_frames: list[Frame]) -> None:
    scene, session = Scene(small(demo_frames)), kdphys.stream("pos")
    scene.play(session, 4, 0.0, True, False)
    both = scene.play(session, 3, 4.0, True, True)
    assert {u.person for u in both} == {0}
    assert all(u.box is not None and u.box[0] < 320 for u in both)
    waiting = scene.play(session, 2, 7.0, False, True)
    assert {u.person for u in waiting} == {0}
    other = scene.play(session, 6, 9.0, False, True)
    assert other[-1].person == 1
    assert other[-1].box is not None
    assert other[-1].box[0] >= 300
    assert session.counts.persons == 2
    back = scene.play(session, 2, 15.0, True, True)
    assert back[-1].person == 1  # who is measured stays


def test_a_camera_that_changes_its_size(demo_frames: list[Frame]) -> None:
    session = kdphys.stream("pos")
    for frame in demo_frames[:127:3]:
        session.push(frame)
    shrunk = small(demo_frames)
    for k, picture in enumerate(shrunk):
        session.push(Frame(picture, 4.3 + k / 10))
    last = session.close()
    assert last is not None
    assert last.person == 1
    assert session.counts.persons == 2
    assert last.box is not None
    assert last.box[2] <= 320
    assert last.vitals.hr_bpm == pytest.approx(72, abs=3)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_half_an_hour_of_constant_memory_without_drift() -> None:
    """16,200 frames at 9 a second, a third of them at odd times; of all of the picture, for speed."""
    hr, fps, rng = 72.0, 9.0, np.random.default_rng(0)
    skin = Skin(hr)
    session = kdphys.stream("pos", refresh_s=20.0, roi="full")
    start = 1.7e9  # seconds since 1970, as cameras count
    memory = []
    for k in range(16_200):
        t = start + k / fps + (rng.uniform(-0.02, 0.02) if k % 3 == 0 else 0.0)
        if session.push(skin.at(t - start), t):
            memory.append(resident_mb())
    last = session.close()
    assert last is not None
    assert memory[-1] - memory[20] < 3.0
    assert last.vitals.hr_bpm == pytest.approx(hr, abs=0.5)
    # Samples lie where their times say: the wave has the phase of the pulse half an hour after the first frame.
    t, n = last.pulse.times[:-20] - start, len(last.pulse.bvp) - 20
    delays = np.arange(-0.2, 0.2, 0.005)
    fit = [float(np.corrcoef(last.pulse.bvp[:n], [wave(x + d, hr) for x in t])[0, 1]) for d in delays]
    assert abs(delays[int(np.argmax(fit))]) < 0.04
    assert max(fit) > 0.8
    assert last.t == pytest.approx(start + 1800, abs=0.2)


def test_times_that_hardly_advance_cost_no_memory() -> None:
    """Hours or days given for seconds: all frames would lie within one sample."""
    skin, session = Skin(72.0), kdphys.stream("pos")
    for k in range(300):
        assert session.push(skin.at(k / 30), 1000.0 + k * 1e-7, box=BOX) is None
    assert session.counts.late == 299


def test_frames_without_a_box_between_those_with_one_have_no_face() -> None:
    skin, session = Skin(72.0), kdphys.stream("pos")
    run(session, skin, 12)
    for k in range(3):
        session.push(skin.at(12 + k / 30), 12 + k / 30)
    updates = run(session, skin, 3, start=12.1)
    assert updates[-1].vitals.hr_bpm == pytest.approx(72, abs=1)
    assert not any(u.notes for u in updates)
    assert session.counts.persons == 1


def test_updates_are_no_oftener_than_allowed_on_this_machines_clock() -> None:
    session = Session("pos", most_per_s=0.1)
    updates = run(session, Skin(72.0), 60)  # made in much less than 60 s
    assert 20 <= len(updates) <= 25
    last = session.close()
    assert last is not None
    assert last.vitals.hr_bpm == pytest.approx(72, abs=1)


@pytest.mark.parametrize("refresh_s", [1.0, 10.0])
def test_a_loop_is_known_however_seldom_it_is_asked_for(refresh_s: float) -> None:
    skin = Skin(72.0)
    pictures = [skin.at(k / 30) for k in range(60)]
    session = kdphys.stream("pos", refresh_s=refresh_s, history_s=10.0)
    updates = [u for k in range(640) if (u := session.push(pictures[k % 60], k / 30, box=BOX))]
    assert {u.vitals.reasons for u in updates if u.t > 9} == {("repeating picture",)}
