"""The real face with a reference pulse, for checking: ``python benchmarks/faces.py [METHOD or FILE.onnx …]``.

Heart rate of the whole clip as kdphys reads it off a wave's spectrum, likeness to the finger's pulse wave at the best
lag up to 0.5 s, and SNR at the reference's rate, for the student and classical methods. Nothing is tuned or chosen by
it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import kdphys
from kdphys.dsp import bandpass, heart_frequency, heart_spectrum, spectrum
from kdphys.pipeline import measure_all

ROOT = Path(os.environ.get("KDPHYS_RECORDINGS", "../shared/recordings")) / "faces" / "vitallens_1"
BIN_HZ = 0.25 / 60


def snr_db(wave: np.ndarray, fs: float, f0: float) -> float:
    """Power within 6 bpm of the rate and its double against the rest of 0.65–4 Hz."""
    f, power = spectrum(wave, fs, BIN_HZ)
    band = (f >= 0.65) & (f <= 4.0)
    signal = band & ((abs(f - f0) <= 0.1) | (abs(f - 2 * f0) <= 0.1))
    return float(10 * np.log10(power[signal].sum() / power[band & ~signal].sum()))


def likeness(a: np.ndarray, b: np.ndarray, reach: int) -> tuple[float, int]:
    """Highest correlation over lags up to ``reach`` samples, and its lag."""
    pairs = ((a[max(k, 0) : len(a) + min(k, 0)], b[max(-k, 0) : len(b) - max(k, 0)]) for k in range(-reach, reach + 1))
    r = [float(np.corrcoef(x, y)[0, 1]) for x, y in pairs]
    best = int(np.argmax(r))
    return r[best], best - reach


@dataclass(frozen=True)
class Likeness:
    """A wave beside the finger's: rates in bpm, correlation at the best lag in s, SNR in dB."""

    bpm: float
    true_bpm: float
    likeness: float
    lag_s: float
    snr_db: float


@dataclass(frozen=True)
class Figures(Likeness):
    """What a method of kdphys makes of the clip."""

    sqi: float
    answered: bool


def compare(wave: np.ndarray, times: np.ndarray, fs: float) -> Likeness:
    """A wave on a grid of ``fs`` whose times are the clip's."""
    table = np.genfromtxt(ROOT / "reference.csv", delimiter=",", names=True)
    clock = [frame.t for frame in kdphys.read_video(ROOT / "video.mp4")]
    n = min(len(clock), len(table))
    ppg = np.interp(times, clock[:n], table["ppg"][:n])
    ppg = bandpass(ppg - ppg.mean(), fs, 0.6, 4.0)
    true, guess = (heart_frequency(*heart_spectrum(x, fs, BIN_HZ)) for x in (ppg, wave))
    r, lag = likeness(wave, ppg, round(0.5 * fs))
    return Likeness(60 * guess, 60 * true, r, lag / fs, snr_db(wave, fs, true))


def figures(method: str, video: Path = ROOT / "video.mp4") -> Figures:
    """Of a method by its name or ONNX file, on the clip or on what an encoder made of it."""
    one = measure_all(video, method)[0]
    seen = compare(one.pulse.bvp, one.pulse.times, one.pulse.fs)
    return Figures(**vars(seen), sqi=one.vitals.sqi, answered=one.vitals.reliable)


def main() -> None:
    print("| method | HR, bpm | confidence | error, bpm | r with finger PPG (lag, s) | SNR, dB |")
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:] or ("student", "pos", "chrom", "green"):
        f = figures(name)
        shown = f"{f.sqi:.0%}" if f.answered else "no answer"
        cells = f"{f.bpm:.1f} | {shown} | {abs(f.bpm - f.true_bpm):.1f} | {f.likeness:.2f} ({f.lag_s:+.2f})"
        print(f"| {name} | {cells} | {f.snr_db:.1f} |")
    print(f"\nreference: {f.true_bpm:.1f} bpm by the PPG's spectrum")


if __name__ == "__main__":
    main()
