"""Whole pictures that beat: ``python benchmarks/gop.py student runs/other/student.safetensors``.

A codec refreshes the whole picture every GOP frames, and at a low bit rate that shows: FFmpeg's MPEG-4, by default all
12 frames, gives a video of 20 frames/s a beat of 100 a minute. Still heads that no training saw (others than the
recipes' too), 10 s each, all with a pulse, in crops that are held still, through MPEG-4 at 0.05–0.5 Mb/s (as coarse as
real faces at about 0.15–1 Mb/s, see ``benchmarks/quantiser.py``), by GOP and frame rate: the likeness of what weights
make of them to the true wave, and how far the strongest frequency is off.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from kdphys.models.weights import load_weights
from kdphys.train.config import SourceConfig
from kdphys.train.data import ClipBatch, render

CLIPS, FRAMES, FS = 48, 300, 30.0
SCENE = {"codec": "mpeg4", "motion": "still", "mbps": [0.05, 0.5], "no_pulse_share": 0.0, "held": True}


def clips(fps: float, gop: int) -> ClipBatch:
    """The people are the same whatever the codec."""
    scene = SCENE | {"fps": fps, "gop": gop}
    config = SourceConfig(codec_share=1.0, heads=40, heads_seed=1, augment=False, scene=scene)
    return render(config, (907,), CLIPS, FRAMES, 36)


def rates(waves: np.ndarray) -> np.ndarray:
    """bpm of the strongest frequency of 0.65–4 Hz; (N, T) → (N,)."""
    f = np.fft.rfftfreq(8192, 1 / FS)
    power = np.abs(np.fft.rfft((waves - waves.mean(axis=1, keepdims=True)) * np.hanning(waves.shape[1]), 8192))
    return 60 * f[np.where((f > 0.65) & (f < 4), power, 0).argmax(axis=1)]


def main() -> None:
    names = sys.argv[1:] or ["student"]
    models = [load_weights(name)[0].eval() for name in names]
    print("| fps | GOP | beat, per minute | " + " | ".join(f"{n}: r, bpm off, within 5 bpm" for n in names) + " |")
    print("|---|---|---|" + "---|" * len(names))
    for fps in (20.0, 30.0):
        for gop in (12, 250):
            batch = clips(fps, gop)
            true, cells = batch.bvp.numpy().astype(float), []
            for model in models:
                with torch.inference_mode():
                    made = torch.cat([model(clip) for clip in batch.rgb.split(8)]).numpy().astype(float)
                r = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made, true, strict=True)])
                off = np.abs(rates(made) - rates(true))
                cells.append(f"{r:.2f}, {off.mean():.1f}, {np.mean(off < 5):.0%}")
            print(f"| {fps:.0f} | {gop} | {60 * fps / gop:.0f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
