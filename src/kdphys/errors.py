"""The exception tree. Every error that a user can cause derives from :class:`KDPhysError`.

The command line turns a :class:`KDPhysError` into one line on standard error and exit code 2. A measurement that
ran but found nothing to trust is *not* an error: it is a :class:`kdphys.Vitals` with reasons (exit code 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KDPhysError(Exception):
    """Base of all errors raised on purpose by kdphys."""


#: What reading a damaged recording may end in besides: it fails that recording, and those after it go on.
UNEXPECTED = (OSError, ArithmeticError, LookupError, ValueError, RuntimeError, TypeError, MemoryError)


class VideoError(KDPhysError):
    """A video, image folder or array cannot be read as a sequence of frames in time."""


class InvalidInputError(KDPhysError, ValueError):
    """A value has the wrong shape, type, range or unit."""


class DataError(KDPhysError):
    """A data set on disk, a reference signal or a prepared store is missing, truncated or implausible."""


class OutputError(KDPhysError):
    """A result cannot be written where it was asked to be."""


class UnknownNameError(KDPhysError, KeyError):
    """A name is not registered; the message lists those that are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")

    def __str__(self) -> str:
        return str(self.args[0])


class MissingExtraError(KDPhysError, ImportError):
    """An optional dependency is not installed; the message holds the line that installs it.

    Args:
        package: what is missing.
        extra: what it belongs to.
        instead: what else can be done.
    """

    def __init__(self, package: str, extra: str, instead: str = "") -> None:
        other = f"; or {instead}" if instead else ""
        super().__init__(f"{package} is not installed. Install it with: pip install 'kdphys[{extra}]'{other}")
