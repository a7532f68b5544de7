"""``kdphys synth``: synthetic people as video files with a known pulse, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kdphys.cli.progress import progress
from kdphys.files import check_free


def synth(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to.")] = None,
    preset: Annotated[
        str, typer.Option("--preset", help="videos: random clips; bench: the benchmark set; demo: the bundled clip.")
    ] = "videos",
    contact_sheet: Annotated[
        Path | None, typer.Option("--contact-sheet", help="Write a picture (PNG) of many faces instead.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Number of clips or faces.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same people.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of each clip (preset videos).")] = 20.0,
    textures: Annotated[
        Path | None, typer.Option("--textures", help="Folder with skin textures in MakeHuman's layout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite clips that are there.")] = False,
) -> None:
    """Make synthetic people with a known pulse: videos, references (CSV) and recipes (JSON)."""
    from kdphys.errors import InvalidInputError, MissingExtraError

    try:
        from kdphys.data.synth import sheet
        from kdphys.data.synth.bank import load_bank
        from kdphys.data.synth.presets import BENCH_BANK
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "synth") from error

    presets = ("videos", "bench", "demo")
    if preset not in presets:
        raise InvalidInputError(f"--preset: expected one of {', '.join(presets)}, got {preset!r}")
    if contact_sheet is None and out is None:
        raise InvalidInputError("nothing to write: name a folder with --out, or a picture with --contact-sheet")
    if textures is not None and preset != "videos":
        raise InvalidInputError(f"--textures: the people of --preset {preset} have none")
    with progress("casting heads (once)") as tell:
        load_bank(BENCH_BANK if preset == "bench" else None, tell)
    if contact_sheet is not None:
        sheet.contact_sheet(contact_sheet, count or 64, seed, textures)
        typer.echo(f"{contact_sheet}")
        return
    assert out is not None
    with progress("writing clips") as tell:
        _write(preset, out, count, seed, seconds, textures, force, tell)


def _write(
    preset: str,
    out: Path,
    count: int | None,
    seed: int,
    seconds: float,
    textures: Path | None,
    force: bool,
    tell: Callable[[int, int], None],
) -> None:
    from kdphys.data.synth.paint import skin_textures
    from kdphys.data.synth.presets import write_bench, write_demo
    from kdphys.data.synth.render import clip_seed
    from kdphys.data.synth.sample import sample_scene
    from kdphys.data.synth.video import render_video

    if preset == "demo":
        check_free(out / "demo.mp4", force)
        result = write_demo(out)
        typer.echo(f"{result.video}: {result.frames} frames, {result.hr_bpm:.1f} bpm")
        return
    if preset == "bench":
        typer.echo(f"{write_bench(out, count or 240, seed, tell, force=force)}")
        return
    skins = len(skin_textures(textures))
    for name in (f"{k:04d}{suffix}" for k in range(count or 1) for suffix in (".mp4", ".avi")):
        check_free(out / name, force)
    for k in range(count or 1):
        scene = sample_scene(clip_seed(seed, k), codec_share=1.0, textures=skins)
        suffix, other = (".avi", ".mp4") if scene.codec.kind == "mjpeg" else (".mp4", ".avi")
        (out / f"{k:04d}{other}").unlink(missing_ok=True)  # overwritten, too: the new reference is not its
        result = render_video(scene, out / f"{k:04d}{suffix}", seconds, textures=textures)
        rate = f"{result.hr_bpm:.1f} bpm" if scene.pulse.present else "no pulse"
        typer.echo(f"{result.video}: {rate}, " + ", ".join(f"{a} {b}" for a, b in scene.tags.items() if a != "pulse"))
        tell(k + 1, count or 1)
