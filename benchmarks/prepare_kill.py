"""Kill ``kdphys prepare`` with SIGKILL at random moments and compare the finished store with an uninterrupted one.

    python benchmarks/prepare_kill.py [--kills 10] [--recordings 8] [--workers 2] [--seed 0]

Every second kill waits until a recording is being written. Uses copies of the bundled clip, the real detector and the
real command. Ends with exit code 1 if a byte differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import kdphys

COMMAND = [sys.executable, "-c", "import typer; from kdphys.cli.prepare import prepare; typer.run(prepare)"]


def start(videos: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    arguments = ["files", str(videos), "--out", str(out), "--workers", str(workers), "--quiet"]
    return subprocess.Popen(COMMAND + arguments, stderr=subprocess.DEVNULL)


def digest(store: Path) -> tuple[str, int]:
    """Hash over names and contents of all files, and their number."""
    total = hashlib.sha256()
    files = sorted(p for p in store.rglob("*") if p.is_file())
    for path in files:
        total.update(path.relative_to(store).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest(), len(files)


def being_written(store: Path) -> bool:
    try:
        return any((store / ".partial").iterdir())
    except OSError:
        return False


def state(store: Path) -> str:
    if not (store / "manifest.json").exists():
        return "no manifest yet"
    counts = json.loads((store / "manifest.json").read_text())["datasets"]["files"]
    placed = sum((p / "zarr.json").exists() for p in (store / "recordings").glob("files-*"))
    half = len(list((store / ".partial").glob("*"))) if (store / ".partial").exists() else 0
    return f"{counts['done']} of {counts['in']} in the manifest, {placed} in place, {half} half-written aside"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    assets = Path(kdphys.__file__).parent / "assets"
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        videos, whole, killed = (Path(folder) / name for name in ("videos", "whole", "killed"))
        videos.mkdir()
        for k in range(options.recordings):
            for suffix in (".mp4", ".csv"):
                shutil.copy(assets / f"demo{suffix}", videos / f"person{k}{suffix}")
        began = time.monotonic()
        if start(videos, whole, options.workers).wait() != 0:
            return 1
        seconds = time.monotonic() - began
        print(f"uninterrupted: {seconds:.1f} s")
        for kill in range(options.kills):
            process = start(videos, killed, options.workers)
            started = time.monotonic()
            if kill % 2:  # while a recording is being written
                while process.poll() is None and not being_written(killed):
                    time.sleep(0.001)
                time.sleep(rng.uniform(0.0, 0.05))
            else:
                time.sleep(rng.uniform(0.2, 0.8) * seconds)
            moment = time.monotonic() - started
            if process.poll() is not None:
                print(f"kill {kill + 1}: finished before {moment:.2f} s")
                continue
            os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must find out by themselves
            process.wait()
            print(f"kill {kill + 1}: after {moment:.2f} s: {state(killed)}")
        if start(videos, killed, options.workers).wait() != 0:
            return 1
        (a, n), (b, m) = digest(whole), digest(killed)
        print(f"uninterrupted {a[:16]} ({n} files), killed {options.kills} times {b[:16]} ({m} files)")
        print("identical" if a == b else "DIFFERENT")
        return 0 if a == b else 1


if __name__ == "__main__":
    sys.exit(main())
