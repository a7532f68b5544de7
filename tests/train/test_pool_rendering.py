"""Pools rendered by the generator itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from kdphys.data.synth import bank
from kdphys.train.config import SourceConfig
from kdphys.train.data import SynthSource, open_source
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
        kind="pool", path=str(tmp_path / "a.npz"), render=5, render_frames=24, codec_share=0.0, seed=3, heads=2
    )
    ensure_pool(config, 16)
    a = read_pool(config.path)
    assert a["rgb"].shape == (5, 24, 16, 16, 3)
    assert a["rgb"].std(dtype=float) > 5
    assert (a["rgb"] % 1 != 0).mean() > 0.5  # means over pixels keep their fractions
    assert np.array_equal(np.isfinite(a["hr_bpm"]), a["has_pulse"])
    assert len({clip.tobytes() for clip in a["rgb"]}) == 5
    again = replace(config, path=str(tmp_path / "b.npz"))
    assert isinstance(open_source(again, 16), PoolSource)
    assert np.array_equal(read_pool(again.path)["rgb"], a["rgb"])
    before = (tmp_path / "a.npz").stat().st_mtime_ns
    ensure_pool(config, 16)  # there already
    assert (tmp_path / "a.npz").stat().st_mtime_ns == before


def test_on_the_fly_batches_depend_on_the_seed_alone() -> None:
    source = SynthSource(SourceConfig(codec_share=0.0, heads=2))
    a, b, c = (source.draw(seed, 1, 16, 16) for seed in ((0, 1), (0, 1), (0, 2)))
    assert a.rgb.shape == (1, 16, 3, 16, 16)
    assert np.array_equal(a.rgb, b.rgb)
    assert not np.array_equal(a.rgb, c.rgb)


def test_what_all_scenes_share_reaches_the_renderer() -> None:
    silent = SynthSource(SourceConfig(codec_share=0.0, heads=2, scene={"no_pulse_share": 1.0}))
    assert not silent.draw((0, 1), 2, 16, 16).has_pulse.any()
