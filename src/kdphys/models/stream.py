"""The student on a live stream: frames in, BVP out, the past in ring buffers, each frame computed once.

Every temporal operation keeps the last frames of its input. A frame that is not there (before the first, after the
last) has the flag ``present`` 0, which travels with it: its features are zero at every layer and means do not count
it, which is what the offline student does outside its clip. Box means are summed anew for each frame from the ring
buffers, by a banded matrix: there is no running sum that could drift.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdphys.models.student import PROJECTIONS, ShiftBlock, Student, TapBlock


def band(frames: Tensor, width: int) -> Tensor:
    """(T, width − 1 + T) with ones where row t sums its ``width`` frames t … t + width − 1.

    Args:
        frames: (T, …).
        width: of the box.
    """
    n = frames.shape[0]
    row = torch.arange(n, device=frames.device, dtype=torch.float32)[:, None]
    column = torch.arange(n + width - 1, device=frames.device, dtype=torch.float32)
    half = (width - 1) / 2
    return ((column - row - half).abs() <= half).to(torch.float32)


class StudentStream(nn.Module):
    """A trained :class:`Student`, a few frames a call.

    The output of frame t comes with frame t + :attr:`lookahead`; to get the last ones, push as many absent frames.
    States of the first call are zeros, of the next calls what the last one gave back.

    Args:
        student: shares its weights with this; put into eval mode.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student.eval()
        self.size = student.size
        assert student.lookahead is not None
        self.lookahead = student.lookahead
        self.local = student.local
        self.blocks = [block for part in (student.near, student.far) for block in part if isinstance(block, ShiftBlock)]
        self.taps = [tap for tap in student.head if isinstance(tap, TapBlock)]
        # How late each stage is against the newest frame.
        self.delays = [self.local.lookahead]
        for block in self.blocks:
            self.delays.append(self.delays[-1] + block.shift.lookahead)
        self.maps, self.width = student.maps, self.blocks[0].conv.out_channels
        self.hidden = self.taps[0].taps.conv.out_channels

    @property
    def states(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the states by name; all float32."""
        half = self.size // 2
        quarter = (half + 1) // 2
        pixels, power = 3 * half * half, self.student.traces.power
        late = self.delays[-1] - self.delays[0]
        trunk = {
            f"state_trunk{k}": (block.shift.lookback + block.shift.lookahead, self.width, quarter, quarter)
            for k, block in enumerate(self.blocks)
        }
        return {
            "state_input": (self.local.lookback + self.local.lookahead, pixels + 1),
            "state_rough": (self.student.roughness.lookback, pixels + 1),
            **trunk,
            "state_power": (power.lookback, 8 * self.maps + 1),
            "state_late": (late, self.maps * (quarter * quarter + self.student.traces.outputs)),
            "state_head": (self.hidden, sum(tap.taps.lookback + tap.taps.lookahead for tap in self.taps)),
        }

    def forward(self, rgb: Tensor, present: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One call.

        Args:
            rgb: (1, T, S, S, 3), 0–255; what absent frames hold does not matter as long as it is finite.
            present: (T,), 1 or 0.
            states: in the order of :attr:`states`.

        Returns:
            bvp (T,): of the frames :attr:`lookahead` before those given; then the new states.
        """
        student, n = self.student, rgb.shape[1]
        seen_before, rough_before, *trunk, power, late, head = states
        half = self.size // 2

        x = F.avg_pool2d(rgb[0].permute(0, 3, 1, 2), 2).flatten(1)
        flag = present[:, None]
        seen = torch.cat([seen_before, torch.cat([x * flag, flag], 1)])
        flags, back = seen[:, -1:], self.local.lookback + self.local.lookahead

        def there(delay: int) -> Tensor:
            return flags[back - delay : back - delay + n]

        start = self.local.lookback
        sums = band(rgb[0], back + 1) @ seen
        mean = sums[:, :-1] / sums[:, -1:].clamp(min=1)
        per_cent = 100.0 * (seen[start : start + n, :-1] - mean) / (mean + self.local.floor)
        here = there(self.delays[0])
        deviation = self.local.soft * torch.asinh(per_cent / self.local.soft) * here

        squares = torch.cat([rough_before, torch.cat([deviation * deviation, here], 1)])
        sums = band(rgb[0], student.roughness.lookback + 1) @ squares
        rough = torch.log(sums[:, :-1] / sums[:, -1:].clamp(min=1) + 1e-2)
        level = mean.mean(1, keepdim=True) + 1.0
        look = torch.cat([mean / level - 1.0, rough], 1).reshape(-1, 6, half, half)
        attention = torch.softmax(student.look(look).flatten(2), -1)  # (T, K, H·W)

        traces, power_out = self._traces(attention @ deviation.reshape(-1, 3, half * half).mT, here, power)

        stem = torch.asinh(student.project(deviation.reshape(-1, 3, half, half)))
        deep, trunk_out = student.entry(stem), []
        for block, delay, before in zip(self.blocks, self.delays[:-1], trunk, strict=True):
            deep, kept = _shifted(block, deep * there(delay)[..., None, None], before)
            trunk_out.append(kept)

        small = F.avg_pool2d(attention.reshape(-1, self.maps, half, half), 2, ceil_mode=True, count_include_pad=False)
        small = small / small.sum((2, 3), keepdim=True)
        waiting = torch.cat([late, torch.cat([small.flatten(1), traces], 1)])
        cells = self.maps * small.shape[2] * small.shape[3]
        shares = deep.reshape(n, self.maps, self.width // self.maps, -1)
        pooled = shares @ waiting[:n, :cells].reshape(n, self.maps, -1, 1)
        joined = torch.cat([pooled.flatten(1), waiting[:n, cells:]], 1)

        bvp, head_out = self._head(joined, head, there)
        return bvp, seen[n:], squares[n:], *trunk_out, power_out, waiting[n:], head_out

    def _traces(self, attended: Tensor, here: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """:class:`kdphys.models.student.Traces` of (T, K, 3), zero where absent → (T, K·16) and the state."""
        maps, n = self.maps, attended.shape[0]
        p = attended @ attended.new_tensor(PROJECTIONS).T
        window = band(attended, self.student.traces.power.lookback + 1)
        squares = torch.cat([before[:, : 6 * maps + 1], torch.cat([(p * p).flatten(1), here], 1)])
        sums = window @ squares
        count = sums[:, -1:].clamp(min=1)
        rms = (sums[:, :-1] / count + 1e-6).sqrt().reshape(-1, maps, 6)
        pos = p[..., 0] + rms[..., 0] / rms[..., 1] * p[..., 1]
        chrom = p[..., 2] - rms[..., 2] / rms[..., 3] * p[..., 3]
        combined = torch.stack([pos, chrom], -1)
        more = torch.cat([before[:, 6 * maps + 1 :], (combined * combined).flatten(1)])
        strength = (window @ more / count + 1e-6).sqrt().reshape(-1, maps, 2)
        rms, p = torch.cat([rms, strength], -1), torch.cat([p, combined], -1)
        return torch.cat([p / rms, torch.log(rms)], -1).flatten(1), torch.cat([squares, more], 1)[n:]

    def _head(self, joined: Tensor, before: Tensor, there: Callable[[int], Tensor]) -> tuple[Tensor, Tensor]:
        """(T, C) → bvp (T,) and the state."""
        n, delay = joined.shape[0], self.delays[-1]
        y, out, at = self.student.join(joined.T[None])[0], [], 0
        for tap in self.taps:
            back, ahead = tap.taps.lookback, tap.taps.lookahead
            y = torch.cat([before[:, at : at + back + ahead], y * there(delay)[:, 0]], 1)
            out.append(y[:, n:])
            now = y[:, back : back + n]
            y = now + torch.relu(tap.norm(tap.taps.conv(y[None])))[0]
            at, delay = at + back + ahead, delay + ahead
        return self.student.out(y[None])[0, 0], torch.cat(out, 1)


def _shifted(block: ShiftBlock, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """A shift block on (T, C, H, W) with the frames before it: its output, late by its look-ahead, and the state."""
    n, back = x.shape[0], block.shift.lookback
    frames = torch.cat([before, x])
    edges = [*(k * block.shift.group for k in range(len(block.shift.offsets) + 1)), x.shape[1]]
    parts = [
        frames[back + offset : back + offset + n, low:high]
        for offset, (low, high) in zip([*block.shift.offsets, 0], pairwise(edges), strict=True)
    ]
    y = torch.relu(block.norm(block.conv(torch.cat(parts, 1))))
    return frames[back : back + n] + y, frames[n:]
