"""PhysNet: a 3-D convolutional encoder–decoder over the whole clip, and the teacher built on it.

Yu, Li, Zhao 2019, "Remote photoplethysmograph signal measurement from facial videos using spatio-temporal
networks", arXiv:1905.02419 (the "3DCNN-ED" variant). 768,577 parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from kdphys.models.base import PulseModel
from kdphys.models.normalise import LocalMean, LocalUnit, difference


def _block(inputs: int, outputs: int, kernel: tuple[int, int, int], dilation: int = 1) -> nn.Sequential:
    padding = (kernel[0] // 2 * dilation, kernel[1] // 2, kernel[2] // 2)
    conv = nn.Conv3d(inputs, outputs, kernel, padding=padding, dilation=(dilation, 1, 1))
    return nn.Sequential(conv, nn.BatchNorm3d(outputs), nn.ReLU())


def _up(channels: int) -> nn.Sequential:
    conv = nn.ConvTranspose3d(channels, channels, (4, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))
    return nn.Sequential(conv, nn.BatchNorm3d(channels), nn.ELU())


class PhysNet(PulseModel):
    """Encoder that halves time twice, decoder that restores it.

    The clip is extended by its last frame to a multiple of four frames inside, and the output cut back.

    Args:
        size: of the crop; any from 16 px up works with the same weights (the decoder averages over space).
        dilations: in time, of the four blocks at a quarter of the frame rate; (1, 1, 1, 1) as published.
    """

    layout = "bcthw"
    normalisation = "difference / std of the clip"
    paper = "arXiv:1905.02419"

    def __init__(self, size: int = 72, dilations: Sequence[int] = (1, 1, 1, 1)) -> None:
        super().__init__(size)
        self.entry = _block(3, 16, (1, 5, 5))
        self.early = nn.Sequential(_block(16, 32, (3, 3, 3)), _block(32, 64, (3, 3, 3)))
        self.halved = nn.Sequential(_block(64, 64, (3, 3, 3)), _block(64, 64, (3, 3, 3)))
        a, b, c, d = dilations
        self.quartered = nn.Sequential(_block(64, 64, (3, 3, 3), a), _block(64, 64, (3, 3, 3), b))
        self.deep = nn.Sequential(_block(64, 64, (3, 3, 3), c), _block(64, 64, (3, 3, 3), d))
        self.up = nn.Sequential(_up(64), _up(64))
        self.out = nn.Conv3d(64, 1, 1)

    def normalise(self, x: Tensor) -> Tensor:
        """RGB (B, T, 3, S, S) → network input of the same shape."""
        return difference(x)

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """See :meth:`PulseModel.features`; the taps are (B, C, T′, H′, W′)."""
        self.check(x, any_size=True)
        frames = x.shape[1]
        n = self.normalise(x).transpose(1, 2)
        n = F.pad(n, (0, 0, 0, 0, 0, -frames % 4), mode="replicate")
        stem = F.max_pool3d(self.entry(n), (1, 2, 2))
        early = F.max_pool3d(self.early(stem), (2, 2, 2))
        mid = F.max_pool3d(self.halved(early), (2, 2, 2))
        quarter = F.max_pool3d(self.quartered(mid), (1, 2, 2), ceil_mode=True)
        deep = self.deep(quarter)
        up = self.up(deep).mean((3, 4), keepdim=True)
        bvp = self.out(up)[:, 0, :frames, 0, 0]
        return {"stem": stem, "early": early, "mid": mid, "deep": deep, "temporal": up[:, :, :frames], "bvp": bvp}


class Teacher(PhysNet):
    """PhysNet with a local input transform and a longer view in time: the teacher of the distillation.

    Two changes, neither adds a parameter. Pixels are divided by their local mean, as the student's are, then
    differenced and scaled by their own local size instead of by the clip's std: no part of the input depends on the
    whole video. The last blocks are dilated in time, so that one output sample sees about ±1.5 s and not ±0.7 s.
    """

    normalisation = "x / local mean − 1, asinh, frame difference / local rms"

    def __init__(self, size: int = 36, dilations: Sequence[int] = (1, 1, 2, 4)) -> None:
        super().__init__(size, dilations)
        self.local = LocalMean(24, 23)
        self.unit = LocalUnit(32, 31)
        # The input, 3-tap convolutions at 1, 1/2 and (dilated) 1/4 of the rate, and those that restore it.
        reach = 2 + 2 * 2 + 4 * sum(dilations) + 4 + 2
        self.grid = 4  # two halvings of time: up to three frames beside what is reached belong to a quarter
        self.lookback = self.local.lookback + self.unit.lookback + reach + 3
        self.lookahead = self.local.lookahead + self.unit.lookahead + reach + 3

    def normalise(self, x: Tensor) -> Tensor:
        """RGB (B, T, 3, S, S) → changes of the deviation from the local mean (1.6 s), of local size about 1."""
        deviation: Tensor = self.local(x)[0]
        changes: Tensor = self.unit(deviation)
        return changes
