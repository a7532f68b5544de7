"""Test vectors of what works on signals: filters, classical methods, quality, vital signs."""

from typing import Any

import numpy as np
from web_vectors_common import FS, Json, f32, packed, rng, skin_rgb

from kdphys.classical import METHODS
from kdphys.containers import Evidence, Pulse, RgbTrace
from kdphys.dsp import (
    bandpass,
    detrend,
    heart_frequency,
    heart_spectrum,
    is_slower,
    peak_frequency,
    pulse_frequency,
    resample_by_time,
    spectrum,
)
from kdphys.pulse.estimate import TraceMethod
from kdphys.pulse.shape import shape_pulse
from kdphys.vitals.beats import find_beats
from kdphys.vitals.heart_rate import Memory, hr_course
from kdphys.vitals.hrv import variability
from kdphys.vitals.quality import Judge
from kdphys.vitals.respiration import respiration
from kdphys.vitals.result import HrWindow

#: Amplitude and rad/s of what is left of a slow heart's own rate beside its double: in step with it, and not.
DOUBLES = ((0.4, 5.0), (0.4, 5.2))


def dsp_vectors() -> Json:
    random, t = rng(1), np.arange(400) / FS
    x = f32(np.sin(2 * np.pi * 1.2 * t) + 0.3 * np.sin(2 * np.pi * 2.4 * t) + 0.05 * t**2 + random.normal(size=400))
    frequencies, power = spectrum(x, FS, 0.25 / 60)
    bins = np.arange(0, len(power), 37)
    times = f32(np.cumsum(random.uniform(0.01, 0.06, 90)))
    times[40:] += 0.9
    times = f32(times)
    rows = f32(np.stack([np.sin(5 * times), random.normal(size=90)], 1))
    missing = [10, 11]
    holed = rows.copy()
    holed[missing] = np.nan
    resampled = {
        name: resample_by_time(times, holed, fs, 0.5, t0)
        for name, fs, t0 in (("slow", 12.0, None), ("fast", 50.0, 0.3))
    }
    return {
        "x": packed(x),
        "fs": FS,
        "detrend": {str(lam): packed(detrend(x, lam)) for lam in (20.0, 100.0)},
        "bandpass": [
            {"low": low, "high": high, "order": order, "y": packed(bandpass(x, FS, low, high, order))}
            for low, high, order in ((0.65, 3.5, 2), (0.6, 4.0, 2), (0.667, 4.0, 3))
        ],
        "spectrum": {"step": float(frequencies[1]), "bins": bins.tolist(), "power": packed(power[bins])},
        "peak": [
            {"low": low, "high": high, "f": peak_frequency(frequencies, power, low, high)}
            for low, high in ((40 / 60, 200 / 60), (2.0, 3.0))
        ],
        "heart": [
            {"wave": packed(wave), "f": heart_frequency(*heart_spectrum(wave, FS))}
            for wave in (f32(a * np.sin(5 * t[:300]) + np.sin(10 * t[:300])) for a in (0.6, 0.8))
        ],
        "pulse": [
            {"wave": packed(wave), "f": pulse_frequency(wave, FS)}
            for wave in (f32(a * np.sin(b * t[:300] + 0.3) + np.sin(10 * t[:300])) for a, b in DOUBLES)
        ],
        "slower": [
            {"wave": packed(wave), "f": f, "slower": is_slower(wave, FS, f)}
            for a, b in ((0.3, 3.6), (0.1, 3.6), (0.9, 3.6), (0.3, 4.2))
            for f in (b / np.pi,)
            for wave in (f32(a * np.sin(b * t[:300] + 0.3) + np.sin(2 * b * t[:300])),)
        ],
        "resample": {
            "times": packed(times),
            "rows": packed(rows),
            "missing": missing,
            **{
                name: {"fs": fs, "t0": t0, "values": packed(out[0]), "valid": out[1].astype(int).tolist()}
                for (name, out), fs, t0 in zip(resampled.items(), (12.0, 50.0), (None, 0.3), strict=True)
            },
        },
    }


def classical_vectors() -> Json:
    rgb = skin_rgb(400, 2)
    return {
        "rgb": packed(rgb),
        "fs": FS,
        **{name: packed(METHODS.load(name)(rgb, FS)) for name in ("pos", "chrom", "green")},
    }


#: How red, green and blue swing in a light on the face alone.
LIGHTS = {"orange light": (1.8, 1.0, 0.3), "blue light": (0.7, 1.0, 2.0), "white light": (0.88, 1.0, 1.05),
          "strong light": (1.5, 3.0, 2.4)}  # fmt: skip


def evidence_of(rgb: np.ndarray, seed: int, kind: str, bpm: float = 72.0) -> Evidence:
    """Six patches that share the trace of the face, with noise; by kind, one that a pulse must not be read from."""
    random, n = rng(seed), len(rgb)
    patches = rgb[:, None] * random.uniform(0.8, 1.1, (1, 6, 3)) * (1 + 0.003 * random.normal(size=(n, 6, 3)))
    if kind == "repeats":
        patches = np.resize(patches[:75], patches.shape)
        rgb = np.resize(rgb[:75], rgb.shape)
    if kind == "long loop":
        patches = np.resize(patches[:130], patches.shape) * (1 + 0.003 * random.normal(size=patches.shape))
        rgb = np.resize(rgb[:130], rgb.shape)
    if kind == "coded loop":  # what comes back is less than what a codec adds anew to every picture
        patches = np.resize(patches[:27], patches.shape) * (1 + 0.0034 * random.normal(size=patches.shape))
        rgb = np.resize(rgb[:27], rgb.shape)
    beat = rgb[:, 1] / rgb[:, 1].mean() - 1
    halves = np.resize([-1.0, 1.0], (1, 6, 1))
    if kind == "shades":  # lighter here, darker there, in time with the colour
        patches *= 1 + 3 * beat[:, None, None] * halves
    if kind == "shades apart":  # less, and no part beats
        patches = patches / (1 + beat[:, None, None]) * (1 + 1.5 * beat[:, None, None] * halves)
    if kind == "shades twice":  # at half of the rate, in step
        t = np.arange(n) / FS
        rate = (1 + 0.03 * np.sin(2 * np.pi * 0.25 * t) + 0.02 * np.sin(2 * np.pi * 0.1 * t)) * bpm / 60
        patches *= 1 + 0.012 * halves * np.sin(np.pi * np.cumsum(rate) / FS)[:, None, None]
    luma = rgb @ [0.299, 0.587, 0.114] * (0.12 if kind == "dark" else 1.0)
    clipped = np.full(n, 0.6 if kind == "bright" else 0.01)
    motion = np.abs(random.normal(0.02, 0.01, n)) + (0.5 if kind == "motion" else 0.0)
    around = 60 * (1 + 0.0005 * random.normal(size=n))
    if kind == "flicker":
        around *= luma / luma.mean()
    place = 2 + 0.0005 * random.normal(size=(n, 3))
    if kind == "nodding":  # in time with the colour
        place[:, 1] += 2.0 * (rgb[:, 1] / rgb[:, 1].mean() - 1)
    if kind.startswith("turning"):  # less, over a sway of another rhythm, and in time with the colour or not
        t = np.arange(n) / FS
        place[:, 1] += beat if kind == "turning" else 0.012 * np.sin(2 * np.pi * 2.17 * t + 2 * np.sin(1.9 * t))
        place[:, 1] += 0.008 * np.sin(2 * np.pi * 0.75 * t + 1)
    if kind == "light":  # on the face alone
        rgb = rgb.mean(axis=0) * (rgb[:, 1:2] / rgb[:, 1].mean())
    if kind in LIGHTS:
        rgb = rgb.mean(axis=0) * (1 + (rgb[:, 1:2] / rgb[:, 1].mean() - 1) * LIGHTS[kind])
    if kind == "faint around":
        around *= 1 + 0.2 * (luma / luma.mean() - 1)
    names = (rgb, patches.astype(np.float32), luma, clipped, motion)
    rate = np.full(n, 30.0)
    if kind == "slow":  # in a bit more than half of the window
        rate[: n // 2 + 9] = 5.0
    if kind == "stalling":  # five pictures in a row are one
        rate[np.arange(n) % 13 == 0] = 6.0
    sharp = 9 * (1 + 0.02 * random.normal(size=n))
    if kind == "hunting":  # for its focus, in time with the colour
        sharp *= 1 + 12 * (rgb[:, 1] / rgb[:, 1].mean() - 1)
    return Evidence(*(f32(x) for x in names), f32(rate), f32(around), f32(place), f32(sharp))


def pulse_json(pulse: Pulse) -> Json:
    e = pulse.evidence
    out: Json = {
        "bvp": packed(pulse.bvp),
        "valid": pulse.valid.astype(int).tolist(),
        "fs": pulse.fs,
        "t0": pulse.t0,
        "method": pulse.method,
        "scale": None if pulse.scale is None else packed(pulse.scale),
    }
    if e is not None:
        out["evidence"] = {
            name: packed(getattr(e, name))
            for name in ("rgb", "patches", "luma", "clipped", "motion", "rate", "surround", "place", "sharpness")
        }
    return out


def quality_vectors() -> Json:
    cases = []
    for k, (kind, pulse, noise) in enumerate(
        (("clean", 0.006, 0.001), ("faint", 0.0015, 0.003), ("none", 0.0, 0.004), ("repeats", 0.006, 0.002),
         ("dark", 0.006, 0.002), ("bright", 0.006, 0.002), ("motion", 0.001, 0.006), ("coded loop", 0.006, 0.002),
         ("flicker", 0.006, 0.001), ("nodding", 0.006, 0.001), ("light", 0.006, 0.001),
         ("slow", 0.006, 0.001), ("long loop", 0.006, 0.002), *((kind, 0.006, 0.001) for kind in LIGHTS),
         ("faint around", 0.006, 0.001), ("turning", 0.006, 0.001), ("turning apart", 0.006, 0.001),
         ("stalling", 0.006, 0.001), ("hunting", 0.006, 0.001),
         ("shades twice", 0.006, 0.001), ("shades", 0.006, 0.001), ("shades apart", 0.006, 0.001))
    ):  # fmt: skip
        bpm = 55 + 11 * (k % 12)
        evidence = evidence_of(skin_rgb(390, 20 + k, bpm, pulse, noise), 40 + k, kind, bpm)
        trace = RgbTrace(evidence.rgb, FS, 2.0, np.ones(390, bool), evidence)
        method = "green" if kind in LIGHTS else "pos"  # POS takes some lights out
        made = TraceMethod(method, METHODS.load(method)).pulse(trace)
        judge = Judge(made)
        windows = []
        for start, stop in ((90, 390), (100, 300)):
            q = judge(start, stop)
            seen = judge.look(start, stop)
            assert seen is not None
            windows.append(
                {
                    "start": start,
                    "stop": stop,
                    "hr_bpm": q.hr_bpm,
                    "sqi": q.sqi,
                    "reason": q.reason,
                    "features": seen[1],
                }
            )
        cases.append({"kind": kind, "pulse": pulse_json(made), "windows": windows})
    return {"cases": cases}


def recovery_vectors() -> Json:
    """A heart that comes down from 150 to 75 a minute, and its beats."""
    t = np.arange(round(80 * FS)) / FS
    phase = 2 * np.pi * np.cumsum((75 + 75 * np.exp(-t / 20)) / 60) / FS
    wave = f32(np.sin(phase) + 0.35 * np.sin(2 * phase - 1) + rng(61).normal(0, 0.05, len(t)))
    pulse = shape_pulse(wave, np.ones(len(t), bool), FS, 1.0, "pos", None)
    course = [w for w in hr_course(pulse) if w.hr_bpm is not None]
    beats, _, left_out = find_beats(pulse, course)
    return {
        "raw": packed(wave),
        "t0": 1.0,
        "course": [{"t0": w.t0, "t1": w.t1, "hr_bpm": w.hr_bpm, "sqi": w.sqi} for w in course],
        "beats": beats.tolist(),
        "left_out": left_out,
    }


def memory_vectors() -> Json:
    """A course whose rate is now a heart's, now a light's, and what is believed of it."""
    random, course = rng(51), []
    for k in range(120):
        known = k % 60 > 20 and bool(random.random() < (0.2 if k < 60 else 0.6))
        bpm = float(72 + random.normal(0, 2) + (20 if k % 13 == 0 else 0))
        reason = ("flickering light" if k % 3 else "too much motion") if known else None
        course.append(HrWindow(float(k), k + 10.0, None if known else bpm, 0.0 if known else 0.9, reason, bpm))
    course[50] = HrWindow(50.0, 60.0, None, 0.0, "no face")
    course[55] = HrWindow(55.0, 65.0, None, 0.4, "too much motion", 72.0)
    for k in range(24, 42):
        course[k] = HrWindow(float(k), k + 10.0, None, 0.0, "repeating picture", 50.0)
    return {
        "course": [[w.t0, w.t1, w.hr_bpm, w.sqi, w.reason, w.candidate_bpm] for w in course],
        "believed": [[w.hr_bpm, w.sqi, w.reason] for w in map(Memory(), course)],
    }


def estimate(e: Any) -> Json:
    return {"value": e.value, "unit": e.unit, "confidence": e.confidence, "min_s": e.min_s, "reason": e.reason}


def hrv_vectors(noise_s: float) -> Json:
    """Three minutes of a heart that breathes and has slow rhythms, whose beats are found as well as that."""
    beats = [0.5]
    while beats[-1] < 180:
        t = beats[-1]
        beats.append(t + 0.9 * (1 + 0.05 * np.sin(2 * np.pi * 0.25 * t) + 0.03 * np.sin(2 * np.pi * 0.1 * t)))
    found = np.array(beats) + rng(31).normal(0, noise_s, len(beats))
    intervals = np.stack([found[1:], 1000 * np.diff(found)], axis=1)
    told = {name: estimate(value) for name, value in variability(intervals, 2, 0.9).items()}
    return {"intervals": intervals.tolist(), "left_out": 2, "hrv": told}


def vitals_vectors() -> Json:
    """A long pulse with a gap: its shape, beats, variability and respiration."""
    rgb = skin_rgb(int(140 * FS), 60, 66, 0.006, 0.0008)
    raw = f32(METHODS.load("pos")(rgb, FS))
    seen = np.ones(len(raw), bool)
    seen[300:345] = False
    seen[800:860] = False
    seen[860:930] = False
    seen[920] = True
    green = rgb.copy()
    green[~seen] = np.nan
    n = len(raw)
    evidence = Evidence(green, np.zeros((n, 0, 3)), np.full(n, 90.0), np.zeros(n), np.zeros(n), 30.0)
    pulse = shape_pulse(raw, seen, FS, 3.0, "pos", evidence)
    course = [w for w in hr_course(pulse) if w.hr_bpm is not None]
    beats, intervals, left_out = find_beats(pulse, course)
    return {
        "raw": packed(raw),
        "seen": seen.astype(int).tolist(),
        "rgb": packed(np.nan_to_num(green, nan=-1.0)),
        "fs": FS,
        "t0": 3.0,
        "bvp": packed(pulse.bvp),
        "valid": pulse.valid.astype(int).tolist(),
        "scale": packed(pulse.scale),
        "course": [{"t0": w.t0, "t1": w.t1, "hr_bpm": w.hr_bpm, "sqi": w.sqi} for w in course],
        "beats": beats.tolist(),
        "intervals": intervals.tolist(),
        "left_out": left_out,
        "hrv": {name: estimate(value) for name, value in variability(intervals, left_out, 0.9).items()},
        "hrv_short": {name: estimate(value) for name, value in variability(intervals[:50], left_out, 0.9).items()},
        "hearts": [hrv_vectors(noise_s) for noise_s in (0.002, 0.01, 0.03)],
        "rr": estimate(respiration(pulse, beats, intervals, 0.9)),
        "memory": memory_vectors(),
        "recovery": recovery_vectors(),
    }
