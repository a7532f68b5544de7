"""Videos of takes: files whose clock starts at their first frame, or is given beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Frame, Video
from kdphys.errors import DataError, VideoError
from kdphys.video.reader import read_video

Floats = NDArray[np.floating[Any]]


class FileVideo(Video):
    """A video file on the clock of its labels: zero is the first frame.

    Args:
        path: of the file.
        times: (T,) seconds of each frame, where the data set gives them; the stream's own times otherwise.

    Raises:
        VideoError: not a video that can be opened.
        DataError: times that do not increase.
    """

    def __init__(self, path: Path, times: Floats | None = None) -> None:
        self.path = path
        self.source = read_video(path)
        self.name = self.source.name
        self.width, self.height = self.source.width, self.source.height
        self.fps, self.n_frames, self.duration_s = self.source.fps, self.source.n_frames, self.source.duration_s
        self.times = None if times is None else np.asarray(times, float)
        self._notes: tuple[str, ...] = ()
        if self.times is not None:
            step = np.diff(self.times)
            if len(self.times) == 0 or not np.isfinite(self.times).all() or not (step > 0).all():
                at = int(np.argmin(step > 0)) + 1 if len(step) else 0
                raise DataError(f"{path}: the times of its frames must increase, but time {at} does not")
            self.n_frames = len(self.times)
            self.duration_s = float(self.times[-1] - self.times[0])

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            VideoError: see :class:`kdphys.video.reader.VideoFile`; or more frames than times.
        """
        self._notes = ()
        n, start = 0, 0.0
        for n, frame in enumerate(self.source, 1):
            if self.times is None:
                start = frame.t if n == 1 else start
                yield Frame(frame.rgb, frame.t - start)
                continue
            if n > len(self.times):
                raise VideoError(f"{self.path}: more frames than the {len(self.times)} times given for them")
            yield Frame(frame.rgb, float(self.times[n - 1]))
        self._notes = self.source.notes
        if self.times is not None and n < len(self.times):
            self._notes += (f"{n} frames but {len(self.times)} times: the video ends early",)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :class:`kdphys.containers.Video`."""
        return self._notes
