"""One face over time, from its boxes to the pulse of the last minute."""

from __future__ import annotations

import numpy as np

from kdphys.clip.crop import crop, square
from kdphys.clip.steady import Steady
from kdphys.clip.transform import Block, Resampler
from kdphys.containers import Frame, Pulse
from kdphys.dsp import MAX_GAP_S
from kdphys.pulse.shape import shape_pulse
from kdphys.streaming.ring import HOLD, Floats, LiveTrace, Ring
from kdphys.streaming.waveform import Waveform


class LiveSignal:
    """Takes the frames with the face that is measured.

    Args:
        wave: the method.
        t0: time of sample 0, seconds.
        rows: samples of history.
        whole: take all pixels of the box alike.
        marks: refreshes in the history.

    Attributes:
        open: whether there is a face now.
    """

    def __init__(self, wave: Waveform, t0: float, rows: int, whole: bool, marks: int) -> None:
        self._wave, self._fs, self._t0 = wave, wave.fs, t0
        self._rows, self._whole, self._marks = rows, whole, marks
        self._evidence = Ring(rows + wave.lookahead + 4 * HOLD, LiveTrace.columns)
        self.open = False
        self._begin(0)

    def _begin(self, first: int) -> None:
        self._first = first  # number of the first sample of this person
        self._opened = first  # the same of the current stretch
        self._last = self._t0 + first / self._fs
        self._trace = LiveTrace(self._fs, self._t0, self._whole, self._marks)
        self._steady = Steady()
        self._crops = Resampler(self._fs, self._t0, MAX_GAP_S, hold=HOLD)

    def add(self, frame: Frame, box: Floats) -> None:
        """Take a frame with the face in ``box``."""
        if not self.open or frame.t - self._last > MAX_GAP_S:
            self._opened = max(self._number(frame.t), self._first)
        held = None if self._wave.size is None or self._whole else self._steady(frame, box)
        self._trace.add(frame, box, held)
        if self._wave.size is not None:
            region = box if held is None else square(held, self._wave.box_scale)
            for block in self._crops.push(frame.t, crop(frame.rgb, region, self._wave.size)):
                self._wave.take(block)
        self._put()
        self.open, self._last = True, frame.t

    def absent(self, t: float) -> None:
        """No face at ``t`` seconds."""
        if self.open and t - self._last > MAX_GAP_S:
            self.end()

    def end(self) -> None:
        """End of the stretch: what waits for the future is computed without it."""
        if self._wave.size is not None:
            for block in self._crops.flush():
                self._wave.take(block)
        self._put(end=True)
        self.open = False

    def restart(self, t: float) -> None:
        """Another person, from ``t`` seconds on; the clock goes on."""
        self._wave.restart()
        self._evidence.clear()
        self.open = False
        self._begin(self._number(t))

    def settle(self) -> None:
        """Compute what can be computed now."""
        if self._wave.size is not None:
            for block in self._crops.settle():
                self._wave.take(block)
        self._put(settle=True)
        self._wave.settle()
        self._trace.mark()

    @property
    def length_s(self) -> float:
        """Of the current stretch of pulse, about, seconds."""
        return (self._evidence.stop - self._wave.lookahead - self._opened) / self._fs if self.open else 0.0

    def pulse(self, t: float, offset: float) -> Pulse:
        """The last samples of the pulse.

        Args:
            t: time of the newest frame, seconds.
            offset: of the clock against that of the frames, seconds.
        """
        newest = self._number(self._last) - self._wave.lookahead if self.open else self._number(t) + 1
        stop = max(self._wave.ring.stop, newest, self._first)
        start = max(self._first, stop - self._rows)
        raw, seen = self._wave.raw(start, stop)
        evidence = self._trace.evidence(*self._evidence.view(start, stop))
        return shape_pulse(raw, seen, self._fs, self._t0 + start / self._fs - offset, self._wave.name, evidence)

    def _put(self, settle: bool = False, end: bool = False) -> None:
        for block in self._trace.take(settle, end):
            self._evidence.put(block.start, block.values)
            if self._wave.size is None:
                self._wave.take(Block(block.start, block.values[:, :3], block.ends))

    def _number(self, t: float) -> int:
        return int(np.floor((t - self._t0) * self._fs + 1e-6))
