"""Compare synthetic people with a real recording: noise, pulse and signal-to-noise ratio; print and draw.

Usage: python tools/synth_vs_real.py [--clips 24] [--figure docs/synth-vs-real.png]

Real: ``faces/vitallens_1`` of the folder named by ``KDPHYS_RECORDINGS`` (default ``../shared/recordings``). Synthetic:
random training clips (all conditions) and clips of the real one's kind (a quiet person, daylight, H.264). No picture
of a person goes into the figure: only spectra and numbers.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from kdphys.classical.pos import pos
from kdphys.clip.crop import crop, square
from kdphys.data.synth.bank import load_bank
from kdphys.data.synth.render import clip_seed, render_clip
from kdphys.data.synth.sample import sample_scene
from kdphys.dsp import resample_by_time
from kdphys.face.track import FaceTracker
from kdphys.video.reader import read_video

FS, FRAMES, SIZE = 30.0, 300, 36


def real_crops(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The crops as a model sees them (T, 36, 36, 3), and the reference pulse (T,)."""
    crops, times = [], []
    for tracked in FaceTracker().track(read_video(folder / "video.mp4")):
        if tracked.faces:
            box = tracked.faces[min(tracked.faces)][0]
            crops.append(crop(tracked.frame.rgb, square(box), SIZE))
            times.append(tracked.frame.t)
    rgb = resample_by_time(times, np.array(crops), FS)[0][:FRAMES]
    table = np.genfromtxt(folder / "reference.csv", delimiter=",", names=True)
    ppg = np.interp(np.arange(len(rgb)) / FS, np.arange(len(table)) / 30.1, table["ppg"])
    return rgb, ppg


def statistics(rgb: np.ndarray, bvp: np.ndarray) -> dict[str, Any]:
    """What can be compared without knowing the scene."""
    inner = rgb[:, 9:28, 10:26].reshape(len(rgb), -1, 3).astype(float)
    level = inner.mean(axis=0).mean(axis=1)
    good = (level > np.quantile(level, 0.3)) & (level < 245)
    inner = inner[:, good]
    bend = np.diff(inner, 2, axis=0)
    mean = inner.mean(axis=1)
    relative = mean / mean.mean(axis=0)
    band = signal.butter(2, [0.7, 3.5], "band", fs=FS, output="sos")
    ac = signal.sosfiltfilt(band, relative, axis=0)
    f, cell = signal.welch(inner, FS, nperseg=128, axis=0)
    _, face = signal.welch(relative, FS, nperseg=128, axis=0)
    out: dict[str, Any] = {
        "rgb": mean.mean(axis=0),
        "cell_hf": np.median(np.sqrt((bend**2).mean(axis=0) / 6), axis=0),
        "face_hf": np.sqrt((np.diff(relative, 2, axis=0) ** 2).mean(axis=0) / 6) * 1e4,
        "ac": ac.std(axis=0) * 2.83 * 100,
        "f": f,
        "cell_spectrum": np.median(cell[:, :, 1], axis=1),
        "face_spectrum": face[:, 1],
    }
    if np.any(bvp):
        reference = signal.sosfiltfilt(band, bvp)
        lags = range(-8, 9)
        corr = [abs(np.corrcoef(np.roll(ac[:, 1], k)[20:-20], reference[20:-20])[0, 1]) for k in lags]
        out["corr"] = max(corr)
        out["snr"] = snr_db(pos(mean, FS), reference)
        f0 = _peak(reference)
        t = np.arange(len(ac)) / FS
        out["line"] = np.abs((ac * np.exp(-2j * np.pi * f0 * t)[:, None]).mean(axis=0)) * 4 * 100
    return out


def _peak(x: np.ndarray) -> float:
    f, p = signal.periodogram(x, FS, nfft=8192)
    inside = (f > 0.65) & (f < 3.5)
    return float(f[inside][np.argmax(p[inside])])


def snr_db(pulse: np.ndarray, reference: np.ndarray) -> float:
    """As in EVALUATION.md: power within 0.1 Hz of the reference's rate and its double, against the rest of the band."""
    f0 = _peak(reference)
    f, p = signal.periodogram(signal.detrend(pulse), FS, nfft=8192)
    band = (f > 0.65) & (f < 3.5)
    near = band & ((np.abs(f - f0) < 0.1) | (np.abs(f - 2 * f0) < 0.1))
    return float(10 * np.log10(p[near].sum() / p[band & ~near].sum()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--figure", type=Path, default=None)
    arguments = parser.parse_args()
    recordings = Path(os.environ.get("KDPHYS_RECORDINGS", "../shared/recordings"))
    rows = {"real": [statistics(*real_crops(recordings / "faces" / "vitallens_1"))]}
    bank = load_bank()
    kinds: dict[str, dict[str, Any]] = {
        "like it": {"motion": "sway", "light": "steady", "codec": "h264"},
        "any, no codec": {"codec": "none"},
        "any, fast codec": {"codec": "approx"},
        "any, H.264": {"codec": "h264"},
    }
    for name, fixed in kinds.items():
        rows[name] = []
        for k in range(arguments.clips):
            scene = sample_scene(clip_seed(9, k), bank=bank.spec, pulse=True, **fixed)
            if name == "like it":  # the real clip's size of face, rate and bits
                camera = replace(scene.camera, fps=30.0, face_px=188.0, auto_exposure=0.0, drop=0.0)
                codec = replace(scene.codec, mbps=13.0, downscale=1.0, first_mjpeg=0.0)
                scene = replace(scene, camera=camera, codec=codec)
            clip = render_clip(scene, FRAMES, SIZE, bank=bank)
            rows[name].append(statistics(clip.rgb, clip.bvp))
    for key, unit in (
        ("rgb", "mean RGB"),
        ("cell_hf", "noise of a cell, grey levels"),
        ("face_hf", "noise of the face, 1e-4"),
        ("ac", "0.7–3.5 Hz, % peak to peak"),
        ("line", "at the pulse rate, % peak to peak"),
        ("corr", "|r| of green with the reference"),
        ("snr", "SNR of POS, dB"),
    ):
        print(f"\n{unit}")
        for name, values in rows.items():
            found = np.array([v[key] for v in values if key in v])
            if len(found) == 0:
                continue
            q = np.quantile(found, [0.1, 0.5, 0.9], axis=0)
            text = (
                np.round(q[1], 2)
                if len(found) == 1
                else f"{np.round(q[1], 2)}  [{np.round(q[0], 2)} … {np.round(q[2], 2)}]"
            )
            print(f"  {name:16s} {text}")
    if arguments.figure:
        draw(rows, arguments.figure)


def draw(rows: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Spectra of the whole face and of single cells, and the SNR of POS."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8))
    colours = dict(zip(rows, ["black", "#1f77b4", "#2ca02c", "#ff7f0e", "#d62728"], strict=False))
    for name, values in rows.items():
        f = values[0]["f"]
        for axis, key in zip(axes, ("face_spectrum", "cell_spectrum"), strict=False):
            stack = np.array([v[key] for v in values])
            low, middle, high = np.quantile(stack, [0.1, 0.5, 0.9], axis=0)
            axis.loglog(f[1:], middle[1:], color=colours[name], label=name, lw=2 if name == "real" else 1.2)
            if name in ("like it", "any, H.264"):
                axis.fill_between(f[1:], low[1:], high[1:], color=colours[name], alpha=0.12, lw=0)
        snr = sorted(v["snr"] for v in values if "snr" in v)
        if len(snr) == 1:
            axes[2].axvline(snr[0], color="black", lw=2)
        elif snr:
            axes[2].plot(snr, np.linspace(0, 1, len(snr)), color=colours[name])
    axes[0].set(title="face mean, green / its mean", xlabel="Hz", ylabel="power / Hz")
    axes[1].set(title="one 36 × 36 cell, green", xlabel="Hz", ylabel="grey levels² / Hz")
    axes[2].set(title="SNR of POS (share of clips below)", xlabel="dB")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
