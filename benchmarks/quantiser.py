"""How coarsely a bit rate quantises real and synthetic faces: ``python benchmarks/quantiser.py``.

A bit rate says little by itself: an encoder spends it on what the picture holds. So the real face, coded once more by
``benchmarks/transcode.py``, and still synthetic heads as the training draws them (the face and a little around it, the
rate scaled to that size), both through FFmpeg's MPEG-4 with a whole picture every 12 frames at 20 frames/s: the mean
quantiser (1–31, twice it is the step of a coefficient) of whole and of predicted pictures, as their headers tell it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch
from transcode import coded

from kdphys.data.synth import BankSpec, load_bank, sample_scene
from kdphys.data.synth.codec import encode
from kdphys.data.synth.compose import Composer
from kdphys.data.synth.paint import paint
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import make_tracks

HEADS, SECONDS, FPS, GOP = BankSpec(count=40, seed=1), 10.0, 20, 12
REAL, SYNTHETIC = (0.15, 0.25, 0.5, 1.0), (0.05, 0.1, 0.15, 0.25, 0.5, 1.0)
PEOPLE, FACE_PX, AROUND = 12, 140.0, 1.86  # side of the picture in face widths
_PICTURE = b"\x00\x00\x01\xb6"


def quantisers(path: Path) -> tuple[float, float]:
    """Mean quantiser of whole and of predicted pictures (ISO/IEC 14496-2, 6.2.5: ``vop_quant``)."""
    found: tuple[list[int], list[int]] = ([], [])
    with av.open(str(path)) as file:
        (stream,) = file.streams.video
        clock = max(1, math.ceil(math.log2(float(stream.average_rate or FPS))))
        for packet in file.demux(stream):
            data = bytes(packet)
            start = data.find(_PICTURE)
            if start < 0:
                continue
            bits = "".join(f"{byte:08b}" for byte in data[start + 4 : start + 14])
            predicted = int(bits[:2], 2)
            at = bits.index("0", 2) + 2 + clock + 1  # whole seconds, marker, time, marker
            if bits[at] == "1" and predicted < 2:  # coded, and no picture between two others
                at += 4 + predicted  # coded, rounding of predicted ones, threshold of DC codes
                found[predicted].append(int(bits[at : at + 5], 2))
    return float(np.mean(found[0])), float(np.mean(found[1]))


def synthetic(folder: Path, mbps: float) -> list[tuple[float, float]]:
    """Of each person."""
    out, side = [], int(FACE_PX * AROUND) // 16 * 16
    for k in range(PEOPLE):
        scene = sample_scene(907 + k, bank=HEADS, codec="mpeg4", motion="still", mbps=[mbps, mbps], gop=GOP, fps=FPS)
        camera = replace(scene.camera, face_px=FACE_PX, drop=0.0)
        scene = replace(scene, camera=camera, codec=replace(scene.codec, downscale=1.0, first_mjpeg=0.0))
        tracks = make_tracks(scene, SECONDS, uniform=True)
        shader = Shader(scene, paint(scene, load_bank(HEADS).head(scene.person.head)), tracks)
        path = folder / "face.mp4"
        composer = Composer(shader, side, side, (side / 2, side / 2), FACE_PX)
        encode(composer.frames(), str(path), scene.codec, FPS)
        out.append(quantisers(path))
    return out


def main() -> None:
    torch.set_num_threads(1)
    print("| face | Mb/s | whole pictures | predicted ones |\n|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for name, path in coded(Path(folder)).items():
            kind, gop, fps, mbps = name.split(" | ")
            if (kind, gop, fps) == ("mpeg4", str(GOP), str(FPS)) and float(mbps) in REAL:
                print(f"| real | {mbps} | " + " | ".join(f"{q:.0f}" for q in quantisers(path)) + " |", flush=True)
        for mbps in SYNTHETIC:
            middle = np.median(synthetic(Path(folder), mbps), axis=0)
            print(f"| synthetic, median of {PEOPLE} | {mbps} | {middle[0]:.0f} | {middle[1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
