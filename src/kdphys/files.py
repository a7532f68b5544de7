"""Files that are written whole or not at all, and never over another one unasked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdphys.errors import OutputError


def check_free(path: Path, force: bool) -> None:
    """Refuse to overwrite a file.

    Raises:
        OutputError: it exists and ``force`` is not set, or it is a folder.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists already; choose another name or overwrite it with --force")


def check_other(path: Path, source: Path) -> None:
    """Refuse to write over what is read, also where overwriting is allowed.

    Raises:
        OutputError: both are the same file.
    """
    if path.exists() and source.exists() and path.samefile(source):
        raise OutputError(f"{path}: is what is measured; choose another name for what is written")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, beside ``path``, that becomes it when the block ends well.

    Missing folders are made. What is cut short leaves nothing behind.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".kdphys-") as folder:
            part = Path(folder) / path.name
            yield part
            part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
