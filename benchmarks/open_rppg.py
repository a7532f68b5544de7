"""The student against open-rppg's models, which learned from real faces, on the synthetic benchmark.

::

    kdphys synth --preset bench --out runs/bench
    kdphys evaluate runs/bench -m student -m pos --window 10 --out runs/bench-report
    python benchmarks/latency.py --only open-rppg     # once: installs it into an environment of its own
    python benchmarks/open_rppg.py runs/bench-report --codec h264-0.25

Every window of 10 s of the report, without one where a method saw no face: the heart rate is what kdphys reads off the
spectrum of the pulse wave, theirs and ours alike (``kdphys.dsp.heart_frequency``).
Where its face detector loses the face, open-rppg fills in; that counts as it comes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / "runs" / "latency" / "open-rppg" / "bin" / "python"


def child(model: str, videos: list[str]) -> None:
    """In open-rppg's environment: one line of JSON a video, with its wave and its times."""
    import rppg

    for video in videos:
        fresh = rppg.Model(model)  # its state leaks from video to video
        fresh.process_video(video)
        wave, times = fresh.bvp()
        print("wave", json.dumps([np.ravel(wave).tolist(), np.ravel(times).tolist()]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", help="folder of a report of kdphys evaluate, or 'child'")
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--videos", type=Path, default=ROOT / "runs" / "bench")
    parser.add_argument("--models", nargs="+", default=["FacePhys.rlap"])
    parser.add_argument("--codec", default="", help="only videos of this codec")
    o = parser.parse_args()
    if o.report == "child":
        child(o.rest[0], o.rest[1:])
        return
    from kdphys.video.reader import VIDEO_SUFFIXES  # the child's environment has no kdphys

    groups = [g for g in json.loads((Path(o.report) / "report.json").read_text())["groups"] if g["window"] == "10 s"]
    chosen = [s for s in groups[0]["scores"] if o.codec in ("", s["conditions"]["codec"])]
    keys = [(s["recording"], s["t0"]) for s in chosen if s["candidate_bpm"] is not None]
    truth = {(s["recording"], s["t0"]): s["ref_bpm"] for s in chosen}
    columns: dict[str, dict[Any, float]] = {
        g["method"]: {(s["recording"], s["t0"]): s["candidate_bpm"] for s in g["scores"]} for g in groups
    }
    names = sorted({recording for recording, _ in keys})
    videos = {path.stem: path for path in o.videos.iterdir() if path.suffix in VIDEO_SUFFIXES}
    for model in o.models:
        columns[model] = rates(model, [videos[name] for name in names], keys)
    print(f"{len(keys)} windows of {len(names)} videos{f', {o.codec}' if o.codec else ''}\n")
    print("| method | MAE, bpm | within 5 bpm |\n|---|---|---|")
    for name, found in columns.items():
        errors = np.array([abs(found[k] - truth[k]) for k in keys if found.get(k) is not None])
        print(f"| {name} | {errors.mean():.1f} | {np.mean(errors <= 5):.0%} |")


def waves(model: str, videos: list[Path]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Wave and times, from the first frame, of each video."""
    if not PYTHON.exists():
        sys.exit(f"expected open-rppg in {PYTHON.parents[1]}; run benchmarks/latency.py --only open-rppg first")
    done = subprocess.run(
        [str(PYTHON), __file__, "child", model, *map(str, videos)], capture_output=True, text=True, check=True
    )
    found = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("wave ")]
    return [(np.array(wave), np.array(times) - times[0]) for wave, times in found]


def rates(model: str, videos: list[Path], keys: list[tuple[str, float]]) -> dict[Any, float]:
    """Beats per minute of each window."""
    from steady import bpm

    out = {}
    for video, (wave, times) in zip(videos, waves(model, videos), strict=True):
        for key in (k for k in keys if k[0] == video.stem):
            grid = key[1] + np.arange(300) / 30
            out[key] = bpm(np.interp(grid, times, wave))
    return out


if __name__ == "__main__":
    main()
