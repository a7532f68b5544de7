"""Input transforms that models own. All start from RGB 0–255, (B, T, 3, S, S)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdphys.models.temporal import BoxMean

EPS = 1e-7


def difference(x: Tensor) -> Tensor:
    """Normalised frame differences ``(x[t+1] − x[t]) / (x[t+1] + x[t])`` over their std; a zero frame at the end.

    The std is that of the whole clip, as published: a model that uses this cannot run on a live stream exactly.
    Chen & McDuff 2018, arXiv:1805.07888.
    """
    d = (x[:, 1:] - x[:, :-1]) / (x[:, 1:] + x[:, :-1] + EPS)
    d = d / (d.flatten(1).std(1)[:, None, None, None, None] + EPS)
    return torch.cat([d, torch.zeros_like(x[:, :1])], 1)


def standardise(x: Tensor) -> Tensor:
    """Zero mean, unit std over the whole clip."""
    flat = x.flatten(1)
    mean, std = flat.mean(1), flat.std(1)
    return (x - mean[:, None, None, None, None]) / (std[:, None, None, None, None] + EPS)


class LocalMean(nn.Module):
    """Each pixel's deviation from its own local mean in time, in per cent, compressed: ``s·asinh(100·(x/μ − 1)/s)``.

    Dividing by the local mean removes skin colour and illumination level, as POS and CHROM do with their traces; the
    compression keeps a blink or a passing shadow from drowning the pulse. μ needs a few frames of the future and
    never the whole clip, so a stream can compute it.

    Args:
        back, ahead: μ is the mean over frames t − back … t + ahead; 48 frames are 1.6 s at 30 Hz.
        soft: s, per cent; deviations well below it pass unchanged.
        floor: grey levels added to both so that black pixels do not blow up.
    """

    def __init__(self, back: int, ahead: int, soft: float = 4.0, floor: float = 2.0) -> None:
        super().__init__()
        self.mean = BoxMean(back, ahead)
        self.soft, self.floor = soft, floor
        self.lookback, self.lookahead = self.mean.lookback, self.mean.lookahead

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, S, S) → deviation in per cent, local mean in grey levels; both of the input's shape, float32."""
        x = x.float()
        mean = self.mean(x)
        per_cent = 100.0 * (x - mean) / (mean + self.floor)
        return self.soft * torch.asinh(per_cent / self.soft), mean


class LocalUnit(nn.Module):
    """Changes from frame to frame, over their own local root mean square: ``d[t] = x[t] − x[t−1]``, ``d / rms(d)``.

    The mean square is taken over the picture, the colours and frames t − back … t + ahead. What moves fast and what
    hardly moves come out equally large, as with the published division by the std of the whole clip
    (:func:`difference`), but from a few frames of the future only. Without both steps a 3-D network does not begin to
    learn within 180 steps where it does with them.

    Args:
        back, ahead: in frames.
        floor: added to the root, in units of the input, so that a frozen picture stays zero.
    """

    def __init__(self, back: int, ahead: int, floor: float = 1e-3) -> None:
        super().__init__()
        self.mean = BoxMean(back, ahead)
        self.floor = floor
        self.lookback, self.lookahead = back + 1, ahead

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 3, S, S) → the same shape; zero at the first frame."""
        d = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1)
        power = self.mean((d * d).flatten(2).mean(2, keepdim=True))
        out: Tensor = d / (power.clamp_min(1e-12).sqrt() + self.floor)[..., None, None]
        return out


class LeakyIntegral(nn.Module):
    """Turns a predicted derivative into a waveform: ``y[t] = ρ·y[t−1] + d[t]``, cut off after ``length`` frames.

    The published networks predict the derivative and integrate it with a plain sum after the fact; the leak (a
    high-pass near 0.15 Hz at 30 Hz) keeps the sum from drifting, so that the loss can be put on the waveform itself.
    """

    kernel: Tensor

    def __init__(self, rho: float = 0.97, length: int = 160) -> None:
        super().__init__()
        k = rho ** torch.arange(length - 1, -1, -1, dtype=torch.float32)
        self.register_buffer("kernel", k[None, None], persistent=False)

    def forward(self, d: Tensor) -> Tensor:
        """(B, T) → (B, T)."""
        padded = nn.functional.pad(d.float(), (self.kernel.shape[-1] - 1, 0))
        return nn.functional.conv1d(padded[:, None], self.kernel.to(padded.dtype))[:, 0]
