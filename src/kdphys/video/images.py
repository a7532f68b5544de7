"""A folder of images as a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import av
import av.error
import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.containers import Frame, Video
from kdphys.errors import VideoError
from kdphys.video.notes import Losses
from kdphys.video.picture import MAX_PIXELS, Painter, check_size
from kdphys.video.timeline import check_order, frame_times

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
#: How an image begins, and who decodes it. The name of a file may lie.
_DECODERS = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "mjpeg"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"RIFF", "webp"),
    (b"P6", "ppm"),
    (b"P5", "pgm"),
)
_TABLES = ("timestamps.csv", "timestamps.txt")


class ImageFolder(Video):
    """A folder of images in order of time, or a single image.

    Times come from ``times`` or ``fs``, in order of name (2 before 10); or from ``timestamps.csv`` or ``.txt`` in the
    folder (one time in seconds a line in order of name, or ``name,time``); or from names that end in nanoseconds (19
    digits, as from 1970), counted from the first. A single image needs none. An image that cannot be decoded, or of
    several pages, is left out and said in :attr:`notes`; hidden files are not looked at. EXIF rotations are applied,
    EXIF mirror images are not known.

    Args:
        path: of the folder, or of one image.
        fs: Hz.
        times: (T,) seconds, in order of name.

    Attributes:
        path: of the folder.
        files: of the images, in order of time.

    Raises:
        VideoError: no images, no times, or times that do not fit the images or do not increase; too large.
        InvalidInputError: ``fs`` or ``times`` that do not fit.
    """

    def __init__(self, path: Path, fs: float | None = None, times: ArrayLike | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self._losses = Losses()
        inside = [self.path] if self.path.is_file() else [p for p in self.path.glob("[!.]*") if not p.is_dir()]
        files = sorted((p for p in inside if p.suffix.lower() in IMAGE_SUFFIXES), key=_natural)
        if not files:
            raise VideoError(f"{path}: no images in this folder (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        given = frame_times(str(path), len(files), fs, times)
        self._files, self._times = (files, [float(t) for t in given]) if given is not None else self._clock(files)
        for k in range(1, len(self._times)):
            check_order(str(path), k, self._times[k - 1], self._times[k])
        self.height, self.width = self._first_size()
        self.fps = fs
        self.n_frames = len(self._files)
        self.duration_s = self._times[-1] - self._times[0]

    @property
    def files(self) -> tuple[Path, ...]:
        """The images in order of time."""
        return tuple(self._files)

    def _clock(self, files: list[Path]) -> tuple[list[Path], list[float]]:
        tables = [self.path / name for name in _TABLES if (self.path / name).exists()]
        if len(tables) > 1:
            raise VideoError(f"{self.path}: both {' and '.join(_TABLES)} are there; keep the one that is right")
        if tables:
            return _from_table(tables[0], files)
        stamps = [re.search(r"(?<!\d)(\d{19})$", p.stem) for p in files]
        if all(stamps):
            order = sorted((int(s[1]), p) for s, p in zip(stamps, files, strict=True) if s)
            return [p for _, p in order], [(ns - order[0][0]) / 1e9 for ns, _ in order]
        if len(files) == 1:
            return files, [0.0]
        raise VideoError(
            f"{self.path}: when were these {len(files)} images taken? Put timestamps.csv (one time in seconds a line) "
            "beside them, or give their rate with fs (measure --fs), or times"
        )

    def _first_size(self) -> tuple[int, int]:
        paint = Painter(str(self.path))
        error = None
        for file in self._files:
            try:
                height, width, _ = _load(file, paint).shape
                return height, width
            except VideoError as problem:
                error = error or problem
        raise VideoError(f"{self.path}: not one image can be read; the first: {error}")

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images.

        Raises:
            VideoError: an image has another size than the first.
        """
        losses = self._losses = Losses()
        paint = Painter(str(self.path))
        for file, t in zip(self._files, self._times, strict=True):
            try:
                rgb = _load(file, paint)
            except VideoError:
                losses.lost("unreadable image", file.name)
                continue
            if rgb.shape[:2] != (self.height, self.width):
                raise VideoError(
                    f"{file}: {rgb.shape[1]}×{rgb.shape[0]} pixels, but the first image has {self.width}×{self.height}"
                )
            losses.good(t)
            losses.transparent = paint.transparent
            yield Frame(rgb, t)

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong in the last iteration, so far: see :class:`kdphys.containers.Video`."""
        return self._losses.notes()


def _natural(path: Path) -> list[tuple[int, str]]:
    """2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _from_table(table: Path, files: list[Path]) -> tuple[list[Path], list[float]]:
    text = table.read_text(encoding="utf-8-sig", errors="replace")
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip()]
    if rows and not _is_number(rows[0][-1]):
        rows = rows[1:]  # a header
    bad = next((k for k, row in enumerate(rows, 1) if len(row) > 2 or not _is_number(row[-1])), None)
    if bad is not None:
        raise VideoError(f"{table}: expected a time in seconds, or name,time; row {bad} is {','.join(rows[bad - 1])!r}")
    if len(rows) != len(files):
        raise VideoError(f"{table}: {len(rows)} times for {len(files)} images")
    times = [float(row[-1]) for row in rows]
    if len({len(row) for row in rows}) > 1:
        raise VideoError(f"{table}: some rows have a name and some have none")
    if len(rows[0]) == 2:
        by_name = {p.name: p for p in files}
        wrong = [row[0] for row in rows if by_name.pop(row[0], None) is None]
        if wrong:
            raise VideoError(f"{table}: no image in the folder, or named twice: {', '.join(wrong[:3])}")
        files = [table.parent / row[0] for row in rows]
    return files, times


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _more_pages(data: bytes) -> bool:
    """Whether a TIFF, PNG or WebP holds more than the picture that would be decoded."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        first = int.from_bytes(data[4:8], order)
        entries = int.from_bytes(data[first : first + 2], order)
        return any(data[(at := first + 2 + 12 * entries) : at + 4])  # where the next page begins; 0: there is none
    if data.startswith(b"\x89PNG"):
        return b"acTL" in data[: max(data.find(b"IDAT"), 0)]
    return data.startswith(b"RIFF") and data[12:16] == b"VP8X" and bool(data[20:21]) and bool(data[20] & 0x02)


def _load(path: Path, paint: Painter) -> NDArray[np.uint8]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    decoder = next((name for head, name in _DECODERS if data.startswith(head)), None)
    if decoder is None:
        raise VideoError(f"{path}: {'empty' if not data else 'not an image that can be read'}")
    if _more_pages(data):
        raise VideoError(
            f"{path}: several pictures in one file; save each as a file of its own, or make a video of them"
        )
    context = av.CodecContext.create(decoder, "r")
    # JPEG hides damage unless told to stop at it; the others stop by themselves (TIFF even at what is only odd).
    strict = {"err_detect": "explode"} if decoder == "mjpeg" else {}
    context.options = {"max_pixels": str(MAX_PIXELS), **strict}
    try:
        pictures = [*context.decode(av.Packet(data)), *context.decode(None)]  # type: ignore[attr-defined]
    except av.error.FFmpegError as error:
        raise VideoError(f"{path}: a damaged image, or one beyond {MAX_PIXELS:,} pixels ({error.strerror})") from error
    if not pictures:
        raise VideoError(f"{path}: no picture in it")
    check_size(str(path), pictures[0].width, pictures[0].height)
    return paint(pictures[0])
