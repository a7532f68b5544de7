"""From files to vital signs: what a stranger sees with faces, photos, loops, walls and noise."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import kdphys
from kdphys.containers import Evidence, Frame
from kdphys.errors import InvalidInputError, VideoError
from kdphys.face.detect import FaceDetector
from kdphys.face.track import FaceTracker
from kdphys.pipeline import extract, measure_all, person_pulse
from kdphys.pulse.engines import ClipMethod
from kdphys.vitals.result import Vitals
from tests.video.make import write_video

Pictures = list[np.ndarray]


@pytest.fixture(scope="module")
def truth() -> float:
    import json

    return float(json.loads((Path(kdphys.__file__).parent / "assets" / "demo.json").read_text())["hr_bpm"])


@pytest.fixture(scope="module")
def measured(demo_path: Path) -> Vitals:
    """The bundled clip by the shortest form."""
    return kdphys.measure(demo_path)


def test_bundled_clip_within_two_bpm(measured: Vitals, truth: float) -> None:
    assert measured.hr_bpm == pytest.approx(truth, abs=2.0)
    assert measured.sqi >= 0.7


def test_five_lines_give_what_the_short_form_gives(demo_path: Path, measured: Vitals) -> None:
    video = kdphys.read_video(demo_path)
    method = kdphys.load_method("student")
    pulse = kdphys.estimate_pulse(video, method)
    vitals = kdphys.measure_vitals(pulse)
    assert (vitals.hr_bpm, vitals.sqi) == (measured.hr_bpm, measured.sqi)


def photo(frames: Pictures) -> Pictures:
    return [frames[0]] * len(frames)


def photo_with_camera_noise(frames: Pictures) -> Pictures:
    rng = np.random.default_rng(0)
    return [np.clip(frames[0] + rng.normal(0, 2.0, frames[0].shape), 0, 255).astype(np.uint8) for _ in frames]


def loop(frames: Pictures) -> Pictures:
    return [frames[k % 27] for k in range(len(frames))]


def cartoon(frames: Pictures) -> Pictures:
    """The face drawn with eight flat colours, nodding."""
    small = (frames[0] // 32) * 32 + 16
    smooth = cv2.medianBlur(small, 9)
    return [np.roll(smooth, round(6 * np.sin(2 * np.pi * 0.4 * k / 30)), axis=0) for k in range(len(frames))]


def photo_in_flickering_light(frames: Pictures) -> Pictures:
    return lit([frames[0]] * len(frames), 1.3)


def lit(frames: Pictures, hz: float) -> Pictures:
    """In a light that swings by 1 %."""
    rng = np.random.default_rng(3)
    out = []
    for k, picture in enumerate(frames):
        noisy = picture * (1 + 0.01 * np.sin(2 * np.pi * hz * k / 30)) + rng.normal(0, 1.5, picture.shape)
        out.append(noisy.round().clip(0, 255).astype(np.uint8))
    return out


def wall(frames: Pictures) -> Pictures:
    rng = np.random.default_rng(1)
    return [rng.normal(170, 3, frames[0].shape).clip(0, 255).astype(np.uint8) for _ in frames]


def noise(frames: Pictures) -> Pictures:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, frames[0].shape, dtype=np.uint8) for _ in frames]


@pytest.mark.parametrize(
    "make", [photo, photo_with_camera_noise, photo_in_flickering_light, loop, cartoon, wall, noise]
)
def test_what_does_not_live_has_no_heart_rate(make: Callable[[Pictures], Pictures], demo_frames: list[Frame]) -> None:
    pictures = make([frame.rgb[::2, ::2] for frame in demo_frames[:330]])
    student = kdphys.load_method("student")
    assert isinstance(student, ClipMethod)
    extraction = extract(kdphys.read_video(np.stack(pictures), fs=30.0), open_sink=student.open)
    person = extraction.persons[0] if extraction.persons else None
    for method in ("student", "pos", "green"):  # what measure does, with one pass over the pictures for all
        vitals = kdphys.measure_vitals(person_pulse(extraction, person, kdphys.load_method(method)))
        assert vitals.hr_bpm is None, method
        assert vitals.reasons, method


def test_flickering_light_is_no_pulse(demo_frames: list[Frame]) -> None:
    """A living face, 72 bpm, in a light that swings at 110."""
    pictures = lit([frame.rgb[::2, ::2] for frame in demo_frames[:330]], 110 / 60)
    student = kdphys.load_method("student")
    assert isinstance(student, ClipMethod)
    extraction = extract(kdphys.read_video(np.stack(pictures), fs=30.0), open_sink=student.open)
    for method in ("student", "pos", "green"):
        pulse = person_pulse(extraction, extraction.persons[0], kdphys.load_method(method))
        vitals = kdphys.measure_vitals(pulse)
        assert vitals.hr_bpm is None or abs(vitals.hr_bpm - 72) < 3, method
        if method == "green":
            assert vitals.reasons == ("flickering light",)


def test_a_photo_with_camera_noise_as_a_file(tmp_path: Path, demo_frames: list[Frame]) -> None:
    path = tmp_path / "photo.mp4"
    write_video(path, photo_with_camera_noise([frame.rgb[::2, ::2] for frame in demo_frames[:240]]), fps=30)
    assert kdphys.measure(path).hr_bpm is None


@pytest.mark.parametrize(("frames", "crf"), [(27, 23), (60, 23), (66, 20), (99, 23), (150, 18)])
def test_a_loop_is_known_through_an_encoder(frames: int, crf: int, tmp_path: Path, demo_frames: list[Frame]) -> None:
    """Also one that is longer than two beats, whose rate is not a multiple of the heart's; and so are all its parts."""
    path = tmp_path / "loop.mp4"
    pictures = [demo_frames[k % frames].rgb for k in range(340)]
    write_video(path, pictures, fps=30, options={"crf": str(crf), "preset": "veryfast"})
    vitals = kdphys.measure(path)
    assert vitals.reasons == ("repeating picture",)
    assert all(w.hr_bpm is None for w in vitals.course)


def test_dark_and_over_exposed_faces_say_so(demo_frames: list[Frame]) -> None:
    small = np.stack([frame.rgb[::2, ::2] for frame in demo_frames[:300]])
    levels = np.arange(256)
    bright = np.clip(levels * 1.4 + 80, 0, 255).astype(np.uint8)[small]
    assert kdphys.measure(kdphys.read_video(bright, fs=30.0)).reasons == ("over-exposed",)
    dark = (levels * 0.08).astype(np.uint8)[small]
    result = kdphys.measure(kdphys.read_video(dark, fs=30.0))
    assert result.reasons == ("too dark",)
    assert result.sqi <= 0.5, "whatever the wave looks like"


@pytest.mark.parametrize("gain", [(0.05, 0.05, 0.05), (1.0, 0.6, 0.05)])
def test_skin_that_is_too_dark_to_use_is_judged_all_the_same(gain: tuple[float, ...], demo_frames: list[Frame]) -> None:
    """A loop of 1.6 s in which no pixel has all its colours: the network sees the loop, so must its judge."""
    small = [(frame.rgb[::2, ::2] * gain).astype(np.uint8) for frame in demo_frames[:48]]
    for method in ("student", "pos"):
        reasons = kdphys.measure(kdphys.read_video(np.stack((small * 7)[:330]), fs=30.0), method).reasons
        assert reasons == (("too dark",) if gain[0] < 1 else ("repeating picture",)), method


def test_a_loop_that_is_hidden_for_a_moment_is_still_one(demo_frames: list[Frame]) -> None:
    pictures = [demo_frames[k % 48].rgb[::2, ::2] for k in range(360)]
    pictures[170:190] = [np.zeros_like(pictures[0])] * 20
    student = kdphys.load_method("student")
    assert isinstance(student, ClipMethod)
    extraction = extract(kdphys.read_video(np.stack(pictures), fs=30.0), open_sink=student.open)
    for method in ("student", "pos"):
        pulse = person_pulse(extraction, extraction.persons[0], kdphys.load_method(method))
        vitals = kdphys.measure_vitals(pulse)
        assert 0.85 < pulse.valid.mean() < 1
        assert vitals.reasons == ("repeating picture",), method
        assert all(w.hr_bpm is None for w in vitals.course)


@pytest.mark.parametrize("depth", [0.003, 0.01])
def test_bands_of_a_mains_lamp_are_no_loop(depth: float, demo_frames: list[Frame], truth: float) -> None:
    """100 Hz under a rolling shutter of 28 ms: bands that come back 10 times a second."""
    rng = np.random.default_rng(0)
    small = [frame.rgb[::2, ::2] for frame in demo_frames[:330]]
    rows = np.arange(len(small[0]))[:, None, None] / len(small[0]) * 0.028
    pictures = []
    for k, picture in enumerate(small):
        lit = picture * (1 + depth * np.sin(2 * np.pi * 100.03 * (k / 30 + rows))) + rng.normal(0, 1, picture.shape)
        pictures.append(lit.round().clip(0, 255).astype(np.uint8))
    assert kdphys.measure(kdphys.read_video(np.stack(pictures), fs=30.0)).hr_bpm == pytest.approx(truth, abs=2)


def test_a_named_region_is_all_that_is_looked_at(demo_frames: list[Frame]) -> None:
    """A strip of six pixels of shirt below the chin."""
    video = kdphys.read_video(np.stack([frame.rgb for frame in demo_frames[:240]]), fs=30.0)
    for method in ("student", "pos"):
        assert kdphys.measure(video, method, roi=(250, 330, 390, 336)).hr_bpm is None, method


def test_face_that_hides_is_missing_not_stale(demo_frames: list[Frame]) -> None:
    """Two seconds behind a sheet of paper."""
    x0, y0, x1, y1 = (int(v) for v in FaceDetector()(demo_frames[0].rgb).boxes[0])
    pictures = [frame.rgb.copy() for frame in demo_frames]
    for picture in pictures[120:180]:
        picture[y0 - 60 : y1 + 40, x0 - 40 : x1 + 40] = 160
    extraction = extract(kdphys.read_video(np.stack(pictures), fs=30.0))
    assert len(extraction.persons) == 1
    valid = extraction.persons[0].trace.valid
    assert not valid[122:178].any()
    assert valid[:115].all()
    assert valid[186:-2].all()


def test_picture_without_colour_is_said(demo_frames: list[Frame]) -> None:
    grey = np.stack([frame.rgb[..., 1] for frame in demo_frames[:240]])
    colour = np.stack([frame.rgb for frame in demo_frames[:240]])
    notes = [extract(kdphys.read_video(pictures, fs=30.0)).notes for pictures in (grey, colour)]
    assert [[note for note in each if "no colour" in note] != [] for each in notes] == [True, False]


def test_two_people_are_measured_apart(demo_frames: list[Frame], truth: float) -> None:
    """Left the living one, right a photo of the same face, smaller."""
    pictures = []
    for frame in demo_frames:
        canvas = np.full((480, 1280, 3), 100, np.uint8)
        canvas[:, :640] = frame.rgb
        canvas[120:360, 800:1120] = demo_frames[0].rgb[::2, ::2]
        pictures.append(canvas)
    video = kdphys.read_video(np.stack(pictures), fs=30.0)
    both = measure_all(video, "pos", faces="all")
    assert len(both) == 2
    assert len({m.person for m in both}) == 2
    assert both[0].vitals.hr_bpm == pytest.approx(truth, abs=2.0)
    assert both[1].vitals.hr_bpm is None
    start = kdphys.read_video(np.stack(pictures[:90]), fs=30.0)
    assert len(measure_all(start, "pos")) == 1
    tracker = FaceTracker(detector=FaceDetector(thorough=True))
    (note,) = extract(start, most=1, tracker=tracker).notes
    assert note.startswith("another face")
    assert "--faces all" in note


def test_of_people_who_pass_only_the_largest_is_kept(demo_frames: list[Frame]) -> None:
    """Cuts between two shots make a person each: an hour of them must not fill the memory."""
    shots = [np.roll(f.rgb, 200 * (k // 75 % 2), axis=1) for k, f in enumerate(demo_frames * 2)]
    alive: weakref.WeakSet[Sink] = weakref.WeakSet()
    most = 0

    class Sink:
        """Counts how many of its kind there are."""

        size, box_scale = 8, 1.5

        def __init__(self, t0: float) -> None:
            alive.add(self)

        def push(self, t: float, crop: np.ndarray) -> None:
            nonlocal most
            most = max(most, len(alive))

        def finish(self, n: int, evidence: Evidence | None) -> None:
            """No pulse."""

    tracker = FaceTracker(memory_s=1.0)
    extraction = extract(kdphys.read_video(np.stack(shots), fs=30.0), most=1, tracker=tracker, open_sink=Sink)
    (note,) = [note for note in extraction.notes if "--faces all" in note]
    assert int(note.split()[0]) >= 6
    assert most <= 4
    assert len(extraction.persons) == 1


def test_times_that_are_no_seconds_are_refused(demo_frames: list[Frame]) -> None:
    frames = np.stack([f.rgb[::4, ::4] for f in demo_frames[:60]])
    for times in (np.arange(60) * 33333.0, np.r_[np.arange(59) / 30, 1e6]):
        with pytest.raises(VideoError, match="in seconds"):
            measure_all(kdphys.read_video(frames, times=times), "pos")


def test_a_frame_a_second_is_too_few_not_no_face(demo_frames: list[Frame]) -> None:
    slow = kdphys.read_video(np.stack([f.rgb for f in demo_frames[::30]]), fs=1.0)
    assert measure_all(slow, "pos")[0].vitals.reasons == ("fs too low",)


def test_region_of_interest_instead_of_a_face() -> None:
    """A fingertip: no face, a named region, a strong pulse."""
    t = np.arange(360) / 30
    level = 140 - 2.0 * np.sin(2 * np.pi * 1.4 * t)
    rng = np.random.default_rng(0)
    frames = np.stack([np.clip(rng.normal(v, 1.5, (48, 64, 3)) * [1, 0.3, 0.2], 0, 255) for v in level]).astype(
        np.uint8
    )
    video = kdphys.read_video(frames, fs=30.0)
    assert kdphys.measure(video).reasons == ("no face",)
    assert kdphys.measure(video, "channel", roi="full").hr_bpm == pytest.approx(84.0, abs=0.5)
    assert kdphys.measure(video, "channel", roi=(8, 8, 40, 40)).hr_bpm == pytest.approx(84.0, abs=0.5)
    for bad in ("half", (0, 0, 100, 20), (10, 10, 5, 20)):
        with pytest.raises(InvalidInputError, match="roi"):
            kdphys.measure(video, roi=bad)


def test_frame_rate_does_not_matter_but_time_does(demo_frames: list[Frame], truth: float) -> None:
    """Every second frame, and frames dropped at random: the clock is the timestamps."""
    rng = np.random.default_rng(0)
    kept = [frame for frame in demo_frames if rng.random() > 0.3]
    video = kdphys.read_video(np.stack([f.rgb for f in kept]), times=[f.t for f in kept])
    assert kdphys.measure(video).hr_bpm == pytest.approx(truth, abs=2.5)
    half = demo_frames[::2]
    video = kdphys.read_video(np.stack([f.rgb for f in half]), times=[f.t for f in half])
    assert kdphys.measure(video).hr_bpm == pytest.approx(truth, abs=2.5)


def test_real_face(recordings: Path) -> None:
    """HR by spectrum of the finger PPG over the clip: 75.4 bpm."""
    vitals = kdphys.measure(recordings / "faces" / "vitallens_1" / "video.mp4", "pos")
    assert vitals.hr_bpm == pytest.approx(75.4, abs=1.5)


def test_real_negatives_get_no_answer(recordings: Path) -> None:
    for path in sorted((recordings / "negatives").glob("*.avi")):
        assert kdphys.measure(path, "pos").reasons == ("no face",)


def test_real_skin_patches_without_pulse(recordings: Path) -> None:
    """The same clips with the region named by hand: at most one window in twenty may be fooled."""
    windows = []
    for path in sorted((recordings / "negatives").glob("*.avi")):
        windows += measure_all(path, "pos", roi="full", step_s=2.0)[0].vitals.course
    answered = sum(w.hr_bpm is not None for w in windows)
    assert len(windows) > 50
    assert answered <= 0.05 * len(windows)


def test_real_low_light(recordings: Path) -> None:
    """0 % light must be refused."""
    vitals = kdphys.measure(recordings / "faces" / "lowlight_50fps" / "r0930_0.avi")
    assert vitals.reasons == ("too dark",)
