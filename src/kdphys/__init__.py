"""Pulse, heart-rate variability and respiration from ordinary face video. Not a medical device.

Example::

    import kdphys

    video = kdphys.read_video("face.mp4")
    method = kdphys.load_method("student")
    pulse = kdphys.estimate_pulse(video, method)
    vitals = kdphys.measure_vitals(pulse)  # vitals.hr_bpm, vitals.sqi

or, shorter, ``kdphys.measure("face.mp4")``. Names are imported when first used: ``import kdphys`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdphys.containers import Clip as Clip
    from kdphys.containers import Evidence as Evidence
    from kdphys.containers import FaceTrack as FaceTrack
    from kdphys.containers import Frame as Frame
    from kdphys.containers import Pulse as Pulse
    from kdphys.containers import Recording as Recording
    from kdphys.containers import RgbTrace as RgbTrace
    from kdphys.containers import Signal as Signal
    from kdphys.containers import Video as Video
    from kdphys.containers import WeightsSpec as WeightsSpec
    from kdphys.errors import KDPhysError as KDPhysError
    from kdphys.pipeline import Measurement as Measurement
    from kdphys.pipeline import estimate_pulse as estimate_pulse
    from kdphys.pipeline import extract as extract
    from kdphys.pipeline import measure as measure
    from kdphys.pipeline import measure_all as measure_all
    from kdphys.pulse.estimate import load_method as load_method
    from kdphys.streaming import Session as Session
    from kdphys.streaming import Update as Update
    from kdphys.streaming import stream as stream
    from kdphys.video.reader import read_video as read_video
    from kdphys.vitals.measure import measure_vitals as measure_vitals
    from kdphys.vitals.result import Estimate as Estimate
    from kdphys.vitals.result import HrWindow as HrWindow
    from kdphys.vitals.result import Vitals as Vitals

    __version__: str

_PLACES = {
    "kdphys.containers": ("Clip Evidence FaceTrack Frame Pulse Recording RgbTrace Signal Video WeightsSpec"),
    "kdphys.errors": "KDPhysError",
    "kdphys.pipeline": "Measurement estimate_pulse extract measure measure_all",
    "kdphys.pulse.estimate": "load_method",
    "kdphys.streaming": "Session Update stream",
    "kdphys.video.reader": "read_video",
    "kdphys.vitals.measure": "measure_vitals",
    "kdphys.vitals.result": "Estimate HrWindow Vitals",
}
_WHERE = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = sorted([*_WHERE, "__version__"])


if not TYPE_CHECKING:  # a type checker is to know the names above alone, and to find what is misspelt

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return version("kdphys")
        if name in _WHERE:
            return getattr(import_module(_WHERE[name]), name)
        raise AttributeError(f"module 'kdphys' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
