"""Write ``web/test/vectors/*.json``: what the Python package computes, for the browser's port of it to match.

    python tools/web_vectors.py            # write
    python tools/web_vectors.py --check    # say what differs

Arrays are base64 of little-endian float32 (or uint8) with their shape. Inputs are made float32 before they are used, so
that both sides compute on the same numbers.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import kdphys
from kdphys import read_video
from kdphys.classical import METHODS
from kdphys.clip.crop import crop, surround
from kdphys.clip.skin import SkinWeights, skin_means
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Evidence, Frame, Pulse, RgbTrace
from kdphys.dsp import bandpass, detrend, heart_frequency, heart_spectrum, peak_frequency, resample_by_time, spectrum
from kdphys.face import detect
from kdphys.face.detect import Detections, FaceDetector
from kdphys.face.track import FaceTracker
from kdphys.pulse.engines import StreamEngine
from kdphys.pulse.estimate import TraceMethod
from kdphys.pulse.shape import shape_pulse
from kdphys.vitals.beats import find_beats
from kdphys.vitals.heart_rate import hr_course
from kdphys.vitals.hrv import variability
from kdphys.vitals.quality import Judge
from kdphys.vitals.respiration import respiration

FOLDER = Path(__file__).resolve().parents[1] / "web" / "test" / "vectors"
ASSETS = Path(kdphys.__file__).parent / "assets"
FS = 30.0
Json = dict[str, Any]


def packed(x: Any, dtype: str = "float32") -> Json:
    """An array as JSON."""
    array = np.ascontiguousarray(x, dtype)
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def unpacked(x: Json) -> np.ndarray:
    """The inverse of :func:`packed`."""
    return np.frombuffer(base64.b64decode(x["data"]), x["dtype"]).reshape(x["shape"])


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def f32(x: Any) -> np.ndarray:
    return np.asarray(x, np.float32).astype(np.float64)


def skin_rgb(n: int, seed: int, bpm: float = 72.0, pulse: float = 0.006, noise: float = 0.002) -> np.ndarray:
    """A skin colour trace (n, 3) with a pulse, breathing, drift and noise."""
    random, t = rng(seed), np.arange(n) / FS
    rate = bpm / 60 * (1 + 0.03 * np.sin(2 * np.pi * 0.25 * t) + 0.02 * np.sin(2 * np.pi * 0.1 * t))
    phase = 2 * np.pi * np.cumsum(rate) / FS
    beat = (1 + 0.2 * np.sin(2 * np.pi * 0.25 * t)) * (np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6))
    light = 1 + 0.02 * np.sin(2 * np.pi * 0.07 * t) + 0.01 * np.cumsum(random.normal(size=n)) / n**0.5
    colour = np.array([150.0, 110.0, 90.0]) * light[:, None]
    breath = 1 + 0.002 * np.sin(2 * np.pi * 0.25 * t)[:, None]
    return f32(colour * breath * (1 - pulse * beat[:, None] * [0.4, 1.0, 0.7] + noise * random.normal(size=(n, 3))))


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


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """A picture uint8 (H, W, 3) with structure at several scales."""
    random = rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / s + p) * np.cos(y / s + q) for s, p, q in random.uniform(2, 9, (4, 3))]
    base = 120 + 25 * np.sum(waves, axis=0)[..., None] + random.normal(0, 12, (height, width, 3))
    return np.clip(base * [1.1, 0.9, 0.8], 0, 255).astype(np.uint8)


def face_picture(seed: int) -> np.ndarray:
    """Something like a face, float32 (64, 64, 3): skin in the middle, hair, eyes, an over-exposed corner."""
    random = rng(seed)
    y, x = np.mgrid[:64, :64] / 63 - 0.5
    skin = np.array([172.0, 128.0, 104.0]) * (1 + 0.25 * x[..., None] - 0.1 * y[..., None])
    face = np.where((np.hypot(x / 0.45, y / 0.55) < 1)[..., None], skin, [40.0, 60.0, 70.0])
    face = np.where((y < -0.36)[..., None], [35.0, 26.0, 20.0], face)
    for eye in (-0.18, 0.18):
        face = np.where((np.hypot((x - eye) / 0.1, (y + 0.12) / 0.05) < 1)[..., None], [60.0, 50.0, 50.0], face)
    face = np.where((np.hypot(x - 0.3, y - 0.1) < 0.1)[..., None], 253.0, face)
    return (face + random.normal(0, 3, face.shape)).clip(0, 255).astype(np.float32)


def clip_vectors() -> Json:
    rgb = picture(50, 60, 3)
    crops = [
        {"box": box, "size": size, "out": packed(crop(rgb, np.array(box), size))}
        for box, size in (
            ([4.2, 5.6, 44.5, 45.5], 16),
            ([-10.0, 20.0, 25.0, 55.0], 8),
            ([20.0, 10.0, 30.0, 20.0], 16),
            ([0.0, 0.0, 48.0, 48.0], 24),
            ([30.0, -6.0, 80.0, 44.0], 12),
        )
    ]
    large = picture(150, 201, 7)
    surrounds = [
        {"box": box, "out": None if np.isnan(level := surround(large, np.array(box))) else level}
        for box in ([60.2, 40.0, 121.0, 99.0], [-20.0, 90.5, 60.0, 170.0], [5.0, 5.0, 190.0, 140.0])
    ]
    faces = [face_picture(seed) for seed in (4, 5, 6)]
    weights, out = SkinWeights(), []
    for face, t in zip(faces, (0.0, 0.1, 0.45), strict=True):
        w = weights.update(face, t)
        mean, patches = skin_means(face, w)
        out.append({"t": t, "weights": packed(w), "mean": packed(mean), "patches": packed(patches)})
    return {
        "picture": packed(rgb, "uint8"),
        "crops": crops,
        "large": packed(large, "uint8"),
        "surrounds": surrounds,
        "faces": packed(np.stack(faces)),
        "skin": out,
        "trace": trace_vectors(),
    }


def trace_vectors() -> Json:
    random, face = rng(7), face_picture(8)
    n = 100
    times = f32(0.5 + np.cumsum(random.uniform(0.025, 0.045, n)))
    times[60:] += 0.8
    times = f32(times)
    gains = f32(1 + 0.02 * np.sin(7 * times)[:, None] + 0.01 * random.normal(size=(n, 3)))
    boxes = f32(np.array([100, 80, 240, 260]) + np.cumsum(random.normal(0, 0.6, (n, 4)), 0))
    around = f32(60 + np.cumsum(random.normal(0, 0.2, n)))
    around[20:25] = np.nan  # the face fills the picture for a moment
    builder = TraceBuilder(FS, 0.5)
    for t, gain, box, level in zip(times, gains, boxes, around, strict=True):
        builder.add_face(float(t), face * gain.astype(np.float32), box, float(level))
    trace = builder.build(float(times[-1]))
    e = trace.evidence
    assert e is not None
    columns = {name: getattr(e, name) for name in ("rgb", "patches", "luma", "clipped", "motion", "surround", "place")}
    return {
        "face": packed(face),
        "times": packed(times),
        "gains": packed(gains),
        "boxes": packed(boxes),
        "around": packed(np.nan_to_num(around, nan=-1.0)),
        "fs": FS,
        "t0": 0.5,
        "valid": trace.valid.astype(int).tolist(),
        "source_fps": e.source_fps,
        **{name: packed(np.nan_to_num(column, nan=-1.0)) for name, column in columns.items()},
    }


class _FakeSession:
    """Answers as the network would; keeps what it was asked."""

    def __init__(self, regressors: np.ndarray, logits: np.ndarray) -> None:
        self.out = [regressors[None], logits[None, :, None]]
        self.asked: list[np.ndarray] = []

    def run(self, _: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.asked.append(feed["input"][0])
        return self.out


def face_vectors() -> Json:
    random = rng(9)
    rgb = picture(150, 200, 10)
    logits = np.full(896, -9.0, np.float32)
    regressors = np.zeros((896, 16), np.float32)
    hits = np.array([222, 223, 224, 225, 254, 256, 560, 561, 700, 701, 702, 800])
    logits[hits] = random.uniform(-0.2, 4.0, len(hits))
    regressors[hits, :2] = random.normal(0, 2, (len(hits), 2))
    regressors[hits, 2:4] = random.uniform(20, 45, (len(hits), 2))
    fake = _FakeSession(regressors, logits)
    real = detect._session
    detect._session = lambda: fake  # type: ignore[assignment]
    try:
        found = FaceDetector()(rgb)
    finally:
        detect._session = real
    return {
        "picture": packed(rgb, "uint8"),
        "input": packed(np.round((fake.asked[0] + 1) * 127.5), "uint8"),
        "hits": hits.tolist(),
        "logits": packed(logits[hits]),
        "regressors": packed(regressors[hits, :4]),
        "boxes": packed(found.boxes),
        "scores": packed(found.scores),
        "tracks": track_vectors(),
    }


def _scripted(now: list[list[float]], _: Any) -> Detections:
    return Detections(np.array(now, float).reshape(-1, 4), np.full(len(now), 0.9))


def track_vectors() -> list[Json]:
    """Films of two pictures with scripted detections: steady, lost and back, replaced at once, two faces, a cut."""
    pictures = [picture(60, 80, seed) for seed in (11, 12)]
    pictures[1][15:45, 25:55] = pictures[1][15:45, 25:55] // 4  # another face at the same place
    mixed = pictures[0].copy()
    mixed[12:48, 22:58] = pictures[1][12:48, 22:58]
    pictures.append(mixed)
    random, films = rng(13), []
    scripts: dict[str, Callable[[int], tuple[int, list[list[float]]]]] = {
        "steady": lambda k: (0, [[24 + 0.2 * k, 14, 54 + 0.2 * k, 44]]),
        "lost": lambda k: (0, [] if 18 <= k < 40 else [[24, 14, 54, 44]]),
        "other": lambda k: (0 if k < 30 else 2, [[24, 14, 54, 44]]),
        "two": lambda k: (0, [[4, 14, 34, 44], [44 - 0.3 * k, 10, 70 - 0.3 * k, 40]]),
        "cut": lambda k: (0 if k < 25 else 1, [[24, 14, 54, 44]]),
    }
    for name, script in scripts.items():
        times = f32(np.cumsum(random.uniform(0.025, 0.042, 60)))
        jitter = f32(random.normal(0, 0.4, (60, 2, 4)))
        frames: list[Json] = []
        for k, t in enumerate(times):
            which, boxes = script(k)
            moved = [f32(np.array(box) + jitter[k, i]).tolist() for i, box in enumerate(boxes)]
            frames.append({"t": float(t), "picture": which, "roll": int(name == "steady") * (k % 2), "boxes": moved})
        now: list[list[float]] = []
        tracker = FaceTracker(detector=partial(_scripted, now))
        out = []
        for frame in frames:
            now[:] = frame["boxes"]
            out += tracker.push(Frame(np.roll(pictures[frame["picture"]], frame["roll"], axis=1), frame["t"]))
        out += tracker.flush()
        tracked = [
            {"t": o.frame.t, "faces": {str(key): box.tolist() for key, (box, _) in o.faces.items()}} for o in out
        ]
        films.append({"name": name, "frames": frames, "cuts": tracker.cuts, "tracked": tracked})
    films[0]["pictures"] = packed(np.stack(pictures), "uint8")
    return films


def evidence_of(rgb: np.ndarray, seed: int, kind: str) -> Evidence:
    """Six patches that share the trace of the face, with noise; by kind, one that a pulse must not be read from."""
    random, n = rng(seed), len(rgb)
    patches = rgb[:, None] * random.uniform(0.8, 1.1, (1, 6, 3)) * (1 + 0.003 * random.normal(size=(n, 6, 3)))
    if kind == "repeats":
        patches = np.resize(patches[:75], patches.shape)
        rgb = np.resize(rgb[:75], rgb.shape)
    if kind == "coded loop":  # what comes back is less than what a codec adds anew to every picture
        patches = np.resize(patches[:27], patches.shape) * (1 + 0.0034 * random.normal(size=patches.shape))
        rgb = np.resize(rgb[:27], rgb.shape)
    luma = rgb @ [0.299, 0.587, 0.114] * (0.12 if kind == "dark" else 1.0)
    clipped = np.full(n, 0.6 if kind == "bright" else 0.01)
    motion = np.abs(random.normal(0.02, 0.01, n)) + (0.5 if kind == "motion" else 0.0)
    around = 60 * (1 + 0.0005 * random.normal(size=n))
    if kind == "flicker":
        around *= luma / luma.mean()
    place = 2 + 0.0005 * random.normal(size=(n, 2))
    if kind == "nodding":  # in time with the colour
        place[:, 1] += 2.0 * (rgb[:, 1] / rgb[:, 1].mean() - 1)
    if kind == "light":  # on the face alone
        rgb = rgb.mean(axis=0) * (rgb[:, 1:2] / rgb[:, 1].mean())
    names = (rgb, patches.astype(np.float32), luma, clipped, motion)
    return Evidence(*(f32(x) for x in names), 30.0, f32(around), f32(place))


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
            **{
                name: packed(getattr(e, name))
                for name in ("rgb", "patches", "luma", "clipped", "motion", "surround", "place")
            },
            "source_fps": e.source_fps,
        }
    return out


def quality_vectors() -> Json:
    cases = []
    for k, (kind, pulse, noise) in enumerate(
        (("clean", 0.006, 0.001), ("faint", 0.0015, 0.003), ("none", 0.0, 0.004), ("repeats", 0.006, 0.002),
         ("dark", 0.006, 0.002), ("bright", 0.006, 0.002), ("motion", 0.001, 0.006), ("coded loop", 0.006, 0.002),
         ("flicker", 0.006, 0.001), ("nodding", 0.006, 0.001), ("light", 0.006, 0.001))
    ):  # fmt: skip
        evidence = evidence_of(skin_rgb(390, 20 + k, 55 + 11 * k, pulse, noise), 40 + k, kind)
        trace = RgbTrace(evidence.rgb, FS, 2.0, np.ones(390, bool), evidence)
        made = TraceMethod("pos", METHODS.load("pos")).pulse(trace)
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


def estimate(e: Any) -> Json:
    return {"value": e.value, "unit": e.unit, "confidence": e.confidence, "min_s": e.min_s, "reason": e.reason}


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
        "rr": estimate(respiration(pulse, beats, intervals, 0.9)),
    }


def network_vectors() -> Json:
    """The face detector on a picture, and the bundled student on a stream of crops, when there is one."""
    frame = next(iter(read_video(ASSETS / "demo.mp4"))).rgb
    small = cv2.resize(frame, (128, 96), interpolation=cv2.INTER_AREA)
    found = FaceDetector()(small)
    out: Json = {"picture": packed(small, "uint8"), "boxes": packed(found.boxes), "scores": packed(found.scores)}
    path = ASSETS / "student-stream.onnx"
    return {**out, "student": student_vectors(path.read_bytes()) if path.is_file() else None}


def student_vectors(model: bytes) -> Json:
    """What a streaming graph makes of some calls and the flush after them."""
    engine = StreamEngine(model, "the student")
    size = engine.spec.size
    random = rng(80)
    base = picture(size, size, 81).astype(np.float32)
    gains = (1 + 0.01 * np.sin(np.arange(60) * 0.26)[:, None] + 0.004 * random.normal(size=(60, 3))).astype(np.float32)
    cuts = np.cumsum([1, 5, 2, 12, 20])
    states, out = engine.begin(), []
    for part in np.split(base * gains[:, None, None], cuts):
        bvp, states = engine(part, states)
        out.append(bvp)
    out.append(engine.flush(states))
    return {
        "base": packed(base, "uint8"),
        "gains": packed(gains),
        "cuts": cuts.tolist(),
        "sha256": hashlib.sha256(model).hexdigest(),
        "lookahead": engine.spec.lookahead,
        "bvp": packed(np.concatenate(out)[engine.spec.lookahead :]),
    }


MAKERS: dict[str, Callable[[], Json]] = {
    "dsp": dsp_vectors,
    "classical": classical_vectors,
    "clip": clip_vectors,
    "face": face_vectors,
    "quality": quality_vectors,
    "vitals": vitals_vectors,
    "networks": network_vectors,
}


def differences(old: Any, new: Any, where: str) -> list[str]:
    """Where two vectors differ by more than rounding."""
    if isinstance(new, dict) and isinstance(old, dict):
        if set(new) == {"dtype", "shape", "data"}:
            if new["shape"] != old.get("shape"):
                return [f"{where}: shape {old.get('shape')} → {new['shape']}"]
            a, b = unpacked(old), unpacked(new)
            return [] if np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True) else [f"{where}: values"]
        if set(new) != set(old):
            return [f"{where}: keys {sorted(set(new) ^ set(old))}"]
        return [d for key in new for d in differences(old[key], new[key], f"{where}.{key}")]
    if isinstance(new, list) and isinstance(old, list):
        if len(new) != len(old):
            return [f"{where}: {len(old)} → {len(new)} entries"]
        return [d for k, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{where}[{k}]")]
    if isinstance(new, float) and isinstance(old, float):
        return [] if abs(new - old) <= 1e-4 * max(abs(new), 1.0) else [f"{where}: {old} → {new}"]
    return [] if new == old else [f"{where}: {old!r} → {new!r}"]


def check() -> list[str]:
    """What the files say differently from what Python computes now."""
    out = []
    for name, make in MAKERS.items():
        path = FOLDER / f"{name}.json"
        if not path.is_file():
            out.append(f"{name}: missing")
            continue
        out += differences(json.loads(path.read_text()), json.loads(json.dumps(make())), name)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    if parser.parse_args().check:
        found = check()
        print("\n".join(found) if found else "the vectors are what Python computes")
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(make(), indent=1) + "\n")
        print(f"{path}: {path.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
