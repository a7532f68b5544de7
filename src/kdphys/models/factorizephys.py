"""FactorizePhys: a very small 3-D network whose attention is a rank-one factorisation of its own features.

Joshi, Agaian, Cho 2024, "FactorizePhys: matrix factorization for multidimensional attention in remote
physiological sensing", NeurIPS, arXiv:2411.01542. 0.052 M parameters, 72 px.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdphys.errors import InvalidInputError
from kdphys.models.base import PulseModel


def _block(inputs: int, outputs: int, stride: int = 1, pad: int = 0) -> nn.Sequential:
    conv = nn.Conv3d(inputs, outputs, 3, (1, stride, stride), (1, pad, pad), bias=False)
    return nn.Sequential(conv, nn.Tanh(), nn.InstanceNorm3d(outputs))


def rank_one(v: Tensor, steps: int = 4, eps: float = 1e-6) -> Tensor:
    """Rank-one non-negative approximation of each matrix by multiplicative updates.

    Args:
        v: (B, M, N), not negative.
        steps: of the alternating updates.

    Returns:
        (B, M, N).
    """
    u = v.mean(2, keepdim=True)  # M × 1, deterministic start
    w = v.mean(1, keepdim=True)  # 1 × N
    for _ in range(steps):
        w = w * (u.transpose(1, 2) @ v) / ((u * u).sum(1, keepdim=True) * w + eps)
        u = u * (v @ w.transpose(1, 2)) / (u * (w * w).sum(2, keepdim=True) + eps)
    return u @ w


class Factorisation(nn.Module):
    """Attention over time, space and channels at once: 1×1×1, rank-one factors (time × everything), 1×1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.Conv3d(channels, channels // 2, 1, bias=False)
        self.after = nn.Conv3d(channels // 2, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) → the same shape."""
        v = torch.relu(self.before(x - x.amin((1, 2, 3, 4), keepdim=True))).float()
        flat = v.transpose(1, 2).flatten(2)
        low = rank_one(flat).reshape(v.transpose(1, 2).shape).transpose(1, 2)
        y: Tensor = torch.relu(self.after(low.to(x.dtype)))
        return y


class FactorizePhys(PulseModel):
    """Frame differences, instance norm, nine 3×3×3 blocks, and three more down to one pixel.

    The attention shapes the features in training and is left out afterwards, as the paper found it can be.

    Args:
        size: 72, the only size at which the chain of unpadded convolutions ends at one pixel.
    """

    layout = "bcthw"
    normalisation = "differences, instance norm"
    paper = "arXiv:2411.01542"

    def __init__(self, size: int = 72) -> None:
        super().__init__(size)
        if size != 72:
            raise InvalidInputError(f"FactorizePhys: works on crops of 72 px only, got size={size}")
        self.norm = nn.InstanceNorm3d(3)
        self.stem = nn.Sequential(_block(3, 8, pad=1), _block(8, 12, stride=2), _block(12, 12))
        self.mid = nn.Sequential(nn.Dropout3d(0.1), _block(12, 12), _block(12, 16, stride=2), _block(16, 16))
        self.deep = nn.Sequential(nn.Dropout3d(0.1), _block(16, 16), _block(16, 16), _block(16, 16), nn.Dropout3d(0.1))
        self.attention = Factorisation(16)
        self.attention_norm = nn.InstanceNorm3d(16)
        self.out = nn.Sequential(_block(16, 12), _block(12, 8), nn.Conv3d(8, 1, 3, padding=(1, 0, 0), bias=False))

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`PulseModel.features`; the taps are (B, C, T, H, W)."""
        self.check(x)
        # The published model takes one frame more than it returns; here the last difference stands twice.
        d = x[:, 1:] - x[:, :-1]
        d = torch.cat([d, d[:, -1:]], 1).transpose(1, 2)
        stem = self.stem(self.norm(d))
        mid = self.mid(stem)
        deep = self.deep(mid)
        attended = deep
        if self.training:
            attended = deep + self.attention_norm(deep * self.attention(deep))
        bvp = self.out(attended).flatten(1)
        return {"stem": stem, "mid": mid, "deep": attended, "bvp": bvp}
