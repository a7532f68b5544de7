"""Pearson, heart-rate and attention losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from kdphys.errors import InvalidInputError
from kdphys.losses.attention import (
    attention_transfer,
    attention_weights,
    feature_distance,
    spatial_attention,
    temporal_attention,
)
from kdphys.losses.pearson import negative_pearson
from kdphys.losses.spectral import band_power, heart_rate_cross_entropy


def test_negative_pearson_is_scipys() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 50)), rng.normal(size=(4, 50))
    ours = negative_pearson(torch.tensor(3 * x + 7), torch.tensor(y))
    np.testing.assert_allclose(ours, [1 - stats.pearsonr(a, b)[0] for a, b in zip(x, y, strict=True)], atol=1e-6)


def test_negative_pearson_survives_a_flat_output() -> None:
    x = torch.zeros(2, 20, requires_grad=True)
    loss = negative_pearson(x, torch.randn(2, 20))
    loss.sum().backward()
    assert loss.tolist() == [1.0, 1.0]
    assert bool(torch.isfinite(x.grad).all())


def test_gradients() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 12, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: negative_pearson(p, y), (x,))
    f = torch.randn(2, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    g = torch.randn(2, 3, 2, 2, 2, dtype=torch.float64)
    for loss in (attention_transfer, feature_distance):
        assert torch.autograd.gradcheck(lambda p, fn=loss: fn(p, g), (f,))


@pytest.mark.parametrize("bpm", [47.0, 72.4, 161.0])
def test_band_power_peaks_at_the_rate(bpm: float) -> None:
    t = torch.arange(300) / 30
    rates, power = band_power(torch.sin(2 * torch.pi * bpm / 60 * t)[None], 30.0, 0.1)
    assert float(rates[power[0].argmax()]) == pytest.approx(bpm, abs=0.5)


def test_heart_rate_loss_prefers_the_right_rate() -> None:
    t = torch.arange(300) / 30
    x = torch.sin(2 * torch.pi * 1.2 * t).repeat(3, 1)
    right, near, far = heart_rate_cross_entropy(x, torch.tensor([72.0, 78.0, 120.0]), 30.0).tolist()
    assert right < near < far
    with pytest.raises(InvalidInputError, match="expected"):
        heart_rate_cross_entropy(x, torch.tensor([72.0]), 30.0)


def test_attention_maps_find_where_and_when() -> None:
    f = torch.full((1, 6, 4, 3, 3), 0.1)
    f[:, 2, :, 1, 2] = 5.0
    assert int(spatial_attention(f).argmax()) == 1 * 3 + 2
    assert int(temporal_attention(f).argmax()) == 2
    w = attention_weights(f)
    assert float(w.mean()) == pytest.approx(1.0)
    assert tuple(np.unravel_index(int(w.argmax()), w.shape)) == (0, 2, 0, 1, 2)
    assert bool((attention_weights(f, space=False, time=False) == 1).all())


def test_attention_maps_have_unit_norm_however_small_the_activations() -> None:
    for size in (1.0, 1e-3, 1e-6):
        features = size * torch.rand(2, 5, 3, 4, 4)
        for attention in (spatial_attention, temporal_attention):
            assert torch.allclose(attention(features).norm(dim=1), torch.ones(2), atol=1e-4)


def test_attention_transfer_and_feature_distance() -> None:
    torch.manual_seed(0)
    f = torch.rand(2, 5, 4, 3, 3)
    # Scale and number of channels do not matter to the maps; scale and offset of a channel do not to the distance.
    assert float(attention_transfer(f.repeat(1, 1, 2, 1, 1) * 3, f).max()) < 1e-9
    assert float(attention_transfer(torch.rand_like(f), f).min()) > 1e-3
    assert float(feature_distance(f * 2 + 1, f).max()) < 1e-6
    assert float(feature_distance(torch.randn(1, 64, 4, 6, 6), torch.randn(1, 64, 4, 6, 6))) == pytest.approx(
        2, abs=0.1
    )
    with pytest.raises(InvalidInputError, match="do not match"):
        feature_distance(f, f[:, :4])


def test_weights_decide_what_counts() -> None:
    teacher = torch.randn(1, 8, 2, 3, 3)
    student = teacher.clone()
    student[:, :, :, 0, 0] += torch.randn(8, 2)
    weights = torch.ones(1, 8, 1, 3, 3)
    weights[..., 0, 0] = 0.0
    assert float(feature_distance(student, teacher, weights)) < float(feature_distance(student, teacher))
