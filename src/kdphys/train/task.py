"""One Lightning task for every model: supervised losses, optional distillation, validation by heart-rate error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from kdphys.errors import KDPhysError
from kdphys.losses.dilate import dilate
from kdphys.losses.pearson import negative_pearson, standardise, wide
from kdphys.losses.spectral import band_power, heart_rate_cross_entropy
from kdphys.models.base import PulseModel
from kdphys.train.config import LossConfig, TrainConfig
from kdphys.train.data import ClipBatch, whole_seed
from kdphys.train.distill import Distiller


def supervised(prediction: Tensor, batch: ClipBatch, config: LossConfig, fs: float) -> dict[str, Tensor]:
    """Weighted parts of the loss by name; parts switched off, and parts without a clip to judge, are absent.

    Clips without a pulse take no part in the terms on the waveform. They are in the amplitude term alone, where their
    target is silence.

    Args:
        prediction: (B, T).
    """
    y, truth, pulse = wide(prediction), wide(batch.bvp), batch.has_pulse
    parts: dict[str, Tensor] = {}
    if bool(pulse.any()):
        p, t = y[pulse], truth[pulse]
        if config.pearson:
            parts["pearson"] = config.pearson * negative_pearson(p, t).mean()
        if config.dilate:
            k = config.dilate_stride
            a, b = (standardise(F.avg_pool1d(x[:, None], k)[:, 0]) for x in (p, t))
            value = dilate(a, b, config.dilate_alpha, config.dilate_gamma) / a.shape[1]
            parts["dilate"] = config.dilate * value.mean()
        known = torch.isfinite(batch.hr_bpm[pulse])
        if config.heart_rate and bool(known.any()):
            rates = batch.hr_bpm[pulse][known]
            parts["heart_rate"] = config.heart_rate * heart_rate_cross_entropy(p[known], rates, fs).mean()
    if config.amplitude:
        target = torch.where(pulse[:, None], standardise(truth), torch.zeros_like(truth))
        parts["amplitude"] = config.amplitude * (y - target).square().mean()
    return parts


def rate_of_change(step: int, config: TrainConfig) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to 1 %."""
    o = config.optim
    if step < o.warmup:
        return (step + 1) / o.warmup
    done = min((step - o.warmup) / max(o.steps - o.warmup, 1), 1.0)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done))


class PulseTask(pl.LightningModule):  # type: ignore[misc]
    """Trains any :class:`PulseModel`.

    Args:
        model: the network to train.
        config: of the run.
        distiller: the teacher's losses, or None.
    """

    def __init__(self, model: PulseModel, config: TrainConfig, distiller: Distiller | None = None) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.distiller = distiller
        self.validated: list[dict[str, Tensor]] = []
        self.known: dict[str, float] = {}  # what was found before this call

    def on_train_batch_start(self, batch: ClipBatch, batch_idx: int) -> None:
        """Randomness inside the model (dropout) depends on the step alone, so a resumed run repeats it."""
        torch.manual_seed(whole_seed((self.config.seed, self.global_step, self.global_rank)))

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        taps = self.model.features(batch.rgb)
        parts = supervised(taps["bvp"], batch, self.config.loss, self.model.fs)
        if self.distiller is not None:
            parts |= self.distiller(batch.rgb, taps, batch.has_pulse)
        # A batch of clips without pulse under a loss without amplitude has nothing to say.
        loss = sum(parts.values(), taps["bvp"].float().sum() * 0.0)
        if not bool(torch.isfinite(loss)):
            values = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in parts.items())
            raise KDPhysError(
                f"step {self.global_step}: the loss is not finite ({values}); a lower optim.lr, or clips and labels "
                "without NaN; the last checkpoint is from before"
            )
        self.log_dict({f"train/{k}": v.detach() for k, v in parts.items()}, batch_size=len(batch.rgb))
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch.rgb))
        return loss

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Collect what :meth:`on_validation_epoch_end` sums up."""
        y = wide(self.model(batch.rgb))
        rates, power = band_power(y, self.model.fs, 0.5)
        _, true_power = band_power(standardise(wide(batch.bvp)), self.model.fs, 0.5)
        # Where no rate is given the label's own spectrum tells it.
        true_rate = torch.where(torch.isfinite(batch.hr_bpm), batch.hr_bpm, rates[true_power.argmax(1)])
        self.validated.append(
            {
                # Of a wave that is not a number the spectrum has no peak: never the best.
                "error": torch.where(torch.isfinite(y).all(1), (rates[power.argmax(1)] - true_rate).abs(), torch.inf),
                "pearson": 1.0 - negative_pearson(y, wide(batch.bvp)),
                "power": y.var(1),
                "pulse": batch.has_pulse,
            }
        )

    def on_validation_epoch_end(self) -> None:
        """Log heart-rate error and correlation over clips with a pulse, and how much quieter the others are."""
        if not self.validated:
            return
        all_ = {k: torch.cat([v[k] for v in self.validated]) for k in self.validated[0]}
        self.validated.clear()
        pulse = all_["pulse"]
        values = {}
        if bool(pulse.any()):
            values["val/mae_bpm"] = all_["error"][pulse].mean()
            values["val/within_3_bpm"] = (all_["error"][pulse] <= 3).float().mean()
            values["val/pearson"] = all_["pearson"][pulse].mean()
            if not bool(pulse.all()):
                quiet = all_["power"][~pulse].mean() / all_["power"][pulse].mean().clamp(min=1e-9)
                values["val/no_pulse_power"] = quiet
        self.log_dict(values, prog_bar=True, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With what the validation found: the sidecar of the best weights tells it."""
        checkpoint["metrics"] = self.found()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Back."""
        self.known = dict(checkpoint.get("metrics", {}))

    def found(self) -> dict[str, float]:
        """The latest metrics of the run, of earlier calls too."""
        return self.known | {k: float(v) for k, v in self.trainer.callback_metrics.items()}

    def configure_optimizers(self) -> Any:
        """AdamW; biases and norms without weight decay."""
        o = self.config.optim
        params = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in params if p.ndim > 1], "weight_decay": o.weight_decay},
            {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=o.lr)
        factor: Callable[[int], float] = lambda step: rate_of_change(step, self.config)  # noqa: E731
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
