"""``kdphys measure``: vital signs of one or many videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from kdphys.pipeline import Measurement

#: A video that could not be read, or a wrong option.
EXIT_FAILED = 2
#: No reliable pulse in a video that could be read.
EXIT_NO_PULSE = 3
#: Stopped by Ctrl-C; what was read so far is reported as partial.
EXIT_STOPPED = 130


def measure(
    sources: Annotated[
        list[Path], typer.Argument(metavar="VIDEO...", help="Video files, folders of videos, or folders of images.")
    ],
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            help="student (default), teacher, pos, chrom, green, ica, lgi, pbv, omit, channel, or FILE.onnx.",
        ),
    ] = "",
    faces: Annotated[str, typer.Option(help="'largest' face, or 'all' persons apart.")] = "largest",
    roi: Annotated[
        str, typer.Option(help="Look at this box 'x0,y0,x1,y1' (pixels) or 'full' instead of for a face.")
    ] = "",
    window: Annotated[float, typer.Option(help="Heart rate over time: window in seconds.")] = 10.0,
    step: Annotated[float, typer.Option(help="Heart rate over time: step in seconds.")] = 1.0,
    fs: Annotated[
        float | None,
        typer.Option("--fs", help="Frames per second of videos and images without times, or with wrong ones."),
    ] = None,
    json: Annotated[str, typer.Option("--json", help="Write JSON to this file, or '-' for standard output.")] = "",
    csv: Annotated[str, typer.Option("--csv", help="Write heart rate over time to this CSV, '-' for output.")] = "",
    bvp: Annotated[str, typer.Option("--bvp", help="Write the pulse wave to this CSV, '-' for output.")] = "",
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a picture (PNG, SVG, PDF).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite output files.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary, no progress.")] = False,
) -> None:
    """Measure heart rate, variability and respiration.

    Exit codes: 0 an answer for every person; 2 a video that cannot be read, or a wrong option; 3 no reliable pulse in
    at least one video; 130 stopped by Ctrl-C (what was read so far is reported as partial). Not a medical device.
    """
    from kdphys.cli import output
    from kdphys.pipeline import DEFAULT_METHOD
    from kdphys.pulse.estimate import load_method

    chosen = load_method(method or DEFAULT_METHOD)
    targets = [output.Target(kind, where) for kind, where in (("json", json), ("csv", csv), ("bvp", bvp)) if where]
    if plot is not None:
        targets.append(output.Target("plot", str(plot)))
    options = {"faces": faces, "window_s": window, "step_s": step, "roi": parse_roi(roi)}
    files, left = output.expand(sources)
    output.check_targets(targets, force, files)
    for what in left:
        typer.echo(f"note: {what}", err=True)
    done: dict[str, list[Measurement]] = {}
    failed: dict[str, str] = {}
    stopped = False
    if len(files) == 1:
        done[str(files[0])] = output.run_one(files[0], chosen, options, fs=fs, show=not quiet)
    else:
        stopped = output.run_many(
            files, chosen, options, done, failed, fs=fs, show=not quiet, portraits=plot is not None
        )
    try:  # the files first: whatever becomes of the terminal, they are there
        output.write(targets, done, failed, force)
    finally:
        if not quiet and not any(t.is_stdout for t in targets):
            if len(files) == 1:
                output.summary(done[str(files[0])])
            else:
                output.table(done, failed, files)
    measured = [m for results in done.values() for m in results]
    if stopped or any(m.extraction.interrupted for m in measured):
        raise typer.Exit(EXIT_STOPPED)
    raise typer.Exit(EXIT_FAILED if failed else 0 if all(m.vitals.reliable for m in measured) else EXIT_NO_PULSE)


def parse_roi(text: str) -> Any:
    """'full', or four numbers, or None for no text."""
    from kdphys.errors import InvalidInputError

    if not text or text == "full":
        return text or None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise InvalidInputError(f"--roi expects 'x0,y0,x1,y1' in pixels or 'full', got {text!r}")
    return numbers
