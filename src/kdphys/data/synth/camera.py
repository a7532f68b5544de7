"""What a camera and a fast stand-in for a codec do to clean frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdphys.data.synth.scene import Scene
from kdphys.data.synth.tracks import Tracks
from kdphys.dsp import resample_by_time

Floats = NDArray[np.floating[Any]]


def auto_gains(scene: Scene, means: Floats, times: Floats) -> Floats:
    """Display gains (N, 3) of the auto-exposure and auto-white-balance loops.

    Both watch the frame's mean of some frames ago, move towards what it was at the start, and act in small steps.

    Args:
        means: (N, 3) mean of every frame without them.
        times: (N,) seconds.
    """
    camera, rng, n = scene.camera, scene.rng("auto"), len(means)
    out = np.ones((n, 3))
    if not (camera.auto_exposure or camera.auto_white):
        return out
    logs = np.log(np.maximum(means, 0.5))
    want_light = -(logs.mean(axis=1) - logs[:5].mean())
    tint = logs - logs.mean(axis=1, keepdims=True)
    want_tint = -(tint - tint[:5].mean(axis=0))
    tau, tau_white, delay = rng.uniform(0.15, 1.2), rng.uniform(0.5, 3.0), int(rng.integers(1, 5))
    dead = rng.uniform(0.0, 0.03)
    light, white = 0.0, np.zeros(3)
    for k in range(n):
        dt = times[k] - times[k - 1] if k else 0.0
        seen = max(k - delay, 0)
        error = camera.auto_exposure * want_light[seen] - light
        if abs(error) > dead:
            light += error * (1 - np.exp(-dt / tau))
        white += (camera.auto_white * want_tint[seen] - white) * (1 - np.exp(-dt / tau_white))
        out[k] = np.exp(np.round(light * 128) / 128 + white)
    return out


def flicker_rows(scene: Scene, tracks: Tracks, frames: NDArray[np.int64], window: Floats, rows: int) -> Floats | None:
    """Gain (n, rows) of mains flicker under a rolling shutter, or None when there is none."""
    if not scene.light.flicker:
        return None
    g = (np.arange(rows) + 0.5) / rows - 0.5
    y = window[:, 1:2] + g * window[:, 2:]
    high = scene.camera.face_px / 480.0  # face width as a share of the picture's height
    delay = scene.camera.rolling_s * y * high
    depth, phase = tracks.flicker[frames].T
    wave = 1 + depth[:, None] * np.cos(phase[:, None] + 2 * np.pi * scene.light.flicker_hz * delay)
    return np.asarray(np.power(np.clip(wave, 0.05, None), 1 / scene.camera.gamma), np.float32)


def tone(values: Tensor, contrast: float) -> Tensor:
    """An S-shaped tone curve on 0–255, clipped there: ``v + c·v(1−v)(2v−1)``."""
    v = (values * (1 / 255)).clamp_(0, 1)
    if contrast:
        v = v + contrast * v * (1 - v) * (2 * v - 1)
    return v.mul_(255)


def noise_sd(scene: Scene, values: Tensor) -> Tensor:
    """Standard deviation, grey levels of one source pixel, of shot and read noise at these values (0–255)."""
    camera = scene.camera
    return (values * (camera.shot**2 / 128) + (camera.read**2 + 1 / 12)).sqrt_()


def add_noise(scene: Scene, values: Tensor, pixels_per_cell: Floats, generator: torch.Generator) -> Tensor:
    """Sensor noise on frames (n, 3, S, S) whose pixels are means over ``pixels_per_cell`` (n,) source pixels a side."""
    per_cell = torch.as_tensor(1 / np.maximum(pixels_per_cell, 1.0), dtype=torch.float32, device=values.device)
    white = torch.randn(values.shape, generator=generator, device=values.device)
    out = torch.addcmul(values, white.mul_(per_cell[:, None, None, None]), noise_sd(scene, values))
    if scene.camera.row_noise:
        rows = torch.randn(values.shape[0], 1, values.shape[2], 1, generator=generator, device=values.device)
        out += rows * (scene.camera.row_noise * per_cell.sqrt())[:, None, None, None]
    return out.clamp_(0, 255)


def fast_codec(scene: Scene, values: Tensor, generator: torch.Generator) -> Tensor:
    """A stand-in for video compression on crops (n, 3, S, S).

    Prediction from the frame before with a dead zone: changes smaller than the quantiser, block by block, are not
    sent until a key frame, chroma less than luma. The quantiser follows the bits per pixel.
    """
    codec, camera = scene.codec, scene.camera
    bits = codec.mbps * 1e6 / (camera.fps * 640 * 480) / codec.downscale**2
    coarse = float(np.clip(0.10 * bits**-0.65, 0.05, 3.0))
    n, _, s, _ = values.shape
    y = 0.299 * values[:, 0] + 0.587 * values[:, 1] + 0.114 * values[:, 2]
    ycc = torch.stack([y, (values[:, 2] - y) * 0.564, (values[:, 0] - y) * 0.713], 1)
    block = max(round(16 / (camera.face_px * 1.5 * codec.downscale / s)), 1)
    weight = torch.tensor([1.0, 2.2, 2.2], device=values.device)[:, None, None]
    # How readily each block is refreshed differs from frame to frame, as rate control does.
    mood = torch.rand(n, 1, -(-s // block), -(-s // block), generator=generator, device=values.device) * 1.5 + 0.25
    mood = mood.repeat_interleave(block, 2)[:, :, :s].repeat_interleave(block, 3)[..., :s]
    dead = coarse * weight * mood
    out = torch.empty_like(ycc)
    out[0] = ycc[0]
    for k in range(1, n):
        if k % codec.gop == 0:
            key = torch.randn(ycc.shape[1:], generator=generator, device=values.device)
            out[k] = ycc[k] + 0.5 * coarse * weight * key
            continue
        change = ycc[k] - out[k - 1]
        out[k] = out[k - 1] + torch.sign(change) * (change.abs() - dead[k]).clamp_(min=0) + 0.15 * change
    y, cb, cr = out[:, 0], out[:, 1] / 0.564, out[:, 2] / 0.713
    red, blue = y + cr, y + cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 1).clamp_(0, 255)


def resampling(times: Floats, fs: float, count: int) -> Floats:
    """Matrix (count, N) that does what :func:`kdphys.dsp.resample_by_time` does to frames at ``times`` (N,)."""
    eye = np.eye(len(times))
    values, valid, _ = resample_by_time(times, eye, fs, max_gap_s=1e9, t0=float(times[0]))
    assert len(values) >= count, "the tracks are too short"
    assert bool(valid[:count].all()), "the tracks have gaps"
    return np.asarray(values[:count], np.float32)
