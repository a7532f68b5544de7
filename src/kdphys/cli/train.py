"""``kdphys train`` and ``kdphys distill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdphys.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from kdphys.train.config import TrainConfig

Config = Annotated[Path, typer.Argument(help="Configuration, a TOML file such as configs/student.toml.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/ and the configuration's name.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")]
Minutes = Annotated[
    float | None,
    typer.Option(help="Stop after so many minutes of steps, at a checkpoint; rendering clips first is not counted."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def train(
    config: Config, out: Out = None, resume: Resume = False, max_minutes: Minutes = None, quiet: Quiet = False
) -> None:
    """Train a model, or fine-tune one (model.start), as a configuration says."""
    from kdphys.train.config import load_config

    loaded = load_config(config)
    if loaded.distill is not None:
        raise InvalidInputError(f"{config} has a [distill] table; use `kdphys distill {config}`")
    _run(loaded, out, resume, max_minutes, quiet)


def distill(
    config: Config,
    teacher: Annotated[str | None, typer.Option(help="Weights of the teacher: a known name or a path.")] = None,
    out: Out = None,
    resume: Resume = False,
    max_minutes: Minutes = None,
    quiet: Quiet = False,
) -> None:
    """Distil a teacher into a student as a configuration with a [distill] table says."""
    from kdphys.train.config import load_config, with_teacher

    _run(with_teacher(load_config(config), teacher), out, resume, max_minutes, quiet)


def _run(config: TrainConfig, out: Path | None, resume: bool, max_minutes: float | None, quiet: bool) -> None:
    try:
        from kdphys.train.loop import fit
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error
    if max_minutes is not None and max_minutes <= 0:
        raise InvalidInputError(f"--max-minutes must be positive, got {max_minutes}")
    folder = Path("runs") / config.name if out is None else out
    result = fit(config, folder, resume=resume, max_minutes=max_minutes, progress=not quiet)
    state = "finished" if result.finished else "stopped, go on with --resume"
    typer.echo(f"{result.steps} steps in {result.minutes:.1f} min, {state}")
    for name, value in sorted(result.metrics.items()):
        if name.startswith("val/"):
            typer.echo(f"  {name.removeprefix('val/'):<16} {value:.3f}")
    typer.echo(f"{result.weights.spec.file}  sha256 {result.weights.spec.sha256[:12]}…")
