"""The teacher stays frozen, every part can be switched off, and what is matched is matched."""

from __future__ import annotations

import pytest
import torch

from kdphys.errors import InvalidInputError
from kdphys.models import create
from kdphys.models.base import PulseModel
from kdphys.train.config import DistillConfig, TrainConfig
from kdphys.train.distill import Distiller, in_frames, to_grid, to_time
from kdphys.train.task import PulseTask

PULSE = torch.tensor([True, False])


def pair() -> tuple[PulseModel, PulseModel]:
    torch.manual_seed(0)
    return create("teacher", size=16), create("student", size=16, width=16, hidden=16)


def rgb() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(2, 16, 3, 16, 16) * 100 + 80


def test_teacher_is_frozen_and_stays_in_eval_mode() -> None:
    teacher, student = pair()
    distiller = Distiller(teacher, student, DistillConfig())
    task = PulseTask(student, TrainConfig(distill=DistillConfig()), distiller)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    task.train()
    assert student.training
    assert distiller.projections.training
    assert not any(m.training for m in teacher.modules())
    optimizer = task.configure_optimizers()["optimizer"]
    tuned = {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert not tuned & {id(p) for p in teacher.parameters()}
    parts = distiller(rgb(), student.features(rgb()), PULSE)
    sum(parts.values()).backward()  # type: ignore[union-attr]
    optimizer.step()
    assert all(p.grad is None for p in teacher.parameters())
    # Weights and the running statistics of batch norm alike.
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


@pytest.mark.parametrize("off", ["output", "feature", "attention"])
def test_each_part_can_be_switched_off(off: str) -> None:
    teacher, student = pair()
    parts = Distiller(teacher, student, DistillConfig(**{off: 0.0}))(rgb(), student.features(rgb()), PULSE)
    assert set(parts) == {"kd_output", "kd_feature", "kd_attention"} - {f"kd_{off}"}


def test_all_off_does_not_even_run_the_teacher() -> None:
    teacher, student = pair()
    distiller = Distiller(teacher, student, DistillConfig(output=0, feature=0, attention=0))
    distiller.teacher.features = None  # type: ignore[assignment]
    assert distiller(rgb(), student.features(rgb()), PULSE) == {}


def test_weighing_by_attention_changes_the_match() -> None:
    teacher, student = pair()
    values = []
    for space, time in ((False, False), (True, False), (True, True)):
        torch.manual_seed(5)
        config = DistillConfig(output=0, attention=0, weigh_space=space, weigh_time=time)
        values.append(
            float(Distiller(teacher, student, config)(rgb(), student.features(rgb()), PULSE)["kd_feature"].detach())
        )
    assert len(set(values)) == 3


def test_every_trainable_parameter_of_the_match_gets_a_gradient() -> None:
    teacher, student = pair()
    distiller = Distiller(teacher, student, DistillConfig())
    parts = distiller(rgb(), student.features(rgb()), PULSE)
    sum(parts.values()).backward()  # type: ignore[union-attr]
    for name, p in [*distiller.projections.named_parameters(), *student.named_parameters()]:
        assert p.grad is not None, name
        assert bool(torch.isfinite(p.grad).all()), name


def test_matching_learns_to_imitate() -> None:
    teacher, student = pair()
    distiller = Distiller(teacher, student, DistillConfig())
    optimizer = torch.optim.Adam([*student.parameters(), *distiller.projections.parameters()], lr=3e-3)
    x, losses = rgb(), []
    for _ in range(12):
        loss = sum(distiller(x, student.features(x), PULSE).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        losses.append(float(loss.detach()))  # type: ignore[union-attr]
    assert losses[-1] < 0.8 * losses[0]


def test_unknown_taps_list_the_known() -> None:
    teacher, student = pair()
    with pytest.raises(InvalidInputError, match="student has no tap 'middle'; known: attention, deep, mid, stem, temp"):
        Distiller(teacher, student, DistillConfig(pairs=(("middle", "mid"),)))
    with pytest.raises(InvalidInputError, match="teacher has no tap 'attention'"):
        Distiller(teacher, student, DistillConfig(pairs=(("mid", "attention"),)))


def test_alignment_keeps_what_varies_slowly() -> None:
    t = torch.linspace(0, 1, 16)
    ramp = t[None, :, None, None, None].expand(1, 16, 2, 4, 4)
    assert torch.allclose(to_time(ramp, 4)[0, :, 0, 0, 0], t.reshape(4, 4).mean(1))
    longer = to_time(ramp, 32)[0, :, 1, 2, 3]
    assert longer.shape == (32,)
    assert bool((longer.diff() >= 0).all())
    assert torch.allclose(to_grid(ramp, 2, 2)[..., 0, 0], ramp[..., 0, 0])
    assert in_frames(torch.zeros(1, 2, 8, 4, 4), "bcthw").shape == (1, 8, 2, 4, 4)
