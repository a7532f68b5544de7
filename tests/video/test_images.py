"""Folders of images."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.reader import ImageFolder, read_video


def shots(n: int = 5, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), size[::-1]) for _ in range(n)]


def save(path: Path, rgb: np.ndarray) -> None:
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


@pytest.mark.parametrize(
    ("suffix", "within"), [("png", 0), ("bmp", 0), ("tiff", 0), ("ppm", 0), ("webp", 3), ("jpg", 6)]
)
def test_kinds(suffix: str, within: float, tmp_path: Path) -> None:
    for k, rgb in enumerate(shots()):
        save(tmp_path / f"{k}.{suffix}", rgb)
    frames = list(read_video(tmp_path, fs=20.0))
    assert [f.t for f in frames] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    for frame, rgb in zip(frames, shots(), strict=True):
        assert np.abs(frame.rgb.astype(float) - rgb).mean() <= within


def test_times_from_a_table(tmp_path: Path) -> None:
    for k, rgb in enumerate(shots()):
        save(tmp_path / f"{k:03d}.png", rgb)
    with pytest.raises(VideoError, match=r"timestamps\.csv"):
        read_video(tmp_path)
    table = tmp_path / "timestamps.csv"
    table.write_text("name,time\n" + "".join(f"{4 - k:03d}.png,{k * 0.04}\n" for k in range(5)))
    frames = list(read_video(tmp_path))
    assert [f.t for f in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert all((f.rgb == rgb).all() for f, rgb in zip(frames, shots()[::-1], strict=True)), "in order of the table"
    for text, words in (
        ("0\n1\n", "2 times for 5 images"),
        ("0\n1\nx\n3\n4\n", "row 3"),
        ("0\n1\n2\n2\n3\n", "must increase"),
        ("a.png,0\n1.png,1\n2.png,2\n3.png,3\n4.png,4\n", "no image in the folder"),
        ("000.png,0\n000.png,1\n002.png,2\n003.png,3\n004.png,4\n", "named twice"),
        ("0\n1\n2\n3\n004.png,4\n", "some rows"),
    ):
        table.write_text(text)
        with pytest.raises(VideoError, match=words):
            read_video(tmp_path)
    table.write_text("0\n0.1\n0.2\n0.5\n0.6\n")
    assert [f.t for f in read_video(tmp_path)] == [0, 0.1, 0.2, 0.5, 0.6]
    (tmp_path / "timestamps.txt").write_text("0\n")
    with pytest.raises(VideoError, match="keep the one"):
        read_video(tmp_path)
    assert [f.t for f in read_video(tmp_path, times=np.arange(5))] == [0, 1, 2, 3, 4], "what is given goes first"
    with pytest.raises(InvalidInputError, match="5 frames need"):
        read_video(tmp_path, times=[0, 1])


def test_names_in_nanoseconds(tmp_path: Path) -> None:
    start = 1392643993642815000
    for k in range(3):
        save(tmp_path / f"Image{start + 33_000_001 * k}.png", shots(1)[0])
    assert [f.t for f in read_video(tmp_path)] == pytest.approx([0, 0.033000001, 0.066000002], abs=1e-12)


def test_two_comes_before_ten(tmp_path: Path) -> None:
    for k in range(11):
        save(tmp_path / f"frame{k}.png", np.full((16, 16, 3), k * 10, np.uint8))
    assert [int(f.rgb[0, 0, 0]) for f in read_video(tmp_path, fs=1.0)] == [k * 10 for k in range(11)]


def test_broken_images_are_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for k, rgb in enumerate(shots(8)):
        save(tmp_path / f"{k}.{'png' if k % 2 else 'jpg'}", rgb)
    (tmp_path / "3.png").write_bytes(b"x")
    data = (tmp_path / "4.jpg").read_bytes()
    (tmp_path / "4.jpg").write_bytes(data[: len(data) // 2])
    video = read_video(tmp_path, fs=10.0)
    assert [f.t for f in video] == pytest.approx([0, 0.1, 0.2, 0.5, 0.6, 0.7])
    assert video.notes == (
        "2 unreadable images left out between 0.20 s and 0.50 s",
        "the first unreadable image is 3.png",
    )
    assert capfd.readouterr() == ("", "")
    for k in range(8):
        (tmp_path / f"{k}.{'png' if k % 2 else 'jpg'}").write_bytes(b"")
    with pytest.raises(VideoError, match=r"not one image can be read.*0\.jpg: empty"):
        read_video(tmp_path, fs=10.0)


def test_sizes_must_agree(tmp_path: Path) -> None:
    save(tmp_path / "0.png", shots(1)[0])
    save(tmp_path / "1.png", shots(1, (32, 32))[0])
    with pytest.raises(VideoError, match=r"1\.png: 32×32 pixels, but the first image has 64×48"):
        list(read_video(tmp_path, fs=10.0))


def test_one_image_needs_no_clock(tmp_path: Path) -> None:
    save(tmp_path / "photo.jpg", shots(1)[0])
    for source in (tmp_path, tmp_path / "photo.jpg"):
        video = read_video(source)
        assert isinstance(video, ImageFolder)
        assert [f.t for f in video] == [0.0]


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    """Phones write the sensor's rows and say how to hold them (EXIF orientation 6: a quarter turn clockwise)."""
    rgb = np.full((48, 64, 3), 40, np.uint8)
    rgb[:16, :24] = (230, 230, 230)
    data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, 3, 1, 6, 0)
    (tmp_path / "p.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    shown = next(iter(read_video(tmp_path))).rgb
    assert shown.shape == (64, 48, 3)
    assert np.abs(shown.astype(float) - np.rot90(rgb, -1)).mean() < 3


def test_alpha_grey_and_16_bits(tmp_path: Path) -> None:
    rgb = shots(1)[0]
    bgr = rgb[..., ::-1]
    alpha = np.dstack([bgr, np.full(bgr.shape[:2], 9, np.uint8)])
    for k, image in enumerate((alpha, np.ascontiguousarray(bgr), bgr.astype(np.uint16) * 257)):
        assert cv2.imwrite(str(tmp_path / f"{k}.png"), image)
    video = read_video(tmp_path, fs=1.0)
    assert all(np.abs(f.rgb.astype(int) - rgb).max() <= 1 for f in video)
    assert "1 frame with transparent pixels" in video.notes[0]
    cv2.imwrite(str(tmp_path / "0.png"), bgr[..., 1])
    assert (next(iter(read_video(tmp_path, fs=1.0))).rgb == rgb[..., 1:2]).all()


def test_huge_image_is_refused_before_decoding(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "bomb.png"), np.zeros((9000, 8300), np.uint8))
    with pytest.raises(VideoError, match="67,108,864 pixels"):
        read_video(tmp_path)
    cv2.imwrite(str(tmp_path / "bomb.png"), np.zeros((9000, 16), np.uint8))
    with pytest.raises(VideoError, match="8192"):
        read_video(tmp_path)


def test_names_with_a_date_are_no_nanoseconds(tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / f"20231105123456{k:03d}.png", shots(1)[0])  # to the millisecond: 17 digits
    with pytest.raises(VideoError, match="when were these 3 images taken"):
        read_video(tmp_path)


@pytest.mark.parametrize("suffix", ["tiff", "png", "webp"])
def test_several_pictures_in_one_file_are_not_read_as_one(suffix: str, tmp_path: Path) -> None:
    save(tmp_path / f"0.{suffix}", shots()[0])
    pictures = [Image.fromarray(rgb) for rgb in shots()]
    pictures[0].save(tmp_path / f"1.{suffix}", save_all=True, append_images=pictures[1:])
    video = read_video(tmp_path, fs=10.0)
    assert len(list(video)) == 1
    assert any(f"1.{suffix}" in note for note in video.notes), video.notes
    with pytest.raises(VideoError, match="several pictures in one file"):
        read_video(tmp_path / f"1.{suffix}")
