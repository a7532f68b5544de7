"""A head that turns, or a face that plays, in time: ``python benchmarks/turning.py [SEED …]``.

A mask or a doll that turns a little, or moves its jaw, has a rhythm in its shades and no pulse. Synthetic people of
72 bpm, and without a pulse, whose heads turn by one or two degrees about one axis, or who chew, frown or smile, 60 to
120 times a minute; the right answer is their heart's rate, or none. The first eight (seeds 100–107, the default) were
looked at when the limits of what follows a movement were set, those who chew for that of half the rate; for others give
other seeds.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from lights import FPS, SECONDS, save, show

from kdphys.data.synth import load_bank
from kdphys.data.synth.heads import EXPRESSIONS
from kdphys.data.synth.paint import paint
from kdphys.data.synth.presets import BENCH_BANK
from kdphys.data.synth.scene import Scene
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import Tracks, make_tracks

#: axis → degrees; expression → share of its full extent
TURNS = {"yaw": 1.5, "pitch": 1.2, "roll": 1.5, "jaw": 0.6, "brow": 0.6, "smile": 0.6, "(none)": 0.0}


def turned(tracks: Tracks, axis: str, rng: np.random.Generator) -> Tracks:
    """With a turn about an axis, or an expression, in a rhythm that wanders a little, as of somebody who keeps time."""
    if not TURNS[axis]:
        return tracks
    phase = (
        2 * np.pi * rng.uniform(1.0, 2.0) * tracks.times + 0.3 * np.cumsum(rng.normal(0, 1, len(tracks.times))) / FPS
    )
    if axis in EXPRESSIONS:
        expression = 0.3 * tracks.expression
        expression[:, list(EXPRESSIONS).index(axis)] += TURNS[axis] * (0.5 + 0.5 * np.sin(phase))
        return replace(tracks, expression=expression.astype(np.float32))
    angle = np.deg2rad(TURNS[axis]) * np.sin(phase)
    return replace(tracks, **{axis: (getattr(tracks, axis) + angle).astype(np.float32)})


def film(scene: Scene, axis: str, path: Path) -> None:
    tracks = turned(make_tracks(scene, SECONDS, uniform=True), axis, scene.rng("turning"))
    save(scene, Shader(scene, paint(scene, load_bank(BENCH_BANK).head(scene.person.head), None), tracks), path)


def main() -> None:
    show("turns", TURNS, 970_000_000, [int(seed) for seed in sys.argv[1:]] or list(range(100, 108)), film)


if __name__ == "__main__":
    main()
