"""From how far: ``python benchmarks/far.py [METHOD or FILE.onnx …]``.

The real face, for checking, made small in a picture of 1280 × 720 before a blurred pattern, in H.264 of 3 Mb/s: how
wide the face is, in pixels and as a share of the picture's short side; how much of the time there is a pulse wave; and
how far off the heart rate is, bpm, with its confidence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from faces import ROOT, figures
from numpy.typing import NDArray

import kdphys
from kdphys.data.synth.codec import encode
from kdphys.data.synth.scene import Codec
from kdphys.face.detect import FaceDetector
from kdphys.pipeline import measure_all

WIDTH, HEIGHT = 1280, 720
SHARES = (0.2, 0.16, 0.13, 0.11, 0.09, 0.08, 0.07, 0.06, 0.05)


def main() -> None:
    methods = sys.argv[1:] or ["student", "pos"]
    clip = list(kdphys.read_video(ROOT / "video.mp4"))
    frames, fps = [frame.rgb for frame in clip], (len(clip) - 1) / (clip[-1].t - clip[0].t)
    true = figures("pos", ROOT / "video.mp4").true_bpm
    x0, _, x1, _ = FaceDetector()(frames[0]).boxes[0]
    rng = np.random.default_rng(0)
    print(f"| face, pixels | of the short side | found | {' | '.join(methods)} |\n|{'---|' * (3 + len(methods))}")
    for share in SHARES:
        scale = share * HEIGHT / (x1 - x0)
        height, width = (round(scale * n) for n in frames[0].shape[:2])
        corner = int(rng.integers(0, WIDTH - width + 1)), int(rng.integers(0, HEIGHT - height + 1))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "far.mp4"
            pictures = far(frames, corner, (width, height))
            encode(pictures, str(path), Codec(kind="h264", mbps=1.0, gop=250), fps)
            measured = [measure_all(path, method)[0] for method in methods]
        cells = [cell(m.vitals, true) for m in measured]
        there = measured[0].pulse.valid.mean()
        print(f"| {share * HEIGHT:.0f} | {share:.0%} | {there:.0%} | {' | '.join(cells)} |", flush=True)


def far(frames: list[NDArray[np.uint8]], corner: tuple[int, int], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """The frames in this size, their left upper corner at (x, y) of a pattern."""
    pattern = np.random.default_rng(3).integers(40, 200, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
    canvas = np.asarray(cv2.resize(pattern, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)
    (x, y), (width, height) = corner, size
    for frame in frames:
        canvas[y : y + height, x : x + width] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        yield canvas


def cell(vitals: kdphys.Vitals, true: float) -> str:
    """Error in bpm and confidence, or why there is no answer."""
    return (
        f"no answer: {vitals.reasons[0]}"
        if vitals.hr_bpm is None
        else f"{abs(vitals.hr_bpm - true):.1f}; {vitals.sqi:.0%}"
    )


if __name__ == "__main__":
    main()
