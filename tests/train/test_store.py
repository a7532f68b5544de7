"""Training from a prepared store, written by the store's own writer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kdphys.containers import Clip
from kdphys.data.store import FORMAT, FORMAT_VERSION, MANIFEST, RECORDINGS, make_groups, write_recording
from kdphys.errors import DataError
from kdphys.train.config import SourceConfig
from kdphys.train.store import StoreSource


def make_store(path: Path, fs: float = 30.0, stuck: slice = slice(0)) -> Path:
    """Three people at 72, 90 and 108 bpm; the third has a gap that leaves no long stretch."""
    make_groups(path)
    t = np.arange(400) / fs
    rng = np.random.default_rng(0)
    for k in range(3):
        bvp = np.sin(2 * np.pi * (1.2 + 0.3 * k) * t)
        bvp[stuck] = bvp[stuck.start or 0]
        rgb = np.array([160.0, 110, 90]) * (1 + 0.01 * bvp[:, None])
        rgb = rgb[:, None, None] + rng.normal(0, 1, (400, 8, 8, 3))
        valid = np.ones(400, bool)
        if k == 2:
            valid[150::90] = False
        attributes = {"dataset": "mine", "subject": f"mine/{k}", "name": str(k), "conditions": {}, "fs": fs, "t0": 0.0}
        clip = Clip(rgb.astype(np.float32), fs, 0.0, valid)
        write_recording(path / RECORDINGS / f"mine-{k}", clip, {}, np.where(t > 1, bvp, np.nan), attributes, "uint8")
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": {"fs": fs, "size": 8},
        "recordings": {f"mine-{k}": {"status": "done"} for k in range(3)},
        "splits": {"seed": 0, "holdout": {"train": ["mine/0", "mine/2"], "val": ["mine/1"], "test": []}},
    }
    (path / MANIFEST).write_text(json.dumps(manifest))
    return path


def source(path: Path, **how: object) -> StoreSource:
    return StoreSource(SourceConfig(kind="store", path=str(path), **how))  # type: ignore[arg-type]


def test_windows_come_from_the_part_with_the_rate_of_the_reference(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    batch = source(store, part="val", augment=False).draw([0], 4, 300, 8)
    assert batch.rgb.shape == (4, 300, 3, 8, 8)
    assert batch.hr_bpm.tolist() == pytest.approx([90] * 4, abs=1.5)
    assert bool(batch.has_pulse.all())
    assert bool(torch.isfinite(batch.bvp).all())
    green = batch.rgb[:, :, 1].mean((2, 3))
    for g, b in zip(green, batch.bvp, strict=True):
        assert float(torch.corrcoef(torch.stack([g, b]))[0, 1]) > 0.9


def test_gaps_are_never_crossed_and_the_loss_of_a_recording_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store(tmp_path / "s")
    train = source(store, augment=False)
    short = train.draw([0], 12, 80, 8)
    assert float(short.rgb.amin()) > 50  # samples without a face are stored as 0
    assert {round(float(h) / 18) * 18 for h in short.hr_bpm} == {72, 108}
    long = train.draw([1], 6, 200, 8)
    assert long.hr_bpm.tolist() == pytest.approx([72] * 6, abs=2)
    assert "mine-2" in caplog.text
    with pytest.raises(DataError, match="no recording with 390 samples"):
        train.draw([1], 1, 390, 8)


def test_a_reference_that_stands_still_is_no_label(tmp_path: Path) -> None:
    """A finger that slipped out of its sensor: not a heart of 40 bpm."""
    val = source(make_store(tmp_path / "s", stuck=slice(100, 220)), part="val", augment=False)
    batch = val.draw([0], 12, 60, 8)
    assert batch.hr_bpm.tolist() == pytest.approx([90] * 12, abs=12)
    assert float(batch.bvp.std(1).min()) > 0.5
    with pytest.raises(DataError, match="no recording with 250 samples"):
        val.draw([0], 1, 250, 8)


def test_augmented_windows_are_reproducible(tmp_path: Path) -> None:
    train = source(make_store(tmp_path / "s"), part="all")
    a, b = train.draw([4, 2], 3, 64, 8), train.draw([4, 2], 3, 64, 8)
    assert torch.equal(a.rgb, b.rgb)
    assert torch.equal(a.bvp, b.bvp)


def test_stores_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    with pytest.raises(DataError, match="no recordings in part 'test'"):
        source(store, part="test")
    with pytest.raises(DataError, match="needs 36 px"):
        source(store).draw([0], 1, 64, 36)
    with pytest.raises(DataError, match=r"prepare it at 30\.0 Hz"):
        source(make_store(tmp_path / "slow", fs=25.0))
    with pytest.raises(DataError, match="no prepared store"):
        source(tmp_path)


def test_one_person_has_no_splits(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s")
    manifest = json.loads((store / "manifest.json").read_text())
    manifest["splits"] = {"seed": 0, "folds": 5}
    (store / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r'two persons are needed.*part = "all"'):
        source(store)
    assert source(store, part="all").items
