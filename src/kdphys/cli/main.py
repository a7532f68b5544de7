"""The command ``kdphys``: thin commands, each in a module of its own; errors become one line and exit code 2."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from kdphys.cli.datasets import app as datasets
from kdphys.cli.demo import demo
from kdphys.cli.evaluate import evaluate
from kdphys.cli.export import export
from kdphys.cli.live import live
from kdphys.cli.measure import measure
from kdphys.cli.prepare import prepare
from kdphys.cli.serve import serve
from kdphys.cli.synth import synth
from kdphys.cli.train import distill, train
from kdphys.errors import KDPhysError

app = typer.Typer(
    name="kdphys",
    help="Heart rate, variability and respiration from ordinary face video, with confidence. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(measure)
app.command()(demo)
app.command()(evaluate)
app.add_typer(datasets, name="datasets")
app.command()(prepare)
app.command()(train)
app.command()(distill)
app.command()(export)
app.command()(synth)
app.command()(live)
app.command()(serve)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"kdphys {version('kdphys')}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal of few characters, a file name of any bytes: never a crash
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KDPhysError as error:
        typer.echo(f"kdphys: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("kdphys: stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
