"""Finite operations in time: box means, shifts, sparse taps. Each states how far it looks ahead and back.

All of them treat frames outside the clip as absent: sums take zero for them, means divide by the number of frames
that exist. A stream that feeds the same frames one by one therefore computes the same numbers with ring buffers:
the past before the first frame is absent, and so is the future after the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def in_time(x: Tensor, frames: int) -> Tensor:
    """(B·T, …) → (B, T, …): the inverse of ``flatten(0, 1)``."""
    return x.reshape(-1, frames, *x.shape[1:])


def shift(x: Tensor, offset: int) -> Tensor:
    """``y[:, t] = x[:, t + offset]``, zero where ``t + offset`` lies outside the clip.

    Args:
        x: (B, T, …).
        offset: in frames; positive looks into the future.
    """
    if offset == 0:
        return x
    n = x.shape[1]
    k = min(abs(offset), n)
    gone = torch.zeros_like(x[:, :k])
    return torch.cat([x[:, k:], gone], 1) if offset > 0 else torch.cat([gone, x[:, : n - k]], 1)


def _valid_box_sum(x: Tensor, width: int) -> Tensor:
    """Sums over ``width`` consecutive frames: (B, T, …) → (B, T − width + 1, …), by doubling."""
    n = x.shape[1] - width + 1
    total: Tensor | None = None
    at, span, power = 0, 1, x  # ``power[t]``: sum of frames t … t + span − 1
    while span <= width:
        if width & span:
            part = power[:, at : at + n]
            total = part if total is None else total + part
            at += span
        if span * 2 <= width:
            power = power[:, : power.shape[1] - span] + power[:, span:]
        span *= 2
    assert total is not None
    return total


class BoxMean(nn.Module):
    """Mean over frames t − back … t + ahead, of those that exist.

    Args:
        back, ahead: in frames.
    """

    def __init__(self, back: int, ahead: int) -> None:
        super().__init__()
        self.lookback, self.lookahead = back, ahead

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, …) → (B, T, …)."""
        # Counting by the same sum keeps the number of frames symbolic under export.
        ones = torch.ones_like(x[:1].reshape(1, x.shape[1], -1)[..., :1])
        count = self._sum(ones).reshape(1, -1, *[1] * (x.ndim - 2))
        return self._sum(x) / count

    def _sum(self, x: Tensor) -> Tensor:
        pad = [0, 0] * (x.ndim - 2) + [self.lookback, self.lookahead]
        padded = F.pad(x, pad)
        return _valid_box_sum(padded, self.lookback + self.lookahead + 1)


class ChannelShift(nn.Module):
    """Temporal exchange without parameters: groups of channels move by different distances, the rest stays.

    Temporal shift module, Lin, Gan, Han 2019, arXiv:1811.08383.

    Args:
        channels: C.
        offsets: in frames, one group each; positive brings the future.
        share: of all channels that move.
    """

    def __init__(self, channels: int, offsets: Sequence[int], share: float = 0.5) -> None:
        super().__init__()
        self.offsets = tuple(offsets)
        self.group = max(int(channels * share / max(len(self.offsets), 1)), 1)
        if self.group * len(self.offsets) > channels:
            raise ValueError(f"{len(self.offsets)} shifts do not fit {channels} channels")
        self.lookahead = max([0, *self.offsets])
        self.lookback = max([0, *(-o for o in self.offsets)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C, …) → the same shape."""
        parts = [shift(x[:, :, i * self.group : (i + 1) * self.group], o) for i, o in enumerate(self.offsets)]
        return torch.cat([*parts, x[:, :, len(self.offsets) * self.group :]], 2)


class TapConv(nn.Module):
    """A 1-D convolution over explicit offsets in time: ``y[t] = Σ_k W_k x[t + offset_k] + b``.

    Args:
        inputs, outputs: channels.
        offsets: in frames, evenly spaced and increasing.
    """

    def __init__(self, inputs: int, outputs: int, offsets: Sequence[int]) -> None:
        super().__init__()
        self.offsets = tuple(offsets)
        steps = {b - a for a, b in zip(self.offsets, self.offsets[1:], strict=False)} or {1}
        if len(steps) != 1 or min(steps) < 1:
            raise ValueError(f"offsets must increase by one step, got {self.offsets}")
        self.conv = nn.Conv1d(inputs, outputs, len(self.offsets), dilation=steps.pop())
        self.lookahead = max(0, self.offsets[-1])
        self.lookback = max(0, -self.offsets[0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → (B, C′, T)."""
        y: Tensor = self.conv(F.pad(x, (-self.offsets[0], self.offsets[-1])))
        return y
