"""PURE: ten persons, six kinds of head motion, lossless images.

Stricker, Müller, Gross 2014, "Non-contact video-based pulse rate measurement on a mobile service robot", RO-MAN,
doi:10.1109/ROMAN.2014.6926392.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kdphys.containers import Recording, Signal
from kdphys.data.readers._files import folders, read_text, signal
from kdphys.data.recording import DatasetInfo, Reader, Take
from kdphys.errors import DataError
from kdphys.video.reader import read_video

_MOTION = {
    "01": "steady",
    "02": "talking",
    "03": "slow translation",
    "04": "fast translation",
    "05": "small rotation",
    "06": "medium rotation",
}


class Pure(Reader):
    """Images named by their time in nanoseconds, and a JSON of oximeter samples on the same clock."""

    name = "pure"
    info = DatasetInfo(
        title="PURE",
        paper="Stricker, Müller, Gross 2014, RO-MAN",
        doi="10.1109/ROMAN.2014.6926392",
        licence="research only, no redistribution",
        where="TU Ilmenau, Neuroinformatics and Cognitive Robotics Lab, on request",
        fps="30, with jitter: the names of the images are the times",
        subjects=10,
        recordings=59,
        references="bvp (60 Hz), hr_bpm, spo2",
        layout="ROOT/01-01/01-01/*.png and ROOT/01-01/01-01.json",
        notes=("Take 06-02 does not exist.", "The motion of a take is the second number of its name."),
    )

    def expected(self) -> Sequence[str]:
        """All takes but 06-02."""
        return [f"{s:02}-{m}" for s in range(1, 11) for m in _MOTION if (s, m) != (6, "02")]

    def _find(self, root: Path) -> Iterator[Take]:
        for folder in folders(root):
            match = re.fullmatch(r"(\d\d)-(\d\d)", folder.name)
            if match:
                files = {"video": folder / folder.name, "label": folder / f"{folder.name}.json"}
                yield Take(self, match[1], folder.name, files, {"motion": _MOTION.get(match[2], match[2])})

    def _load(self, take: Take) -> Recording:
        label = take.path("label")
        content = _parse(label)
        pictures = take.path("video")
        names = sorted(pictures.glob("[!.]*.png"))
        stamps = sorted(_stamp(p) for p in names)
        if not stamps:
            raise DataError(f"missing video: no PNG in {pictures}")
        video = read_video(pictures, times=[(_stamp(p) - stamps[0]) / 1e9 for p in names])
        video.fps = 30.0
        if content["/Image"]:
            video.n_frames = len(content["/Image"])
        return Recording(take.subject, take.name, video, _references(label, content, stamps[0]), take.conditions)


def _stamp(path: Path) -> int:
    digits = re.findall(r"\d{13,}", path.stem)
    if not digits:
        raise DataError(f"{path}: the name holds no time in nanoseconds")
    return int(digits[-1])


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
        return {"/FullPackage": content["/FullPackage"], "/Image": content.get("/Image", [])}
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a whole label file; expected JSON with /FullPackage ({error})") from error


def _references(path: Path, content: dict[str, Any], start_ns: int) -> dict[str, Signal]:
    packages = content["/FullPackage"]
    fields = {"bvp": "waveform", "hr_bpm": "pulseRate", "spo2": "o2saturation"}
    try:
        times = np.array([(int(p["Timestamp"]) - start_ns) / 1e9 for p in packages])
        values = {name: np.array([float(p["Value"][key]) for p in packages]) for name, key in fields.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a sample of /FullPackage lacks {error}") from error
    return {name: signal(path, times, v) for name, v in values.items()}
