"""Signals: each function against a slower, independent way to the same result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal

from kdphys.dsp import (
    bandpass,
    detrend,
    heart_frequency,
    heart_spectrum,
    peak_frequency,
    pulse_frequency,
    resample_by_time,
    runs,
    spectrum,
)
from kdphys.errors import InvalidInputError

# Detrending


def dense_detrend(x, lam):
    d2 = np.diff(np.eye(len(x)), n=2, axis=0)
    return x - np.linalg.solve(np.eye(len(x)) + lam**2 * d2.T @ d2, x)


@settings(deadline=None)
@given(st.integers(3, 60), st.sampled_from([1.0, 10.0, 100.0]), st.integers(0, 2**32 - 1))
def test_detrend_is_the_dense_solution(n, lam, seed):
    x = np.random.default_rng(seed).standard_normal((n, 2)).cumsum(axis=0)
    np.testing.assert_allclose(detrend(x, lam), dense_detrend(x, lam), atol=1e-6)
    np.testing.assert_allclose(detrend(x[:, 1], lam), detrend(x, lam)[:, 1], atol=1e-12)


def test_detrend_removes_lines_and_keeps_the_pulse():
    t = np.arange(900) / 30
    pulse = np.sin(2 * np.pi * 1.2 * t)
    got = detrend(pulse + 5 + 0.3 * t, 100)
    np.testing.assert_allclose(got[60:-60], pulse[60:-60], atol=0.05)
    np.testing.assert_allclose(detrend(5 + 0.3 * t, 100), 0, atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_detrend_of_less_than_a_bend_is_nothing(n):
    np.testing.assert_array_equal(detrend(np.arange(float(n)) + 7), np.zeros(n))


def test_detrend_of_an_hour_is_linear_in_memory():
    """Dense, 108,000 samples would need 93 GB."""
    x = np.random.default_rng(0).standard_normal(108_000)
    assert detrend(x).std() == pytest.approx(x.std(), rel=0.05)


# Band-pass


def amplitude(x, f, fs):
    t = np.arange(len(x)) / fs
    w = np.hanning(len(x))
    return 2 * abs((x * w * np.exp(-2j * np.pi * f * t)).sum()) / w.sum()


@pytest.mark.parametrize("fs", [15.0, 30.0, 100.0])
def test_bandpass_keeps_the_band_in_place_and_drops_the_rest(fs):
    t = np.arange(round(60 * fs)) / fs
    inside = np.sin(2 * np.pi * 1.4 * t)
    got = bandpass(inside + np.sin(2 * np.pi * 0.1 * t) + np.sin(2 * np.pi * 6.5 * t) + 40, fs)
    middle = slice(round(5 * fs), -round(5 * fs))
    assert np.corrcoef(got[middle], inside[middle])[0, 1] > 0.995  # and so not shifted in time
    assert amplitude(got[middle], 1.4, fs) == pytest.approx(1, abs=0.05)
    assert amplitude(got[middle], 0.1, fs) < 0.01
    assert amplitude(got[middle], 6.5, fs) < 0.1


def test_bandpass_is_scipys_filtfilt_on_every_column():
    x = np.random.default_rng(0).standard_normal((200, 3))
    b, a = signal.butter(1, [0.6 / 15, 3.3 / 15], "bandpass")
    np.testing.assert_allclose(bandpass(x, 30.0, 0.6, 3.3, 1), signal.filtfilt(b, a, x, axis=0), atol=1e-10)


@pytest.mark.parametrize(
    ("n", "fs", "low", "high", "message"),
    [
        (300, 6.0, 0.65, 3.5, "does not fit a signal sampled at 6.0 Hz"),
        (300, 30.0, 3.5, 0.65, "does not fit"),
        (300, 30.0, 0.0, 3.5, "does not fit"),
        (15, 30.0, 0.65, 3.5, "more than 15 samples, got 15"),
    ],
)
def test_bandpass_refuses(n, fs, low, high, message):
    with pytest.raises(InvalidInputError, match=message):
        bandpass(np.zeros(n), fs, low, high)


# Spectrum


@settings(max_examples=80, deadline=None)
@given(st.floats(41, 199), st.sampled_from([10.0, 12.3, 30.0, 60.0]), st.sampled_from([20.0, 30.0, 64.0]))
def test_peaks_between_bins_are_found(bpm, seconds, fs):
    t = np.arange(round(seconds * fs)) / fs
    found = 60 * peak_frequency(*spectrum(3 + np.sin(2 * np.pi * bpm / 60 * t + 0.4), fs), 40 / 60, 200 / 60)
    assert found == pytest.approx(bpm, abs=0.4 if seconds < 20 else 0.1)


def test_spectrum_is_as_fine_as_asked():
    for resolution in (0.05 / 60, 0.25 / 60):
        f, power = spectrum(np.random.default_rng(0).standard_normal(300), 30.0, resolution)
        assert f[1] - f[0] <= resolution
        assert len(f) == len(power)
    f, _ = spectrum(np.random.default_rng(0).standard_normal(100_000), 30.0, 1.0)
    assert len(f) > 50_000  # a long signal is never cut


def test_spectrum_is_a_zero_padded_transform():
    x = np.random.default_rng(0).standard_normal(64) + 9
    f, power = spectrum(x, 8.0, 8.0 / 128)
    w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 63)
    for k in (0, 5, 40):
        direct = ((x - x.mean()) * w * np.exp(-2j * np.pi * f[k] * np.arange(64) / 8.0)).sum()
        assert power[k] == pytest.approx(abs(direct) ** 2)


def test_peak_is_looked_for_in_the_band_only():
    f = np.linspace(0, 5, 501)
    power = np.exp(-(((f - 0.3) / 0.05) ** 2)) * 9 + np.exp(-(((f - 1.234) / 0.05) ** 2))
    assert peak_frequency(f, power, 0.7, 3.3) == pytest.approx(1.234, abs=1e-3)
    assert peak_frequency(f, power, 0.1, 3.3) == pytest.approx(0.3, abs=1e-3)
    assert peak_frequency(f, 1 - f, 0.7, 3.3) == pytest.approx(0.7, abs=0.02)  # falling: at the edge, not outside
    with pytest.raises(InvalidInputError, match="no spectrum bin"):
        peak_frequency(f, power, 6.0, 7.0)


def test_a_slow_heart_is_not_told_at_its_second_harmonic():
    t = np.arange(300) / 30

    def rate(*tones):
        wave = sum(a * np.sin(2 * np.pi * bpm / 60 * t + bpm) for bpm, a in tones)
        return 60 * heart_frequency(*heart_spectrum(wave, 30.0))

    assert rate((48, 0.8), (96, 1.0)) == pytest.approx(48, abs=0.5)
    assert rate((48, 0.6), (96, 1.0)) == pytest.approx(96, abs=0.5)  # too little at the half to be sure of it
    assert rate((70, 0.9), (96, 1.0)) == pytest.approx(96, abs=1.0)  # strong, but not at the half
    assert rate((38, 0.9), (76, 1.0)) == pytest.approx(76, abs=1.5)  # the half is no heart rate
    f = np.linspace(0, 5, 5001)
    drift = 3 * np.exp(-f) + np.exp(-(((f - 1.6) / 0.05) ** 2))
    assert heart_frequency(f, drift) == pytest.approx(1.6, abs=0.01)  # strong at the half, but no peak there


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_heart_that_pushes_twice_in_a_beat_is_told_by_what_goes_in_step(seed: int):
    """96 a minute with a little of 48: one heart when they keep step while the rate wanders, else a heart and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(300) / 30
    phase = 2 * np.pi * (0.8 * t + 0.01 * np.sin(0.5 * t + seed))
    other = 2 * np.pi * 0.8 * t + np.cumsum(rng.normal(0, 0.25, 300))
    noise = bandpass(rng.normal(0, 0.2, 300), 30.0, 0.6, 4.0)
    one = 0.35 * np.sin(phase) + np.sin(2 * phase + 1) + noise
    two = 0.35 * np.sin(other) + np.sin(2 * phase + 1) + noise
    assert 60 * heart_frequency(*heart_spectrum(one, 30.0)) == pytest.approx(96, abs=1)
    assert 60 * pulse_frequency(one, 30.0) == pytest.approx(48, abs=1)
    assert 60 * pulse_frequency(two, 30.0) == pytest.approx(96, abs=1)
    assert 60 * pulse_frequency(one[:200], 30.0) == pytest.approx(96, abs=2)  # too short to tell


# Resampling


def curve(t):
    return np.stack([np.sin(2 * np.pi * 1.1 * t), np.cos(2 * np.pi * 0.7 * t)], axis=-1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([24.0, 30.0, 50.0]), st.floats(0, 0.45), st.floats(-100, 1e5))
@example(1, 30.0, 1e-6, 0.0)  # the last sample lies some nanoseconds after the last frame
def test_jittery_times_give_the_curve(seed, rate, jitter, start):
    rng = np.random.default_rng(seed)
    times = start + (np.arange(round(8 * rate)) + rng.uniform(-jitter, jitter, round(8 * rate))) / rate
    values, valid, t0 = resample_by_time(times, curve(times - start), 30.0)
    grid = t0 + np.arange(len(values)) / 30.0
    assert t0 == times[0]
    assert valid.all()
    assert times[-1] - 1 / 30 <= grid[-1] <= times[-1] + 1e-6
    np.testing.assert_allclose(values, curve(grid - start), atol=0.09)
    np.testing.assert_allclose(values[3:-3], curve(grid - start)[3:-3], atol=0.05)


def test_straight_lines_stay_as_they_are():
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.09, 200))
    values, valid, t0 = resample_by_time(times, 3 - 2 * times, 30.0)
    inner = slice(3, -3)  # a sample on a bend of the line is the mean over its period; at the ends of half of it
    np.testing.assert_allclose(values[inner], (3 - 2 * (t0 + np.arange(len(values)) / 30.0))[inner], atol=1e-9)
    assert valid.all()


def test_faster_input_is_averaged_not_aliased():
    """A 29 Hz flicker at 240 fps, picked at 30 Hz, would look like a pulse of 60 bpm."""
    times = np.arange(0, 20, 1 / 240)
    flicker = np.sin(2 * np.pi * 29 * times)
    values, _, _ = resample_by_time(times, flicker, 30.0)
    assert amplitude(flicker[::8], 1.0, 30.0) > 0.99
    assert amplitude(values, 1.0, 30.0) < 0.05
    pulse, _, _ = resample_by_time(times, np.sin(2 * np.pi * 1.2 * times), 30.0)
    assert amplitude(pulse, 1.2, 30.0) == pytest.approx(1, abs=0.01)


def test_averaging_uses_every_sample():
    """Noise of eight samples for one must fall to about 1/√8."""
    times = np.arange(0, 60, 1 / 240)
    noise = np.random.default_rng(0).standard_normal(len(times))
    values, _, _ = resample_by_time(times, noise, 30.0)
    assert values.std() == pytest.approx(8**-0.5, rel=0.1)


def test_gaps_stay_gaps_and_short_ones_are_bridged():
    times = np.arange(0, 10, 1 / 30)
    kept = ~((times > 2) & (times < 2.4)) & ~((times > 5) & (times < 7))
    values, valid, t0 = resample_by_time(times[kept], curve(times[kept]), 30.0)
    grid = t0 + np.arange(len(values)) / 30.0
    gap = (grid > 5.001) & (grid < 6.999)
    assert len(values) == 300
    assert not valid[gap].any()
    assert np.isnan(values[gap]).all()
    assert valid[~gap].mean() > 0.98
    assert np.isfinite(values[valid]).all()
    steady = valid & ~((grid > 1.9) & (grid < 2.5)) & (grid > 0.1) & (grid < 9.9)
    np.testing.assert_allclose(values[steady], curve(grid)[steady], atol=0.07)


def test_nan_rows_are_missing():
    times = np.arange(0, 4, 1 / 30)
    values = curve(times)
    values[40:80, 1] = np.nan
    _, valid, _ = resample_by_time(times, values, 30.0)
    assert not valid[41:79].any()
    assert valid[:39].all()
    assert valid[81:].all()


def test_first_output_time_can_be_chosen():
    times = np.arange(1.0, 3.0, 1 / 30)
    values, valid, t0 = resample_by_time(times, times, 30.0, t0=0.5)
    assert t0 == 0.5
    assert not valid[:14].any()
    assert valid[16:].all()
    grid = t0 + np.arange(len(values)) / 30.0
    np.testing.assert_allclose(values[18:-2], grid[18:-2], atol=1e-9)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_resample(n):
    values, valid, _ = resample_by_time(np.arange(float(n)), np.ones((n, 3)), 30.0)
    assert values.shape == (n, 3)
    assert not valid.any()


def test_times_that_do_not_increase_are_refused():
    with pytest.raises(InvalidInputError, match="must increase"):
        resample_by_time([0.0, 0.1, 0.1], [1.0, 2.0, 3.0], 30.0)


@given(st.lists(st.booleans(), max_size=40))
def test_runs_cover_what_is_true(mask):
    covered = np.zeros(len(mask), bool)
    previous = -1
    for run in runs(np.array(mask, bool)):
        assert run.start > previous  # apart, in order
        assert not covered[run].any()
        covered[run] = True
        previous = run.stop
    np.testing.assert_array_equal(covered, mask)


def test_a_faint_pulse_in_noise_is_found_more_often_than_under_hann() -> None:
    rng, t = np.random.default_rng(5), np.arange(300) / 30
    found = {heart_spectrum: 0, spectrum: 0}
    for _ in range(200):
        bpm = rng.uniform(50, 150)
        wave = bandpass(0.2 * np.sin(2 * np.pi * (bpm / 60 * t + rng.random())) + rng.normal(size=300), 30.0, 0.6, 4.0)
        for method in found:
            found[method] += abs(60 * heart_frequency(*method(wave, 30.0)) - bpm) < 5
    assert found[heart_spectrum] > found[spectrum] + 8
    assert found[heart_spectrum] >= 95
