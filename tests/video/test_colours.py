"""Colours and orientation, as a player shows them, against formulas and NumPy."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from kdphys.errors import VideoError
from kdphys.video.reader import read_video
from tests.video.make import write_flat, write_video

COLOURS = [(200, 90, 60), (60, 180, 90), (40, 60, 210), (128, 128, 128), (235, 200, 180), (70, 45, 35)]


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize(("pix_fmt", "within"), [("yuv444p", 2), ("yuv420p10le", 1), ("yuv420p", 3), ("yuv422p", 3)])
def test_matrix_and_range(pix_fmt: str, within: int, matrix: int, full: bool, tmp_path: Path) -> None:
    """In 8-bit 4:2:0 the fast conversion is off by up to three levels (one or two on average)."""
    off = []
    for rgb in COLOURS:
        path = write_flat(tmp_path / "flat.mkv", rgb, pix_fmt=pix_fmt, matrix=matrix, full=full)
        shown = next(iter(read_video(path))).rgb.reshape(-1, 3).astype(float)
        off.append(np.abs(shown - rgb).max(axis=0))
    assert np.max(off) <= within
    assert np.mean(off) <= within - 0.5


def test_unsaid_matrix_follows_the_size(tmp_path: Path) -> None:
    """BT.601 for small pictures, BT.709 from 720 lines: a mistake would be 20 levels."""
    rgb = (200, 60, 60)
    small = write_flat(tmp_path / "small.mkv", rgb, pix_fmt="yuv444p", matrix=2, full=False)
    assert np.abs(next(iter(read_video(small))).rgb[0, 0] - np.array(rgb)).max() <= 2
    large = write_flat(tmp_path / "large.mkv", rgb, pix_fmt="yuv444p", matrix=2, full=False, size=(720, 64))
    # The levels that BT.601 wrote, read by BT.709.
    y, v = 0.299 * 200 + 0.701 * 60, 140 / 1.402 * 0.701
    assert next(iter(read_video(large))).rgb[0, 0, 0] == pytest.approx(y + 1.5748 * v, abs=2)


def test_grey_stays_as_it_is(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    path = write_video(tmp_path / "grey.mkv", [ramp], codec="ffv1", pix_fmt="gray")
    assert np.abs(next(iter(read_video(path))).rgb.astype(int) - ramp).max() <= 1


def test_transparent_pixels_are_shown_and_said(tmp_path: Path) -> None:
    path = tmp_path / "alpha.mov"
    rgba = np.full((32, 32, 4), (200, 90, 60, 255), np.uint8)
    hole = rgba.copy()
    hole[8:16, :, 3] = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgba"
        for picture in (rgba, hole, rgba):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
        container.mux(stream.encode())
    video = read_video(path)
    assert all((f.rgb == (200, 90, 60)).all() for f in video)
    assert video.notes == ("1 frame with transparent pixels, shown in the colour that is stored",)


def test_vp9_with_alpha_is_read(tmp_path: Path) -> None:
    try:
        path = write_video(
            tmp_path / "a.webm", [np.full((64, 64, 3), 120, np.uint8)] * 3, codec="libvpx-vp9", pix_fmt="yuva420p"
        )
    except av.codec.codec.UnknownCodecError:
        pytest.skip("this PyAV cannot write VP9")
    assert [abs(int(f.rgb.mean()) - 120) < 4 for f in read_video(path)] == [True] * 3


def scene() -> np.ndarray:
    """No symmetry: every turn and mirror image is another picture."""
    rgb = np.full((64, 96, 3), 60, np.uint8)
    rgb[:24, :32] = (220, 60, 60)
    rgb[40:, :48] = (60, 220, 60)
    return rgb


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_display_matrix(rotation: int, hflip: bool, tmp_path: Path) -> None:
    options = {"qp": "4"}
    path = write_video(tmp_path / "t.mp4", [scene()] * 3, rotation=rotation, hflip=hflip, options=options)
    video = read_video(path)
    shown = next(iter(video)).rgb
    # The matrix turns counter-clockwise, then mirrors.
    expected = np.rot90(scene(), rotation // 90)
    expected = expected[:, ::-1] if hflip else expected
    assert (video.height, video.width) == shown.shape[:2] == expected.shape[:2]
    assert np.abs(shown.astype(float) - expected).mean() < 4
    assert shown.flags.c_contiguous


def test_slanted_matrix_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "t.mp4", [scene()] * 3, rotation=45)
    with pytest.raises(VideoError, match="only quarter turns"):
        read_video(path)


@pytest.mark.parametrize("size", [(17, 19), (18, 22), (16, 16), (90, 130)])
def test_odd_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    rgb = np.full((*size, 3), (180, 120, 90), np.uint8)
    rgb[size[0] // 2 :] = (40, 60, 90)
    path = write_video(tmp_path / "odd.mkv", [rgb] * 2, codec="ffv1", pix_fmt="yuv444p")
    shown = next(iter(read_video(path))).rgb
    assert shown.shape == rgb.shape
    assert np.abs(shown.astype(int) - rgb).max() <= 3


def test_high_dynamic_range_is_said(tmp_path: Path) -> None:
    path = tmp_path / "hlg.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.codec_context.color_trc = 18
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 99, np.uint8), format="rgb24")))
        container.mux(stream.encode())
    video = read_video(path)
    list(video)
    assert "HLG" in " ".join(video.notes)
