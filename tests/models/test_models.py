"""Every registered model goes through one suite."""

from __future__ import annotations

import pytest
import torch

from kdphys.errors import InvalidInputError, UnknownNameError
from kdphys.models import MODELS, create
from kdphys.models.base import PulseModel, count_parameters

# The smallest crop that each takes, to keep this fast.
SIZES = {"factorizephys": 72, "student": 36, "teacher": 36, "physnet": 36}
PUBLISHED = [
    ("physnet", 72, 768_577),
    ("teacher", 36, 768_577),
    ("deepphys", 36, 532_899),
    ("deepphys", 72, 2_228_643),
    ("tscan", 36, 532_899),
    ("tscan", 72, 2_228_643),
    ("efficientphys", 72, 2_163_081),
    ("factorizephys", 72, 52_096),
]


def make(name: str) -> PulseModel:
    torch.manual_seed(0)
    return create(name, size=SIZES.get(name, 36))


def clip(model: PulseModel, frames: int = 13, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(batch, frames, 3, model.size, model.size) * 120 + 60


@pytest.mark.parametrize(("name", "size", "parameters"), PUBLISHED)
def test_parameters_are_the_published(name: str, size: int, parameters: int) -> None:
    assert count_parameters(create(name, size=size)) == parameters


def test_published_numbers_cover_every_model_but_the_student() -> None:
    assert {name for name, _, _ in PUBLISHED} == set(MODELS) - {"student"}
    assert count_parameters(create("student")) <= 230_000


@pytest.mark.parametrize("name", MODELS)
def test_output_and_taps(name: str) -> None:
    model = make(name)
    out = model.features(clip(model))
    assert out["bvp"].shape == (2, 13)
    assert {"stem", "mid", "deep"} <= set(out)
    time = 1 if model.layout == "btchw" else 2
    for tap, value in out.items():
        if tap != "bvp":
            assert value.ndim == 5, tap
            assert value.shape[time] in (13, 16, 8, 4), tap  # 3-D networks may pool time
    model.eval()
    x = clip(model)
    assert torch.equal(model(x), model.features(x)["bvp"])
    assert model.normalisation
    assert model.paper


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_learns_in_one_step(name: str) -> None:
    model = make(name).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    y = model(clip(model))
    (y * torch.randn(y.shape)).sum().backward()
    for key, p in model.named_parameters():
        assert p.grad is not None, key
        assert bool(torch.isfinite(p.grad).all()), key
        # A bias in front of a batch norm has no effect, so its gradient is only rounding.
        assert float(p.grad.abs().sum()) > 0 or key.endswith("bias"), key
    optimizer.step()
    assert any(not torch.equal(p, before[k]) for k, p in model.named_parameters())


@pytest.mark.parametrize("name", MODELS)
def test_one_clip_of_a_batch_does_not_see_the_others(name: str) -> None:
    model = make(name).eval()
    x = clip(model)
    with torch.no_grad():
        assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_refuses_wrong_pixels(name: str) -> None:
    model = make(name)
    s = model.size
    with pytest.raises(InvalidInputError, match="expected RGB"):
        model(torch.zeros(2, 3, 8, s, s))
    with pytest.raises(InvalidInputError, match="floating-point"):
        model(torch.zeros(1, 8, 3, s, s, dtype=torch.uint8))
    if name not in ("physnet", "teacher"):
        with pytest.raises(InvalidInputError, match="px"):
            model(torch.zeros(1, 8, 3, s + 4, s + 4))


@pytest.mark.parametrize("name", ["teacher", "student"])
def test_what_is_beyond_the_stated_reach_changes_nothing(name: str) -> None:
    model = create(name, size=16).eval()
    n = model.lookback + model.lookahead + 12
    at = model.lookback + 4
    at -= at % 4
    x = torch.rand(1, n, 3, 16, 16) * 200
    other = x.clone()
    other[:, : at - model.lookback] = 90.0
    other[:, at + model.lookahead + 1 :] = 90.0
    assert n - at - model.lookahead - 1 > 0 < at - model.lookback + 1
    with torch.no_grad():
        assert torch.allclose(model(x)[:, at], model(other)[:, at], atol=1e-4)


def test_unknown_names_and_options_list_the_known() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'student'"):
        create("studnet")
    with pytest.raises(InvalidInputError, match="it takes: size"):
        create("deepphys", depth=3)
    with pytest.raises(InvalidInputError, match="72 px only"):
        create("factorizephys", size=36)


def test_2d_models_reach_only_as_far_as_their_shifts() -> None:
    """DeepPhys without exchange sees one difference; its whole-clip scaling is common to all frames."""
    model = make("tscan").eval()
    x = clip(model, 12, 1)
    with torch.no_grad():
        a = model.features(x)
    assert a["attention"].shape == (1, 12, 1, 34, 34)
    # Each map sums to half its pixels.
    assert torch.allclose(a["attention"].sum((3, 4)), torch.tensor(34 * 34 / 2.0))
