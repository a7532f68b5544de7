"""Fit and calibrate the SQI on simulated skin colour traces: ``python tools/calibrate_sqi.py``.

Each simulated window has a heart (or none: a third of the faces, a fifth of the fingertips), skin of some colour in
some light, motion that may be periodic, sensor noise and codec noise, all at amplitudes that span what cameras see. A
method estimates its heart rate; a logistic score of the quality features and their products is fitted on one half and
turned, on the other half, into the measured share of estimates within 5 bpm of the truth by isotonic regression. Real
recordings are used to check it, never to fit it.

Writes ``src/kdphys/assets/sqi.json`` and prints how reliable the SQI is on a third, fresh set.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression, minimize

from kdphys.classical import METHODS
from kdphys.containers import Evidence, RgbTrace
from kdphys.pulse.estimate import load_method
from kdphys.vitals.quality import FEATURES, Judge, expand, share

FS, SECONDS, PATCHES = 30.0, 10.0, 12
TARGET = Path(__file__).parents[1] / "src" / "kdphys" / "assets" / "sqi.json"


def log_uniform(rng: np.random.Generator, low: float, high: float, size: int | None = None) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def coloured(rng: np.random.Generator, n: int, columns: int, slope: float) -> np.ndarray:
    """Noise with a 1/f^slope power spectrum, unit variance in each column."""
    f = np.maximum(np.fft.rfftfreq(n, 1 / FS), 0.05)
    z = rng.normal(size=(len(f), columns)) + 1j * rng.normal(size=(len(f), columns))
    x = np.fft.irfft(z / f[:, None] ** (slope / 2), n, axis=0)
    return x / x.std(axis=0)


def wave(rng: np.random.Generator, t: np.ndarray, hr_bpm: float, delays: np.ndarray) -> np.ndarray:
    """A heart's wave as seen by each patch, (T, P): breathing and drift move its rate, harmonics shape it."""
    fine = np.linspace(t[0] - 1, t[-1] + 1, 8 * len(t))
    breath = rng.uniform(0.12, 0.45)
    rate = 1 + rng.choice((0.03, 0.12)) * rng.uniform(0, 1) * np.sin(2 * np.pi * breath * fine + rng.uniform(0, 6.3))
    rate += rng.normal(0, 0.02) * (fine - fine.mean()) / 10
    phase = 2 * np.pi * np.cumsum(hr_bpm / 60 * rate) * (fine[1] - fine[0])
    at = np.interp(t[:, None] - delays, fine, phase)
    out = np.zeros_like(at)
    for k, height in enumerate((1.0, rng.uniform(0.1, 0.55), rng.uniform(0, 0.25)), 1):
        out += height * np.cos(k * at + rng.uniform(-0.5, 0.5) * (k > 1))
    return out * (1 + rng.uniform(0, 0.2) * np.sin(2 * np.pi * breath * t + rng.uniform(0, 6.3)))[:, None]


def simulate(rng: np.random.Generator, contact: bool) -> tuple[RgbTrace, float | None]:
    """One window and its true heart rate in bpm (None: there is no heart)."""
    n = int(FS * SECONDS)
    t = np.arange(n) / FS
    hr = rng.uniform(42, 195)
    alive = rng.random() > (1 / 5 if contact else 1 / 3)
    red = rng.uniform(50, 220)
    mean = np.array([red, red * rng.uniform(0.45, 0.9), red * rng.uniform(0.3, 0.85)])
    if contact:
        mean = np.array([rng.uniform(80, 250), rng.uniform(5, 100), rng.uniform(5, 60)])
    x = np.zeros((n, PATCHES, 3))
    if alive:
        strength = log_uniform(rng, 0.06, 6.0) if contact else log_uniform(rng, 0.03, 1.5)
        ratio = np.array([0.33, 0.77, 0.53]) / 0.77 * rng.uniform(0.8, 1.2, 3)
        map_ = rng.uniform(0.3, 1.3, PATCHES)
        x -= 0.01 * strength * wave(rng, t, hr, rng.uniform(0, 0.03, PATCHES))[..., None] * map_[:, None] * ratio
    # Motion and light: alike in all channels, unlike over the face; specular light adds the lamp's own colour.
    amplitude = 0.01 * log_uniform(rng, 0.01, 5.0) * (0.4 if contact else 1.0)
    moves = coloured(rng, n, 1, rng.uniform(0.5, 2.5))[:, 0]
    if rng.random() < 0.4:
        f = rng.uniform(0.5, 3.3)
        moves = moves + rng.uniform(0.2, 3) * np.sin(
            2 * np.pi * f * t + np.cumsum(rng.normal(0, 0.15, n)) * rng.uniform(0, 1)
        )
    gains = rng.normal(rng.uniform(0, 1), 0.7, PATCHES)
    specular = rng.uniform(0, 0.5) * mean.mean() / mean + (1 - rng.uniform(0, 0.5))
    x += amplitude * moves[:, None, None] * gains[:, None] * specular
    turn = coloured(rng, n, PATCHES, 2.0)[..., None] * amplitude * rng.uniform(0, 0.5)
    x += turn * (1 + 0.1 * rng.normal(size=3))
    x += 0.01 * log_uniform(rng, 0.005, 1.0) * rng.normal(size=x.shape)
    if rng.random() < 0.6:  # lamps, screens, white balance, codec: colour that changes all over the face at once
        tint = coloured(rng, n, 1, rng.uniform(0, 2.0))[:, 0]
        if rng.random() < 0.3:
            tint = tint + rng.uniform(0.3, 3) * np.sin(2 * np.pi * rng.uniform(0.5, 5) * t + rng.uniform(0, 6.3))
        spread = 1 + rng.normal(0, rng.uniform(0, 0.5), PATCHES)
        x += 0.01 * log_uniform(rng, 0.01, 3.0) * tint[:, None, None] * spread[:, None] * rng.normal(size=3)
    if rng.random() < 0.5:  # a codec: chroma held from frame to frame, refreshed with each group of pictures
        held = coloured(rng, n, PATCHES * 3, rng.uniform(0.5, 1.5)).reshape(x.shape)
        refresh = np.sin(2 * np.pi * t / rng.uniform(0.3, 8) + rng.uniform(0, 6.3))[:, None, None]
        x += 0.01 * log_uniform(rng, 0.01, 1.0) * (held + rng.uniform(0, 1) * refresh * rng.normal(size=(PATCHES, 3)))
    colour = np.clip(mean * (1 + x), 0.5, 254.5)
    rgb = colour.mean(axis=1)
    speed = amplitude * 8 * rng.uniform(0.3, 3) * np.abs(rng.normal(size=n)) + rng.uniform(0, 0.01)
    luma = rgb @ [0.299, 0.587, 0.114]
    patches = np.zeros((n, 0, 3)) if contact else colour
    evidence = Evidence(rgb, patches, luma, np.zeros(n), speed, FS)
    return RgbTrace(rgb, FS, evidence=evidence), hr if alive else None


def sample(seed: int, count: int, contact: bool, methods: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Features (N, F) and whether right (N,) of each method on ``count`` windows."""
    rng = np.random.default_rng(seed)
    x: dict[str, list[list[float]]] = {m: [] for m in methods}
    y: dict[str, list[bool]] = {m: [] for m in methods}
    loaded = {m: load_method(m) for m in methods}
    for _ in range(count):
        trace, hr = simulate(rng, contact)
        for name, method in loaded.items():
            seen = Judge(method.pulse(trace)).look(0, len(trace.rgb))
            if seen is None:
                continue
            f0, features = seen
            x[name].append([features[f] for f in FEATURES])
            y[name].append(hr is not None and abs(60 * f0 - hr) < 5.0)
    return {m: (np.array(x[m]), np.array(y[m])) for m in methods}


def fit(x: np.ndarray, y: np.ndarray) -> dict[str, object]:
    """Logistic regression on one half, isotonic calibration on the other."""
    half = len(x) // 2
    mean, scale = x[:half].mean(axis=0), x[:half].std(axis=0)
    scale[scale < 1e-4] = 1.0  # a feature that this kind of trace does not have
    z, target = expand(x[:half], mean, scale), y[:half].astype(float)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        s = z @ w[:-1] + w[-1]
        p = 1 / (1 + np.exp(-s))
        value = np.mean(np.logaddexp(0, s) - target * s) + 1e-3 * (w[:-1] ** 2).sum()
        return float(value), np.append((p - target) @ z / len(z) + 2e-3 * w[:-1], np.mean(p - target))

    w = minimize(loss, np.zeros(z.shape[1] + 1), jac=True, method="L-BFGS-B").x
    s = expand(x[half:], mean, scale) @ w[:-1] + w[-1]
    return calibrated(s, y[half:]) | {
        "mean": mean.round(5).tolist(),
        "scale": scale.round(5).tolist(),
        "weights": w[:-1].round(5).tolist(),
        "bias": round(float(w[-1]), 5),
    }


def calibrated(score: np.ndarray, right: np.ndarray) -> dict[str, list[float]]:
    """Knots of the share of right estimates by score: isotonic regression."""
    order = np.argsort(score)
    share = isotonic_regression(right[order].astype(float)).x
    # Up to twenty-four knots, each the mean over its neighbours, 40 of them or more; never quite 0 or 1: of n windows
    # that were all right one says (n + 1) / (n + 2).
    parts = np.array_split(np.arange(len(order)), int(np.clip(len(order) // 40, 6, 24)))
    shares = [np.clip((share[p].sum() + 1) / (len(p) + 2), 0.005, 0.995) for p in parts]
    return {
        "score": [round(float(score[order][p].mean()), 4) for p in parts],
        "share": [round(float(s), 4) for s in shares],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=6000, help="windows for each kind of trace")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=("face", "trace"), help="refit this kind alone, keep the other")
    options = parser.parse_args()
    methods = sorted(METHODS)
    kinds = (options.kind,) if options.kind else ("face", "trace")
    old = json.loads(TARGET.read_text())
    # What tools/calibrate_learned.py fitted stays.
    kept = {k: v for k, v in old["fits"].items() if not k.startswith(kinds) or "features" in v}
    fits: dict[str, object] = dict(kept)
    for kind in kinds:
        data = sample(options.seed, options.count, kind == "trace", methods)
        fits[kind] = fit(
            np.concatenate([d[0] for d in data.values()]), np.concatenate([d[1] for d in data.values()])
        )  # for methods that come later
        for method, (x, y) in data.items():
            fits[f"{kind}:{method}"] = fit(x, y)
    about = {
        **old,
        "calibrated_on": f"{options.count} simulated windows of {SECONDS:g} s per kind, seed {options.seed}",
        "features": list(FEATURES),
        "fits": fits,
    }
    TARGET.write_text(json.dumps(about, indent=1) + "\n")
    check(options.seed + 1, max(options.count // 3, 300), methods, kinds)


EDGES = (0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.01)


def table(name: str, how: dict[str, Any], x: np.ndarray, y: np.ndarray) -> str:
    """A line: how many estimates were right at each SQI."""
    sqi = np.array([share(how, row) for row in x])
    cells = []
    for a, b in pairwise(EDGES):
        inside = (sqi >= a) & (sqi < b)
        cells.append(f"{y[inside].mean():.2f} ({inside.sum():4d})" if inside.any() else "   –       ")
    return f"{name:7s} {y.mean():.2f}   " + "  ".join(cells)


def check(seed: int, count: int, methods: list[str], kinds: tuple[str, ...]) -> None:
    """Print, on fresh windows, how many estimates were right at each SQI."""
    fits = json.loads(TARGET.read_text())["fits"]
    for kind in kinds:
        print(f"\n{kind}: share of estimates within 5 bpm (number of windows) by SQI, fresh seed")
        print("method  right  " + "  ".join(f"{a:.2f}–{min(b, 1):.2f}  " for a, b in pairwise(EDGES)))
        for method, (x, y) in sample(seed, count, kind == "trace", methods).items():
            print(table(method, fits[f"{kind}:{method}"], x, y))


if __name__ == "__main__":
    main()
