"""The student: 2-D convolutions, exchange in time by shifted channels, spatial attention; runs on a live stream.

Made for kdphys after the abstract of KDPhys (arXiv:2601.00714): a light 2-D network that a 3-D teacher distils into.

Every operation that mixes frames is one of three finite ones (:mod:`kdphys.models.temporal`): a box mean, a channel
shift, a convolution over explicit offsets. Nothing is normalised over the clip; batch norm has fixed statistics once
trained. So one output sample depends on :attr:`Student.lookback` frames of the past and :attr:`Student.lookahead`
of the future, exactly, and frames outside the stretch count as absent (zero features, means over those that exist),
as in a stream that starts and ends there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdphys.errors import InvalidInputError
from kdphys.models.base import PulseModel
from kdphys.models.normalise import LocalMean
from kdphys.models.temporal import BoxMean, ChannelShift, TapConv, in_time

#: Rows on (R, G, B) in per cent of the local mean: POS S₁ and S₂ (Wang 2017), CHROM X and Y (de Haan 2013), luma
#: (BT.601) and green. Chrominance alone is blind where a codec has removed it.
PROJECTIONS = (
    (0.0, 1.0, -1.0),
    (-2.0, 1.0, 1.0),
    (3.0, -2.0, 0.0),
    (1.5, 1.0, -1.5),
    (0.299, 0.587, 0.114),
    (0.0, 1.0, 0.0),
)


class ShiftBlock(nn.Module):
    """Residual block: channels shifted in time, 3×3 convolution, batch norm, ReLU."""

    def __init__(self, channels: int, offsets: tuple[int, ...]) -> None:
        super().__init__()
        self.shift = ChannelShift(channels, offsets)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.lookahead, self.lookback = self.shift.lookahead, self.shift.lookback

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → the same shape."""
        y: Tensor = self.norm(self.conv(self.shift(x).flatten(0, 1)))
        return x + in_time(torch.relu(y), x.shape[1])


class TapBlock(nn.Module):
    """Residual block of the head: convolution over explicit offsets in time, batch norm, ReLU."""

    def __init__(self, channels: int, offsets: tuple[int, ...]) -> None:
        super().__init__()
        self.taps = TapConv(channels, channels, offsets)
        self.norm = nn.BatchNorm1d(channels)
        self.lookahead, self.lookback = self.taps.lookahead, self.taps.lookback

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → the same shape."""
        return x + torch.relu(self.norm(self.taps(x)))


class Traces(nn.Module):
    """Attended colour traces, what POS and CHROM make of them, and their strength: the classical road to the head.

    For each attention map: the six projections of :data:`PROJECTIONS`, S₁ + α S₂ and X − α Y with α the ratio of
    their strengths over the last frames, all divided by the running strength of that trace so that a faint pulse
    reaches the head as well as a strong one; and the logarithm of those strengths.

    Args:
        window: frames, all in the past, over which strengths are measured.
    """

    outputs = 16

    def __init__(self, window: int) -> None:
        super().__init__()
        self.power = BoxMean(window - 1, 0)
        self.register_buffer("rows", torch.tensor(PROJECTIONS), persistent=False)
        self.lookahead, self.lookback = 0, window - 1

    rows: Tensor

    def forward(self, attended: Tensor) -> Tensor:
        """Attended deviations (B, T, K, 3) in per cent → (B, T, K, 16)."""
        p = attended @ self.rows.T
        rms = (self.power(p * p) + 1e-6).sqrt()
        pos = p[..., 0] + rms[..., 0] / rms[..., 1] * p[..., 1]
        chrom = p[..., 2] - rms[..., 2] / rms[..., 3] * p[..., 3]
        combined = torch.stack([pos, chrom], -1)
        strength = (self.power(combined * combined) + 1e-6).sqrt()
        rms, p = torch.cat([rms, strength], -1), torch.cat([p, combined], -1)
        return torch.cat([p / rms, torch.log(rms)], -1)


class Student(PulseModel):
    """Attention from the mean appearance and roughness, a shifted trunk at a quarter of the size, a head in time.

    Args:
        size: side of the crop in pixels, even, 8 or more.
        width: channels of the trunk, a multiple of ``maps``.
        hidden: channels of the head.
        maps: number of attention maps.
        window: frames of the past in the local mean (its future part is ``ahead``); together 1.6 s at 30 Hz.
        ahead: frames of the future in the local mean.
    """

    normalisation = "x / local mean − 1, asinh"
    paper = "kdphys; after arXiv:2601.00714"

    def __init__(
        self, size: int = 36, width: int = 48, hidden: int = 72, maps: int = 4, window: int = 35, ahead: int = 12
    ) -> None:
        super().__init__(size)
        if size % 2 or size < 8:
            raise InvalidInputError(f"Student: size must be an even number of pixels from 8 up, got {size}")
        if width % maps:
            raise InvalidInputError(f"Student: width ({width}) must be a multiple of maps ({maps})")
        self.maps = maps
        self.local = LocalMean(window, ahead)
        self.roughness = BoxMean(31, 0)
        self.look = nn.Sequential(
            nn.Conv2d(6, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, maps, 1),
        )
        self.project = nn.Conv2d(3, 16, 1)
        self.entry = nn.Sequential(
            nn.BatchNorm2d(16),
            nn.Conv2d(16, width, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.near = nn.Sequential(ShiftBlock(width, (1, -1, 2, -2)), ShiftBlock(width, (2, -1, -2, -4)))
        self.far = nn.Sequential(ShiftBlock(width, (1, -4, -8, 4)))
        self.traces = Traces(64)
        self.join = nn.Sequential(
            nn.Conv1d(width + maps * Traces.outputs, hidden, 1), nn.BatchNorm1d(hidden), nn.ReLU()
        )
        self.head = nn.Sequential(
            TapBlock(hidden, (-2, -1, 0, 1, 2)),
            TapBlock(hidden, (-6, -4, -2, 0, 2)),
            TapBlock(hidden, (-12, -8, -4, 0, 4)),
            TapBlock(hidden, (-32, -24, -16, -8, 0)),
        )
        self.out = nn.Conv1d(hidden, 1, 1)
        with torch.no_grad():
            rows = torch.tensor(PROJECTIONS)
            self.project.weight[: len(rows)] = rows[:, :, None, None]
            self.project.bias.zero_()  # type: ignore[union-attr]
        # The trace road and the trunk run side by side from the input to the head. The traces count twice: the
        # strength of a sum that was itself scaled by strengths.
        trunk = [m for part in (self.near, self.far) for m in part]
        self.lookahead = self._reach("lookahead", trunk)
        self.lookback = self._reach("lookback", trunk)

    def _reach(self, side: str, trunk: list[nn.Module]) -> int:
        def reach(*modules: nn.Module) -> int:
            return sum(int(getattr(m, side)) for m in modules)

        roads = max(reach(*trunk), reach(self.traces, self.traces))
        return reach(self.local, self.roughness) + roads + reach(*self.head)

    def attention(self, deviation: Tensor, mean: Tensor) -> Tensor:
        """K attention maps from the mean appearance and from how restless each pixel was: (B, T, K, H, W), sum 1."""
        level = mean.mean((2, 3, 4), keepdim=True) + 1.0
        rough = torch.log(self.roughness(deviation * deviation) + 1e-2)
        look = torch.cat([mean / level - 1.0, rough], 2).flatten(0, 1)
        logits: Tensor = self.look(look).float()
        return in_time(torch.softmax(logits.flatten(2), -1).reshape(logits.shape), mean.shape[1])

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`PulseModel.features`; the taps are (B, T, C, H, W)."""
        self.check(x)
        t = x.shape[1]
        deviation, mean = self.local(in_time(F.avg_pool2d(x.float().flatten(0, 1), 2), t))
        attention = self.attention(deviation, mean)
        stem = torch.asinh(self.project(deviation.flatten(0, 1)))
        mid = self.near(in_time(self.entry(stem), t))
        deep = self.far(mid)
        # Channels of the trunk are split over the maps; each map pools its share.
        small = F.avg_pool2d(attention.flatten(0, 1), 2, ceil_mode=True, count_include_pad=False)
        small = small / small.sum((2, 3), keepdim=True)
        shares = deep.reshape(*small.shape[:2], -1, *small.shape[2:])
        pooled = torch.einsum("nkhw,nkchw->nkc", small.to(deep.dtype), shares)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 is coarser than a pulse on top of motion
            attended = torch.einsum("btkhw,btchw->btkc", attention, deviation)
            traces = self.traces(attended)
        joined = torch.cat([in_time(pooled.flatten(1), t), traces.flatten(2).to(pooled.dtype)], 2)
        temporal = self.head(self.join(joined.transpose(1, 2)))
        bvp = self.out(temporal)[:, 0]
        taps = {"stem": in_time(stem, t), "mid": mid, "deep": deep, "attention": attention}
        return {**taps, "temporal": temporal.transpose(1, 2)[..., None, None], "bvp": bvp}
