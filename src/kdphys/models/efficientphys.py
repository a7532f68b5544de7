"""EfficientPhys (convolutional): one branch on frame differences, shifts in time, attention on itself.

Liu, Hill, Jiang, Patel, McDuff 2023, "EfficientPhys: enabling simple, fast and accurate camera-based cardiac
measurement", arXiv:2110.04447. 2,163,081 parameters at 72 px.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdphys.models.base import PulseModel
from kdphys.models.deepphys import Branch, Regressor, mask
from kdphys.models.normalise import LeakyIntegral, standardise
from kdphys.models.temporal import ChannelShift, in_time


class EfficientPhys(PulseModel):
    """Differences of standardised frames, batch-normalised, through shifted convolutions with attention.

    Args:
        size: side of the crop in pixels (36 or 72 in the literature); the dense layer depends on it.
    """

    normalisation = "z-score of the clip, differences, batch norm"
    paper = "arXiv:2110.04447"

    def __init__(self, size: int = 72) -> None:
        super().__init__(size)
        self.norm = nn.BatchNorm2d(3)
        self.motion = Branch()
        self.gate1 = nn.Conv2d(32, 1, 1)
        self.gate2 = nn.Conv2d(64, 1, 1)
        self.head = Regressor(size)
        self.integrate = LeakyIntegral()
        self._shifts = {c: ChannelShift(c, (1, -1), 2 / 3) for c in (3, 32, 64)}

    def _mix(self, x: Tensor, frames: int) -> Tensor:
        shifted: Tensor = self._shifts[x.shape[1]](in_time(x, frames))
        return shifted.flatten(0, 1)

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`PulseModel.features`; the taps are (B, T, C, H, W)."""
        self.check(x)
        b, t = x.shape[:2]
        z = standardise(x)
        d = torch.cat([z[:, 1:] - z[:, :-1], torch.zeros_like(z[:, :1])], 1).flatten(0, 1)
        m = self.motion
        d = torch.tanh(m.conv1(self._mix(self.norm(d), t)))
        stem = torch.tanh(m.conv2(self._mix(d, t)))
        gate1 = mask(self.gate1(stem))
        mid = F.dropout(F.avg_pool2d(stem * gate1, 2), 0.25, self.training)
        d = torch.tanh(m.conv3(self._mix(mid, t)))
        d = torch.tanh(m.conv4(self._mix(d, t)))
        deep = F.avg_pool2d(d * mask(self.gate2(d)), 2)
        hidden, derivative = self.head(deep)
        taps = {"stem": stem, "mid": mid, "deep": deep, "attention": gate1, "temporal": hidden[..., None, None]}
        out = {name: in_time(tap, t) for name, tap in taps.items()}
        out["bvp"] = self.integrate(derivative.reshape(b, t))
        return out
