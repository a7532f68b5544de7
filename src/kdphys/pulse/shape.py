"""What every method's raw waveform goes through to become a :class:`kdphys.Pulse`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Evidence, Pulse
from kdphys.dsp import bandpass, runs

Floats = NDArray[np.floating[Any]]

#: What is kept of a pulse, Hz: 40 bpm to the second harmonic of 120 bpm.
BAND_HZ = (0.6, 4.0)
#: A stretch shorter than this is not given to a method, seconds.
MIN_RUN_S = 3.0


def shape_pulse(
    raw: Floats, seen: NDArray[np.bool_], fs: float, t0: float, name: str, evidence: Evidence | None
) -> Pulse:
    """A :class:`kdphys.Pulse` from a raw waveform: stretches of 3 s or more are band-passed to 0.6–4 Hz without shift
    in time and scaled to unit standard deviation; what is shorter is not valid."""
    bvp, valid, scale = np.zeros(len(raw)), np.zeros(len(raw), bool), np.zeros(len(raw))
    for run in runs(seen):
        if run.stop - run.start < MIN_RUN_S * fs:
            continue
        wave = bandpass(raw[run] - raw[run].mean(), fs, BAND_HZ[0], min(BAND_HZ[1], 0.45 * fs))
        spread = float(wave.std())
        bvp[run] = wave / spread if spread > 1e-12 else 0.0
        valid[run], scale[run] = True, spread
    return Pulse(bvp, fs, t0, valid, name, evidence, scale)
