"""Heart rate from fingertip camera traces against oximeters and ECG: ``python benchmarks/finger.py``.

Reads the Welltory and oximetry recordings under ``KDPHYS_RECORDINGS``; prints MAE in 10 s windows at full coverage and
at the coverage that the software dares, and the risk–coverage curve; and variability against the chest strap.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from unittest.mock import patch

import numpy as np

from kdphys.containers import Evidence, RgbTrace
from kdphys.dsp import resample_by_time
from kdphys.pulse.estimate import load_method
from kdphys.vitals import hrv, measure_vitals
from kdphys.vitals.heart_rate import hr_course

ROOT = Path(os.environ.get("KDPHYS_RECORDINGS", "../shared/recordings")) / "finger"
WINDOW_S = 10.0


def trace(times: np.ndarray, rgb: np.ndarray) -> RgbTrace:
    values, valid, t0 = resample_by_time(times, rgb, 30.0)
    n = len(values)
    luma = values @ [0.299, 0.587, 0.114]
    rate = 1 / float(np.median(np.diff(times)))
    evidence = Evidence(values, np.zeros((n, 0, 3)), luma, np.zeros(n), np.zeros(n), rate)
    return RgbTrace(values, 30.0, t0, valid, evidence)


def welltory() -> list[tuple[str, RgbTrace, np.ndarray, np.ndarray]]:
    """(name, trace, reference times, reference bpm): each interval's rate at its end, from the recording's start."""
    out = []
    for folder in sorted((ROOT / "welltory" / "data").iterdir()):
        table = np.loadtxt(folder / "PPG.csv", delimiter=",", skiprows=1)
        _, first = np.unique(table[:, 0], return_index=True)  # some rows repeat a time
        rr = np.array((folder / "RR.txt").read_text().split(), float)
        out.append((folder.name, trace(table[first, 0] / 1000, table[first, 1:4]), np.cumsum(rr) / 1000, 60000 / rr))
    return out


def oximetry() -> list[tuple[str, RgbTrace, np.ndarray, np.ndarray]]:
    out = []
    for hand in ("Left", "Right"):
        for path in sorted((ROOT / "oximetry" / "data" / "ppg-csv" / hand).glob("*.csv")):
            rgb = np.loadtxt(path, delimiter=",", skiprows=1)
            lines = (ROOT / "oximetry" / "data" / "gt" / path.name).read_text(encoding="utf-8-sig").splitlines()
            columns = [k for k, name in enumerate(lines[0].split(",")) if name.startswith("Pulse ")]
            rows = [line.split(",") for line in lines[1:]]
            pulses = np.array([[_number(row[k]) for k in columns] for row in rows])
            pulses[(pulses < 30) | (pulses > 220)] = np.nan
            seen = np.isfinite(pulses).any(axis=1)
            bpm = np.full(len(pulses), np.nan)
            bpm[seen] = np.nanmedian(pulses[seen], axis=1)
            out.append((f"{hand} {path.stem}", trace(np.arange(len(rgb)) / 30, rgb), np.arange(len(bpm)) * 1.0, bpm))
    return out


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def variability(method: str) -> None:
    """SDNN and RMSSD against the intervals of the chest strap, as they are told and without the limit of noise."""
    pulses = [(load_method(method).pulse(rgb), 60000 / bpm) for _, rgb, _, bpm in welltory()]
    for limit, label in ((hrv.NOISE, "told"), (np.inf, "without the limit of noise")):
        with patch.object(hrv, "NOISE", limit):
            told = [(measure_vitals(pulse).hrv, rr) for pulse, rr in pulses]
        for name, true in (("sdnn", np.std), ("rmssd", lambda rr: np.sqrt(np.mean(np.diff(rr) ** 2)))):
            ratios = np.array([v[name].value / true(plausible(rr)) for v, rr in told if v[name].value is not None])
            near = np.mean(np.abs(ratios - 1) <= 0.25) if len(ratios) else np.nan
            print(f"  {label}: {name} of {len(ratios)} of {len(told)}, within 25 % of the truth {near:.0%}"
                  f" (ratios {ratios.min(initial=9):.2f}–{ratios.max(initial=0):.2f})")  # fmt: skip


def plausible(rr: np.ndarray) -> np.ndarray:
    """The intervals of the reference that :mod:`kdphys.vitals.beats` would accept."""
    around = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(rr, 3, mode="edge"), 7), axis=1)
    return rr[np.abs(rr - around) < 0.3 * around]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="channel")
    parser.add_argument(
        "--lag", type=float, default=0.0, help="the reference speaks of this many seconds before: oximeters average"
    )
    parser.add_argument("--each", action="store_true", help="one line a recording")
    options = parser.parse_args()
    method = load_method(options.method)
    for name, load in (("welltory", welltory), ("oximetry", oximetry)):
        errors, sqi, answered, minutes = [], [], [], 0.0
        for label, rgb, times, bpm in load():
            minutes += len(rgb.rgb) / rgb.fs / 60
            mine = []
            for w in hr_course(method.pulse(rgb), WINDOW_S, WINDOW_S):
                inside = (times >= w.t0 + options.lag) & (times <= w.t1 + options.lag) & np.isfinite(bpm)
                if inside.sum() < 5:
                    continue  # no reference
                truth = float(bpm[inside].mean())
                guess = w.candidate_bpm if w.candidate_bpm is not None else np.nan
                mine.append((abs(guess - truth), w.sqi, w.hr_bpm is not None))
            e = np.array(mine)
            if options.each:
                ok = e[:, 2] > 0
                print(f"  {label:16s} {len(e):4d} windows  MAE {np.nanmean(e[:, 0]):5.2f}  answered {ok.mean():.0%}"
                      f" MAE {np.nanmean(e[ok, 0]) if ok.any() else np.nan:5.2f}")  # fmt: skip
            errors.append(e[:, 0])
            sqi.append(e[:, 1])
            answered.append(e[:, 2] > 0)
        error, score, ok = (np.concatenate(x) for x in (errors, sqi, answered))
        guess = np.isfinite(error)
        order = np.argsort(-score[guess], kind="stable")
        ranked = error[guess][order]
        print(
            f"{name}: {minutes:.0f} min, {len(error)} windows of {WINDOW_S:g} s, "
            f"method {options.method}, lag {options.lag:g} s"
        )
        print(f"  all windows     MAE {ranked.mean():.2f} bpm, within 5 bpm {np.mean(ranked < 5):.1%}")
        print(f"  answered        MAE {error[ok].mean():.2f} bpm at {ok.mean():.1%} coverage, "
              f"within 5 bpm {np.mean(error[ok] < 5):.1%}, mean SQI {score[ok].mean():.1%}")  # fmt: skip
        for share in (1.0, 0.9, 0.8, 0.7, 0.5, 0.3):
            n = max(round(share * len(ranked)), 1)
            print(f"  best {share:4.0%} by SQI MAE {ranked[:n].mean():.2f} bpm")
        if load is welltory:
            variability(options.method)


if __name__ == "__main__":
    main()
