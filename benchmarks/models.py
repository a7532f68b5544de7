"""Size and speed of every model on one thread: ``python benchmarks/models.py``."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from kdphys.models import create
from kdphys.models.base import count_parameters

CASES = [
    ("student", 36),
    ("teacher", 36),
    ("deepphys", 36),
    ("tscan", 36),
    ("efficientphys", 36),
    ("physnet", 36),
    ("deepphys", 72),
    ("tscan", 72),
    ("efficientphys", 72),
    ("physnet", 72),
    ("factorizephys", 72),
]
FRAMES, REPEATS = 160, 7


def cpu() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.processor())


def row(name: str, size: int) -> str:
    """Measure one model, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = create(name, size=size).eval()
    x = torch.rand(1, FRAMES, 3, size, size) * 255
    times = []
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            model(x)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(REPEATS):
            start = time.perf_counter()
            model(x)
            times.append(time.perf_counter() - start)
    macs = counter.get_total_flops() / 2 / FRAMES / 1e6
    ahead = "clip" if model.lookahead is None else str(model.lookahead)
    ms = sorted(times)[REPEATS // 2] / FRAMES * 1e3
    return (
        f"| {name} | {size} | {count_parameters(model):,} | {macs:.1f} | {ms:.3f} | {min(times) / FRAMES * 1e3:.3f} "
        f"| {before / 1024:.0f} | {ahead} |"
    )


def main() -> None:
    if len(sys.argv) == 3:
        print(row(sys.argv[1], int(sys.argv[2])))
        return
    print(f"{cpu()}, 1 thread, float32, clips of {FRAMES} frames, batch 1, {REPEATS} repeats")
    print(f"Python {platform.python_version()}, torch {torch.__version__} (eager), {platform.system()}")
    print()
    print("| model | px | parameters | MMACs/frame | ms/frame, median | best | peak memory MiB | look-ahead, frames |")
    print("|---|---|---|---|---|---|---|---|")
    for name, size in CASES:  # a process each, so that peak memory is the model's own
        done = subprocess.run([sys.executable, __file__, name, str(size)], capture_output=True, text=True, check=True)
        print(done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
