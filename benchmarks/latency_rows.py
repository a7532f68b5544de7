"""What ``latency.py`` times, each row in a process of its own, which prints JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / "runs" / "latency"
NETWORKS = ("deepphys", "tscan", "efficientphys", "physnet")
WINDOW_S, FS = 10.0, 30.0


def best(call: Callable[[], Any], repeats: int) -> float:
    """Least seconds of some calls, after one to warm up."""
    call()
    return min(_seconds(call) for _ in range(repeats))


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else float("nan")


def peak_mb() -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def installed_mb(*packages: str) -> float:
    """Size of distributions and of all that they need, MB."""
    from pip._vendor.packaging.requirements import Requirement

    todo, done, total = list(packages), set(), 0
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in done:
            continue
        done.add(name)
        try:
            dist = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        files = [Path(str(f.locate())) for f in dist.files or [] if f.suffix != ".pyc"]
        total += sum(p.stat().st_size for p in files if p.is_file())
        for text in dist.requires or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                todo.append(need.name)
    if "kdphys" in packages:  # installed for editing: its files are not those of the distribution
        total += sum(
            p.stat().st_size for p in (ROOT / "src" / "kdphys").rglob("*") if p.is_file() and p.suffix != ".pyc"
        )
    return total / 1e6


def frames_of(path: str) -> int:
    import av

    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def child_stream(name: str, o: argparse.Namespace) -> dict[str, Any]:
    import kdphys

    method = o.student if name == "student" else name
    updates: list[float] = []

    def whole() -> Any:
        updates.clear()
        with kdphys.stream(method) as session:
            for frame in kdphys.read_video(o.clip):
                began = time.perf_counter()
                update = session.push(frame)
                if update is not None and frame.t > 7:
                    updates.append(time.perf_counter() - began)
        return session

    lag = whole().latency_s
    peak = peak_mb()
    end = best(whole, o.repeats)
    update_s = median(updates)
    n = round(WINDOW_S * FS)
    if name == "student":
        import numpy as np

        from kdphys.pulse.engines import StreamEngine

        file = Path(o.student)
        live = StreamEngine(file.with_name(f"{file.stem}-stream.onnx").read_bytes(), name, o.threads)
        shape = (n, live.spec.size, live.spec.size, 3)
        rgb = np.random.default_rng(0).uniform(80, 180, shape).astype(np.float32)
        states, took = live.begin(), []
        for k in range(n + 50):
            began = time.perf_counter()
            _, states = live(rgb[k % n : k % n + 1], states)
            took.append(time.perf_counter() - began)
        model = median(took[50:])
    else:
        model = float("nan")
    return figures(o, model, end, update_s, lag, peak)


def figures(
    o: argparse.Namespace, model_s: float, end_s: float, update_s: float, lag_s: float, peak: float, note: str = ""
) -> dict[str, Any]:
    return {
        "model_ms": model_s * 1e3,
        "end_to_end_ms": end_s / frames_of(o.clip) * 1e3,
        "update_ms": update_s * 1e3,
        "lag_ms": lag_s * 1e3,
        "peak_mb": peak,
        "installed_mb": installed_mb("kdphys"),
        "note": note,
    }


def child_kdphys(row: str, o: argparse.Namespace) -> dict[str, Any]:
    name, _, way = row.partition(" ")
    if way == "stream":
        return child_stream(name, o)
    import numpy as np

    import kdphys
    from kdphys.pipeline import measure_all
    from kdphys.pulse.engines import ClipMethod, Engine
    from kdphys.pulse.shape import shape_pulse
    from kdphys.vitals.heart_rate import hr_window
    from kdphys.vitals.quality import Judge

    lookahead = 0
    if name == "pos":
        method: Any = kdphys.load_method("pos")
    else:
        file = Path(o.student) if name == "student" else WORK / f"{name}.onnx"
        file = WORK / "student-int8.onnx" if way == "int8" else file
        engine = Engine(file.read_bytes(), name, o.threads)
        method, lookahead = ClipMethod(engine.spec.name, engine), max(engine.spec.lookahead, 0)
    evidence = measure_all(o.clip, method)[0].pulse.evidence
    peak = peak_mb()
    end = best(lambda: measure_all(o.clip, method), o.repeats)
    n, rng = min(round(WINDOW_S * FS), len(evidence.rgb)), np.random.default_rng(0)
    if name == "pos":
        trace = 120 + rng.normal(0, 0.3, (n, 3))
        compute: Callable[[], Any] = partial(method.function, trace, FS)
    else:
        rgb = rng.uniform(80, 180, (n, engine.spec.size, engine.spec.size, 3)).astype(np.float32)
        compute = partial(engine, rgb)
    parts = (getattr(evidence, key)[:n] for key in ("rgb", "patches", "luma", "clipped", "motion"))
    cut = kdphys.Evidence(*parts, FS)

    def update() -> None:
        pulse = shape_pulse(compute(), np.ones(n, bool), FS, 0.0, name, cut)
        hr_window(Judge(pulse), 0, n)

    model, update_s = best(compute, o.repeats) / n, best(update, o.repeats)
    note = "untrained; needs the whole clip" if name in NETWORKS else ""
    return figures(o, model, end, update_s, lookahead / FS, peak, note)


def child_open_rppg(row: str, o: argparse.Namespace) -> dict[str, Any]:
    import numpy as np
    import rppg

    frames = frames_of(o.clip)
    model = rppg.Model(row)
    result = model.process_video(o.clip)
    peak = peak_mb()
    shape = model.meta["input"]
    crops = np.random.default_rng(0).integers(80, 180, tuple(shape)).astype(np.uint8)

    def call() -> None:
        out, model.state = model.call(crops, model.state)
        for value in out.values():
            np.asarray(value)

    seconds = best(call, max(3, 60 * o.repeats // shape[0]))

    def whole() -> None:
        rppg.Model(row).process_video(o.clip)  # a fresh one for each clip: its state leaks

    end = best(whole, o.repeats)
    fresh = rppg.Model(row)
    fresh.process_video(o.clip)
    update = seconds + best(lambda: fresh.hr(start=-WINDOW_S, return_hrv=False), o.repeats)
    return {
        "model_ms": seconds / shape[0] * 1e3,
        "end_to_end_ms": end / frames * 1e3,
        "update_ms": update * 1e3,
        "lag_ms": (shape[0] - 1) / FS * 1e3,
        "peak_mb": peak,
        "installed_mb": installed_mb("open-rppg"),
        "note": f"{metadata.version('open-rppg')}, {result['hr']:.1f} bpm",
    }


def child_vitallens(row: str, o: argparse.Namespace) -> dict[str, Any]:
    import av
    import numpy as np
    from vitallens import VitalLens

    client = VitalLens(method=row, export_to_json=False)

    def whole() -> Any:  # it reads files with ffmpeg's programs, which may be missing; PyAV decodes here
        with av.open(o.clip) as container:
            video = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        return client(video, fps=FS)

    result = whole()
    peak = peak_mb()
    rate = float((result[0].get("vital_signs") or result[0]["vitals"])["heart_rate"]["value"])
    frames = frames_of(o.clip)
    end = best(whole, o.repeats)
    n = round(WINDOW_S * FS)
    crops = np.random.default_rng(0).integers(80, 180, (n, 40, 40, 3)).astype(np.uint8)
    alone = VitalLens(method=row, detect_faces=False, export_to_json=False)
    seconds = best(lambda: alone(crops, fps=FS), o.repeats)
    return {
        "model_ms": seconds / n * 1e3,
        "end_to_end_ms": end / frames * 1e3,
        "update_ms": seconds * 1e3,
        "lag_ms": 0.0,
        "peak_mb": peak,
        "installed_mb": installed_mb("vitallens", "scipy", "psutil"),  # the last two it needs without saying so
        "note": f"{metadata.version('vitallens')}, {rate:.1f} bpm; decodes all first; model with its vital signs",
    }


def child_many(_: str, o: argparse.Namespace) -> dict[str, Any]:
    """Many cameras at once on one core: all sessions get each frame in turn, faces looked for in each."""
    import kdphys
    from kdphys.pulse.engines import load_onnx

    method = load_onnx(Path(o.student))
    frames = list(kdphys.read_video(o.clip))
    sessions = [kdphys.stream(method) for _ in range(o.streams)]
    began = time.perf_counter()
    slowest = 0.0
    for frame in frames:
        before = time.perf_counter()
        for session in sessions:
            session.push(frame)
        slowest = max(slowest, time.perf_counter() - before)
    took = time.perf_counter() - began
    span = frames[-1].t - frames[0].t + 1 / FS
    return {"streams": o.streams * span / took, "tried": o.streams, "slowest_ms": slowest * 1e3, "peak_mb": peak_mb()}


def child_pushed(row: str, o: argparse.Namespace) -> dict[str, Any]:
    """A process that gets its pictures from elsewhere, here from one that decodes: what the stream itself needs."""
    import numpy as np

    import kdphys

    code = "import sys, kdphys\nfor f in kdphys.read_video(sys.argv[1]): sys.stdout.buffer.write(f.rgb.tobytes())"
    if row == "shape":
        return {"shape": next(iter(kdphys.read_video(o.clip))).rgb.shape}
    shape = subprocess.run(
        [sys.executable, __file__, "pushed", "shape", "--clip", o.clip], capture_output=True, check=True
    )
    height, width, colours = json.loads(shape.stdout)["shape"]
    decoder = subprocess.Popen([sys.executable, "-c", code, o.clip], stdout=subprocess.PIPE)
    assert decoder.stdout is not None
    with kdphys.stream(o.student) as session:
        k = 0
        while data := decoder.stdout.read(height * width * colours):
            session.push(np.frombuffer(data, np.uint8).reshape(height, width, colours), k / FS)
            k += 1
    return {"frames": k, "hr_bpm": session.vitals.hr_bpm, "peak_mb": peak_mb()}


def child_export(_: str, o: argparse.Namespace) -> dict[str, Any]:
    """What is to be timed: with torch, in a process of its own."""
    import numpy as np
    import torch

    import kdphys
    from kdphys.export import export_onnx, export_stream
    from kdphys.export.int8 import quantise
    from kdphys.models import create
    from kdphys.pipeline import extract_clip

    torch.manual_seed(0)
    for name in ("student", *NETWORKS):
        file = WORK / f"{name}.onnx"
        if not file.exists() and not (name == "student" and o.student):
            model = create(name)
            if name == "student":
                export_stream(model, name, WORK / "student-stream.onnx", force=True)
            export_onnx(model, name, file)
    student = Path(o.student or WORK / "student.onnx")
    clip = extract_clip(kdphys.read_video(o.clip))
    assert clip is not None
    # For its speed alone: whether it is good enough is for `kdphys export --int8` to say.
    (WORK / "student-int8.onnx").write_bytes(quantise(student.read_bytes(), [np.asarray(clip.rgb[:300])]))
    return {}


#: By what runs them; the first three take a row.
CHILDREN: dict[str, Callable[[str, argparse.Namespace], dict[str, Any]]] = {
    "kdphys": child_kdphys,
    "open-rppg": child_open_rppg,
    "vitallens": child_vitallens,
    "export": child_export,
    "streams": child_many,
    "pushed": child_pushed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=list(CHILDREN))
    parser.add_argument("row")
    parser.add_argument("--clip", required=True)
    parser.add_argument("--student", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--streams", type=int, default=8)
    o = parser.parse_args()
    print(json.dumps(CHILDREN[o.what](o.row, o)))


if __name__ == "__main__":
    main()
