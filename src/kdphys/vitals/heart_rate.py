"""Heart rate from the spectrum of the pulse, over one stretch or over sliding windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Pulse
from kdphys.dsp import heart_frequency, heart_spectrum
from kdphys.errors import InvalidInputError
from kdphys.vitals.quality import Judge
from kdphys.vitals.result import HrWindow

Floats = NDArray[np.floating[Any]]

#: The shortest stretch that a heart rate is computed on, seconds.
MIN_HR_S = 6.0
#: Spacing of the spectrum's bins, Hz; the peak is refined between them to better than 0.1 bpm.
_BIN_HZ = 0.25 / 60


def hr_spectrum(bvp: Floats, fs: float) -> tuple[Floats, Floats]:
    """Frequencies (Hz) and power of a stretch of pulse, as its rate is read from them."""
    return heart_spectrum(bvp, fs, _BIN_HZ)


def heart_rate(bvp: Floats, fs: float) -> float:
    """Heart rate in bpm: :func:`kdphys.dsp.heart_frequency` of the stretch.

    Args:
        bvp: (T,), at least 6 s.
        fs: Hz.

    Raises:
        InvalidInputError: shorter than 6 s.
    """
    if len(bvp) < MIN_HR_S * fs - 1:
        raise InvalidInputError(f"heart rate needs at least {MIN_HR_S:g} s of pulse, got {len(bvp) / fs:.1f} s")
    frequencies, power = hr_spectrum(bvp, fs)
    return 60.0 * heart_frequency(frequencies, power)


def hr_window(judge: Judge, start: int, stop: int) -> HrWindow:
    """Heart rate and quality of the samples ``start:stop`` of a judged pulse."""
    pulse = judge.pulse
    t0, t1 = pulse.t0 + start / pulse.fs, pulse.t0 + stop / pulse.fs
    quality = judge(start, stop)
    answer = quality.hr_bpm if quality.reason is None else None
    return HrWindow(t0, t1, answer, quality.sqi, quality.reason, quality.hr_bpm)


def check_windows(window_s: float, step_s: float) -> None:
    """Refuse windows that no heart rate can be computed on.

    Raises:
        InvalidInputError: window below 6 s, or step not positive.
    """
    if window_s < MIN_HR_S:
        raise InvalidInputError(f"window must be at least {MIN_HR_S:g} s, got {window_s:g} s")
    if not 0 < step_s < np.inf:
        raise InvalidInputError(f"step must be positive and finite, got {step_s:g} s")


def hr_course(pulse: Pulse, window_s: float = 10.0, step_s: float = 1.0) -> list[HrWindow]:
    """Heart rate over sliding windows, with gaps where it cannot tell.

    Args:
        pulse: what to look at.
        window_s: at least 6 s.
        step_s: between the starts of windows.

    Raises:
        InvalidInputError: window or step out of range.
    """
    check_windows(window_s, step_s)
    size = round(window_s * pulse.fs)
    last = len(pulse.bvp) - size
    if last < 0:
        return []
    judge = Judge(pulse)
    starts = [round(k * step_s * pulse.fs) for k in range(int(last / (step_s * pulse.fs)) + 1)]
    return [hr_window(judge, start, start + size) for start in starts]
