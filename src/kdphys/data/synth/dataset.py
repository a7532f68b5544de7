"""Synthetic clips behind PyTorch's data-set protocol: clip ``k`` is always the same clip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from kdphys.data.synth.bank import BankSpec, load_bank
from kdphys.data.synth.paint import skin_textures
from kdphys.data.synth.render import SynthClip, clip_seed, render_clip
from kdphys.data.synth.sample import sample_scene
from kdphys.errors import InvalidInputError


class SynthDataset(Dataset[dict[str, torch.Tensor]]):
    """``count`` clips of stream ``seed``, drawn when asked for; nothing is stored.

    Args:
        count: number of clips; an epoch of training.
        frames: samples of 30 Hz in a clip.
        size: side of the crop in pixels.
        seed: of the stream; different seeds share no clip.
        codec_share: share of the clips that pass through a real encoder.
        bank: the heads.
        textures: folder with skin textures to use for a part of the people.
        fixed: conditions to hold, as in :func:`~kdphys.data.synth.sample.sample_scene`.

    Items are ``rgb`` (T, S, S, 3) float32 0–255, ``bvp`` (T,), ``resp`` (T,), ``mask`` (S, S), ``hr_bpm`` () and
    ``has_pulse`` ().
    """

    def __init__(
        self,
        count: int,
        frames: int = 160,
        size: int = 36,
        seed: int = 0,
        codec_share: float = 0.3,
        bank: BankSpec | None = None,
        textures: Path | None = None,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        if count < 1:
            raise InvalidInputError(f"synth: expected 1 clip or more, got {count}")
        self.count, self.frames, self.size, self.seed = count, frames, size, seed
        self.codec_share, self.textures, self.fixed = codec_share, textures, dict(fixed or {})
        self.spec = bank or BankSpec()
        load_bank(self.spec)  # built before any worker starts

    def __len__(self) -> int:
        return self.count

    def clip(self, k: int) -> SynthClip:
        """Clip ``k`` with all its labels and its recipe."""
        if not 0 <= k < self.count:
            raise IndexError(f"clip {k} of {self.count}")
        textures = len(skin_textures(self.textures))
        scene = sample_scene(
            clip_seed(self.seed, k), bank=self.spec, codec_share=self.codec_share, textures=textures, **self.fixed
        )
        return render_clip(scene, self.frames, self.size, bank=load_bank(self.spec), textures=self.textures)

    def __getitem__(self, k: int) -> dict[str, torch.Tensor]:
        clip = self.clip(k)
        return {
            "rgb": torch.from_numpy(clip.rgb),
            "bvp": torch.from_numpy(clip.bvp),
            "resp": torch.from_numpy(clip.resp),
            "mask": torch.from_numpy(clip.mask),
            "hr_bpm": torch.tensor(clip.hr_bpm, dtype=torch.float32),
            "has_pulse": torch.tensor(clip.scene.pulse.present),
        }
