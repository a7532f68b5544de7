"""Waves and attention of the student, to look at: ``python benchmarks/qualitative.py``.

Reads the prepared benchmark (see ``benchmarks/ablation.py``). Writes ``docs/images/waves.png``, the predicted beside
the true pulse at the best, middle and worst deciles of correlation, and ``docs/images/attention.png``, where the
attention lies on one face of each skin type; prints the share of the attention that lies on the inner face.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from kdphys.data.store import Store, StoreItem
from kdphys.dsp import bandpass
from kdphys.models.base import PulseModel
from kdphys.models.normalise import LocalMean
from kdphys.models.temporal import in_time
from kdphys.models.weights import load_weights

OUT = Path(__file__).parents[1] / "docs" / "images"
WINDOW = 300


def pixels(item: StoreItem, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """(1, T, 3, S, S), 0–255."""
    rgb = torch.from_numpy(item.read(start, len(item) if stop is None else stop).astype(np.float32))
    return rgb.permute(0, 3, 1, 2)[None]


def wave(x: np.ndarray, fs: float) -> np.ndarray:
    """Band-passed, standardised."""
    y = bandpass(x - x.mean(), fs, 0.6, 4.0)
    return y / max(float(y.std()), 1e-9)


def windows(model: PulseModel, items: list[StoreItem]) -> list[tuple[float, StoreItem, int, np.ndarray, np.ndarray]]:
    """Correlation, recording, start, predicted and true wave of every window, worst first."""
    out = []
    for item in items:
        if not item.valid.all() or not np.isfinite(item.bvp).all():
            continue
        with torch.inference_mode():
            y = wave(model(pixels(item))[0].double().numpy(), item.fs)
        truth = wave(item.bvp.astype(float), item.fs)
        for k in range(0, len(y) - WINDOW + 1, WINDOW):
            a, b = y[k : k + WINDOW], truth[k : k + WINDOW]
            out.append((float(np.corrcoef(a, b)[0, 1]), item, k, a, b))
    return sorted(out, key=lambda row: row[0])


def draw_waves(rows: list[tuple[float, StoreItem, int, np.ndarray, np.ndarray]]) -> None:
    """Nine windows: three good, three middling, three bad."""
    figure, axes = plt.subplots(9, 1, figsize=(9, 13), sharex=True, constrained_layout=True)
    for ax, share in zip(axes, (0.95, 0.9, 0.85, 0.55, 0.5, 0.45, 0.15, 0.1, 0.05), strict=True):
        r, item, _, a, b = rows[int(share * (len(rows) - 1))]
        t = np.arange(WINDOW) / item.fs
        ax.plot(t, b, color="0.6", lw=2, label="true")
        ax.plot(t, a, color="tab:red", lw=1.1, label="student")
        tags = ", ".join(f"{k} {item.conditions[k]}" for k in ("skin", "motion", "light", "codec"))
        ax.set_title(f"{share:.0%} quantile: r = {r:.2f} ({tags})", fontsize=9, loc="left")
        ax.set_yticks([])
    axes[0].legend(loc="upper right", fontsize=8, ncols=2)
    axes[-1].set_xlabel("seconds")
    figure.savefig(OUT / "waves.png", dpi=80)
    plt.close(figure)


def attention(model: PulseModel, item: StoreItem) -> tuple[np.ndarray, np.ndarray]:
    """Mean face (S, S, 3) in 0–1 and mean attention (S, S), summing to 1."""
    x = pixels(item, 60, 240)
    with torch.inference_mode():
        local: LocalMean = model.local  # type: ignore[assignment]
        small = in_time(F.avg_pool2d(x.flatten(0, 1), 2), x.shape[1])
        maps = model.attention(*local(small))[0].mean((0, 1))  # type: ignore[operator]
    big = F.interpolate(maps[None, None], scale_factor=2, mode="bilinear")[0, 0].numpy()
    return x[0].mean(0).permute(1, 2, 0).numpy() / 255, big / big.sum()


def draw_attention(model: PulseModel, items: list[StoreItem]) -> list[float]:
    """One face of each skin type, and the attention over it; the share of it on the face box for each."""
    figure, axes = plt.subplots(2, 6, figsize=(12, 4.2), constrained_layout=True)
    shares = []
    for column, skin in zip(axes.T, "123456", strict=True):
        item = next(i for i in items if i.conditions["skin"] == skin and i.conditions["motion"] != "still")
        face, weight = attention(model, item)
        s = len(face)
        edge = round(s / 6)  # the crop is 1.5 × the face box
        shares.append(float(weight[edge:-edge, edge:-edge].sum()))
        column[0].imshow(face)
        column[1].imshow(face.mean(axis=2), cmap="gray")
        column[1].imshow(weight, cmap="inferno", alpha=0.6)
        column[0].set_title(f"type {skin}", fontsize=9)
        column[1].set_title(f"{shares[-1]:.0%} on the face", fontsize=9)
        for ax in column:
            ax.axis("off")
    figure.savefig(OUT / "attention.png", dpi=80)
    plt.close(figure)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="student", help="name or path")
    parser.add_argument("--store", type=Path, default=Path("runs/bench-store"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, _ = load_weights(options.weights)
    items = [i for i in Store(options.store) if i.conditions["pulse"] == "yes"]
    OUT.mkdir(parents=True, exist_ok=True)
    rows = windows(model.eval(), items)
    draw_waves(rows)
    r = [row[0] for row in rows]
    print(f"{len(rows)} windows of 10 s: correlation with the true pulse, median {np.median(r):.2f}")
    shares = draw_attention(model, items)
    print("attention on the face box (44 % of the crop), skin type 1–6: " + ", ".join(f"{s:.0%}" for s in shares))


if __name__ == "__main__":
    main()
