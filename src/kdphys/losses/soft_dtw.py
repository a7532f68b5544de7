"""Soft dynamic time warping, its alignment and the derivative along a direction, over anti-diagonals.

Cuturi & Blondel 2017, "Soft-DTW: a differentiable loss function for time-series", arXiv:1703.01541. Cells on one
anti-diagonal do not depend on each other, so each is one batched operation; the forward recursion carries next to
the value R its derivative Ṙ in the direction of a penalty Ω. As the alignment is E = ∂R/∂D, that derivative is
⟨E, Ω⟩, the temporal term of DILATE, and one reverse sweep gives the gradients of both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kdphys.errors import InvalidInputError


def _skew(x: Tensor) -> Tensor:
    """(B, N, M) → (N + M − 1, B, N) with ``out[i + j, b, i] = x[b, i, j]``, zero where there is no such cell."""
    b, n, m = x.shape
    padded = torch.nn.functional.pad(x, (0, n)).reshape(b, -1)
    return padded[:, : n * (m + n - 1)].reshape(b, n, m + n - 1).permute(2, 0, 1).contiguous()


def _unskew(x: Tensor, m: int) -> Tensor:
    """The inverse of :func:`_skew`."""
    k, b, n = x.shape
    flat = torch.nn.functional.pad(x.permute(1, 2, 0).reshape(b, -1), (0, n))
    return flat.reshape(b, n, k + 1)[:, :, :m]


class _SoftDTW(torch.autograd.Function):
    """(D (B, N, M), Ω (N, M), γ) → soft-DTW value (B,) and ⟨E, Ω⟩ (B,)."""

    @staticmethod
    def forward(ctx: Any, cost: Tensor, penalty: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
        b, n, m = cost.shape
        # The tensors are small and the loop is bound by overhead: double precision costs nothing and lets γ be small.
        work = torch.float32 if cost.device.type == "mps" else torch.float64
        d = _skew(cost.to(work))
        omega = _skew(penalty.to(work)[None])
        last = n + m - 1
        # Row k + 2 holds diagonal k: R and Ṙ; column i + 1 holds row i of the table. The border is made of infinities.
        table = d.new_zeros((last + 2, 2, b, n + 1))
        table[:, 0] = torch.inf
        table[0, 0, :, 0] = 0.0
        diagonals: list[tuple[Tensor, Tensor]] = []  # per diagonal ∂R/∂R (= ∂Ṙ/∂Ṙ) and ∂Ṙ/∂R of the three predecessors
        for k in range(last):
            lo, hi = max(0, k - m + 1), min(n, k + 1)
            one, two = table[k + 1], table[k]
            before = torch.stack((one[..., lo:hi], one[..., lo + 1 : hi + 1], two[..., lo:hi]))
            values = before[:, 0]
            low = values.amin(0)  # finite: every cell has a predecessor inside the table
            w = (low - values).mul_(1.0 / gamma).exp_()
            total = w.sum(0)
            w /= total
            before[:, 0] = low - total.log_().mul_(gamma)  # the soft minimum; the weights that follow sum to one
            soft = (before * w[:, None]).sum(0)
            torch.add(d[k, :, lo:hi], soft[0], out=table[k + 2, 0, :, lo + 1 : hi + 1])
            torch.add(omega[k, :, lo:hi], soft[1], out=table[k + 2, 1, :, lo + 1 : hi + 1])
            if ctx.needs_input_grad[0]:
                # Softmin's weights move with the values: ∂Ṙ/∂R_l = −w_l (Ṙ_l − Σ w Ṙ) / γ.
                diagonals.append((w, (soft[1] - before[:, 1]).mul_(w).mul_(1.0 / gamma)))
        ctx.diagonals = diagonals
        ctx.shape, ctx.dtype = (b, n, m), cost.dtype
        return table[-1, 0, :, n].to(cost.dtype), table[-1, 1, :, n].to(cost.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_value: Tensor, grad_slope: Tensor) -> tuple[Tensor, None, None]:
        b, n, m = ctx.shape
        last = n + m - 1
        adjoint = ctx.diagonals[0][0].new_zeros((last + 2, 2, b, n + 1))  # of R and of Ṙ
        adjoint[-1, 0, :, n] = grad_value.to(adjoint.dtype)
        adjoint[-1, 1, :, n] = grad_slope.to(adjoint.dtype)
        for k in range(last - 1, -1, -1):
            lo, hi = max(0, k - m + 1), min(n, k + 1)
            here = adjoint[k + 2, :, :, lo + 1 : hi + 1]
            w, bend = ctx.diagonals[k]
            part = here * w[:, None]  # (3, 2, B, L)
            part[:, 0].addcmul_(here[1], bend)
            up, left, diagonal = part.unbind(0)
            adjoint[k + 1, :, :, lo:hi] += up
            adjoint[k + 1, :, :, lo + 1 : hi + 1] += left
            adjoint[k, :, :, lo:hi] += diagonal
        grad = _unskew(adjoint[2:, 0, :, 1:], m)
        return grad.to(ctx.dtype), None, None


def _check(cost: Tensor, gamma: float) -> None:
    if cost.ndim != 3 or cost.shape[1] < 1 or cost.shape[2] < 1:
        raise InvalidInputError(f"soft-DTW: expected costs (B, N, M), got {tuple(cost.shape)}")
    if not gamma > 0:
        raise InvalidInputError(f"soft-DTW: gamma must be positive, got {gamma!r}")


def soft_dtw_terms(cost: Tensor, penalty: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Soft-DTW of a cost table and ⟨E, Ω⟩, the mean penalty of its soft alignment; both have gradients.

    Args:
        cost: (B, N, M), D.
        penalty: (N, M), Ω; no gradient.
        gamma: γ > 0, in the units of the cost; smaller is closer to plain DTW.

    Returns:
        (B,), (B,).
    """
    _check(cost, gamma)
    if penalty.shape != cost.shape[1:]:
        raise InvalidInputError(f"soft-DTW: penalty must be {tuple(cost.shape[1:])}, got {tuple(penalty.shape)}")
    value, slope = _SoftDTW.apply(cost, penalty, gamma)  # type: ignore[no-untyped-call]
    return value, slope


def squared_costs(x: Tensor, y: Tensor) -> Tensor:
    """``(x_i − y_j)²``: (B, N), (B, M) → (B, N, M)."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[0] != y.shape[0]:
        raise InvalidInputError(
            f"soft-DTW: expected waveforms (B, N) and (B, M), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    return (x[:, :, None] - y[:, None, :]).square()


def soft_dtw(x: Tensor, y: Tensor, gamma: float = 0.1) -> Tensor:
    """Soft-DTW of each pair with squared differences as costs; can be negative, as the soft minimum is below the least.

    Args:
        x: (B, N).
        y: (B, M).
        gamma: see :func:`soft_dtw_terms`.

    Returns:
        (B,).
    """
    cost = squared_costs(x, y)
    return soft_dtw_terms(cost, torch.zeros_like(cost[0]), gamma)[0]
