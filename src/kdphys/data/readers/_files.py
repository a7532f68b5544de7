"""Reading label files, with messages that say which file and where."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Signal
from kdphys.errors import DataError, InvalidInputError

Floats = NDArray[np.floating[Any]]


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        DataError: not UTF-8 text, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    return text


def read_rows(path: Path, delimiter: str | None = ",") -> Floats:
    """The numbers of a table, shape (rows, columns); a first line of names is skipped, empty cells are NaN.

    So are rows of empty cells (``""``, ``,,``): most labels have no times, and a row less would move all that follow.

    Args:
        path: text file.
        delimiter: between cells, or None for blanks.

    Raises:
        DataError: text where a number should be, lines of different length, an empty line amid them, no numbers.
    """
    lines = read_text(path).rstrip().splitlines()
    try:
        cells = list(csv.reader(lines, delimiter=delimiter)) if delimiter else [line.split() for line in lines]
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error}); is the file damaged?") from error
    numbered = [(k, [c.strip() for c in row]) for k, row in enumerate(cells, 1) if row or delimiter]
    numbered = list(dropwhile(_is_blank, numbered))
    if numbered and not all(_is_number(c) for c in numbered[0][1] if c):
        numbered = list(dropwhile(_is_blank, numbered[1:]))
    if not numbered:
        raise DataError(f"{path}: no numbers in it")
    width = len(numbered[0][1])
    rows = []
    for k, row in numbered:
        if not row:
            raise DataError(f'{path}, line {k}: is empty; a value that is not known is nan or ""')
        if len(row) != width:
            raise DataError(f"{path}, line {k}: expected {width} numbers, got {len(row)}; is the file cut off?")
        if not all(_is_number(c) for c in row if c):
            raise DataError(f"{path}, line {k}: expected numbers, got {','.join(row)[:60]!r}")
        rows.append([float(c) if c else np.nan for c in row])
    return np.array(rows, dtype=np.float64)


def _is_blank(line: tuple[int, list[str]]) -> bool:
    return not line[1]


def read_column(path: Path, delimiter: str | None = ",") -> Floats:
    """A table of a single column, see :func:`read_rows`.

    Raises:
        DataError: there are more, as where decimals have a comma.
    """
    rows = read_rows(path, delimiter)
    if rows.shape[1] != 1:
        raise DataError(f"{path}: expected one number a line, got {rows.shape[1]}; have its decimals a comma?")
    values: Floats = rows[:, 0]
    return values


def signal(path: Path, times: Floats, values: Floats) -> Signal:
    """A reference; samples that are NaN are left out, as gaps.

    Raises:
        DataError: lengths differ, times do not increase, or no sample is a number.
    """
    times, values = np.asarray(times, float).reshape(-1), np.asarray(values, float).reshape(-1)
    if len(times) != len(values):
        raise DataError(f"{path}: wrong length: {len(values)} values with {len(times)} times")
    known = np.isfinite(values)
    if not known.any():
        raise DataError(f"{path}: no values in it")
    try:
        return Signal(times[known], values[known])
    except InvalidInputError as error:
        raise DataError(f"{path}: {error}") from error


def sampled(path: Path, values: Floats, fs: float, t0: float = 0.0) -> Signal:
    """A reference at a uniform rate.

    Args:
        path: for messages.
        values: (N,).
        fs: Hz.
        t0: time of the first sample, seconds on the clock of the video.
    """
    return signal(path, t0 + np.arange(np.size(values)) / fs, values)


def folders(root: Path, pattern: str = "*") -> Iterator[Path]:
    """The folders in ``root`` that match; hidden ones are left out."""
    return (p for p in sorted(root.glob(pattern)) if p.is_dir() and not p.name.startswith("."))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
