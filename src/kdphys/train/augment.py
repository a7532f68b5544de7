"""Augmentation of clips that were rendered or recorded before: cheap, on the fly, pulse kept.

Never reversed in time: the pulse rises faster than it falls, and a model should know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Ranges; each clip draws its own values.

    Args:
        stretch: a clip plays faster or slower by up to this factor, which spreads heart rates.
        crop: the smallest share of the side that a random square keeps.
        gain: standard deviation of the logarithm of the brightness, and of each colour.
        noise: largest standard deviation of white noise added to one half of the clips, grey levels of a crop's pixel,
            which is the mean of many pixels of the camera.
        flip: probability of mirroring left and right.
        flicker: largest amplitude of a light that swings in the band of the pulse, everywhere in the picture and nearly
            the same in all colours, relative to the picture; one clip in four has one.
    """

    stretch: float = 1.35
    crop: float = 0.8
    gain: float = 0.15
    noise: float = 0.6
    flip: float = 0.5
    flicker: float = 0.03


def stretch_range(hr_bpm: float, length: int, frames: int, largest: float) -> tuple[float, float]:
    """Rates of play that the clip is long enough for and that keep the heart within 40–200 bpm.

    Args:
        hr_bpm: NaN when unknown.
        length: frames that there are.
        frames: frames that are needed.
        largest: factor.

    Returns:
        lowest and highest rate; (1, 1) when there is no room.
    """
    low, high = 1.0 / largest, min(largest, (length - 1) / (frames - 1))
    if np.isfinite(hr_bpm) and hr_bpm > 0:
        low, high = max(low, 40.0 / hr_bpm), min(high, 200.0 / hr_bpm)
    return (low, high) if low < high else (1.0, 1.0)


def play(values: Tensor, start: float, rate: float, frames: int) -> Tensor:
    """Read ``frames`` samples from position ``start`` on, ``rate`` apart, linear between neighbours.

    Args:
        values: (L, …), any type; the result is float32.

    Returns:
        (frames, …).
    """
    at = start + rate * torch.arange(frames, dtype=torch.float64)
    low = at.floor().long().clamp(0, len(values) - 1)
    high = (low + 1).clamp(max=len(values) - 1)
    weight = (at - low).float().reshape(-1, *[1] * (values.ndim - 1))
    first = values[low].float()
    if rate == 1.0 and float(start).is_integer():
        return first
    return torch.lerp(first, values[high].float(), weight)


def flicker(rng: np.random.Generator, frames: int, largest: float, fs: float = 30.0) -> Tensor:
    """A rhythmic light, which is no pulse.

    Args:
        frames: T.
        largest: amplitude, relative; it is drawn between a hundredth of this and this.
        fs: frames per second.

    Returns:
        float32 (T, 3), gains of R, G, B around 1, at one rate of 0.6–4 Hz.
    """
    amplitude = largest * np.exp(rng.uniform(np.log(0.01), 0.0)) * np.exp(rng.normal(0, 0.1, 3))
    phase = 2 * np.pi * (rng.uniform(0.6, 4.0) * np.arange(frames) / fs + rng.random())
    return torch.tensor(1.0 + amplitude * np.sin(phase)[:, None], dtype=torch.float32)


def recolour(rgb: Tensor, rng: np.random.Generator, how: Augmentation) -> Tensor:
    """Random square, mirror, brightness and colour, the same for all frames; over time, flicker and noise.

    Args:
        rgb: float (T, 3, S, S), 0–255.

    Returns:
        float (T, 3, S, S), 0–255.
    """
    s = rgb.shape[-1]
    side = round(s * rng.uniform(how.crop, 1.0))
    if side < s:
        y, x = rng.integers(0, s - side + 1, 2)
        cut = rgb[:, :, y : y + side, x : x + side]
        rgb = F.interpolate(cut, size=(s, s), mode="bilinear", align_corners=False)
    if rng.random() < how.flip:
        rgb = rgb.flip(-1)
    if how.flicker > 0 and rng.random() < 0.25:
        rgb = rgb * flicker(rng, len(rgb), how.flicker)[:, :, None, None]
    gain = np.exp(rng.normal(0, how.gain) + rng.normal(0, how.gain / 2, 3))
    # Brighter only as far as the brightest pixels stay unclipped: clipping would erase the pulse.
    top = float(rgb.amax()) * gain.max()
    gain *= min(1.0, 255.0 / max(top, 1e-6)) if gain.max() > 1 else 1.0
    rgb = rgb * torch.tensor(gain, dtype=torch.float32)[:, None, None]
    sigma = rng.uniform(0, how.noise) * (rng.random() < 0.5)
    if sigma > 0:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        rgb = rgb + sigma * torch.randn(rgb.shape, generator=generator)
    return rgb.clamp(0.0, 255.0)
