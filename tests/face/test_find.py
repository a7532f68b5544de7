"""Somebody far away is found, followed, and found again; nobody is made up."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import kdphys
from kdphys.containers import Frame
from kdphys.face.detect import Detections, FaceDetector, iou
from kdphys.face.find import FaceFinder

WIDTH, HEIGHT = 1280, 720


class Counting(FaceDetector):
    """Counts the pictures that the network is given."""

    looks = 0

    def _square(self, rgb: np.ndarray, x: int, y: int, side: int) -> Detections:
        Counting.looks += 1
        return super()._square(rgb, x, y, side)


def far(rgb: np.ndarray, x: int, y: int, share: float = 0.4, onto: np.ndarray | None = None) -> np.ndarray:
    """The picture made small, its left upper corner at (x, y) of a wall."""
    small = cv2.resize(rgb, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    out = np.full((HEIGHT, WIDTH, 3), (150, 140, 120), np.uint8) if onto is None else onto.copy()
    out[y : y + small.shape[0], x : x + small.shape[1]] = small
    return out


def place(rgb: np.ndarray, x: int, y: int, share: float = 0.4) -> np.ndarray:
    """Where the face is in such a picture."""
    return FaceDetector()(rgb).boxes[0] * share + np.array([x, y, x, y])


def test_small_face_is_found_and_followed(demo_frames: list[Frame]) -> None:
    rgb = demo_frames[0].rgb
    finder = FaceFinder()
    for k in range(60):
        x, y = 900 - 12 * k, 100 + 6 * k
        picture = far(rgb, x, y)
        assert len(FaceDetector()(picture).scores) == 0, "not too small for one look"
        found = finder(picture)
        assert len(found.scores) == 1, k
        assert iou(place(rgb, x, y), found.boxes)[0] > 0.6, k


def test_small_face_is_found_again_within_a_second(demo_frames: list[Frame]) -> None:
    rgb, wall = demo_frames[0].rgb, np.full((HEIGHT, WIDTH, 3), (150, 140, 120), np.uint8)
    for x, y in ((20, 30), (500, 250), (1000, 500)):
        finder = FaceFinder()
        assert len(finder(far(rgb, 200, 400)).scores) == 1
        for _ in range(20):
            assert len(finder(wall).scores) == 0
        seen = [len(finder(far(rgb, x, y)).scores) for _ in range(8)]
        assert 1 in seen[:7]  # 0.16 s apart
        assert seen[-1] == 1


def test_nobody_is_not_looked_for_everywhere_in_each_picture() -> None:
    wall = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    finder = FaceFinder(Counting())
    assert len(finder(wall).scores) == 0
    before = Counting.looks
    for _ in range(10):
        assert len(finder(wall).scores) == 0
    assert Counting.looks - before <= 10 * 8


def test_beside_a_large_face_small_ones_are_looked_for_when_asked_for(demo_frames: list[Frame]) -> None:
    rgb = demo_frames[0].rgb
    both = far(rgb, 0, 200, 1.0, far(rgb, 1000, 60, 0.4))
    large, small = place(rgb, 0, 200, 1.0), place(rgb, 1000, 60, 0.4)
    assert len(FaceFinder()(both).scores) == 1
    finder = FaceFinder(FaceDetector(thorough=True))
    for _ in range(12):
        found = finder(both)
        assert len(found.scores) == 2
        assert iou(large, found.boxes).max() > 0.6
        assert iou(small, found.boxes).max() > 0.6
        assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("size", [(100, 60), (255, 300), (256, 256)])
def test_small_pictures(size: tuple[int, int]) -> None:
    wall = np.full((*size, 3), 120, np.uint8)
    finder = FaceFinder()
    assert [len(finder(wall).scores) for _ in range(3)] == [0, 0, 0]


def test_pulse_from_across_the_room(demo_frames: list[Frame], demo_path: Path) -> None:
    truth = json.loads(demo_path.with_suffix(".json").read_text())["hr_bpm"]
    pictures = np.stack([far(frame.rgb, 700, 200) for frame in demo_frames])
    vitals = kdphys.measure(kdphys.read_video(pictures, fs=30.0))
    assert vitals.hr_bpm == pytest.approx(truth, abs=2.0)
