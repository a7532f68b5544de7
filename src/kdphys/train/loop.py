"""A run from configuration to weights: build, fit, checkpoint, resume, export. Lightning does the looping."""

from __future__ import annotations

import ctypes
import logging
import pickle
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn
from torch.utils.data import DataLoader

from kdphys.errors import DataError, InvalidInputError, OutputError
from kdphys.models import create
from kdphys.models.base import PulseModel
from kdphys.models.weights import SavedWeights, load_into, load_weights, read_spec, save_weights
from kdphys.train.callbacks import EMA, Bar, Last, MaxMinutes
from kdphys.train.config import RunConfig, TrainConfig, dump_config, parse_config
from kdphys.train.data import Fixed, Mixture, Steps
from kdphys.train.distill import Distiller
from kdphys.train.task import PulseTask


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Attributes:
        weights: the exported weights.
        steps: done so far.
        finished: False when it was stopped by ``max_minutes`` before its last step.
        metrics: the last values logged, "val/mae_bpm" among them.
        minutes: this call took.
    """

    weights: SavedWeights
    steps: int
    finished: bool
    metrics: Mapping[str, float]
    minutes: float


class Clips(pl.LightningDataModule):  # type: ignore[misc]
    """Training batches from the current step on, validation batches that stay."""

    def __init__(self, config: TrainConfig, progress: bool = False) -> None:
        super().__init__()
        self.config = config
        self.mixture = Mixture(config.data, config.model.size, config.seed, progress)
        self.fixed = Fixed(config.data, config.model.size, progress) if config.data.validation else None

    def train_dataloader(self) -> DataLoader[Any]:
        """Starts at the trainer's step: a resumed run goes on with the batch that it had not seen."""
        trainer = self.trainer
        steps = Steps(self.mixture, trainer.global_step, trainer.global_rank, trainer.world_size)
        workers = self.config.data.workers
        return DataLoader(
            steps, batch_size=None, num_workers=workers, pin_memory=torch.cuda.is_available(), persistent_workers=False
        )

    def val_dataloader(self) -> Any:
        """The same batches each time."""
        return [] if self.fixed is None else DataLoader(self.fixed, batch_size=None)


def build_model(config: TrainConfig) -> PulseModel:
    """The network of a run: fresh from the seed, or from the weights that it starts from.

    Raises:
        UnknownNameError, DataError: of the weights.
        InvalidInputError: the weights to start from belong to another architecture.
    """
    torch.manual_seed(config.seed)
    m = config.model
    model = create(m.name, size=m.size, **m.options)
    if m.start:
        saved = read_spec(m.start)
        if saved.model != m.name:
            raise InvalidInputError(f"model.start: {m.start} holds weights of {saved.model!r}, not of {m.name!r}")
        load_into(model, saved.spec.file)
    return model


def build_task(config: TrainConfig) -> PulseTask:
    """Model, teacher if any, losses."""
    model = build_model(config)
    distiller = None
    if config.distill is not None:
        teacher, _ = load_weights(config.distill.teacher)
        distiller = Distiller(teacher, model, config.distill)
    task = PulseTask(model, config, distiller)
    if config.run.channels_last:
        for module in task.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            elif isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return task


def _open_run(config: TrainConfig, out: Path, resume: bool) -> Path | None:
    """The checkpoint to resume from; writes or checks the folder's copy of the configuration."""
    last, copy = out / "last.ckpt", out / "config.toml"
    if resume:
        if not last.is_file():
            raise DataError(f"{out}: nothing to resume, there is no last.ckpt; start it without --resume")
        if not copy.is_file():
            raise DataError(f"{out}: there is no config.toml beside last.ckpt, which tells what the run was")
        _whole(last)
        if parse_config(copy.read_text(encoding="utf-8"), str(copy)) != config:
            raise InvalidInputError(
                f"{copy} differs from the configuration given; resume with {copy}, or start anew in another folder"
            )
        return last
    if last.exists():
        raise OutputError(f"{out} already holds a run; go on with --resume, or choose another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        copy.write_text(dump_config(config), encoding="utf-8")
        (out / "best.ckpt").unlink(missing_ok=True)  # of a run that was killed before its first last.ckpt
    except OSError as error:
        raise OutputError(f"{out}: cannot write there: {error}") from error
    return None


def _whole(checkpoint: Path) -> None:
    """Refuse a checkpoint that was cut off."""
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=False)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(f"{checkpoint}: broken, cannot be resumed ({error})") from error


def _finished(config: TrainConfig, out: Path, checkpoint: Path | None) -> Result | None:
    """What a run gave that is resumed and has nothing left to do."""
    file = out / f"{config.name}.safetensors"
    if checkpoint is None or not file.is_file():
        return None
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)
    stopped = [c for key, c in state["callbacks"].items() if key.startswith("EarlyStopping")]
    if state["global_step"] < config.optim.steps and not any(c["wait_count"] >= c["patience"] for c in stopped):
        return None
    _, saved = load_weights(str(file))
    return Result(saved, int(state["global_step"]), True, dict(saved.recipe["metrics"]), 0.0)


def _callbacks(config: TrainConfig, out: Path, max_minutes: float | None, ema: EMA | None) -> list[Callback]:
    run = config.run
    callbacks: list[Callback] = [LearningRateMonitor()]
    callbacks += [ema] if ema is not None else []
    callbacks += [MaxMinutes(max_minutes)] if max_minutes is not None else []
    if config.data.validation is not None:
        watched = {"monitor": "val/mae_bpm", "mode": "min"}
        if run.patience:
            callbacks.append(EarlyStopping(**watched, patience=run.patience))
        callbacks.append(ModelCheckpoint(dirpath=out, filename="best", enable_version_counter=False, **watched))
    return [*callbacks, Last(out / "last.ckpt", run.checkpoint_every)]  # after the others: it holds their state


def precision(run: RunConfig) -> Any:
    """What Lightning calls the number format of a run: as configured, or what the machine is fast in."""
    if run.precision != "auto":
        return run.precision
    if run.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        ask = getattr(torch.cpu, "get_capabilities", None)  # older ones cannot tell
        fast = ask is None or any(ask().get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return "bf16-mixed" if fast else "32-true"


def keep_memory() -> None:
    """Let the C library (glibc) keep what the system gave it.

    Each step frees hundreds of megabytes and asks for them again; fresh pages cost a 3-D network on a CPU as much as
    its arithmetic. Other C libraries are left alone.
    """
    trim, top_pad, mmap_max = -1, -2, -4  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX of malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((mmap_max, 0), (trim, -1), (top_pad, 1 << 28)):
        mallopt(option, value)


def fit(
    config: TrainConfig,
    out: Path | str,
    resume: bool = False,
    max_minutes: float | None = None,
    progress: bool = False,
    tensorboard: bool = True,
) -> Result:
    """Train until the last step, early stopping or ``max_minutes``, and export the weights.

    Writes into ``out``: config.toml, last.ckpt, best.ckpt, log/ (TensorBoard, and a CSV for each call),
    NAME.safetensors and NAME.json.

    Args:
        config: of the run.
        out: folder of the run.
        resume: go on from ``out``/last.ckpt; the run then equals an uninterrupted one.
        max_minutes: stop this call after so long, at a checkpoint.
        progress: show a progress bar.
        tensorboard: write a TensorBoard log next to the CSV.

    Raises:
        OutputError: ``out`` already holds a run, or cannot be written.
        DataError: nothing to resume, or data or weights are missing or broken.
        InvalidInputError: resuming with another configuration.
    """
    out, begin = Path(out), time.monotonic()
    keep_memory()
    checkpoint = _open_run(config, out, resume)
    done = _finished(config, out, checkpoint)
    if done is not None:
        return done
    task, clips = build_task(config), Clips(config, progress)
    ema = EMA(config.optim.ema) if config.optim.ema else None
    log = out / "log"
    # Lightning's CSV logger deletes what it finds in its folder: each call of a run gets its own.
    part = len(list(log.glob("csv*"))) + 1
    version = "csv" if part == 1 else f"csv-{part}"
    loggers: list[Any] = [CSVLogger(log, name="", version=version, flush_logs_every_n_steps=config.run.log_every)]
    loggers += [TensorBoardLogger(log, name="", version="tensorboard")] if tensorboard else []
    validate = config.data.validation is not None
    with warnings.catch_warnings(), _quiet():
        # Lightning's advice about workers, intervals and existing folders; we mean what we set.
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", module="lightning_fabric")
        trainer = _trainer(
            accelerator=config.run.accelerator,
            devices=config.run.devices,
            num_nodes=config.run.nodes,
            precision=precision(config.run),
            max_steps=config.optim.steps,
            max_epochs=-1,
            gradient_clip_val=config.optim.clip or None,
            val_check_interval=config.run.validate_every if validate else None,
            check_val_every_n_epoch=None if validate else 1,
            limit_val_batches=1.0 if validate else 0,
            num_sanity_val_steps=0,
            log_every_n_steps=config.run.log_every,
            logger=loggers,
            callbacks=[*_callbacks(config, out, max_minutes, ema), *[Bar()] * progress],
            enable_progress_bar=progress,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
        # Our own checkpoints hold plain containers besides tensors.
        trainer.fit(task, datamodule=clips, ckpt_path=checkpoint, weights_only=False)
        trainer.save_checkpoint(out / "last.ckpt")
    minutes = (time.monotonic() - begin) / 60
    metrics = task.found()
    about = (trainer.global_step, minutes, metrics, trainer.strategy.root_device)
    # Of several processes one writes: their running means differ a little.
    saved = _export(config, out, task.model, ema, *about) if trainer.is_global_zero else None
    saved = trainer.strategy.broadcast(saved)
    assert saved is not None
    finished = trainer.global_step >= config.optim.steps or _stopped_early(trainer)
    return Result(saved, trainer.global_step, finished, metrics | dict(saved.recipe["metrics"]), minutes)


def _trainer(**options: Any) -> pl.Trainer:
    try:
        return pl.Trainer(**options)
    except (MisconfigurationException, ValueError) as error:
        raise InvalidInputError(
            f"the run cannot be set up here ([run]: accelerator, devices, precision): {error}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's notes on devices and add-ons, off; its warnings stay."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _stopped_early(trainer: pl.Trainer) -> bool:
    return any(isinstance(c, EarlyStopping) and c.wait_count >= c.patience for c in trainer.callbacks)


def _export(
    config: TrainConfig,
    out: Path,
    model: PulseModel,
    ema: EMA | None,
    steps: int,
    minutes: float,
    metrics: Mapping[str, float],
    device: torch.device,
) -> SavedWeights:
    """Write the running mean (or the plain weights) of the last step, or of the best validation."""
    best = out / "best.ckpt"
    state = model.state_dict() if ema is None else ema.mean
    if config.run.export == "best" and best.is_file():
        kept = torch.load(best, map_location="cpu", weights_only=False)
        steps, metrics = kept["global_step"], kept.get("metrics", metrics)
        plain = {k.removeprefix("model."): v for k, v in kept["state_dict"].items() if k.startswith("model.")}
        state = plain if ema is None else next(c for k, c in kept["callbacks"].items() if k.startswith("EMA"))["mean"]
    model.load_state_dict(state)
    recipe = {
        "config": dump_config(config),
        "seed": config.seed,
        "steps": steps,
        "minutes_of_last_call": round(minutes, 2),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "metrics": {k: round(v, 4) for k, v in metrics.items()},
    }
    file = out / f"{config.name}.safetensors"
    return save_weights(model, file, config.name, config.model.name, config.model.options, recipe)
