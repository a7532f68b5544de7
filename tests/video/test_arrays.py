"""Arrays as videos, and what is known about times."""

from __future__ import annotations

import numpy as np
import pytest

from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.reader import read_video

COLOUR = np.random.default_rng(0).integers(0, 256, (4, 24, 32, 3), dtype=np.uint8)


def test_colour_grey_and_alpha() -> None:
    video = read_video(COLOUR, fs=30.0)
    assert (video.width, video.height, video.n_frames) == (32, 24, 4)
    assert all((f.rgb == rgb).all() for f, rgb in zip(video, COLOUR, strict=True))
    assert [f.t for f in video] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])
    assert video.notes == ()
    for grey in (COLOUR[..., 0], COLOUR[..., :1]):
        assert all((f.rgb == c[..., :1]).all() for f, c in zip(read_video(grey, fs=30.0), COLOUR, strict=True))
    alpha = np.concatenate([COLOUR, np.full((*COLOUR.shape[:3], 1), 255, np.uint8)], axis=3)
    alpha[2, 3, 4, 3] = 7
    video = read_video(alpha, fs=30.0)
    assert all((f.rgb == rgb).all() for f, rgb in zip(video, COLOUR, strict=True))
    assert video.notes == ("1 frame with transparent pixels, shown in the colour that is stored",)


def test_own_times() -> None:
    times = [5.0, 5.1, 5.4, 9.0]
    video = read_video(COLOUR, times=times)
    assert [f.t for f in video] == times
    assert video.duration_s == 4.0


def test_frames_cannot_be_written_to() -> None:
    frame = next(iter(read_video(COLOUR, fs=30.0)))
    with pytest.raises(ValueError, match="read-only"):
        frame.rgb[0, 0, 0] = 1


NAN = COLOUR.astype(np.float32)
NAN[1, 2, 3, 0] = np.nan


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (NAN, {"fs": 30.0}, "1 of its values are NaN"),
        (COLOUR / 255.0, {"fs": 30.0}, "0–1 or 0–255"),
        (COLOUR.astype(np.int64), {"fs": 30.0}, "expected uint8, got int64"),
        (COLOUR[0], {"fs": 30.0}, r"one picture\? Write array\[None\]"),
        (COLOUR[0, 0], {"fs": 30.0}, "expected"),
        (np.moveaxis(COLOUR, 3, 1), {"fs": 30.0}, "colours first"),
        (COLOUR[..., :2], {"fs": 30.0}, "expected"),
        (COLOUR, {}, "either fs"),
        (COLOUR, {"fs": 30.0, "times": [0, 1, 2, 3]}, "not both"),
        (COLOUR, {"fs": 0.0}, "positive rate"),
        (COLOUR, {"fs": float("inf")}, "positive rate"),
        (COLOUR, {"times": [0, 1]}, "as many finite times"),
        (COLOUR, {"times": [0, 1, 2, np.nan]}, "1 times that are not finite"),
    ],
)
def test_refused(array: np.ndarray, options: dict, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read_video(array, **options)


def test_times_must_increase() -> None:
    with pytest.raises(VideoError, match=r"frame 2 is at 1\.0+ s after 1\.0"):
        read_video(COLOUR, times=[0, 1, 1, 2])
    with pytest.raises(VideoError, match="no frames"):
        read_video(COLOUR[:0], fs=30.0)
    with pytest.raises(VideoError, match="larger than 8192"):
        read_video(np.zeros((1, 4, 9000), np.uint8), fs=30.0)
