"""Fixed sets of synthetic videos: the bundled clip and the benchmark."""

from __future__ import annotations

import csv
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from kdphys.data.synth.bank import BankSpec, HeadBank, load_bank
from kdphys.data.synth.pulse import PulseSpec
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.scene import Camera, Codec, Framing, Light, Motion, Person, Scene
from kdphys.data.synth.video import VideoResult, render_video
from kdphys.errors import OutputError

DEMO_SECONDS, BENCH_SECONDS = 12.0, 20.0
#: The strata of the benchmark; 240 clips = 6 skin types × 40 draws that visit the other strata evenly.
BENCH_MOTIONS = ("still", "sway", "talking", "rotation", "periodic")
BENCH_LIGHTS = ("steady", "drift", "dim", "side")
BENCH_CODECS = {
    "h264-6": ("h264", 6.0),
    "h264-1": ("h264", 1.0),
    "h264-0.25": ("h264", 0.25),
    "mjpeg-8": ("mjpeg", 8.0),
}
#: Width and height of its pictures.
BENCH_PICTURE = (480, 360)
_BENCH_SEED = 20_261_126
#: Its people: heads that no recipe in ``configs/`` trains on.
BENCH_BANK = BankSpec(count=60, seed=7)


def demo_scene() -> Scene:
    """The person of the bundled clip: an ordinary webcam call."""
    return Scene(
        seed=12,
        person=Person(
            head=59,
            skin_type=3,
            melanin=0.75,
            haemoglobin=0.24,
            mottle=0.05,
            lips=0.35,
            brows=0.75,
            hair=(0.05, 0.03, 0.018),
            iris=(0.08, 0.05, 0.03),
            cloth=(0.05, 0.12, 0.25),
            gloss=0.1,
        ),
        pulse=PulseSpec(
            hr_bpm=72.0, rsa=0.012, lf=0.008, jitter=0.004, resp_brpm=14.0, amplitude=0.011, bcg=0.0006, delay_s=0.01
        ),
        motion=Motion(
            kind="sway",
            sway=0.008,
            sway_hz=0.3,
            rotation=1.0,
            roll=0.6,
            expression=0.15,
            blinks_hz=0.3,
            breathing=0.002,
        ),
        light=Light(
            ambient=0.5,
            key=0.7,
            key_from=(0.45, 0.35, 0.82),
            key_colour=(1.04, 1.0, 0.95),
            drift=0.004,
            specular=0.05,
            background=(0.32, 0.35, 0.36),
            background_texture=0.15,
        ),
        camera=Camera(fps=30.0, face_px=150.0, exposure=0.62, shot=1.2, read=0.7, noise_blur=0.7),
        framing=Framing(),
        codec=Codec(kind="h264", mbps=0.85, gop=60, preset="veryfast"),
    )


def write_demo(folder: Path, bank: HeadBank | None = None) -> VideoResult:
    """Write ``demo.mp4``, ``demo.csv`` and ``demo.json`` into ``folder``."""
    scene = demo_scene()
    return render_video(scene, folder / "demo.mp4", DEMO_SECONDS, bank=bank or load_bank(scene.bank))


def bench_scenes(count: int = 240, seed: int = 0) -> Iterator[tuple[str, Scene]]:
    """Names and scenes of the benchmark: every stratum equally often, every pair of strata as evenly as it goes.

    Args:
        count: clips.
        seed: 0 is the published set.
    """
    rest = list(itertools.product(BENCH_MOTIONS, BENCH_LIGHTS, BENCH_CODECS))
    order = np.random.default_rng([_BENCH_SEED, seed])
    decks: list[tuple[str, str, str]] = []
    rates = np.zeros(0)
    for k in range(count):
        if len(decks) == 0:
            decks = [rest[i] for i in order.permutation(len(rest))]
        if k >= len(rates):  # heart rates: 40–190 evenly within every round of 40
            steps = 40 + 150 * (order.permutation(40) + order.random(40)) / 40
            rates = np.concatenate([rates, steps])
        skin = k % 6 + 1
        motion, light, codec = decks.pop()
        kind, mbps = BENCH_CODECS[codec]
        scene = sample_scene(
            _BENCH_SEED + 1000 * seed + k,
            bank=BENCH_BANK,
            skin=skin,
            motion=motion,
            light=light,
            codec=kind,
            pulse=k % 20 != 19,
            hr_bpm=float(rates[k]),
        )
        camera = replace(scene.camera, fps=30.0, face_px=float(np.clip(scene.camera.face_px, 90, 150)), drop=0.0)
        pulse = replace(scene.pulse, amplitude=float(np.clip(scene.pulse.amplitude, 0.005, 0.018)))
        scene = replace(
            scene, camera=camera, pulse=pulse, codec=replace(scene.codec, mbps=mbps, gop=60, first_mjpeg=0.0)
        )
        yield f"{k:03d}-skin{skin}-{motion}-{light}-{codec}", scene


def write_bench(
    folder: Path,
    count: int = 240,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    jobs: int = 0,
    force: bool = False,
) -> Path:
    """Write the benchmark: videos, references, recipes, ``manifest.csv``; clips that are there stay.

    ``manifest.csv`` is what ``kdphys evaluate FOLDER`` reads; clips of people without a pulse, for which the right
    answer is none, are in ``no-pulse.csv``.

    Args:
        folder: where to.
        count: clips.
        seed: 0 is the published set.
        progress: called with (done, in all).
        jobs: processes; as many as there are processors when 0.
        force: make clips anew that are there.

    Returns:
        the manifest: name, files, subject, conditions.

    Raises:
        OutputError: the folder holds another set or cannot be written.
    """
    load_bank(BENCH_BANK)  # built once, before the processes start
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"bench: cannot write to {folder} ({error})") from error
    scenes = list(bench_scenes(count, seed))
    tell = progress or (lambda done, total: None)
    rows: list[dict[str, object]] = []
    jobs = min(jobs or os.cpu_count() or 1, count)
    if jobs == 1:
        for name, scene in scenes:
            rows.append(_bench_clip(folder, force, name, scene))
            tell(len(rows), count)
    else:
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            for row in pool.map(
                _bench_clip, itertools.repeat(folder), itertools.repeat(force), *zip(*scenes, strict=True)
            ):
                rows.append(row)
                tell(len(rows), count)
    # What has no pulse has no error either: those clips are listed apart.
    for name, wanted in (("no-pulse.csv", "no"), ("manifest.csv", "yes")):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(row for row in rows if row["pulse"] == wanted)
    return folder / "manifest.csv"


def _bench_clip(folder: Path, force: bool, name: str, scene: Scene) -> dict[str, object]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    path = folder / (name + (".avi" if scene.codec.kind == "mjpeg" else ".mp4"))
    if force or not path.exists():
        render_video(scene, path, BENCH_SECONDS, *BENCH_PICTURE)
    document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if document["scene"]["seed"] != scene.seed:
        raise OutputError(f"bench: {path} belongs to another set; choose an empty folder")
    return {
        "name": name,
        "video": path.name,
        "reference": path.with_suffix(".csv").name,
        "subject": f"s{scene.person.head:03d}",
        "skin": scene.person.skin_type,
        "motion": scene.motion.kind,
        "light": scene.light.kind,
        "codec": name.split("-", 4)[4],
        "pulse": scene.tags["pulse"],
        "glasses": scene.tags["glasses"],
        "beard": scene.tags["beard"],
    }
