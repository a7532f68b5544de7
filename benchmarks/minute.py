"""Recordings of a minute at low bit rates: ``python benchmarks/minute.py student pos``.

What a longer recording says is the median of its windows of 10 s, and what makes a few of them wrong may last: the beat
of a codec, a light. So here are synthetic people (heads that no training saw) of 60 s through H.264 at 0.12–1 Mb/s,
MPEG-4 at 0.15–1.5 Mb/s (a whole picture every 12 or 250 frames) and MJPEG at 1.5–6 Mb/s, at 20, 25 or 30 frames/s; one
of four has no pulse. The first run renders them into ``runs/minute``. The set "tuning" was looked at while the rules
were made; "test" is for judging them.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from kdphys.data.synth import BankSpec, load_bank, render_video, sample_scene
from kdphys.data.synth.presets import BENCH_BANK
from kdphys.dsp import spectrum
from kdphys.pipeline import measure_all

#: name → (heads, first seed, number of recordings)
SETS = {"tuning": (BankSpec(count=40, seed=1), 930_000_000, 100), "test": (BENCH_BANK, 940_000_000, 60)}
SECONDS, PICTURE, NO_PULSE = 60.0, (480, 360), 0.25
#: name → (share of the recordings, Mb/s)
CODECS = {"h264": (0.4, (0.12, 1.0)), "mpeg4": (0.5, (0.15, 1.5)), "mjpeg": (0.1, (1.5, 6.0))}
MOTIONS = {"still": 0.35, "sway": 0.2, "talking": 0.15, "rotation": 0.1, "periodic": 0.1, "near_pulse": 0.1}


@dataclass(frozen=True)
class Outcome:
    """One recording: its codec, and what is true (NaN without a pulse) and was said, in bpm, brpm and ms."""

    codec: str
    true_bpm: float
    hr_bpm: float | None
    respiration: tuple[float, float | None]
    rmssd: tuple[float, float | None]


def render_one(folder: Path, which: str, k: int) -> Path:
    """The video of this number; if it is there it is not made again."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    heads, first, _ = SETS[which]
    rng = np.random.default_rng([first, k])
    kind = str(rng.choice(list(CODECS), p=[share for share, _ in CODECS.values()]))
    fps = float(rng.choice([20.0, 25.0, 30.0]))
    gop = int(rng.choice([12, 250])) if kind == "mpeg4" else None
    motion = str(rng.choice(list(MOTIONS), p=list(MOTIONS.values())))
    options = {"codec": kind, "motion": motion, "mbps": CODECS[kind][1], "gop": gop, "fps": fps}
    scene = sample_scene(first + k, bank=heads, no_pulse_share=NO_PULSE, **options)
    camera = replace(scene.camera, drop=0.0, face_px=float(np.clip(scene.camera.face_px, 90, 160)))
    path = folder / which / f"{k:04d}-{motion}-{kind}{'.avi' if kind == 'mjpeg' else '.mp4'}"
    if not path.exists():
        render_video(replace(scene, camera=camera), path, SECONDS, *PICTURE, bank=load_bank(heads))
    return path


def measure_one(path: Path, method: str) -> Outcome:
    """What ``kdphys measure`` says of it."""
    document = json.loads(path.with_suffix(".json").read_text())
    table = np.genfromtxt(path.with_suffix(".csv"), delimiter=",", names=True)
    said = measure_all(path, method)[0].vitals
    true = document["hr_bpm"]
    true_bpm = np.nan if true is None else true
    frequencies, power = spectrum(table["resp"], 1 / float(np.median(np.diff(table["time"]))), 0.1 / 60)
    breaths = 60 * float(frequencies[power.argmax()])
    rates = table["hr_bpm"][np.flatnonzero(np.diff(table["hr_bpm"]))]  # of each interval that ends inside
    rmssd = float(np.sqrt(np.mean(np.diff(60000 / rates[1:]) ** 2))) if len(rates) > 10 else np.nan
    respiration, variability = (breaths, said.rr_brpm), (rmssd, said.hrv["rmssd"].value)
    return Outcome(document["conditions"]["codec"], true_bpm, said.hr_bpm, respiration, variability)


def row(label: str, outcomes: list[Outcome]) -> str:
    living = [o for o in outcomes if np.isfinite(o.true_bpm)]
    off = np.array([abs(o.hr_bpm - o.true_bpm) for o in living if o.hr_bpm is not None])
    without = [o for o in outcomes if not np.isfinite(o.true_bpm)]
    error = f"{off.mean():.1f}" if len(off) else "–"
    told = sum(o.hr_bpm is not None for o in without)
    return f"| {label} | {len(off)} of {len(living)} | {error} | {(off > 5).sum()} | {told} of {len(without)} |"


def told(label: str, unit: str, pairs: list[tuple[float, float | None]]) -> str:
    off = np.array([abs(said - true) for true, said in pairs if said is not None])
    errors = f", off by {off.mean():.1f} {unit}, at most {off.max():.1f}" if len(off) else ""
    return f"{label}: told in {len(off)} of {len(pairs)}{errors}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=["student"])
    parser.add_argument("--folder", type=Path, default=Path("runs/minute"))
    parser.add_argument("--set", choices=list(SETS), default="test")
    options = parser.parse_args()
    heads, _, count = SETS[options.set]
    load_bank(heads)  # built once, before the processes start
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        paths: list[Path] = []
        for path in pool.map(render_one, repeat(options.folder), repeat(options.set), range(count)):
            paths.append(path)
            print(f"\r{len(paths)}/{count} rendered", end="", flush=True)
        print(f"\n\n{count} recordings of {SECONDS:.0f} s, set {options.set}\n")
        print("| method, codec | a pulse: answered | MAE of these, bpm | more than 5 bpm off | no pulse: answered |")
        print("|---|---|---|---|---|")
        for name in options.methods:
            outcomes = list(pool.map(measure_one, paths, repeat(name)))
            print(row(f"{name}, all", outcomes))
            for kind in CODECS:
                print(row(f"{name}, {kind}", [o for o in outcomes if o.codec == kind]), flush=True)
            right = [o for o in outcomes if o.hr_bpm is not None and np.isfinite(o.true_bpm)]
            print(
                f"\nof the {len(right)} with a heart rate: "
                + told("respiration", "brpm", [o.respiration for o in right])
            )
            print(told("RMSSD", "ms", [o.rmssd for o in right]) + "\n", flush=True)


if __name__ == "__main__":
    main()
