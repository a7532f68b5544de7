"""Block by block gives what resampling the whole gives."""

from __future__ import annotations

import numpy as np
import pytest

from kdphys.clip.transform import Resampler
from kdphys.dsp import resample_by_time


@pytest.mark.parametrize("fps", [12.0, 29.97, 60.0])
@pytest.mark.parametrize("hold", [3, 64])
def test_same_as_offline_with_jitter_and_gaps(fps: float, hold: int) -> None:
    rng = np.random.default_rng(0)
    times = 3.0 + np.cumsum(rng.uniform(0.5, 1.5, 500) / fps)
    times = times[(times < 5) | (times > 6.2)]
    crops = rng.uniform(0, 255, (len(times), 2, 2, 3)).astype(np.float32)
    stream = Resampler(30.0, times[0], hold=hold)
    blocks = [b for t, c in zip(times, crops, strict=True) for b in stream.push(float(t), c)] + stream.flush()
    expected, valid, _ = resample_by_time(times, crops, 30.0)
    ours = np.full(expected.shape, np.nan)
    for block in blocks:
        ours[block.start : block.start + len(block.values)] = block.values
    assert (np.isfinite(ours[:, 0, 0, 0]) == valid).all()
    assert np.nanmax(np.abs(ours - expected)) < 1e-4
    assert sum(block.ends for block in blocks) == 2, "one end a stretch"


def test_one_crop_is_no_stretch() -> None:
    stream = Resampler(30.0, 0.0)
    assert stream.push(0.0, np.zeros((2, 2, 3), np.float32)) == []
    assert [len(b.values) for b in stream.flush()] == [0]
