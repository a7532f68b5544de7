"""Distillation from a frozen 3-D teacher into a 2-D student: waveform, features, attention.

Features of the teacher are (B, C, T′, H′, W′), those of the student (B, T, C, H, W). The student's are averaged onto
the smaller of the two grids in space, interpolated onto the teacher's time, and projected onto its channels by a
learned 1×1; the teacher's attention in space and in time weighs where the match counts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdphys.errors import InvalidInputError
from kdphys.losses.attention import attention_transfer, attention_weights, feature_distance
from kdphys.losses.pearson import negative_pearson, wide
from kdphys.models.base import PulseModel
from kdphys.train.config import DistillConfig


def in_frames(features: Tensor, layout: str) -> Tensor:
    """Features of either layout as (B, T, C, H, W)."""
    return features.transpose(1, 2) if layout == "bcthw" else features


def to_time(features: Tensor, frames: int) -> Tensor:
    """Interpolate (B, T, C, H, W) to ``frames`` samples in time; averages where it has to shorten."""
    if features.shape[1] == frames:
        return features
    b, t, c, h, w = features.shape
    flat = features.permute(0, 2, 3, 4, 1).reshape(b, c * h * w, t)
    if frames < t and t % frames == 0:
        flat = F.avg_pool1d(flat, t // frames)
    else:
        flat = F.interpolate(flat, size=frames, mode="linear", align_corners=False)
    return flat.reshape(b, c, h, w, frames).permute(0, 4, 1, 2, 3)


def to_grid(features: Tensor, height: int, width: int) -> Tensor:
    """Average (B, T, C, H, W) onto a grid of ``height`` × ``width`` cells."""
    if features.shape[3:] == (height, width):
        return features
    pooled = F.adaptive_avg_pool2d(features.flatten(0, 1), (height, width))
    return pooled.reshape(*features.shape[:3], height, width)


class Distiller(nn.Module):
    """The losses that a teacher gives to a student.

    Args:
        teacher: frozen here and kept in eval mode whatever happens around it.
        student: only looked at for the shapes of its taps.
        config: what to match and how strongly.

    Raises:
        InvalidInputError: a tap of ``config.pairs`` does not exist; the message lists those that do.
    """

    def __init__(self, teacher: PulseModel, student: PulseModel, config: DistillConfig) -> None:
        super().__init__()
        self.config = config
        self.layouts = (student.layout, teacher.layout)
        self.teacher = teacher.eval().requires_grad_(False)
        self.projections = nn.ModuleList()
        if not (config.feature or config.attention):
            return
        probe = torch.full((1, 16, 3, student.size, student.size), 128.0)
        was = student.training
        with torch.no_grad():
            ours, theirs = student.eval().features(probe), teacher.features(probe)
        student.train(was)
        for a, b in config.pairs:
            for name, taps, who in ((a, ours, "student"), (b, theirs, "teacher")):
                if name not in taps or name == "bvp":
                    known = ", ".join(sorted(set(taps) - {"bvp"}))
                    raise InvalidInputError(f"distillation: the {who} has no tap {name!r}; known: {known}")
            if not config.feature:
                continue
            inputs = in_frames(ours[a], student.layout).shape[2]
            outputs = in_frames(theirs[b], teacher.layout).shape[2]
            self.projections.append(nn.Conv2d(inputs, outputs, 1))

    def train(self, mode: bool = True) -> Distiller:
        """Training mode for the projections; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, rgb: Tensor, student: dict[str, Tensor], has_pulse: Tensor) -> dict[str, Tensor]:
        """Weighted parts of the loss by name, each a mean over the batch; parts switched off are absent.

        Args:
            rgb: (B, T, 3, S, S), what the student saw.
            student: its features on it.
            has_pulse: bool (B,).
        """
        config, parts = self.config, {}
        if not (config.output or config.feature or config.attention):
            return {}
        with torch.no_grad():
            teacher = self.teacher.features(rgb)
        if config.output:
            parts["kd_output"] = config.output * _waveform(student["bvp"], teacher["bvp"], has_pulse)
        feature, attention = rgb.new_zeros(()), rgb.new_zeros(())
        for i, (a, b) in enumerate(config.pairs):
            ours, theirs = self._aligned(student[a], teacher[b])
            if config.feature:
                projected = self.projections[i](ours.flatten(0, 1)).reshape(theirs.shape)
                weights = attention_weights(theirs, config.weigh_space, config.weigh_time)
                feature = feature + feature_distance(projected, theirs, weights).mean()
            if config.attention:
                attention = attention + attention_transfer(ours, theirs).mean()
        if config.feature and config.pairs:
            parts["kd_feature"] = config.feature * feature / len(config.pairs)
        if config.attention and config.pairs:
            parts["kd_attention"] = config.attention * attention / len(config.pairs)
        return parts

    def _aligned(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        ours, theirs = in_frames(student, self.layouts[0]), in_frames(teacher, self.layouts[1])
        height, width = (min(a, b) for a, b in zip(ours.shape[3:], theirs.shape[3:], strict=True))
        return to_time(to_grid(ours, height, width), theirs.shape[1]), to_grid(theirs, height, width)


def _waveform(student: Tensor, teacher: Tensor, has_pulse: Tensor) -> Tensor:
    """Shape where there is a pulse (1 − r), size everywhere (squared error): the teacher's doubt is passed on too."""
    student, teacher = wide(student), wide(teacher)
    weight = has_pulse.to(student.dtype)
    shape = (negative_pearson(student, teacher) * weight).sum() / weight.sum().clamp(min=1)
    return shape + (student - teacher).square().mean()
