"""What the person in front of the camera can do about it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.dsp import MAX_GAP_S
from kdphys.vitals.quality import MIN_FPS
from kdphys.vitals.result import Vitals

Floats = NDArray[np.floating[Any]]

#: A face narrower than this has too few pixels, pixels.
MIN_FACE_PX = 48.0
_FOR_REASON = {
    "no face": "no face: look into the camera",
    "too short": "keep still: measuring",
    "fs too low": "the camera is too slow: 8 frames a second are needed",
    "too dark": "more light",
    "over-exposed": "less light on the face",
    "repeating picture": "the picture repeats itself: show a living face",
    "flickering light": "the light flickers: another light, or switch a screen off",
    "too much motion": "hold still",
    "unsteady picture": "the picture gets sharp and soft, or stands still, in time: fix the camera's focus",
    "no periodic component": "hold still, with even light on the face",
}


def advise(vitals: Vitals, box: Floats | None, roi: bool, fps: float) -> tuple[str, ...]:
    """Short sentences, most important first; none when all is well.

    Args:
        vitals: the latest.
        box: of the face now, or None.
        roi: whether a part of the picture is measured instead of a face.
        fps: frames a second that come.
    """
    out = []
    if 0 < fps < 1 / MAX_GAP_S and vitals.reasons:
        every = f"a frame every {1 / fps:.3g} s"
        return (f"the camera is too slow, {every}: 8 a second are needed; are their times in seconds?",)
    if box is None and not roi:
        out.append(_FOR_REASON["no face"])
    if "too short" in vitals.reasons and 0 < fps < MIN_FPS:  # too few to begin with
        out.append(_FOR_REASON["fs too low"])
    out += [_FOR_REASON[reason] for reason in vitals.reasons if reason in _FOR_REASON]
    if box is not None and not roi and float(box[2] - box[0]) < MIN_FACE_PX:
        out.append("come closer")
    return tuple(dict.fromkeys(out))
