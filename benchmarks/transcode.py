"""The real face through encoders: ``python benchmarks/transcode.py [METHOD or FILE.onnx …]``.

How much of the pulse is left when a video is compressed, for checking: nothing is tuned or chosen by it. The clip is
coded once more at bit rates from 0.15 to 3 Mb/s, at 30 and at 20 frames/s, with MPEG-4 as FFmpeg makes it by default
(a whole picture every 12 frames) and with H.264, and measured like any file.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from faces import ROOT, figures

import kdphys
from kdphys.data.synth.codec import encode
from kdphys.data.synth.scene import Codec

RATES = (0.15, 0.25, 0.5, 1.0, 3.0)
KINDS = {"mpeg4": 12, "h264": 250}


def main() -> None:
    methods = sys.argv[1:] or ["student", "pos"]
    shown = " | ".join(f"{m}: error, bpm; confidence; r; SNR, dB" for m in methods)
    frames = list(kdphys.read_video(ROOT / "video.mp4"))
    times = np.array([frame.t for frame in frames]) - frames[0].t
    print(f"| codec | frames/s | Mb/s | {shown} |")
    print("|---|---|---|" + "---|" * len(methods))
    wrong, answers, errors = ([[] for _ in methods] for _ in range(3))
    with TemporaryDirectory() as folder:
        for (kind, gop), fps, mbps in product(KINDS.items(), (30, 20), RATES):
            clock = np.arange(0, times[-1], 1 / fps)
            nearest = np.abs(times[:, None] - clock).argmin(axis=0)
            path = Path(folder) / f"{kind}-{fps}-{mbps}.mp4"
            encode((frames[k].rgb for k in nearest), str(path), Codec(kind=kind, mbps=mbps, gop=gop), fps)
            cells = []
            for k, method in enumerate(methods):
                f = figures(method, path)
                off = abs(f.bpm - f.true_bpm)
                errors[k].append(off)
                answers[k].append(f.answered)
                wrong[k].append(f.answered and off > 5)
                sure = f"{f.sqi:.0%}" if f.answered else "no answer"
                cells.append(f"{off:.1f}; {sure}; {f.likeness:.2f}; {f.snr_db:.1f}")
            print(f"| {kind} | {fps} | {mbps} | " + " | ".join(cells) + " |", flush=True)
    for method, off, told, bad in zip(methods, errors, answers, wrong, strict=True):
        print(
            f"{method}: {sum(told)} of {len(told)} answered, {sum(bad)} of them wrong; "
            f"best guesses within 5 bpm: {np.mean(np.array(off) < 5):.0%}"
        )


if __name__ == "__main__":
    main()
