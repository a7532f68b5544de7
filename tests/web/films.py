"""Films for the browser's camera: 640 × 480 pictures at 30 a second, uncompressed (Y4M)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS = 640, 480, 30


def pictures(source: Path, seconds: float) -> Iterator[av.VideoFrame]:
    """The first pictures of a video, at 30 a second: the nearest one each time."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        n = 0
        for frame in container.decode(stream):
            while n / FPS <= float(frame.pts * stream.time_base) + 0.5 / FPS:
                if n >= seconds * FPS:
                    return
                yield frame
                n += 1


def write(target: Path, frames: Iterator[av.VideoFrame]) -> Path:
    """Write pictures as Y4M."""
    with target.open("wb") as out:
        out.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            out.write(b"FRAME\n")
            planes = frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray()
            out.write(planes.tobytes())
    return target


def convert(source: Path, target: Path, seconds: float = 12.0) -> Path:
    """A video as Y4M, forth and then back: the browser shows it again and again, and this way nothing jumps."""
    forth = list(pictures(source, seconds))
    return write(target, iter([*forth, *reversed(forth[1:-1])]))


def still(source: Path, target: Path, noise: float, seconds: float = 6.0, seed: int = 0) -> Path:
    """One picture of a video, as if a camera saw a photo: the same picture with fresh sensor noise (grey levels)."""
    photo: NDArray[np.uint8] = next(pictures(source, 1.0)).to_ndarray(format="rgb24")
    random = np.random.default_rng(seed)
    # Fresh noise for each picture: another part of a larger field of it.
    field = noise * random.standard_normal((2 * HEIGHT, 2 * WIDTH, 3), dtype=np.float32)

    def frames() -> Iterator[av.VideoFrame]:
        for _ in range(int(seconds * FPS)):
            y, x = random.integers(HEIGHT), random.integers(WIDTH)
            noisy = photo + field[y : y + photo.shape[0], x : x + photo.shape[1]]
            yield av.VideoFrame.from_ndarray(np.clip(np.round(noisy), 0, 255).astype(np.uint8), format="rgb24")

    return write(target, frames())
