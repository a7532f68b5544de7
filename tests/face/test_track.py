"""Tracks: steady, honest about missing faces, one identity a person."""

from __future__ import annotations

import numpy as np
import pytest

from kdphys.containers import Frame
from kdphys.face.detect import Detections, FaceDetector
from kdphys.face.track import FaceTracker, TrackedFrame

WIDTH, HEIGHT = 320, 240


def squares(rgb: np.ndarray) -> Detections:
    """A detector for drawn pictures: every connected run of columns with a red square is a face."""
    red = (rgb[..., 0] > 200) & (rgb[..., 1] < 100)
    columns = np.flatnonzero(np.diff(np.concatenate([[0], red.any(axis=0).astype(int), [0]])))
    boxes = []
    for x0, x1 in columns.reshape(-1, 2):
        rows = np.flatnonzero(red[:, x0:x1].any(axis=1))
        boxes.append([x0, rows[0], x1, rows[-1] + 1])
    return Detections(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9))


def picture(*corners: tuple[int, int], scene: int = 0) -> np.ndarray:
    """A background that tells scenes apart, and 40-pixel faces at the given corners."""
    rng = np.random.default_rng(scene)
    rgb = np.kron(rng.integers(0, 180, (6, 8, 3)), np.ones((40, 40, 1))).astype(np.uint8)
    for x, y in corners:
        rgb[y : y + 40, x : x + 40] = (230, 40, 40)
    return rgb


def follow(pictures: list[np.ndarray], fps: float = 30.0) -> list[TrackedFrame]:
    frames = [Frame(rgb, k / fps) for k, rgb in enumerate(pictures)]
    out = list(FaceTracker(detector=squares).track(frames))
    assert [item.frame.t for item in out] == [frame.t for frame in frames], "every frame, once, in order"
    return out


def test_moving_face_keeps_its_number_and_its_box_follows() -> None:
    out = follow([picture((40 + k, 60)) for k in range(90)])
    assert {key for item in out for key in item.faces} == {0}
    off = [abs(item.faces[0][0][0] - (40 + k)) for k, item in enumerate(out)]
    assert max(off) < 0.35 * 40
    assert all(len(item.faces) == 1 for item in out)


def test_no_box_while_the_face_is_away() -> None:
    out = follow([picture((100, 60)) if not 40 <= k < 70 else picture() for k in range(120)])
    assert not any(item.faces for item in out[40:70])
    # What is lost around the gap is at most one detection interval.
    assert all(item.faces for item in out[:34])
    assert all(item.faces for item in out[76:])
    assert {key for item in out for key in item.faces} == {0}, "back within four seconds: the same person"


def test_long_absence_makes_another_track() -> None:
    out = follow([picture((100, 60)) if not 30 <= k < 180 else picture() for k in range(210)])
    assert {key for item in out[:30] for key in item.faces} == {0}
    assert {key for item in out[180:] for key in item.faces} == {1}


def test_cut_makes_another_track_even_in_the_same_place() -> None:
    out = follow([picture((100, 60), scene=int(k >= 50)) for k in range(100)])
    assert set(out[49].faces) == {0}
    assert set(out[50].faces) == {1}


def test_two_people_one_hidden_for_a_moment() -> None:
    both = [(40, 60), (220, 100)]
    out = follow([picture(*(both[:1] if 30 <= k < 60 else both)) for k in range(100)])
    first = {key: item[0][0] < 160 for key, item in out[0].faces.items()}
    assert sorted(first) == [0, 1]
    for item in out[:29] + out[66:]:
        assert {key: face[0][0] < 160 for key, face in item.faces.items()} == first
    left = next(key for key, is_left in first.items() if is_left)
    assert set(out[45].faces) == {left}


def test_steadier_than_the_detector_alone() -> None:
    rng = np.random.default_rng(1)

    def shaky(rgb: np.ndarray) -> Detections:
        return Detections(np.array([[100.0, 60, 140, 100]]) + rng.normal(0, 0.6, (1, 4)), np.array([0.9]))

    frames = [Frame(picture((100, 60)), k / 30) for k in range(300)]
    boxes = np.array([item.faces[0][0] for item in FaceTracker(detector=shaky).track(frames)])
    assert boxes[30:].std(axis=0).max() < 0.35


def test_detects_seldom_but_notices_a_loss_within_a_second() -> None:
    calls = []

    def counting(rgb: np.ndarray) -> Detections:
        calls.append(1)
        return squares(rgb)

    frames = [Frame(picture((100, 60)), k / 30) for k in range(300)]
    list(FaceTracker(detector=counting).track(frames))
    assert 10 <= len(calls) <= 80


@pytest.mark.parametrize("fps", [5.0, 15.0, 60.0])
def test_any_frame_rate(fps: float) -> None:
    out = follow([picture((100, 60)) for _ in range(20)], fps)
    assert all(set(item.faces) == {0} for item in out)


def test_real_detector_follows_the_bundled_clip(demo_frames: list[Frame]) -> None:
    out = list(FaceTracker(detector=FaceDetector()).track(demo_frames[:120]))
    assert all(set(item.faces) == {0} for item in out)


def test_hours_of_people_who_pass_take_no_memory() -> None:
    tracker = FaceTracker(detector=squares)
    for k in range(400):
        tracker.push(Frame(picture((40 * (k // 5 % 7), 80)), k / 2))
    assert len(tracker._steps) <= 12
