"""Cross-entropy between the output's spectrum and the true heart rate.

The idea of PhysFormer (Yu et al. 2022, arXiv:2111.12082): the share of the band's power in each bin is read as a
probability of that heart rate, and compared with a narrow Gaussian around the true one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kdphys.errors import InvalidInputError
from kdphys.losses.pearson import standardise

LOW_BPM, HIGH_BPM = 40, 200


def band_power(x: Tensor, fs: float, step_bpm: float = 1.0) -> tuple[Tensor, Tensor]:
    """Power at rates from 40 to 200 bpm, by an explicit Hann-windowed transform (any length, any step).

    Args:
        x: (B, T).
        fs: Hz.

    Returns:
        rates in bpm (F,), power (B, F).
    """
    bpm = torch.arange(LOW_BPM, HIGH_BPM + 1e-3, step_bpm, device=x.device, dtype=torch.float32)
    t = torch.arange(x.shape[1], device=x.device, dtype=torch.float32) / fs
    angle = 2.0 * math.pi * t[:, None] * bpm[None, :] / 60.0
    window = torch.hann_window(x.shape[1], periodic=False, device=x.device)
    x = (x.float() - x.float().mean(1, keepdim=True)) * window
    with torch.autocast(x.device.type, enabled=False):
        return bpm, (x @ torch.cos(angle)).square() + (x @ torch.sin(angle)).square()


def heart_rate_cross_entropy(prediction: Tensor, hr_bpm: Tensor, fs: float, sigma_bpm: float = 3.0) -> Tensor:
    """Cross-entropy of each clip's normalised band power against a Gaussian around the true rate.

    Args:
        prediction: (B, T).
        hr_bpm: (B,), mean heart rate over the clip.
        fs: Hz.
        sigma_bpm: width of the target; about the resolution of a clip of 10 s.

    Returns:
        (B,), nats.
    """
    if prediction.ndim != 2 or hr_bpm.shape != prediction.shape[:1]:
        raise InvalidInputError(
            f"heart-rate loss: expected (B, T) and (B,), got {tuple(prediction.shape)} and {tuple(hr_bpm.shape)}"
        )
    bpm, power = band_power(standardise(prediction.float()), fs)
    share = (power + 1e-6) / (power + 1e-6).sum(1, keepdim=True)
    target = torch.softmax(-0.5 * ((bpm[None] - hr_bpm.float()[:, None]) / sigma_bpm).square(), 1)
    return -(target * share.log()).sum(1)
