"""SCAMPS: 2,800 synthetic people with perfect labels.

McDuff, Wander, Liu, Hill, Hernandez, Lester, Baltrušaitis 2022, "SCAMPS: Synthetics for camera measurement of
physiological signals", NeurIPS, arXiv:2206.04197.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kdphys.containers import Recording
from kdphys.data.readers._files import sampled
from kdphys.data.readers._mat import MatFile, MatVideo
from kdphys.data.recording import DatasetInfo, Reader, Take

_FPS = 30.0
_PARTS = ("Train", "Val", "Test")


class Scamps(Reader):
    """One MATLAB v7.3 file a person."""

    name = "scamps"
    info = DatasetInfo(
        title="SCAMPS",
        paper="McDuff et al. 2022, NeurIPS",
        doi="arXiv:2206.04197",
        licence="research only (Microsoft Research data licence)",
        where="danmcduff/scampsdataset, public download",
        fps="30",
        subjects=2800,
        recordings=2800,
        references="bvp and resp at 30 Hz, as simulated",
        layout="ROOT/{Train,Val,Test}/P000001.mat",
        notes=(
            "Every file is a person of its own.",
            "Xsub (the middle of the picture, with the face) is read; RawFrames where there is no Xsub.",
        ),
    )

    def _find(self, root: Path) -> Iterator[Take]:
        for part in _PARTS:
            for path in sorted((root / part).glob("P*.mat")):
                yield Take(self, path.stem, path.stem, {"video": path, "label": path}, {"split": part.lower()})

    def _load(self, take: Take) -> Recording:
        path = take.path("label")
        mat = MatFile(path)
        references = {"bvp": sampled(path, mat.vector("d_ppg"), _FPS)}
        if "d_br" in mat:
            references["resp"] = sampled(path, mat.vector("d_br"), _FPS)
        video = MatVideo(mat, "Xsub" if "Xsub" in mat else "RawFrames", _FPS)
        return Recording(take.subject, take.name, video, references, take.conditions)
