from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal, stats

from kdphys.data.synth.pulse import PulseSpec, realise, sample_pulse
from kdphys.errors import InvalidInputError


def _peaks(x: np.ndarray, fs: float) -> np.ndarray:
    found, _ = signal.find_peaks(x, distance=0.2 * fs, prominence=0.5)
    return found / fs


def test_rates_are_spread_evenly_over_the_band() -> None:
    rates = [sample_pulse(np.random.default_rng(k)).hr_bpm for k in range(1500)]
    assert stats.kstest(rates, stats.uniform(40, 160).cdf).pvalue > 0.01


@pytest.mark.parametrize("hr", [42.0, 75.0, 120.0, 195.0])
def test_the_wave_peaks_once_a_beat_at_the_rate_it_says(hr: float) -> None:
    spec = replace(PulseSpec(), hr_bpm=hr, notch=0.25)
    heart = realise(spec, np.random.default_rng(0), 60.0)
    t = np.arange(0, 60, 1 / 100)
    peaks = _peaks(heart.bvp(t), 100)
    assert 60 * (len(peaks) - 1) / (peaks[-1] - peaks[0]) == pytest.approx(heart.hr_bpm(0, 60), abs=1.0)
    assert heart.hr_bpm(0, 60) == pytest.approx(hr, rel=0.08)


def test_intervals_of_the_wave_are_those_of_the_beats() -> None:
    heart = realise(replace(PulseSpec(), rsa=0.06, lf=0.03, notch=0.0), np.random.default_rng(3), 60.0)
    peaks = _peaks(heart.bvp(np.arange(0, 60, 1 / 200)), 200)
    beats = heart.beats[(heart.beats > 0) & (heart.beats < 60)]
    intervals, expected = np.diff(peaks), np.interp(peaks[:-1], beats[:-1], np.diff(beats))
    assert np.corrcoef(intervals, expected)[0, 1] > 0.95
    assert np.std(intervals) > 0.02


def test_breathing_shows_in_the_intervals_and_ectopic_beats_are_early() -> None:
    calm = realise(replace(PulseSpec(), rsa=0.08, lf=0, jitter=0), np.random.default_rng(1), 120.0)
    frequency, power = signal.periodogram(np.interp(np.arange(0, 120, 0.25), calm.beats[1:], calm.ibi_s), 4.0)
    assert frequency[1 + np.argmax(power[1:])] == pytest.approx(15 / 60, abs=0.03)
    ill = realise(replace(PulseSpec(), rsa=0, lf=0, jitter=0, ectopic=0.1), np.random.default_rng(1), 120.0)
    short = np.flatnonzero(ill.ibi_s < 0.8 * 60 / 70)
    assert len(short) > 3
    assert (ill.ibi_s[short[short + 1 < len(ill.ibi_s)] + 1] > 1.2 * 60 / 70).all()


def test_without_a_pulse_there_is_no_wave_and_no_rate() -> None:
    heart = realise(replace(PulseSpec(), present=False), np.random.default_rng(0), 10.0)
    t = np.linspace(0, 10, 301)
    assert not heart.bvp(t).any()
    assert np.isnan(heart.hr_bpm(0, 10))
    assert np.isnan(heart.hr_at(t)).all()


def test_times_that_are_not_known_are_refused() -> None:
    heart = realise(PulseSpec(), np.random.default_rng(0), 10.0)
    with pytest.raises(InvalidInputError, match="known from"):
        heart.bvp([100.0])
    with pytest.raises(InvalidInputError, match="30–240"):
        PulseSpec(hr_bpm=300.0)
