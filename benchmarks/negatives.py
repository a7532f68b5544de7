"""Windows answered where there is no pulse: ``python benchmarks/negatives.py [BENCH_FOLDER]``.

The real negatives under ``KDPHYS_RECORDINGS``, with the region named by hand; and, given a folder of ``kdphys synth
--preset bench``, its clips without a pulse.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import kdphys
from kdphys.pipeline import measure_all

ROOT = Path(os.environ.get("KDPHYS_RECORDINGS", "../shared/recordings")) / "negatives"


def count(paths: list[Path], roi: str | None, methods: tuple[str, ...], step_s: float) -> None:
    for name in methods:
        method = kdphys.load_method(name)
        found = [(p, m) for p in paths for m in measure_all(p, method, roi=roi, step_s=step_s) if m.track is not None]
        course = [w for _, m in found for w in m.vitals.course]
        print(f"  {name}: {sum(w.hr_bpm is not None for w in course)} of {len(course)} windows answered")
        for path, m in found:
            told = [w for w in m.vitals.course if w.hr_bpm is not None]
            if told:
                rates = ", ".join(f"{w.hr_bpm:.0f} bpm at SQI {w.sqi:.0%}" for w in told)
                whole = f"{m.vitals.hr_bpm:.0f} bpm" if m.vitals.reliable else "no answer"
                print(f"    {path.name}: {rates}; the whole clip: {whole}")


def main() -> None:
    print("real skin without a pulse, windows of 10 s every second")
    count(sorted(ROOT.glob("*.avi")), "full", ("student", "teacher", "pos", "chrom", "green"), 1.0)
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        with (folder / "no-pulse.csv").open() as table:
            paths = [folder / row["video"] for row in csv.DictReader(table)]
        print("synthetic people without a pulse, windows of 10 s")
        count(paths, None, ("student", "teacher", "pos", "chrom", "green", "pbv"), 10.0)


if __name__ == "__main__":
    main()
