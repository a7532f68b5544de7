"""Servers that several tests share, and videos to send."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.serve.server import TOKEN, Running, serving
from tests.video.make import write_video

if sys.platform != "linux":
    pytest.skip("processes and their files are seen in /proc", allow_module_level=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With small limits and room for whole clips in the queue of a stream."""
    limits = {
        "workers": 1,
        "stream_workers": 1,
        "max_upload_bytes": 9_000_000,
        "max_pixels": 1_000_000,
        "max_frames": 3000,
        "max_duration_s": 300.0,
        "queue": 3,
        "max_streams": 3,
        "queue_frames": 400,
        "queue_bytes": 256 << 20,
        "stream_pixels": 640 * 480,
        "rate_per_min": 0,
        "idle_timeout_s": 2.0,
        "header_timeout_s": 2.0,
        "hello_timeout_s": 2.0,
        "send_timeout_s": 2.0,
    }
    with serving(tmp_path_factory.mktemp("server"), token=TOKEN, **limits) as running:
        yield running


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def long(demo_path: Path, videos: Path) -> Path:
    """The bundled clip three times, copied as it is coded: enough time to do something to who measures it."""
    path = videos / "long.mp4"
    with av.open(str(path), "w") as out:
        stream, start = None, 0
        for _ in range(3):
            with av.open(str(demo_path)) as container:
                one = container.streams.video[0]
                stream = stream or out.add_stream_from_template(one)
                end = 0
                for packet in container.demux(one):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, stream
                    end = max(end, packet.pts + (packet.duration or 1))
                    out.mux(packet)
                start = end
    return path


@pytest.fixture(scope="session")
def wide(videos: Path) -> Path:
    """Two frames of 2048 × 1024 in a few hundred bytes."""
    return write_video(videos / "wide.mp4", [np.zeros((1024, 2048, 3), np.uint8)] * 2)


@pytest.fixture(scope="session")
def many(videos: Path) -> Path:
    """More frames than are taken, in a few kilobytes; the file does not say how many."""
    frames = [np.full((32, 32, 3), 128, np.uint8)] * 3100
    return write_video(videos / "many.ts", frames, fps=60, codec="mpeg2video", options={"g": "300"}, format="mpegts")


@pytest.fixture(scope="session")
def endless(videos: Path) -> Path:
    """Two frames that lie eleven days apart."""
    path = videos / "endless.mkv"
    with av.open(str(path), "w", format="matroska") as out:
        stream = out.add_stream("libx264", rate=Fraction(30))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for pts in (0, 950_000_000):
            picture = av.VideoFrame(64, 64, "yuv420p")
            picture.pts, picture.time_base = pts, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def huge(videos: Path) -> Path:
    """Three frames of 8K."""
    return write_video(videos / "huge.mp4", [np.zeros((4320, 7680, 3), np.uint8)] * 3, options={"preset": "ultrafast"})
