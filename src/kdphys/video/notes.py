"""What went wrong while a video was read, counted and located."""

from __future__ import annotations

#: A pause this long (seconds), and this many times the step before it, is said.
_PAUSE_S, _PAUSE_STEPS = 0.5, 5.0
#: More stretches than this are summed up: the notes of a broken file must not grow with its length.
_MAX_STRETCHES = 5


class Losses:
    """Counts the frames that were left out, and remembers between which good frames.

    Attributes:
        count: frames left out so far.
        first, last: times of the first and last good frame, seconds.
        transparent: frames with transparent pixels.
        pauses: how often the source paused by itself, without a frame that was left out.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: float | None = None
        self.last = 0.0
        self.transparent = 0
        self.pauses = 0
        self._step = 0.0
        self._what = "frame"
        self._open = 0
        self._stretches: list[str] = []
        self._more = [0, 0]  # frames, stretches
        self._remarks: list[str] = []

    def lost(self, what: str = "corrupt frame", name: str = "") -> None:
        """A frame was left out; ``name`` of the first is kept."""
        if name and not self.count:
            self.remark(f"the first {what} is {name}")
        self._what = what
        self.count += 1
        self._open += 1

    def good(self, t: float) -> None:
        """A frame is right: it ends the stretch before it."""
        if self._open:
            before = f"before {t:.2f} s" if self.first is None else f"between {self.last:.2f} s and {t:.2f} s"
            if len(self._stretches) < _MAX_STRETCHES:
                self._stretches.append(f"{self._counted(self._open)} left out {before}")
            else:
                self._more[0] += self._open
                self._more[1] += 1
            self._open = 0
        elif self._step and t - self.last > max(_PAUSE_S, _PAUSE_STEPS * self._step):
            self.pauses += 1
            if self.pauses <= _MAX_STRETCHES:
                self.remark(f"no frames between {self.last:.2f} s and {t:.2f} s")
        else:
            self._step = 0.0 if self.first is None else t - self.last
        self.first = t if self.first is None else self.first
        self.last = t

    def remark(self, text: str) -> None:
        """Something else that is worth knowing."""
        self._remarks.append(text)

    def notes(self) -> tuple[str, ...]:
        """In sentences."""
        out = list(self._stretches)
        if self._more[0]:
            out.append(f"{self._counted(self._more[0])} more left out in {self._more[1]} stretches")
        if self._open and self.first is not None:
            out.append(f"{self._counted(self._open)} left out after {self.last:.2f} s")
        if self.transparent:
            n = self.transparent
            out.append(f"{n} frame{'s' * (n > 1)} with transparent pixels, shown in the colour that is stored")
        if self.pauses > _MAX_STRETCHES:
            out.append(f"{self.pauses} pauses without frames in all")
        return (*out, *self._remarks)

    def _counted(self, n: int) -> str:
        return f"{n} {self._what}{'s' * (n > 1)}"
