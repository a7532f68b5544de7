"""Writes small real video files for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    format: str | None = None,
) -> Path:
    """Encode uint8 RGB frames (H, W, 3); ``times`` in seconds makes a variable frame rate (1 ms steps)."""
    with av.open(str(path), "w", format=format) as container:
        stream = None
        for k, rgb in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
                stream.height, stream.width = rgb.shape[:2]
                stream.pix_fmt = pix_fmt
                if bit_rate:
                    stream.bit_rate = bit_rate
                if rotation:
                    stream.set_display_rotation(rotation)
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            if times is not None:
                picture.time_base = Fraction(1, 1000)
                picture.pts = round(times[k] * 1000)
            container.mux(stream.encode(picture))
        assert stream is not None
        container.mux(stream.encode())
    return path
