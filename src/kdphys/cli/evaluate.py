"""``kdphys evaluate``: methods against recordings with references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: A recording that was not evaluated, or a wrong option.
EXIT_FAILED = 2


def evaluate(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Videos with a CSV of the same name, or folders of them; a data set's root; or a prepared store.",
        ),
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="PATH is a copy of this set of 'kdphys datasets list'.")
    ] = "",
    method: Annotated[list[str] | None, typer.Option("--method", "-m", help="Method; can be given again.")] = None,
    protocol: Annotated[str, typer.Option(help="kdphys, toolbox (as rPPG-Toolbox) or both.")] = "kdphys",
    window: Annotated[
        list[float] | None, typer.Option(help="Window in seconds, can be given again; 10 and 30 by default.")
    ] = None,
    step: Annotated[float | None, typer.Option(help="Step between windows in seconds; no overlap by default.")] = None,
    roi: Annotated[str, typer.Option(help="Look at this box 'x0,y0,x1,y1' or 'full' instead of for a face.")] = "",
    split: Annotated[
        str,
        typer.Option(
            help="JSON of a trained method's subjects, {'train': [...], 'test': [...]}; of a store also the name of "
            "one of its splits: holdout, k_fold or leave_one_dataset_out."
        ),
    ] = "",
    part: Annotated[str, typer.Option(help="Of the split: train, val or test; test by default.")] = "",
    fold: Annotated[str, typer.Option(help="Of a store's split: number of the fold, or the set left out.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for report.json, report.md and plots.")
    ] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Plots beside the report.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a report.")] = False,
) -> None:
    """Compare methods with references (pulse wave or heart rate) and report the errors.

    Each video needs a CSV of the same name with a column 'time' (seconds of the video) and 'bvp' or 'hr_bpm'; a
    manifest.csv in a folder names subjects and conditions. Public data sets (--dataset) and stores of 'kdphys prepare'
    bring their own. Without --out the tables go to standard output. Exit codes: 0 all evaluated; 2 a recording was
    not, or a wrong option.
    """
    from kdphys.cli.measure import parse_roi
    from kdphys.errors import InvalidInputError
    from kdphys.evaluate import report as reports
    from kdphys.evaluate import run
    from kdphys.evaluate.plots import require_matplotlib
    from kdphys.evaluate.protocols import PROTOCOLS
    from kdphys.evaluate.sources import select

    if protocol not in (*PROTOCOLS, "both"):
        raise InvalidInputError(f"--protocol must be {', '.join(PROTOCOLS)} or both, got {protocol!r}")
    if out is not None:
        reports.check_output(out, force)
        if plots:
            require_matplotlib()
    chosen = select(sources, dataset=dataset, split=split, part=part, fold=fold)
    found = chosen.recordings
    if chosen.left_out:
        typer.echo(f"left out: {chosen.left_out} recordings of persons outside the part {chosen.part!r}", err=True)
    if chosen.absent:
        typer.echo(f"no recording of {', '.join(chosen.absent)}, who are in the part {chosen.part!r}", err=True)
    result = run.evaluate(
        found,
        method or ["pos"],
        protocols=PROTOCOLS if protocol == "both" else (protocol,),
        windows_s=window or run.WINDOWS_S,
        step_s=step,
        roi=parse_roi(roi),
        split=chosen.split,
        part=chosen.part,
        progress=lambda k, name: typer.echo(f"{k + 1}/{len(found)} {name}", err=True),
    )
    if out is None:
        typer.echo(result.to_markdown())
    else:
        for path in result.save(out, force=force, plots=plots):
            typer.echo(path)
    for failure in result.failures:
        typer.echo(f"failed {failure.recording}: {failure.reason}", err=True)
    if result.failures:
        raise typer.Exit(EXIT_FAILED)
