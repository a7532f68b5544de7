"""The rhythm of a codec's whole pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdphys import read_video
from kdphys.data.synth.codec import encode
from kdphys.data.synth.scene import Codec
from kdphys.video.refresh import Refreshes


@pytest.mark.parametrize(
    ("codec", "fps", "beat"),
    [
        (Codec(kind="mpeg4", mbps=0.5, gop=12), 20.0, 20 / 12),
        (Codec(kind="mpeg4", mbps=0.5, gop=15), 30.0, 2.0),
        (Codec(kind="mpeg4", mbps=20.0, gop=12), 20.0, None),  # bits enough: nothing shows
        (Codec(kind="h264", mbps=0.5, gop=12), 30.0, 2.5),
        (Codec(kind="h264", mbps=20.0, gop=12), 30.0, None),
        (Codec(kind="h264", mbps=0.5, gop=30), 30.0, None),  # not seen to beat; and 60 a minute is a common heart
        (Codec(kind="mjpeg", mbps=0.5), 20.0, None),  # all are whole
    ],
    ids=["FFmpeg's MPEG-4", "GOP 15", "fine", "H.264", "fine H.264", "a second", "MJPEG"],
)
def test_a_coarse_codec_beats(tmp_path: Path, codec: Codec, fps: float, beat: float | None) -> None:
    path = tmp_path / ("a.avi" if codec.kind == "mjpeg" else "a.mp4")
    rng = np.random.default_rng(0)
    still = rng.integers(60, 200, (120, 160, 3))
    frames = (np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(100))
    encode(frames, str(path), codec, fps)
    video = read_video(path)
    assert video.beat_hz is None  # nothing has been read
    assert sum(1 for _ in video) == 100
    assert video.beat_hz == (None if beat is None else pytest.approx(beat, rel=1e-3))


def test_no_rhythm_is_no_beat() -> None:
    seen = Refreshes()
    whole = set(np.cumsum([0, 12, 7, 30, 12, 19, 12]).tolist())
    for k in range(100):
        seen.add(k / 20, k in whole)
    assert seen.beat_hz(0.1, "mpeg4") is None


def test_an_unknown_bit_rate_accuses_nobody() -> None:
    seen = Refreshes()
    for k in range(100):
        seen.add(k / 20, k % 12 == 0)
    assert seen.beat_hz(0.0, "mpeg4") is None
    assert seen.beat_hz(0.1, "mpeg4") == pytest.approx(20 / 12)
