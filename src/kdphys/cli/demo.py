"""``kdphys demo``: measure the bundled clip of a synthetic person with a known pulse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    method: Annotated[str, typer.Option("--method", "-m", help="How the pulse is estimated.")] = "",
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a picture (PNG, SVG, PDF).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite output files.")] = False,
) -> None:
    """Measure the bundled clip (a synthetic person) and compare with its known heart rate."""
    import json
    from importlib.resources import as_file, files

    from kdphys.cli import output
    from kdphys.pipeline import DEFAULT_METHOD
    from kdphys.pulse.estimate import load_method

    chosen = load_method(method or DEFAULT_METHOD)
    targets = [output.Target("plot", str(plot))] if plot is not None else []
    output.check_targets(targets, force, [])
    assets = files("kdphys") / "assets"
    truth = float(json.loads((assets / "demo.json").read_text())["hr_bpm"])
    with as_file(assets / "demo.mp4") as path:
        results = output.run_one(Path(path), chosen, {}, show=True)
    output.summary(results)
    hr = results[0].vitals.hr_bpm
    error = f"off by {abs(hr - truth):.1f} bpm" if hr is not None else "no answer"
    typer.echo(f"A synthetic person whose heart beats at {truth:.1f} bpm: {error}.")
    output.write(targets, {"demo.mp4": results}, {}, force)
    raise typer.Exit(0 if hr is not None else 3)
