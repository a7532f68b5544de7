"""iBVP: colour and thermal video with a pulse at the ear and its quality, sample by sample.

Joshi, Cho 2024, "iBVP dataset: RGB-thermal rPPG dataset with high resolution signal quality labels", Electronics 13,
doi:10.3390/electronics13071334.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Recording
from kdphys.data.readers._files import folders, read_rows, sampled
from kdphys.data.recording import DatasetInfo, Reader, Take
from kdphys.errors import DataError
from kdphys.video.reader import read_video

_FPS = 30.0
#: Rates that the labels of a copy may come in, Hz.
_RATES = (25.0, 30.0, 50.0, 60.0, 64.0, 100.0, 125.0, 128.0, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0)
_TASKS = {
    "a": ("slow breathing", "still"),
    "b": ("easy arithmetic", "still"),
    "c": ("hard arithmetic", "still"),
    "d": ("head movement", "rotation"),
}


class Ibvp(Reader):
    """BMP images at 30 fps with a CSV of pulse and quality; the thermal images are not read."""

    name = "ibvp"
    info = DatasetInfo(
        title="iBVP",
        paper="Joshi, Cho 2024, Electronics 13",
        doi="10.3390/electronics13071334",
        licence="academic research only, end-user licence agreement",
        where="University College London, PhysiologicAILab/iBVP-Dataset, on request",
        fps="30",
        subjects=31,
        recordings=124,
        references="bvp at the ear, bvp_quality (0–1)",
        layout="ROOT/p01_a/p01_a_rgb/*.bmp with p01_a/p01_a_bvp.csv (and p01_a_t, not read)",
        notes=(
            "The CSV has no times: its rate is the usual one (25–1000 Hz) that its length and that of the video agree "
            "on within 2 %; a label that fits none is refused.",
            "The times of frames come from the numbers in their names: a lost frame is a gap. Time begins with the "
            "first image that is there: a copy that lacks the first ones has its labels late by as much.",
        ),
    )

    def _find(self, root: Path) -> Iterator[Take]:
        for folder in folders(root, "p*"):
            match = re.fullmatch(r"(p\d+)_([a-z])", folder.name)
            if match:
                files = {"video": folder / f"{folder.name}_rgb", "bvp": folder / f"{folder.name}_bvp.csv"}
                task = _TASKS.get(match[2])
                conditions = {"task": task[0], "motion": task[1]} if task else {}
                yield Take(self, match[1], folder.name, files, conditions)

    def _load(self, take: Take) -> Recording:
        path = take.path("bvp")
        rows = read_rows(path)
        if rows.shape[1] < 4:
            raise DataError(f"{path}: expected BVP in column 1 and quality in column 4, got {rows.shape[1]} columns")
        pictures = take.path("video")
        images = sorted(pictures.glob("[!.]*.bmp"))
        if not images:
            raise DataError(f"missing video: no BMP in {pictures}")
        times = _frame_times(images)
        fs = _rate(path, len(rows), float(times[-1]) + 1 / _FPS)
        video = read_video(pictures, times=times)
        video.fps = _FPS
        references = {"bvp": sampled(path, rows[:, 0], fs), "bvp_quality": sampled(path, rows[:, 3], fs)}
        return Recording(take.subject, take.name, video, references, take.conditions)


def _frame_times(images: list[Path]) -> NDArray[np.floating[Any]]:
    numbers = [re.search(r"(\d+)$", p.stem) for p in images]
    if any(n is None for n in numbers):
        return np.arange(len(images)) / _FPS
    count = np.array([int(n[1]) for n in numbers if n is not None])
    if not (np.diff(count) > 0).all():
        raise DataError(f"{images[0].parent}: the numbers of its images do not increase in order of name")
    times: NDArray[np.floating[Any]] = (count - count[0]) / _FPS
    return times


def _rate(path: Path, n: int, seconds: float) -> float:
    rate = min(_RATES, key=lambda fs: abs(n / seconds / fs - 1))
    if abs(n / seconds / rate - 1) > 0.02:
        raise DataError(
            f"{path}: wrong length: {n} samples over {seconds:.2f} s of video are {n / seconds:.1f} Hz; expected "
            f"one of {', '.join(f'{fs:g}' for fs in _RATES)} Hz"
        )
    return rate
