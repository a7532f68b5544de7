"""Activation-based attention maps in space and in time, and losses that match them between two networks.

Zagoruyko & Komodakis 2017, "Paying more attention to attention", arXiv:1612.03928: where the sum of squared
activations over channels is large, there the network looks. All features are (B, T, C, H, W).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from kdphys.errors import InvalidInputError
from kdphys.losses.pearson import standardise, wide

EPS = 1e-8
#: Activations may be small; their squares are smaller.
TINY = 1e-20


def spatial_attention(features: Tensor) -> Tensor:
    """Mean over time and channels of the squared activations, unit norm: (B, T, C, H, W) → (B, H·W)."""
    return F.normalize(wide(features).square().mean((1, 2)).flatten(1), dim=1, eps=TINY)


def temporal_attention(features: Tensor) -> Tensor:
    """Mean over space and channels of the squared activations, unit norm: (B, T, C, H, W) → (B, T)."""
    return F.normalize(wide(features).square().mean((2, 3, 4)), dim=1, eps=TINY)


def _same(student: Tensor, teacher: Tensor, channels: bool) -> None:
    a, b = student.shape, teacher.shape
    if student.ndim != 5 or teacher.ndim != 5 or a[:2] != b[:2] or a[3:] != b[3:] or (channels and a[2] != b[2]):
        raise InvalidInputError(f"attention: features do not match: student {tuple(a)}, teacher {tuple(b)}")


def attention_transfer(student: Tensor, teacher: Tensor, space: bool = True, time: bool = True) -> Tensor:
    """Squared distance of the unit-norm attention maps, in space and in time.

    Args:
        student, teacher: (B, T, C, H, W); the numbers of channels may differ.
        space, time: which maps to compare.

    Returns:
        (B,).
    """
    _same(student, teacher, channels=False)
    loss = wide(student.new_zeros(student.shape[0]))
    if space:
        loss = loss + (spatial_attention(student) - spatial_attention(teacher)).square().sum(1)
    if time:
        loss = loss + (temporal_attention(student) - temporal_attention(teacher)).square().sum(1)
    return loss


def attention_weights(teacher: Tensor, space: bool = True, time: bool = True) -> Tensor:
    """Where and when the teacher looks, as weights with mean 1: (B, T, 1, H, W); all ones with both switched off."""
    b, t, _, h, w = teacher.shape
    weights = wide(teacher.new_ones((b, t, 1, h, w)))
    if space:
        weights = weights * spatial_attention(teacher).reshape(b, 1, 1, h, w)
    if time:
        weights = weights * temporal_attention(teacher).reshape(b, t, 1, 1, 1)
    return weights / (weights.mean((1, 2, 3, 4), keepdim=True) + EPS)


def feature_distance(student: Tensor, teacher: Tensor, weights: Tensor | None = None) -> Tensor:
    """Weighted mean squared distance of features, each channel standardised over time and space of the clip.

    Args:
        student, teacher: (B, T, C, H, W), the student already projected to the teacher's channels.
        weights: (B, T, 1, H, W) with mean 1, or None for even weights.

    Returns:
        (B,); 2 for unrelated features, 0 for equal ones.
    """
    _same(student, teacher, channels=True)

    def channels(x: Tensor) -> Tensor:
        return standardise(wide(x).movedim(2, 1).flatten(2)).reshape(x.shape[0], x.shape[2], x.shape[1], -1)

    distance = (channels(student) - channels(teacher)).square()
    if weights is not None:
        distance = distance * wide(weights).movedim(2, 1).flatten(3)
    return distance.mean((1, 2, 3))
