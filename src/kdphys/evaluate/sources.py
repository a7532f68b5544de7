"""What a command line names: videos with their CSV, a public data set, or a prepared store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdphys.data.readers import load_reader
from kdphys.data.store import MANIFEST, RECORDINGS, Store, open_store
from kdphys.errors import DataError, InvalidInputError
from kdphys.evaluate.generic import find_recordings
from kdphys.evaluate.prepared import prepared
from kdphys.evaluate.run import check_split

#: The part of a split that is evaluated when none is named.
TEST = "test"


@dataclass(frozen=True)
class Selection:
    """What is to be evaluated.

    Args:
        recordings: for :func:`kdphys.evaluate.run.evaluate`.
        split: part → subjects, or None.
        part: of the split.
        left_out: number of recordings of persons outside the part.
        absent: persons of the part who have no recording here.
    """

    recordings: Sequence[Any]
    split: Mapping[str, Sequence[str]] | None = None
    part: str = TEST
    left_out: int = 0
    absent: tuple[str, ...] = ()


def select(paths: Sequence[Path], *, dataset: str = "", split: str = "", part: str = "", fold: str = "") -> Selection:
    """Find the recordings; nothing is opened yet.

    Args:
        paths: videos and folders of videos with references beside them; the roots of copies of ``dataset``; or one
            prepared store, which is known by its manifest.
        dataset: name of a public data set.
        split: a JSON file {"train": [...], "test": [...]} of subjects; of a store also the name of one of its own.
        part: of the split; "test" by default.
        fold: of a store's split that has several: its number, or the data set left out.

    Raises:
        DataError: nothing is there, or it is not what it should be.
        UnknownNameError: of a data set, a split or a part.
        InvalidInputError: options that do not go together, or a split that is no JSON of lists.
    """
    stores = [path for path in paths if is_store(path)]
    if stores and (len(paths) > 1 or dataset):
        raise InvalidInputError(
            f"{stores[0]}: a prepared store is evaluated by itself, without another path or --dataset"
        )
    if stores:
        return _of_store(open_store(stores[0]), split, part, fold)
    if fold or (part and not split):
        raise InvalidInputError("--fold needs a prepared store, and --part one or a --split")
    subjects = read_split(Path(split)) if split else None
    if dataset:
        reader = load_reader(dataset)
        if subjects is not None:  # of a store, say, where persons are named "pure/01"
            subjects = {k: [s.removeprefix(f"{dataset}/") for s in names] for k, names in subjects.items()}
        return _of_file([take for path in paths for take in reader.find(path)], subjects, part or TEST)
    return _of_file(find_recordings(paths), subjects, part or TEST)


def is_store(path: Path) -> bool:
    """Whether a folder is a prepared store."""
    return (path / MANIFEST).is_file() and (path / RECORDINGS).is_dir()


def _of_store(store: Store, split: str, part: str, fold: str) -> Selection:
    if split and split not in store.splits and Path(split).is_file():
        return _of_file(prepared(store, list(store)), read_split(Path(split)), part or TEST)
    if not (split or part or fold):
        return Selection(prepared(store, list(store)))
    name, part = split or "holdout", part or TEST
    key = int(fold) if fold.isdecimal() else fold or None
    items = store.part(name, part, key)
    if not items:
        raise DataError(f"{store.path}: nobody is in part {part!r} of split {name!r}; prepare more recordings")
    return Selection(prepared(store, items), store.split(name, key), part)


def _of_file(recordings: Sequence[Any], split: Mapping[str, Sequence[str]] | None, part: str) -> Selection:
    """Those of the persons in the part; all without a split."""
    if split is None:
        return Selection(recordings)
    check_split(split, part)
    of_part = [r for r in recordings if r.subject in split[part]]
    if not of_part:
        there = sorted({r.subject for r in recordings})
        raise DataError(
            f"split: no recording of anybody in its {part!r} part; there are recordings of "
            f"{', '.join(there[:8])}{' …' * (len(there) > 8)}"
        )
    absent = set(split[part]) - {r.subject for r in of_part}
    return Selection(of_part, split, part, len(recordings) - len(of_part), tuple(sorted(absent)))


def read_split(path: Path) -> dict[str, list[str]]:
    """The subjects of each part from a JSON file.

    Raises:
        InvalidInputError: no JSON, or no object of lists.
    """
    try:
        split = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path}: no readable JSON ({error})") from error
    lists = isinstance(split, dict) and all(isinstance(v, list) for v in split.values())
    if not lists:
        raise InvalidInputError(f"{path}: expected an object of lists, {{'train': [...], 'test': [...]}}")
    return {part: [str(subject) for subject in subjects] for part, subjects in split.items()}
