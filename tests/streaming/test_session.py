"""A session gives what measuring the same frames gives, as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kdphys
from kdphys.containers import Frame
from kdphys.vitals.heart_rate import hr_window
from kdphys.vitals.quality import Judge


@pytest.mark.parametrize("method", ["pos", "chrom", "ica"])
def test_what_a_stream_gives_is_what_the_recording_gives(
    method: str, demo_path: Path, demo_frames: list[Frame]
) -> None:
    whole = kdphys.measure_all(demo_path, method)[0]
    with kdphys.stream(method) as session:
        updates = [u for f in demo_frames if (u := session.push(f)) is not None]
    last = session.update
    assert last is not None
    n, shown = len(whole.pulse.bvp), len(last.pulse.bvp)
    assert shown == 300
    np.testing.assert_allclose(last.pulse.bvp, whole.pulse.bvp[-shown:], atol=2e-4)  # of unit standard deviation
    expected = hr_window(Judge(whole.pulse), n - 300, n)
    assert last.vitals.hr_bpm == pytest.approx(expected.hr_bpm, abs=0.01)
    assert last.vitals.sqi == pytest.approx(expected.sqi, abs=0.01)
    first = next(u for u in updates if u.vitals.hr_bpm is not None)
    assert first.t <= 8.0
    assert first.vitals.hr.confidence is not None
    assert [round(u.t) for u in updates if abs(u.t - round(u.t)) < 1e-6] == list(range(1, 12))
