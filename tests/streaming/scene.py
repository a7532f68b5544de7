"""Small pictures full of skin whose colour beats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE = 32
#: The face is the whole picture.
BOX = np.array([0.0, 0.0, SIDE, SIDE])
_SKIN = np.array([170.0, 120.0, 95.0])
_PULSE = np.array([0.33, 0.77, 0.53])


def wave(t: float, hr_bpm: float, ahead: float = 0.0) -> float:
    """A heart's wave, ``ahead`` of its time by so many radians."""
    phase = 2 * np.pi * hr_bpm / 60 * t + ahead
    return float(np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6))


class Skin:
    """Pictures uint8 (SIDE, SIDE, 3) at any time, with the noise of a camera.

    Args:
        breaths: a minute.
        depth: of the pulse.
        rsa: share by which the rate rises and falls with the breath.
    """

    def __init__(
        self, hr_bpm: float = 72.0, seed: int = 0, breaths: float = 0.0, depth: float = 0.006, rsa: float = 0.0
    ) -> None:
        self.hr_bpm, self._depth, self._rsa = hr_bpm, depth, rsa
        self._breaths = breaths / 60  # Hz; deepens and weakens the pulse, and shades the skin
        self._rng = np.random.default_rng(seed)
        self._noise = self._rng.normal(0, 1, (64, SIDE, SIDE, 3)).astype(np.float32)

    def at(self, t: float) -> NDArray[np.uint8]:
        """The picture at ``t`` seconds."""
        breath = np.sin(2 * np.pi * self._breaths * t)
        ahead = self._rsa * self.hr_bpm / 60 / self._breaths * breath if self._breaths else 0.0
        beat = self._depth * (1 + 0.3 * breath) * wave(t, self.hr_bpm, ahead)
        colour = _SKIN * (1 - _PULSE * beat + 0.004 * breath)
        i, j = self._rng.integers(0, 64, 2)
        return (colour.astype(np.float32) + self._noise[i] + self._noise[j] + 0.5).astype(np.uint8)

    def frames(
        self, seconds: float, fps: float = 30.0, start: float = 0.0
    ) -> Iterator[tuple[NDArray[np.uint8], float]]:
        """(picture, time) one after the other."""
        for k in range(round(seconds * fps)):
            t = start + k / fps
            yield self.at(t), t
