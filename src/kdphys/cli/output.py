"""What a person sees and what is written: progress, summary, table, files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from kdphys import serialize
from kdphys.errors import KDPhysError, OutputError, VideoError
from kdphys.files import check_free, check_other, whole
from kdphys.pipeline import Measurement, measure_all
from kdphys.pulse.estimate import Method
from kdphys.video.reader import IMAGE_SUFFIXES, VIDEO_SUFFIXES, read_video
from kdphys.vitals.result import Estimate, Vitals

_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Target:
    """Something to write: kind "json", "csv", "bvp" or "plot"; where is a path, or "-" for standard output."""

    kind: str
    where: str

    @property
    def is_stdout(self) -> bool:
        """Whether it goes to standard output."""
        return self.where == "-"


def check_targets(targets: Sequence[Target], force: bool, sources: Sequence[Path]) -> None:
    """Refuse, before anything is measured, what could not be written afterwards, or would overwrite what is measured.

    Raises:
        OutputError: the path exists (without ``--force``), cannot be written, or is named twice.
        MissingExtraError: a picture is asked for and matplotlib is not installed.
    """
    seen: set[str] = set()
    for target in targets:
        place = "-" if target.is_stdout else os.path.abspath(target.where)
        if place in seen:
            raise OutputError(f"{target.where}: named for two outputs; give each its own path")
        seen.add(place)
        if target.kind == "plot":
            from kdphys.plot import require_matplotlib

            require_matplotlib(target.where)
        if target.is_stdout:
            continue
        path = Path(target.where)
        check_free(path, force)
        for source in sources:
            check_other(path, source)
        parent = path.parent
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise OutputError(f"{path}: cannot be written (no permission in {parent})")


def expand(sources: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Videos of folders, in order of name, each once; a folder of images stands for itself.

    Returns:
        the files, and what of the folders is not among them, in words.

    Raises:
        VideoError: a folder holds neither videos nor images, or cannot be read.
    """
    out: list[Path] = []
    left: list[str] = []
    for source in sources:
        if not os.path.isdir(source):  # pathlib's own raises at a name that is too long
            out.append(source)
            continue
        try:
            inside = sorted(p for p in source.iterdir() if not p.name.startswith("."))
        except OSError as error:
            raise VideoError(f"{source}: cannot be read ({error.strerror})") from error
        videos = [p for p in inside if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
        images = sum(p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() for p in inside)
        folders = sum(p.is_dir() for p in inside)
        if not videos and not images:
            deeper = f" itself; it has {folders} folders: name them ({source}/*)" if folders else ""
            raise VideoError(f"{source}: no video and no images in this folder{deeper}")
        out += videos or [source]
        beside = [f"{images} images"] if videos and images else []
        beside += [f"{folders} folders"] if folders else []
        if beside:
            left.append(f"{source}: {' and '.join(beside)} beside the {'videos' if videos else 'images'} not looked at")
    return list({os.path.abspath(path): path for path in reversed(out)}.values())[::-1], left


def run_one(
    path: Path, method: Method, options: Mapping[str, Any], *, show: bool, fs: float | None = None
) -> list[Measurement]:
    """Measure one file, with a progress bar when a person is watching."""
    video = read_video(path, fs=fs)
    if not (show and sys.stderr.isatty()):
        return measure_all(video, method, **options)
    with _progress() as bar:
        task = bar.add_task(path.name, total=video.duration_s)
        start: list[float] = []

        def update(t: float) -> None:
            start[:] = start or [t]
            bar.update(task, completed=t - start[0])

        return measure_all(video, method, progress=update, **options)


def run_many(
    files: Sequence[Path],
    method: Method,
    options: Mapping[str, Any],
    done: dict[str, list[Measurement]],
    failed: dict[str, str],
    *,
    fs: float | None,
    show: bool,
    portraits: bool,
) -> bool:
    """Measure file after file into ``done`` and ``failed``; Ctrl-C keeps what is finished.

    Returns:
        whether it was stopped.
    """
    bar = _progress() if show and sys.stderr.isatty() else None
    if bar is not None:
        bar.start()
        task = bar.add_task("", total=len(files))
    try:
        for path in files:
            if bar is not None:
                bar.update(task, description=path.name, completed=len(done) + len(failed))
            try:
                results = measure_all(read_video(path, fs=fs), method, **options)
            except (KDPhysError, OSError) as error:
                failed[str(path)] = str(error)
                continue
            # Pictures of long batches would pile up.
            done[str(path)] = results if portraits else [replace(m, portrait=None) for m in results]
            if results[0].extraction.interrupted:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        for path in files[len(done) + len(failed) :]:
            failed[str(path)] = "not measured: stopped before"
        return True
    finally:
        if bar is not None:
            bar.stop()
    return False


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def sparkline(wave: np.ndarray, width: int = 60) -> str:
    """A wave as a line of block characters."""
    if len(wave) < 2:
        return ""
    at = np.interp(np.linspace(0, len(wave) - 1, width), np.arange(len(wave)), wave)
    low, high = np.percentile(at, [2, 98])
    steps = np.clip((at - low) / max(high - low, 1e-12) * (len(_BLOCKS) - 1), 0, len(_BLOCKS) - 1)
    return "".join(_BLOCKS[round(float(k))] for k in steps)


def summary(results: Sequence[Measurement]) -> None:
    """Print one video's result for a person to read."""
    console = Console(highlight=False)
    first = results[0]
    e = first.extraction
    seen = f"{e.span[1] - e.span[0]:.1f} s, {e.n_frames} frames" if e.n_frames else "no frames"
    console.print(f"[bold]{_safe(first.source)}[/bold]  [dim]{seen}, {first.vitals.method}[/dim]")
    for m in results:
        if len(results) > 1:
            console.print(f"\n[bold]Person {m.person}[/bold]")
        _person(console, m)
    for note in first.notes:
        console.print(f"[yellow]note[/yellow]  {_safe(note)}")
    console.print("[dim]Not a medical device.[/dim]")


def _safe(text: str) -> str:
    return text.replace("[", r"\[")


def _person(console: Console, m: Measurement) -> None:
    v = m.vitals
    if v.hr_bpm is None:
        console.print(f"  [bold red]no reliable pulse[/bold red]: {', '.join(v.reasons)}")
        advice = ADVICE.get(v.reasons[0].split(":")[0] if v.reasons else "")
        if advice:
            console.print(f"  [dim]{advice}[/dim]")
        if v.coverage > 0:
            console.print(f"  [dim]{v.coverage:.0%} of the windows alone have an answer: see --csv[/dim]")
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        "  heart rate", Text(f"{v.hr_bpm:.1f} bpm", style="bold green"), f"confidence {v.sqi:.0%}", _span(v.hr)
    )
    rr = f"{v.rr.value:.1f} brpm" if v.rr.value is not None else "–"
    grid.add_row("  respiration", rr, *_rest(v.rr))
    for name, label in (("sdnn", "SDNN"), ("rmssd", "RMSSD"), ("pnn50", "pNN50"), ("lf_hf", "LF/HF")):
        value = v.hrv[name]
        unit = "" if value.unit == "ratio" else f" {value.unit}"
        digits = 2 if name == "lf_hf" else 0
        grid.add_row(f"  {label}", f"{value.value:.{digits}f}{unit}" if value.value is not None else "–", *_rest(value))
    console.print(grid)
    if len(v.course) > 1:
        rates = [w.hr_bpm for w in v.course if w.hr_bpm is not None]
        span = f"{min(rates):.0f}–{max(rates):.0f} bpm" if rates else "–"
        console.print(f"  over time   {span} in {v.coverage:.0%} of {len(v.course)} windows")
    console.print(f"  pulse       [red]{sparkline(_stretch(m, v))}[/red]")


#: What a person can do about a reason.
ADVICE = {
    "no face": "Face the camera, within about 2 m; or name the skin with --roi.",
    "too short": "Record at least 10 s, better 30 s.",
    "fs too low": "Record at 15 frames a second or more.",
    "too dark": "Put more light on the face, from the front.",
    "over-exposed": "Less light, or a lower exposure.",
    "repeating picture": "The same pictures come again and again: this is a loop, not a live face.",
    "flickering light": "What swings at that rate is the light, or the encoder: another light, or less compression.",
    "too much motion": "Hold still, rest the head.",
    "unsteady picture": "The picture gets sharp and soft, or stands still, at that rate: fix focus and resolution.",
    "unsteady rate": "The heart rate changes within the recording: look at it over time, or record for longer.",
    "no periodic component": "Nothing here beats like a pulse: more light, less compression, or no living face.",
}


def _stretch(m: Measurement, v: Vitals) -> np.ndarray:
    """Up to ten seconds of pulse where it is best."""
    good = [w for w in v.course if w.hr_bpm is not None]
    t0 = max(good, key=lambda w: w.sqi).t0 if good else m.pulse.t0
    a = max(round((t0 - m.pulse.t0) * m.pulse.fs), 0)
    return np.asarray(m.pulse.bvp[a : a + round(10 * m.pulse.fs)])


def _span(e: Estimate) -> Text:
    return Text(f"{e.window[0]:.1f}–{e.window[1]:.1f} s" if e.window else "", style="dim")


def _rest(e: Estimate) -> tuple[str | Text, Text]:
    if e.value is None:
        return Text(e.reason or "", style="dim"), Text("")
    return f"index {e.confidence:.0%}", _span(e)


def _common(sources: Sequence[str]) -> str:
    """The folder that all lie in; empty where there is none, or only the current one."""
    try:
        return os.path.commonpath([os.path.dirname(source) for source in sources])
    except ValueError:  # none at all, or on different drives
        return ""


def table(done: Mapping[str, Sequence[Measurement]], failed: Mapping[str, str], files: Sequence[Path]) -> None:
    """Print the results of many videos, failures last."""
    console = Console(highlight=False)
    out = Table(box=None, pad_edge=False)
    folder = _common(list(done))
    out.add_column(f"video in {_safe(folder)}" if folder else "video", overflow="fold")
    for column in ("bpm", "confidence", "brpm"):
        out.add_column(column, justify="right", no_wrap=True)
    out.add_column("", overflow="fold")
    for source, results in done.items():
        for m in results:
            v = m.vitals
            name = _safe(os.path.relpath(source, folder) if folder else source)
            name += f" #{m.person}" if len(results) > 1 else ""
            hr = f"{v.hr_bpm:.1f}" if v.hr_bpm is not None else "–"
            rr = f"{v.rr_brpm:.1f}" if v.rr_brpm is not None else "–"
            remarks = ", ".join([*v.reasons, *m.notes])
            out.add_row(name, hr, f"{v.sqi:.0%}" if v.reliable else "–", rr, f"[dim]{_safe(remarks)}[/dim]")
    console.print(out)
    answered = sum(m.vitals.reliable for results in done.values() for m in results)
    console.print(f"{len(files)} videos: {len(done)} measured ({answered} with an answer), {len(failed)} failed")
    for source, why in failed.items():
        # Messages begin with the path already when the file itself is at fault.
        text = why if why.startswith(source) else f"{source}: {why}"
        console.print(f"[red]failed[/red] {_safe(text)}", soft_wrap=True)
    console.print("[dim]Not a medical device.[/dim]")


def write(
    targets: Sequence[Target], done: Mapping[str, Sequence[Measurement]], failed: Mapping[str, str], force: bool
) -> None:
    """Write every output: into a temporary file first, so that nothing half-written is left behind.

    Raises:
        OutputError: a file cannot be written.
    """
    for target in targets:
        if target.kind == "plot":
            from kdphys.plot import save_figure

            for k, m in enumerate(m for results in done.values() for m in results):
                path = Path(target.where)
                named = path if k == 0 else path.with_stem(f"{path.stem}-{k + 1}")
                if k > 0:
                    check_free(named, force)
                with whole(named) as part:
                    save_figure(m, part)
            continue
        text = {
            "json": lambda: serialize.json_text(done, failed),
            "csv": lambda: serialize.course_csv(done, failed),
            "bvp": lambda: serialize.bvp_csv(done),
        }[target.kind]()
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files can be any bytes
        if target.is_stdout:
            sys.stdout.write(text)
        else:
            with whole(Path(target.where)) as part:
                part.write_text(text, encoding="utf-8")
