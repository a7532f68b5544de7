"""TS-CAN: DeepPhys whose motion branch exchanges channels with the neighbouring frames.

Liu, Fromm, Patel, McDuff 2020, "Multi-task temporal shift attention networks for on-device contactless vitals
measurement", arXiv:2006.03790. The same parameters as DeepPhys: shifting has none.
"""

from __future__ import annotations

from torch import Tensor

from kdphys.models.deepphys import DeepPhys
from kdphys.models.temporal import ChannelShift, in_time


class TSCAN(DeepPhys):
    """A third of the channels comes from the next frame, a third from the one before, a third stays.

    Frames outside the clip count as zero. (The published code shifts within blocks of 10 or 20 frames.)
    """

    paper = "arXiv:2006.03790"

    def __init__(self, size: int = 36) -> None:
        super().__init__(size)
        self._shifts = {c: ChannelShift(c, (1, -1), 2 / 3) for c in (3, 32, 64)}

    def mix(self, x: Tensor, frames: int) -> Tensor:
        """(B·T, C, H, W) → the same shape, exchanged in time."""
        shifted: Tensor = self._shifts[x.shape[1]](in_time(x, frames))
        return shifted.flatten(0, 1)
