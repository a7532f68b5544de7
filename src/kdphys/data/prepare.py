"""Recordings → crops and labels on one clock, written once.

Each recording is prepared for itself: a failure is recorded with its reason and the others go on. It is written into
``STORE/.partial``, synced, and moved into place; then the manifest is rewritten. A run that is killed at any moment
leaves a store without half-written recordings, and the next run goes on where it ended. Two uninterrupted runs, or any
number of interrupted ones, give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import BOX_SCALE
from kdphys.containers import Clip, Recording, Signal, Video
from kdphys.data.splits import all_splits
from kdphys.data.store import (
    DTYPES,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    RECORDINGS,
    key_of,
    make_groups,
    read_manifest,
    require_zarr,
    sync_folder,
    sync_tree,
    write_json,
    write_recording,
)
from kdphys.data.workers import LOCK, locked, run_all
from kdphys.dsp import resample_by_time
from kdphys.errors import UNEXPECTED, DataError, InvalidInputError, KDPhysError

Floats = NDArray[np.floating[Any]]
Extract = Callable[..., Clip | None]

PARTIAL = ".partial"
#: Fewer seconds with a face and a label than this are not worth keeping.
MIN_SECONDS = 2.0
#: Of the k-fold split of a new store.
FOLDS = 5
_PACKAGES = ("kdphys", "numpy", "scipy", "av", "opencv-python-headless", "onnxruntime", "zarr")


class Source(Protocol):
    """Something that opens as a recording: a take of a data set, or a video with its CSV."""

    @property
    def subject(self) -> str:
        """Identifier of the person."""

    @property
    def name(self) -> str:
        """Identifier of the take."""

    def open(self) -> Recording:
        """Read the references, open the video."""


@dataclass(frozen=True)
class Settings:
    """What the pixels and labels of a store depend on.

    Args:
        size: side of the crops, pixels.
        fs: rate of crops and labels, Hz.
        dtype: of the pixels, "float16" or "uint8".
        extractor: what finds and crops the face, "module:function".
        box_scale: face box × this = crop.

    Raises:
        InvalidInputError: out of range.
    """

    size: int = 36
    fs: float = 30.0
    dtype: str = "float16"
    extractor: str = ""
    box_scale: float = BOX_SCALE

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 512:
            raise InvalidInputError(f"size must be 8–512 pixels, got {self.size}")
        if not 5 <= self.fs <= 240:
            raise InvalidInputError(f"fs must be 5–240 Hz, got {self.fs}")
        if self.dtype not in DTYPES:
            raise InvalidInputError(f"dtype must be {' or '.join(DTYPES)}, got {self.dtype!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def sha256(self) -> str:
        """Hash over all of them and the format."""
        text = json.dumps(self.to_json() | {"format_version": FORMAT_VERSION}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Job:
    """One recording to prepare, as it is sent to a worker process."""

    key: str
    dataset: str
    source: Source
    out: Path
    settings: Settings
    extract: Extract


def prepare(
    sources: Sequence[Source],
    dataset: str,
    out: str | Path,
    extract: Extract,
    *,
    size: int = 36,
    fs: float = 30.0,
    dtype: str = "float16",
    workers: int = 1,
    folds: int | None = None,
    seed: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Prepare recordings into a store, new or begun before; other data sets may be in it already.

    Args:
        sources: takes, from :meth:`kdphys.data.recording.Reader.find`.
        dataset: name that they are stored under.
        out: folder of the store.
        extract: ``extract(video, size=…, fs=…, box_scale=…) -> Clip | None``: crops of the largest face on a uniform
            clock, None when there is no face; a function of a module, so that other processes can import it.
        size, fs, dtype: see :class:`Settings`.
        workers: processes; each holds one recording's crops in memory.
        folds, seed: of the splits in the manifest; by default those that are in it, for a new store 5 and 0.
        progress: called with the number of recordings done, the number of all, and the name of one just done.

    Returns:
        the manifest.

    Raises:
        DataError: the folder is no store, holds one of other settings, is in use, or a worker died.
        InvalidInputError: an option is out of range, or two recordings have one name.
    """
    require_zarr()
    if workers < 1:
        raise InvalidInputError(f"workers must be 1 or more, got {workers}")
    if folds is not None and folds < 2:
        raise InvalidInputError(f"folds must be 2 or more, got {folds}")
    settings = Settings(size, fs, dtype, f"{extract.__module__}:{extract.__qualname__}")
    out = Path(out)
    made = [Job(key_of(dataset, s.name), dataset, s, out, settings, extract) for s in sources]
    jobs = {job.key: job for job in made}
    if len(jobs) < len(sources):
        names = Counter(s.name for s in sources)
        twice = [f"{name!r} ({n} times)" for name, n in names.items() if n > 1]
        raise InvalidInputError(
            f"{dataset}: every recording needs a name of its own, got {', '.join(twice[:5])}{' …' * (len(twice) > 5)}; "
            "in a manifest.csv the column 'name' gives it"
        )
    _refuse_strangers(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be made: {error}") from error
    with locked(out):
        book = _Book(out, settings, jobs, folds, seed)
        todo = [job for key, job in jobs.items() if not book.is_done(key)]
        done = len(jobs) - len(todo)
        if progress is not None:
            progress(done, len(jobs), "")
        for job, outcome in run_all(todo, prepare_one, workers):
            book.enter(job.key, outcome)
            done += 1
            if progress is not None:
                progress(done, len(jobs), job.source.name)
        manifest = book.close()
        shutil.rmtree(out / PARTIAL, ignore_errors=True)
    return manifest


def prepare_one(job: Job) -> dict[str, Any]:
    """Prepare one recording; what became of it, as plain values. Only a full disk or the like raises."""
    about = {"dataset": job.dataset, "subject": f"{job.dataset}/{job.source.subject}", "name": job.source.name}
    try:
        recording = job.source.open()
        clip = crops(job.extract, recording.video, job.settings)
        bvp = label(recording.references, clip)
        notes = list(recording.video.notes)
    except KDPhysError as error:
        return about | {"status": "refused", "reason": str(error)}
    except UNEXPECTED as error:
        return about | {"status": "refused", "reason": f"unexpected {type(error).__name__}: {error}"}
    outcome = about | {
        "status": "done",
        "conditions": {str(k): str(v) for k, v in recording.conditions.items()},
        "samples": len(clip.rgb),
        "with_face": int(clip.valid.sum()),
        "with_label": int(np.isfinite(bvp).sum()),
        "notes": notes,
    }
    part = job.out / PARTIAL / f"{job.key}.{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(exist_ok=True)
    attributes = outcome | {"fs": clip.fs, "t0": clip.t0, "settings": job.settings.sha256}
    write_recording(part, clip, recording.references, bvp, attributes, job.settings.dtype)
    sync_tree(part)
    _move(part, job.out / RECORDINGS / job.key)
    return outcome


def _move(part: Path, place: Path) -> None:
    """Into place, whole. Where a worker of a killed run was faster, its copy stays: they are the same."""
    try:
        os.rename(part, place)
    except OSError:
        if not (place / "zarr.json").exists():
            raise
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(place.parent)


def crops(extract: Extract, video: Video, settings: Settings) -> Clip:
    """The crops of a video by the given extractor: the one place that knows what it may give back.

    Raises:
        DataError: no face, or too little of it.
    """
    clip = extract(video, size=settings.size, fs=settings.fs, box_scale=settings.box_scale)
    if clip is None:
        raise DataError("no face in the whole recording")
    if clip.rgb.shape[1] != settings.size or clip.fs != settings.fs:
        got = f"{clip.rgb.shape[1]} px at {clip.fs} Hz"
        raise DataError(f"expected crops of {settings.size} px at {settings.fs} Hz, got {got}")
    seconds = float(clip.valid.sum()) / clip.fs
    if seconds < MIN_SECONDS:
        raise DataError(f"no face: seen for {seconds:.1f} of {len(clip.rgb) / clip.fs:.1f} s")
    return clip


def label(references: Mapping[str, Signal], clip: Clip) -> Floats:
    """The reference wave at the times of the crops, float64 (T,), NaN where there is none.

    Without a wave (only heart rates, say) all of it is NaN; the references are stored as they are in any case.

    Raises:
        DataError: there is no reference at all, or it does not meet the crops.
    """
    if not references:
        raise DataError("missing label: no reference at all")
    out = np.full(len(clip.rgb), np.nan)
    met = False
    for name, reference in references.items():
        inside = (reference.times >= clip.times[0]) & (reference.times <= clip.times[-1])
        met = met or bool(inside.any())
        # Only what is near: a clock of its own, or one wild time, would ask for more samples than there is memory.
        near = (reference.times >= clip.times[0] - 1.0) & (reference.times <= clip.times[-1] + 1.0)
        if name == "bvp" and near.any():
            values, _, _ = resample_by_time(reference.times[near], reference.values[near], clip.fs, t0=clip.t0)
            n = min(len(values), len(out))
            out[:n] = values[:n]
    if not met:
        raise DataError("labels and video do not overlap in time")
    both = float((np.isfinite(out) & clip.valid).sum()) / clip.fs
    if "bvp" in references and both < MIN_SECONDS:
        raise DataError(f"face and label together for {both:.1f} s only")
    return out


class _Book:
    """The manifest while a run goes on: every entry is on disk before the next."""

    def __init__(
        self, out: Path, settings: Settings, jobs: Mapping[str, Job], folds: int | None, seed: int | None
    ) -> None:
        found = read_manifest(out)
        before = (found or {}).get("splits", {})
        self.out = out
        self.folds = before.get("folds", FOLDS) if folds is None else folds
        self.seed = before.get("seed", 0) if seed is None else seed
        if found is not None and found["settings_sha256"] != settings.sha256:
            raise DataError(
                f"{out}: prepared with {found['settings']}, not {settings.to_json()}; choose another folder"
            )
        self.manifest = found or {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "settings": settings.to_json(),
            "settings_sha256": settings.sha256,
            "versions": versions(),
            "recordings": {},
        }
        self.manifest["splits"] = before | {"seed": self.seed, "folds": self.folds}  # known to who goes on after a stop
        if self.manifest["versions"] != versions():
            more = self.manifest.setdefault("continued_with", [])
            if versions() not in more:
                more.append(versions())
        shutil.rmtree(out / PARTIAL, ignore_errors=True)
        entries = self.manifest["recordings"]
        for key, job in jobs.items():
            known = entries.get(key, {"status": "pending"})
            folder = out / RECORDINGS / key
            if folder.exists():  # moved into place, perhaps just before its entry was written
                known = _outcome_of(folder)
            elif known["status"] == "done":
                known = {"status": "pending"}
            entries[key] = known if known["status"] == "done" else _pending(job)
        self._count()
        write_json(out / MANIFEST, self.manifest)
        make_groups(out)
        (out / PARTIAL).mkdir(exist_ok=True)

    def is_done(self, key: str) -> bool:
        return bool(self.manifest["recordings"][key]["status"] == "done")

    def enter(self, key: str, outcome: dict[str, Any]) -> None:
        self.manifest["recordings"][key] = outcome
        self._count()
        write_json(self.out / MANIFEST, self.manifest)

    def close(self) -> dict[str, Any]:
        subjects: dict[str, list[str]] = {}
        for entry in self.manifest["recordings"].values():
            if entry["status"] == "done":
                subjects.setdefault(entry["dataset"], []).append(entry["subject"])
        self.manifest["splits"] = all_splits(subjects, self.folds, self.seed)
        write_json(self.out / MANIFEST, self.manifest)
        return self.manifest

    def _count(self) -> None:
        counts: dict[str, dict[str, int]] = {}
        for entry in self.manifest["recordings"].values():
            of = counts.setdefault(entry["dataset"], {"in": 0, "done": 0, "refused": 0, "pending": 0})
            of["in"] += 1
            of[entry["status"]] += 1
        self.manifest["datasets"] = counts


def _pending(job: Job) -> dict[str, Any]:
    subject = f"{job.dataset}/{job.source.subject}"
    return {"status": "pending", "dataset": job.dataset, "subject": subject, "name": job.source.name}


def _outcome_of(folder: Path) -> dict[str, Any]:
    """The manifest entry of a recording that is in place, from its own attributes."""
    attributes = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    return {k: v for k, v in attributes.items() if k not in ("fs", "t0", "settings")}


def versions() -> dict[str, str]:
    """Of the packages that the result depends on."""
    out = {}
    for package in _PACKAGES:
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "unknown"
    return out


def _refuse_strangers(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file; a store is a folder")
    if out.is_dir() and not (out / MANIFEST).exists():
        others = [p.name for p in out.iterdir() if p.name not in (LOCK, PARTIAL, f".{MANIFEST}.part")]
        if others:
            raise DataError(f"{out}: holds other files ({', '.join(sorted(others)[:3])}); choose a new folder")
