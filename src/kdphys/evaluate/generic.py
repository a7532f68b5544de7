"""The generic reader: videos with a CSV of reference values beside them.

``face.mp4`` + ``face.csv`` (or ``reference.csv``, if it is the folder's only video). The CSV has a line of names:
``time`` in seconds on the video's clock, and one or more of the references, ``bvp`` or ``hr_bpm`` among them. A
``manifest.csv`` in a folder names its recordings instead: columns ``video`` (a file, or a folder of images),
optionally ``reference``, ``subject``, ``name``, ``fs`` (Hz, of images without times); every other column is a
condition.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kdphys.containers import Recording, Signal
from kdphys.errors import DataError
from kdphys.video.reader import VIDEO_SUFFIXES

MANIFEST = "manifest.csv"
#: Names of columns → names of references.
COLUMNS = {
    "bvp": "bvp",
    "ppg": "bvp",
    "hr_bpm": "hr_bpm",
    "hr": "hr_bpm",
    "ecg": "ecg",
    "resp": "resp",
    "rr_brpm": "rr_brpm",
    "spo2": "spo2",
}
_TIMES = {"time": 1.0, "time_s": 1.0, "t": 1.0, "time_ms": 1e-3}


@dataclass(frozen=True)
class FileSource:
    """A recording on disk that is opened when asked for.

    Args:
        subject: identifier of the person.
        name: identifier of the take.
        video: file, or folder of images.
        reference: CSV.
        conditions: tags.
        fs: Hz, of a video that has no times of its own.
    """

    subject: str
    name: str
    video: Path
    reference: Path
    conditions: Mapping[str, str] = field(default_factory=dict)
    fs: float | None = None

    def open(self) -> Recording:
        """Read the reference and open the video.

        Raises:
            VideoError, DataError: what is missing or wrong, with the file's name.
        """
        from kdphys.video.reader import read_video

        references = read_reference(self.reference)
        return Recording(self.subject, self.name, read_video(self.video, fs=self.fs), references, dict(self.conditions))


def find_recordings(paths: Iterable[str | Path]) -> list[FileSource]:
    """The recordings that files and folders stand for, in order of name; nothing is opened yet.

    Args:
        paths: video files, or folders that hold videos or manifests (``manifest.csv``), at any depth.

    Returns:
        the subject is the manifest's; without one, every file is taken for a person of its own.

    Raises:
        DataError: nothing there, a video without a reference, a wrong manifest, the same recording twice.
    """
    out: list[FileSource] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            out += _manifest(path / MANIFEST) if (path / MANIFEST).exists() else _folder(path)
        elif path.exists():
            out.append(FileSource(path.stem, path.stem, path, _beside(path)))
        else:
            raise DataError(f"{path}: no such file or folder")
    seen: dict[tuple[str, str], Path] = {}
    for source in out:
        other = seen.setdefault((source.subject, source.name), source.video)
        if other is not source.video:
            raise DataError(f"{source.video} and {other} are both recording {source.name!r} of {source.subject!r}")
    return out


def read_reference(path: str | Path) -> dict[str, Signal]:
    """References of a CSV by name, each on its own clock: empty and NaN cells are left out.

    Raises:
        DataError: unreadable, no names, no time, an unknown or doubled column, text for a number, times that do not
            increase, no values.
    """
    path = Path(path)
    names, rows = _table(path)
    time_names = [n for n in names if n in _TIMES]
    if len(time_names) != 1:
        raise DataError(
            f"{path}: expected a first line of names with one of {', '.join(_TIMES)}, got {', '.join(names)}"
        )
    unknown = [n for n in names if n not in _TIMES and n not in COLUMNS]
    if unknown:
        raise DataError(
            f"{path}: unknown column {', '.join(unknown)}; known are {', '.join(_TIMES)}, {', '.join(COLUMNS)}. "
            "Name what it is, or take it out"
        )
    targets = [COLUMNS[n] for n in names if n in COLUMNS]
    if not targets or len(set(targets)) < len(targets):
        raise DataError(f"{path}: expected one column each of {', '.join(COLUMNS)}, got {', '.join(names)}")
    table = np.array([[_number(cell, path, k, n) for cell, n in zip(row, names, strict=True)] for k, row in rows])
    if len(table) == 0:
        raise DataError(f"{path}: no values below the line of names")
    times = table[:, names.index(time_names[0])] * _TIMES[time_names[0]]
    _check_times(times, path, [k for k, _ in rows])
    out = {}
    for name in names:
        if name in COLUMNS:
            values = table[:, names.index(name)]
            known = np.isfinite(values)
            if not known.any():
                raise DataError(f"{path}: column {name} has no values")
            out[COLUMNS[name]] = Signal(times[known], values[known])
    return out


def _check_times(times: np.ndarray, path: Path, lines: list[int]) -> None:
    bad = np.flatnonzero(~np.isfinite(times))
    if len(bad):
        raise DataError(f"{path}, line {lines[bad[0]]}: no time")
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        k = int(back[0]) + 1
        raise DataError(f"{path}, line {lines[k]}: time {times[k]:g} s does not come after {times[k - 1]:g} s")


def _number(cell: str, path: Path, line: int, name: str) -> float:
    if not cell.strip():
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        raise DataError(f"{path}, line {line}: {name} is {cell!r}, not a number") from None
    if np.isinf(value):
        raise DataError(f"{path}, line {line}: {name} is infinite")
    return value


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names in small letters, and (line number, cells) of every line that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DataError(f"{path}: cannot be read ({why})") from error
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise DataError(f"{path}: not a table ({error}); is the file damaged?") from error
    lines = [(k, row) for k, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    if not lines:
        raise DataError(f"{path}: empty")
    names = [name.strip().lower() for name in lines[0][1]]
    for k, row in lines[1:]:
        if len(row) != len(names):
            raise DataError(f"{path}, line {k}: expected {len(names)} cells ({', '.join(names)}), got {len(row)}")
    return names, lines[1:]


def _plain(video: Path, folder: bool) -> Path:
    """Without the suffix; what follows a dot in the name of a folder of images is none."""
    return video if folder else video.with_suffix("")


def _beside(video: Path) -> Path:
    plain = _plain(video, video.is_dir())
    own = plain.with_name(f"{plain.name}.csv")
    if own.exists():
        return own
    shared = video.with_name("reference.csv")
    others = [p for p in video.parent.glob("[!.]*") if p.suffix.lower() in VIDEO_SUFFIXES and p != video]
    if shared.exists() and not others:
        return shared
    raise DataError(f"{video}: no reference beside it; expected {own.name} with columns time and bvp or hr_bpm")


def _folder(folder: Path) -> list[FileSource]:
    """At any depth, through links, not in hidden folders; a folder with a manifest of its own is read by that."""
    out: list[FileSource] = []
    known: set[str] = set()
    for place, inside, files in os.walk(folder, followlinks=True):
        here = Path(place)
        real = os.path.realpath(place)
        inside[:] = [] if real in known else sorted(name for name in inside if not name.startswith("."))
        if real in known:
            continue
        known.add(real)
        if (here / MANIFEST).exists():
            out += _manifest(here / MANIFEST, f"{here.relative_to(folder).as_posix()}/")
            inside.clear()
            continue
        videos = (here / f for f in sorted(files) if not f.startswith(".") and Path(f).suffix.lower() in VIDEO_SUFFIXES)
        for video in videos:
            name = video.relative_to(folder).with_suffix("").as_posix()
            out.append(FileSource(name, name, video, _beside(video)))
    if not out:
        raise DataError(f"{folder}: no video in this folder and no {MANIFEST}")
    return sorted(out, key=lambda source: source.name)


def _manifest(path: Path, prefix: str = "") -> list[FileSource]:
    names, rows = _table(path)
    if "video" not in names or len(set(names)) < len(names):
        raise DataError(f"{path}: expected columns of different names, 'video' among them, got {', '.join(names)}")
    if not rows:
        raise DataError(f"{path}: no recordings below the line of names")
    out = []
    for line, row in rows:
        cells = {n: cell.strip() for n, cell in zip(names, row, strict=True)}
        video = path.parent / cells["video"]
        if not cells["video"] or not video.exists():
            raise DataError(f"{path}, line {line}: no video {cells['video']!r} in {path.parent}")
        reference = path.parent / cells["reference"] if cells.get("reference") else _beside(video)
        if not reference.exists():
            raise DataError(f"{path}, line {line}: no reference {cells['reference']!r} in {path.parent}")
        name = prefix + (cells.get("name") or _plain(Path(cells["video"]), video.is_dir()).as_posix())
        fs = _number(cells["fs"], path, line, "fs") if cells.get("fs") else None
        fixed = ("video", "reference", "subject", "name", "fs")
        conditions = {n: cell for n, cell in cells.items() if n not in fixed and cell}
        out.append(FileSource(cells.get("subject") or name, name, video, reference, conditions, fs))
    return out
