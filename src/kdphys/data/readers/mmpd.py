"""MMPD: phone videos over skin tones, lights and motions.

Tang, Chen, Wang, Liu, Li, Liu 2023, "MMPD: Multi-domain mobile video physiology dataset", EMBC, arXiv:2302.03840.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kdphys.containers import Recording
from kdphys.data.readers._files import folders, sampled
from kdphys.data.readers._mat import MatFile, MatVideo
from kdphys.data.recording import DatasetInfo, Reader, Take

_FPS = 30.0
#: Variable in the file → name of the condition.
_CONDITIONS = {
    "light": "light",
    "motion": "motion",
    "exercise": "exercise",
    "skin_color": "skin",
    "gender": "gender",
    "glasser": "glasses",
    "hair_cover": "hair_cover",
    "makeup": "makeup",
}
_WORDS = {"true": "yes", "false": "no", "watching videos": "walking"}


class Mmpd(Reader):
    """One MATLAB file a take, with video, pulse and conditions."""

    name = "mmpd"
    info = DatasetInfo(
        title="MMPD",
        paper="Tang et al. 2023, EMBC",
        doi="arXiv:2302.03840",
        licence="research only, data release agreement",
        where="Tsinghua University, McJackTang/MMPD_rPPG_dataset, on request",
        fps="30",
        subjects=33,
        recordings=660,
        references="bvp at 30 Hz",
        layout="ROOT/subjectN/pN_{0..19}.mat",
        notes=(
            "Pictures of 4:3 were squeezed from 1280×720: they are shown in 16:9 again, their long side stretched.",
            "'Watching Videos' in early copies means walking.",
            "A MATLAB v5 file is read whole while its video is iterated.",
        ),
    )

    def expected(self) -> Sequence[str]:
        """Twenty takes of each of 33 persons."""
        return [f"p{s}_{k}" for s in range(1, 34) for k in range(20)]

    def _find(self, root: Path) -> Iterator[Take]:
        for folder in folders(root, "subject*"):
            for path in sorted(folder.glob("p*.mat")):
                match = re.fullmatch(r"p(\d+)_(\d+)", path.stem)
                if match:
                    yield Take(self, match[1], path.stem, {"video": path, "label": path})

    def _load(self, take: Take) -> Recording:
        path = take.path("label")
        mat = MatFile(path)
        bvp = sampled(path, mat.vector("GT_ppg"), _FPS)
        conditions = {ours: _word(mat.word(theirs)) for theirs, ours in _CONDITIONS.items() if theirs in mat}
        if conditions.get("motion", "").endswith("(after exercise)"):
            conditions["motion"] = "stationary"
        video = MatVideo(mat, "video", _FPS)
        size = unsqueezed(video.width, video.height)
        if size != (video.width, video.height):
            video = MatVideo(mat, "video", _FPS, size)
        return Recording(take.subject, take.name, video, {"bvp": bvp}, conditions)


def unsqueezed(width: int, height: int) -> tuple[int, int]:
    """The size of a 16:9 picture that was stored as 4:3, upright or lying; other shapes stay as they are."""
    if width * 3 == height * 4:
        return round(height * 16 / 9), height
    if height * 3 == width * 4:
        return width, round(width * 16 / 9)
    return width, height


def _word(text: str) -> str:
    return _WORDS.get(text.lower(), text.lower())
