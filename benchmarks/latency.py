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
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from latency_rows import NETWORKS, ROOT, WORK

RESULTS = ROOT / "benchmarks" / "results" / "latency.csv"
OURS = ("student offline", "student stream", "student int8", "pos offline", "pos stream")
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


def run(python: str, what: str, row: str, threads: int, o: argparse.Namespace, cores: bool = True) -> dict[str, Any]:
    """One row, in a process of its own."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    env = os.environ | dict.fromkeys(names, str(threads)) | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    env["TF_CPP_MIN_LOG_LEVEL"], env["KERAS_BACKEND"] = "3", "jax"
    command = [python, str(Path(__file__).with_name("latency_rows.py")), what, row, "--threads", str(threads)]
    command += ["--clip", o.clip, "--student", o.student, "--repeats", str(o.repeats), "--streams", str(o.streams)]
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
    o = parser.parse_args()
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
