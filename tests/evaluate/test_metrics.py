"""Metrics against SciPy and against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdphys.errors import InvalidInputError
from kdphys.evaluate import metrics

RNG = np.random.default_rng(3)
REFERENCE = RNG.uniform(50, 120, 40)
ESTIMATE = REFERENCE + RNG.normal(1, 5, 40)


def test_errors_are_those_of_their_definitions():
    e = ESTIMATE - REFERENCE
    assert metrics.mae(ESTIMATE, REFERENCE).value == pytest.approx(sum(abs(x) for x in e) / 40)
    assert metrics.mae(ESTIMATE, REFERENCE).error == pytest.approx(stats.sem(abs(e), ddof=0))
    assert metrics.rmse(ESTIMATE, REFERENCE).value == pytest.approx(np.sqrt(sum(x * x for x in e) / 40))
    assert metrics.rmse(ESTIMATE, REFERENCE).error == pytest.approx(np.sqrt(stats.sem(e**2, ddof=0)))
    shares = 100 * abs(e) / REFERENCE
    assert metrics.mape(ESTIMATE, REFERENCE).value == pytest.approx(shares.mean())
    assert metrics.mape(ESTIMATE, REFERENCE).error == pytest.approx(stats.sem(shares, ddof=0))


def test_pearson_is_scipys():
    got = metrics.pearson(ESTIMATE, REFERENCE)
    want = stats.linregress(REFERENCE / REFERENCE.std(), ESTIMATE / ESTIMATE.std())
    assert got.value == pytest.approx(stats.pearsonr(ESTIMATE, REFERENCE).statistic)
    assert got.error == pytest.approx(want.stderr)  # of the slope of standardised data: √((1 − r²) / (n − 2))


def test_pearson_without_spread_is_undefined():
    assert np.isnan(metrics.pearson([70.0, 71.0], [60.0, 60.0]).value)
    assert np.isnan(metrics.pearson([70.0], [60.0]).value)
    two = metrics.pearson([70.0, 71.0], [60.0, 66.0])
    assert two.value == pytest.approx(1)
    assert np.isnan(two.error)


def test_bland_altman():
    got = metrics.bland_altman(ESTIMATE, REFERENCE)
    e = ESTIMATE - REFERENCE
    assert (got.bias, got.sd) == pytest.approx((e.mean(), stats.tstd(e)))
    assert (got.lower, got.upper) == pytest.approx((e.mean() - 1.96 * stats.tstd(e), e.mean() + 1.96 * stats.tstd(e)))


@given(st.integers(2, 120), st.integers(0, 2**32 - 1))
def test_macc_is_the_best_of_all_rolls(n, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal(n) + 3, np.cumsum(rng.standard_normal(n + 2))
    slow = max(abs(np.corrcoef(a, np.roll(b[:n], k))[0, 1]) for k in range(n - 1))
    assert metrics.macc(a, b) == pytest.approx(slow, abs=1e-9)


def test_macc_of_a_flat_wave_is_undefined():
    assert np.isnan(metrics.macc(np.zeros(50), np.arange(50.0)))


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
def test_snr_of_a_tone_in_white_noise(noise):
    """The tone's power against that of the noise in the rest of the band."""
    fs, n = 30.0, 2**16
    t = np.arange(n) / fs
    x = np.sin(2 * np.pi * 1.3 * t) + noise * np.random.default_rng(0).standard_normal(n)
    rest = 2 * noise**2 / fs * (3.3 - 0.6 - 0.4)
    near = 2 * noise**2 / fs * 0.4
    assert metrics.snr_db(x, fs, 78.0) == pytest.approx(10 * np.log10((0.5 + near) / rest), abs=0.15)


def test_snr_counts_the_second_harmonic_as_pulse_and_other_tones_not():
    t = np.arange(4096) / 30.0
    window = np.hanning(4096)
    pulse, other = np.sin(2 * np.pi * 1.2 * t), np.sin(2 * np.pi * 1.9 * t)
    harmonic = np.sin(2 * np.pi * 2.4 * t)
    clean = metrics.snr_db(window * (pulse + harmonic + 0.1 * other), 30.0, 72.0)
    assert clean == pytest.approx(10 * np.log10(2 / 0.01), abs=0.1)
    assert metrics.snr_db(window * (pulse + other), 30.0, 72.0) == pytest.approx(0, abs=0.1)
    assert metrics.snr_db(window * other, 30.0, 72.0) < -40


def test_risk_coverage_keeps_the_best_first():
    curve = metrics.risk_coverage([-4.0, 1.0, 9.0, 2.0], [0.5, 0.9, 0.1, 0.5])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.75, 1.0])  # equal qualities come together
    np.testing.assert_allclose(curve.mae, [1, 7 / 3, 4])
    np.testing.assert_allclose(curve.threshold, [0.9, 0.5, 0.1])


@given(st.lists(st.tuples(st.floats(-50, 50), st.sampled_from([0.0, 0.3, 0.5, 1.0])), min_size=1, max_size=30))
def test_risk_coverage_is_the_mean_error_above_its_threshold(pairs):
    error, quality = np.array(pairs).T
    curve = metrics.risk_coverage(error, quality)
    assert curve.coverage[-1] == 1
    for coverage, mae, threshold in zip(curve.coverage, curve.mae, curve.threshold, strict=True):
        kept = quality >= threshold
        assert coverage == pytest.approx(kept.mean())
        assert mae == pytest.approx(np.abs(error[kept]).mean())


@pytest.mark.parametrize("metric", [metrics.mae, metrics.rmse, metrics.mape, metrics.pearson, metrics.bland_altman])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0], [1.0], "equally long"),
        ([], [], "equally long"),
        ([1.0, np.nan], [1.0, 2.0], "NaN or infinite"),
        ([1.0, 1.0], [1.0, np.inf], "NaN or infinite"),
    ],
)
def test_bad_numbers_are_refused(metric, a, b, message):
    with pytest.raises(InvalidInputError, match=message):
        metric(a, b)


def test_mape_needs_a_reference():
    with pytest.raises(InvalidInputError, match="reference is 0"):
        metrics.mape([60.0], [0.0])
    with pytest.raises(InvalidInputError, match="one or more finite"):
        metrics.mean([])


@given(st.integers(1, 10_000))
def test_next_power_of_2(n):
    p = metrics.next_power_of_2(n)
    assert p >= n > p / 2
    assert p & (p - 1) == 0
