"""What the protocols say about waves whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdphys.containers import Pulse, Signal
from kdphys.errors import InvalidInputError
from kdphys.evaluate.protocols import Reference, fft_hr, kdphys_scores, toolbox_score, wave_hr
from kdphys.vitals.result import HrWindow


def wave(hr_bpm: float, seconds: float, fs: float, phase: float = 0.0) -> np.ndarray:
    angle = 2 * np.pi * hr_bpm / 60 * np.arange(round(seconds * fs)) / fs + phase
    return np.sin(angle) + 0.3 * np.sin(2 * angle + 0.5)


@settings(max_examples=60, deadline=None)
@given(st.floats(41, 199), st.sampled_from([10.0, 30.0, 73.0]), st.floats(0, 6.28))
def test_rates_between_bins_are_found(hr_bpm, seconds, phase):
    tone = np.sin(2 * np.pi * hr_bpm / 60 * np.arange(round(seconds * 30)) / 30 + phase)
    assert wave_hr(tone, 30.0) == pytest.approx(hr_bpm, abs=0.5)


def test_the_toolbox_is_coarser():
    """What the kdphys protocol mends: 10 s at 30 Hz give the toolbox bins of 3.5 bpm."""
    tone = wave(75.5, 10, 30)
    assert abs(fft_hr(tone, 30.0) - 75.5) > 1.0
    assert abs(wave_hr(tone, 30.0) - 75.5) < 0.5


def test_the_truth_of_a_slow_heart_is_not_its_second_harmonic():
    t = np.arange(0, 12, 1 / 60)
    wave = np.sin(2 * np.pi * 0.77 * t) + 1.05 * np.sin(2 * np.pi * 1.54 * t + 1)
    truth = Reference(bvp=Signal(t, wave))
    assert truth.hr(0.0, 10.0) == pytest.approx(46.2, abs=0.5)


def test_the_reference_of_a_heart_that_pushes_twice_in_a_beat_is_not_its_double() -> None:
    t = np.arange(300) / 30
    phase = 2 * np.pi * 48 / 60 * t + 0.2 * np.sin(0.6 * t)
    wave = 0.3 * np.sin(phase) + np.sin(2 * phase + 0.8)
    assert wave_hr(wave, 30.0) == pytest.approx(48, abs=1)


def test_toolbox_band_of_the_paper():
    x = wave(160, 20, 30) + 0.3 * wave(80, 20, 30)
    assert toolbox_score(x, x, 30.0).hr_bpm == pytest.approx(160, abs=1)
    assert toolbox_score(x, x, 30.0, band_hz=(0.75, 2.5)).hr_bpm == pytest.approx(80, abs=1)


@pytest.mark.parametrize(
    ("x", "fs", "options", "message"),
    [
        (wave(60, 10, 30), 30.0, {"hr_method": "welch"}, "'fft' or 'peak', got 'welch'"),
        (np.full(300, np.nan), 30.0, {}, "finite waves"),
        (np.ones((3, 100)), 30.0, {}, "finite waves"),
        (np.ones(5), 30.0, {}, "5 samples"),
        (wave(60, 10, 5), 5.0, {}, "at 5 Hz"),
        (np.zeros(300), 30.0, {"hr_method": "peak"}, "0 peaks"),
    ],
)
def test_toolbox_refuses(x, fs, options, message):
    with pytest.raises(InvalidInputError, match=message):
        toolbox_score(x, x, fs, **options)


def bvp_signal(hr_bpm: float, seconds: float, fs: float = 64.0, t0: float = 0.0) -> Signal:
    return Signal(t0 + np.arange(round(seconds * fs)) / fs, 500 + wave(hr_bpm, seconds, fs))


def test_reference_from_a_wave():
    reference = Reference(bvp_signal(83.3, 60, t0=-3))
    assert reference.hr(10, 20) == pytest.approx(83.3, abs=0.3)
    assert reference.hr(10, 40) == pytest.approx(83.3, abs=0.3)
    assert reference.hr(50, 60) is None  # it ends at 57 s
    assert reference.hr(-20, -10) is None
    times = np.arange(10, 20, 1 / 30)
    assert np.corrcoef(reference.wave(times), np.interp(times, reference.bvp.times, reference.bvp.values))[0, 1] > 0.999
    assert reference.wave(np.arange(50, 60, 0.1)) is None


def test_reference_with_a_gap():
    whole = bvp_signal(70, 60)
    kept = (whole.times < 22) | (whole.times > 27)
    reference = Reference(Signal(whole.times[kept], whole.values[kept]))
    assert reference.hr(20, 30) is None
    assert reference.hr(30, 40) == pytest.approx(70, abs=0.3)


@pytest.mark.parametrize("rail", ["held", 0.0, 127.0])
def test_a_reference_that_stands_still_is_none(rail: str | float) -> None:
    """The finger slips off the sensor for half a minute: those windows have no truth, the others keep theirs."""
    s = bvp_signal(72.0, 60.0)
    values = s.values.copy()
    off = (s.times >= 10) & (s.times < 40)
    values[off] = values[off][0] if isinstance(rail, str) else rail
    reference = Reference(bvp=Signal(s.times, values))
    assert reference.hr(0.0, 10.0) == pytest.approx(72.0, abs=0.5)
    assert [reference.hr(t, t + 10.0) for t in (10.0, 20.0, 30.0)] == [None] * 3
    assert reference.hr(41.0, 51.0) == pytest.approx(72.0, abs=0.5)


def test_reference_from_rates_leaves_out_readings_that_were_not_taken():
    times = np.arange(0, 60.0)
    values = np.where(times < 30, 60.0, 90.0)
    values[[3, 4]] = [0, 255]
    reference = Reference(hr_bpm=Signal(times, values))
    assert reference.hr(0, 10) == 60
    assert reference.hr(25, 35) == 75
    assert reference.wave(times) is None
    values[40:50] = 0
    assert Reference(hr_bpm=Signal(times, values)).hr(40, 50) is None
    assert Reference(hr_bpm=Signal(times, values)).hr(55, 75) is None


def test_readings_of_the_rate_may_be_some_seconds_apart():
    times = np.arange(0, 60.0, 5.0)
    reference = Reference(hr_bpm=Signal(times, 60 + times))
    assert reference.hr(10, 20) == pytest.approx(72.5)
    gap = (times < 20) | (times > 30)
    assert Reference(hr_bpm=Signal(times[gap], 60 + times[gap])).hr(20, 30) is None
    rare = np.arange(0, 60.0, 15.0)
    assert Reference(hr_bpm=Signal(rare, 60 + rare)).hr(10, 40) is None


def test_no_reference_is_refused():
    with pytest.raises(InvalidInputError, match="'bvp' wave or 'hr_bpm'"):
        Reference()


def test_windows_without_reference_are_counted():
    pulse = Pulse(wave(72, 40, 30), 30.0, 5.0)
    course = [HrWindow(t, t + 10, None if t == 15 else 72.5, 0.8, None, 72.5) for t in (5.0, 15.0, 25.0, 35.0)]
    scores, without = kdphys_scores(pulse, course, Reference(bvp_signal(72, 37)), "take", "anna")
    assert without == 1  # 35–45 s
    assert [s.hr_bpm for s in scores] == [72.5, None, 72.5]
    assert all(s.ref_bpm == pytest.approx(72, abs=0.3) for s in scores)
    assert all(s.snr_db > 10 and s.macc > 0.9 for s in scores)
    assert (scores[0].recording, scores[0].subject) == ("take", "anna")
