"""Negative Pearson correlation, the usual loss for pulse waveforms (Yu, Li, Zhao 2019, arXiv:1905.02419)."""

from __future__ import annotations

import torch
from torch import Tensor

from kdphys.errors import InvalidInputError


def check_pair(prediction: Tensor, target: Tensor, what: str) -> None:
    """Raise :class:`InvalidInputError` unless both are (B, T) of one shape with T ≥ 2."""
    if prediction.ndim != 2 or prediction.shape != target.shape or prediction.shape[1] < 2:
        raise InvalidInputError(
            f"{what}: expected two waveforms (B, T ≥ 2) of one shape, got {tuple(prediction.shape)} "
            f"and {tuple(target.shape)}"
        )


def wide(x: Tensor) -> Tensor:
    """At least single precision: bfloat16 from autocast loses the sums that losses are made of."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def standardise(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Zero mean and unit std along the last axis; a constant signal stays zero, with finite gradients."""
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def negative_pearson(prediction: Tensor, target: Tensor) -> Tensor:
    """``1 − r`` of each pair, 0 (perfect) to 2 (inverted); 1 for a constant signal.

    Args:
        prediction, target: (B, T).

    Returns:
        (B,).
    """
    check_pair(prediction, target, "negative Pearson")
    return 1.0 - (standardise(wide(prediction)) * standardise(wide(target))).mean(-1)
