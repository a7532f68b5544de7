"""Lightning callbacks: running mean of the weights, a limit on time, a progress bar."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, RichProgressBar
from torch import Tensor


class Bar(RichProgressBar):  # type: ignore[misc]
    """Lightning's progress bar, of a training that counts steps and knows no epochs."""

    def get_metrics(self, *about: Any) -> dict[str, Any]:
        """The loss, and what is watched; the rest is in the log, and printed at the end."""
        found = super().get_metrics(*about)
        return {name: found[name] for name in ("train/loss", "val/mae_bpm") if name in found}

    def _get_train_description(self, current_epoch: int) -> str:
        return "training".ljust(len(self.validation_description))


class EMA(pl.Callback):  # type: ignore[misc]
    """Exponential running mean of the model's weights: validated in their place, kept in checkpoints, exported.

    The decay starts low, so that a short run is not dominated by the random start.

    Args:
        decay: per step.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.mean: dict[str, Tensor] = {}
        self.kept: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, task: Any) -> None:
        """Begin with the weights as they are, unless a checkpoint brought a mean."""
        state = task.model.state_dict()
        if not self.mean:
            self.mean = {k: v.detach().clone() for k, v in state.items()}
        self.mean = {k: v.to(state[k].device) for k, v in self.mean.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, task: Any, *_: Any) -> None:
        """One step of the mean."""
        n = trainer.global_step
        decay = min(self.decay, (1 + n) / (10 + n))
        for key, value in task.model.state_dict().items():
            if value.is_floating_point():
                self.mean[key].lerp_(value, 1 - decay)
            else:
                self.mean[key].copy_(value)

    def on_validation_start(self, trainer: pl.Trainer, task: Any) -> None:
        """Put the mean into the model."""
        if self.mean:
            self.kept = {k: v.detach().clone() for k, v in task.model.state_dict().items()}
            task.model.load_state_dict(self.mean)

    def on_validation_end(self, trainer: pl.Trainer, task: Any) -> None:
        """Put the trained weights back."""
        if self.kept:
            task.model.load_state_dict(self.kept)
            self.kept = {}

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.mean = state["mean"]


class Last(Checkpoint):  # type: ignore[misc]
    """Writes the checkpoint that a run goes on from, every so many steps.

    Where a validation is due at the same step it waits for that one: what it finds (the best weights, the patience that
    is left) is a part of the state, and a resumed run does not validate again.

    Args:
        path: of the file.
        every: steps.
    """

    def __init__(self, path: Path, every: int) -> None:
        super().__init__()
        self.path, self.every = path, every

    def _is_due(self, trainer: pl.Trainer) -> bool:
        return int(trainer.global_step) % self.every == 0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """At a step without validation."""
        validates = trainer.enable_validation and trainer.global_step % trainer.val_check_interval == 0
        if self._is_due(trainer) and not validates:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: pl.Trainer, task: Any) -> None:
        """At a step with one."""
        if self._is_due(trainer):
            trainer.save_checkpoint(self.path)


class MaxMinutes(pl.Callback):  # type: ignore[misc]
    """Stops this call after some minutes; the checkpoint lets another call go on as if this one had not stopped.

    Args:
        minutes: from the first step of this call on.
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self.minutes, self.start = minutes, 0.0

    def on_train_start(self, trainer: pl.Trainer, task: Any) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the clock: of several processes, that of the first."""
        if not trainer.strategy.broadcast(time.monotonic() - self.start > 60 * self.minutes):
            return
        trainer.should_stop = True
        every = trainer.val_check_interval
        if not isinstance(every, int) or trainer.global_step % every:
            trainer.limit_val_batches = 0  # Lightning validates when it stops; early stopping would count that
