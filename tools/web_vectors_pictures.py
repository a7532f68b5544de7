"""Test vectors of what works on pictures: crops, skin, faces, the networks."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import cv2
import numpy as np
from web_vectors_common import FS, Json, f32, packed, rng

import kdphys
from kdphys import read_video
from kdphys.clip.crop import crop, surround
from kdphys.clip.skin import SkinWeights, skin_means
from kdphys.clip.steady import Steady
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Frame
from kdphys.face import detect
from kdphys.face.detect import Detections, FaceDetector
from kdphys.face.find import FaceFinder
from kdphys.face.track import FaceTracker
from kdphys.pulse.engines import StreamEngine

ASSETS = Path(kdphys.__file__).parent / "assets"


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
            ([11.3, 8.0, 43.7, 40.4], 40),
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
        "steady": steady_vectors(large),
        "faces": packed(np.stack(faces)),
        "skin": out,
        "trace": trace_vectors(),
    }


def steady_vectors(rgb: np.ndarray) -> Json:
    """A face that wanders over whole pixels and grows, in a box that trembles; once it is gone, once far away, once
    another picture."""
    grown = np.ascontiguousarray(cv2.resize(rgb, None, fx=1.06, fy=1.06, interpolation=cv2.INTER_AREA)[:150, :201])
    random, steady, frames = rng(14), Steady(), []
    times = f32(np.cumsum(random.uniform(0.025, 0.042, 40)))
    times[25:] = f32(times[25:] + 0.7)
    for k, t in enumerate(times):
        dx, dy = round(7 * np.sin(0.4 * k)), round(4 * np.sin(0.7 * k + 1))
        box = np.array([62, 40, 122, 104]) + [dx, dy, dx, dy] + random.normal(0, 0.8, 4) + (24 if k >= 33 else 0)
        box = f32(box)
        which = 2 if 20 <= k < 23 else int(k >= 12)
        seen = np.roll((rgb, grown, grown[:, ::-1])[which], (dy, dx), (0, 1))
        out = steady(Frame(seen, float(t)), box.astype(float)).tolist()
        frames.append({"t": float(t), "picture": which, "roll": [dx, dy], "box": box.tolist(), "out": out})
    return {"pictures": packed(np.stack([rgb, grown, grown[:, ::-1]]), "uint8"), "frames": frames}


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
    held = f32(boxes + random.normal(0, 2.0, boxes.shape))
    builder = TraceBuilder(FS, 0.5)
    for t, gain, box, level, place in zip(times, gains, boxes, around, held, strict=True):
        builder.add_face(float(t), face * gain.astype(np.float32), box, float(level), place)
    trace = builder.build(float(times[-1]))
    e = trace.evidence
    assert e is not None
    columns = {
        name: getattr(e, name)
        for name in ("rgb", "patches", "luma", "clipped", "motion", "rate", "surround", "place", "sharpness")
    }
    return {
        "face": packed(face),
        "times": packed(times),
        "gains": packed(gains),
        "boxes": packed(boxes),
        "held": packed(held),
        "around": packed(np.nan_to_num(around, nan=-1.0)),
        "fs": FS,
        "t0": 0.5,
        "valid": trace.valid.astype(int).tolist(),
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
    with patch.object(detect, "_session", lambda: fake):
        found = FaceDetector()(rgb)
    return {
        "picture": packed(rgb, "uint8"),
        "input": packed(np.round((fake.asked[0] + 1) * 127.5), "uint8"),
        "hits": hits.tolist(),
        "logits": packed(logits[hits]),
        "regressors": packed(regressors[hits, :4]),
        "boxes": packed(found.boxes),
        "scores": packed(found.scores),
        "tracks": track_vectors(),
        "finder": finder_vectors(),
    }


class _Scripted(FaceDetector):
    """Sees the faces of a script where a square shows them large enough, and whole; keeps where it looked."""

    faces = np.zeros((0, 4))
    asked: ClassVar[list[list[int]]] = []

    def __call__(self, rgb: np.ndarray) -> Detections:
        _Scripted.asked = []
        return self._seen(self.faces[:, 2] - self.faces[:, 0] > 100)

    def look(self, _: np.ndarray, where: list[tuple[int, int, int]]) -> Detections:
        _Scripted.asked = [list(square) for square in where]
        seen = np.zeros(len(self.faces), bool)
        for x, y, side in where:
            x0, y0, x1, y1 = self.faces.T
            seen |= (x0 >= x) & (y0 >= y) & (x1 <= x + side) & (y1 <= y + side) & (x1 - x0 > 0.12 * side)
        return self._seen(seen)

    def _seen(self, which: np.ndarray) -> Detections:
        return Detections(self.faces[which], np.full(which.sum(), 0.9))


def finder_vectors() -> list[Json]:
    """Faces by picture of 1280 × 720: a small one that walks, hides, comes back elsewhere, with another, and near."""
    detector, picture_ = _Scripted(), np.zeros((720, 1280, 3), np.uint8)
    finder = FaceFinder(detector)
    out: list[Json] = []
    for k in range(70):
        boxes = [[300.0 + 4 * k, 200.0, 350.0 + 4 * k, 250.0]]
        if 12 <= k < 15 or 22 <= k < 34:
            boxes = []
        elif 34 <= k < 60:
            boxes = [[1203.0, 600.0, 1263.0, 660.0], [90.0, 33.0, 140.5, 83.5]][: 1 if k < 45 else 2]
        elif k >= 60:
            boxes = [[500.0, 200.0, 640.0, 340.0]]
        _Scripted.faces = np.array(boxes).reshape(-1, 4)
        found = finder(picture_)
        out.append({"faces": boxes, "asked": detector.asked, "found": found.boxes.tolist()})
    return out


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
