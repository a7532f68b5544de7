"""Runs: they learn, they resume exactly, they stop in time, they refuse to overwrite."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdphys.errors import DataError, InvalidInputError, KDPhysError, OutputError
from kdphys.models import MODELS, create
from kdphys.models.weights import load_weights, save_weights
from kdphys.train.config import (
    DataConfig,
    DistillConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SourceConfig,
    TrainConfig,
)
from kdphys.train.data import ClipBatch
from kdphys.train.loop import fit, precision
from kdphys.train.pool import PoolSource
from kdphys.train.task import PulseTask, rate_of_change, supervised
from tests.train.clips import make_pool

SMALL = ModelConfig("student", 12, {"width": 16, "hidden": 16})


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pool(tmp_path_factory.mktemp("pool") / "p", n=8, frames=96)


def config(pool: Path, steps: int = 6, **changes: object) -> TrainConfig:
    source = SourceConfig(kind="pool", path=str(pool))
    base = TrainConfig(
        name="tiny",
        model=SMALL,
        data=DataConfig(frames=48, batch=4, sources=(source,), validation=source, validation_batches=1),
        loss=LossConfig(dilate=0.1, heart_rate=0.1),
        optim=OptimConfig(steps=steps, warmup=2, lr=3e-3, ema=0.9),
        run=RunConfig("32-true", False, "cpu", validate_every=3, checkpoint_every=2, log_every=1),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def losses(out: Path, version: str = "csv") -> list[float]:
    with (out / "log" / version / "metrics.csv").open() as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def test_resumed_run_equals_uninterrupted(pool: Path, tmp_path: Path) -> None:
    # Dropout, running mean, momentum, schedule and data order must all come back.
    once = config(pool, steps=6, model=ModelConfig("tscan", 12))
    whole = fit(once, tmp_path / "whole", tensorboard=False)
    part = fit(once, tmp_path / "part", max_minutes=1e-9, tensorboard=False)
    assert (part.steps, part.finished) == (1, False)
    rest = fit(once, tmp_path / "part", resume=True, tensorboard=False)
    assert (rest.steps, rest.finished) == (6, True)
    a, b = (load_weights(r.weights.spec.file)[0].state_dict() for r in (whole, rest))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert whole.weights.spec.sha256 == rest.weights.spec.sha256
    # Each call keeps its own log: one that goes on does not delete what was there.
    first, second = losses(tmp_path / "part"), losses(tmp_path / "part", "csv-2")
    assert losses(tmp_path / "whole") == first + second
    assert len(second) == 5


def test_bf16_channels_last_run_logs_validates_and_exports_the_mean(pool: Path, tmp_path: Path) -> None:
    run = RunConfig("bf16-mixed", True, "cpu", validate_every=2, checkpoint_every=2, log_every=1)
    result = fit(config(pool, steps=4, run=run), tmp_path / "run")
    assert {"val/mae_bpm", "val/pearson", "train/pearson", "train/dilate", "train/heart_rate"} <= set(result.metrics)
    assert list((tmp_path / "run" / "log" / "tensorboard").glob("events*"))
    checkpoint = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)
    mean = checkpoint["callbacks"]["EMA"]["mean"]
    model, saved = load_weights(result.weights.spec.file)
    assert all(torch.equal(v, mean[k]) for k, v in model.state_dict().items())
    assert any(not torch.equal(v, checkpoint["state_dict"][f"model.{k}"]) for k, v in model.state_dict().items())
    assert saved.recipe["steps"] == 4
    assert saved.options == SMALL.options


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the processor is asked by Linux's own list")
def test_bfloat16_is_taken_only_where_the_processor_computes_with_it() -> None:
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    able = {"amx_bf16", "avx512_bf16", "bf16"} & set(flags.group(1).split() if flags else ())
    assert precision(RunConfig(accelerator="cpu")) == ("bf16-mixed" if able else "32-true")
    assert precision(RunConfig("16-mixed", accelerator="cpu")) == "16-mixed"


def test_it_learns(pool: Path, tmp_path: Path) -> None:
    learning = config(pool, steps=60, loss=LossConfig(), optim=OptimConfig(60, 5e-3, warmup=5, ema=0.9))
    run = replace(learning.run, validate_every=60, checkpoint_every=60)
    result = fit(replace(learning, run=run), tmp_path, tensorboard=False)
    assert result.metrics["val/pearson"] > 0.5
    assert result.metrics["val/no_pulse_power"] < 0.8


def test_distillation_runs_with_one_teacher_and_any_model(pool: Path, tmp_path: Path) -> None:
    teacher = create("teacher", size=16)
    save_weights(teacher, tmp_path / "teacher.safetensors", "teacher", "teacher")
    bigger = make_pool(tmp_path / "p16", n=4, frames=64, size=16)
    source = SourceConfig(kind="pool", path=str(bigger))
    data = DataConfig(frames=32, batch=2, sources=(source,))
    distill = DistillConfig(str(tmp_path / "teacher.safetensors"), pairs=(("mid", "early"), ("deep", "mid")))
    for name, options in (("student", SMALL.options), ("deepphys", {})):
        run = config(pool, 2, model=ModelConfig(name, 16, options), data=data, distill=distill)
        result = fit(run, tmp_path / name, tensorboard=False)
        assert {"train/kd_output", "train/kd_feature", "train/kd_attention"} <= set(result.metrics)
        # The exported weights are the student's alone.
        assert load_weights(result.weights.spec.file)[1].model == name


@pytest.mark.parametrize("name", MODELS)
def test_one_task_trains_every_model(name: str) -> None:
    size = 72 if name == "factorizephys" else 36
    torch.manual_seed(0)
    model = create(name, size=size)
    task = PulseTask(model, TrainConfig())
    batch = ClipBatch(
        torch.rand(2, 12, 3, size, size) * 99 + 99,
        torch.randn(2, 12),
        torch.tensor([70.0, torch.nan]),
        torch.tensor([True, False]),
    )
    optimizer = task.configure_optimizers()["optimizer"]
    loss = sum(supervised(model(batch.rgb), batch, LossConfig(dilate=1.0, heart_rate=1.0), 30.0).values())
    loss.backward()  # type: ignore[union-attr]
    assert all(p.grad is not None for p in model.parameters())
    optimizer.step()


def test_early_stopping_keeps_the_best(pool: Path, tmp_path: Path) -> None:
    # A learning rate this small never improves anything, so patience runs out.
    stuck = config(pool, 60, optim=OptimConfig(60, 1e-9, warmup=0, ema=0.0))
    run = replace(stuck.run, validate_every=2, patience=2, export="best")
    result = fit(replace(stuck, run=run), tmp_path, tensorboard=False)
    assert result.steps < 60
    assert result.finished
    best = torch.load(tmp_path / "best.ckpt", weights_only=False)
    model, _ = load_weights(result.weights.spec.file)
    assert all(torch.equal(v, best["state_dict"][f"model.{k}"]) for k, v in model.state_dict().items())
    told = result.weights.recipe
    assert told["steps"] == best["global_step"] < result.steps, "of the weights that are kept, not of the last step"
    assert told["metrics"]["val/mae_bpm"] == pytest.approx(best["metrics"]["val/mae_bpm"], abs=1e-4)


def test_stops_for_time_use_up_no_patience(pool: Path, tmp_path: Path) -> None:
    """Every call ends after a step; only the validations that are due count."""
    stuck = config(pool, 7, optim=OptimConfig(7, 1e-9, warmup=0, ema=0.0))
    patient = replace(stuck, run=replace(stuck.run, validate_every=6, patience=2))
    ends = [fit(patient, tmp_path, resume=k > 0, max_minutes=1e-9, tensorboard=False).steps for k in range(7)]
    assert ends == [1, 2, 3, 4, 5, 6, 7]


def test_what_is_broken_or_cannot_be_is_said(pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    fit(config(pool, 1), out, tensorboard=False)
    (out / "last.ckpt").write_bytes((out / "last.ckpt").read_bytes()[:2000])
    with pytest.raises(DataError, match="broken"):
        fit(config(pool, 1), out, resume=True, tensorboard=False)
    (out / "config.toml").unlink()
    with pytest.raises(DataError, match=r"config\.toml"):
        fit(config(pool, 1), out, resume=True, tensorboard=False)
    odd = config(pool, 1)
    with pytest.raises(InvalidInputError, match="cannot be set up"):
        fit(replace(odd, run=replace(odd.run, accelerator="abacus")), tmp_path / "odd", tensorboard=False)


def test_a_run_that_is_killed_after_a_validation_goes_on_with_what_it_found(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of a step with a validation holds the best weights and the patience that is left."""
    base = config(pool, 10, optim=OptimConfig(10, 3e-2, warmup=0, ema=0.0))
    run = replace(base.run, validate_every=3, checkpoint_every=3, patience=9, export="best")
    once = replace(base, run=run)
    whole = fit(once, tmp_path / "whole", tensorboard=False)
    step = PulseTask.training_step

    def killed(task: PulseTask, batch: ClipBatch, batch_idx: int) -> torch.Tensor:
        if task.global_step == 7:
            raise KeyError("killed")
        return step(task, batch, batch_idx)

    monkeypatch.setattr(PulseTask, "training_step", killed)
    with pytest.raises(KeyError, match="killed"):
        fit(once, tmp_path / "part", tensorboard=False)
    monkeypatch.setattr(PulseTask, "training_step", step)
    rest = fit(once, tmp_path / "part", resume=True, tensorboard=False)
    assert rest.steps == whole.steps == 10
    a, b = (torch.load(tmp_path / name / "best.ckpt", weights_only=False) for name in ("whole", "part"))
    assert a["global_step"] == b["global_step"]
    assert whole.weights.spec.sha256 == rest.weights.spec.sha256
    a, b = (torch.load(tmp_path / name / "last.ckpt", weights_only=False)["callbacks"] for name in ("whole", "part"))
    stop = next(key for key in a if key.startswith("EarlyStopping"))
    assert a[stop]["wait_count"] == b[stop]["wait_count"]


def test_fine_tuning_starts_from_weights(pool: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    given = create("student", size=12, **SMALL.options)
    save_weights(given, tmp_path / "start.safetensors", "start", "student", SMALL.options)
    start = replace(SMALL, start=str(tmp_path / "start.safetensors"))
    still = OptimConfig(1, 1e-12, warmup=0, ema=0.0)
    result = fit(config(pool, 1, model=start, optim=still), tmp_path / "run", tensorboard=False)
    model, _ = load_weights(result.weights.spec.file)
    for key, value in given.named_parameters():
        assert torch.allclose(dict(model.named_parameters())[key], value, atol=1e-6), key
    wrong = ModelConfig("tscan", 12, start=start.start)
    with pytest.raises(InvalidInputError, match="holds weights of 'student'"):
        fit(config(pool, 1, model=wrong), tmp_path / "wrong", tensorboard=False)


def test_folders_are_not_overwritten_and_resume_is_strict(pool: Path, tmp_path: Path) -> None:
    one = config(pool, 1)
    with pytest.raises(DataError, match="nothing to resume"):
        fit(one, tmp_path / "run", resume=True)
    fit(one, tmp_path / "run", tensorboard=False)
    with pytest.raises(OutputError, match="--resume"):
        fit(one, tmp_path / "run")
    with pytest.raises(InvalidInputError, match="differs"):
        fit(replace(one, seed=5), tmp_path / "run", resume=True)


def test_clips_without_pulse_only_ask_for_silence() -> None:
    torch.manual_seed(0)
    t = torch.arange(90) / 30
    wave = torch.sin(2 * torch.pi * 1.2 * t).repeat(2, 1)
    rgb = torch.zeros(2, 90, 3, 1, 1)
    none = ClipBatch(rgb, wave, torch.full((2,), torch.nan), torch.tensor([False, False]))
    assert set(supervised(wave, none, LossConfig(dilate=1, heart_rate=1), 30.0)) == {"amplitude"}
    loud, quiet = (float(supervised(wave * g, none, LossConfig(), 30.0)["amplitude"]) for g in (1.0, 0.1))
    assert quiet < 0.02 * loud
    # With a pulse the right wave at the right size is best.
    some = none._replace(hr_bpm=torch.full((2,), 72.0), has_pulse=torch.tensor([True, True]))
    full, half, inverted = (
        float(sum(supervised(wave * g, some, LossConfig(), 30.0).values())) for g in (2**0.5, 0.7, -1.4)
    )
    assert full < half < inverted


def test_learning_rate_warms_up_and_comes_down() -> None:
    schedule = TrainConfig(optim=OptimConfig(steps=100, warmup=10))
    factors = [rate_of_change(s, schedule) for s in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.01)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_a_run_that_diverges_ends_with_a_reason(pool: Path, tmp_path: Path) -> None:
    wild = config(pool, 200, optim=OptimConfig(200, 1e12, warmup=0, clip=0.0, ema=0.0))
    with pytest.raises(KDPhysError, match="the loss is not finite"):
        fit(wild, tmp_path, tensorboard=False)
    assert not (tmp_path / "tiny.safetensors").exists()


def test_a_wave_that_is_no_number_is_never_the_best(pool: Path) -> None:
    task = PulseTask(create("student", size=12, width=16, hidden=16), config(pool))
    with torch.no_grad():
        for weights in task.model.parameters():
            weights.fill_(torch.nan)
    source = SourceConfig(kind="pool", path=str(pool))
    task.validation_step(PoolSource(source).draw([0], 4, 96, 12), 0)
    assert task.validated[0]["error"].isinf().all()


def test_resuming_a_finished_run_changes_nothing(pool: Path, tmp_path: Path) -> None:
    whole = fit(config(pool, 4), tmp_path / "a", tensorboard=False)
    before = {p: p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    again = fit(config(pool, 4), tmp_path / "a", resume=True, tensorboard=False)
    assert {p: p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()} == before
    assert (again.steps, again.finished) == (4, True)
    assert again.metrics["val/mae_bpm"] == pytest.approx(whole.metrics["val/mae_bpm"], abs=1e-3)
    stuck = config(pool, 60, optim=OptimConfig(60, 1e-9, warmup=0, ema=0.0))
    patient = replace(stuck, run=replace(stuck.run, validate_every=2, patience=2))
    first = fit(patient, tmp_path / "b", tensorboard=False)
    assert fit(patient, tmp_path / "b", resume=True, tensorboard=False).steps == first.steps < 60


def test_what_the_validation_found_survives_a_stop(pool: Path, tmp_path: Path) -> None:
    """Validated after three steps, stopped after three, gone on with for the fourth, at which none is due."""
    for k in range(3):
        fit(config(pool, 4), tmp_path, resume=k > 0, max_minutes=1e-9, tensorboard=False)
    assert "val/mae_bpm" in fit(config(pool, 4), tmp_path, resume=True, tensorboard=False).weights.recipe["metrics"]
