"""Lighting and warping a painted person in PyTorch, many frames at once.

The model of a pixel, in the camera's own (gamma) domain where products of light stay products::

    255 · exposure · colour · light^(1/γ) · (1 − pulse)  +  highlights

which is exact for a power-law response, so that expensive powers are taken of the slow light field alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kdphys.data.synth.heads import HALF_WIDTH
from kdphys.data.synth.paint import Painted, noise
from kdphys.data.synth.scene import Scene
from kdphys.data.synth.skin import reflectance
from kdphys.data.synth.tracks import Tracks

Floats = NDArray[np.floating[Any]]

_WRAP = 0.15
_PIVOT = 0.45  # of roll and scale: the neck, face widths below the centre of the face box
_BACKGROUND_WIDTHS = 8.0  # of the background picture
_COARSE = 20  # side of the grid on which the flow of the face is looked up


@dataclass(frozen=True, eq=False)
class Layers:
    """A batch of frames before noise. Display values are 0–255 before clipping.

    Args:
        head: (n, 3, S, S), the person, times its coverage.
        alpha: (n, 1, S, S), coverage by the person.
        background: (n, 3, S, S).
        light: (n, 3, S, S), what the colour was multiplied by (with the pulse in it).
        shine: (n, 1, S, S), highlights added, 0–255.
        strength: (n, 1, S, S), of the pulse.
        reveal: (n, 2, S, S), how much of the open mouth and of the closed lids shows, or None for nothing.
    """

    head: Tensor
    alpha: Tensor
    background: Tensor
    light: Tensor
    shine: Tensor
    strength: Tensor
    reveal: Tensor | None

    def picture(self) -> Tensor:
        """(n, 3, S, S): all together."""
        return torch.addcmul(self.head + self.shine, 1 - self.alpha, self.background)


class Shader:
    """One scene's person, ready to be drawn at any frames and any window.

    Args:
        scene: the recipe.
        painted: the person.
        tracks: what changes.
        device: where to compute.
    """

    def __init__(self, scene: Scene, painted: Painted, tracks: Tracks, device: torch.device | str = "cpu") -> None:
        self.scene, self.painted, self.tracks = scene, painted, tracks
        self.device = torch.device(device)
        p = painted
        stack = np.concatenate(
            [
                p.colour.transpose(2, 0, 1),
                np.stack([p.alpha, p.strength, p.delay, p.gloss]),
                p.normal.transpose(2, 0, 1),
            ]
        )
        self._maps = self._tensor(stack)[None]
        self._reveal = self._tensor(p.reveal)[None]
        small = p.flow.shape[1]
        depth = F.interpolate(self._tensor(p.depth)[None, None], (small, small), mode="area")
        flow = self._tensor(p.flow.transpose(0, 3, 1, 2).reshape(-1, small, small))[None]
        self._motion = torch.cat([depth, flow], 1)
        self.backdrop = _backdrop(scene)
        self._backdrop = self._tensor(self.backdrop.transpose(2, 0, 1))[None]
        self.exposure = _exposure(scene, tracks)
        self._inside, self._lid = (self._tensor(c)[:, None, None] for c in (p.inside, p.lid))

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values, dtype=np.float32)).to(self.device)

    def windows(self) -> Floats:
        """The crops: (N, 3), centre x, y and side in face widths relative to the resting face box."""
        out = self.tracks.box.astype(np.float32).copy()
        out[:, 2] *= self.scene.framing.scale
        return np.asarray(out)

    def grid(self, frames: NDArray[np.int64], window: Floats, size: int) -> tuple[Tensor, Tensor]:
        """Where in the maps the pixels of a window look, with and without the expression.

        Returns:
            two of (n, S, S, 2), −1 to 1 as ``grid_sample`` wants them.
        """
        t, p = self.tracks, self.painted
        g = (np.arange(_COARSE, dtype=np.float32) + 0.5) / _COARSE - 0.5
        points = np.stack(np.meshgrid(g, g), -1)[None]
        w = window[:, None, None]
        place = w[..., :2] + points * w[..., 2:]
        pivot = np.array([0.0, _PIVOT], np.float32)
        rel = place - t.shift[frames][:, None, None] - pivot
        c, s = np.cos(t.roll[frames])[:, None, None], np.sin(t.roll[frames])[:, None, None]
        scale = t.scale[frames][:, None, None]
        qx = (c * rel[..., 0] + s * rel[..., 1]) / scale
        qy = (-s * rel[..., 0] + c * rel[..., 1]) / scale + _PIVOT
        rest = self._tensor(np.stack([p.box[0] + qx * p.box[2], p.box[1] + qy * p.box[2]], -1) * 2 - 1)
        found = F.grid_sample(
            self._motion.expand(len(frames), -1, -1, -1), rest, padding_mode="border", align_corners=False
        )
        turn = self._tensor(np.stack([t.yaw[frames], t.pitch[frames]], -1) / (2 * HALF_WIDTH))
        weights = self._tensor(t.expression[frames])
        flow = found[:, 1:].reshape(len(frames), -1, 2, _COARSE, _COARSE)
        move = torch.einsum("nk,nkcyx->ncyx", weights, flow) - found[:, :1] * turn[:, :, None, None]
        rest = rest.permute(0, 3, 1, 2)
        coarse = torch.cat([rest + 2 * move, rest], 1)
        # Beyond the centres of the outer cells the coarse grid continues in a straight line.
        wide = _extrapolate(coarse)
        step = _COARSE / size
        at = (torch.arange(size, device=self.device, dtype=torch.float32) + 0.5) * step + 0.5
        index = (at + 0.5) / (_COARSE + 2) * 2 - 1
        yy, xx = torch.meshgrid(index, index, indexing="ij")
        fine = torch.stack([xx, yy], -1)[None].expand(len(frames), -1, -1, -1)
        out: Tensor = F.grid_sample(wide, fine, padding_mode="border", align_corners=False)
        return out[:, :2].permute(0, 2, 3, 1).contiguous(), out[:, 2:].permute(0, 2, 3, 1)

    def draw(self, frames: NDArray[np.int64], window: Floats, size: int) -> Layers:
        """Draw frames through their windows.

        Args:
            frames: (n,) indices into the tracks.
            window: (n, 3), centre x, y and side in face widths.
            size: side of the picture in pixels.
        """
        t, scene, n = self.tracks, self.scene, len(frames)
        grid, rest = self.grid(frames, window, size)
        seen = F.grid_sample(self._maps.expand(n, -1, -1, -1), grid, padding_mode="border", align_corners=False)
        colour, alpha, strength, delay, gloss = seen[:, :3], seen[:, 3:4], seen[:, 4:5], seen[:, 5:6], seen[:, 6:7]
        reveal = self._revealed(frames, rest)
        if reveal is not None:
            for k, paint in enumerate((self._inside, self._lid)):
                mask = reveal[:, k : k + 1]
                colour = colour + mask * (paint * alpha - colour)
            hidden = (1 - reveal).prod(dim=1, keepdim=True)
            strength, delay = strength * hidden, delay * hidden
        light_from = self._tensor(_turned(t.key_from[frames], t.yaw[frames], t.pitch[frames], t.roll[frames]))
        normal = seen[:, 7:10].flatten(2)
        facing = torch.bmm(light_from[:, None], normal).add_(_WRAP).clamp_(min=0).div_(1 + _WRAP)
        sky = torch.addcmul(torch.full_like(facing, 0.75), normal[:, 1:2], torch.full_like(facing, 0.25))
        e = torch.bmm(
            self._tensor(np.stack([t.ambient[frames], t.key[frames]], -1)), torch.cat([sky, facing], 1)
        ).reshape(n, 3, size, size)
        if scene.light.shadow:
            e *= self._shadow(frames, window, size)
        light = e.clamp_(min=1e-5).pow_(1 / scene.camera.gamma)
        light *= self._tensor(255 * self.exposure)[None, :, None, None]
        if scene.pulse.present:
            amount = self._tensor(-scene.pulse.amplitude * np.outer(t.pulse[frames], scene.pulse.colour))
            lag = self._tensor(scene.pulse.amplitude * np.outer(t.pulse_slope[frames], scene.pulse.colour))
            light = light * (1 + amount[:, :, None, None] * strength + lag[:, :, None, None] * delay)
        f8 = facing.reshape(n, 1, size, size)
        f8 = f8 * f8
        f8 = f8 * f8
        f8 = f8 * f8
        bright = 255 * float(self.exposure[1]) * scene.light.specular * float(scene.light.key)
        shine = f8 * gloss * bright
        return Layers(colour * light, alpha, self._behind(frames, window, size), light, shine, strength, reveal)

    def _revealed(self, frames: NDArray[np.int64], rest: Tensor) -> Tensor | None:
        """How much of the open mouth and of the closed lids shows."""
        weights = np.clip(self.tracks.expression[frames][:, :2], 0, 1)
        if float(weights.max(initial=0.0)) < 0.05:
            return None
        masks = F.grid_sample(
            self._reveal.expand(len(frames), -1, -1, -1), rest, padding_mode="zeros", align_corners=False
        )
        return masks * self._tensor(np.sqrt(weights))[:, :, None, None]

    def _shadow(self, frames: NDArray[np.int64], window: Floats, size: int) -> Tensor:
        g = (torch.arange(size, device=self.device, dtype=torch.float32) + 0.5) / size - 0.5
        w = self._tensor(window)
        x = w[:, :1] + g[None] * w[:, 2:]
        y = w[:, 1:2] + g[None] * w[:, 2:]
        along = x[:, None, :] + 0.4 * y[:, :, None] - self._tensor(self.tracks.shadow[frames])[:, None, None]
        return (1 - self.scene.light.shadow * torch.sigmoid(along / 0.12))[:, None]

    def _behind(self, frames: NDArray[np.int64], window: Floats, size: int) -> Tensor:
        g = (torch.arange(size, device=self.device, dtype=torch.float32) + 0.5) / size - 0.5
        yy, xx = torch.meshgrid(g, g, indexing="ij")
        w = self._tensor(window)[:, None, None]
        at = (w[..., :2] + torch.stack([xx, yy], -1)[None] * w[..., 2:]) * (2 / _BACKGROUND_WIDTHS)
        seen = F.grid_sample(
            self._backdrop.expand(len(frames), -1, -1, -1), at, padding_mode="border", align_corners=False
        )
        return seen * self.behind_light(frames)[:, :, None, None]

    def behind_light(self, frames: NDArray[np.int64]) -> Tensor:
        """(n, 3): what the backdrop's colours are multiplied by."""
        t = self.tracks
        light = np.clip(t.ambient[frames] + 0.4 * t.key[frames], 1e-5, None) ** (1 / self.scene.camera.gamma)
        return self._tensor(255 * self.exposure * light)


def _extrapolate(x: Tensor) -> Tensor:
    """One more row and column on each side of (n, c, h, w), in a straight line."""
    x = torch.cat([2 * x[:, :, :1] - x[:, :, 1:2], x, 2 * x[:, :, -1:] - x[:, :, -2:-1]], 2)
    return torch.cat([2 * x[..., :1] - x[..., 1:2], x, 2 * x[..., -1:] - x[..., -2:-1]], 3)


def _turned(towards: Floats, yaw: Floats, pitch: Floats, roll: Floats) -> Floats:
    """The direction of the light as the turning head sees it (small angles, picture y down)."""
    x, y, z = towards.T
    out = np.stack([x - yaw * z - roll * y, y + pitch * z + roll * x, z + yaw * x - pitch * y], 1)
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), np.float32)


def _exposure(scene: Scene, tracks: Tracks) -> Floats:
    """Display gain (3,) that puts the face where the recipe's exposure says; dark skin comes out half as dark."""
    camera = scene.camera
    own = float(reflectance(scene.person.melanin, scene.person.haemoglobin)[1])
    grey = float(own ** (0.5 if own < 0.35 else 0.8) * 0.35 ** (0.5 if own < 0.35 else 0.2))
    light = float((tracks.ambient[0] * 0.8 + tracks.key[0] * 0.75).mean())
    level = camera.exposure / (grey * light) ** (1 / camera.gamma)
    # The camera's white balance takes most of the light's colour out again.
    seen = (tracks.ambient[0] * 0.8 + tracks.key[0] * 0.75) / light
    balance = np.asarray(camera.white) / seen**0.7
    return np.asarray(level * np.power(balance, 1 / camera.gamma), np.float32)


def _backdrop(scene: Scene) -> Floats:
    """What is behind the person: (128, 128, 3), reflectance^(1/gamma)."""
    rng, size = scene.rng("backdrop"), 128
    base = np.asarray(scene.light.background)
    rough = scene.light.background_texture
    y, x = np.mgrid[:size, :size] / size - 0.5
    light = np.exp(rough * (0.5 * rng.normal() * x + 0.5 * rng.normal() * y + 0.25 * noise(rng, size, 4)))
    out = base * light[..., None]
    for _ in range(int(rng.integers(0, 1 + round(12 * rough)))):
        cx, cy, w, h = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0.02, 0.2), rng.uniform(0.02, 0.3)
        inside = (np.abs(x - cx) < w) & (np.abs(y - cy) < h)
        out[inside] = base * np.exp(0.8 * rng.standard_normal(3)) * rng.uniform(0.3, 1.5)
    return np.asarray(np.power(np.clip(out, 0.003, 1.0), 1 / scene.camera.gamma), np.float32)
