"""Synthetic people as video files with a reference beside them, through a real encoder."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.data.synth.bank import HeadBank, load_bank
from kdphys.data.synth.codec import encode
from kdphys.data.synth.compose import Composer
from kdphys.data.synth.paint import paint
from kdphys.data.synth.scene import Scene
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import Tracks, make_tracks
from kdphys.errors import InvalidInputError, OutputError

Floats = NDArray[np.floating[Any]]

#: Columns of the reference, one row a frame.
COLUMNS = ("time", "bvp", "hr_bpm", "resp")


@dataclass(frozen=True)
class VideoResult:
    """What :func:`render_video` wrote.

    Args:
        video, reference, recipe: the files.
        hr_bpm: mean rate over the clip; NaN without a pulse.
        frames: number of pictures.
    """

    video: Path
    reference: Path
    recipe: Path
    hr_bpm: float
    frames: int


def render_video(
    scene: Scene,
    path: Path | str,
    seconds: float,
    width: int = 640,
    height: int = 480,
    fps: float | None = None,
    codec: str | None = None,
    bit_rate: float | None = None,
    *,
    bank: HeadBank | None = None,
    textures: Path | None = None,
) -> VideoResult:
    """Write a clip as a video file, ``NAME.csv`` (one row a frame: ``time,bvp,hr_bpm,resp``) and ``NAME.json``
    (the recipe, the mean rate and the conditions).

    The reference is at the frames' times on the video's own clock; ``hr_bpm`` is the instantaneous rate, empty
    without a pulse. The camera's clock is regular (a constant frame rate); dropped frames are repeated ones.

    Args:
        scene: the recipe.
        path: of the video; its suffix names the container (``.mp4``, ``.avi``, ``.mkv``).
        seconds: length.
        width, height: of the picture, even.
        fps: instead of the scene's camera rate.
        codec: "h264", "mpeg4" or "mjpeg" instead of the scene's; scenes without a real one get nearly lossless H.264.
        bit_rate: bits per second for this picture size, instead of the scene's.
        bank: the heads.
        textures: folder with skin textures, needed when the scene names one.

    Raises:
        InvalidInputError: an impossible size, length, rate or codec.
        OutputError: the files cannot be written.
    """
    path = Path(path)
    if width < 64 or height < 64 or width % 2 or height % 2 or not 0.5 <= seconds <= 3600:
        raise InvalidInputError(
            f"video: expected even sides of 64 pixels or more and 0.5–3600 s, got {width}×{height} and {seconds} s"
        )
    scene = _for_file(scene, width, height, fps, codec, bit_rate)
    bank = bank or load_bank(scene.bank)
    tracks = make_tracks(scene, seconds, uniform=True)
    count = max(round(seconds * scene.camera.fps), 1)
    tracks = _cut(tracks, count)
    painted = paint(scene, bank.head(scene.person.head), textures)
    shader = Shader(scene, painted, tracks)
    middle = (width / 2, height / 2 - 0.05 * scene.camera.face_px)
    composer = Composer(shader, width, height, middle, scene.camera.face_px)
    written = path.with_name(path.stem + ".part" + path.suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(composer.frames(), str(written), scene.codec, scene.camera.fps)
        path.unlink(missing_ok=True)  # an older one: what follows is not its reference
        _write_reference(path.with_suffix(".csv"), tracks)
        hr = tracks.heart.hr_bpm(0.0, float(tracks.times[-1]))
        document = {
            "hr_bpm": round(hr, 4) if scene.pulse.present else None,
            "seconds": seconds,
            "width": width,
            "height": height,
            "conditions": scene.tags,
            "scene": asdict(scene),
        }
        path.with_suffix(".json").write_text(json.dumps(document) + "\n", encoding="utf-8")
        written.replace(path)  # the video comes last: where it is, all of it is
    except OSError as error:
        raise OutputError(f"video: cannot write {path} ({error})") from error
    finally:
        written.unlink(missing_ok=True)
    return VideoResult(path, path.with_suffix(".csv"), path.with_suffix(".json"), hr, count)


def _for_file(
    scene: Scene, width: int, height: int, fps: float | None, codec: str | None, bit_rate: float | None
) -> Scene:
    real = scene.codec.kind not in ("none", "approx")
    kind = codec or (scene.codec.kind if real else "h264")
    area = (width * height / (640 * 480)) ** 0.75
    mbps = bit_rate / 1e6 / area if bit_rate else (scene.codec.mbps if real else 20.0)
    face = min(scene.camera.face_px, 0.45 * min(width, height))
    return replace(
        scene,
        codec=replace(scene.codec, kind=kind, mbps=mbps, downscale=1.0),
        camera=replace(scene.camera, fps=fps or scene.camera.fps, face_px=face),
    )


def _cut(tracks: Tracks, count: int) -> Tracks:
    n = len(tracks.times)
    arrays: dict[str, Any] = {
        k: v[:count] for k, v in vars(tracks).items() if isinstance(v, np.ndarray) and len(v) == n
    }
    return replace(tracks, **arrays)


def _write_reference(path: Path, tracks: Tracks) -> None:
    heart = tracks.heart
    rate = heart.hr_at(tracks.times)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for t, b, h, r in zip(tracks.times, heart.bvp(tracks.times), rate, heart.resp(tracks.times), strict=True):
            out.writerow([f"{t:.6f}", f"{b:.6f}", f"{h:.4f}" if np.isfinite(h) else "", f"{r:.6f}"])
