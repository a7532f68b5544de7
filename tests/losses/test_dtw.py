"""Soft-DTW and DILATE against every path written out, what tslearn gives, finite differences and plain loops."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import torch
from benchmarks.dilate_speed import dilate_loops

from kdphys.errors import InvalidInputError
from kdphys.losses.dilate import dilate, time_penalty
from kdphys.losses.soft_dtw import soft_dtw, soft_dtw_terms, squared_costs


def paths(n: int, m: int) -> list[list[tuple[int, int]]]:
    """Every monotone path from (0, 0) to (n − 1, m − 1) by steps down, right and diagonal."""
    if (n, m) == (1, 1):
        return [[(0, 0)]]
    before = [(n - 1, m), (n, m - 1), (n - 1, m - 1)]
    return [[*p, (n - 1, m - 1)] for a, b in before if a and b for p in paths(a, b)]


def brute_force(cost: np.ndarray, penalty: np.ndarray, gamma: float) -> tuple[float, float]:
    ps = paths(*cost.shape)
    sums = np.array([sum(cost[c] for c in p) for p in ps])
    weights = np.exp(-(sums - sums.min()) / gamma)
    value = sums.min() - gamma * math.log(weights.sum())
    return value, float((weights / weights.sum()) @ [sum(penalty[c] for c in p) for p in ps])


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (4, 4), (5, 5), (5, 2), (1, 4)])
@pytest.mark.parametrize("gamma", [0.01, 0.3, 5.0])
def test_value_and_mean_penalty_equal_the_sum_over_all_paths(n: int, m: int, gamma: float) -> None:
    rng = np.random.default_rng(n * 10 + m)
    cost, penalty = rng.uniform(0, 2, (3, n, m)), rng.uniform(0, 1, (n, m))
    value, slope = soft_dtw_terms(torch.tensor(cost), torch.tensor(penalty), gamma)
    expected = np.array([brute_force(c, penalty, gamma) for c in cost])
    np.testing.assert_allclose(value, expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(slope, expected[:, 1], atol=1e-12)


def alignment(cost: torch.Tensor, gamma: float) -> torch.Tensor:
    """E = ∂ soft-DTW / ∂D: how much of the alignment passes through each cell."""
    leaf = cost.clone().requires_grad_()
    value = soft_dtw_terms(leaf, torch.zeros_like(leaf[0]), gamma)[0]
    return torch.autograd.grad(value.sum(), leaf)[0]


def test_alignment_is_the_share_of_paths_through_each_cell() -> None:
    cost = np.random.default_rng(0).uniform(0, 2, (4, 5))
    ps = paths(4, 5)
    weights = np.exp(-np.array([sum(cost[c] for c in p) for p in ps]) / 0.5)
    expected = np.zeros((4, 5))
    for p, w in zip(ps, weights / weights.sum(), strict=True):
        for cell in p:
            expected[cell] += w
    np.testing.assert_allclose(alignment(torch.tensor(cost)[None], 0.5)[0], expected, atol=1e-12)


#: What tslearn 0.10.0 gives for :func:`waves` (``soft_dtw`` and ``SoftDTW.grad`` with gamma = 0.2, ``dtw`` squared).
SOFT_DTW = (4.8954329534482115, 4.67935203368563, 5.879032448736324)
ALIGNMENT = {
    (0, 2): 0.15693434986288857,
    (6, 4): 0.4415710794446007,
    (11, 10): 0.6995715198875976,
    (26, 25): 0.44152299176471116,
    (30, 29): 0.6289257592951721,
    (32, 39): 0.8450045821201521,
}
ALIGNMENT_SQUARED = 44.023792001878675
DTW = (12.786129030666869, 11.378462012562428, 11.010135820834154)


def waves() -> tuple[torch.Tensor, torch.Tensor]:
    k = np.arange(1, 4)[:, None]
    x = np.sin(0.31 * k * np.arange(40)) + 0.5 * np.cos(0.07 * k * np.arange(40) ** 1.3)
    return torch.tensor(x), torch.tensor(np.sin(0.29 * k * np.arange(55) + 0.4))


def test_equals_what_tslearn_gives() -> None:
    x, y = waves()
    np.testing.assert_allclose(soft_dtw(x, y, 0.2), SOFT_DTW, rtol=1e-10)
    passes = alignment(squared_costs(x, y), 0.2)[0]
    np.testing.assert_allclose([passes[cell] for cell in ALIGNMENT], list(ALIGNMENT.values()), atol=1e-10)
    assert float(passes.square().sum()) == pytest.approx(ALIGNMENT_SQUARED, rel=1e-10)


def test_small_gamma_is_plain_dtw() -> None:
    np.testing.assert_allclose(soft_dtw(*waves(), 1e-5), DTW, rtol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 7, dtype=torch.float64, requires_grad=True), torch.randn(2, 7, dtype=torch.float64)
    for alpha, gamma in itertools.product((0.0, 0.3, 1.0), (0.1, 1.0)):
        assert torch.autograd.gradcheck(lambda p, a=alpha, g=gamma: dilate(p, y, a, g), (x,))
    wide = torch.randn(2, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: soft_dtw(p, wide, 0.5), (x,))


def test_batch_equals_loop_and_plain_recursion() -> None:
    torch.manual_seed(1)
    x, y = torch.randn(3, 30, dtype=torch.float64, requires_grad=True), torch.randn(3, 30, dtype=torch.float64)
    batch = dilate(x, y, 0.4, 0.05)
    batch.sum().backward()
    for i in range(3):
        single = x[i : i + 1].detach().requires_grad_()
        value = dilate(single, y[i : i + 1], 0.4, 0.05)
        value.backward()
        loop_value, loop_grad = dilate_loops(x[i].tolist(), y[i].tolist(), 0.4, 0.05)
        assert value.item() == pytest.approx(batch[i].item(), abs=1e-12)
        assert value.item() == pytest.approx(loop_value, abs=1e-10)
        np.testing.assert_allclose(single.grad[0], x.grad[i], atol=1e-12)
        np.testing.assert_allclose(single.grad[0], loop_grad, atol=1e-9)


def test_timing_term_sees_a_delay_that_the_shape_term_forgives() -> None:
    t = torch.arange(90, dtype=torch.float64) / 30
    y = torch.sin(2 * torch.pi * 1.2 * t)[None]
    late = torch.sin(2 * torch.pi * 1.2 * (t - 0.1))[None]
    assert float(dilate(late, y, 0.0, 0.01)) > 10 * float(dilate(y, y, 0.0, 0.01))
    assert float(dilate(late, y, 1.0, 0.01)) < 0.25 * float((late - y).square().sum())


def test_single_precision_and_wild_values_stay_finite() -> None:
    x = (torch.randn(4, 160) * 50).requires_grad_()
    value = dilate(x, torch.randn(4, 160), 0.5, 1e-3)
    value.sum().backward()
    assert value.dtype == torch.float32
    assert bool(torch.isfinite(value).all())
    assert bool(torch.isfinite(x.grad).all())


def test_refuses_what_it_cannot_align() -> None:
    with pytest.raises(InvalidInputError, match="gamma must be positive"):
        soft_dtw(torch.zeros(1, 3), torch.zeros(1, 3), 0.0)
    with pytest.raises(InvalidInputError, match="one shape"):
        dilate(torch.zeros(1, 3), torch.zeros(1, 4))
    with pytest.raises(InvalidInputError, match="alpha"):
        dilate(torch.zeros(1, 3), torch.zeros(1, 3), alpha=2.0)
    assert time_penalty(4)[0, 3] == pytest.approx(9 / 16)


def test_is_many_times_faster_than_loops() -> None:
    """benchmarks/dilate_speed.py prints the ratio on a quiet machine; here a floor that holds on a busy one."""
    x, y = torch.randn(16, 160, dtype=torch.float64), torch.randn(16, 160, dtype=torch.float64)
    start = time.perf_counter()
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        dilate_loops(a, b, 0.5, 0.1)
    slow = time.perf_counter() - start
    fast = math.inf
    for _ in range(4):
        leaf = x.clone().requires_grad_()
        start = time.perf_counter()
        dilate(leaf, y).sum().backward()
        fast = min(fast, time.perf_counter() - start)
    assert slow > 5 * fast
