"""Methods by condition from a report of ``kdphys evaluate``: ``python benchmarks/bench_table.py REPORT_FOLDER``.

For the synthetic benchmark::

    kdphys synth --preset bench --out runs/bench
    kdphys evaluate runs/bench -m student -m pos --window 10 --out runs/bench-report
    python benchmarks/bench_table.py runs/bench-report
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SHOWN = ("motion", "light", "codec", "skin")


def main() -> None:
    groups = json.loads((Path(sys.argv[1]) / "report.json").read_text())["groups"]
    groups = [g for g in groups if g["protocol"] == "kdphys" and g["window"] == "10 s"]
    names = [g["method"] for g in groups]
    n = groups[0]["summary"]["n"]
    print(f"{n} windows of 10 s: MAE in bpm of every best guess (share answered: MAE of the answered)\n")
    print("| condition | n | " + " | ".join(names) + " |")
    print("|---|---|" + "---|" * len(names))
    rows = [("all", [g["summary"] for g in groups])]
    for condition in SHOWN:
        for value in sorted(groups[0]["conditions"][condition]):
            rows.append((f"{condition}: {value}", [g["conditions"][condition][value] for g in groups]))
    for label, summaries in rows:
        cells = [_cell(s) for s in summaries]
        print(f"| {label} | {summaries[0]['n']} | " + " | ".join(cells) + " |")
    print("\nMAE in bpm of the share of windows with the highest SQI\n")
    print("| share | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    errors = [_by_sqi(g["scores"]) for g in groups]
    for share in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0):
        means = [sum(e[: round(share * len(e))]) / round(share * len(e)) for e in errors]
        print(f"| {share:.0%} | " + " | ".join(f"{m:.2f}" for m in means) + " |")
    within = [sum(x <= 5 for x in e) / len(e) for e in errors]
    print("\nbest guesses within 5 bpm: " + ", ".join(f"{n} {w:.0%}" for n, w in zip(names, within, strict=True)))
    told = [[s for s in g["scores"] if s["hr_bpm"] is not None] for g in groups]
    off = [sum(abs(s["hr_bpm"] - s["ref_bpm"]) > 5 for s in t) for t in told]
    sqi = [sum(s["sqi"] for s in t) / len(t) if t else float("nan") for t in told]
    cells = (f"{n} {k} of {len(t)} at mean SQI {q:.0%}" for n, k, t, q in zip(names, off, told, sqi, strict=True))
    print("answers more than 5 bpm off: " + ", ".join(cells))


def _by_sqi(scores: list[dict[str, Any]]) -> list[float]:
    """Errors of the best guesses, most trusted first."""
    guesses = [s for s in scores if s["candidate_bpm"] is not None]
    return [abs(s["candidate_bpm"] - s["ref_bpm"]) for s in sorted(guesses, key=lambda s: -s["sqi"])]


def _cell(summary: dict[str, Any]) -> str:
    everything, mae = summary["mae_all"], summary["mae"]
    tail = f"{summary['coverage']:.0%}: {mae['value']:.1f}" if mae else "0%"
    return f"{everything['value']:.0f} ({tail})"


if __name__ == "__main__":
    main()
