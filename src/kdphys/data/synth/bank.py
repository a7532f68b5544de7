"""The bank of heads: built once, kept on disk, mapped into memory by every process that renders."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.data.synth.heads import EXPRESSIONS, FLOW_SIZE, HeadMaps, HeadModel
from kdphys.errors import InvalidInputError, OutputError

_VERSION = 1
_METRES = 2.5e4  # int16 steps in a metre: 0.04 mm
_FIELDS: dict[str, tuple[Any, tuple[Any, ...], float]] = {
    # name: (stored type, shape after (count,), steps in a unit); "R" is the map's size
    "canonical": (np.int16, ("R", "R", 3), _METRES),
    "normal": (np.int8, ("R", "R", 3), 127.0),
    "depth": (np.int16, ("R", "R"), _METRES),
    "region": (np.uint8, ("R", "R"), 1.0),
    "uv": (np.uint16, ("R", "R", 2), 65535.0),
    "flow": (np.float16, (len(EXPRESSIONS), FLOW_SIZE, FLOW_SIZE, 2), 1.0),
    "reveal": (np.uint8, (2, FLOW_SIZE, FLOW_SIZE), 255.0),
    "eyes_mouth": (np.float32, (3, 2), 1.0),
}


@dataclass(frozen=True)
class BankSpec:
    """Which heads: the same specification always gives the same bank.

    Args:
        count: number of heads.
        size: side of a map in pixels.
        seed: of the identities, poses and hair.
    """

    count: int = 160
    size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.count <= 100_000 and 32 <= self.size <= 1024):
            raise InvalidInputError(
                f"head bank: expected 1–100000 heads of 32–1024 pixels, got {self.count} of {self.size}"
            )


def cache_dir() -> Path:
    """Where built things are kept: ``$KDPHYS_CACHE``, else ``$XDG_CACHE_HOME/kdphys``, else ``~/.cache/kdphys``."""
    own = os.environ.get("KDPHYS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdphys"


class HeadBank:
    """Heads by number, memory-mapped.

    Args:
        folder: as written by :func:`load_bank`.
        spec: what was asked for.
    """

    def __init__(self, folder: Path, spec: BankSpec) -> None:
        self.folder, self.spec = folder, spec
        self._arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FIELDS}
        self.recipes: list[dict[str, Any]] = json.loads((folder / "recipes.json").read_text(encoding="utf-8"))

    def __len__(self) -> int:
        return self.spec.count

    def head(self, k: int, stride: int = 1) -> HeadMaps:
        """Head ``k``, its large maps thinned by ``stride``.

        Raises:
            InvalidInputError: there is no such head.
        """
        if not 0 <= k < len(self):
            raise InvalidInputError(f"head bank: expected a head from 0 to {len(self) - 1}, got {k}")
        out: dict[str, NDArray[Any]] = {}
        for name, (_, shape, steps) in _FIELDS.items():
            raw = self._arrays[name][k]
            if shape[0] == "R" and stride > 1:
                raw = raw[stride // 2 :: stride, stride // 2 :: stride]
            out[name] = np.array(raw) if name == "region" else np.asarray(raw, np.float32) / np.float32(steps)
        return HeadMaps(**out)


def load_bank(spec: BankSpec | None = None, progress: Callable[[int, int], None] | None = None) -> HeadBank:
    """The bank for ``spec``, built on the first call (about a second a head) and read from disk afterwards.

    Args:
        spec: which heads; the default bank of 160 when None.
        progress: called with (heads done, heads in all) while building.

    Raises:
        MissingExtraError: it must be built and the extra ``synth`` is not installed.
        OutputError: the cache folder cannot be written.
    """
    return _load(spec or BankSpec(), cache_dir(), progress)


@lru_cache(maxsize=4)
def _load(spec: BankSpec, root: Path, progress: Callable[[int, int], None] | None) -> HeadBank:
    folder = root / f"heads-v{_VERSION}-{spec.count}x{spec.size}-{spec.seed}"
    if not folder.is_dir():
        _build(spec, folder, progress)
    return HeadBank(folder, spec)


def _build(spec: BankSpec, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    except OSError as error:
        raise OutputError(f"head bank: cannot write to {folder.parent} ({error}); set KDPHYS_CACHE") from error
    try:
        arrays = {
            name: np.lib.format.open_memmap(
                work / f"{name}.npy",
                mode="w+",
                dtype=dtype,
                shape=(spec.count, *(spec.size if n == "R" else n for n in shape)),
            )
            for name, (dtype, shape, _) in _FIELDS.items()
        }
        model, recipes = HeadModel(), []
        for k in range(spec.count):
            maps, recipe = model.sample(np.random.default_rng([spec.seed, k]), spec.size)
            for name, (dtype, _, steps) in _FIELDS.items():
                value = np.asarray(getattr(maps, name)) * steps
                if np.issubdtype(dtype, np.integer):
                    info = np.iinfo(dtype)
                    value = np.clip(np.rint(value), info.min, info.max)
                arrays[name][k] = value
            recipes.append(recipe)
            if progress:
                progress(k + 1, spec.count)
        for array in arrays.values():
            array.flush()
        document = {"spec": asdict(spec), "version": _VERSION}
        (work / "recipes.json").write_text(json.dumps(recipes), encoding="utf-8")
        (work / "bank.json").write_text(json.dumps(document), encoding="utf-8")
        try:
            work.rename(folder)  # whole or not at all; another process may have been faster
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
