"""The only door to SciPy's signal processing: without what it and NumPy have for Fortran, tests and statistics.

SciPy copies NumPy's whole namespace on import (its ``array_api_compat``) and so loads ``numpy.f2py`` and
``numpy.testing``; ``scipy.signal`` loads all of ``scipy.stats`` for one function that finds peaks by wavelets: memory
and time at the start of every process for what is never called here. All three wait until they are used; whoever uses
them gets them, at the first touch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import Any


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


@contextmanager
def _deferred(module: str, function: str) -> Iterator[None]:
    """What is imported inside gets ``function`` of a module that is loaded when the function is called."""

    def later(*args: Any, **options: Any) -> Any:
        return getattr(import_module(module), function)(*args, **options)

    stand_in = ModuleType(module)
    setattr(stand_in, function, later)
    there = sys.modules.setdefault(module, stand_in) is not stand_in
    try:
        yield
    finally:
        if not there:
            del sys.modules[module]


_defer("numpy", "f2py")
_defer("numpy", "testing")
with suppress(ImportError), _deferred("scipy.stats", "scoreatpercentile"):  # or of a SciPy that wants more of it
    import_module("scipy.signal")

from scipy import linalg, signal  # noqa: E402 - after what it would load
from scipy.interpolate import CubicSpline, interp1d  # noqa: E402 - the same

__all__ = ["CubicSpline", "interp1d", "linalg", "signal"]
