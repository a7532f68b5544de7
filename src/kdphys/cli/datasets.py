"""``kdphys datasets``: which public data sets can be read, where they come from, and whether a copy is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdphys.cli.progress import progress
from kdphys.files import check_free, whole

if TYPE_CHECKING:
    from kdphys.data.check import CheckReport

#: A recording is missing, truncated or implausible.
EXIT_BAD = 1

app = typer.Typer(
    name="datasets",
    help="Public data sets: what can be read, where to ask for it, and whether a copy is whole.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Json = Annotated[str, typer.Option("--json", help="Write JSON to this file, or '-' for standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the JSON file.")]


@app.command("list")
def list_(json: Json = "", force: Force = False) -> None:
    """The data sets that can be read."""
    from dataclasses import asdict

    from kdphys.data.readers import DATASETS, load_reader

    infos = {name: load_reader(name).info for name in sorted(DATASETS)}
    if json:
        _write_json(json, {name: asdict(info) for name, info in infos.items()}, force)
        if json == "-":
            return
    table = [("name", "persons", "takes", "fps", "references")]
    for name, info in infos.items():
        fps = info.fps.split(",")[0].split(":")[0]
        table.append((name, str(info.subjects), str(info.recordings or "?"), fps, info.references))
    widths = [max(len(row[k]) for row in table) for k in range(5)]
    for row in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of 'kdphys datasets list'.")],
    json: Json = "",
    force: Force = False,
) -> None:
    """What a data set holds, its terms, where to ask for it, its layout and its traps."""
    from dataclasses import asdict

    from kdphys.data.readers import load_reader

    known = load_reader(name).info
    if json:
        _write_json(json, {"name": name} | asdict(known), force)
        if json == "-":
            return
    typer.echo(known.title)
    rows = {
        "name": name,
        "paper": f"{known.paper} ({known.doi})",
        "licence": known.licence,
        "where": known.where,
        "fps": known.fps,
        "persons": str(known.subjects),
        "takes": str(known.recordings or "not fixed"),
        "references": known.references,
        "layout": known.layout,
    }
    for key, value in rows.items():
        typer.echo(f"  {key:<11}{value}")
    for note in known.notes:
        typer.echo(f"  {'note':<11}{note}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of 'kdphys datasets list'.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Root of the copy on disk.")],
    decode: Annotated[bool, typer.Option("--decode", help="Decode every frame: slow, but finds all damage.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="The copy is meant to be incomplete: absent takes are not bad.")
    ] = False,
    json: Json = "",
    force: Force = False,
) -> None:
    """Walk a copy and report every missing, truncated or implausible recording.

    Exit codes: 0 all good; 1 a recording is bad; 2 a wrong option or no copy there.
    """
    from kdphys.data.check import check_dataset
    from kdphys.data.readers import load_reader

    reader = load_reader(name)
    if json not in ("", "-"):
        check_free(Path(json), force)
    with progress("checking") as tell:
        report = check_dataset(reader, path, decode=decode, partial=partial, progress=tell)
    if json:
        _write_json(json, report.to_json(), force)
    if json != "-":
        _table(report)
    raise typer.Exit(0 if report.ok else EXIT_BAD)


def _table(report: CheckReport) -> None:
    """One line a recording that is bad or has a note; absent ones are summed up."""
    absent = [f.recording for f in report.bad if f.frames is None and f.problems[0].startswith("missing: not in")]
    rows = [f for f in report.findings if f.recording not in absent and (f.problems or f.notes)]
    for finding in rows:
        mark = "ok " if finding.ok else "BAD"
        for what in (*finding.problems, *finding.notes):
            typer.echo(f"{mark}  {finding.recording}  {what}")
    if absent:
        shown = ", ".join(absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
        typer.echo(f"BAD  missing from this copy: {shown} (--partial if that is meant)")
    good = len(report.findings) - len(report.bad)
    hours = sum(f.seconds or 0.0 for f in report.findings) / 3600
    typer.echo(f"{report.dataset}: {good} of {len(report.findings)} recordings good, {hours:.2f} h of video")


def _write_json(where: str, content: object, force: bool) -> None:
    import json

    text = json.dumps(content, indent=2, ensure_ascii=False)
    if where == "-":
        typer.echo(text)
        return
    path = Path(where)
    check_free(path, force)
    with whole(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
