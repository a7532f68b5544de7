"""One protocol for every method: a trace goes in, a :class:`kdphys.Pulse` comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.classical import METHODS
from kdphys.containers import Pulse, RgbTrace
from kdphys.dsp import runs
from kdphys.errors import UnknownNameError
from kdphys.pulse.engines import ClipMethod, load_bundled, load_onnx
from kdphys.pulse.shape import MIN_RUN_S, shape_pulse

Floats = NDArray[np.floating[Any]]


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
        raw, seen = np.zeros(len(trace.rgb)), np.zeros(len(trace.rgb), bool)
        for run in runs(trace.valid):
            if run.stop - run.start >= MIN_RUN_S * trace.fs:
                raw[run], seen[run] = self.function(trace.rgb[run], trace.fs), True
        return shape_pulse(raw, seen, trace.fs, trace.t0, self.name, trace.evidence)


#: What turns a face over time into a pulse.
Method = TraceMethod | ClipMethod

#: Learned methods whose ONNX files are bundled.
BUNDLED: tuple[str, ...] = ("student", "teacher")


def load_method(name: str) -> TraceMethod | ClipMethod:
    """A method by its name, or from an ONNX file that ``kdphys export`` wrote.

    Args:
        name: "pos", "chrom", "student"…, or a path that ends in ".onnx".

    Raises:
        UnknownNameError: not registered; the message lists those that are.
        KDPhysError: the file is missing or no such model.
    """
    if name.endswith(".onnx"):
        return load_onnx(Path(name))
    if name in BUNDLED:
        return load_bundled(name)
    if name not in METHODS:
        raise UnknownNameError("method", name, [*METHODS, *BUNDLED, "FILE.onnx"])
    return TraceMethod(name, METHODS.load(name))
