"""What it gives to hold the crop still on the face: ``python benchmarks/steady.py [FOLDER] [METHOD]``.

Every recording of the synthetic benchmark (``kdphys synth --preset bench --out runs/bench``) is measured twice, with
crops that follow the face's own pixels (``kdphys.clip.steady``) and with crops of the detector's boxes rounded to whole
pixels, as they were before: mean error of the best guess in windows of 10 s, share within 5 bpm, likeness to the true
wave.
"""

from __future__ import annotations

import csv
import sys
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np

import kdphys
from kdphys.clip.steady import Steady
from kdphys.dsp import bandpass, heart_frequency, heart_spectrum

FS, WINDOW, STEP = 30.0, 300, 150
GROUPS = ("motion", "codec", "light")
Row = dict[str, str]


def bpm(wave: np.ndarray) -> float:
    """What kdphys reads off a wave (T,) at 30 Hz."""
    return 60 * heart_frequency(*heart_spectrum(wave - wave.mean(), FS, 0.25 / 60))


def windows(video: Path, method: str) -> list[tuple[float, float]]:
    """Error in bpm and likeness of each window; none where a gap is in it."""
    with video.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    times, true = (np.array([float(row[name]) for row in rows]) for name in ("time", "bvp"))
    pulse = kdphys.estimate_pulse(kdphys.read_video(video), method)
    wave = bandpass(np.interp(pulse.t0 + np.arange(len(pulse.bvp)) / FS, times, true), FS, 0.6, 4.0)
    out = []
    for at in range(0, len(wave) - WINDOW + 1, STEP):
        part = slice(at, at + WINDOW)
        if pulse.valid[part].all():
            r = float(np.corrcoef(pulse.bvp[part], wave[part])[0, 1])
            out.append((abs(bpm(pulse.bvp[part]) - bpm(wave[part])), r))
    return out


def both(job: tuple[Path, str]) -> list[list[tuple[float, float]]]:
    """With the crop held still, and without."""
    still = windows(*job)
    with patch.object(Steady, "__call__", lambda self, frame, box: rounded(box)):
        return [still, windows(*job)]


def rounded(box: np.ndarray) -> np.ndarray:
    """So that the crop, 1.5 × as wide, has corners in whole pixels."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).mean() * 0.75
    corners = np.round(np.concatenate([centre - half, centre + half]))
    centre, half = (corners[:2] + corners[2:]) / 2, (corners[2:] - corners[:2]) / 3
    return np.concatenate([centre - half, centre + half])


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/bench")
    method = sys.argv[2] if len(sys.argv) > 2 else "student"
    with (folder / "manifest.csv").open(newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    with get_context("spawn").Pool(2) as pool:
        found = pool.map(both, [(folder / row["video"], method) for row in rows], chunksize=1)
    print(f"{method}, {sum(len(one[0]) for one in found)} windows of {len(rows)} recordings\n")
    print("| | held still: bpm off, within 5 bpm, r | the detector's box |\n|---|---|---|")
    chosen = [("all", rows)] + [
        (f"{group}: {value}", [row for row in rows if row[group] == value])
        for group in GROUPS
        for value in sorted({row[group] for row in rows})
    ]
    for name, group in chosen:
        cells = []
        for way in (0, 1):
            each = np.array([w for one, row in zip(found, rows, strict=True) if row in group for w in one[way]])
            cells.append(f"{each[:, 0].mean():.1f}, {np.mean(each[:, 0] <= 5):.0%}, {each[:, 1].mean():.2f}")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
