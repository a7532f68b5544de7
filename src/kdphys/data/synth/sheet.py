"""Contact sheets: many synthetic faces in one picture, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.data.synth.bank import HeadBank, load_bank
from kdphys.data.synth.compose import Composer
from kdphys.data.synth.paint import paint, skin_textures
from kdphys.data.synth.render import clip_seed
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import make_tracks
from kdphys.errors import OutputError

_TILE = 144


def face_tile(seed: int, bank: HeadBank, textures: Path | None = None, **fixed: Any) -> NDArray[np.uint8]:
    """One person as a camera would show the crop, uint8 (144, 144, 3) RGB; ``fixed`` as in ``sample_scene``."""
    count = len(skin_textures(textures))
    scene = sample_scene(seed, bank=bank.spec, codec="none", textures=count, **fixed)
    shader = Shader(scene, paint(scene, bank.head(scene.person.head), textures), make_tracks(scene, 0.5))
    window = shader.windows()[3]
    face = _TILE / float(window[2])
    middle = (_TILE / 2 - float(window[0]) * face, _TILE / 2 - float(window[1]) * face)
    composer = Composer(shader, _TILE, _TILE, middle, face)
    frames = composer.frames()
    for _ in range(3):
        next(frames)
    return next(frames)


def contact_sheet(path: Path | str, n: int = 64, seed: int = 0, textures: Path | None = None) -> None:
    """Write a picture of ``n`` random people, eight in a row, skin types 1–6 in turn.

    Raises:
        OutputError: the picture cannot be written.
    """
    bank, columns = load_bank(), min(8, n)
    tiles = [face_tile(clip_seed(seed, k), bank, textures, skin=k % 6 + 1) for k in range(n)]
    tiles += [np.zeros_like(tiles[0])] * (-n % columns)
    rows = [np.concatenate(tiles[k : k + columns], 1) for k in range(0, len(tiles), columns)]
    picture = np.concatenate(rows)[..., ::-1]
    try:
        done = cv2.imwrite(str(path), picture)
    except cv2.error:
        done = False
    if not done:
        raise OutputError(f"{path}: cannot be written as a picture; name a .png or .jpg in a folder that exists")
