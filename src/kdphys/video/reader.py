"""Files, folders of images and arrays as :class:`kdphys.Video`.

Times are the stream's own presentation times: a variable frame rate is normal, and the nominal rate is never used as a
clock. Pictures come out as RGB, 8 bits, as a player would show them: rotated, in the right colours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.containers import Frame, Video
from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.timeline import check_order

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})
#: Pictures with a longer side than this are refused before anything is decoded: 8K is 7680.
MAX_SIDE = 8192
#: More broken packets in a row than this, and the rest of the file is given up.
_MAX_BROKEN = 2000


def read_video(
    source: str | os.PathLike[str] | NDArray[Any], *, fs: float | None = None, times: ArrayLike | None = None
) -> Video:
    """A file, a folder of images or an array as frames in time, lazily.

    Args:
        source: path of a video file; path of a folder of images; or an array of uint8, shape (T, H, W, 3) in RGB order,
            (T, H, W, 4) whose alpha is left out, or (T, H, W) in grey.
        fs: rate in Hz of an array, of a folder without times, or of a file whose stream has no times.
        times: (T,) seconds, of an array or a folder, instead of ``fs``.

    Raises:
        VideoError: missing, empty or without video; too large; without times.
        InvalidInputError: an array of the wrong type or shape, or ``fs`` and ``times`` that do not fit.
    """
    if fs is not None and not (np.isfinite(fs) and fs > 0):
        raise InvalidInputError(f"fs must be a positive rate in Hz, got {fs!r}")
    if isinstance(source, np.ndarray):
        return ArrayVideo(source, fs=fs, times=times)
    path = Path(source)
    if not path.exists():
        raise VideoError(f"{path}: no such file or folder")
    if path.is_dir():
        return ImageFolder(path, fs=fs, times=times)
    if times is not None:
        raise InvalidInputError(f"{path}: times are for arrays and folders; a file brings its own")
    return VideoFile(path, fs=fs)


class VideoFile(Video):
    """A video file, decoded as it is read.

    Args:
        path: of the file.
        fs: rate in Hz for a stream without times; None refuses it.

    Attributes:
        codec: name of the codec.
    """

    def __init__(self, path: Path, fs: float | None = None) -> None:
        self.path = path
        self.name = path.name
        self._fs = fs
        self._notes: tuple[str, ...] = ()
        if path.stat().st_size == 0:
            raise VideoError(f"{path}: the file is empty")
        with self._open() as container:
            stream = self._stream(container)
            context = stream.codec_context
            self.codec = context.name
            self.fps = float(stream.average_rate) if stream.average_rate else None
            self.n_frames = stream.frames or None
            duration = stream.duration * stream.time_base if stream.duration and stream.time_base else None
            if duration is None and container.duration:
                duration = container.duration / av.time_base
            self.duration_s = float(duration) if duration else None
            self.width, self.height = context.width, context.height
            self._turns = self._first_turns(container, stream)
            if self._turns % 2:
                self.width, self.height = self.height, self.width

    def _open(self) -> Any:
        try:
            return av.open(str(self.path), metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise VideoError(
                f"{self.path}: not a video that can be read, or cut off before its index ({why})"
            ) from error

    def _stream(self, container: Any) -> Any:
        if not container.streams.video:
            kinds = sorted({s.type for s in container.streams})
            raise VideoError(f"{self.path}: no video in this file (it holds {', '.join(kinds) or 'nothing'})")
        stream = container.streams.video[0]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{self.path}: its video codec is not known here")
        if max(context.width, context.height) > MAX_SIDE:
            raise VideoError(
                f"{self.path}: pictures of {context.width}×{context.height} are larger than {MAX_SIDE} pixels a side"
            )
        stream.thread_type = "AUTO"
        return stream

    def _first_turns(self, container: Any, stream: Any) -> int:
        """Quarter turns, counter-clockwise, that show the first picture upright."""
        for packet in container.demux(stream):
            try:
                for picture in packet.decode():
                    turns, rest = divmod(round(picture.rotation), 90)
                    if rest:
                        raise VideoError(f"{self.path}: rotated by {picture.rotation}°; only quarter turns are known")
                    self.width, self.height = picture.width, picture.height
                    return int(turns) % 4
            except av.error.FFmpegError:
                continue
        raise VideoError(f"{self.path}: not one frame can be decoded")

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; broken ones are left out, counted and located in :attr:`notes`.

        Raises:
            VideoError: times that do not increase or are missing.
        """
        self._notes = ()
        broken: list[float] = []
        n, last = 0, -np.inf
        with self._open() as container:
            stream = self._stream(container)
            for picture in self._pictures(container, stream, broken):
                t = self._time(picture, stream, n)
                if picture.is_corrupt:
                    broken.append(t)
                    continue
                check_order(self.name, n, last, t)
                yield Frame(self._rgb(picture), t)
                n, last = n + 1, t
                broken[:] = [t if b < 0 else b for b in broken]
        self._report(broken, n, last)

    def _pictures(self, container: Any, stream: Any, broken: list[float]) -> Iterator[Any]:
        in_a_row = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:  # the container itself is cut off
                broken.append(-1.0)
                return
            try:
                pictures = packet.decode()
                in_a_row = 0
            except av.error.FFmpegError:
                place = packet.pts if packet.pts is not None else packet.dts
                broken.append(float(place * stream.time_base) if place is not None else -1.0)
                in_a_row += 1
                if in_a_row > _MAX_BROKEN:
                    return
                continue
            yield from pictures

    def _time(self, picture: Any, stream: Any, n: int) -> float:
        if picture.pts is not None:
            return float(picture.pts * (picture.time_base or stream.time_base))
        if self._fs is not None:
            return n / self._fs
        raise VideoError(
            f"{self.path}: its stream has no timestamps; give its rate with fs, or put it into a container"
        )

    def _rgb(self, picture: Any) -> NDArray[np.uint8]:
        rgb = picture.to_ndarray(format="rgb24")
        if self._turns:
            rgb = np.ascontiguousarray(np.rot90(rgb, self._turns))
        if rgb.shape[:2] != (self.height, self.width):
            raise VideoError(
                f"{self.path}: the picture changes from {self.width}×{self.height} to {rgb.shape[1]}×{rgb.shape[0]} "
                f"at {float(picture.time or 0):.2f} s; split the video there"
            )
        return np.asarray(rgb, np.uint8)

    def _report(self, broken: Sequence[float], n: int, last: float) -> None:
        notes = []
        if broken:
            known = [b for b in broken if b >= 0]
            where = f" between {min(known):.2f} s and {max(known):.2f} s" if known else ""
            notes.append(f"{len(broken)} corrupt frame{'s' * (len(broken) > 1)} left out{where}")
        if self.n_frames and n + len(broken) < 0.98 * self.n_frames:
            notes.append(f"the file promises {self.n_frames} frames and holds {n}: it ends early, at {last:.2f} s")
        self._notes = tuple(notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :class:`kdphys.Video`."""
        return self._notes


class ImageFolder(Video):
    """A folder of images in order of time.

    Times come from ``times``; or from ``timestamps.csv`` / ``.txt`` in the folder (one time in seconds a line, or
    ``name,time``); or from names that hold nanoseconds (13 digits or more); or from ``fs``, in order of name.

    Args:
        path: of the folder.
        fs: Hz.
        times: (T,) seconds, in order of name.
    """

    def __init__(self, path: Path, fs: float | None = None, times: ArrayLike | None = None) -> None:
        self.path = path
        self.name = path.name
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise VideoError(f"{path}: no images in this folder (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
        self._files, self._times = self._clock(files, fs, times)
        for k in range(1, len(self._times)):
            check_order(self.name, k, self._times[k - 1], self._times[k])
        first = _load_image(self._files[0])
        self.height, self.width = first.shape[:2]
        self.n_frames = len(self._files)
        self.duration_s = self._times[-1] - self._times[0]

    def _clock(self, files: list[Path], fs: float | None, times: ArrayLike | None) -> tuple[list[Path], list[float]]:
        if times is not None:
            given = np.asarray(times, float)
            if given.shape != (len(files),):
                raise InvalidInputError(f"{self.path}: {len(files)} images but times of shape {given.shape}")
            return files, given.tolist()
        for name in ("timestamps.csv", "timestamps.txt"):
            if (self.path / name).exists():
                return self._from_table(self.path / name, files)
        if fs is not None:
            return files, [k / fs for k in range(len(files))]
        digits = [re.findall(r"\d{13,}", p.stem) for p in files]
        if all(digits):
            order = sorted(zip((int(d[-1]) for d in digits), files, strict=True))
            return [p for _, p in order], [(ns - order[0][0]) / 1e9 for ns, _ in order]
        raise VideoError(
            f"{self.path}: when were these images taken? Put timestamps.csv (one time in seconds a line) beside them, "
            "or give fs"
        )

    @staticmethod
    def _from_table(table: Path, files: list[Path]) -> tuple[list[Path], list[float]]:
        rows = [line.split(",") for line in table.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        try:
            float(rows[0][-1])
        except (ValueError, IndexError):
            rows = rows[1:]  # a header
        try:
            values = [float(row[-1]) for row in rows]
        except ValueError as error:
            raise VideoError(f"{table}: expected one time in seconds a line ({error})") from error
        if len(values) != len(files):
            raise VideoError(f"{table}: {len(values)} times for {len(files)} images")
        if rows and len(rows[0]) > 1:
            by_name = {p.name: p for p in files}
            unknown = [row[0] for row in rows if row[0].strip() not in by_name]
            if unknown:
                raise VideoError(f"{table}: names no image in the folder: {', '.join(unknown[:3])}")
            files = [by_name[row[0].strip()] for row in rows]
        return files, values

    def __iter__(self) -> Iterator[Frame]:
        """Yield the images.

        Raises:
            VideoError: an image cannot be read or has another size than the first.
        """
        for path, t in zip(self._files, self._times, strict=True):
            rgb = _load_image(path)
            if rgb.shape[:2] != (self.height, self.width):
                raise VideoError(
                    f"{path}: {rgb.shape[1]}×{rgb.shape[0]} pixels, but the first image has {self.width}×{self.height}"
                )
            yield Frame(rgb, t)


def _load_image(path: Path) -> NDArray[np.uint8]:
    data = np.fromfile(path, np.uint8)  # not cv2.imread: it fails on some paths
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if bgr is None:
        raise VideoError(f"{path}: not an image that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


class ArrayVideo(Video):
    """An array in memory; see :func:`read_video`."""

    def __init__(self, frames: NDArray[Any], fs: float | None = None, times: ArrayLike | None = None) -> None:
        self.name = "array"
        if frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] not in (3, 4)):
            raise InvalidInputError(f"array: expected (T, H, W, 3), (T, H, W, 4) or (T, H, W), got {frames.shape}")
        if np.issubdtype(frames.dtype, np.floating):
            bad = int((~np.isfinite(frames)).sum())
            what = f"{bad} of its values are NaN or infinite" if bad else "is it 0–1 or 0–255?"
            raise InvalidInputError(f"array: expected uint8, got {frames.dtype} ({what}); convert it to uint8, 0–255")
        if frames.dtype != np.uint8:
            raise InvalidInputError(f"array: expected uint8, got {frames.dtype}; convert it to uint8, 0–255")
        if len(frames) == 0 or 0 in frames.shape:
            raise VideoError(f"array: no frames in it (shape {frames.shape})")
        if (fs is None) == (times is None):
            raise InvalidInputError("array: give either fs (Hz) or times (seconds)")
        self._frames = frames
        self._times = np.arange(len(frames)) / fs if fs is not None else np.asarray(times, float)
        if self._times.shape != (len(frames),) or not np.isfinite(self._times).all():
            raise InvalidInputError(f"array: {len(frames)} frames need as many finite times, got {self._times.shape}")
        for k in range(1, len(self._times)):
            check_order(self.name, k, float(self._times[k - 1]), float(self._times[k]))
        self.n_frames, self.height, self.width = frames.shape[:3]
        self.fps = fs
        self.duration_s = float(self._times[-1] - self._times[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        for picture, t in zip(self._frames, self._times, strict=True):
            rgb = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]
            yield Frame(np.ascontiguousarray(rgb), float(t))
