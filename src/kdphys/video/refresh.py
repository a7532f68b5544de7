"""How often the whole picture of a compressed stream is renewed: at low bit rates that shows, and it has a rhythm."""

from __future__ import annotations

from collections import Counter

#: Coded bits a pixel and frame above which it does not show.
_COARSE = 0.25
#: In other codecs than MPEG-4 (Part 2) only a quick rhythm was taken for a pulse, from so many whole pictures a second
#: on. (Cameras often send one a second.)
_QUICK = 1.4
#: Distances from whole picture to whole picture that are needed, and the share of them that must be the same.
_MIN_COUNT, _REGULAR = 4, 0.8


class Refreshes:
    """Looks for the rhythm of the whole pictures (key frames) of a stream."""

    def __init__(self) -> None:
        self._n = 0
        self._span = (0.0, 0.0)
        self._last: int | None = None
        self._distances: Counter[int] = Counter()

    def add(self, t: float, whole: bool) -> None:
        """The next frame, at ``t`` seconds, and whether it is coded without others."""
        self._span = (t if self._n == 0 else self._span[0], t)
        if whole:
            if self._last is not None:
                self._distances[self._n - self._last] += 1
            self._last = self._n
        self._n += 1

    def beat_hz(self, bits_per_pixel_s: float, codec: str) -> float | None:
        """Whole pictures a second.

        Args:
            bits_per_pixel_s: the bit rate of the stream over the pixels of a picture; 0 when it is not known.
            codec: as FFmpeg calls it.

        Returns:
            None where they do not come regularly, or too seldom to matter, where every picture is whole, or where the
            stream has bits enough.
        """
        total = self._distances.total()
        if total < _MIN_COUNT or not self._span[1] > self._span[0]:
            return None
        fps = (self._n - 1) / (self._span[1] - self._span[0])
        distance, count = self._distances.most_common(1)[0]
        if distance == 1 or count < _REGULAR * total or not 0 < bits_per_pixel_s < _COARSE * fps:
            return None
        beat = fps / distance
        return beat if codec == "mpeg4" or beat >= _QUICK else None
