"""One protocol for every method: a trace goes in, a :class:`kdphys.Pulse` comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kdphys.classical import METHODS
from kdphys.containers import Pulse, RgbTrace
from kdphys.dsp import bandpass, runs

Floats = NDArray[np.floating[Any]]

#: What is kept of a pulse, Hz: 40 bpm to the second harmonic of 120 bpm.
BAND_HZ = (0.6, 4.0)
#: A stretch shorter than this is not given to a method, seconds.
MIN_RUN_S = 3.0


class Method(Protocol):
    """What turns a trace into a pulse."""

    @property
    def name(self) -> str:
        """Registered name, such as "pos"."""

    def pulse(self, trace: RgbTrace) -> Pulse:
        """Estimate the pulse; what cannot be estimated is marked as not valid."""


@dataclass(frozen=True)
class TraceMethod:
    """A classical method: a function of the mean skin colour.

    Args:
        name: registered name.
        function: (rgb float64 (T, 3), fs) → bvp float64 (T,).
    """

    name: str
    function: Callable[[Floats, float], Floats]

    def pulse(self, trace: RgbTrace) -> Pulse:
        """Estimate the pulse of each stretch of valid samples by itself; gaps stay gaps.

        The result is band-passed to 0.6–4 Hz without shifting it in time, and each stretch is scaled to unit
        standard deviation.
        """
        bvp = np.zeros(len(trace.rgb))
        valid = np.zeros(len(trace.rgb), bool)
        for run in runs(trace.valid):
            if run.stop - run.start < MIN_RUN_S * trace.fs:
                continue
            raw = self.function(trace.rgb[run], trace.fs)
            high = min(BAND_HZ[1], 0.45 * trace.fs)
            wave = bandpass(raw - raw.mean(), trace.fs, BAND_HZ[0], high)
            spread = float(wave.std())
            bvp[run] = wave / spread if spread > 1e-12 else 0.0
            valid[run] = True
        return Pulse(bvp, trace.fs, trace.t0, valid, self.name, trace.evidence)


def load_method(name: str) -> Method:
    """A method by its name.

    Raises:
        UnknownNameError: not registered; the message lists those that are.
    """
    return TraceMethod(name, METHODS.load(name))
