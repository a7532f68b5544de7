"""The two protocols: ``toolbox`` reproduces rPPG-Toolbox number for number, ``kdphys`` mends its faults.

rPPG-Toolbox: Liu et al. 2023, NeurIPS, arXiv:2210.00716, as of 2025-09-01. Both are described in
``docs/evaluation.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.containers import Pulse, Signal
from kdphys.dsp import HR_BAND_BPM, bandpass, detrend, moving, pulse_frequency, resample_by_time, runs
from kdphys.errors import InvalidInputError
from kdphys.evaluate.metrics import macc, periodogram, snr_db
from kdphys.sci import signal
from kdphys.vitals.result import HrWindow

Floats = NDArray[np.floating[Any]]

#: The names of the protocols.
PROTOCOLS = ("kdphys", "toolbox")
#: What counts as pulse in the toolbox protocol, Hz; before 2025-03-08 it was 0.75–2.5 Hz.
TOOLBOX_BAND_HZ = (0.6, 3.3)
#: Spacing of bins in the kdphys protocol, Hz: 0.05 bpm, and the peak is refined between them.
RESOLUTION_HZ = 0.05 / 60
#: The reference must cover this share of a window.
REFERENCE_SHARE = 0.85
#: Reference heart rates outside are readings that the device did not take (0, 255, …), beats per minute.
PLAUSIBLE_BPM = (20.0, 250.0)
_REFERENCE_FS = 60.0
# A reading of the heart rate speaks for so long before and after it, seconds: at least, and at most.
_REACH_S = (2.0, 5.0)


@dataclass(frozen=True)
class Score:
    """One estimate beside its reference.

    Args:
        recording: name of the recording.
        subject: who.
        t0, t1: seconds.
        hr_bpm: the answer, or None where the method did not dare to give one.
        candidate_bpm: the best guess whatever its quality, or None where there was no signal.
        ref_bpm: the truth.
        sqi: quality in [0, 1]; 1 where the protocol knows none.
        snr_db: of the pulse at the reference's rate, or None.
        macc: likeness to the reference wave, or None where the reference is not a wave.
        reason: why there is no answer.
        conditions: of the recording.
    """

    recording: str
    subject: str
    t0: float
    t1: float
    hr_bpm: float | None
    candidate_bpm: float | None
    ref_bpm: float
    sqi: float = 1.0
    snr_db: float | None = None
    macc: float | None = None
    reason: str | None = None
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ToolboxResult:
    """What the toolbox protocol gives for one video: heart rates (bpm), SNR (dB) and MACC."""

    hr_bpm: float
    ref_bpm: float
    snr_db: float
    macc: float


def toolbox_score(
    prediction: ArrayLike,
    label: ArrayLike,
    fs: float,
    *,
    hr_method: str = "fft",
    difference: bool = False,
    band_hz: tuple[float, float] = TOOLBOX_BAND_HZ,
) -> ToolboxResult:
    """Score one video as rPPG-Toolbox does.

    Args:
        prediction: (T,), the clips of a video in order.
        label: (N,), at the same rate.
        fs: Hz.
        hr_method: "fft" or "peak", for prediction and label alike.
        difference: both are difference-normalised and are integrated first.
        band_hz: (0.75, 2.5) for the tables of the paper.

    Raises:
        InvalidInputError: unknown ``hr_method``, waves that are too short or not finite.
    """
    if hr_method not in _RATES:
        raise InvalidInputError(f"hr_method must be 'fft' or 'peak', got {hr_method!r}")
    wave, truth = (_toolbox_filter(x, fs, difference, band_hz) for x in (prediction, label))
    rate = _RATES[hr_method]
    hr, ref = rate(wave, fs, band_hz), rate(truth, fs, band_hz)
    return ToolboxResult(hr, ref, snr_db(wave, fs, ref, band_hz), macc(wave, truth))


def _toolbox_filter(x: ArrayLike, fs: float, difference: bool, band_hz: tuple[float, float]) -> Floats:
    wave: Floats = np.asarray(x, dtype=np.float64)
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise InvalidInputError(f"toolbox protocol: expected finite waves of shape (T,), got {wave.shape}")
    wave = detrend(np.cumsum(wave) if difference else wave, 100.0)
    if not band_hz[1] < fs / 2 or len(wave) <= 9:
        raise InvalidInputError(f"toolbox protocol: {len(wave)} samples at {fs:g} Hz do not fit its filter")
    b, a = signal.butter(1, [band_hz[0] / fs * 2, band_hz[1] / fs * 2], btype="bandpass")
    out: Floats = signal.filtfilt(b, a, wave)
    return out


def fft_hr(wave: Floats, fs: float, band_hz: tuple[float, float] = TOOLBOX_BAND_HZ) -> float:
    """The periodogram's highest bin in the band, bpm; bins are 3.5 bpm apart at 10 s and 30 Hz."""
    frequencies, power = periodogram(wave, fs)
    inside = np.flatnonzero((frequencies >= band_hz[0]) & (frequencies <= band_hz[1]))
    return float(frequencies[inside[np.argmax(power[inside])]] * 60)


def peak_hr(wave: Floats, fs: float, band_hz: tuple[float, float] = TOOLBOX_BAND_HZ) -> float:
    """60 / mean interval between local maxima, bpm.

    Raises:
        InvalidInputError: fewer than two maxima.
    """
    peaks, _ = signal.find_peaks(wave)
    if len(peaks) < 2:
        raise InvalidInputError(f"toolbox protocol: {len(peaks)} peaks give no heart rate; use the FFT's")
    return float(60 / (np.mean(np.diff(peaks)) / fs))


_RATES = {"fft": fft_hr, "peak": peak_hr}


def wave_hr(bvp: ArrayLike, fs: float) -> float:
    """Heart rate of a wave by the kdphys protocol: bins of 0.05 bpm, refined, 40–200 bpm.

    :func:`kdphys.dsp.pulse_frequency`: the highest peak of a clean wave of 45 bpm may be its second harmonic.
    """
    return 60 * pulse_frequency(np.asarray(bvp, float), fs, RESOLUTION_HZ)


class Reference:
    """The truth over time: from a pulse wave where there is one, else from heart rates.

    Args:
        bvp: reference pulse wave, or None.
        hr_bpm: reference heart rate, or None.

    Raises:
        InvalidInputError: neither is given.
    """

    def __init__(self, bvp: Signal | None = None, hr_bpm: Signal | None = None) -> None:
        if bvp is None and hr_bpm is None:
            raise InvalidInputError("no reference: expected a 'bvp' wave or 'hr_bpm' values")
        self.bvp, self.hr_bpm = bvp, hr_bpm
        self._wave: Floats = np.empty(0)
        if bvp is not None:
            values = np.where(moving(bvp.times, bvp.values, np.isfinite(bvp.values)), bvp.values, np.nan)
            self._wave, self._valid, self._t0 = resample_by_time(bvp.times, values, _REFERENCE_FS)
            for run in runs(self._valid):
                long = run.stop - run.start > 2 * _REFERENCE_FS
                self._wave[run] = bandpass(self._wave[run], _REFERENCE_FS, 0.6, 8.0) if long else 0.0
                self._valid[run] = long

    @property
    def span(self) -> tuple[float, float]:
        """First and last time, seconds."""
        given = [s for s in (self.bvp, self.hr_bpm) if s is not None and len(s.times)]
        if not given:
            return (float("nan"), float("nan"))
        return (min(float(s.times[0]) for s in given), max(float(s.times[-1]) for s in given))

    def hr(self, t0: float, t1: float) -> float | None:
        """The truth between two times, bpm, or None where the reference covers less than 85 % of them."""
        if self.bvp is not None:
            first = max(round((t0 - self._t0) * _REFERENCE_FS), 0)
            last = max(round((t1 - self._t0) * _REFERENCE_FS), 0)
            valid = self._valid[first:last]
            if valid.sum() < REFERENCE_SHARE * (t1 - t0) * _REFERENCE_FS:
                return None
            part = np.where(valid, self._wave[first:last], 0.0)
            return wave_hr(part, _REFERENCE_FS) if float(part.std()) > 0 else None
        assert self.hr_bpm is not None
        times, values = self.hr_bpm.times, self.hr_bpm.values
        low, high = PLAUSIBLE_BPM
        taken = (values >= low) & (values <= high)
        inside = taken & (times >= t0) & (times < t1)
        if not inside.any():
            return None
        # Each reading speaks for the time around it, half of the way to the next as a rule.
        reach = float(np.clip(np.median(np.diff(times)) / 2, *_REACH_S)) if len(times) > 1 else _REACH_S[0]
        near = taken & (times > t0 - reach) & (times < t1 + reach)
        seen = np.concatenate([[t0 - reach], times[near], [t1 + reach]])
        missing = float(np.maximum(np.diff(seen) - 2 * reach, 0.0).sum())
        return float(values[inside].mean()) if missing <= (1 - REFERENCE_SHARE) * (t1 - t0) else None

    def wave(self, times: Floats) -> Floats | None:
        """The reference wave at these times, or None where it is no wave or does not cover them all."""
        if self.bvp is None:
            return None
        t = self._t0 + np.arange(len(self._wave)) / _REFERENCE_FS
        at: Floats = np.interp(times, t, np.where(self._valid, self._wave, np.nan), left=np.nan, right=np.nan)
        return at if np.isfinite(at).all() and np.ptp(at) > 0 else None


def kdphys_scores(
    pulse: Pulse,
    course: Sequence[HrWindow],
    reference: Reference,
    recording: str = "",
    subject: str = "",
    conditions: tuple[tuple[str, str], ...] = (),
) -> tuple[list[Score], int]:
    """Score the windows of one recording.

    Args:
        pulse: the waveform that the windows were computed on.
        course: heart rate by window.
        reference: the truth.
        recording, subject, conditions: copied into the scores.

    Returns:
        scores of the windows that have a reference, number of windows that have none.
    """
    scores, without = [], 0
    for w in course:
        ref = reference.hr(w.t0, w.t1)
        if ref is None:
            without += 1
            continue
        first, last = (round((t - pulse.t0) * pulse.fs) for t in (w.t0, w.t1))
        part = pulse.bvp[first:last]
        changes = len(part) > 1 and float(np.ptp(part)) > 0
        truth = reference.wave(pulse.times[first:last])
        scores.append(
            Score(
                recording,
                subject,
                w.t0,
                w.t1,
                w.hr_bpm,
                w.candidate_bpm,
                ref,
                w.sqi,
                snr_db(part, pulse.fs, ref, (HR_BAND_BPM[0] / 60, HR_BAND_BPM[1] / 60)) if changes else None,
                macc(part, truth) if changes and truth is not None else None,
                w.reason,
                conditions,
            )
        )
    return scores, without
