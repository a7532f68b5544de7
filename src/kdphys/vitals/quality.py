"""How far to trust a heart rate: features of a window of pulse, and a calibrated share of right answers.

SQI is the measured share of estimates within 5 bpm of the truth among estimates with the same score. What it was
calibrated on, and how well it holds elsewhere, is in ``docs/quality.md``; the fit is ``assets/sqi.json``, made by
``tools/calibrate_sqi.py``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.classical import METHODS
from kdphys.containers import Evidence, Pulse
from kdphys.dsp import HR_BAND_BPM, heart_frequency, heart_spectrum, is_slower, pulse_frequency, runs, spectrum
from kdphys.vitals.impostors import BIN_HZ, MISSING, band, impostor, near

Floats = NDArray[np.floating[Any]]

#: Below this SQI the answer is "no reliable pulse".
SQI_THRESHOLD = 0.7
#: Methods for a fingertip on the lens, where no reflection of skin is there for POS and CHROM to agree on.
CONTACT_METHODS = frozenset({"channel"})
#: Names of the features, in the order of the fit's coefficients.
FEATURES = ("snr_db", "dominance", "halves", "agreement", "unison", "phase", "log_ac", "motion")
#: The same for learned methods, whose output is trained to be quiet when it is unsure.
LEARNED_FEATURES = (*FEATURES, "strength")
#: Fewer frames a second in half of a window, and a fast heart is read as a slow one. (Some clocks count in ms.)
MIN_FPS, _CLOCK_FPS = 8.0, 0.1
_DARK_LUMA = 22.0
#: Share of the face that is over-exposed: from the first on it explains why nothing is seen, from the second on nothing
#: is believed.
_CLIPPED_SHARE, _BLIND_SHARE = 0.35, 0.6
_MOTION = 0.25
#: Parts of a face that beat together less than this, in noise or where something else is seen than blood.
_APART = (0.1, 0.4)
#: An SQI where nothing is believed is no higher than this.
_BLIND_SQI = 0.5
#: Half of the width of a peak and of its first sidelobe, in bins of the window.
_LOBE = 2.5
#: A fingertip's slowest rates are not believed where its colour sways slower, from so many a minute on, with so many
#: times the power.
_SWAYS = ((15.0, 5.0), (30.0, 1.0))


@dataclass(frozen=True)
class Quality:
    """The judgement on a window.

    Args:
        hr_bpm: the best guess, or None where there is no signal at all.
        sqi: calibrated, [0, 1].
        reason: why it is not to be relied on, or None.
        features: by name, see ``LEARNED_FEATURES``.
    """

    hr_bpm: float | None
    sqi: float
    reason: str | None
    features: dict[str, float]


class Judge:
    """Judges windows of one pulse. What all windows share is computed once.

    Args:
        pulse: with its evidence, if there is any.
    """

    def __init__(self, pulse: Pulse) -> None:
        self.pulse = pulse
        self._waves: dict[str, Floats] = {}
        self._patches: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
        evidence = pulse.evidence
        if evidence is None or evidence.patches.shape[1] < 4 or pulse.method in CONTACT_METHODS:
            return
        fs, n = pulse.fs, len(pulse.bvp)
        seen = np.asarray(np.isfinite(evidence.rgb).all(axis=1))
        spans = [run for run in runs(seen) if run.stop - run.start >= 3 * fs]
        if spans and all(float(evidence.rgb[run].mean(axis=0).min()) > 2.0 for run in spans):
            self._waves = {name: np.zeros(n) for name in ("pos", "chrom", "green")}
            for name, wave in self._waves.items():
                for run in spans:
                    wave[run] = band(METHODS.load(name)(evidence.rgb[run], fs), fs)
        if self._waves:
            chroma = np.zeros((2, n, evidence.patches.shape[1]), np.float32)
            for run in spans:
                chroma[:, run] = _chroma(evidence.patches[run], fs)
            self._patches = (chroma[0], chroma[1])

    def __call__(self, start: int, stop: int) -> Quality:
        """Judge the samples ``start:stop``."""
        pulse, evidence = self.pulse, self.pulse.evidence
        valid = pulse.valid[start:stop]
        fs = pulse.fs
        if valid.mean() < 1 - MISSING or not _is_covered(evidence, start, stop):
            return Quality(None, 0.0, "no face", {})
        if fs < MIN_FPS - _CLOCK_FPS or _is_slow(evidence, start, stop):
            return Quality(None, 0.0, "fs too low", {})
        reason = _exposure(evidence, start, stop, _BLIND_SHARE)
        seen = self.look(start, stop)
        if seen is None:
            return Quality(None, 0.0, reason or "no periodic component", {})
        f0, features = seen
        kind = "face" if self._patches is not None else "trace"
        sqi = _score(features, kind, pulse.method)
        if reason is not None:
            sqi = min(sqi, _BLIND_SQI)
        elif evidence is not None:
            apart = features["unison"] < _APART[0] and features["phase"] < _APART[1]
            reason = impostor(pulse, start, stop, f0, pulse.method in CONTACT_METHODS, sqi, apart)
            sqi = sqi if reason is None else 0.0
        slow = pulse.method in CONTACT_METHODS and evidence is not None and _is_sway(evidence, start, stop, fs, f0)
        if reason is None and (slow or _is_beyond(pulse, start, stop, f0)):
            reason, sqi = "no periodic component", 0.0
        if reason is None and not sqi >= SQI_THRESHOLD:
            moving = features["motion"] > np.log10(_MOTION)
            weak = "too much motion" if moving else "no periodic component"
            reason = _exposure(evidence, start, stop, _CLIPPED_SHARE) or weak
        return Quality(60.0 * f0, sqi, reason, features)

    def look(self, start: int, stop: int) -> tuple[float, dict[str, float]] | None:
        """The frequency of the best guess (Hz) and the features of ``start:stop``; None where the pulse is flat."""
        pulse = self.pulse
        bvp = np.where(pulse.valid[start:stop], pulse.bvp[start:stop], 0.0)
        if float(bvp.std()) < 1e-9:
            return None
        f0 = pulse_frequency(bvp, pulse.fs, BIN_HZ)
        frequencies, power = spectrum(bvp, pulse.fs, BIN_HZ)
        return f0, {
            "snr_db": _snr_db(frequencies, power, f0),
            "dominance": _dominance(frequencies, power, f0),
            "halves": _halves(bvp, pulse.fs, f0),
            "strength": _strength(bvp, None if pulse.scale is None else pulse.scale[start:stop]),
            **self._evidence_features(start, stop, f0),
        }

    def _evidence_features(self, start: int, stop: int, f0: float) -> dict[str, float]:
        out = {"agreement": 0.0, "unison": 0.0, "phase": 0.0, "log_ac": -1.0, "motion": -3.0}
        if self.pulse.evidence is not None:
            motion = self.pulse.evidence.motion[start:stop]
            if np.isfinite(motion).any():
                out["motion"] = float(np.log10(np.nanmean(motion) + 1e-3))
        if self._waves:
            waves = [wave[start:stop] for wave in self._waves.values()]
            out["agreement"] = _agreement(waves, self.pulse.fs, f0)
            out["log_ac"] = _log_ac(self._waves["pos"][start:stop], self.pulse.fs, f0)
        if self._patches is not None:
            a, b = (part[start:stop].astype(np.float64) for part in self._patches)
            out["unison"], out["phase"] = _unison(a, b, self.pulse.fs, f0)
        return out


def _chroma(patches: NDArray[Any], fs: float) -> NDArray[np.float32]:
    """The two POS projections of each patch, band-passed: (2, T, P). In groups of patches, for memory."""
    out = np.zeros((2, *patches.shape[:2]), np.float32)
    for first in range(0, patches.shape[1], 4):
        colour = patches[:, first : first + 4].astype(np.float64)
        x = colour / np.maximum(colour.mean(axis=0), 1e-3)
        s = np.stack([x[..., 1] - x[..., 2], x[..., 1] + x[..., 2] - 2.0 * x[..., 0]], axis=1)
        out[:, :, first : first + 4] = band(s, fs).swapaxes(0, 1)
    return out


def _is_covered(evidence: Evidence | None, start: int, stop: int) -> bool:
    """Whether what was seen beside the pulse is known for as much of a window as the pulse must be."""
    return evidence is None or float(np.isfinite(evidence.rgb[start:stop]).all(axis=1).mean()) >= 1 - MISSING


def _is_beyond(pulse: Pulse, start: int, stop: int, f0: float) -> bool:
    """Whether the peak at ``f0`` (Hz) may be the slope of a higher one, above the rates that are looked for, or the
    double of one below them."""
    bvp = np.where(pulse.valid[start:stop], pulse.bvp[start:stop], 0.0)
    if is_slower(bvp, pulse.fs, f0, BIN_HZ):
        return True
    frequencies, power = heart_spectrum(bvp, pulse.fs, BIN_HZ)
    high = HR_BAND_BPM[1] / 60
    beyond = (
        (frequencies > high) & (frequencies <= high + _LOBE * pulse.fs / len(bvp)) & ~near(frequencies, 2 * f0, 0.15)
    )
    return float(power[beyond].max(initial=0.0)) > float(np.interp(f0, frequencies, power))


def _is_sway(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether the peak at ``f0`` (Hz) may be the slope of what sways slower than a heart and was filtered out of the
    pulse, as where no finger is."""
    low = HR_BAND_BPM[0] / 60
    colour = evidence.rgb[start:stop]
    colour = colour[np.isfinite(colour).all(axis=1)]
    if f0 > low + fs / (stop - start) or len(colour) < 2:
        return False
    waves = [c / c.mean() for c in colour.T if c.mean() > 1.0]
    spectra = [spectrum(wave, fs, BIN_HZ) for wave in waves]
    if not spectra:
        return False
    frequencies, power = spectra[0][0], np.sum([p for _, p in spectra], axis=0)
    here = float(np.interp(f0, frequencies, power))
    return any(
        float(power[(frequencies >= bpm / 60) & (frequencies < low)].max()) > times * here for bpm, times in _SWAYS
    )


def _is_slow(evidence: Evidence | None, start: int, stop: int) -> bool:
    """Whether half of a window was made of too few frames a second."""
    rate = np.empty(0) if evidence is None else np.asarray(evidence.rate)[start:stop]
    rate = rate[np.isfinite(rate)]
    return len(rate) > 0 and float(np.median(rate)) < MIN_FPS - _CLOCK_FPS


def _exposure(evidence: Evidence | None, start: int, stop: int, share: float) -> str | None:
    """Whether the face is too dark, or more than ``share`` of it over-exposed."""
    if evidence is None:
        return None
    luma = evidence.luma[start:stop]
    if np.isfinite(luma).any() and float(np.nanmedian(luma)) < _DARK_LUMA:
        return "too dark"
    clipped = evidence.clipped[start:stop]
    if np.isfinite(clipped).any() and float(np.nanmedian(clipped)) > share:
        return "over-exposed"
    return None


def _snr_db(frequencies: Floats, power: Floats, f0: float) -> float:
    """Power at the pulse and its second harmonic against the rest of 0.65–4 Hz, dB."""
    inside = (frequencies >= 0.65) & (frequencies <= 4.0)
    signal = inside & (near(frequencies, f0, 0.15) | near(frequencies, 2 * f0, 0.15))
    rest = float(power[inside & ~signal].sum())
    return float(np.clip(10 * np.log10(float(power[signal].sum()) / max(rest, 1e-30)), -30, 30))


def _dominance(frequencies: Floats, power: Floats, f0: float) -> float:
    """The peak against the highest other peak that is no harmonic of it, dB."""
    inside = (frequencies >= HR_BAND_BPM[0] / 60) & (frequencies <= HR_BAND_BPM[1] / 60)
    related = near(frequencies, f0, 0.25) | near(frequencies, 2 * f0, 0.2) | near(frequencies, 3 * f0, 0.2)
    other = float(power[inside & ~related].max(initial=1e-30))
    top = float(power[near(frequencies, f0, 0.02)].max(initial=1e-30))
    return float(np.clip(10 * np.log10(top / max(other, 1e-30)), 0, 30))


def _strength(bvp: Floats, scale: Floats | None) -> float:
    """log10 of the standard deviation of the method's own output; 0 where that is not known."""
    return 0.0 if scale is None else float(np.log10((bvp * scale).std() + 1e-3))


def _halves(bvp: Floats, fs: float, f0: float) -> float:
    """How far the heart rates of the two halves of the window lie from the whole's, log10(1 + bpm)."""
    half = len(bvp) // 2
    worst = 0.0
    for part in (bvp[:half], bvp[half:]):
        if float(part.std()) < 1e-12:
            return float(np.log10(61.0))
        worst = max(worst, abs(60 * (heart_frequency(*heart_spectrum(part, fs, BIN_HZ)) - f0)))
    return float(np.log10(1.0 + min(worst, 60.0)))


def _agreement(waves: list[Floats], fs: float, f0: float) -> float:
    """Mean over methods of how near their own peak is to f0: 1 at the same rate, 0 at more than 6 bpm away."""
    near = []
    for wave in waves:
        if float(wave.std()) < 1e-12:
            near.append(0.0)
            continue
        f = heart_frequency(*heart_spectrum(wave, fs, BIN_HZ))
        near.append(max(0.0, 1.0 - 60 * abs(f - f0) / 6.0))
    return float(np.mean(near))


def _log_ac(pos: Floats, fs: float, f0: float) -> float:
    """log10 of the amplitude of POS at f0, per cent of the mean colour. A pulse is 0.01–2 %."""
    n = len(pos)
    window = np.hanning(n)
    tone = np.exp(-2j * np.pi * f0 * np.arange(n) / fs)
    amplitude = 2 * abs(float(np.abs((pos * window * tone).sum()))) / float(window.sum())
    return float(np.log10(100 * amplitude + 1e-5))


def _unison(a: Floats, b: Floats, fs: float, f0: float) -> tuple[float, float]:
    """Whether the parts of the face beat together.

    Returns:
        the mean correlation between pairs of patches around f0 (noise: near 0, a pulse: towards 1), and how alike
        their phases are at f0 (resultant length, 0–1).
    """
    waves = a + a.std(axis=0) / np.maximum(b.std(axis=0), 1e-9) * b
    n = len(waves)
    window = np.hanning(n)[:, None]
    t = np.arange(n)[:, None] / fs
    # Complex demodulation at f0 and 0.1 Hz on both sides of it keeps the beat-to-beat changes.
    tones = [np.exp(-2j * np.pi * (f0 + df) * t) for df in (-0.1, 0.0, 0.1)]
    z = np.stack([(waves * window * tone).sum(axis=0) for tone in tones])  # (3, P)
    norm = np.sqrt((np.abs(z) ** 2).sum(axis=0))
    unit = z / np.maximum(norm, 1e-12)
    pairs = np.real(np.conj(unit).T @ unit)
    p = pairs.shape[0]
    correlation = float((pairs.sum() - np.trace(pairs)) / (p * (p - 1)))
    phases = z[1] / np.maximum(np.abs(z[1]), 1e-12)
    return correlation, float(np.abs(phases.mean()))


@lru_cache(maxsize=1)
def _fit() -> dict[str, Any]:
    return dict(json.loads((files("kdphys") / "assets" / "sqi.json").read_text()))


def expand(x: Floats, mean: Floats, scale: Floats) -> Floats:
    """Standardised features and their products: what matters together (a clean spectrum *and* agreement) counts.

    Features are held to ±2.5 standard deviations of what the fit has seen: it does not extrapolate.

    Args:
        x: (N, F).
        mean, scale: (F,).

    Returns:
        (N, F + F(F + 1)/2).
    """
    z = np.clip((x - mean) / scale, -2.5, 2.5)
    i, j = np.triu_indices(z.shape[1])
    return np.concatenate([z, z[:, i] * z[:, j]], axis=1)


def _score(features: dict[str, float], kind: str, method: str) -> float:
    """The calibrated SQI of a method; of one without a fit of its own that of all, of a network that of the student."""
    fits = _fit()["fits"]
    learned = kind == "face" and method not in METHODS and features["strength"] != 0.0
    fit = fits.get(f"{kind}:{method}", fits["face:student"] if learned else fits[kind])
    return share(fit, np.array([features[name] for name in fit.get("features", FEATURES)]))


def share(fit: dict[str, Any], features: Floats) -> float:
    """A logistic score, then the measured share of right answers at that score.

    Args:
        fit: of ``assets/sqi.json``.
        features: (F,), in the fit's order.
    """
    x = expand(features[None], np.array(fit["mean"]), np.array(fit["scale"]))
    score = float((x @ np.array(fit["weights"]))[0] + fit["bias"])
    return float(np.interp(score, fit["score"], fit["share"]))
