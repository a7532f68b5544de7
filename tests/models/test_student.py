"""The student: how far it sees, what its parts compute, that it is blind to what it should be blind to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kdphys.models import create
from kdphys.models.normalise import LeakyIntegral, LocalMean, LocalUnit
from kdphys.models.student import PROJECTIONS, Student
from kdphys.models.temporal import BoxMean, ChannelShift, TapConv, shift


def trained(size: int = 12) -> Student:
    """A small student whose batch norms have seen something, so that nothing is zero or one by luck."""
    torch.manual_seed(0)
    model = Student(size=size)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(2, 40, 3, size, size) * 100 + 80)
    return model.eval()


def test_sees_exactly_as_far_as_it_says() -> None:
    model = trained()
    assert model.lookahead is not None
    assert model.lookback is not None
    assert model.lookahead <= model.fs  # at most a second
    n = model.lookback + model.lookahead + 60
    x = torch.rand(1, n, 3, 12, 12) * 100 + 80
    at = model.lookback + 30
    touched = x.clone()
    touched[:, at] += 40 * torch.rand(3, 12, 12)
    with torch.no_grad():
        changed = (model(x) != model(touched))[0].nonzero()[:, 0]
    assert int(changed.min()) == at - model.lookahead  # not further, and the claim is tight
    assert int(changed.max()) <= at + model.lookback


def test_is_the_same_in_the_middle_of_a_longer_recording() -> None:
    model = trained()
    back, ahead = model.lookback or 0, model.lookahead or 0
    x = torch.rand(1, back + ahead + 150, 3, 12, 12) * 100 + 80
    cut = x[:, 50 : 50 + back + ahead + 20]
    with torch.no_grad():
        whole, part = model(x), model(cut)
    assert torch.allclose(whole[:, 50 + back : 50 + back + 20], part[:, back : back + 20], atol=1e-4)


def test_two_dimensional_and_without_clip_statistics() -> None:
    kinds = {type(m).__name__ for m in create("student").modules()}
    assert not kinds & {"Conv3d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "GroupNorm", "LSTM"}


def test_brightness_and_white_balance_do_not_change_the_normalised_input() -> None:
    x = torch.rand(1, 70, 3, 4, 4) * 60 + 90
    local = LocalMean(35, 12, floor=0.0)
    gain = torch.tensor([0.5, 0.8, 1.1])[:, None, None]
    assert torch.allclose(local(x)[0], local(x * gain)[0], atol=1e-3)


def test_small_deviations_pass_in_per_cent() -> None:
    x = torch.full((1, 200, 3, 1, 1), 100.0)
    pulse = 0.1 * torch.sin(torch.arange(200) * 2 * torch.pi / 24)  # 0.1 %, two periods in the window of 48
    x = x + pulse[None, :, None, None, None]
    out = LocalMean(24, 23, floor=0.0)(x)[0][0, 60:140, 0, 0, 0]
    assert torch.allclose(out, pulse[60:140], atol=1e-3)


def test_local_unit_makes_quiet_and_lively_clips_alike_and_sees_no_further_than_it_says() -> None:
    unit = LocalUnit(32, 31)
    x = torch.randn(1, 200, 3, 6, 6).cumsum(1)
    y = unit(x)
    assert torch.allclose(y, unit(50 * x), atol=1e-2)  # but for the floor
    assert float(y[:, 40:160].square().mean()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(unit(torch.full_like(x, 7.0)), torch.zeros_like(x))
    other = x.clone()
    other[:, : 100 - unit.lookback] = 9.0
    other[:, 101 + unit.lookahead :] = 9.0
    assert torch.allclose(unit(other)[:, 100], y[:, 100], atol=1e-6)


@pytest.mark.parametrize(("back", "ahead"), [(0, 0), (3, 2), (35, 12), (63, 0), (0, 5)])
def test_box_mean_is_the_mean_of_the_frames_that_exist(back: int, ahead: int) -> None:
    x = torch.randn(2, 50, 3, dtype=torch.float64)
    expected = np.stack([x[:, max(0, t - back) : t + ahead + 1].mean(1).numpy() for t in range(50)], 1)
    np.testing.assert_allclose(BoxMean(back, ahead)(x), expected, atol=1e-12)


def test_shifts_and_taps_move_by_their_offsets() -> None:
    x = torch.arange(1.0, 7.0)[None, :, None]
    assert shift(x, 2).flatten().tolist() == [3, 4, 5, 6, 0, 0]
    assert shift(x, -1).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert shift(x, 9).flatten().tolist() == [0] * 6
    y = ChannelShift(4, (1, -2))(x.repeat(1, 1, 4))
    assert y[0, :, 0].tolist() == [2, 3, 4, 5, 6, 0]
    assert y[0, :, 1].tolist() == [0, 0, 1, 2, 3, 4]
    assert torch.equal(y[0, :, 2:], x[0].repeat(1, 2))
    taps = TapConv(1, 1, (-4, -2, 0))
    with torch.no_grad():
        taps.conv.weight.copy_(torch.tensor([[[100.0, 10.0, 1.0]]]))
        taps.conv.bias.zero_()  # type: ignore[union-attr]
        assert taps(x.transpose(1, 2)).flatten().tolist() == [1, 2, 13, 24, 135, 246]
    assert (taps.lookback, taps.lookahead) == (4, 0)


def test_stem_starts_at_the_classical_projections() -> None:
    weight = create("student").project.weight[: len(PROJECTIONS), :, 0, 0]  # type: ignore[union-attr, index]
    assert torch.equal(weight, torch.tensor(PROJECTIONS))
    # Chrominance rows cancel a change of brightness, luma and green do not.
    assert torch.allclose(weight.sum(1)[[0, 1]], torch.zeros(2), atol=1e-6)
    assert bool((weight.sum(1)[[4, 5]] > 0.9).all())


def test_attention_is_a_distribution_that_ignores_the_level_of_light() -> None:
    model = trained()
    x = torch.rand(1, 60, 3, 12, 12) * 100 + 80
    with torch.no_grad():
        maps = model.features(x)["attention"]
        darker = model.features(x * 0.6)["attention"]
    assert torch.allclose(maps.sum((3, 4)), torch.ones(1, 60, 4))
    assert torch.allclose(maps, darker, atol=0.02)


def test_leaky_integral_undoes_a_derivative() -> None:
    t = torch.arange(300) / 30
    wave = torch.sin(2 * torch.pi * 1.3 * t)
    derivative = torch.cat([wave[1:] - wave[:-1], torch.zeros(1)])
    out = LeakyIntegral()(derivative[None])[0]
    assert float(torch.corrcoef(torch.stack([out[60:290], wave[60:290]]))[0, 1]) > 0.9
