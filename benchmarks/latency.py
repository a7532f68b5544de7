"""How fast, side by side, in one run: ``python benchmarks/latency.py``.

Each row is a process of its own, held to as many cores as it may use threads. Columns:

- model: ms a frame in the method alone. Of clip methods on a clip of 10 s; of streams with one frame a call.
- end to end: ms a frame from the file to the vital signs (decoding, faces, crops, method, vital signs).
- update: ms from the arrival of a frame to the heart rate that it changes. A stream has done the rest already; others
  compute their last 10 s anew (their crops are taken as ready).
- memory: peak of a process that has measured the clip end to end once.
- installed: size of the package and what it needs.

The published networks of kdphys are untrained here and exported for the purpose, and so is the student where none is
bundled: weights do not change speed. The rivals open-rppg and vitallens are installed into environments of their own
under runs/latency (some GB) and left out, with a message, where that fails; ``--no-rivals`` leaves them out anyway.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORK = ROOT / "runs" / "latency"
RESULTS = ROOT / "benchmarks" / "results" / "latency.csv"
OURS = ("student offline", "student stream", "student int8", "pos offline", "pos stream")
NETWORKS = ("deepphys", "tscan", "efficientphys", "physnet")
RIVALS = {
    "open-rppg": ["open-rppg==0.1.1", "setuptools<81"],
    "vitallens": ["vitallens==0.6.2", "scipy", "psutil", "av"],
}
RIVAL_ROWS = {
    "open-rppg": ["FacePhys.rlap", "ME-flow.rlap", "ME-chunk.rlap", "PhysNet.rlap"],
    "vitallens": ["pos"],
}
FIELDS = (
    "implementation",
    "threads",
    "model_ms",
    "end_to_end_ms",
    "update_ms",
    "lag_ms",
    "peak_mb",
    "installed_mb",
    "note",
)
WINDOW_S, FS = 10.0, 30.0


# --- what a child does -----------------------------------------------------------------------------------------------


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
        compute: Callable[[], Any] = lambda: method.function(trace, FS)  # noqa: E731
    else:
        rgb = rng.uniform(80, 180, (n, engine.spec.size, engine.spec.size, 3)).astype(np.float32)
        compute = lambda: engine(rgb)  # noqa: E731
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


def child_many(o: argparse.Namespace) -> dict[str, Any]:
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


def child_pushed(o: argparse.Namespace) -> dict[str, Any]:
    """A process that gets its pictures from elsewhere, here from one that decodes: what the stream itself needs."""
    import numpy as np

    import kdphys

    code = "import sys, kdphys\nfor f in kdphys.read_video(sys.argv[1]): sys.stdout.buffer.write(f.rgb.tobytes())"
    if o.row == "shape":
        return {"shape": next(iter(kdphys.read_video(o.clip))).rgb.shape}
    height, width, colours = run(sys.executable, "pushed", "shape", 1, o)["shape"]
    decoder = subprocess.Popen([sys.executable, "-c", code, o.clip], stdout=subprocess.PIPE)
    assert decoder.stdout is not None
    with kdphys.stream(o.student) as session:
        k = 0
        while data := decoder.stdout.read(height * width * colours):
            session.push(np.frombuffer(data, np.uint8).reshape(height, width, colours), k / FS)
            k += 1
    return {"frames": k, "hr_bpm": session.vitals.hr_bpm, "peak_mb": peak_mb()}


def child_export(o: argparse.Namespace) -> dict[str, Any]:
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


CHILDREN = {"kdphys": child_kdphys, "open-rppg": child_open_rppg, "vitallens": child_vitallens}


# --- what the parent does --------------------------------------------------------------------------------------------


def run(python: str, what: str, row: str, threads: int, o: argparse.Namespace, cores: bool = True) -> dict[str, Any]:
    """One row, in a process of its own."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    env = os.environ | dict.fromkeys(names, str(threads)) | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    env["TF_CPP_MIN_LOG_LEVEL"], env["KERAS_BACKEND"] = "3", "jax"
    command = [python, __file__, "--child", what, "--row", row, "--threads", str(threads), "--clip", o.clip]
    command += ["--student", o.student, "--repeats", str(o.repeats), "--streams", str(o.streams)]
    mine = sorted(os.sched_getaffinity(0))[:threads]

    def hold() -> None:
        os.sched_setaffinity(0, mine)

    done = subprocess.run(command, capture_output=True, text=True, env=env, preexec_fn=hold if cores else None)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"note": f"failed: {reason[:120]}"}
    out: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return out


def environment(name: str) -> str | None:
    """Python of a rival's own environment, or None where it cannot be made."""
    python = WORK / name / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(WORK / name)], check=True, capture_output=True)
        have = subprocess.run([python, "-m", "pip", "show", name], capture_output=True).returncode == 0
        if not have:
            print(f"installing {name} into {WORK / name} …", file=sys.stderr)
            subprocess.run([python, "-m", "pip", "install", "-q", *RIVALS[name]], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name} left out: it cannot be installed ({error})", file=sys.stderr)
        return None
    return str(python)


def rows(o: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """(Python, what runs it, row)."""
    for row in (*OURS, *NETWORKS):
        yield sys.executable, "kdphys", row
    for name in RIVALS if o.rivals else ():
        python = environment(name)
        for row in RIVAL_ROWS[name] if python else ():
            yield str(python), name, row


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--clip", default=str(ROOT / "src" / "kdphys" / "assets" / "demo.mp4"), help="a video of a face"
    )
    parser.add_argument("--student", default="", help="ONNX file; default: the bundled one, or an untrained one")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--streams", type=int, default=8, help="cameras at once, on one core")
    parser.add_argument("--only", default="", help="only rows whose name holds this")
    parser.add_argument("--no-rivals", dest="rivals", action="store_false")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    parser.add_argument("--row", default="", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.child:
        o.threads = int(o.threads)
        extra = {"export": child_export, "streams": child_many, "pushed": child_pushed}
        print(json.dumps(extra[o.child](o) if o.child in extra else CHILDREN[o.child](o.row, o)))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    bundled = ROOT / "src" / "kdphys" / "assets" / "student.onnx"
    o.student = o.student or (str(bundled) if bundled.exists() else "")
    exported = run(sys.executable, "export", "", 1, o, cores=False)
    if exported:
        sys.exit(f"the networks cannot be exported: {exported['note']}")
    o.student = o.student or str(WORK / "student.onnx")
    names = ("kdphys", "onnxruntime", "numpy", "opencv-python-headless", "av")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    machine = f"{cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    print(f"{machine}; student: {o.student}\n")
    heads = ("implementation", "threads", "model, ms a frame", "end to end, ms a frame", "update, ms")
    heads += ("signal lags, ms", "peak, MB", "installed, MB", "")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    table = []
    for python, what, row in rows(o):
        for threads in map(int, o.threads.split(",")):
            label = f"{what} {row}"
            if o.only not in label:
                continue
            out = {"implementation": label, "threads": threads, **run(python, what, row, threads, o)}
            table.append(out)
            numbers = [out.get(key) for key in FIELDS[2:8]]
            cells = ["" if x is None or x != x else f"{x:.3f}" if k < 2 else f"{x:.0f}" for k, x in enumerate(numbers)]
            print(f"| {label} | {threads} | " + " | ".join(cells) + f" | {out['note']} |", flush=True)
    many = run(sys.executable, "streams", "", 1, o)
    if "streams" in many:
        print(f"\n{many['tried']} cameras of 30 frames a second at once on one core, faces looked for in each: room")
        print(f"for {many['streams']:.1f}; slowest round {many['slowest_ms']:.0f} ms; peak {many['peak_mb']:.0f} MB")
        note = f"{many['streams']:.1f} live streams of 30 frames a second on one core, tried with {many['tried']}"
        table.append({"implementation": "kdphys student, streams", "threads": 1, "note": note})
    pushed = run(sys.executable, "pushed", "", 1, o)
    if "peak_mb" in pushed:
        print(f"a stream whose pictures another process decodes: peak {pushed['peak_mb']:.0f} MB")
        table.append({"implementation": "kdphys student, pushed", "threads": 1, "peak_mb": pushed["peak_mb"]})
    o.out.parent.mkdir(parents=True, exist_ok=True)
    with o.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*FIELDS, "machine"])
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in r.items()} | {"machine": machine} for r in table
        )


if __name__ == "__main__":
    main()
