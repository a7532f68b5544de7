"""Videos of takes: files whose clock starts at their first frame, or is given beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Frame, Video
from kdphys.video.reader import read_video

Floats = NDArray[np.floating[Any]]


class FileVideo(Video):
    """A video file on the clock of its labels: zero is the first frame, be it readable or not.

    Args:
        path: of the file.
        times: (T,) seconds of each frame, where the data set gives them; the stream's own times otherwise. A frame
            that cannot be decoded keeps its place among them.

    Attributes:
        source: the file on its own clock, or on ``times``.
        times: as given, or None.

    Raises:
        VideoError: not a video that can be opened, or times that do not increase.
        InvalidInputError: times that are not finite.
    """

    def __init__(self, path: Path, times: Floats | None = None) -> None:
        self.path, self.times = path, times
        self.source = read_video(path, times=times)
        self.name, self.fps = self.source.name, self.source.fps
        self.width, self.height = self.source.width, self.source.height
        if times is None:
            self.n_frames, self.duration_s = self.source.n_frames, self.source.duration_s
            self._start = _start(path)
        else:
            self.n_frames, self.duration_s = len(times), float(times[-1] - times[0]) if len(times) else 0.0
            self._start = 0.0

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            VideoError: see :class:`kdphys.video.reader.VideoFile`; or more frames than times.
        """
        start = self._start
        for frame in self.source:
            start = frame.t if start is None else start
            yield Frame(frame.rgb, frame.t - start)

    @property
    def notes(self) -> tuple[str, ...]:
        """See :class:`kdphys.containers.Video`."""
        return self.source.notes


def _start(path: Path) -> float | None:
    """When the stream begins, in seconds on its own clock: its first frame may be lost. None where it does not say."""
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        if stream.start_time is None or stream.time_base is None:
            return None
        return float(stream.start_time * stream.time_base)
