"""Pools rendered by the generator itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kdphys.data.synth import bank
from kdphys.errors import DataError
from kdphys.train import pool
from kdphys.train.config import SourceConfig
from kdphys.train.data import ClipBatch, SynthSource, open_source, render
from kdphys.train.pool import PoolSource, ensure_pool, read_pool

pytest.importorskip("anny")


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDPHYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        # Two coarse heads are built in seconds.
        patch.setattr(bank, "BankSpec", partial(bank.BankSpec, size=64))
        yield


def test_rendered_pool_holds_what_was_asked_for_and_is_reproducible(tmp_path: Path) -> None:
    config = SourceConfig(
        kind="pool", path=str(tmp_path / "a"), render=5, render_frames=24, codec_share=0.0, seed=3, heads=2
    )
    ensure_pool(config, 16)
    a = read_pool(config.path)
    assert a["rgb"].shape == (5, 24, 16, 16, 3)
    assert a["rgb"].std(dtype=float) > 5
    assert (a["rgb"] % 1 != 0).mean() > 0.5  # means over pixels keep their fractions
    assert np.array_equal(np.isfinite(a["hr_bpm"]), a["has_pulse"])
    assert len({clip.tobytes() for clip in a["rgb"]}) == 5
    again = replace(config, path=str(tmp_path / "b"))
    assert isinstance(open_source(again, 16), PoolSource)
    assert np.array_equal(read_pool(again.path)["rgb"], a["rgb"])
    before = (tmp_path / "a").stat().st_mtime_ns
    ensure_pool(config, 16)  # there already
    assert (tmp_path / "a").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"rendered with render = 5, not 6, seed = 3, not 4; delete it"):
        ensure_pool(replace(config, render=6, seed=4), 16)


def test_a_rendering_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SourceConfig(
        kind="pool", path=str(tmp_path / "whole"), render=10, render_frames=16, codec_share=0.0, seed=3, heads=2
    )
    ensure_pool(config, 16)
    drawn: list[int] = []

    def until(stop: int, config: SourceConfig, seed: Sequence[int], *how: int) -> ClipBatch:
        if seed[1] == stop:
            raise KeyboardInterrupt
        drawn.append(seed[1])
        return render(config, seed, *how)

    stopped = replace(config, path=str(tmp_path / "stopped"))
    monkeypatch.setattr(pool, "render", partial(until, 2))
    with pytest.raises(KeyboardInterrupt):
        ensure_pool(stopped, 16)
    assert not (tmp_path / "stopped").exists()
    monkeypatch.setattr(pool, "render", partial(until, -1))
    ensure_pool(stopped, 16)
    assert drawn == [0, 1, 2]
    whole, parts = read_pool(config.path), read_pool(stopped.path)
    assert all(np.array_equal(whole[key], parts[key], equal_nan=key == "hr_bpm") for key in whole)

    other = replace(config, path=str(tmp_path / "other"))
    monkeypatch.setattr(pool, "render", partial(until, 1))
    with pytest.raises(KeyboardInterrupt):
        ensure_pool(other, 16)
    drawn.clear()
    monkeypatch.setattr(pool, "render", partial(until, -1))
    ensure_pool(replace(other, seed=4), 16)  # of other people: none of the first ones may be among them
    assert drawn == [0, 1, 2]
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")) == ["other", "stopped", "whole"]


def test_two_runs_that_need_the_same_pool_render_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SourceConfig(
        kind="pool", path=str(tmp_path / "p"), render=4, render_frames=16, codec_share=0.0, seed=3, heads=2
    )
    calls: list[int] = []

    def slowly(config: SourceConfig, seed: Sequence[int], *how: int) -> ClipBatch:
        calls.append(seed[1])
        time.sleep(0.5)
        return render(config, seed, *how)

    monkeypatch.setattr(pool, "render", slowly)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: ensure_pool(config, 16), range(2)))
    assert calls == [0]
    assert len(read_pool(config.path)["rgb"]) == 4


def test_on_the_fly_batches_depend_on_the_seed_alone() -> None:
    source = SynthSource(SourceConfig(codec_share=0.0, heads=2))
    a, b, c = (source.draw(seed, 1, 16, 16) for seed in ((0, 1), (0, 1), (0, 2)))
    assert a.rgb.shape == (1, 16, 3, 16, 16)
    assert np.array_equal(a.rgb, b.rgb)
    assert not np.array_equal(a.rgb, c.rgb)


def test_what_all_scenes_share_reaches_the_renderer() -> None:
    silent = SynthSource(SourceConfig(codec_share=0.0, heads=2, scene={"no_pulse_share": 1.0}))
    assert not silent.draw((0, 1), 2, 16, 16).has_pulse.any()
