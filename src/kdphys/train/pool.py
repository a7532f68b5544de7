"""Pools: clips rendered once and read many times, so that training does not wait for the renderer.

A pool is a folder of

- ``rgb.npy`` float16 or uint8 (N, L, S, S, 3), 0–255, ``bvp.npy`` float32 (N, L), ``hr_bpm.npy`` float32 (N,),
  ``has_pulse.npy`` bool (N,), and
- ``pool.json``: ``fs`` (Hz), ``crc32`` of each of these files, and ``of``, what a rendered pool was rendered from.

The pixels stay on disk, rendering and training: a pool may be larger than the memory. Rendered pools are float16: the
crops are means over many pixels of the camera, and whole grey levels would take a part of the pulse away that the
crops of a video, which are never rounded, still have.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import MofNCompleteColumn, Progress
from torch.utils.data import DataLoader, Dataset, Subset

from kdphys import __version__
from kdphys.data.store import write_json
from kdphys.errors import DataError, OutputError
from kdphys.train.augment import Augmentation, play, recolour, stretch_range
from kdphys.train.config import SourceConfig
from kdphys.train.data import ClipBatch, render

KEYS = ("rgb", "bvp", "hr_bpm", "has_pulse")
FS = 30.0
_ABOUT = "pool.json"
#: What of a source's configuration decides what is rendered.
_DECIDES = ("render", "render_frames", "codec_share", "scene", "heads", "heads_seed", "seed")
_RENDERED = {"rgb": np.float16, "bvp": np.float32, "hr_bpm": np.float32, "has_pulse": np.bool_}


def write_pool(path: Path | str, arrays: dict[str, NDArray[Any]], fs: float = FS) -> None:
    """Write a pool; whole or not at all.

    Args:
        path: of the folder, which must not exist.
        arrays: see the module.

    Raises:
        OutputError: there is something already, or it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part{os.getpid()}")
    try:
        part.mkdir(parents=True)
        for key in KEYS:
            np.save(part / f"{key}.npy", arrays[key])
        _finish(part, path, {"fs": fs})
    except OSError as error:
        raise OutputError(f"{path}: cannot write the pool: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _finish(part: Path, path: Path, about: dict[str, Any]) -> None:
    """Make a folder of arrays the pool."""
    write_json(part / _ABOUT, about | {"crc32": {key: _crc32(part / f"{key}.npy") for key in KEYS}})
    part.rename(path)


def _crc32(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            value = zlib.crc32(block, value)
    return value


def _is_good(arrays: dict[str, Any]) -> bool:
    rgb, bvp = arrays["rgb"], arrays["bvp"]
    n = len(rgb)
    shaped = rgb.ndim == 5 and rgb.shape[4] == 3 and rgb.shape[2] == rgb.shape[3] and bvp.shape == rgb.shape[:2]
    return bool(n and shaped and rgb.dtype in (np.uint8, np.float16) and all(arrays[k].shape == (n,) for k in KEYS[2:]))


def read_pool(path: Path | str) -> dict[str, NDArray[Any]]:
    """Check a pool, all of it, and open it; its pixels stay on disk until they are asked for.

    Raises:
        DataError: missing, broken, or not a pool at 30 Hz.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such pool; set render = N in its configuration to render N clips into it")
    if not path.is_dir():
        raise DataError(f"{path}: expected the folder of a pool (rgb.npy, …, {_ABOUT}), got a file")
    try:
        about = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        fs = float(about["fs"])
        for key in KEYS:
            if _crc32(path / f"{key}.npy") != about["crc32"][key]:
                raise ValueError(f"{key}.npy has changed since it was written")
        arrays = {key: np.load(path / f"{key}.npy", mmap_mode="r") for key in KEYS}
    except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
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

    The result depends on the configuration alone, not on the number of processes, nor on how often the rendering was
    stopped: it goes on where it was. Of several runs that need the same pool one renders it, and the others wait.

    Args:
        config: of the source.
        size: side of the crop, pixels.
        workers: processes.
        progress: show a progress bar.

    Raises:
        DataError: the pool that is there was rendered from another configuration.
        OutputError: it cannot be written.
    """
    path = Path(config.path)
    if config.render <= 0:
        return
    of = _what_decides(config, size)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), disable=not progress) as bar:
                task = bar.add_task(f"waiting for another run's {path.name}", total=None)
                with FileLock(path.with_name(f".{path.name}.lock")):
                    if not path.exists():
                        bar.update(task, description=f"rendering {path.name}", total=config.render)
                        _render_pool(config, of, workers, lambda done: bar.update(task, completed=done))
        except OSError as error:
            raise OutputError(f"{path}: cannot write the pool: {error}") from error
    was = _about(path).get("of", of)
    if other := [f"{key} = {was.get(key)!r}, not {value!r}" for key, value in of.items() if was.get(key) != value]:
        raise DataError(f"{path}: rendered with {', '.join(other)}; delete it to render it anew, or name another path")


def _what_decides(config: SourceConfig, size: int) -> dict[str, Any]:
    of = {key: getattr(config, key) for key in _DECIDES} | {"size": size}
    return dict(json.loads(json.dumps(of)))


def _about(folder: Path) -> dict[str, Any]:
    """What a pool's folder says of itself, nothing where that cannot be read."""
    try:
        return dict(json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _render_pool(config: SourceConfig, of: dict[str, Any], workers: int, tell: Callable[[int], None]) -> None:
    path = Path(config.path)
    part = path.with_name(f".{path.name}.part")
    n, length, size = config.render, config.render_frames, of["size"]
    about = {"fs": FS, "of": of, "version": __version__}
    before = _about(part)
    done = int(before["done"]) if before == {**about, "done": before.get("done")} else 0
    if not done:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    shapes = {"rgb": (n, length, size, size, 3), "bvp": (n, length), "hr_bpm": (n,), "has_pulse": (n,)}
    clips = _Rendered(config, size, each=min(4, n))
    loader = DataLoader(Subset(clips, range(done // clips.each, len(clips))), batch_size=None, num_workers=workers)
    with ExitStack() as stack:
        files = {k: stack.enter_context(_growing(part / f"{k}.npy", _RENDERED[k], shapes[k], done)) for k in KEYS}
        tell(done)
        for batch in loader:
            count = min(len(batch.rgb), n - done)
            arrays = batch._asdict() | {"rgb": batch.rgb.clamp(0, 255).permute(0, 1, 3, 4, 2)}
            for key, file in files.items():
                file.write(arrays[key][:count].numpy().astype(_RENDERED[key]).tobytes())
                file.flush()
                os.fsync(file.fileno())
            done += count
            write_json(part / _ABOUT, about | {"done": done})
            tell(done)
    _finish(part, path, about)


@contextmanager
def _growing(path: Path, kind: Any, shape: tuple[int, ...], done: int) -> Iterator[BinaryIO]:
    """The .npy file of an array that is written row by row, after the rows that are there."""
    with path.open("r+b" if done else "w+b") as file:
        descr = np.lib.format.dtype_to_descr(np.dtype(kind))
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        end = file.tell() + done * int(np.prod(shape[1:])) * np.dtype(kind).itemsize
        if done and path.stat().st_size < end:
            raise OSError(f"{path} has lost some of its {done} clips; delete {path.parent} to render it anew")
        file.truncate(end)
        file.seek(end)
        yield file


class PoolSource:
    """Clips of a pool, cut, stretched and augmented on the fly."""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        arrays = read_pool(config.path)
        self.shape = arrays["rgb"].shape
        self.bvp = torch.from_numpy(arrays["bvp"].astype(np.float32))
        self.hr_bpm = arrays["hr_bpm"].astype(np.float32)
        self.has_pulse = arrays["has_pulse"].astype(bool)

    def rgb(self, i: int) -> torch.Tensor:
        """Pixels of a clip, (L, S, S, 3), read from disk now."""
        # Opened each time: a map that is kept would go whole to each worker that starts afresh.
        return torch.from_numpy(np.array(np.load(Path(self.config.path) / "rgb.npy", mmap_mode="r")[i]))

    def draw(self, seed: Sequence[int], batch: int, frames: int, size: int) -> ClipBatch:
        """See :class:`kdphys.train.data.Source`."""
        clips, length, side = self.shape[:3]
        if side != size or length < frames:
            raise DataError(
                f"{self.config.path}: holds clips of {length} frames at {side} px; "
                f"the run needs {frames} frames at {size} px"
            )
        rng = np.random.default_rng([int(s) for s in seed])
        order = rng.permutation(clips)[:batch] if batch <= clips else rng.integers(0, clips, batch)
        return collate([self._clip(int(i), frames, rng) for i in order])

    def _clip(self, i: int, frames: int, rng: np.random.Generator) -> ClipBatch:
        hr = float(self.hr_bpm[i]) if self.has_pulse[i] else float("nan")
        return cut(self.rgb(i), self.bvp[i], hr, bool(self.has_pulse[i]), frames, rng, self.config.augment)


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
