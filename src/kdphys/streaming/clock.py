"""The clock of the frames, kept running forward."""

from __future__ import annotations

import math

#: Frames that keep coming with earlier times for this long have a new clock, seconds.
_NEW_S = 1.0
#: So many of them in a row, each later than the one before, are no picture that was overtaken on its way.
_ROW = 3
#: A frame this soon after another is the same one: no camera gives a thousand a second.
_LEAST_S = 1e-3
#: Times further from zero than this leave no digits for fractions of a second, seconds.
_FAR_S = 1e12


class Clock:
    """Refuses times that do not increase, until it is plain that the clock was set back.

    It is plain when frames have come with earlier times for a second, or, where the clock passes its old time before,
    when three of them came in a row, of times when no frame was missing. Their own times tell how much time went by.

    Attributes:
        jumps: times the clock was set back.
        offset: what is added to the times of the frames, seconds.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self.offset = 0.0
        self._last = self._before = -math.inf  # times of the last two frames taken
        self._late: tuple[float, float] | None = None  # first and last of the frames refused in a row
        self._row = 0  # how many they are

    def __call__(self, t: float) -> float | None:
        """The time of a frame on the clock that runs forward, or None: refused."""
        if not abs(t) <= _FAR_S:
            return None
        now = t + self.offset
        if now < self._last + _LEAST_S:
            if self._late is None or t < self._late[0]:
                self._late, self._row = (t, t), 1
                return None
            if t <= self._late[1]:  # given twice, or overtaken
                return None
            self._late, self._row = (self._late[0], t), self._row + 1
            if t - self._late[0] < _NEW_S:
                return None
            now = self._set(t, *self._late)
        elif self._late is not None and self._row >= _ROW and self._late[0] + self.offset < self._before:
            now = self._set(t, *self._late)
        self._late, self._row = None, 0
        self._before, self._last = self._last, now
        return now

    def _set(self, t: float, first: float, latest: float) -> float:
        """The clock was set before the frames refused from time ``first`` to ``latest`` on it: when ``t`` is."""
        now = self._last + (t - first) + (latest - first) / (self._row - 1)  # one step before the first of them
        self.offset = now - t
        self.jumps += 1
        return now
