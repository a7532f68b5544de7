"""The real face through encoders: ``python benchmarks/transcode.py [METHOD or FILE.onnx or MODEL.rlap …]``.

How much of the pulse is left when a video is compressed, for checking: nothing is tuned or chosen by it. The clip is
coded once more at bit rates from 0.15 to 3 Mb/s, at 30 and at 20 frames/s, with MPEG-4 as FFmpeg makes it by default
(a whole picture every 12 frames) and with few whole pictures, and with H.264, and measured like any file. A name that
ends in .rlap is a model of open-rppg (see ``benchmarks/open_rppg.py``), which gives no confidence.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from faces import ROOT, Figures, Likeness, compare, figures
from open_rppg import waves

import kdphys
from kdphys.data.synth.codec import encode
from kdphys.data.synth.scene import Codec
from kdphys.dsp import bandpass

RATES = (0.15, 0.25, 0.5, 1.0, 3.0)
KINDS = (("mpeg4", 12), ("mpeg4", 250), ("h264", 250))
FS = 30.0


def coded(folder: Path) -> dict[str, Path]:
    """Codec, GOP, frames/s and Mb/s as cells of a table → the file."""
    frames = list(kdphys.read_video(ROOT / "video.mp4"))
    times = np.array([frame.t for frame in frames]) - frames[0].t
    paths = {}
    for (kind, gop), fps, mbps in product(KINDS, (30, 20), RATES):
        nearest = np.abs(times[:, None] - np.arange(0, times[-1], 1 / fps)).argmin(axis=0)
        path = folder / f"{kind}-{gop}-{fps}-{mbps}.mp4"
        encode((frames[k].rgb for k in nearest), str(path), Codec(kind=kind, mbps=mbps, gop=gop), fps)
        paths[f"{kind} | {gop} | {fps} | {mbps}"] = path
    return paths


def of(method: str, videos: list[Path]) -> Sequence[Likeness]:
    """What a method makes of each; of ours with the confidence."""
    if not method.endswith(".rlap"):
        return [figures(method, video) for video in videos]
    out = []
    for wave, times in waves(method, videos):
        grid = np.arange(0, times[-1], 1 / FS)
        wave = np.interp(grid, times, wave)
        out.append(compare(bandpass(wave - wave.mean(), FS, 0.6, 4.0), grid, FS))
    return out


def off(f: Likeness) -> float:
    return abs(f.bpm - f.true_bpm)


def cell(f: Likeness) -> str:
    """Error in bpm; confidence; likeness; SNR in dB."""
    sure = (f"{f.sqi:.0%}; " if f.answered else "no answer; ") if isinstance(f, Figures) else ""
    return f"{off(f):.1f}; {sure}{f.likeness:.2f}; {f.snr_db:.1f}"


def summary(each: Sequence[Likeness]) -> str:
    ours = [f for f in each if isinstance(f, Figures)]
    told = [f for f in ours if f.answered]
    answers = f"{len(told)} of {len(ours)} answered, {sum(off(f) > 5 for f in told)} of them wrong; " if ours else ""
    near, r = np.mean([off(f) <= 5 for f in each]), np.mean([f.likeness for f in each])
    return f"{answers}best guesses within 5 bpm: {near:.0%}, mean likeness {r:.2f}"


def main() -> None:
    methods = sys.argv[1:] or ["student", "pos"]
    with TemporaryDirectory() as folder:
        paths = coded(Path(folder))
        found = {method: of(method, list(paths.values())) for method in methods}
    print(f"| codec | GOP | frames/s | Mb/s | {' | '.join(methods)} |\n|{'---|' * (4 + len(methods))}")
    for k, name in enumerate(paths):
        print(f"| {name} | {' | '.join(cell(found[m][k]) for m in methods)} |")
    print()
    for method, each in found.items():
        print(f"{method}: {summary(each)}")


if __name__ == "__main__":
    main()
