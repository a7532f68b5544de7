"""Every number of rPPG-Toolbox's own code (commit d807b01, numpy 2.4.6, scipy 1.17.1) that kdphys promises to give."""

from __future__ import annotations

import numpy as np
import pytest

from kdphys.classical.toolbox import toolbox
from kdphys.dsp import detrend
from kdphys.evaluate import metrics
from kdphys.evaluate.protocols import toolbox_score

FS = 30
EXACT = {"rel": 1e-9, "abs": 1e-9}


def waves(hr: float) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(900) / FS
    f = hr / 60
    label = np.sin(2 * np.pi * f * t) + 0.3 * np.sin(4 * np.pi * f * t + 0.5)
    prediction = (
        0.8 * np.sin(2 * np.pi * f * t + 0.4)
        + 0.5 * np.sin(2 * np.pi * 0.9 * t + 1)
        + 0.25 * np.sin(2 * np.pi * 3.1 * t)
        + 0.01 * t
    )
    return prediction, label


def difference(x: np.ndarray) -> np.ndarray:
    step = np.diff(x)
    return np.append(step / np.std(step), 0)


#: rate, FFT (label, prediction), SNR, MACC, peak (label, prediction)
ROWS = [
    (60, 59.765625, 59.765625, 7.063848149398334, 0.8198008686269869, 60.0, 84.82758620689656),
    (72, 72.0703125, 72.0703125, 4.981928781585971, 0.861614326023538, 72.08237986270024, 84.24657534246575),
    (85.5, 86.1328125, 86.1328125, 5.448351282704009, 0.8640312839428218, 85.42372881355932, 85.23111612175873),
    (110, 110.7421875, 110.7421875, 5.105260581184186, 0.87622037402916, 109.95475113122171, 110.079275198188),
]


@pytest.mark.parametrize(("hr", "label_fft", "fft", "snr", "macc", "label_peak", "peak"), ROWS)
def test_one_video(hr, label_fft, fft, snr, macc, label_peak, peak):
    by_fft = toolbox_score(*waves(hr), FS)
    assert by_fft.ref_bpm == pytest.approx(label_fft, **EXACT)
    assert by_fft.hr_bpm == pytest.approx(fft, **EXACT)
    assert by_fft.snr_db == pytest.approx(snr, **EXACT)
    assert by_fft.macc == pytest.approx(macc, **EXACT)
    by_peak = toolbox_score(*waves(hr), FS, hr_method="peak")
    assert by_peak.ref_bpm == pytest.approx(label_peak, **EXACT)
    assert by_peak.hr_bpm == pytest.approx(peak, **EXACT)
    assert by_peak.macc == pytest.approx(macc, **EXACT)


@pytest.mark.parametrize(
    ("hr", "snr", "macc"),
    [(60, 7.049371420258072, 0.8212674898604895), (72, 5.033225265475662, 0.8615733195868797)],
)
def test_difference_target(hr, snr, macc):
    got = toolbox_score(*(difference(x) for x in waves(hr)), FS, difference=True)
    assert got.snr_db == pytest.approx(snr, **EXACT)
    assert got.macc == pytest.approx(macc, **EXACT)


def test_aggregate_of_the_peak_rows():
    rows = [toolbox_score(*waves(hr), FS, hr_method="peak") for hr, *_ in ROWS]
    estimate, reference = [r.hr_bpm for r in rows], [r.ref_bpm for r in rows]
    for got, value, error in (
        (metrics.mae(estimate, reference), 9.327229611357236, 5.101718126837316),
        (metrics.rmse(estimate, reference), 13.824157247578642, 11.244260951370912),
        (metrics.mape(estimate, reference), 14.648361867114515, 8.436499401689833),
        (metrics.pearson(estimate, reference), 0.880820449500023, 0.33478002908072146),
        (metrics.mean([r.snr_db for r in rows]), 5.649648116453505, 0.4170677770400289),
        (metrics.mean([r.macc for r in rows]), 0.8554167131556267, 0.010647481868783925),
    ):
        assert got.value == pytest.approx(value, **EXACT)
        assert got.error == pytest.approx(error, **EXACT)
        assert got.n == 4


def test_detrend():
    half = [11.97760423, 3.99077832, -1.99724535, -5.98806361, -7.98307359]
    np.testing.assert_allclose(detrend(np.arange(10.0) ** 2, 100), half + half[::-1], atol=5e-9)


#: method → samples 100 and 101, SNR, MACC (None where it is not known)
CLASSICAL = {
    "green": (112.1780166, 112.4156553, 13.746515, 0.970895),
    "pos": (0.0307628, 0.120317, 16.035866, 0.97573),
    "chrom": (0.004384, -0.0036544, 14.652212, 0.978552),
    "lgi": (0.1889699, 0.3675663, 13.451135, None),
    "omit": (-0.041026, 0.137252, 13.44913, None),
    "ica": (0.1219249, 0.5526877, 13.332606, None),
}


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical(name):
    t = np.arange(600) / FS
    p = np.sin(2 * np.pi * 1.2 * t) + 0.3 * np.sin(2 * np.pi * 2.4 * t + 0.5)
    m = np.sin(2 * np.pi * 0.4 * t + 0.3)
    rgb = np.stack([150 + 0.5 * p + 4 * m + 0.02 * t, 110 + 1.2 * p + 3 * m - 0.01 * t, 90 + 0.7 * p + 2.5 * m], axis=1)
    first, second, snr, macc = CLASSICAL[name]
    bvp = toolbox(name, rgb, FS)
    sign = np.sign(bvp[100] * first) if name == "ica" else 1.0
    np.testing.assert_allclose(sign * bvp[100:102], [first, second], rtol=1e-4)
    got = toolbox_score(bvp, p, FS)
    assert got.hr_bpm == 72.0703125
    assert got.ref_bpm == 72.0703125
    assert got.snr_db == pytest.approx(snr, rel=1e-4)
    if macc is not None:
        assert got.macc == pytest.approx(macc, rel=1e-4)
