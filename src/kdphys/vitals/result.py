"""What measuring gives: each value with its unit, its stretch of time and its confidence, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: Why there is no answer. The first that applies is given.
REASONS = (
    "no face",
    "too short",
    "fs too low",
    "too dark",
    "over-exposed",
    "repeating picture",
    "flickering light",
    "too much motion",
    "unsteady picture",
    "unsteady rate",
    "no periodic component",
)


@dataclass(frozen=True)
class Estimate:
    """One vital sign.

    Args:
        value: in ``unit``, or None when it cannot be told.
        unit: such as "bpm".
        window: (start, end) in seconds of the stretch it was computed on, or None.
        confidence: in [0, 1], or None where there is no value.
        min_s: the shortest stretch, in seconds, that it is computed on.
        reason: why there is no value, or None.
    """

    value: float | None
    unit: str
    window: tuple[float, float] | None
    confidence: float | None
    min_s: float
    reason: str | None = None

    @classmethod
    def refused(cls, unit: str, min_s: float, reason: str, window: tuple[float, float] | None = None) -> Estimate:
        """No value, for a reason."""
        return cls(None, unit, window, None, min_s, reason)


@dataclass(frozen=True)
class HrWindow:
    """Heart rate over one window.

    Args:
        t0, t1: seconds.
        hr_bpm: beats per minute, or None where it cannot be told.
        sqi: calibrated: the share of such estimates that are within 5 bpm of the truth, [0, 1].
        reason: why there is no heart rate, or None.
        candidate_bpm: the best guess whatever its quality, for evaluation only; None where there was no signal.
    """

    t0: float
    t1: float
    hr_bpm: float | None
    sqi: float
    reason: str | None = None
    candidate_bpm: float | None = None


@dataclass(frozen=True, eq=False)
class Vitals:
    """What was measured on one person.

    Args:
        hr: heart rate, bpm.
        rr: respiration rate, breaths a minute.
        hrv: by name: sdnn, rmssd (ms), pnn50 (%), lf, hf (ms²), lf_hf (ratio).
        beat_times: float64 (B,), seconds, of the beats that were found, plausible or not.
        ibi_ms: float64 (K,), the accepted intervals between beats that follow each other.
        sqi: the heart rate's calibrated quality in [0, 1].
        window: (start, end) in seconds of what was looked at.
        course: heart rate over sliding windows.
        coverage: share of those windows that have an answer, [0, 1].
        reasons: why something is missing, most important first; empty when all is well.
        method: what estimated the pulse.
    """

    hr: Estimate
    rr: Estimate
    hrv: Mapping[str, Estimate]
    beat_times: Floats
    ibi_ms: Floats
    sqi: float
    window: tuple[float, float]
    course: tuple[HrWindow, ...]
    coverage: float
    reasons: tuple[str, ...] = field(default=())
    method: str = ""

    @property
    def hr_bpm(self) -> float | None:
        """Heart rate in beats per minute, or None when there is no reliable pulse."""
        return self.hr.value

    @property
    def rr_brpm(self) -> float | None:
        """Respiration rate in breaths per minute, or None when it cannot be told."""
        return self.rr.value

    @property
    def reliable(self) -> bool:
        """Whether there is a heart rate to rely on."""
        return self.hr.value is not None
