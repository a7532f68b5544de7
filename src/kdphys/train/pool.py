"""Pools: clips rendered once and read many times, so that training does not wait for the renderer.

A pool is an .npz file or a .zarr group with

- ``rgb`` float16 or uint8 (N, L, S, S, 3), ``bvp`` float32 (N, L), ``hr_bpm`` float32 (N,), ``has_pulse`` bool (N,),
  and
- ``fs`` (Hz), a scalar array in .npz and an attribute in .zarr.

Rendered pools are float16: the crops are means over many pixels of the camera, and whole grey levels would take a part
of the pulse away that the crops of a video, which are never rounded, still have.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn, Progress
from torch.utils.data import DataLoader, Dataset

from kdphys.errors import DataError, OutputError
from kdphys.train.augment import Augmentation, play, recolour, stretch_range
from kdphys.train.config import SourceConfig
from kdphys.train.data import ClipBatch, render

KEYS = ("rgb", "bvp", "hr_bpm", "has_pulse")
FS = 30.0


def write_pool(path: Path | str, arrays: dict[str, NDArray[Any]], fs: float = FS) -> None:
    """Write a pool, .npz or .zarr by the name; whole or not at all.

    Args:
        arrays: see the module.

    Raises:
        OutputError: the name has another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".zarr"):
        raise OutputError(f"{path}: a pool's name ends in .npz or .zarr")
    part = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            np.savez(part, fs=np.float64(fs), **{k: arrays[k] for k in KEYS})  # type: ignore[arg-type]
        else:
            import zarr

            group = zarr.open_group(str(part), mode="w")
            group.attrs["fs"] = fs
            for key in KEYS:
                a = arrays[key]
                chunks = (1, *a.shape[1:]) if key == "rgb" else a.shape
                group.create_array(key, shape=a.shape, chunks=chunks, dtype=a.dtype)[...] = a
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot write the pool: {error}") from error


def _is_good(arrays: dict[str, Any]) -> bool:
    rgb, bvp = arrays["rgb"], arrays["bvp"]
    n = len(rgb)
    shaped = rgb.ndim == 5 and rgb.shape[4] == 3 and rgb.shape[2] == rgb.shape[3] and bvp.shape == rgb.shape[:2]
    return bool(n and shaped and rgb.dtype in (np.uint8, np.float16) and all(arrays[k].shape == (n,) for k in KEYS[2:]))


def read_pool(path: Path | str) -> dict[str, NDArray[Any]]:
    """Read a whole pool into memory.

    Raises:
        DataError: missing, broken, or not a pool at 30 Hz.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such pool; set render = N in its configuration to render N clips into it")
    try:
        if path.suffix == ".npz":
            with path.open("rb") as data, np.load(data, allow_pickle=False) as file:
                arrays, fs = {k: file[k] for k in KEYS}, float(file["fs"])
        else:
            import zarr

            group = zarr.open_group(str(path), mode="r")
            arrays, fs = {k: np.asarray(group[k][...]) for k in KEYS}, float(group.attrs["fs"])
    except (KeyError, ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: not a pool of clips, or a damaged one ({error}); delete it to render it anew"
        ) from error
    if not _is_good(arrays):
        shapes = {k: (str(v.dtype), v.shape) for k, v in arrays.items()}
        raise DataError(
            f"{path}: expected rgb float16 or uint8 (N, L, S, S, 3), bvp (N, L) and labels (N,), got {shapes}"
        )
    if not np.isfinite(arrays["bvp"][arrays["has_pulse"].astype(bool)]).all():
        raise DataError(f"{path}: the wave of a clip with a pulse is not a number everywhere")
    if fs != FS:
        raise DataError(f"{path}: clips at {fs} Hz; models are trained at {FS} Hz")
    return arrays


class _Rendered(Dataset[ClipBatch]):
    """Small batches of the generator by number, so that processes can share the rendering of a pool."""

    def __init__(self, config: SourceConfig, size: int, each: int) -> None:
        self.config, self.size, self.each = config, size, each

    def __len__(self) -> int:
        return -(-self.config.render // self.each)

    def __getitem__(self, index: int) -> ClipBatch:
        return render(self.config, (self.config.seed, index), self.each, self.config.render_frames, self.size)


def ensure_pool(config: SourceConfig, size: int, workers: int = 0, progress: bool = False) -> None:
    """Render the pool if it does not exist and the configuration says how many clips it should hold.

    The result depends on the configuration alone, not on the number of processes.

    Args:
        config: of the source.
        size: side of the crop, pixels.
        workers: processes.
        progress: show a progress bar.
    """
    path = Path(config.path)
    if path.exists() or config.render <= 0:
        return
    n, length = config.render, config.render_frames
    arrays: dict[str, NDArray[Any]] = {
        "rgb": np.zeros((n, length, size, size, 3), np.float16),
        "bvp": np.zeros((n, length), np.float32),
        "hr_bpm": np.zeros(n, np.float32),
        "has_pulse": np.zeros(n, bool),
    }
    loader = DataLoader(_Rendered(config, size, each=min(4, n)), batch_size=None, num_workers=workers)
    done = 0
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), disable=not progress) as bar:
        task = bar.add_task(f"rendering {path.name}", total=n)
        for batch in loader:
            take = slice(done, min(done + len(batch.rgb), n))
            count = take.stop - take.start
            pixels = batch.rgb[:count].clamp(0, 255).to(torch.float16)
            arrays["rgb"][take] = pixels.permute(0, 1, 3, 4, 2).numpy()
            for key in KEYS[1:]:
                arrays[key][take] = getattr(batch, key)[:count].numpy()
            done = take.stop
            bar.update(task, completed=done)
    write_pool(path, arrays)


class PoolSource:
    """Clips of a pool, cut, stretched and augmented on the fly."""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        arrays = read_pool(config.path)
        self.rgb = torch.from_numpy(arrays["rgb"])
        self.bvp = torch.from_numpy(arrays["bvp"].astype(np.float32))
        self.hr_bpm = arrays["hr_bpm"].astype(np.float32)
        self.has_pulse = arrays["has_pulse"].astype(bool)

    def draw(self, seed: Sequence[int], batch: int, frames: int, size: int) -> ClipBatch:
        """See :class:`kdphys.train.data.Source`."""
        length, side = self.rgb.shape[1], self.rgb.shape[2]
        if side != size or length < frames:
            raise DataError(
                f"{self.config.path}: holds clips of {length} frames at {side} px; "
                f"the run needs {frames} frames at {size} px"
            )
        rng = np.random.default_rng([int(s) for s in seed])
        order = (
            rng.permutation(len(self.rgb))[:batch] if batch <= len(self.rgb) else rng.integers(0, len(self.rgb), batch)
        )
        return collate([self._clip(int(i), frames, rng) for i in order])

    def _clip(self, i: int, frames: int, rng: np.random.Generator) -> ClipBatch:
        hr = float(self.hr_bpm[i]) if self.has_pulse[i] else float("nan")
        return cut(self.rgb[i], self.bvp[i], hr, bool(self.has_pulse[i]), frames, rng, self.config.augment)


def cut(
    rgb: torch.Tensor,
    bvp: torch.Tensor,
    hr_bpm: float,
    has_pulse: bool,
    frames: int,
    rng: np.random.Generator,
    augment: bool,
    how: Augmentation | None = None,
) -> ClipBatch:
    """One training clip (batch of one) out of a longer one.

    Args:
        rgb: (L, S, S, 3), 0–255, any type.
        bvp: (L,).
        hr_bpm: NaN when unknown.
        augment: without it, a random stretch of the clip as it is.
    """
    how = Augmentation() if how is None else how
    rate = 1.0
    if augment:
        low, high = stretch_range(hr_bpm, len(rgb), frames, how.stretch)
        rate = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    room = len(rgb) - 1 - rate * (frames - 1)
    start = rng.uniform(0, max(room, 0.0))
    start = start if augment else float(np.floor(start + 1e-9))
    pixels = play(rgb, start, rate, frames).permute(0, 3, 1, 2)
    if augment:
        pixels = recolour(pixels, rng, how)
    return ClipBatch(
        rgb=pixels.contiguous()[None],
        bvp=play(bvp, start, rate, frames)[None],
        hr_bpm=torch.tensor([hr_bpm * rate], dtype=torch.float32),
        has_pulse=torch.tensor([has_pulse]),
    )


def collate(clips: Sequence[ClipBatch]) -> ClipBatch:
    """Join batches along the first axis."""
    return ClipBatch(*(torch.cat(column) for column in zip(*clips, strict=True)))
