"""How fast synthetic people are made: crops a second and core, by kind of codec.

Usage: python benchmarks/synth_speed.py [--clips 8] [--size 36] [--csv benchmarks/results/synth_speed.csv]

Time is processor time of one thread, so that other work on the machine does not count; the bank of heads is built
before.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import av
import cv2
import numpy as np
import torch

from kdphys.data.synth.bank import load_bank
from kdphys.data.synth.render import clip_seed, render_clip
from kdphys.data.synth.sample import sample_scene


def cpu() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def measure(clips: int, frames: int, size: int, fixed: dict[str, Any]) -> float:
    """Crops a second of processor time."""
    bank = load_bank()
    scenes = [sample_scene(clip_seed(1, k), bank=bank.spec, **fixed) for k in range(clips)]
    render_clip(scenes[0], frames, size, bank=bank)
    start = time.process_time()
    for scene in scenes:
        render_clip(scene, frames, size, bank=bank)
    return clips * frames / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=160)
    parser.add_argument("--size", type=int, default=36)
    parser.add_argument("--csv", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("no codec", {"codec": "none"}),
        ("fast approximation", {"codec": "approx"}),
        ("H.264", {"codec": "h264"}),
        ("MPEG-4", {"codec": "mpeg4"}),
        ("MJPEG", {"codec": "mjpeg"}),
        ("training mix, 30 % real codecs", {"codec_share": 0.3}),
    ]
    rows = []
    for name, fixed in kinds:
        n = arguments.clips if fixed.get("codec") in ("none", "approx") else max(arguments.clips // 2, 2)
        rows.append((name, round(measure(n, arguments.frames, arguments.size, fixed))))
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}, "
    versions += f"OpenCV {cv2.__version__}, PyAV {av.__version__}"
    print(f"{cpu()}, 1 thread; {versions}")
    print(f"clips of {arguments.frames} frames, {arguments.size} × {arguments.size}")
    for name, rate in rows:
        print(f"{name:32s} {rate:6d} crops/s")
    if arguments.csv:
        arguments.csv.parent.mkdir(parents=True, exist_ok=True)
        with arguments.csv.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["kind", "crops_per_s", "size", "frames", "threads", "cpu", "versions"])
            for name, rate in rows:
                out.writerow([name, rate, arguments.size, arguments.frames, 1, cpu(), versions])


if __name__ == "__main__":
    sys.exit(main())
