"""``kdphys prepare``: recordings into a store of crops and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kdphys.cli.progress import progress

#: Some recordings were refused; the others are in the store.
EXIT_REFUSED = 1


def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A data set of 'kdphys datasets list', or 'files' for videos with a CSV of the same name.",
        ),
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Root of the copy on disk.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the store; an unfinished one is continued.")],
    size: Annotated[int, typer.Option(help="Side of the crops in pixels.")] = 36,
    fs: Annotated[float, typer.Option(help="Rate of crops and labels in Hz.")] = 30.0,
    dtype: Annotated[str, typer.Option(help="Of the pixels: float16, or uint8 (half the size, rounded).")] = "float16",
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    folds: Annotated[
        int | None, typer.Option(help="Folds of the k-fold split in the manifest; a new store has 5.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the splits; a new store has 0.")] = None,
    called: Annotated[str, typer.Option("--as", help="Store under this name instead of NAME.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find the face in every recording and store crops and labels on one clock.

    Run it again after an interruption: finished recordings are not redone, refused ones are tried again. Exit codes:
    0 all recordings are in the store; 1 some were refused (their reasons are in manifest.json); 2 a wrong option.
    """
    from kdphys.data import prepare as work
    from kdphys.data.store import read_manifest
    from kdphys.pipeline import extract_clip

    sources = _find(name, path)
    dataset = called or name
    splits = (read_manifest(out) or {}).get("splits")
    before: list[int] = []
    with progress(dataset, quiet) as show:

        def tell(done: int, total: int, take: str) -> None:
            before.append(done)
            show(done, total, take)

        manifest = work.prepare(
            sources,
            dataset,
            out,
            extract_clip,
            size=size,
            fs=fs,
            dtype=dtype,
            workers=workers,
            folds=folds,
            seed=seed,
            progress=tell,
        )
    counts = manifest["datasets"][dataset]
    for entry in manifest["recordings"].values():
        if entry["status"] == "refused" and entry["dataset"] == dataset:
            typer.echo(f"refused  {entry['name']}  {entry['reason']}")
    # Of another folder's recording of the same name nothing was stored: --as gives it a place of its own.
    there = f" ({before[0]} there before)" if before and before[0] else ""
    waiting = f" + {counts['pending']} begun with others and not done" if counts["pending"] else ""
    typer.echo(f"{dataset}: {counts['in']} in = {counts['done']} out + {counts['refused']} refused{waiting}{there}")
    if splits and len(splits) > 2 and splits != manifest["splits"]:  # more than their seed and number of folds
        typer.echo("note: there are other persons than before, or other options: the splits were made anew")
    raise typer.Exit(EXIT_REFUSED if counts["refused"] else 0)


def _find(name: str, path: Path) -> Any:
    if name == "files":
        from kdphys.evaluate.generic import find_recordings

        return find_recordings([path])
    from kdphys.data.readers import load_reader

    return load_reader(name).find(path)
