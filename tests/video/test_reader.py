"""Every kind of file that phones and webcams make, and every kind of broken one."""

from __future__ import annotations

import gc
import itertools
import os
import resource
from pathlib import Path

import av
import numpy as np
import pytest

from kdphys.video.reader import VideoFile, read_video
from tests.video.make import write_video

H, W = 96, 128


def pictures(n: int = 30) -> list[np.ndarray]:
    """A red, a green, a blue and a grey quarter under a bright bar that moves."""
    out = []
    for k in range(n):
        rgb = np.zeros((H, W, 3), np.uint8)
        rgb[: H // 2, : W // 2] = (200, 40, 40)
        rgb[: H // 2, W // 2 :] = (40, 180, 60)
        rgb[H // 2 :, : W // 2] = (50, 60, 190)
        rgb[H // 2 :, W // 2 :] = (128, 128, 128)
        rgb[H - 16 :, 2 * k : 2 * k + 8] = 240
        out.append(rgb)
    return out


def quarters(rgb: np.ndarray) -> np.ndarray:
    h, w = rgb.shape[:2]
    spots = ((h // 4, w // 4), (h // 4, 3 * w // 4), (int(0.6 * h), w // 4), (int(0.6 * h), 3 * w // 4))
    return np.array([rgb[y - 4 : y + 4, x - 4 : x + 4].mean(axis=(0, 1)) for y, x in spots])


CODECS = [
    ("libx264", "yuv420p", "mp4"),
    ("libx264", "yuv444p", "mkv"),
    ("libx264", "yuv420p10le", "mkv"),
    ("libx265", "yuv420p", "mp4"),
    ("libx265", "yuv420p10le", "mov"),
    ("libvpx", "yuv420p", "webm"),
    ("libvpx-vp9", "yuv420p", "webm"),
    ("mjpeg", "yuvj420p", "avi"),
    ("mpeg4", "yuv420p", "avi"),
    ("rawvideo", "bgr24", "avi"),
    ("ffv1", "gray", "mkv"),
    ("png", "rgba", "mov"),
]


@pytest.mark.parametrize(("codec", "pix_fmt", "suffix"), CODECS)
def test_codecs(codec: str, pix_fmt: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip.{suffix}"
    try:
        write_video(path, pictures(), codec=codec, pix_fmt=pix_fmt, bit_rate=4_000_000)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV cannot write {codec}")
    video = read_video(path)
    frames = list(video)
    assert len(frames) == 30
    assert (video.width, video.height) == (W, H)
    times = np.array([f.t for f in frames])
    assert np.allclose(times - times[0], np.arange(30) / 30, atol=1.1e-3)
    expected = quarters(pictures()[0])
    if pix_fmt == "gray":
        expected = np.repeat(expected @ [[0.299], [0.587], [0.114]], 3, axis=1)
    assert np.abs(quarters(frames[15].rgb) - expected).max() < 8
    assert video.notes == ()


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.round(np.cumsum(rng.uniform(0.01, 0.09, 60)), 3)
    path = write_video(tmp_path / "vfr.mkv", pictures(60), times=times.tolist())
    assert [f.t for f in read_video(path)] == pytest.approx(times.tolist(), abs=1e-9)
    mp4 = write_video(tmp_path / "vfr.mp4", pictures(60), times=times.tolist())
    read = np.array([f.t for f in read_video(mp4)])
    assert np.allclose(np.diff(read), np.diff(times), atol=2e-4)


@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv", "mov", "ts"])
def test_reordered_pictures_keep_their_order(suffix: str, tmp_path: Path) -> None:
    """B-frames are stored out of order; AVI does not even say when they are shown."""
    shots = pictures()
    options = {"bf": "3", "qp": "4"}
    frames = list(read_video(write_video(tmp_path / f"b.{suffix}", shots, options=options)))
    assert len(frames) == 30
    times = np.array([f.t for f in frames])
    assert np.allclose(times - times[0], np.arange(30) / 30, atol=1.1e-3)
    for frame, rgb in zip(frames, shots, strict=True):
        assert np.abs(frame.rgb.astype(float) - rgb).mean() < 5


def test_a_wrong_clock_can_be_replaced(tmp_path: Path) -> None:
    path = write_video(tmp_path / "lie.avi", pictures(), fps=10)
    assert np.median(np.diff([f.t for f in read_video(path)])) == pytest.approx(0.1)
    assert [f.t for f in read_video(path, fs=30.0)] == pytest.approx(np.arange(30) / 30)
    times = np.cumsum(np.linspace(0.02, 0.05, 30))
    assert [f.t for f in read_video(path, times=times)] == times.tolist()


def test_nominal_rate_is_no_clock(tmp_path: Path) -> None:
    """The header says 30; the frames are 10 a second."""
    path = write_video(tmp_path / "lie.mkv", pictures(), times=[k / 10 for k in range(30)])
    assert np.median(np.diff([f.t for f in read_video(path)])) == pytest.approx(0.1)


def test_reads_again_and_lets_go_early(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", pictures())
    video = read_video(path)
    assert len(list(itertools.islice(video, 3))) == 3
    assert [f.t for f in video] == [f.t for f in video]
    first, second = iter(video), iter(video)
    assert next(first).t == next(second).t == 0.0, "two at once do not disturb each other"
    first.close()  # type: ignore[attr-defined]
    assert next(second).t > 0
    second.close()  # type: ignore[attr-defined]
    handles = Path("/proc/self/fd")
    if handles.exists():
        assert path not in [Path(os.readlink(h)) for h in handles.iterdir() if h.is_symlink()]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (4320, 7680)])
def test_tiny_and_8k(height: int, width: int, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, [np.full((height, width, 3), 90, np.uint8)] * 2, codec="mjpeg", pix_fmt="yuvj420p")
    assert [f.rgb.shape for f in read_video(path)] == [(height, width, 3)] * 2


def test_one_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", pictures(1))
    assert len(list(read_video(path))) == 1


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("rotation", [0, 90])
def test_memory_does_not_grow_with_length(rotation: int, tmp_path: Path) -> None:
    """With the collector of circular garbage off, nothing may wait for it."""
    still = np.full((480, 640, 3), 120, np.uint8)
    options = {"preset": "ultrafast"}
    path = write_video(tmp_path / "long.mp4", (still for _ in range(400)), rotation=rotation, options=options)
    frames = iter(read_video(path))
    for _ in range(60):
        next(frames)
    before = resident_mb()
    gc.disable()
    try:
        assert sum(1 for _ in frames) == 340
        grown = resident_mb() - before
    finally:
        gc.enable()
    assert grown < 60, "MB; 340 frames are 313 MB"


def test_what_a_file_says_about_itself(tmp_path: Path) -> None:
    video = read_video(write_video(tmp_path / "clip.mp4", pictures()))
    assert isinstance(video, VideoFile)
    assert (video.codec, video.n_frames, video.fps) == ("h264", 30, 30.0)
    assert video.duration_s == pytest.approx(1.0)
    assert (video.name, video.pixel_format) == ("clip.mp4", "yuv420p")
    assert video.notes == ()


def test_odd_names_are_only_names(tmp_path: Path) -> None:
    for name in ("concat:a|b.mp4", "frame%03d.mp4", "Größe 1.mp4", "http:.mp4", "no_suffix"):
        source = write_video(tmp_path / "x.mp4", pictures(3))
        source.rename(tmp_path / name)
        assert len(list(read_video(tmp_path / name))) == 3
