"""What a coarse codec leaves of a face's brightness, colour and movement: ``python benchmarks/colours.py``.

The real face coded once more by ``benchmarks/transcode.py`` (FFmpeg's MPEG-4, a whole picture every 12 frames), beside
itself: how the mean brightness of its skin, and its green less red, follow what they were before. Of whole pictures
alone, without their trend; and of all pictures, in the band of the pulse. Beside it how high the head is held, by its
own pixels (the evidence's ``place``), in the same band: how it follows what it was, how far its strongest frequency is
from the heart's rate, and its likeness to the finger's wave. The recoil of each beat moves a head.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from faces import ROOT, Likeness, compare
from numpy.typing import NDArray
from transcode import coded

import kdphys
from kdphys.clip.crop import LUMA, crop, square
from kdphys.clip.skin import SIZE, SkinWeights
from kdphys.dsp import bandpass
from kdphys.pipeline import extract

GOP = 12
MIXES = (LUMA, np.array([-1.0, 1.0, 0.0]))  # brightness; green less red
TREND = 4  # degree of what is taken out of whole pictures

Floats = NDArray[np.float64]


def skin(pictures: list[NDArray[np.uint8]], boxes: Floats) -> Floats:
    """Mean colour (T, 3) of the same skin in all pictures."""
    faces = [crop(rgb, square(box, 1.0), SIZE) for rgb, box in zip(pictures, boxes, strict=True)]
    weights = SkinWeights().update(np.mean(faces, axis=0, dtype=np.float32), 0.0)
    return np.array([(face * weights[..., None]).sum((0, 1)) / weights.sum() for face in faces], float)


def likeness(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def without_trend(t: Floats, x: Floats) -> Floats:
    at = (t - t.mean()) / np.ptp(t)
    return x - np.polyval(np.polyfit(at, x, TREND), at)


def height(path: Path) -> tuple[Floats, Likeness]:
    """How high the head is held, in the band of the pulse; and what would be told of a heart by it."""
    pulse = kdphys.estimate_pulse(path, "student")
    assert pulse.evidence is not None
    y = pulse.evidence.place[pulse.valid, 1]
    y = bandpass(y - y.mean(), pulse.fs, 0.7, 4.0)
    return y, compare(y, np.arange(len(y)) / pulse.fs, pulse.fs)


def main() -> None:
    video = kdphys.read_video(ROOT / "video.mp4")
    frames = list(video)
    times = np.array([frame.t for frame in frames]) - frames[0].t
    track = extract(video).persons[0].track
    where = np.stack([np.interp(times, track.times - frames[0].t, side) for side in track.boxes.T], axis=1)
    heads = ("frames/s", "Mb/s", "whole pictures: brightness", "G − R", "all: brightness", "G − R", "height")
    heads += ("bpm off", "likeness to the finger's wave")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    high, told = height(ROOT / "video.mp4")
    print(f"| (as it was) |  |  |  |  |  |  | {abs(told.bpm - told.true_bpm):.1f} | {told.likeness:.2f} |")
    with TemporaryDirectory() as folder:
        for name, path in coded(Path(folder)).items():
            kind, gop, fps, mbps = name.split(" | ")
            if (kind, gop) != ("mpeg4", str(GOP)) or float(mbps) > 1:
                continue
            nearest = np.abs(times[:, None] - np.arange(0, times[-1], 1 / int(fps))).argmin(axis=0)
            with av.open(str(path)) as file:
                shown = [(p.to_ndarray(format="rgb24"), bool(p.key_frame)) for p in file.decode(video=0)]
            nearest = nearest[: len(shown)]
            now = skin([rgb for rgb, _ in shown], where[nearest])
            before = skin([frames[k].rgb for k in nearest], where[nearest])
            whole = np.flatnonzero([key for _, key in shown])
            cells = []
            for at, clean in ((whole, without_trend), (np.arange(len(shown)), None)):
                for mix in MIXES:
                    a, b = now[at] @ mix, before[at] @ mix
                    if clean is not None:
                        a, b = clean(times[nearest[at]], a), clean(times[nearest[at]], b)
                    else:
                        a, b = (bandpass(x - x.mean(), float(fps), 0.7, 4.0) for x in (a, b))
                    cells.append(f"{likeness(a, b):.2f}")
            y, told = height(path)
            n = min(len(y), len(high))
            cells += [
                f"{likeness(y[:n], high[:n]):.2f}",
                f"{abs(told.bpm - told.true_bpm):.1f}",
                f"{told.likeness:.2f}",
            ]
            print(f"| {fps} | {mbps} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
