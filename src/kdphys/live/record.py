"""What was measured, kept as a video and a table, so that what is there can be read whatever happens."""

from __future__ import annotations

import csv
from collections import deque
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from kdphys.containers import Frame
from kdphys.errors import InvalidInputError, OutputError
from kdphys.files import check_free, check_other
from kdphys.streaming import Update

#: Columns of the table.
COLUMNS = ("time_s", "bvp", "hr_bpm", "sqi", "reason")
#: The end of the waveform still changes with the frames to come: it is written when it is older than this, seconds.
SETTLE_S = 2.0

_VIDEO, _TABLE = ".mkv", ".csv"
# A pulse is a change of less than one level: the encoder must not think it noise. No look-ahead, so that all but the
# last frame are in the file at any time; clusters of a second, each readable without what comes after it.
_ENCODER = {"preset": "veryfast", "crf": "12", "tune": "zerolatency"}
_KEY_EVERY = 60
_MUXER = {"cluster_time_limit": "1000", "flush_packets": "1"}
_TIME_BASE = Fraction(1, 1000)


class Recorder:
    """Writes PREFIX.mkv (H.264) and PREFIX.csv while it is measured.

    Both count their time from the first frame. The table has a row for each sample of the pulse: ``time_s, bvp, hr_bpm,
    sqi, reason``; ``bvp`` is empty in gaps, and a long one lacks rows, also for the last second or two before it.
    ``hr_bpm`` is that of the last refresh before, and empty where there was none. When the pictures change their size,
    another video is begun, PREFIX-2.mkv.

    Nothing is written before the first frame. After a crash, or when the disk is full, both files can be read up to the
    last seconds.

    Args:
        prefix: path without suffix; ".mkv" or ".csv" at its end is taken off.
        force: overwrite files that exist.
        source: what is measured, if that is a file: it is not overwritten.

    Attributes:
        files: that were begun.
        skipped: frames that are not in the video, because their times did not increase.

    Raises:
        InvalidInputError: the suffix of another kind of video.
        OutputError: a file exists or could not be written.
    """

    def __init__(self, prefix: Path, force: bool = False, source: Path | None = None) -> None:
        suffix = prefix.suffix.lower()
        if suffix in (".mp4", ".mov", ".avi", ".webm", ".m4v", ".ts"):
            raise InvalidInputError(f"{prefix}: recordings are .mkv, which survives a crash; leave the suffix out")
        self._stem = prefix.with_suffix("") if suffix in (_VIDEO, _TABLE) else prefix
        self._force = force
        if not self._stem.name or prefix.is_dir():
            raise OutputError(f"{prefix}: is a folder; a recording needs the beginning of a file name")
        for path in (self._video_path(1), self._table_path()):
            check_free(path, self._force)
            if source is not None:
                check_other(path, source)
        try:
            self._stem.parent.mkdir(parents=True, exist_ok=True)
            probe = self._stem.with_name(f".{self._stem.name}.kdphys")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(f"{prefix}: cannot be written ({error.strerror or error})") from error
        self._video: _Video | None = None
        self._table: _Table | None = None
        self._origin: float | None = None
        self._count = 0
        self.files: tuple[str, ...] = ()
        self.skipped = 0

    def frame(self, frame: Frame) -> None:
        """Write a frame; one that is not later than the one before is not written.

        Raises:
            OutputError: it cannot be written.
        """
        if self._origin is None:
            self._origin = frame.t
        try:
            if self._video is None or self._video.shape != frame.rgb.shape:
                self._video = self._next_video(frame.rgb.shape)
            self.skipped += not self._video.write(frame.rgb, frame.t - self._origin)
        except (av.error.FFmpegError, OSError) as error:
            raise _failed(self._video_path(self._count), error) from error

    def update(self, update: Update) -> None:
        """Write the samples that have settled.

        Raises:
            OutputError: they cannot be written.
        """
        if self._origin is None:
            return
        try:
            if self._table is None:
                self._table = _Table(self._table_path(), self._origin, self._force)
                self.files += (str(self._table_path()),)
            self._table.add(update)
        except OSError as error:
            raise _failed(self._table_path(), error) from error

    def close(self) -> None:
        """Write what is left.

        Raises:
            OutputError: it cannot be written.
        """
        video, self._video = self._video, None
        table, self._table = self._table, None
        try:
            if table is not None:
                table.close()
        except OSError as error:
            raise _failed(self._table_path(), error) from error
        finally:
            self._end(video)

    def _end(self, video: _Video | None) -> None:
        try:
            if video is not None:
                video.close()
        except (av.error.FFmpegError, OSError) as error:
            raise _failed(self._video_path(self._count), error) from error

    def _next_video(self, shape: tuple[int, ...]) -> _Video:
        before, self._video = self._video, None
        self._end(before)
        self._count += 1
        path = self._video_path(self._count)
        check_free(path, self._force)
        video = _Video(path, shape)
        self.files += (str(path),)
        return video

    def _video_path(self, count: int) -> Path:
        return self._stem.with_name(self._stem.name + (f"-{count}" if count > 1 else "") + _VIDEO)

    def _table_path(self) -> Path:
        return self._stem.with_name(self._stem.name + _TABLE)


def _failed(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{path}: cannot be written any more ({getattr(error, 'strerror', None) or error})")


class _Video:
    """One file, of pictures of one size."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.shape = shape
        height, width = shape[:2]
        self._container = av.open(str(path.absolute()), "w", format="matroska", container_options=_MUXER)
        stream = self._container.add_stream("libx264", rate=30, options=_ENCODER)
        stream.width, stream.height = width, height
        # Half of the colours' resolution, as players want it, needs even sides.
        stream.pix_fmt = "yuv420p" if height % 2 == width % 2 == 0 else "yuv444p"
        context = stream.codec_context
        stream.time_base = context.time_base = _TIME_BASE
        self._matrix = Colorspace.ITU709 if height >= 720 else Colorspace.ITU601
        context.colorspace = 1 if height >= 720 else 6  # numbers of ITU-T H.273
        context.color_range = int(ColorRange.MPEG)
        context.gop_size = _KEY_EVERY
        context.thread_count = 1
        self._stream, self._swscale, self._last = stream, VideoReformatter(), -1

    def write(self, rgb: NDArray[np.uint8], t: float) -> bool:
        """A picture at ``t`` seconds; whether it could be: not when it is no later than the last, to 1 ms."""
        pts = round(t / _TIME_BASE)
        if pts <= self._last:
            return False
        self._last = pts
        picture = self._swscale.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24"),
            format=self._stream.pix_fmt,
            src_color_range=int(ColorRange.JPEG),
            dst_colorspace=int(self._matrix),
            dst_color_range=int(ColorRange.MPEG),
        )
        picture.pts, picture.time_base = pts, _TIME_BASE
        self._container.mux(self._stream.encode(picture))
        return True

    def close(self) -> None:
        """Write what the encoder holds, and the index."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class _Table:
    """A row for each sample of the pulse."""

    def __init__(self, path: Path, origin: float, force: bool) -> None:
        self._file = path.open("w" if force else "x", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self._origin = origin
        self._until = -np.inf
        self._last: Update | None = None
        self._states: deque[tuple[float, tuple[str, str, str]]] = deque(maxlen=64)  # those that rows may still need

    def add(self, update: Update) -> None:
        """Write what has settled of a refresh."""
        v, pulse = update.vitals, update.pulse
        if self._last is not None and not (pulse.times < self._until).any():
            self._write(self._last, 0.0)  # the end of what came before a long gap: it is not in this refresh any more
        self._last = update
        hr = ("", "") if v.hr_bpm is None else (f"{v.hr_bpm:.2f}", f"{v.sqi:.3f}")
        self._states.append((update.t, (*hr, v.reasons[0] if v.reasons else "")))
        self._write(update, SETTLE_S)

    def _write(self, update: Update, settle_s: float) -> None:
        """The samples up to ``settle_s`` before the end."""
        pulse = update.pulse
        times = pulse.times
        rows = np.flatnonzero((times > self._until + 0.5 / pulse.fs) & (times <= update.t - settle_s))
        for k in rows:
            bvp = f"{pulse.bvp[k]:.5g}" if pulse.valid[k] else ""
            self._writer.writerow((f"{times[k] - self._origin:.4f}", bvp, *self._state(float(times[k]))))
        if len(rows):
            self._until = float(times[rows[-1]])
        self._file.flush()

    def close(self) -> None:
        """The rest of the samples."""
        try:
            if self._last is not None:
                self._write(self._last, 0.0)
        finally:
            self._file.close()

    def _state(self, t: float) -> tuple[str, str, str]:
        """What the last refresh up to ``t`` told."""
        found = ("", "", "")
        for at, state in self._states:
            if at > t + 1e-9:
                break
            found = state
        return found
