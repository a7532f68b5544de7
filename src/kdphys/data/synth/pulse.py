"""The heart: beat-to-beat intervals, the shape of the pulse wave, respiration.

Intervals follow the classical picture of heart-rate variability: respiratory sinus arrhythmia at the breathing
rate, Mayer waves near 0.1 Hz, slow drift and ectopic beats (Task Force 1996, doi:10.1161/01.CIR.93.5.1043).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class PulseSpec:
    """One person's pulse during one clip.

    Args:
        present: False for a photo, a mask, a mannequin: nothing pulses, whatever the other values say.
        hr_bpm: mean rate aimed at, 30–240.
        rsa, lf, jitter: standard deviations of the interval at the breathing rate, near 0.1 Hz, and from beat to
            beat, as shares of the mean interval.
        lf_hz: of the Mayer waves.
        drift: change of the rate over a minute, share.
        ectopic: probability that a beat comes early.
        resp_brpm: breathing rate, 6–40 per minute.
        resp_baseline, resp_amplitude: respiration in the wave's baseline (share of the pulse's amplitude) and in its
            amplitude (share).
        notch: height of the dicrotic wave, share of the systolic one; 0 for none.
        notch_phase: its delay after the systolic peak, share of the beat.
        rise: time of the systolic rise, share of the beat.
        fall: width of the fall, share of the beat.
        amplitude: peak-to-peak share of green light that the pulse takes away at full strength.
        colour: relative strength in R, G, B, green = 1.
        delay_s: arrival at the chin minus arrival at the forehead.
        bcg: ballistocardiographic head motion, face widths, peak to peak.
    """

    present: bool = True
    hr_bpm: float = 70.0
    rsa: float = 0.03
    lf: float = 0.02
    jitter: float = 0.005
    lf_hz: float = 0.1
    drift: float = 0.0
    ectopic: float = 0.0
    resp_brpm: float = 15.0
    resp_baseline: float = 0.2
    resp_amplitude: float = 0.1
    notch: float = 0.3
    notch_phase: float = 0.28
    rise: float = 0.11
    fall: float = 0.16
    amplitude: float = 0.004
    colour: tuple[float, float, float] = (0.43, 1.0, 0.69)
    delay_s: float = 0.01
    bcg: float = 0.001

    def __post_init__(self) -> None:
        if not (30 <= self.hr_bpm <= 240 and 3 <= self.resp_brpm <= 60 and 0 <= self.amplitude <= 0.1):
            raise InvalidInputError(
                "pulse: expected 30–240 beats and 3–60 breaths a minute and an amplitude of 0–0.1, got "
                f"{self.hr_bpm}, {self.resp_brpm}, {self.amplitude}"
            )


def sample_pulse(rng: np.random.Generator, hr_bpm: float | None = None) -> PulseSpec:
    """A random heart: 40–200 bpm evenly, fast ones with less variability, as in nature."""
    hr = float(rng.uniform(40, 200)) if hr_bpm is None else hr_bpm
    calm = float(np.clip((150 - hr) / 90, 0.08, 1.0))
    notched = rng.random() < 0.6
    return PulseSpec(
        hr_bpm=hr,
        rsa=float(calm * rng.uniform(0.0, 0.07)),
        lf=float(calm * rng.uniform(0.0, 0.05)),
        jitter=float(calm * rng.uniform(0.001, 0.015)),
        lf_hz=float(rng.uniform(0.06, 0.13)),
        drift=float(rng.normal(0, 0.05)),
        ectopic=float(rng.choice([0.0, rng.uniform(0.02, 0.12)], p=[0.85, 0.15])),
        resp_brpm=float(rng.uniform(8, 28) + 10 * (1 - calm) * rng.random()),
        resp_baseline=float(rng.uniform(0.0, 0.6)),
        resp_amplitude=float(rng.uniform(0.0, 0.25)),
        notch=float(rng.uniform(0.15, 0.6)) if notched else float(rng.choice([0.0, 0.06])),
        notch_phase=float(rng.uniform(0.22, 0.36)),
        rise=float(rng.uniform(0.07, 0.15)),
        fall=float(rng.uniform(0.12, 0.24)),
        amplitude=float(np.exp(rng.uniform(np.log(0.0016), np.log(0.022)))),
        delay_s=float(rng.uniform(-0.02, 0.04)),
        bcg=float(np.exp(rng.uniform(np.log(0.0001), np.log(0.003)))),
    )


@dataclass(frozen=True, eq=False)
class Heart:
    """A realised pulse.

    Args:
        beats: times of the beats in seconds, covering the clip with a margin on both sides.
        ibi_s: intervals between them, one fewer.
        resp_phase: (frequency Hz, phase) of the breathing, and its slow wander as (amplitude, Hz, phase).
        spec: what was asked for.
    """

    beats: Floats
    ibi_s: Floats
    resp_phase: tuple[float, float, float, float, float]
    spec: PulseSpec

    def phase(self, t: ArrayLike) -> Floats:
        """Beats since the first one, a rising real number: the whole part counts, the rest is the phase."""
        x = np.asarray(t, float)
        if x.size and not (self.beats[0] <= x.min() and x.max() <= self.beats[-1]):
            raise InvalidInputError(
                f"pulse: asked for {x.min():.2f}–{x.max():.2f} s, "
                f"known from {self.beats[0]:.2f} to {self.beats[-1]:.2f} s"
            )
        out: Floats = np.interp(x, self.beats, np.arange(len(self.beats)))
        return out

    def resp(self, t: ArrayLike) -> Floats:
        """Respiration, −1 to 1, breathing in upwards."""
        f, p, a, wf, wp = self.resp_phase
        x = np.asarray(t, float)
        angle = 2 * np.pi * f * x + p + a * np.sin(2 * np.pi * wf * x + wp)
        out: Floats = np.sin(angle) + 0.15 * np.sin(2 * angle)
        return out / 1.12

    def bvp(self, t: ArrayLike) -> Floats:
        """The pulse wave at times ``t``, about 1 from foot to peak, systole upwards, mean near 0."""
        s, x = self.spec, np.asarray(t, float)
        if not s.present:
            return np.zeros_like(x)
        theta = np.mod(self.phase(x), 1.0)
        wave = _hump(theta, 0.18, s.rise, s.fall) + s.notch * _hump(theta, 0.18 + s.notch_phase + 0.1, 0.09, 0.13)
        breath = self.resp(x - 0.3)
        mean = 0.5 * np.sqrt(2 * np.pi) * (s.rise + s.fall + s.notch * 0.22)
        out: Floats = (1 + s.resp_amplitude * breath) * (wave - mean) + 0.5 * s.resp_baseline * breath
        return out

    def hr_bpm(self, start: float, stop: float) -> float:
        """Mean rate between two times, 60 × beats ÷ seconds; NaN where nothing pulses."""
        if not self.spec.present:
            return float("nan")
        a, b = self.phase([start, stop])
        return float(60 * (b - a) / (stop - start))

    def hr_at(self, t: ArrayLike) -> Floats:
        """Instantaneous rate (bpm) at ``t``: of the interval that each time lies in."""
        x = np.asarray(t, float)
        k = np.clip(np.searchsorted(self.beats, x, side="right") - 1, 0, len(self.ibi_s) - 1)
        out: Floats = 60 / self.ibi_s[k]
        return out if self.spec.present else np.full_like(x, np.nan)


def _hump(theta: Floats, at: float, rise: float, fall: float) -> Floats:
    """A two-sided Gaussian on the circle of the beat."""
    out = np.zeros_like(theta)
    for turn in (-1.0, 0.0, 1.0):
        d = theta - at - turn
        out += np.exp(-0.5 * (d / np.where(d < 0, rise, fall)) ** 2)
    return out


def realise(spec: PulseSpec, rng: np.random.Generator, seconds: float, margin_s: float = 3.0) -> Heart:
    """Draw the beats of a clip of ``seconds``, from −margin to seconds + margin."""
    resp = (
        spec.resp_brpm / 60,
        float(rng.uniform(0, 2 * np.pi)),
        float(rng.uniform(0.2, 1.0)),
        float(rng.uniform(0.01, 0.04)),
        float(rng.uniform(0, 2 * np.pi)),
    )
    sketch = Heart(np.zeros(1), np.zeros(0), resp, spec)
    mean, phase = 60 / spec.hr_bpm, float(rng.uniform(0, 2 * np.pi))
    t = -margin_s - float(rng.uniform(0, mean))
    beats, ibis, early = [t], [], False
    while t < seconds + margin_s:
        change = (
            spec.rsa * np.sqrt(2) * float(sketch.resp(t))
            + spec.lf * np.sqrt(2) * np.sin(2 * np.pi * spec.lf_hz * t + phase)
            + spec.jitter * float(rng.standard_normal())
            - spec.drift * (t - seconds / 2) / 60
        )
        ibi = mean * (1 - float(np.clip(change, -0.4, 0.4)))
        if early:  # the pause that makes up for an early beat
            ibi, early = ibi * 1.3, False
        elif rng.random() < spec.ectopic:
            ibi, early = ibi * 0.7, True
        ibi = float(np.clip(ibi, 0.25, 2.5))
        t += ibi
        beats.append(t)
        ibis.append(ibi)
    return Heart(np.array(beats), np.array(ibis), resp, spec)
