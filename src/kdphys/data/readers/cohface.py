"""COHFACE: forty persons in studio and natural light, heavily compressed.

Heusch, Anjos, Marcel 2017, "A reproducible study on remote heart rate measurement", arXiv:1709.00962.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kdphys.containers import Recording
from kdphys.data.readers._files import folders, signal
from kdphys.data.readers._video import FileVideo
from kdphys.data.recording import DatasetInfo, Reader, Take
from kdphys.errors import DataError, MissingExtraError


class Cohface(Reader):
    """``data.avi`` or ``data.mkv`` with ``data.hdf5``."""

    name = "cohface"
    info = DatasetInfo(
        title="COHFACE",
        paper="Heusch, Anjos, Marcel 2017",
        doi="arXiv:1709.00962",
        licence="research only, end-user licence agreement",
        where="Idiap Research Institute, on request",
        fps="20",
        subjects=40,
        recordings=160,
        references="bvp and resp, 256 Hz",
        layout="ROOT/{1..40}/{0..3}/data.avi (or data.mkv) with data.hdf5",
        notes=("Heavily compressed (MPEG-4): little of the pulse is left.",),
    )

    def expected(self) -> Sequence[str]:
        """Four takes of each of forty persons."""
        return [f"{s}-{k}" for s in range(1, 41) for k in range(4)]

    def _find(self, root: Path) -> Iterator[Take]:
        for person in folders(root):
            for folder in folders(person) if person.name.isdecimal() else ():
                if folder.name.isdecimal():
                    video = folder / "data.mkv" if (folder / "data.mkv").exists() else folder / "data.avi"
                    if (folder / "data.avi").exists():
                        video = folder / "data.avi"
                    light = {"0": "studio", "1": "studio", "2": "natural", "3": "natural"}.get(folder.name)
                    conditions = {"motion": "still"} | ({"light": light} if light else {})
                    files = {"video": video, "label": folder / "data.hdf5"}
                    yield Take(self, person.name, f"{person.name}-{folder.name}", files, conditions)

    def _load(self, take: Take) -> Recording:
        try:
            import h5py
        except ImportError as error:
            raise MissingExtraError("h5py", "train") from error
        path = take.path("label")
        try:
            with h5py.File(path, "r") as file:
                data = {key: np.asarray(file[key][()], float) for key in ("pulse", "respiration", "time")}
        except (OSError, KeyError) as error:
            raise DataError(f"{path}: not a whole HDF5 file with pulse, respiration and time ({error})") from error
        references = {
            "bvp": signal(path, data["time"], data["pulse"]),
            "resp": signal(path, data["time"], data["respiration"]),
        }
        return Recording(take.subject, take.name, FileVideo(take.path("video")), references, take.conditions)
