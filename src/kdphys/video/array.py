"""An array in memory as a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.containers import Frame, Video
from kdphys.errors import InvalidInputError, VideoError
from kdphys.video.notes import Losses
from kdphys.video.picture import check_size
from kdphys.video.timeline import frame_times


class ArrayVideo(Video):
    """An array in memory. It is not copied: leave it as it is while the video is in use.

    Args:
        frames: uint8, (T, H, W, 3) in RGB order; (T, H, W, 4), whose alpha is left out; (T, H, W) or
            (T, H, W, 1), grey.
        fs: Hz.
        times: (T,) seconds, instead of ``fs``.

    Raises:
        InvalidInputError: another type or shape, values that are not finite, or ``fs`` and ``times`` that do not fit.
        VideoError: no frames, or times that do not increase.
    """

    def __init__(self, frames: NDArray[Any], fs: float | None = None, times: ArrayLike | None = None) -> None:
        self.name = "array"
        self._losses = Losses()
        _check(frames)
        given = frame_times(self.name, len(frames), fs, times)
        if given is None:
            raise InvalidInputError("array: give either fs (Hz) or times (seconds): an array has no clock")
        self._frames = frames
        self._times = given
        self.n_frames, self.height, self.width = frames.shape[:3]
        self.fps = fs
        self.duration_s = float(given[-1] - given[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        losses = self._losses = Losses()
        for picture, t in zip(self._frames, self._times, strict=True):
            if picture.ndim == 3 and picture.shape[2] == 4:
                losses.transparent += int(picture[..., 3].min() < 255)
                picture = picture[..., :3]
            elif picture.ndim == 2 or picture.shape[2] == 1:
                picture = np.repeat(picture.reshape(self.height, self.width, 1), 3, axis=2)
            yield Frame(np.ascontiguousarray(picture), float(t))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of the last iteration: see :class:`kdphys.containers.Video`."""
        return self._losses.notes()


def _check(frames: NDArray[Any]) -> None:
    shape = frames.shape
    expected = "array: expected (T, H, W, 3) in RGB, (T, H, W, 4) or, in grey, (T, H, W)"
    if frames.ndim == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4:
        raise InvalidInputError(f"{expected}, got {shape}: one picture? Write array[None]")
    if frames.ndim == 4 and shape[3] not in (1, 3, 4) and shape[1] in (1, 3, 4):
        raise InvalidInputError(f"{expected}, got {shape}: colours first? Write np.moveaxis(array, 1, 3)")
    if frames.ndim not in (3, 4) or (frames.ndim == 4 and shape[3] not in (1, 3, 4)):
        raise InvalidInputError(f"{expected}, got {shape}")
    if np.issubdtype(frames.dtype, np.floating):
        bad = sum(int((~np.isfinite(picture)).sum()) for picture in frames)
        what = f"{bad} of its values are NaN or infinite" if bad else "is it 0–1 or 0–255?"
        raise InvalidInputError(f"array: expected uint8, got {frames.dtype} ({what}); convert it to uint8, 0–255")
    if frames.dtype != np.uint8:
        raise InvalidInputError(f"array: expected uint8, got {frames.dtype}; convert it to uint8, 0–255")
    if frames.size == 0:
        raise VideoError(f"array: no frames in it (shape {shape})")
    check_size("array", shape[2], shape[1])
