"""Who is measured when faces come and go."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: Who was followed for less than this has no claim to be waited for, seconds.
_CLAIM_S = 2.0


class Choice:
    """One face of those in the picture: the largest at first, and then that one for as long as it may come back.

    Args:
        memory_s: how long who is gone is waited for while another face is there, seconds.
    """

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._id: int | None = None
        self._last = 0.0
        self._followed_s = 0.0

    def __call__(self, faces: dict[int, tuple[Floats, float]], t: float, forgotten: bool) -> tuple[int | None, bool]:
        """Choose at time ``t``.

        Args:
            faces: person → (box, score).
            t: seconds.
            forgotten: whether the tracker no longer knows the chosen one.

        Returns:
            the person, or None when the chosen one is not there; and whether one is chosen anew.
        """
        if self._id in faces:
            self._followed_s += min(t - self._last, 1.0)
            self._last = t
            return self._id, False
        if not faces:
            return None, False
        gone = forgotten or self._followed_s < _CLAIM_S or t - self._last > self._memory_s
        if self._id is not None and not gone:
            return None, False
        self._id = max(faces, key=lambda key: float(np.prod(faces[key][0][2:] - faces[key][0][:2])))
        self._last, self._followed_s = t, 0.0
        return self._id, True

    def forget(self) -> None:
        """Whoever is there next is chosen anew."""
        self._id = None

    @property
    def id(self) -> int | None:
        """The tracker's number of the chosen one."""
        return self._id
