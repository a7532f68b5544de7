"""A picture that changes in time and is no pulse: ``python benchmarks/unsteady.py [SEED …]``.

A camera that hunts for its focus, a call whose resolution goes up and down, pictures that stand still for five frames,
60 to 120 times a minute, and H.264 of 0.4 Mb/s (for 640 × 480) with a whole picture every 10 or 15 frames: 180 or 120 a
minute; before synthetic people of 72 bpm, and without a pulse. The right answer is their heart's rate, or none. The
limits of ``kdphys.vitals.impostors`` were not set on these people.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from lights import FPS, SECONDS, Frames, save, show
from numpy.typing import NDArray

from kdphys.data.synth import load_bank
from kdphys.data.synth.paint import paint
from kdphys.data.synth.presets import BENCH_BANK
from kdphys.data.synth.scene import Scene
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import make_tracks

KINDS = ("focus", "resolution", "stalls", "whole, 10", "whole, 15", "(none)")


def disturbed(frames: Frames, kind: str, hz: float) -> Frames:
    """The pictures, made soft, coarse, or the one before once more, ``hz`` times a second."""
    held: NDArray[np.uint8] | None = None
    for k, frame in enumerate(frames):
        turn = (k * hz / FPS) % 1.0
        out = frame
        if kind == "focus":
            out = np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.5 + 1.3 * np.sin(2 * np.pi * turn)), np.uint8)
        elif kind == "resolution" and turn < 0.5:
            small = cv2.resize(frame, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
            out = np.asarray(cv2.resize(small, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        elif kind == "stalls" and held is not None and turn * FPS / hz < 5:
            out = held
        held = out
        yield out


def film(scene: Scene, kind: str, path: Path) -> None:
    if kind.startswith("whole"):
        scene = replace(scene, codec=replace(scene.codec, mbps=0.4, gop=int(kind.split()[1])))
    tracks = make_tracks(scene, SECONDS, uniform=True)
    shader = Shader(scene, paint(scene, load_bank(BENCH_BANK).head(scene.person.head), None), tracks)
    hz = scene.rng("unsteady").uniform(1.0, 2.0)
    save(scene, shader, path, lambda frames: disturbed(frames, kind, hz))


def main() -> None:
    show("picture", KINDS, 990_000_000, [int(seed) for seed in sys.argv[1:]] or list(range(100, 106)), film)


if __name__ == "__main__":
    main()
