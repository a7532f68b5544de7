"""Where batches come from: pools, stretches in time, mixtures, workers."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kdphys.errors import DataError, InvalidInputError, OutputError
from kdphys.train.augment import Augmentation, play, recolour, stretch_range
from kdphys.train.config import DataConfig, SourceConfig
from kdphys.train.data import Fixed, Mixture, Steps, from_synth
from kdphys.train.pool import PoolSource, collate, cut, read_pool, write_pool
from tests.train.clips import make_pool, pool_arrays


def source(path: Path, **how: object) -> SourceConfig:
    return SourceConfig(kind="pool", path=str(path), **how)  # type: ignore[arg-type]


def test_pool_round_trip(tmp_path: Path) -> None:
    arrays = pool_arrays()
    write_pool(tmp_path / "sub" / "pool", arrays)
    got = read_pool(tmp_path / "sub" / "pool")
    for key, value in arrays.items():
        assert np.array_equal(got[key], value), key
    assert [f.name for f in (tmp_path / "sub").iterdir()] == ["pool"]  # no half-written one is left
    with pytest.raises(OutputError, match="cannot write the pool"):
        write_pool(tmp_path / "sub" / "pool", pool_arrays(seed=1))
    assert np.array_equal(read_pool(tmp_path / "sub" / "pool")["rgb"], arrays["rgb"])


def test_bad_pools_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="render = N"):
        read_pool(tmp_path / "none")
    (tmp_path / "junk.npz").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="expected the folder of a pool"):
        read_pool(tmp_path / "junk.npz")
    write_pool(tmp_path / "fast", pool_arrays(), fs=60.0)
    with pytest.raises(DataError, match="60"):
        read_pool(tmp_path / "fast")
    write_pool(tmp_path / "odd", pool_arrays() | {"bvp": np.zeros((2, 3))})
    with pytest.raises(DataError, match="expected rgb float16 or uint8"):
        read_pool(tmp_path / "odd")


def test_a_pool_stays_on_disk(tmp_path: Path) -> None:
    # 60 MB of pixels in four clips: a batch of one reads one of them.
    arrays = pool_arrays(n=4, frames=96, size=12)
    arrays["rgb"] = np.broadcast_to(arrays["rgb"][:, :, :1, :1], (4, 96, 230, 230, 3))
    write_pool(tmp_path / "p", arrays)
    pool = PoolSource(source(tmp_path / "p", augment=False))
    assert len(pickle.dumps(pool)) < 10_000  # what a worker that starts afresh is given
    tracemalloc.start()
    try:
        pool.draw([1], 1, 12, 230)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_without_augmentation_the_clip_is_the_clip(tmp_path: Path) -> None:
    pool = PoolSource(source(make_pool(tmp_path / "p"), augment=False))
    batch = pool.draw([1], 6, 96, 12)
    assert batch.rgb.shape == (6, 96, 3, 12, 12)
    order = [int((pool.bvp == b).all(1).nonzero()) for b in batch.bvp]
    assert sorted(order) == list(range(6))
    assert torch.equal(batch.rgb, torch.stack([pool.rgb(i) for i in order]).permute(0, 1, 4, 2, 3).float())
    assert torch.isnan(batch.hr_bpm).tolist() == (~batch.has_pulse).tolist()


def test_augmented_clips_keep_pulse_and_label_together(tmp_path: Path) -> None:
    pool = PoolSource(source(make_pool(tmp_path / "p", n=4, frames=300)))
    rng, how = np.random.default_rng(3), Augmentation(flicker=0.0)
    labels = [(float(pool.hr_bpm[i]), bool(pool.has_pulse[i])) for i in range(4)]
    batch = collate([cut(pool.rgb(i), pool.bvp[i], *labels[i], 160, rng, True, how) for i in range(4)])
    assert float(batch.rgb.min()) >= 0
    assert float(batch.rgb.max()) <= 255
    for i in range(4):
        if not batch.has_pulse[i]:
            continue
        green = batch.rgb[i, :, 1].mean((1, 2))
        assert float(torch.corrcoef(torch.stack([green, batch.bvp[i]]))[0, 1]) > 0.9
        power = torch.fft.rfft(batch.bvp[i] * torch.hann_window(160), 60 * 160).abs()
        assert float(power.argmax()) * 30 * 60 / (60 * 160) == pytest.approx(float(batch.hr_bpm[i]), abs=2)


def test_same_seed_same_batch(tmp_path: Path) -> None:
    pool = PoolSource(source(make_pool(tmp_path / "p")))
    a, b, c = pool.draw([1, 2], 3, 64, 12), pool.draw([1, 2], 3, 64, 12), pool.draw([1, 3], 3, 64, 12)
    assert torch.equal(a.rgb, b.rgb)
    assert not torch.equal(a.rgb, c.rgb)
    with pytest.raises(DataError, match="needs 200 frames at 12 px"):
        pool.draw([1], 1, 200, 12)


def test_stretch_stays_within_the_clip_and_human_rates() -> None:
    assert stretch_range(60, 300, 160, 1.35) == pytest.approx((1 / 1.35, 1.35))
    assert stretch_range(190, 300, 160, 1.35) == pytest.approx((1 / 1.35, 200 / 190))
    assert stretch_range(44, 300, 160, 1.35) == pytest.approx((40 / 44, 1.35))
    assert stretch_range(100, 160, 160, 1.35)[1] == 1.0
    assert stretch_range(float("nan"), 200, 160, 1.35)[1] == pytest.approx(199 / 159)
    ramp = torch.arange(10.0)
    assert play(ramp, 0.5, 1.5, 4).tolist() == pytest.approx([0.5, 2.0, 3.5, 5.0])


def test_brightening_never_clips_the_pulse_away() -> None:
    rgb = torch.full((5, 3, 12, 12), 200.0)
    how = Augmentation(crop=1.0, gain=2.0, noise=0.0)
    for seed in range(20):
        out = recolour(rgb, np.random.default_rng(seed), how)
        assert float(out.max()) <= 255.0
        assert float((out == 255).float().mean()) < 0.5


def test_a_rhythmic_light_is_the_same_everywhere_and_comes_now_and_then() -> None:
    rgb = torch.rand(300, 3, 12, 12).mul(100).add(50)[:1].expand(300, -1, -1, -1)
    how = Augmentation(crop=1.0, gain=0.0, noise=0.0, flip=0.0, flicker=0.03)
    swings = []
    for seed in range(60):
        gain = recolour(rgb, np.random.default_rng(seed), how) / rgb
        assert float((gain - gain.mean((2, 3), keepdim=True)).abs().max()) < 1e-5
        swings.append(float(gain.amax() - 1))
    some = [s for s in swings if s > 1e-6]
    assert 5 <= len(some) <= 25
    assert 0.0001 < min(some) < 0.005 < max(some) < 0.045


def test_mixture_follows_the_weights_and_the_step(tmp_path: Path) -> None:
    dark, bright = pool_arrays(seed=1), pool_arrays(seed=2)
    dark["rgb"], bright["rgb"] = dark["rgb"] // 8, bright["rgb"] // 2 + 100
    write_pool(tmp_path / "dark", dark)
    write_pool(tmp_path / "bright", bright)
    sources = (source(tmp_path / "dark", weight=1.0), source(tmp_path / "bright", weight=3.0))
    mixture = Mixture(DataConfig(frames=16, batch=1, sources=sources), 12, seed=0)
    drawn = [mixture.draw(step) for step in range(80)]
    share = np.mean([float(b.rgb.mean()) > 60 for b in drawn])
    assert 0.6 < share < 0.9
    assert torch.equal(mixture.draw(41).rgb, drawn[41].rgb)


def test_workers_take_turns_in_the_order_of_steps(tmp_path: Path) -> None:
    config = DataConfig(frames=16, batch=1, sources=(source(make_pool(tmp_path / "p")),))
    mixture = Mixture(config, 12, seed=0)
    alone = torch.utils.data.DataLoader(Steps(mixture, 3), batch_size=None)
    two = torch.utils.data.DataLoader(Steps(mixture, 3), batch_size=None, num_workers=2)
    for a, b, _ in zip(alone, two, range(5), strict=False):
        assert torch.equal(a.rgb, b.rgb)
    # Two processes that train together see batches of their own.
    first, second = (next(iter(Steps(mixture, 0, rank, 2))) for rank in (0, 1))
    assert not torch.equal(first.rgb, second.rgb)


def test_generator_batches_change_layout_and_hide_the_rate_of_no_pulse() -> None:
    rgb = torch.rand(2, 8, 6, 6, 3) * 255
    sample = SimpleNamespace(
        rgb=rgb, bvp=torch.rand(2, 8), hr_bpm=torch.tensor([70.0, 80.0]), has_pulse=torch.tensor([True, False])
    )
    batch = from_synth(sample)
    assert torch.equal(batch.rgb[1, 3, 2], rgb[1, 3, :, :, 2])
    assert batch.hr_bpm[0] == 70
    assert torch.isnan(batch.hr_bpm[1])


@pytest.mark.parametrize("name", ["rgb.npy", "bvp.npy", "pool.json"])
def test_damaged_pools_are_said(tmp_path: Path, name: str) -> None:
    file = make_pool(tmp_path / "p", n=3, frames=64) / name
    whole = file.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:middle] + b"?" + whole[middle + 1 :], b"", None):
        file.unlink() if damaged is None else file.write_bytes(damaged)
        with pytest.raises(DataError, match="delete it to render it anew"):
            read_pool(tmp_path / "p")


def test_a_wave_that_is_no_number_is_said(tmp_path: Path) -> None:
    arrays = pool_arrays(n=3, frames=64)
    arrays["bvp"][0, 5] = np.nan
    write_pool(tmp_path / "nan", arrays)
    with pytest.raises(DataError, match="not a number"):
        read_pool(tmp_path / "nan")


def test_a_validation_without_a_pulse_is_refused(tmp_path: Path) -> None:
    arrays = pool_arrays(n=4, frames=64)
    arrays["has_pulse"][:] = False
    write_pool(tmp_path / "p", arrays)
    source = SourceConfig(kind="pool", path=str(tmp_path / "p"))
    with pytest.raises(DataError, match="no clip with a pulse"):
        Fixed(DataConfig(frames=32, batch=2, sources=(source,), validation=source), 12)


@pytest.mark.parametrize("scene", [{"mbps": 3}, {"hr_bpm": "70"}, {"gop": "12"}, {"motion": "dancing"}])
def test_conditions_that_no_scene_can_have_are_refused_before_any_is_rendered(scene: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=r"scene = .* cannot be"):
        Mixture(DataConfig(sources=(SourceConfig(scene=scene, codec_share=1.0),)), 12, 0)
