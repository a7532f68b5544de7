"""DeepPhys: two 2-D branches, motion and appearance, joined by attention.

Chen & McDuff 2018, "DeepPhys: video-based physiological measurement using convolutional attention networks",
arXiv:1805.07888. 532,899 parameters at 36 px, 2,228,643 at 72 px.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdphys.errors import InvalidInputError
from kdphys.models.base import PulseModel
from kdphys.models.normalise import LeakyIntegral, difference, standardise
from kdphys.models.temporal import in_time


def mask(gate: Tensor) -> Tensor:
    """Attention mask: sigmoid, then each map scaled so that it sums to half its number of pixels. (N, 1, H, W)."""
    gate = torch.sigmoid(gate)
    pixels = gate.shape[2] * gate.shape[3]
    return gate / gate.sum((2, 3), keepdim=True) * pixels * 0.5


def flat_features(size: int) -> int:
    """Number of values that the last pooling leaves of a crop of ``size`` px (64 channels)."""
    side = ((size - 2) // 2 - 2) // 2
    if side < 1:
        raise InvalidInputError(f"size: needs a crop of at least 10 px, got {size}")
    return 64 * side * side


class Branch(nn.Module):
    """Four 3×3 convolutions in two pairs; between and after the pairs the caller pools."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 32, 3)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv4 = nn.Conv2d(64, 64, 3)


class Regressor(nn.Module):
    """Flattened features → one number per frame, the derivative of the BVP."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(flat_features(size), 128)
        self.out = nn.Linear(128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) → hidden (N, 128), derivative (N,)."""
        h = torch.tanh(self.hidden(F.dropout(x, 0.25, self.training).flatten(1)))
        return h, self.out(F.dropout(h, 0.5, self.training))[:, 0]


class DeepPhys(PulseModel):
    """Frame differences, weighted by attention masks that the plain frames give.

    Args:
        size: side of the crop in pixels; the dense layer, and so the number of parameters, depends on it.
    """

    normalisation = "difference / std and z-score of the clip"
    paper = "arXiv:1805.07888"

    def __init__(self, size: int = 36) -> None:
        super().__init__(size)
        self.motion = Branch()
        self.appearance = Branch()
        self.gate1 = nn.Conv2d(32, 1, 1)
        self.gate2 = nn.Conv2d(64, 1, 1)
        self.head = Regressor(size)
        self.integrate = LeakyIntegral()

    def mix(self, x: Tensor, frames: int) -> Tensor:
        """What happens before each motion convolution: nothing here; exchange in time in TS-CAN. (B·T, C, H, W)."""
        return x

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`PulseModel.features`; the taps are (B, T, C, H, W)."""
        self.check(x)
        b, t = x.shape[:2]
        d, a = difference(x).flatten(0, 1), standardise(x).flatten(0, 1)
        m, look = self.motion, self.appearance
        d = torch.tanh(m.conv1(self.mix(d, t)))
        stem = torch.tanh(m.conv2(self.mix(d, t)))
        a = torch.tanh(look.conv2(torch.tanh(look.conv1(a))))
        gate1 = mask(self.gate1(a))
        mid = self._pool(stem * gate1)
        a = self._pool(a)
        d = torch.tanh(m.conv3(self.mix(mid, t)))
        d = torch.tanh(m.conv4(self.mix(d, t)))
        a = torch.tanh(look.conv4(torch.tanh(look.conv3(a))))
        deep = F.avg_pool2d(d * mask(self.gate2(a)), 2)
        hidden, derivative = self.head(deep)
        taps = {"stem": stem, "mid": mid, "deep": deep, "attention": gate1, "temporal": hidden[..., None, None]}
        out = {name: in_time(tap, t) for name, tap in taps.items()}
        out["bvp"] = self.integrate(derivative.reshape(b, t))
        return out

    def _pool(self, x: Tensor) -> Tensor:
        return F.dropout(F.avg_pool2d(x, 2), 0.25, self.training)
