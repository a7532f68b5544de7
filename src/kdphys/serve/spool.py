"""A private folder for uploads while they arrive and wait; whatever happens, they do not stay."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_log = logging.getLogger("kdphys.serve")
_PREFIX = "kdphys-serve-"
_LOCK = ".lock"
#: A folder without a lock is being made, or, when it is older than this, its lock was cleaned away, seconds.
_MAKING_S = 3600.0


class Spool:
    """The folder: readable by this user only, gone with the server.

    Folders that servers of this user left behind when they were killed are removed first.

    Args:
        most: bytes that may lie there.

    Attributes:
        bytes: that lie there.
    """

    def __init__(self, most: int) -> None:
        _sweep()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700
        self._lock: IO[Any] | None = _lock(self.path)
        self._most = most
        self.bytes = 0

    def create(self, name: str) -> SpoolFile:
        """A new file; ``name`` is ours, never a client's."""
        try:
            for path in (self.path, self.path / _LOCK) if self._lock is not None else ():
                os.utime(path)
            return SpoolFile(self, self.path / name)
        except FileNotFoundError:  # cleaned away, as systems do with what lies in their temporary folders for days
            lock, self.path = self._lock, Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock = _lock(self.path)
            if lock is not None:
                lock.close()
            return SpoolFile(self, self.path / name)

    def has_room(self, size: int) -> bool:
        """Whether ``size`` more bytes may lie there."""
        return self.bytes + size <= self._most

    def close(self) -> None:
        """Delete all."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class SpoolFile:
    """One upload.

    Attributes:
        path: where it lies.
        size: bytes so far.
    """

    def __init__(self, spool: Spool, path: Path) -> None:
        self._spool, self.path, self.size = spool, path, 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        self._file: IO[bytes] | None = os.fdopen(descriptor, "wb", buffering=0)

    def count(self, size: int) -> None:
        """``size`` bytes are about to be written."""
        self.size += size
        self._spool.bytes += size

    def write(self, data: bytes) -> None:
        """Append."""
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def close(self) -> None:
        """All is there."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Remove it; may be called again."""
        self.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._spool.bytes -= self.size
        self.size = 0


def _lock(folder: Path) -> IO[Any] | None:
    """Hold the folder; the system lets go of it when the process dies. None: another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: folders of killed servers are left to the system's own cleaning
        return None
    file = (folder / _LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _sweep() -> None:
    """Remove the folders of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            about = folder.lstat()
            if not folder.is_dir() or folder.is_symlink() or (hasattr(os, "getuid") and about.st_uid != os.getuid()):
                continue
            if not (folder / _LOCK).exists() and time.time() - about.st_mtime < _MAKING_S:
                continue
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.close()
                _log.info("removed uploads that a killed server had left behind")
