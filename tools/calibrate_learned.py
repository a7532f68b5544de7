"""Fit and calibrate the SQI of a learned method on rendered people: ``python tools/calibrate_learned.py student``.

The first run renders videos of synthetic people (heads, seeds and scenes that no training saw; 3 of 10 without a
pulse) into ``runs/calibration``, through real encoders. The whole pipeline measures each; windows of 10 s give the
features and whether the best guess was within 5 bpm of the truth. A logistic score is fitted on one half of them and
turned, on the other half, into the measured share of right answers by isotonic regression. How reliable that is out of
sample is printed first: fitted on one half of the videos, read off the other. Real recordings are used to check it,
never to fit it.

Writes the fit ``face:METHOD`` into ``src/kdphys/assets/sqi.json``.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from calibrate_sqi import TARGET, calibrated, table
from scipy.optimize import minimize

from kdphys.data.synth import BankSpec, load_bank, render_video, sample_scene
from kdphys.pipeline import measure_all
from kdphys.pulse.estimate import load_method
from kdphys.vitals.quality import LEARNED_FEATURES, Judge, expand

SEED, SECONDS, WINDOW_S, STEP_S = 910_000_000, 20.0, 10.0, 2.5
BANK = BankSpec(count=40, seed=1)
PICTURES = ((480, 360), (640, 480))


#: Which way each feature may count: 0 not at all (how strong and how fast is not how sure).
SIGNS = dict(zip(LEARNED_FEATURES, (1, 1, -1, 1, 1, 1, 0, 0, 1), strict=True))
BOUNDS = {1: (0.0, None), -1: (None, 0.0), 0: (0.0, 0.0)}


def render_one(folder: Path, k: int) -> Path:
    """The video of this number; if it is there it is not made again."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    bank, rng = load_bank(BANK), np.random.default_rng([SEED, k])
    kind = str(rng.choice(["h264", "mpeg4", "mjpeg"], p=[0.6, 0.25, 0.15]))
    scene = sample_scene(SEED + k, bank=BANK, codec=kind, no_pulse_share=0.3)
    fps = min(scene.camera.fps, 30.0)
    scene = replace(scene, camera=replace(scene.camera, fps=fps, face_px=min(scene.camera.face_px, 180.0)))
    path = folder / f"{k:04d}{'.avi' if kind == 'mjpeg' else '.mp4'}"
    if not path.exists():
        render_video(scene, path, SECONDS, *PICTURES[k % 3 == 0], bank=bank)
    return path


def render(folder: Path, count: int) -> list[Path]:
    """The videos, on all cores."""
    folder.mkdir(parents=True, exist_ok=True)
    load_bank(BANK)  # built once, before the processes start
    paths = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for path in pool.map(render_one, repeat(folder), range(count)):
            paths.append(path)
            print(f"{len(paths)}/{count} rendered", flush=True)
    return paths


def look(path: Path, name: str) -> tuple[list[list[float]], list[bool]]:
    """Features and whether right, for all windows of one video."""
    method = load_method(name)
    truth = np.genfromtxt(path.with_suffix(".csv"), delimiter=",", names=True)
    x: list[list[float]] = []
    y: list[bool] = []
    for one in measure_all(path, method):
        pulse = one.pulse
        judge, width = Judge(pulse), int(WINDOW_S * pulse.fs)
        for start in range(0, len(pulse.bvp) - width + 1, int(STEP_S * pulse.fs)):
            window = slice(start, start + width)
            seen = judge.look(window.start, window.stop) if pulse.valid[window].mean() >= 0.85 else None
            if seen is None:
                continue
            inside = (truth["time"] >= pulse.times[start]) & (truth["time"] <= pulse.times[start + width - 1])
            rates = truth["hr_bpm"][inside]
            alive = bool(np.isfinite(rates).any())
            x.append([seen[1][name] for name in LEARNED_FEATURES])
            y.append(alive and abs(60 * seen[0] - float(np.nanmean(rates))) < 5.0)
    return x, y


def looks(paths: list[Path], name: str, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, F), whether right (N,) and number of the video (N,); kept beside the videos."""
    about = load_method(name).engine.about
    kept = folder / f"{about['name']}-{about['weights_sha256'][:12]}-{len(paths)}.npz"
    if not kept.exists():
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
            rows = list(pool.map(look, paths, repeat(name), chunksize=4))
        video = np.repeat(np.arange(len(rows)), [len(right) for _, right in rows])
        x, y = (np.array([value for row in rows for value in row[k]]) for k in (0, 1))
        np.savez(kept, x=x, y=y, video=video)
    with np.load(kept) as file:
        return file["x"], file["y"], file["video"]


def fit(x: np.ndarray, y: np.ndarray) -> dict[str, object]:
    """A logistic regression on one half, without products, whose coefficients may only have the sign that physiology
    gives them: a clean spectrum never counts against a pulse. With free signs and products the few hundred videos
    were fitted as well, but skin without a pulse, unlike all of them, was trusted. The other half calibrates it.
    """
    half = len(x) // 2
    mean, scale = x[:half].mean(axis=0), x[:half].std(axis=0)
    scale[scale < 1e-4] = 1.0
    z, count = expand(x, mean, scale)[:, : x.shape[1]], x.shape[1]
    target = y[:half].astype(float)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        s = z[:half] @ w[:-1] + w[-1]
        value = np.mean(np.logaddexp(0, s) - target * s) + 1e-3 * (w[:-1] ** 2).sum()
        error = 1 / (1 + np.exp(-s)) - target
        return float(value), np.append(error @ z[:half] / half + 2e-3 * w[:-1], error.mean())

    bounds = [BOUNDS[SIGNS[name]] for name in LEARNED_FEATURES] + [(None, None)]
    w = minimize(loss, np.zeros(count + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    products = np.zeros(count * (count + 1) // 2)
    return calibrated(z[half:] @ w[:-1] + w[-1], y[half:]) | {
        "features": list(LEARNED_FEATURES),
        "mean": mean.round(5).tolist(),
        "scale": scale.round(5).tolist(),
        "weights": np.concatenate([w[:-1], products]).round(5).tolist(),
        "bias": round(float(w[-1]), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", default=["student"], help="names of bundled methods, or ONNX files")
    parser.add_argument("--folder", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--count", type=int, default=400, help="videos")
    parser.add_argument("--render", action="store_true", help="render the videos and stop")
    options = parser.parse_args()
    paths = render(options.folder, options.count)
    for name in [] if options.render else options.methods:
        x, y, video = looks(paths, name, options.folder)
        half = video < len(paths) // 2
        # Out of sample: fitted on one half of the videos, read off the other, both ways.
        for a, b in ((half, ~half), (~half, half)):
            print(table(name, fit(x[a], y[a]), x[b], y[b]))
        document = json.loads(TARGET.read_text())
        document["fits"][f"face:{load_method(name).name}"] = fit(x, y)
        document["learned_calibrated_on"] = f"windows of {WINDOW_S:g} s of {len(paths)} rendered videos, seed {SEED}"
        TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
