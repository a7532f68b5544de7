"""The only door to SciPy's signal processing: without what NumPy has for Fortran and for testing itself.

SciPy copies NumPy's whole namespace on import (its ``array_api_compat``) and so loads ``numpy.f2py`` and
``numpy.testing``: memory and time at the start of every process for what is never called here. Both are deferred with
importlib's LazyLoader; whoever uses them gets them, at the first touch.
"""

from __future__ import annotations

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec


def _defer(parent: str, name: str) -> None:
    """Load the module ``parent.name`` when one of its attributes is asked for, unless it is loaded."""
    full = f"{parent}.{name}"
    spec = None if full in sys.modules else find_spec(full)
    if spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    setattr(sys.modules[parent], name, module)


_defer("numpy", "f2py")
_defer("numpy", "testing")

from scipy import linalg, signal  # noqa: E402 - after what it would load
from scipy.interpolate import CubicSpline, interp1d  # noqa: E402 - the same

__all__ = ["CubicSpline", "interp1d", "linalg", "signal"]
