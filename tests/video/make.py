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
    hflip: bool = False,
    format: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode uint8 RGB frames (H, W, 3); ``times`` in seconds makes a variable frame rate (1 ms steps).

    ``rotation`` (degrees, counter-clockwise) and ``hflip`` go into the display matrix; the pixels stay as they are.
    """
    with av.open(str(path), "w", format=format, container_options=container_options or {}) as container:
        stream = None
        for k, rgb in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
                stream.height, stream.width = rgb.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.thread_count = 2  # MJPEG is cut into as many slices: the same on any machine
                if bit_rate:
                    stream.bit_rate = bit_rate
                if rotation or hflip:
                    stream.set_display_rotation(rotation, hflip=hflip)
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


def write_flat(
    path: Path, rgb: tuple[int, int, int], *, pix_fmt: str, matrix: int, full: bool, size: tuple[int, int] = (64, 64)
) -> Path:
    """Two lossless frames of one colour, converted to YUV here by the formulas of ITU-T H.273 and tagged accordingly.

    Args:
        path: of the file, Matroska.
        rgb: 0–255.
        pix_fmt: planar YUV of 8 or 10 bits.
        matrix: matrix coefficients of H.273: 1 BT.709, 5 or 6 BT.601, 9 BT.2020; 2 says nothing (written as
            BT.601).
        full: the range.
        size: (height, width).
    """
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(matrix, (0.299, 0.114))
    r, g, b = (v / 255 for v in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    chroma = ((b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr)))
    bits = 10 if "10" in pix_fmt else 8
    unit, top = 2 ** (bits - 8), 2**bits - 1
    if full:
        levels = [y * top, *(c * top + 128 * unit for c in chroma)]
    else:
        levels = [(219 * y + 16) * unit, *((224 * c + 128) * unit for c in chroma)]
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        for k in range(2):
            picture = av.VideoFrame(size[1], size[0], pix_fmt)
            picture.colorspace, picture.color_range, picture.pts = matrix, 2 if full else 1, k
            for plane, level in zip(picture.planes, levels, strict=True):
                dtype = np.uint8 if bits == 8 else np.uint16
                plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, round(level), dtype))
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def damage(source: Path, path: Path, packets: range, *, at: float = 1 / 3, seed: int = 0) -> Path:
    """Copy a file with noise in some packets, numbered in the order of the stream, from the share ``at`` of each."""
    with av.open(str(source)) as container:
        coded = [bytes(p) for p in container.demux(container.streams.video[0]) if p.size]
    data = bytearray(source.read_bytes())
    rng = np.random.default_rng(seed)
    for k in packets:
        start, size = data.find(coded[k]), len(coded[k])  # not its "pos": that is the place of a header
        if start < 0:  # in pieces, as in a transport stream
            start = data.find(coded[k][:100])
        assert start > 0
        first = int(at * size)
        last = min(first + 200, size - 2)
        data[start + first : start + last] = rng.integers(0, 256, last - first, dtype=np.uint8).tobytes()
    path.write_bytes(bytes(data))
    return path
