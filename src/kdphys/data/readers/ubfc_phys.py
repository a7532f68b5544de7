"""UBFC-Phys: rest, speech and mental arithmetic under social stress.

Meziati Sabour, Benezeth, De Oliveira, Chappé, Yang 2023, "UBFC-Phys: a multimodal database for psychophysiological
studies of social stress", IEEE Transactions on Affective Computing 14, doi:10.1109/TAFFC.2021.3056960.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kdphys.containers import Recording
from kdphys.data.readers._files import folders, read_rows, sampled
from kdphys.data.readers._video import FileVideo
from kdphys.data.recording import DatasetInfo, Reader, Take
from kdphys.errors import DataError

_BVP_HZ = 64.0
_TASKS = {"1": ("rest", "still"), "2": ("speech", "talking"), "3": ("arithmetic", "talking")}


class UbfcPhys(Reader):
    """``vid_sN_Tk.avi`` at 35 fps with ``bvp_sN_Tk.csv`` at 64 Hz."""

    name = "ubfc-phys"
    info = DatasetInfo(
        title="UBFC-Phys",
        paper="Meziati Sabour et al. 2023, IEEE Transactions on Affective Computing 14",
        doi="10.1109/TAFFC.2021.3056960",
        licence="research only",
        where="Université de Bourgogne, IEEE DataPort",
        fps="35",
        subjects=56,
        recordings=168,
        references="bvp, 64 Hz (wrist)",
        layout="ROOT/sN/vid_sN_T{1,2,3}.avi with bvp_sN_Tk.csv",
        notes=("35 frames a second, not 30.", "The pulse is measured at the wrist, in motion: the labels are noisy."),
    )

    def expected(self) -> Sequence[str]:
        """Three tasks of each of 56 persons."""
        return [f"s{s}_T{k}" for s in range(1, 57) for k in _TASKS]

    def _find(self, root: Path) -> Iterator[Take]:
        for folder in folders(root, "s*"):
            if not re.fullmatch(r"s\d+", folder.name):
                continue
            found = {m[1] for p in folder.iterdir() if (m := re.fullmatch(r"(?:vid|bvp)_s\d+_T([123])", p.stem))}
            for task in sorted(found):
                name = f"{folder.name}_T{task}"
                files = {"video": folder / f"vid_{name}.avi", "bvp": folder / f"bvp_{name}.csv"}
                what, motion = _TASKS[task]
                yield Take(self, folder.name, name, files, {"task": what, "motion": motion})

    def _load(self, take: Take) -> Recording:
        path = take.path("bvp")
        rows = read_rows(path)
        if rows.shape[1] != 1:
            raise DataError(f"{path}: expected one column, got {rows.shape[1]}")
        references = {"bvp": sampled(path, rows[:, 0], _BVP_HZ)}
        return Recording(take.subject, take.name, FileVideo(take.path("video")), references, take.conditions)
