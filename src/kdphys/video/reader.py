"""Files, folders of images and arrays as :class:`kdphys.Video`.

Times are the stream's own presentation times: a variable frame rate is normal, and the nominal rate is never used as a
clock. Pictures come out as RGB, 8 bits, as a player would show them: upright, in the right colours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.containers import Video
from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.array import ArrayVideo
from kdphys.video.file import VideoFile
from kdphys.video.images import IMAGE_SUFFIXES, ImageFolder
from kdphys.video.picture import MAX_SIDE

__all__ = ["IMAGE_SUFFIXES", "MAX_SIDE", "VIDEO_SUFFIXES", "ArrayVideo", "ImageFolder", "VideoFile", "read_video"]

#: Files of a folder that are taken for videos.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".3gp", ".ogv", ".mjpeg", ".mjpg", ".gif"}
)


def read_video(
    source: str | os.PathLike[str] | NDArray[Any], *, fs: float | None = None, times: ArrayLike | None = None
) -> Video:
    """A file, a folder of images or an array as frames in time, lazily.

    Args:
        source: path of a video file; path of a folder of images, or of one image; or an array of uint8, shape
            (T, H, W, 3) in RGB order, (T, H, W, 4) whose alpha is left out, or (T, H, W) in grey.
        fs: rate in Hz: of an array, of a folder without times, of a file whose stream has no times or wrong ones.
        times: (T,) seconds, one for each frame, instead of ``fs``.

    Raises:
        VideoError: missing, empty, cut off or without video; too large; without times, or with times that do not
            increase.
        InvalidInputError: an array of the wrong type or shape, or ``fs`` and ``times`` that do not fit.
    """
    if isinstance(source, np.ndarray):
        return ArrayVideo(source, fs=fs, times=times)
    if not isinstance(source, str | os.PathLike):
        raise InvalidInputError(f"video: expected a path or a NumPy array, got {type(source).__name__}")
    path = Path(source)
    try:
        there = path.exists()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error
    if not there:
        raise VideoError(f"{path}: no such file or folder")
    if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageFolder(path, fs=fs, times=times)
    if not path.is_file():
        raise VideoError(f"{path}: neither a file nor a folder")
    return VideoFile(path, fs=fs, times=times)
