"""A light with a rhythm on the face alone: ``python benchmarks/lights.py [SEED …]``.

An indicator, a flasher, a screen or a lamp near the face swings its colours as a pulse does, and many times as much.
Synthetic people of 72 bpm, and without a pulse, under such lights, which the background hardly sees; the right answer
is their heart's rate, or none. The limits of ``kdphys.vitals.impostors`` were set on other such clips, not on these.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kdphys.data.synth import load_bank, sample_scene
from kdphys.data.synth.codec import encode
from kdphys.data.synth.compose import Composer
from kdphys.data.synth.paint import Painted, paint
from kdphys.data.synth.presets import BENCH_BANK
from kdphys.data.synth.scene import Codec, Scene
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import Tracks, make_tracks
from kdphys.pipeline import measure_all

SECONDS, FPS, PICTURE = 12.0, 30.0, (480, 360)
#: name → (per minute, swing of the light from the front in red, green and blue, whether it blinks)
LIGHTS = {
    "amber, blinking": (90, (0.05, 0.025, 0.0025), True),
    "blue, blinking": (120, (0.005, 0.01, 0.05), True),
    "screen, bluish": (120, (0.032, 0.04, 0.05), True),
    "warm": (78, (0.05, 0.035, 0.0175), False),
    "white": (90, (0.02, 0.02, 0.02), False),
    "green": (80, (0.006, 0.03, 0.006), False),
    "(none)": (60, (0.0, 0.0, 0.0), False),
}
METHODS = ("student", "pos")
Frames = Iterator[NDArray[np.uint8]]


def lit(tracks: Tracks, per_min: float, swing: tuple[float, float, float], blinks: bool) -> Tracks:
    x = np.sin(2 * np.pi * per_min / 60 * tracks.times)
    if blinks:
        x = np.tanh(4 * x)
    return replace(tracks, key=(tracks.key * (1 + x[:, None] * np.array(swing))).astype(np.float32))


class Lit(Shader):
    """A person whose light swings, before a background whose light does not: that of ``steady``."""

    def __init__(self, scene: Scene, painted: Painted, tracks: Tracks, steady: Tracks) -> None:
        super().__init__(scene, painted, tracks)
        self._steady = Shader(scene, painted, steady)

    def behind_light(self, frames: np.ndarray) -> Tensor:
        return self._steady.behind_light(frames)


def film(scene: Scene, light: str, path: Path) -> None:
    before = make_tracks(scene, SECONDS, uniform=True)
    painted = paint(scene, load_bank(BENCH_BANK).head(scene.person.head), None)
    save(scene, Lit(scene, painted, lit(before, *LIGHTS[light]), before), path)


def save(scene: Scene, shader: Shader, path: Path, change: Callable[[Frames], Frames] = lambda frames: frames) -> None:
    """What a camera sees, as a file."""
    middle = (PICTURE[0] / 2, PICTURE[1] / 2 - 0.05 * scene.camera.face_px)
    frames = change(Composer(shader, *PICTURE, middle, scene.camera.face_px).frames())
    encode((f for f, _ in zip(frames, range(round(SECONDS * FPS)), strict=False)), str(path), scene.codec, FPS)


def show(
    what: str, kinds: Iterable[str], first: int, seeds: list[int], film: Callable[[Scene, str, Path], None]
) -> None:
    """A table of what is told of people, living and not, that ``film`` writes to a file.

    Args:
        what: the kinds are.
        kinds: a row each.
        first, seeds: of the people.
    """
    print(f"{len(seeds)} people of 72 bpm and {len(seeds)} without a pulse, {SECONDS:g} s each\n")
    print(f"| {what} | " + " | ".join(f"{m}: right, wrong; without a pulse: told" for m in METHODS) + " |")
    print("|---" * (1 + len(METHODS)) + "|")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        for kind in kinds:
            told = {m: [0, 0, 0] for m in METHODS}
            for seed in seeds:
                for alive in (True, False):
                    scene = sample_scene(
                        first + seed, bank=BENCH_BANK, motion="sway", light="steady", codec="h264", pulse=alive,
                        hr_bpm=72.0, fps=FPS,
                    )  # fmt: skip
                    camera = replace(scene.camera, drop=0.0, face_px=140.0, exposure=0.5, auto_exposure=0.0)
                    codec = Codec(kind="h264", mbps=4.0, gop=250, preset="veryfast")
                    film(replace(scene, camera=camera, codec=codec), kind, path)
                    for m in METHODS:
                        hr = measure_all(path, m)[0].vitals.hr_bpm
                        if hr is not None:
                            told[m][2 if not alive else int(abs(hr - 72.0) > 5)] += 1
            print(f"| {kind} | " + " | ".join("{}, {}; {}".format(*told[m]) for m in METHODS) + " |", flush=True)


def main() -> None:
    show("light", LIGHTS, 950_000_000, [int(seed) for seed in sys.argv[1:]] or list(range(100, 106)), film)


if __name__ == "__main__":
    main()
