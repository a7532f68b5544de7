"""Loops of living faces through an encoder: ``python benchmarks/loops.py [BENCH]``.

A second or a few of a face, over and over, has a perfect rhythm that is no heart's: the right answer is none. Made of
the bundled clip, of the real face and, of a rendered benchmark (``kdphys synth --preset bench``), of six clips, with
H.264 at two bit rates; measured like any file, with the student. In the first row nothing is repeated.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import faces
import numpy as np

import kdphys
from kdphys.data.synth.codec import encode
from kdphys.data.synth.scene import Codec

LENGTHS = (0.6, 0.9, 1.6, 2.2, 3.0, 3.7, 5.0)
MBPS = (1.0, 6.0)
SECONDS = 14


def sources(bench: Path | None) -> list[Path]:
    out = [Path(kdphys.__file__).parent / "assets" / "demo.mp4"]
    if faces.ROOT.is_dir():
        out.append(faces.ROOT / "video.mp4")
    if bench is not None:
        clips = sorted(p for p in bench.iterdir() if p.suffix in (".mp4", ".avi"))
        out += clips[:: max(len(clips) // 6, 1)][:6]
    return out


def main() -> None:
    found: dict[float, list[kdphys.Vitals]] = {length: [] for length in (np.inf, *LENGTHS)}
    videos = sources(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    with TemporaryDirectory() as folder:
        for video in videos:
            frames = list(kdphys.read_video(video))
            fps = round(1 / float(np.median(np.diff([f.t for f in frames]))), 2)
            for length, mbps in product(found, MBPS):
                period = len(frames) if np.isinf(length) else round(length * fps)
                first = min(round(fps), len(frames) - period)
                count = min(round(SECONDS * fps), period) if np.isinf(length) else round(SECONDS * fps)
                path = Path(folder) / "loop.mp4"
                pictures = (frames[first + k % period].rgb for k in range(count))
                encode(pictures, str(path), Codec(kind="h264", mbps=mbps), fps)
                found[length].append(kdphys.measure(path))
    print(f"{len(videos)} faces, H.264 of {' and '.join(f'{m:g}' for m in MBPS)} Mb/s, {SECONDS} s\n")
    print(
        "| loop of, s | videos | refused as repeating | refused for another reason | answered |\n|---|---|---|---|---|"
    )
    for length, results in found.items():
        repeating = sum("repeating picture" in v.reasons for v in results)
        answered = sum(v.hr_bpm is not None for v in results)
        name = "(living)" if np.isinf(length) else f"{length:g}"
        print(f"| {name} | {len(results)} | {repeating} | {len(results) - repeating - answered} | {answered} |")


if __name__ == "__main__":
    main()
