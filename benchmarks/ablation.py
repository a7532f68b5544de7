"""What each part of the training gives, and the rivals on the same clips: ``python benchmarks/ablation.py``.

Each variant is a change to ``configs/alone.toml`` (or, with a teacher, to ``configs/student.toml``), trained from
nothing for ``--steps`` steps with ``--seeds`` seeds into ``runs/ablation/VARIANT-SEED`` (finished runs are kept,
unfinished ones go on) and evaluated on the prepared benchmark::

    kdphys synth --preset bench --out runs/bench
    kdphys prepare files runs/bench --size 36 --out runs/bench-store

Prints a table and writes it to ``--results``: error of every best guess over windows of 10 s. With one
seed the interval is a bootstrap over the recordings; it knows nothing of what another seed would give. What a variant
changes is told more exactly by the differences to ``student, all losses`` in the same windows with the same seeds, of
which a second table gives 95 % intervals (a bootstrap over seeds and recordings).

With ``--minutes`` each variant gets as many steps as it makes in that time on one core, measured before the first
training and kept in ``steps.json``: run it under ``taskset -c 1`` with nothing beside it until that is written.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faces
import numpy as np
import torch
from numpy.typing import NDArray

from kdphys.data.store import Store
from kdphys.evaluate.prepared import prepared
from kdphys.evaluate.run import evaluate
from kdphys.export import export_onnx
from kdphys.models.weights import load_weights
from kdphys.pulse.estimate import load_method
from kdphys.train.config import DistillConfig, LossConfig, TrainConfig, load_config
from kdphys.train.loop import fit

ROOT = Path(__file__).parents[1]
ALONE = ROOT / "configs" / "alone.toml"
RESULTS = ROOT / "benchmarks" / "results" / "ablation.csv"
Change = Callable[[TrainConfig, DistillConfig], TrainConfig]
Windows = dict[tuple[str, float], tuple[float, float]]
#: What the other variants are compared with, window by window.
BASE = "student, all losses"


def _loss(**weights: float) -> Change:
    blank = {"pearson": 0.0, "dilate": 0.0, "heart_rate": 0.0, "amplitude": 0.0}
    return lambda c, _: replace(c, loss=LossConfig(**{**blank, **weights}))


def _distil(**parts: Any) -> Change:
    return lambda c, d: replace(c, distill=replace(d, **parts))


def _strong(**parts: Any) -> Change:
    """From the bundled student, which knows more than any teacher of ours."""
    pairs = (("mid", "mid"), ("deep", "deep"), ("temporal", "temporal"))
    return _distil(teacher="student", pairs=pairs, **parts)


def _model(name: str) -> Change:
    return lambda c, _: replace(c, model=replace(c.model, name=name))


VARIANTS: dict[str, Change] = {
    "student, Pearson": _loss(pearson=1.0),
    "student, Pearson + DILATE": _loss(pearson=1.0, dilate=0.1),
    "student, all losses": lambda c, _: c,
    "student + output": _distil(feature=0.0, attention=0.0),
    "student + output + feature": _distil(attention=0.0, weigh_space=False, weigh_time=False),
    "student + output + feature + attention": _distil(),
    "student, Pearson + output + feature + attention": lambda c, d: _distil()(_loss(pearson=1.0)(c, d), d),
    "student + output of the bundled student": _strong(feature=0.0, attention=0.0),
    "student + output + feature of the bundled student": _strong(attention=0.0, weigh_space=False, weigh_time=False),
    "student + output + feature + attention of the bundled student": _strong(),
    "teacher": _model("teacher"),
    "deepphys": _model("deepphys"),
    "tscan": _model("tscan"),
    "efficientphys": _model("efficientphys"),
    "physnet": _model("physnet"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--minutes", type=float, help="of training instead of a number of steps")
    parser.add_argument("--clips", type=int, default=10, help="in a step")
    parser.add_argument("--frames", type=int, default=240, help="of a clip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--teacher", default="teacher", help="name or weights")
    parser.add_argument("--store", type=Path, default=Path("runs/bench-store"))
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--results", type=Path, default=RESULTS, help="CSV file to write")
    parser.add_argument("--finished", action="store_true", help="train nothing, show what there is")
    parser.add_argument("--against", default=BASE, choices=list(VARIANTS), help="compare with this variant")
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), help="these variants")
    options = parser.parse_args()
    torch.set_num_threads(1)
    alone = load_config(ALONE)
    distill = load_config(ROOT / "configs" / "student.toml").distill
    assert distill is not None
    # Half of the clips of each pool, files of their own: the short runs draw no more.
    sources = tuple(
        replace(s, render=s.render // 2, path=str(options.out / Path(s.path).name)) for s in alone.data.sources
    )
    data = replace(alone.data, batch=options.clips, frames=options.frames, validation=None, sources=sources)
    base = lasting(replace(alone, data=data, optim=replace(alone.optim, ema=0.98)), options.steps)
    names, steps = options.only or list(VARIANTS), dict[str, int]()
    if options.minutes is not None and not options.finished:
        for name in names:
            config = VARIANTS[name](base, replace(distill, teacher=options.teacher))
            steps[name] = steps_in(options.minutes, name, config, options.out / "steps.json")
    rows = []
    for seed in range(options.seed, options.seed + options.seeds):
        for name in names:
            config = VARIANTS[name](replace(base, seed=seed), replace(distill, teacher=options.teacher))
            config = lasting(config, steps.get(name, options.steps))
            if options.finished and not (folder_of(options.out, name, seed) / "result.json").exists():
                continue
            rows.append({"variant": name, "seed": seed, **one(config, name, options)})
            print(rows[-1], flush=True)
    write(rows, options.results)
    show(rows)
    show_changes(rows, options.out, options.against)


def lasting(config: TrainConfig, steps: int) -> TrainConfig:
    """The same training in another number of steps."""
    optim = replace(config.optim, steps=steps, warmup=min(load_config(ALONE).optim.warmup, steps // 8))
    return replace(config, optim=optim, run=replace(config.run, validate_every=steps))


def steps_in(minutes: float, name: str, config: TrainConfig, known: Path) -> int:
    """How many steps a variant makes in a time: from what 4 and 24 of them take, without start and end."""
    seconds = dict(json.loads(known.read_text("utf-8"))) if known.exists() else {}
    if name not in seconds:
        took = []
        for steps in (4, 4, 24):  # the first one loads
            with tempfile.TemporaryDirectory() as folder:
                took.append(fit(lasting(config, steps), Path(folder) / "run", tensorboard=False).minutes)
        seconds[name] = (took[2] - took[1]) * 60 / 20
        known.write_text(json.dumps(seconds, indent=1), encoding="utf-8")
    return round(minutes * 60 / seconds[name])


def folder_of(out: Path, name: str, seed: int) -> Path:
    """Where a variant's run lies."""
    return out / f"{name.replace(' ', '').replace(',', '-')}-{seed}"


def one(config: TrainConfig, name: str, options: argparse.Namespace) -> dict[str, float]:
    """Train and evaluate one variant with one seed."""
    folder = folder_of(options.out, name, config.seed)
    weights, result = folder / f"{config.name}.safetensors", folder / "result.json"
    if result.exists():
        return dict(json.loads(result.read_text("utf-8")))
    minutes = 0.0
    if not weights.exists():
        minutes = fit(config, folder, resume=(folder / "last.ckpt").exists(), tensorboard=False).minutes
    model, _ = load_weights(str(weights))
    graph = folder / "model.onnx"
    export_onnx(model, config.model.name, graph, force=True)
    store = Store(options.store)
    report = evaluate(prepared(store, list(store)), [load_method(str(graph))], windows_s=(10.0,))
    group, summary = next((g, s) for g, s in report.summaries() if g.window == "10 s")
    scores = [s for s in group.scores if s.candidate_bpm is not None]
    errors = np.array([abs(s.candidate_bpm - s.ref_bpm) for s in scores])
    windows = {(s.recording, s.t0): (abs(s.candidate_bpm - s.ref_bpm), s.macc) for s in scores}
    table = [[*key, *values] for key, values in sorted(windows.items())]
    (folder / "windows.json").write_text(json.dumps(table), encoding="utf-8")
    low, high = interval([s.recording for s in scores], errors)
    out = {
        "steps": config.optim.steps,
        "n": summary.n,
        "mae_bpm": round(float(summary.mae_all.value), 3),
        "low_bpm": low,
        "high_bpm": high,
    }
    out |= {"within_5_bpm": round(float((errors <= 5).mean()), 4), "minutes": round(minutes, 1)}
    truth, guess = np.array([(s.ref_bpm, s.candidate_bpm) for s in scores], float).T
    out |= {
        "rmse_bpm": round(float(np.sqrt((errors**2).mean())), 3),
        "r": round(float(np.corrcoef(truth, guess)[0, 1]), 4),
    }
    out |= {"snr_db": round(float(np.mean([s.snr_db for s in scores])), 3)}
    out |= {"wave_r": round(float(np.mean([s.macc for s in scores])), 4)}
    for codec in sorted({dict(s.conditions)["codec"] for s in scores}):
        chosen = [abs(s.candidate_bpm - s.ref_bpm) for s in scores if dict(s.conditions)["codec"] == codec]
        out[f"mae_{codec}"] = round(float(np.mean(chosen)), 3)
    if faces.ROOT.is_dir():
        face = faces.figures(str(graph))
        out |= {"face_error_bpm": round(abs(face.bpm - face.true_bpm), 2), "face_wave_r": round(face.likeness, 3)}
    result.write_text(json.dumps(out), encoding="utf-8")
    return out


def interval(recordings: list[str], errors: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean error: a bootstrap over the recordings."""
    each = [errors[[r == name for r in recordings]] for name in sorted(set(recordings))]
    sums, counts = np.array([e.sum() for e in each]), np.array([len(e) for e in each])
    draws = np.random.default_rng(0).integers(0, len(each), (2000, len(each)))
    low, high = np.quantile(sums[draws].sum(1) / counts[draws].sum(1), [0.025, 0.975])
    return round(float(low), 3), round(float(high), 3)


def write(rows: list[dict[str, object]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def show(rows: list[dict[str, float]]) -> None:
    """One line a variant; the range is over the seeds, or of the bootstrap where there is one seed."""
    steps = ", ".join(f"{name} {n}" for name, n in sorted({(str(r["variant"]), r["steps"]) for r in rows}))
    print(f"\n{platform.processor() or platform.machine()}, torch {torch.__version__}, steps: {steps}\n")
    codecs = [k for k in rows[0] if k.startswith("mae_") and k != "mae_bpm"]
    names = " | ".join(k.removeprefix("mae_") for k in codecs)
    heads = (
        "variant | seeds | MAE, bpm (range) | RMSE | r | within 5 bpm | SNR, dB | wave r | real face, bpm off (wave r)"
    )
    print(f"| {heads} | {names} |\n|{'---|' * (9 + len(codecs))}")
    for name in dict.fromkeys(r["variant"] for r in rows):
        mine = [r for r in rows if r["variant"] == name]
        maes = [r["mae_bpm"] for r in mine]
        low, high = (min(maes), max(maes)) if len(mine) > 1 else (mine[0]["low_bpm"], mine[0]["high_bpm"])

        def mean(key: str, rows: list[dict[str, float]] = mine) -> float:
            return float(np.mean([r[key] for r in rows]))

        cells = [name, str(len(mine)), f"{np.mean(maes):.1f} ({low:.1f}–{high:.1f})", f"{mean('rmse_bpm'):.1f}"]
        cells += [f"{mean('r'):.2f}", f"{mean('within_5_bpm'):.0%}", f"{mean('snr_db'):.2f}", f"{mean('wave_r'):.3f}"]
        face = f"{mean('face_error_bpm'):.1f} ({mean('face_wave_r'):.2f})" if "face_wave_r" in mine[0] else ""
        cells.append(face)
        print(f"| {' | '.join(cells + [f'{mean(k):.1f}' for k in codecs])} |")


def show_changes(rows: list[dict[str, float]], runs: Path, base: str = BASE) -> None:
    """What each variant changes against ``base``, window by window."""
    seeds = {
        name: {r["seed"] for r in rows if r["variant"] == name} for name in dict.fromkeys(r["variant"] for r in rows)
    }
    print(
        f"\n| against {base} | seeds | MAE, bpm (95 %) | within 5 bpm, points (95 %) | wave r (95 %) |\n|{'---|' * 5}"
    )
    for name in seeds:
        both = sorted(seeds[name] & seeds.get(base, set()))
        if name == base or not both:
            continue
        changes = [change(windows_of(runs, name, seed), windows_of(runs, base, seed)) for seed in both]
        cells = [
            f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
            for (mean, low, high), digits in zip(spread(changes), (1, 1, 3), strict=True)
        ]
        print(f"| {' | '.join([name, str(len(both)), *cells])} |")


def windows_of(runs: Path, name: str, seed: int) -> Windows:
    """(recording, start) → error in bpm, likeness to the true wave."""
    table = json.loads((folder_of(runs, name, seed) / "windows.json").read_text("utf-8"))
    return {(recording, t0): (error, likeness) for recording, t0, error, likeness in table}


def change(mine: Windows, base: Windows) -> dict[str, NDArray[np.float64]]:
    """Recording → (windows, 3): change of the error, of being within 5 bpm in points, and of the likeness."""
    out: dict[str, list[tuple[float, float, float]]] = {}
    for key in sorted(mine.keys() & base.keys()):
        (error, likeness), (was, before) = mine[key], base[key]
        within = 100.0 * ((error <= 5) - (was <= 5))
        out.setdefault(key[0], []).append((error - was, within, likeness - before))
    return {recording: np.array(values) for recording, values in out.items()}


def spread(changes: list[dict[str, NDArray[np.float64]]]) -> list[tuple[float, float, float]]:
    """Mean and 95 % interval of each column: a bootstrap over the seeds and, within, over the recordings."""
    names = sorted(set.intersection(*(set(c) for c in changes)))
    sums = np.array([[c[n].sum(0) for n in names] for c in changes])  # (seeds, recordings, 3)
    counts = np.array([[len(c[n]) for n in names] for c in changes], float)
    rng, draws = np.random.default_rng(0), []
    for _ in range(2000):
        seeds, chosen = rng.integers(0, len(sums), len(sums)), rng.integers(0, len(names), len(names))
        draws.append(sums[seeds][:, chosen].sum((0, 1)) / counts[seeds][:, chosen].sum())
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    return list(zip(sums.sum((0, 1)) / counts.sum(), low, high, strict=True))


if __name__ == "__main__":
    main()
