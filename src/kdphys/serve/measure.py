"""Measuring one uploaded video, in a worker process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from kdphys import serialize
from kdphys.classical import METHODS
from kdphys.containers import Frame
from kdphys.errors import KDPhysError, VideoError
from kdphys.face.detect import FaceDetector
from kdphys.pipeline import DEFAULT_METHOD, measure_all
from kdphys.pulse.estimate import BUNDLED
from kdphys.video.file import VideoFile


class Bounds(NamedTuple):
    """How large a video may be: width × height, decoded frames, seconds."""

    pixels: int
    frames: int
    duration_s: float


def known_methods() -> list[str]:
    """What clients may ask for; never a path."""
    return [*BUNDLED, *METHODS]


class BoundedFile(VideoFile):
    """A video file that is refused, before or while it is decoded, when it is too large.

    Args:
        path: of the file. Its name says nothing about its type.
        bounds: how large it may be. Sizes are checked before a picture is decoded; what a file promises about its
            length is checked first, and what it then gives is counted.
    """

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._bounds = bounds
        super().__init__(path)
        most = bounds.duration_s
        if self.duration_s is not None and self.duration_s > most:
            raise VideoError(f"{path}: the video lasts {self.duration_s:.0f} s; at most {most:g} s are measured here")
        if self.n_frames is not None and self.n_frames > bounds.frames:
            raise VideoError(f"{path}: the video has {self.n_frames} frames; at most {bounds.frames} are measured here")

    def _stream(self, container: InputContainer) -> VideoStream:
        stream = super()._stream(container)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > self._bounds.pixels:
            raise VideoError(
                f"{self.path}: pictures of {width}×{height} are too large; at most {self._bounds.pixels} pixels are "
                "measured here: scale the video down"
            )
        return stream

    def __iter__(self) -> Iterator[Frame]:
        first: float | None = None
        for n, frame in enumerate(super().__iter__()):
            first = frame.t if first is None else first
            if n >= self._bounds.frames:
                raise VideoError(f"{self.path}: more than {self._bounds.frames} frames; no more are measured here")
            if frame.t - first > self._bounds.duration_s:
                raise VideoError(
                    f"{self.path}: the video is longer than {self._bounds.duration_s:g} s; no more is measured here"
                )
            yield frame


def warm_up() -> None:
    """Load what is loaded when it is first needed: before the first client waits for it, and before memory is short."""
    FaceDetector()(np.zeros((64, 64, 3), np.uint8))


class Measurer:
    """The calls that a worker for uploads answers."""

    def __init__(self) -> None:
        warm_up()

    def about(self) -> dict[str, Any]:
        """What this worker can do."""
        return {"methods": known_methods(), "default": DEFAULT_METHOD}

    def measure(
        self, path: str, name: str, method: str, faces: str, window_s: float, bounds: tuple[int, int, float]
    ) -> dict[str, Any]:
        """Measure a file.

        Args:
            path: of the upload.
            name: what to call it in the result.
            method, faces, window_s: as of :func:`kdphys.measure`.
            bounds: see :class:`Bounds`.

        Returns:
            :func:`kdphys.serialize.document`.

        Raises:
            KDPhysError: it cannot be read, or is too large.
        """
        try:
            video = BoundedFile(Path(path), Bounds(*bounds))
            done = measure_all(video, method, faces=faces, window_s=window_s)
        except KDPhysError as error:
            # Where it lies here is nobody's business.
            raise VideoError(str(error).replace(f"{path}: ", "").replace(path, "the video")) from error
        return serialize.document({name: done})
