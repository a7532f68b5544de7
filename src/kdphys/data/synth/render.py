"""Face clips in memory, for training: from seeds to batches of small crops with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kdphys.data.synth.bank import BankSpec, HeadBank, load_bank
from kdphys.data.synth.camera import add_noise, auto_gains, fast_codec, flicker_rows, resampling, tone
from kdphys.data.synth.codec import render_through_codec
from kdphys.data.synth.paint import paint, skin_textures
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.scene import Scene
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import make_tracks
from kdphys.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]

#: The rate that models see, Hz.
FS = 30.0
_CHUNK = 32  # frames drawn at a time: small enough for the cache
#: Side of the maps that small crops are drawn from.
_SMALL_MAPS = 128


@dataclass(frozen=True, eq=False)
class SynthClip:
    """One clip of one synthetic person on the model's clock.

    Args:
        rgb: float32 (T, S, S, 3), 0–255, not rounded: means over the source's 8-bit pixels.
        bvp: float32 (T,), systole upwards, about 1 from foot to peak; zeros where nothing pulses.
        hr_bpm: mean rate over the clip; NaN without a pulse.
        ibi_ms: float32 (B,), intervals between the beats that lie within the clip.
        beats_s: float32 (B + 1,) or empty, times of these beats.
        resp: float32 (T,), −1 to 1, breathing in upwards.
        mask: float32 (S, S), mean strength of the pulse in each pixel, 0 where there is no bare skin; zeros without
            a pulse.
        scene: the recipe.
    """

    rgb: NDArray[np.float32]
    bvp: NDArray[np.float32]
    hr_bpm: float
    ibi_ms: NDArray[np.float32]
    beats_s: NDArray[np.float32]
    resp: NDArray[np.float32]
    mask: NDArray[np.float32]
    scene: Scene


@dataclass(frozen=True, eq=False)
class SynthBatch:
    """Several clips of one length and size.

    Args:
        rgb: (B, T, S, S, 3), float32 0–255, or uint8 where asked for.
        bvp: (B, T). hr_bpm: (B,), NaN without a pulse. has_pulse: bool (B,). resp: (B, T). mask: (B, S, S).
        ibi_ms: a list of B arrays.
        scenes: the recipes.
    """

    rgb: torch.Tensor
    bvp: torch.Tensor
    hr_bpm: torch.Tensor
    has_pulse: torch.Tensor
    resp: torch.Tensor
    mask: torch.Tensor
    ibi_ms: list[NDArray[np.float32]]
    scenes: list[Scene]

    @property
    def tags(self) -> list[dict[str, str]]:
        """Conditions of every clip."""
        return [scene.tags for scene in self.scenes]


def render_clip(
    scene: Scene,
    frames: int,
    size: int = 36,
    *,
    bank: HeadBank | None = None,
    device: torch.device | str = "cpu",
    textures: Path | None = None,
) -> SynthClip:
    """Draw one clip.

    Args:
        scene: the recipe; its codec decides whether real encoders are used.
        frames: length in samples of 30 Hz, at least 2.
        size: side of the crop in pixels.
        bank: the heads; that of the scene, from the cache, when None.
        device: of the drawing; the noise differs between kinds of device, the scene does not.
        textures: folder with skin textures, needed when the scene names one.

    Raises:
        InvalidInputError: an impossible length or size, or a bank that is not the scene's.
    """
    if frames < 2 or not 8 <= size <= 256:
        raise InvalidInputError(f"synth: expected 2 frames or more of 8–256 pixels, got {frames} of {size}")
    bank = bank or load_bank(scene.bank)
    if bank.spec != scene.bank:
        raise InvalidInputError(f"synth: the scene was made for {scene.bank}, not {bank.spec}")
    tracks = make_tracks(scene, (frames - 1) / FS)
    real = scene.codec.kind not in ("none", "approx")
    stride = 1 if real else max(bank.spec.size // max(_SMALL_MAPS, 3 * size), 1)
    shader = Shader(scene, paint(scene, bank.head(scene.person.head, stride), textures), tracks, device)
    matrix = resampling(tracks.times, FS, frames)
    mask = _mask(shader, size)
    if real:
        crops = torch.as_tensor(render_through_codec(shader, size))
        rgb = (torch.as_tensor(matrix) @ crops.flatten(1)).reshape(frames, size, size, 3).numpy()
    else:
        source = _draw(shader, size)
        flat = torch.as_tensor(matrix, device=source.device) @ source.flatten(1)
        rgb = flat.reshape(frames, 3, size, size).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    t = np.arange(frames) / FS + float(tracks.times[0])
    heart = tracks.heart
    inside = np.flatnonzero((heart.beats >= t[0]) & (heart.beats <= t[-1])) if scene.pulse.present else np.arange(0)
    return SynthClip(
        rgb=rgb,
        bvp=heart.bvp(t).astype(np.float32),
        hr_bpm=heart.hr_bpm(float(t[0]), float(t[-1])),
        ibi_ms=(1000 * np.diff(heart.beats[inside])).astype(np.float32),
        beats_s=heart.beats[inside].astype(np.float32),
        resp=heart.resp(t).astype(np.float32),
        mask=mask,
        scene=scene,
    )


def _mask(shader: Shader, size: int) -> NDArray[np.float32]:
    if not shader.scene.pulse.present:
        return np.zeros((size, size), np.float32)
    middle = np.linspace(0, len(shader.tracks.times) - 1, 4).astype(int)
    layers = shader.draw(middle, shader.windows()[middle], size)
    return np.asarray(layers.strength.mean(dim=(0, 1)).cpu().numpy())


def _draw(shader: Shader, size: int) -> torch.Tensor:
    """All source frames as crops, (N, 3, S, S), 0–255, with everything a camera does to them."""
    scene, tracks = shader.scene, shader.tracks
    windows = shader.windows()
    generator = torch.Generator(device=shader.device)
    generator.manual_seed(int(scene.rng("noise").integers(2**62)))
    parts = []
    for start in range(0, len(tracks.times), _CHUNK):
        k = np.arange(start, min(start + _CHUNK, len(tracks.times)))
        layers = shader.draw(k, windows[k], size)
        picture = layers.picture()
        rows = flicker_rows(scene, tracks, k, windows[k], size)
        if rows is not None:
            picture *= torch.as_tensor(rows, device=shader.device)[:, None, :, None]
        parts.append(picture)
    clean = torch.cat(parts)
    if scene.camera.auto_exposure or scene.camera.auto_white:
        means = clean.mean(dim=(2, 3)).cpu().numpy().astype(np.float64)
        gains = auto_gains(scene, means, tracks.times).astype(np.float32)
        clean *= torch.as_tensor(gains, device=shader.device)[:, :, None, None]
    per_cell = windows[:, 2] * scene.camera.face_px / size
    out = add_noise(scene, tone(clean, scene.camera.contrast), per_cell, generator)
    if scene.codec.kind == "approx":
        out = fast_codec(scene, out, generator)
    return out[torch.as_tensor(tracks.held, device=out.device)] if scene.camera.drop_holds else out


def stack(clips: Sequence[SynthClip], as_uint8: bool = False, device: torch.device | str = "cpu") -> SynthBatch:
    """Put clips of one length and size together."""
    rgb = torch.as_tensor(np.stack([c.rgb for c in clips]))
    if as_uint8:
        rgb = rgb.round_().clamp_(0, 255).to(torch.uint8)
    numbers = [
        torch.as_tensor(np.stack([getattr(c, name) for c in clips])).to(device) for name in ("bvp", "resp", "mask")
    ]
    return SynthBatch(
        rgb=rgb.to(device),
        bvp=numbers[0],
        hr_bpm=torch.tensor([c.hr_bpm for c in clips], dtype=torch.float32, device=device),
        has_pulse=torch.tensor([c.scene.pulse.present for c in clips], device=device),
        resp=numbers[1],
        mask=numbers[2],
        ibi_ms=[c.ibi_ms for c in clips],
        scenes=[c.scene for c in clips],
    )


def batches(
    seed: int,
    batch: int,
    frames: int,
    size: int = 36,
    device: torch.device | str = "cpu",
    codec_share: float = 0.3,
    *,
    bank: BankSpec | None = None,
    as_uint8: bool = False,
    textures: Path | None = None,
    **fixed: Any,
) -> Iterator[SynthBatch]:
    """Endless batches of unrelated scenes.

    Args:
        seed: two seeds share no clip; worker ``w`` of a loader may use ``seed + w``.
        batch: clips in a batch.
        frames: samples of 30 Hz in a clip.
        size: side of the crop.
        device: where to draw and where the batch lies.
        codec_share: share of the clips that pass through a real codec; of the rest one half gets the approximation.
        bank: the heads.
        as_uint8: round the crops to 8 bits, for storage.
        textures: folder with skin textures to use for a part of the people.
        fixed: conditions to hold, as in :func:`~kdphys.data.synth.sample.sample_scene`.
    """
    heads = load_bank(bank)
    count = len(skin_textures(textures))
    number = 0
    while True:
        clips = []
        for _ in range(batch):
            scene = sample_scene(
                clip_seed(seed, number), bank=heads.spec, codec_share=codec_share, textures=count, **fixed
            )
            clips.append(render_clip(scene, frames, size, bank=heads, device=device, textures=textures))
            number += 1
        yield stack(clips, as_uint8, device)


def clip_seed(seed: int, number: int) -> int:
    """The scene seed of clip ``number`` of stream ``seed``."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
