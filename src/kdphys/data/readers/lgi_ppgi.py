"""LGI-PPGI: rest, gym, street and head rotation.

Pilz, Zaunseder, Krajewski, Blazek 2018, "Local group invariance for heart rate estimation from face videos in the
wild", CVPR Workshops, doi:10.1109/CVPRW.2018.00172.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Recording
from kdphys.data.readers._files import folders, sampled
from kdphys.data.readers._video import FileVideo
from kdphys.data.recording import DatasetInfo, Reader, Take
from kdphys.errors import DataError

_OXIMETER_HZ = 60.0
_SESSIONS = {
    "resting": {"motion": "still", "exercise": "none"},
    "gym": {"motion": "exercise", "exercise": "during"},
    "talk": {"motion": "talking", "exercise": "none"},
    "rotation": {"motion": "rotation", "exercise": "none"},
}


class LgiPpgi(Reader):
    """An AVI with XML streams of the oximeter and of the frames' times."""

    name = "lgi-ppgi"
    info = DatasetInfo(
        title="LGI-PPGI",
        paper="Pilz et al. 2018, CVPR Workshops",
        doi="10.1109/CVPRW.2018.00172",
        licence="research only",
        where="partofthestars/LGI-PPGI-DB, public download",
        fps="25",
        subjects=6,
        recordings=24,
        references="bvp and hr_bpm, 60 Hz",
        layout=(
            "ROOT/{subject}/{subject}_{resting,gym,talk,rotation}/cv_camera_sensor_stream_handler.avi with "
            "cms50_stream_handler.xml and cv_camera_sensor_timer_stream_handler.xml"
        ),
        notes=(
            "The oximeter's samples have no times; its recording starts before the camera and both stop together, so "
            "its last sample is put at the last frame.",
        ),
    )

    def _find(self, root: Path) -> Iterator[Take]:
        for person in folders(root):
            for folder in folders(person, f"{person.name}_*"):
                session = folder.name.removeprefix(f"{person.name}_")
                if session in _SESSIONS:
                    files = {
                        "video": folder / "cv_camera_sensor_stream_handler.avi",
                        "bvp": folder / "cms50_stream_handler.xml",
                        "times": folder / "cv_camera_sensor_timer_stream_handler.xml",
                    }
                    yield Take(self, person.name, folder.name, files, _SESSIONS[session])

    def _load(self, take: Take) -> Recording:
        path, clock = take.path("bvp"), take.path("times")
        stamps = _values(clock, "value1")  # milliseconds
        times = (stamps - stamps[0]) / 1e3
        video = FileVideo(take.path("video"), times)
        references = {}
        for name, tag in (("bvp", "value2"), ("hr_bpm", "value1")):
            values = _values(path, tag)
            references[name] = sampled(path, values, _OXIMETER_HZ, float(times[-1]) - (len(values) - 1) / _OXIMETER_HZ)
        return Recording(take.subject, take.name, video, references, take.conditions)


def _values(path: Path, tag: str) -> NDArray[np.floating[Any]]:
    try:
        found = [float(element.text or "nan") for element in ET.parse(path).getroot().iter(tag)]
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"{path}: not a whole XML file of numbers ({error})") from error
    if not found:
        raise DataError(f"{path}: no <{tag}> in it")
    return np.array(found)
