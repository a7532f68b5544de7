"""Every kind of file that phones and webcams make, and every kind of broken one."""

from __future__ import annotations

import itertools
import resource
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.reader import VideoFile, read_video
from kdphys.video.timeline import effective_fps, gaps
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


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(rotation: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "turned.mp4", pictures(), rotation=rotation)
    video = read_video(path)
    shown = next(iter(video)).rgb
    assert (video.height, video.width) == shown.shape[:2] == ((H, W) if rotation == 180 else (W, H))
    # A player turns the picture counter-clockwise by the display matrix's angle.
    corners = quarters(np.rot90(pictures()[0][: H - 16], 0))
    assert np.abs(quarters(shown)[[0, 1]].mean(axis=0) - corners.mean(axis=0)).max() < 90
    turned = np.rot90(pictures()[0], rotation // 90)
    assert np.abs(shown.astype(float) - turned).mean() < 12


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.round(np.cumsum(rng.uniform(0.01, 0.09, 60)), 3)
    path = write_video(tmp_path / "vfr.mkv", pictures(60), times=times.tolist())
    read = [f.t for f in read_video(path)]
    assert np.allclose(np.array(read) - read[0], times - times[0], atol=1.5e-3)


def test_nominal_rate_is_no_clock(tmp_path: Path) -> None:
    """The header says 30; the frames are 10 a second."""
    path = write_video(tmp_path / "lie.mkv", pictures(), times=[k / 10 for k in range(30)])
    assert effective_fps([f.t for f in read_video(path)]) == pytest.approx(10.0)


def test_full_range_and_bt709(tmp_path: Path) -> None:
    """Colours as a player shows them, from the same RGB by two matrices."""
    rgb = np.full((64, 64, 3), (200, 90, 60), np.uint8)
    for space, number in (("ITU601", 5), ("ITU709", 1)):
        path = tmp_path / f"{space}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"qp": "0"})
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv444p"
            stream.codec_context.colorspace = number
            for _ in range(5):
                picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                picture = picture.reformat(format="yuv444p", dst_colorspace=space)
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        out = next(iter(read_video(path))).rgb
        assert np.abs(out.reshape(-1, 3).mean(axis=0) - [200, 90, 60]).max() < 3, space


def test_reads_again_and_lets_go_early(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", pictures())
    video = read_video(path)
    assert len(list(itertools.islice(video, 3))) == 3
    assert [f.t for f in video] == [f.t for f in video]
    path.unlink()  # on Windows this would fail if a handle were left


@pytest.mark.parametrize(("height", "width"), [(16, 16), (4320, 7680)])
def test_tiny_and_8k(height: int, width: int, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, [np.full((height, width, 3), 90, np.uint8)] * 2, codec="mjpeg", pix_fmt="yuvj420p")
    assert [f.rgb.shape for f in read_video(path)] == [(height, width, 3)] * 2


def test_one_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", pictures(1))
    assert len(list(read_video(path))) == 1


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (480, 640, 3), dtype=np.uint8) for _ in range(4)]
    path = write_video(tmp_path / "long.avi", (noise[k % 4] for k in range(400)), codec="mjpeg", pix_fmt="yuvj420p")
    frames = iter(read_video(path))
    for _ in range(60):
        next(frames)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in frames) == 340
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 60, "MB; 340 frames are 313 MB"


def damaged(tmp_path: Path) -> Path:
    """Ten seconds whose middle has been overwritten."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)
    path = tmp_path / "hit.mov"
    write_video(path, [np.roll(base, k, axis=1) for k in range(300)], codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    middle, extent = len(data) // 2, len(data) // 20
    data[middle : middle + extent] = b"\0" * extent
    path.write_bytes(bytes(data))
    return path


def test_corrupt_middle_is_a_reported_gap(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    video = read_video(damaged(tmp_path))
    times = [f.t for f in video]
    assert 200 < len(times) < 300
    assert times[-1] > 9.5, "the rest is read"
    assert video.notes
    assert "corrupt" in video.notes[0] or "promises" in video.notes[0]
    assert len(gaps(times, 0.2)) >= 1
    assert capfd.readouterr().err == "", "no decoder noise on the terminal"


def test_truncated_file_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", pictures(), options={})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[:-400])  # the index is at the end
    with pytest.raises(VideoError, match="cut off before its index"):
        read_video(cut)
    fast = write_video(tmp_path / "fast.mkv", pictures(300), codec="mjpeg", pix_fmt="yuvj420p")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(fast.read_bytes()[: fast.stat().st_size // 2])
    video = read_video(cut)
    assert 20 < len(list(video)) < 290


def test_files_that_are_no_video(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("no video at all" * 100)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for _ in range(20):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.rate = 44100
            container.mux(stream.encode(samples))
        container.mux(stream.encode())
    for path, words in (
        (tmp_path / "none.mp4", "no such file"),
        (empty, "is empty"),
        (text, "not a video"),
        (sound, "no video in this file"),
        (tmp_path, "no images"),
    ):
        with pytest.raises(VideoError, match=words):
            read_video(path)


def test_stream_without_times_needs_a_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "raw.h264", pictures(), format="h264", options={"bf": "0"})
    video = read_video(path, fs=25.0)
    times = [f.t for f in video]
    assert effective_fps(times) == pytest.approx(25.0)


def test_times_that_go_backward_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "back.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuvj420p"
        for k, rgb in enumerate(pictures()):
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                if k == 20:  # the same time once more
                    packet.pts = packet.dts = 19
                container.mux(packet)
    with pytest.raises(VideoError, match="frame 20 is at"):
        list(read_video(path))


def test_too_large_is_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.avi"
    write_video(path, [np.zeros((16, 9000, 3), np.uint8)], codec="mjpeg", pix_fmt="yuvj420p")
    with pytest.raises(VideoError, match="larger than 8192"):
        read_video(path)


def test_folder_of_images(tmp_path: Path) -> None:
    shots = pictures(5)
    for k, rgb in enumerate(shots):
        cv2.imwrite(str(tmp_path / f"{k:03d}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    with pytest.raises(VideoError, match=r"timestamps\.csv"):
        read_video(tmp_path)
    assert [f.t for f in read_video(tmp_path, fs=20.0)] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    (tmp_path / "timestamps.csv").write_text("name,time\n" + "".join(f"{k:03d}.png,{k * 0.04}\n" for k in range(5)))
    frames = list(read_video(tmp_path))
    assert [f.t for f in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert all((f.rgb == rgb).all() for f, rgb in zip(frames, shots, strict=True)), "RGB, exactly"
    (tmp_path / "timestamps.csv").write_text("0\n1\n")
    with pytest.raises(VideoError, match="2 times for 5 images"):
        read_video(tmp_path)


def test_names_in_nanoseconds(tmp_path: Path) -> None:
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"Image{1392643993642815000 + 33_000_000 * k}.png"), pictures(1)[0])
    assert [f.t for f in read_video(tmp_path)] == pytest.approx([0, 0.033, 0.066])


def test_broken_image_is_named(tmp_path: Path) -> None:
    for k in range(2):
        cv2.imwrite(str(tmp_path / f"{k}.png"), pictures(1)[0])
    (tmp_path / "2.png").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"2\.png"):
        list(read_video(tmp_path, fs=30.0))


def test_arrays() -> None:
    colour = np.stack(pictures(4))
    assert (next(iter(read_video(colour, fs=30.0))).rgb == colour[0]).all()
    alpha = np.concatenate([colour, np.full((*colour.shape[:3], 1), 7, np.uint8)], axis=3)
    assert (next(iter(read_video(alpha, fs=30.0))).rgb == colour[0]).all()
    assert next(iter(read_video(colour[..., 0], fs=30.0))).rgb.shape == (H, W, 3)
    nan = colour.astype(np.float32)
    nan[1, 2, 3, 0] = np.nan
    for bad, options, words in (
        (nan, {"fs": 30.0}, "1 of its values are NaN"),
        (colour.astype(np.float32), {"fs": 30.0}, "expected uint8"),
        (colour[0, 0], {"fs": 30.0}, "expected"),
        (colour, {}, "either fs"),
        (colour, {"fs": 0.0}, "positive rate"),
        (colour, {"times": [0, 1]}, "as many finite times"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            read_video(bad, **options)  # type: ignore[arg-type]
    with pytest.raises(VideoError, match="must increase"):
        read_video(colour, times=[0, 1, 1, 2])
    with pytest.raises(VideoError, match="no frames"):
        read_video(colour[:0], fs=30.0)


def test_what_a_file_says_about_itself(tmp_path: Path) -> None:
    video = read_video(write_video(tmp_path / "clip.mp4", pictures()))
    assert isinstance(video, VideoFile)
    assert (video.codec, video.n_frames, video.fps) == ("h264", 30, 30.0)
    assert video.duration_s == pytest.approx(1.0)
    assert video.name == "clip.mp4"
