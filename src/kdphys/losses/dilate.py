"""DILATE: shape and timing of a waveform in one loss.

Le Guen & Thome 2019, "Shape and time distortion loss for training deep time series forecasting models", NeurIPS,
arXiv:1909.09020: ``α · softDTW_γ(ŷ, y) + (1 − α) · ⟨E, Ω⟩`` with ``Ω_ij = (i − j)² / N²`` and E the soft alignment.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdphys.errors import InvalidInputError
from kdphys.losses.pearson import check_pair, wide
from kdphys.losses.soft_dtw import soft_dtw_terms, squared_costs


def time_penalty(n: int, device: torch.device | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """Ω (N, N), ``(i − j)² / N²``."""
    i = torch.arange(n, device=device, dtype=dtype)
    return (i[:, None] - i[None, :]).square() / n**2


def dilate(prediction: Tensor, target: Tensor, alpha: float = 0.5, gamma: float = 0.1) -> Tensor:
    """DILATE of each pair. Waveforms should have unit scale: γ is in squared units of them.

    Args:
        prediction, target: (B, N).
        alpha: weight of the shape against the timing, 0–1.
        gamma: smoothness of the alignment.

    Returns:
        (B,), ``α · softDTW + (1 − α) · ⟨E, Ω⟩``, both as in the paper, not divided by the length.
    """
    check_pair(prediction, target, "DILATE")
    if not 0.0 <= alpha <= 1.0:
        raise InvalidInputError(f"DILATE: alpha must be between 0 and 1, got {alpha!r}")
    penalty = time_penalty(prediction.shape[1], prediction.device)
    shape, timing = soft_dtw_terms(squared_costs(wide(prediction), wide(target)), penalty, gamma)
    return alpha * shape + (1.0 - alpha) * timing
