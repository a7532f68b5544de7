"""A box is held on the face: to a fraction of a pixel, whatever the light and the detector's trembling."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import kdphys
from kdphys.clip.crop import crop, square
from kdphys.clip.steady import Steady
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Frame
from kdphys.face.detect import FaceDetector

Box = NDArray[np.floating]
BOX = np.array([60.0, 40.0, 140.0, 120.0])


@pytest.fixture(scope="module")
def face(demo_frames: list[Frame]) -> NDArray[np.uint8]:
    """The bundled person, 200 × 160 pixels, with the face in BOX."""
    rgb = demo_frames[0].rgb
    box = square(FaceDetector()(rgb).boxes[0], 1.0)
    scale = 80 / (box[2] - box[0])
    move = np.array([[scale, 0, 60 - scale * box[0]], [0, scale, 40 - scale * box[1]]])
    return cv2.warpAffine(rgb, move, (200, 160), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def moved(rgb: NDArray[np.uint8], dx: float, dy: float, grown: float = 1.0) -> NDArray[np.uint8]:
    """The picture with the middle of BOX moved, and grown around it."""
    move = np.array([[grown, 0, dx + 100 * (1 - grown)], [0, grown, dy + 80 * (1 - grown)]])
    return cv2.warpAffine(rgb, move, rgb.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def centre(box: Box) -> Box:
    return (box[:2] + box[2:]) / 2


def path(n: int, fps: float = 30.0) -> Iterator[tuple[float, float, float, float]]:
    """Time, and how far the head has gone: a rhythm of 1.3 Hz over a slow sway."""
    for k in range(n):
        t = k / fps
        yield t, 3 * np.sin(2 * np.pi * 1.3 * t) + 4 * np.sin(1.1 * t), 2 * np.cos(2 * np.pi * 0.9 * t) - 2, 0.0


def test_follows_to_a_fraction_of_a_pixel_where_the_detector_trembles(face: NDArray[np.uint8]) -> None:
    rng, steady, off = np.random.default_rng(0), Steady(), []
    for t, dx, dy, _ in path(150):
        trembling = BOX + np.repeat(rng.normal(0, 1.0, 2), 2)[[0, 2, 1, 3]]  # and it does not follow at all
        held = steady(Frame(moved(face, dx, dy), t), trembling)
        off.append(centre(held) - centre(BOX) - (dx, dy))
    off = np.array(off)[30:]
    # What is left is slow: the way home to the detector's box.
    assert np.abs(np.diff(off, axis=0)).max() < 0.25
    assert off.std(axis=0).max() < 1.0


def test_follows_a_face_that_comes_nearer(face: NDArray[np.uint8]) -> None:
    steady, sides = Steady(), []
    for k in range(40):
        held = steady(Frame(moved(face, 0, 0, 1 + 0.004 * k), k / 30), BOX * 1.0)
        sides.append(held[2] - held[0])
    assert np.all(np.diff(sides)[1:] > 0)
    assert sides[-1] == pytest.approx(80 * (1 + 0.004 * 39), rel=0.05)


def test_light_does_not_move_it(face: NDArray[np.uint8]) -> None:
    steady = Steady()
    for k in range(60):
        lit = face * (0.6 + 0.3 * np.sin(2 * np.pi * 1.2 * k / 30)) + 10
        held = steady(Frame(lit.astype(np.uint8), k / 30), BOX)
        assert np.abs(held - BOX).max() < 0.1


def test_goes_home_to_the_detector_s_box(face: NDArray[np.uint8]) -> None:
    steady, elsewhere = Steady(), BOX + np.array([6, 4, 6, 4])
    steady(Frame(face, 0.0), elsewhere)
    away = [np.abs(steady(Frame(face, k / 30), BOX) - BOX).max() for k in range(1, 300)]
    assert away[0] > 4
    assert away[-1] < 1
    assert np.all(np.diff(away) < 0.05)


def test_a_leap_or_a_gap_begins_anew(face: NDArray[np.uint8]) -> None:
    far = BOX + np.array([40, 0, 40, 0])
    steady = Steady()
    for k in range(10):
        steady(Frame(face, k / 30), BOX)
    assert np.array_equal(steady(Frame(face, 11 / 30), far), far), "further than a face moves"
    assert np.array_equal(steady(Frame(moved(face, 9, 0), 2.0), BOX), BOX), "after a gap"


def test_flat_dark_tiny_and_cut_off_faces_keep_the_detector_s_box_or_stay_near_it() -> None:
    rng = np.random.default_rng(1)
    for picture in (np.zeros((160, 200, 3)), np.full((160, 200, 3), 200), rng.integers(0, 4, (160, 200, 3))):
        for box in (BOX, BOX - [90, 0, 90, 0], np.array([10.0, 10, 16, 16]), np.array([150.0, 100, 260, 210])):
            steady = Steady()
            for k in range(30):
                held = steady(Frame(picture.astype(np.uint8), k / 30), box)
                assert np.isfinite(held).all()
                assert np.abs(centre(held) - centre(box)).max() < 0.26 * (box[2] - box[0])
                crop(picture.astype(np.uint8), square(held), 36)  # it is in the picture


def test_nothing_is_followed_where_nothing_stays() -> None:
    """Noise is no face: the box stays the detector's, and no movement is told that is none."""
    rng, steady = np.random.default_rng(2), Steady()
    for k in range(60):
        held = steady(Frame(rng.normal(120, 8, (160, 200, 3)).astype(np.uint8), k / 30), BOX)
        assert np.array_equal(held, BOX)


def test_keeps_the_shape_of_the_box(face: NDArray[np.uint8]) -> None:
    steady, tall = Steady(), BOX + np.array([6, 0, -6, 0])
    held = [steady(Frame(moved(face, dx, dy), t), tall) for t, dx, dy, _ in path(20)][-1]
    assert (held[2] - held[0]) / (held[3] - held[1]) == pytest.approx(68 / 80)


def test_a_crop_of_a_moving_face_stands_still(face: NDArray[np.uint8]) -> None:
    """What a network sees of a nodding head changes several times less than in the detector's box."""
    steady, held, loose = Steady(), [], []
    for t, dx, dy, _ in path(90):
        rgb = moved(face, dx, dy)
        late = BOX + np.repeat([dx, dy], 2)[[0, 2, 1, 3]] * 0.5  # a smoothed box comes half the way
        held.append(crop(rgb, square(steady(Frame(rgb, t), late)), 36)[8:28, 8:28])
        loose.append(crop(rgb, np.round(square(late)), 36)[8:28, 8:28])
    restless = [np.diff(np.array(x)[30:], axis=0).std() for x in (held, loose)]
    assert restless[0] < restless[1] / 3


def test_the_evidence_knows_where_a_face_is_by_its_pixels(face: NDArray[np.uint8]) -> None:
    """A nod of 0.8 % of the face, in time: the detector's box, smoothed, hardly follows it."""
    builder, steady = TraceBuilder(), Steady()
    for k in range(180):
        dy = 0.64 * np.sin(2 * np.pi * 1.2 * k / 30)
        frame, box = Frame(moved(face, 0, dy), k / 30), BOX + np.array([0, 0.2 * dy, 0, 0.2 * dy])
        builder.add(frame, box, steady(frame, box))
    evidence = builder.build().evidence
    assert evidence is not None
    y = evidence.place[30:, 1]
    assert 2 * np.abs(np.mean((y - y.mean()) * np.exp(2j * np.pi * 1.2 * np.arange(150) / 30))) == pytest.approx(
        0.008, rel=0.2
    )


def test_a_shaken_camera_leaves_the_student_s_wave_as_it_is(demo_frames: list[Frame]) -> None:
    """10 pixels at 2.2 Hz: with the detector's box alone the likeness is 0.84."""
    shaken = []
    for frame in demo_frames:
        phase = 2 * np.pi * 2.2 * (frame.t - demo_frames[0].t)
        move = np.array([[1, 0, 10 * np.sin(phase)], [0, 1, 6 * np.sin(phase + 1)]])
        shaken.append(cv2.warpAffine(frame.rgb, move, frame.rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))
    still = kdphys.estimate_pulse(kdphys.read_video(np.stack([frame.rgb for frame in demo_frames]), fs=30.0))
    moving = kdphys.estimate_pulse(kdphys.read_video(np.stack(shaken), fs=30.0))
    assert np.corrcoef(still.bvp, moving.bvp)[0, 1] > 0.99
