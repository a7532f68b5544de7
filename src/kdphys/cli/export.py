"""``kdphys export``: trained weights as ONNX files that the base install runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kdphys.cli.progress import progress
from kdphys.errors import InvalidInputError, MissingExtraError
from kdphys.files import check_free


def export(
    weights: Annotated[str, typer.Argument(help="Bundled weights by name, or a .safetensors file with its sidecar.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The ONNX file, default NAME.onnx; the others lie beside it."),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="Only 'onnx'.")] = "onnx",
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Write NAME-stream.onnx too. Default: if the model has one."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Write NAME-int8.onnx too; needs --bench.")] = False,
    bench: Annotated[
        Path | None, typer.Option("--bench", help="Videos with references that --int8 is calibrated and judged on.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files.")] = False,
) -> None:
    """Write trained weights as ONNX, if ONNX Runtime computes what torch computes; run it with 'measure --method'.

    NAME-stream.onnx is what live use runs frame by frame. NAME-int8.onnx is refused when its heart rates are more than
    0.1 bpm worse.
    """
    if format != "onnx":
        raise InvalidInputError(f"--format: only 'onnx' is written, got {format!r}")
    if int8 and (bench is None or not bench.is_dir()):
        raise InvalidInputError("--int8 needs --bench DIR: videos with references; make some with 'kdphys synth'")
    try:
        from kdphys.export import export_onnx, export_stream
        from kdphys.models.weights import load_weights, sha256
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "export") from error
    from kdphys.pulse.engines import STREAM_SUFFIX
    from kdphys.vitals.heart_rate import MIN_HR_S

    model, saved = load_weights(weights)
    name, hashed = saved.spec.name, saved.spec.sha256
    path = out or Path(f"{name}.onnx")
    if path.suffix.lower() != ".onnx":
        raise InvalidInputError(f"--out: expected a name that ends in .onnx, by which it is known later, got {path}")
    live, small = path.with_name(f"{path.stem}{STREAM_SUFFIX}.onnx"), path.with_name(f"{path.stem}-int8.onnx")
    stream = stream if stream is not None else saved.model == "student"
    if stream and saved.model != "student":
        raise InvalidInputError(f"--stream: {name} is a {saved.model}; only a student has a streaming graph")
    for file, wanted in ((path, True), (live, stream), (small, int8)):  # before any work
        if wanted:
            check_free(file, force)

    def tell(file: Path, what: str) -> None:
        typer.echo(f"{file}: {file.stat().st_size} bytes, sha256 {sha256(file)}, {what}")

    tell(path, f"differs from torch by {export_onnx(model, name, path, hashed, force):.1e}")
    if stream:
        tell(live, f"differs from torch by {export_stream(model, name, live, hashed, force):.1e}")
    if int8 and bench is not None:
        from kdphys.export.int8 import export_int8

        with progress("judging in 8 bits") as show:
            result = export_int8(path, small, bench, force=force, progress=show)
        judged = f"{result.recordings} recordings"
        if result.left_out:
            judged += f" ({result.left_out} without {MIN_HR_S:g} s of face and reference left out)"
        tell(small, f"{result.int8_mae_bpm:.2f} bpm off over {judged}, {result.mae_bpm:.2f} before")
