"""UBFC-rPPG, both parts: uncompressed video of people who sit still or play a time-sensitive game.

Bobbia, Macwan, Benezeth, Mansouri, Dubois 2019, "Unsupervised skin tissue segmentation for remote
photoplethysmography", Pattern Recognition Letters 124, doi:10.1016/j.patrec.2017.10.017.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kdphys.containers import Recording, Signal
from kdphys.data.readers._files import folders, read_rows, signal
from kdphys.data.readers._video import FileVideo
from kdphys.data.recording import DatasetInfo, Reader, Take
from kdphys.errors import DataError


class UbfcRppg(Reader):
    """``vid.avi`` with ``ground_truth.txt`` (DATASET_2) or ``gtdump.xmp`` (DATASET_1)."""

    name = "ubfc-rppg"
    info = DatasetInfo(
        title="UBFC-rPPG",
        paper="Bobbia et al. 2019, Pattern Recognition Letters 124",
        doi="10.1016/j.patrec.2017.10.017",
        licence="research only; subjects 21 and 27 of DATASET_2 must not be shown",
        where="Université de Bourgogne, public download from the authors' page",
        fps="30",
        subjects=50,
        recordings=50,
        references="bvp, hr_bpm (and spo2 in DATASET_1), with times",
        layout=(
            "ROOT/subjectN/vid.avi with ground_truth.txt (DATASET_2), or ROOT/N/vid.avi with gtdump.xmp (DATASET_1); "
            "ROOT may also hold DATASET_1 and DATASET_2"
        ),
        notes=(
            "Labels and video are stretched against each other in several takes: labels keep their own times, and the "
            "check reports the ratio.",
        ),
    )

    def _find(self, root: Path) -> Iterator[Take]:
        parts = [p for p in (root / "DATASET_1", root / "DATASET_2") if p.is_dir()]
        for part in parts or [root]:
            for folder in folders(part):
                yield from self._take(folder, part.name)

    def _take(self, folder: Path, part: str) -> Iterator[Take]:
        second = folder / "ground_truth.txt"
        first = folder / "gtdump.xmp"
        video = folder / "vid.avi"
        if not any(p.exists() for p in (first, second, video)):
            return
        named = re.fullmatch(r"subject(\d+)", folder.name)
        is_second = second.exists() or (not first.exists() and (part == "DATASET_2" or named is not None))
        number = named[1] if named else re.sub(r"-gt$", "", folder.name)
        name = f"{'dataset2' if is_second else 'dataset1'}-{number}"
        conditions = {"part": "2" if is_second else "1"}
        if not is_second:
            conditions["exercise"] = "after" if "exercise" in folder.name.lower() else "none"
        yield Take(self, name, name, {"video": video, "label": second if is_second else first}, conditions)

    def _load(self, take: Take) -> Recording:
        label = take.path("label")
        references = _three_lines(label) if label.suffix == ".txt" else _columns(label)
        return Recording(take.subject, take.name, FileVideo(take.path("video")), references, take.conditions)


def _three_lines(path: Path) -> dict[str, Signal]:
    rows = read_rows(path, delimiter=None)
    if len(rows) != 3:
        raise DataError(f"{path}: expected three lines (BVP, HR, time in s), got {len(rows)}")
    return {"bvp": signal(path, rows[2], rows[0]), "hr_bpm": signal(path, rows[2], rows[1])}


def _columns(path: Path) -> dict[str, Signal]:
    rows = read_rows(path)
    if rows.shape[1] != 4:
        raise DataError(f"{path}: expected four columns (time in ms, HR, SpO2, BVP), got {rows.shape[1]}")
    times = rows[:, 0] / 1e3
    return {name: signal(path, times, rows[:, k]) for name, k in (("bvp", 3), ("hr_bpm", 1), ("spo2", 2))}
