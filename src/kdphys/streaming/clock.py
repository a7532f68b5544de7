"""The clock of the frames, kept running forward."""

from __future__ import annotations

import math

#: Frames that keep coming with earlier times for this long have a new clock, seconds.
_NEW_S = 1.0
#: A frame this soon after another is the same one: no camera gives a thousand a second.
_LEAST_S = 1e-3
#: Times further from zero than this leave no digits for fractions of a second, seconds.
_FAR_S = 1e12


class Clock:
    """Refuses times that do not increase, until it is plain that the clock was set back.

    Attributes:
        jumps: times the clock was set back.
        offset: what is added to the times of the frames, seconds.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self.offset = 0.0
        self._last = -math.inf
        self._late: tuple[float, float] | None = None  # first and last of the frames refused in a row

    def __call__(self, t: float) -> float | None:
        """The time of a frame on the clock that runs forward, or None: refused."""
        if not abs(t) <= _FAR_S:
            return None
        now = t + self.offset
        if now < self._last + _LEAST_S:
            if self._late is None or t < self._late[0]:
                self._late = (t, t)
                return None
            if t <= self._late[1]:  # given twice, or overtaken
                return None
            self._late = (self._late[0], t)
            if t - self._late[0] < _NEW_S:
                return None
            now = self._last + t - self._late[0]
            self.offset = now - t
            self.jumps += 1
        self._late = None
        self._last = now
        return now
