"""``kdphys export``: trained weights as an ONNX file that the base install runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdphys.errors import InvalidInputError, MissingExtraError


def export(
    weights: Annotated[str, typer.Argument(help="Bundled weights by name, or a .safetensors file with its sidecar.")],
    out: Annotated[Path | None, typer.Option("--out", help="The ONNX file. Default: NAME.onnx.")] = None,
    format: Annotated[str, typer.Option("--format", help="Only 'onnx'.")] = "onnx",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write trained weights as ONNX, if ONNX Runtime computes what torch computes; run it with 'measure --method'."""
    if format != "onnx":
        raise InvalidInputError(f"--format: only 'onnx' is written, got {format!r}")
    try:
        from kdphys.export import export_onnx, sha256
        from kdphys.models.weights import load_weights
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "export") from error
    model, saved = load_weights(weights)
    path = out or Path(f"{saved.spec.name}.onnx")
    worst = export_onnx(model, saved.spec.name, path, saved.spec.sha256, force)
    typer.echo(f"{path}: {path.stat().st_size} bytes, sha256 {sha256(path)}, differs from torch by {worst:.1e}")
