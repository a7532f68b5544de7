"""The prepared store: crops and labels on one clock, in chunked Zarr v3, with a manifest.

::

    STORE/zarr.json                        a Zarr v3 group
    STORE/manifest.json                    settings, versions, what became of each recording, splits
    STORE/recordings/KEY/rgb               uint8 or float16 (T, S, S, 3), 0–255, chunks of 128 samples
    STORE/recordings/KEY/valid             bool (T,), False where there was no face
    STORE/recordings/KEY/bvp               float32 (T,), the reference on the crops' clock, NaN where there is none
    STORE/recordings/KEY/references/NAME   float64 (2, N): times in s on the same clock, and values, as recorded

A recording is written beside the store, synced to disk and moved into it whole: what is in ``recordings`` is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Clip, Frame, Recording, Signal, Video
from kdphys.data.recording import natural
from kdphys.errors import DataError, InvalidInputError, MissingExtraError, UnknownNameError

Floats = NDArray[np.floating[Any]]

FORMAT = "kdphys-store"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
RECORDINGS = "recordings"
#: Samples in one chunk of pixels.
CHUNK = 128
DTYPES = ("float16", "uint8")
_COPY = "was the store copied whole? Copy it again, or prepare the recording again"
_GROUP = {"attributes": {}, "zarr_format": 3, "node_type": "group"}


def require_zarr() -> Any:
    """The module zarr.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("zarr", "train") from error
    return zarr


def key_of(dataset: str, name: str) -> str:
    """The folder name of a recording: safe on every system, different for different names."""
    plain = f"{dataset}-{name}"
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", plain)
    if safe == plain and len(safe) < 100:
        return safe
    return f"{safe[:80]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, whole or not at all, and on disk when this returns."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, sort_keys=True, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the entries of a folder survive a power cut, where the system knows how."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """The same for a folder, all that is in it, and their contents."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            with (Path(folder) / name).open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(Path(folder))


def make_groups(path: Path) -> None:
    """The groups above the recordings; does nothing where they are there."""
    for folder in (path, path / RECORDINGS):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "zarr.json").exists():
            write_json(folder / "zarr.json", _GROUP)


def write_recording(
    path: Path, clip: Clip, references: Mapping[str, Signal], bvp: Floats, attributes: Mapping[str, Any], dtype: str
) -> None:
    """Write one recording as a Zarr group into a folder that does not exist yet; not synced.

    Args:
        path: of the group.
        clip: pixels.
        references: as recorded.
        bvp: (T,) on the clock of the clip, NaN where there is none.
        attributes: plain values.
        dtype: "uint8" (rounded) or "float16" of the pixels.
    """
    zarr = require_zarr()
    from zarr.codecs import ZstdCodec

    group = zarr.open_group(str(path), mode="w-", zarr_format=3)
    group.attrs.update(json.loads(json.dumps(attributes, sort_keys=True)))
    rgb = np.where(clip.valid[:, None, None, None], clip.rgb, np.float32(0))
    rgb = np.clip(np.rint(rgb), 0, 255).astype(np.uint8) if dtype == "uint8" else rgb.astype(np.float16)
    arrays: dict[str, NDArray[Any]] = {"rgb": rgb, "valid": clip.valid, "bvp": bvp.astype(np.float32)}
    for name, reference in sorted(references.items()):
        arrays[f"references/{name}"] = np.stack([reference.times, reference.values]).astype(np.float64)
    for name, array in arrays.items():
        chunks = (CHUNK, *array.shape[1:]) if name == "rgb" else tuple(max(n, 1) for n in array.shape)
        item = group.create_array(
            name, shape=array.shape, chunks=chunks, dtype=array.dtype, compressors=[ZstdCodec(level=3)]
        )
        item[...] = array


class CropVideo(Video):
    """The crops of a stored recording as a video; samples without a face are left out.

    Args:
        item: of a store.
    """

    def __init__(self, item: StoreItem) -> None:
        self.item = item
        self.name = item.key
        self.width = self.height = item.size
        self.fps = item.fs
        self.n_frames = int(item.valid.sum())
        self.duration_s = len(item) / item.fs

    def __iter__(self) -> Iterator[Frame]:
        """Yield the crops, rounded to 8 bits."""
        times, valid = self.item.times, self.item.valid
        for start in range(0, len(self.item), CHUNK):
            block = self.item.read(start, start + CHUNK)
            for k in np.flatnonzero(valid[start : start + CHUNK]):
                yield Frame(np.clip(np.rint(block[k]), 0, 255).astype(np.uint8), float(times[start + k]))


@dataclass(frozen=True, eq=False)
class StoreItem:
    """One stored recording; what is asked for is read then, with a :class:`DataError` where it is missing or damaged.

    Args:
        key: folder name in the store.
        dataset: name of the data set.
        subject: "data set/person", unique over data sets.
        name: of the take in its data set.
        conditions: tags.
        fs: Hz.
        t0: time of the first sample, seconds on the recording's clock.
        group: the Zarr group.
    """

    key: str
    dataset: str
    subject: str
    name: str
    conditions: Mapping[str, str]
    fs: float
    t0: float
    group: Any

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def size(self) -> int:
        """Side of the crops, pixels."""
        return int(self._array("rgb", slice(0, 1)).shape[1])

    @property
    def times(self) -> Floats:
        """float64 (T,): seconds."""
        return self.t0 + np.arange(len(self)) / self.fs

    @property
    def rgb(self) -> NDArray[Any]:
        """All pixels, uint8 or float16 (T, S, S, 3), 0–255; 0 where not valid."""
        return self.read(0, len(self))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Pixels of some samples, (stop - start, S, S, 3)."""
        rgb = self._array("rgb", slice(start, stop))
        # Zarr reads what is not there as zeros, and leaves out chunks of nothing else.
        if (~rgb.any(axis=(1, 2, 3)) & self.valid[start:stop]).any():
            raise DataError(f"{self.key}: pixels are missing: {_COPY}")
        return rgb

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """bool (T,)."""
        valid = self._array("valid").astype(bool)
        if not valid.any():  # nothing is prepared without a face
            raise DataError(f"{self.key}: it does not say where the face was: {_COPY}")
        valid.setflags(write=False)
        return valid

    @property
    def bvp(self) -> NDArray[np.float32]:
        """float32 (T,): the reference at the crops' times, NaN where there is none."""
        bvp = self._array("bvp").astype(np.float32)
        if not bvp.any():
            raise DataError(f"{self.key}: the reference is missing: {_COPY}")
        return bvp

    @property
    def references(self) -> dict[str, Signal]:
        """The references as recorded, on their own times."""
        names = sorted(self.group.get("references", {}))
        try:
            return {name: Signal(*self._array(f"references/{name}")) for name in names}
        except InvalidInputError as error:  # times of zeros
            raise DataError(f"{self.key}: a reference is missing or damaged ({error}): {_COPY}") from error

    def _array(self, name: str, part: slice | EllipsisType = ...) -> NDArray[Any]:
        try:
            return np.asarray(self.group[name][part])
        except (KeyError, ValueError, RuntimeError, OSError) as error:
            raise DataError(f"{self.key}: {name} cannot be read ({error}): {_COPY}") from error

    def clip(self) -> Clip:
        """The whole recording as model input."""
        return Clip(self.rgb.astype(np.float32), self.fs, self.t0, self.valid)

    def open(self) -> Recording:
        """As a recording whose video shows the crops: the face fills the picture, none need be looked for."""
        return Recording(self.subject, self.key, CropVideo(self), self.references, dict(self.conditions))


class Store:
    """A prepared store, for reading. Iterating gives its items in natural order of their keys.

    Args:
        path: of the store.

    Raises:
        DataError: there is none, its manifest is broken, or it is of another format.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        if self.manifest is None:
            raise DataError(f"{self.path}: no prepared store here (no {MANIFEST}); make one with 'kdphys prepare'")
        zarr = require_zarr()
        self._root = zarr.open_group(str(self.path / RECORDINGS), mode="r", zarr_format=3)
        done = (k for k, outcome in self.manifest["recordings"].items() if outcome["status"] == "done")
        self.keys = sorted(done, key=natural)

    @property
    def fs(self) -> float:
        """Sampling rate, Hz."""
        return float(self.manifest["settings"]["fs"]) if self.manifest else 0.0

    @property
    def size(self) -> int:
        """Side of the crops, pixels."""
        return int(self.manifest["settings"]["size"]) if self.manifest else 0

    @property
    def subjects(self) -> list[str]:
        """Everybody in it, as "data set/person"."""
        return sorted({item.subject for item in self}, key=natural)

    @property
    def refused(self) -> dict[str, str]:
        """Key → reason of the recordings that are not in it."""
        entries = self.manifest["recordings"] if self.manifest else {}
        return {k: outcome["reason"] for k, outcome in entries.items() if outcome["status"] == "refused"}

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[StoreItem]:
        return (self[key] for key in self.keys)

    def __getitem__(self, key: str) -> StoreItem:
        if key not in self.keys:
            raise UnknownNameError("recording", key, self.keys)
        try:
            group = self._root[key]
        except KeyError:
            raise DataError(f"{self.path}: recording {key} is in its manifest and not in its folder: {_COPY}") from None
        a = group.attrs
        return StoreItem(
            key,
            str(a["dataset"]),
            str(a["subject"]),
            str(a["name"]),
            dict(a["conditions"]),
            float(a["fs"]),
            float(a["t0"]),
            group,
        )

    @property
    def splits(self) -> list[str]:
        """Names of the stored splits."""
        return [name for name in (self.manifest or {}).get("splits", {}) if name not in ("seed", "folds")]

    def split(self, name: str, fold: int | str | None = None) -> dict[str, list[str]]:
        """Part → persons of a stored split.

        Args:
            name: "holdout", "k_fold" or "leave_one_dataset_out".
            fold: number of the fold, or name of the data set left out.

        Raises:
            UnknownNameError: no such split.
            DataError: no such fold.
        """
        if not self.splits:
            raise DataError(
                f"{self.path}: it has no splits, for which two persons are needed. To evaluate all of it name no split "
                'and no part; in the [data] of a training, part = "all"'
            )
        if name not in self.splits:
            raise UnknownNameError("split", name, self.splits)
        chosen = (self.manifest or {})["splits"][name]
        if name != "holdout":
            try:
                chosen = chosen[fold]
            except (KeyError, IndexError, TypeError):
                has = f"0–{len(chosen) - 1}" if isinstance(chosen, list) else ", ".join(chosen)
                raise DataError(f"{self.path}: split {name!r} has folds {has}, not {fold!r}") from None
        return {part: list(persons) for part, persons in chosen.items()}

    def part(self, split: str, part: str, fold: int | str | None = None) -> list[StoreItem]:
        """The items of a part of a stored split.

        Args:
            split, fold: see :meth:`split`.
            part: "train", "val" or "test".

        Raises:
            UnknownNameError: no such split or part.
            DataError: no such fold.
        """
        chosen = self.split(split, fold)
        if part not in chosen:
            raise UnknownNameError("part", part, chosen)
        members = set(chosen[part])
        return [item for item in self if item.subject in members]


def open_store(path: str | Path) -> Store:
    """See :class:`Store`."""
    return Store(path)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a store, or None where there is none.

    Raises:
        DataError: broken, or another format.
    """
    file = path / MANIFEST
    if not file.exists():
        return None
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kind = (manifest["format"], manifest["format_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not a manifest of a prepared store ({error})") from error
    if kind != (FORMAT, FORMAT_VERSION):
        raise DataError(f"{file}: expected {FORMAT} version {FORMAT_VERSION}, got {kind[0]} version {kind[1]}")
    return manifest
