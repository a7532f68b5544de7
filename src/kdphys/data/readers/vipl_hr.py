"""VIPL-HR: 107 persons, nine scenarios, four cameras.

Niu, Han, Shan, Chen 2018, "VIPL-HR: a multi-modal database for pulse estimation from less-constrained face video",
ACCV, doi:10.1007/978-3-030-20873-8_36.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kdphys.containers import Recording
from kdphys.data.readers._files import folders, read_column, sampled
from kdphys.data.readers._video import FileVideo
from kdphys.data.recording import DatasetInfo, Reader, Take

_WAVE_HZ = 60.0
_READINGS_HZ = 1.0
_SCENARIOS = {
    "1": {"motion": "still", "light": "lab"},
    "2": {"motion": "large motion", "light": "lab"},
    "3": {"motion": "talking", "light": "lab"},
    "4": {"motion": "still", "light": "dark"},
    "5": {"motion": "still", "light": "bright"},
    "6": {"motion": "still", "light": "lab", "distance": "long"},
    "7": {"motion": "still", "light": "lab", "exercise": "after"},
    "8": {"motion": "still", "light": "lab", "camera": "hand-held phone"},
    "9": {"motion": "large motion", "light": "lab", "camera": "hand-held phone"},
}
_CAMERAS = {"1": "webcam", "2": "RealSense", "3": "phone"}
_INFRARED = "4"


class ViplHr(Reader):
    """Colour videos with a wave at 60 Hz and readings once a second; ``source4`` is near-infrared and is not read."""

    name = "vipl-hr"
    info = DatasetInfo(
        title="VIPL-HR",
        paper="Niu et al. 2018, ACCV",
        doi="10.1007/978-3-030-20873-8_36",
        licence="research only, release agreement",
        where="Institute of Computing Technology, Chinese Academy of Sciences, on request",
        fps="25–30, variable: time.txt",
        subjects=107,
        recordings=2378,
        references="bvp (60 Hz), hr_bpm and spo2 (1 Hz)",
        layout="ROOT/data/pN/vK/sourceS/{video.avi,wave.csv,gt_HR.csv,gt_SpO2.csv,time.txt}",
        notes=(
            "source4 is near-infrared: not read.",
            "Frame times come from time.txt (ms); without it from the video.",
            "A take without gt_SpO2.csv has no spo2; the wave and the heart rate must be there.",
        ),
    )

    def _find(self, root: Path) -> Iterator[Take]:
        data = root / "data" if (root / "data").is_dir() else root
        for person in folders(data, "p*"):
            if not re.fullmatch(r"p\d+", person.name):
                continue
            for scenario in folders(person, "v*"):
                for source in folders(scenario, "source*"):
                    number = source.name.removeprefix("source")
                    if number == _INFRARED:
                        continue
                    files = {
                        "video": source / "video.avi",
                        "bvp": source / "wave.csv",
                        "hr": source / "gt_HR.csv",
                        "spo2": source / "gt_SpO2.csv",
                        "times": source / "time.txt",
                    }
                    base = _SCENARIOS.get(scenario.name.removeprefix("v")[:1], {})
                    conditions = {"camera": _CAMERAS.get(number, source.name), "scenario": scenario.name} | base
                    name = f"{person.name}-{scenario.name}-{source.name}"
                    yield Take(self, person.name, name, files, conditions)

    def _load(self, take: Take) -> Recording:
        wave = take.path("bvp")
        references = {"bvp": sampled(wave, read_column(wave), _WAVE_HZ)}
        for name, path in (("hr_bpm", take.path("hr")), ("spo2", take.files["spo2"])):
            if name != "spo2" or path.exists():
                references[name] = sampled(path, read_column(path), _READINGS_HZ)
        times = None
        if take.files["times"].exists():
            stamps = read_column(take.files["times"], delimiter=None)
            times = np.asarray((stamps - stamps[0]) / 1e3)
        return Recording(take.subject, take.name, FileVideo(take.path("video"), times), references, take.conditions)
