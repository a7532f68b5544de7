"""Batches of clips for training, drawn as a pure function of the step: the same step always sees the same batch.

That, and nothing kept between steps, is what makes a resumed run equal to an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from kdphys.errors import DataError, InvalidInputError
from kdphys.train.config import SOURCES, DataConfig, SourceConfig


class ClipBatch(NamedTuple):
    """What a training step sees.

    Attributes:
        rgb: float32 (B, T, 3, S, S), 0–255.
        bvp: float32 (B, T), the true pulse wave in any units; ignored where there is no pulse.
        hr_bpm: float32 (B,), mean heart rate over the clip; NaN where unknown or without pulse.
        has_pulse: bool (B,).
    """

    rgb: Tensor
    bvp: Tensor
    hr_bpm: Tensor
    has_pulse: Tensor


class Source(Protocol):
    """Something that clips can be drawn from."""

    def draw(self, seed: Sequence[int], batch: int, frames: int, size: int) -> ClipBatch:
        """``batch`` clips of ``frames`` frames, S = ``size``; the same ``seed`` draws the same clips."""


class SynthSource:
    """People rendered on the fly (:mod:`kdphys.data.synth`)."""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config

    def draw(self, seed: Sequence[int], batch: int, frames: int, size: int) -> ClipBatch:
        """See :class:`Source`."""
        return render(self.config, seed, batch, frames, size)


def render(config: SourceConfig, seed: Sequence[int], batch: int, frames: int, size: int) -> ClipBatch:
    """``batch`` synthetic people; the same ``seed`` renders the same."""
    from kdphys.data.synth.bank import BankSpec
    from kdphys.data.synth.render import batches

    stream = batches(
        seed=whole_seed(seed),
        batch=batch,
        frames=frames,
        size=size,
        device="cpu",
        codec_share=config.codec_share,
        bank=BankSpec(count=config.heads, seed=config.heads_seed),
        **config.scene,
    )
    return from_synth(next(iter(stream)))


def from_synth(sample: Any) -> ClipBatch:
    """A batch of the generator, (B, T, S, S, 3) → (B, T, 3, S, S)."""
    has_pulse = torch.as_tensor(sample.has_pulse).cpu().bool()
    hr = torch.as_tensor(sample.hr_bpm).cpu().float()
    return ClipBatch(
        rgb=torch.as_tensor(sample.rgb).cpu().float().permute(0, 1, 4, 2, 3).contiguous(),
        bvp=torch.as_tensor(sample.bvp).cpu().float(),
        hr_bpm=torch.where(has_pulse, hr, torch.full_like(hr, torch.nan)),
        has_pulse=has_pulse,
    )


def whole_seed(seed: Sequence[int]) -> int:
    """One 32-bit seed out of several numbers."""
    return int(np.random.SeedSequence([int(s) for s in seed]).generate_state(1)[0])


def open_source(config: SourceConfig, size: int, workers: int = 0, progress: bool = False) -> Source:
    """Build the source, rendering a pool that does not exist yet when the configuration says so."""
    if config.kind == "synth" or (config.kind == "pool" and config.render):
        check_scene(config)
    if config.kind == "pool":
        from kdphys.train.pool import ensure_pool

        ensure_pool(config, size, workers, progress)
    source: Source = SOURCES.load(config.kind)(config)
    return source


def check_scene(config: SourceConfig) -> None:
    """Refuse conditions that no scene can have, before any is rendered.

    Raises:
        InvalidInputError: a value of ``scene`` has the wrong type or is unknown.
    """
    from kdphys.data.synth.bank import BankSpec
    from kdphys.data.synth.sample import sample_scene

    bank = BankSpec(count=config.heads, seed=config.heads_seed)
    try:
        for seed in range(8):
            sample_scene(seed, bank=bank, codec_share=config.codec_share, **config.scene)
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidInputError(f"data source: scene = {dict(config.scene)} cannot be: {error}") from error


class Mixture:
    """Several sources; each step one of them, picked by weight, serves the whole batch."""

    def __init__(self, config: DataConfig, size: int, seed: int, progress: bool = False) -> None:
        self.config, self.size, self.seed = config, size, seed
        self.sources = [open_source(s, size, config.workers, progress) for s in config.sources]
        for source, of in zip(self.sources, config.sources, strict=True):
            if of.kind != "synth":  # here, where what is wrong is said in one line, and not in another process
                source.draw((seed, of.seed, 0), 1, config.frames, size)
        weights = np.array([s.weight for s in config.sources])
        self.share = weights / weights.sum()

    def draw(self, step: int) -> ClipBatch:
        """The batch of one step."""
        pick = int(np.random.default_rng([self.seed, step, 17]).choice(len(self.sources), p=self.share))
        seed = (self.seed, self.config.sources[pick].seed, step)
        return self.sources[pick].draw(seed, self.config.batch, self.config.frames, self.size)


class Steps(IterableDataset[ClipBatch]):
    """Batches of steps ``first``, ``first + stride``, …, without end; workers take turns.

    Args:
        mixture: what to draw from.
        first: the next step of the run.
        rank, world: of this process among those that train together; each sees batches of its own.
    """

    def __init__(self, mixture: Mixture, first: int, rank: int = 0, world: int = 1) -> None:
        self.mixture, self.first, self.rank, self.world = mixture, first, rank, world

    def __iter__(self) -> Iterator[ClipBatch]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        if info is not None:
            torch.set_num_threads(1)
        step = self.first + worker
        while True:
            yield self.mixture.draw(step * self.world + self.rank)
            step += workers


class Fixed(torch.utils.data.Dataset[ClipBatch]):
    """The validation batches: the same at every validation, drawn once."""

    def __init__(self, config: DataConfig, size: int, progress: bool = False) -> None:
        assert config.validation is not None
        source = open_source(config.validation, size, config.workers, progress)
        frames = config.validation_frames or config.frames
        seeds = [(config.validation.seed, 99, i) for i in range(config.validation_batches)]
        self.batches = [source.draw(s, config.batch, frames, size) for s in seeds]
        if not any(bool(batch.has_pulse.any()) for batch in self.batches):
            raise DataError("data.validation: no clip with a pulse in it; its heart-rate error is what is watched")

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> ClipBatch:
        return self.batches[index]
