"""Every registered method goes through the same tests."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import kdphys.classical
from kdphys.classical import METHODS
from kdphys.classical.toolbox import TOOLBOX_METHODS, toolbox
from kdphys.dsp import bandpass, peak_frequency, spectrum
from kdphys.errors import InvalidInputError, UnknownNameError

FS = 30.0
SKIN = np.array([150.0, 110.0, 90.0])
SIGNATURE = np.array([0.33, 0.77, 0.53])
#: What is not a method in the package.
SHARED = {"__init__", "common", "jade", "toolbox"}


def blood(hr_bpm: float, seconds: float, fs: float = FS) -> np.ndarray:
    """Blood volume with its second harmonic, systole upwards."""
    phase = 2 * np.pi * hr_bpm / 60 * np.arange(round(seconds * fs)) / fs
    return np.sin(phase) + 0.3 * np.sin(2 * phase + 0.5)


def skin(volume: np.ndarray, light: np.ndarray | float = 0.0, noise: float = 0.0004, seed: int = 0) -> np.ndarray:
    """Mean skin colour that darkens with blood volume, under a light that changes by a share of itself."""
    rng = np.random.default_rng(seed)
    light = np.broadcast_to(np.asarray(light, float), volume.shape)[:, None]
    relative = (1 + light) * (1 - 0.006 * volume[:, None] * SIGNATURE) + noise * rng.standard_normal((len(volume), 3))
    return SKIN * relative


def drift(n: int, fs: float = FS) -> np.ndarray:
    t = np.arange(n) / fs
    return 0.03 * np.sin(2 * np.pi * 0.11 * t + 1) + 0.002 * t


def hr_of(bvp: np.ndarray, fs: float = FS) -> float:
    return 60 * peak_frequency(*spectrum(bandpass(bvp, fs, 0.65, min(4.0, 0.45 * fs)), fs), 40 / 60, 200 / 60)


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return METHODS.load(request.param)


def test_every_file_is_registered_under_its_name():
    files = {path.stem for path in Path(kdphys.classical.__file__).parent.glob("*.py")} - SHARED
    assert files == set(METHODS)
    assert all(METHODS[name] == f"kdphys.classical.{name}:{name}" for name in METHODS)


def test_every_file_names_its_paper(method):
    module = __import__(method.__module__, fromlist=["x"])
    assert "doi:10." in module.__doc__


def test_unknown_method_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'chrom'.*green.*pos"):
        METHODS.load("chrome")


@pytest.mark.parametrize("hr_bpm", [44.3, 58.1, 72.7, 95.9, 131.3, 178.9])
def test_recovers_the_rate_under_changing_light(method, hr_bpm):
    volume = blood(hr_bpm, 40)
    bvp = method(skin(volume, drift(len(volume))), FS)
    assert bvp.shape == volume.shape
    assert bvp.dtype == np.float64
    assert np.isfinite(bvp).all()
    assert hr_of(bvp) == pytest.approx(hr_bpm, abs=0.5)


@pytest.mark.parametrize("fs", [10.0, 14.99, 25.0, 61.0])
def test_works_at_other_sampling_rates(method, fs):
    volume = blood(67.3, 30, fs)
    assert hr_of(method(skin(volume, drift(len(volume), fs)), fs), fs) == pytest.approx(67.3, abs=0.5)


@pytest.mark.parametrize("seconds", [2.0, 3.1, 10.0, 17.3])
def test_systole_is_up_and_every_sample_is_covered(method, seconds):
    volume = blood(75, seconds)
    bvp = method(skin(volume, noise=0.0002), FS)
    assert len(bvp) == len(volume)
    assert np.corrcoef(bvp, volume)[0, 1] > 0.8
    if seconds > 5:
        for end in (slice(0, 45), slice(-45, None)):
            assert np.corrcoef(bvp[end], volume[end])[0, 1] > 0.8
            assert 0.4 < bvp[end].std() / bvp.std() < 2.0


def test_windows_agree_in_sign(method):
    """Components and projections have no sign of their own: no stretch may come out upside down."""
    volume = blood(75, 60)
    bvp = method(skin(volume, 0.01 * np.sin(np.arange(1800) / 9), noise=0.001), FS)
    bvp = bandpass(bvp, FS, 0.9, 4.0)
    if method.__name__ != "green":
        assert all(np.corrcoef(bvp[k : k + 90], volume[k : k + 90])[0, 1] > 0.5 for k in range(0, 1710, 90))


def test_depends_on_nothing_far_away(method):
    volume = blood(75, 60)
    one = skin(volume, drift(len(volume)))
    other = one.copy()
    other[-600:] = skin(blood(110, 20), 0.2, seed=5)
    np.testing.assert_array_equal(method(one, FS)[:900], method(other, FS)[:900])


@pytest.mark.parametrize("level", [100.0, [150.0, 110.0, 90.1], [200.0, 0.0, 0.0], 0.0, 255.0])
def test_constant_colour_has_no_pulse(method, level):
    bvp = method(np.zeros((400, 3)) + level, FS)
    np.testing.assert_array_equal(np.abs(bvp) < 1e-9, True)


def test_red_alone_stays_finite(method):
    """A finger on the lens may leave green and blue black."""
    volume = blood(75, 20)
    rgb = np.zeros((len(volume), 3))
    rgb[:, 0] = 200 - volume
    bvp = method(rgb, FS)
    assert np.isfinite(bvp).all()


def test_brightness_of_the_camera_does_not_matter(method):
    volume = blood(80, 15)
    rgb = skin(volume, drift(len(volume)))
    np.testing.assert_allclose(method(0.37 * rgb, FS), method(rgb, FS), rtol=1e-6, atol=1e-9)


def test_white_balance_does_not_matter_to_methods_on_relative_colour(method):
    volume = blood(80, 15)
    rgb = skin(volume, drift(len(volume)))
    same = np.allclose(method(rgb * [0.5, 1.3, 0.9], FS), method(rgb, FS), rtol=1e-6, atol=1e-9)
    assert same == (method.__name__ not in ("lgi", "omit"))


def test_input_is_not_changed(method):
    rgb = skin(blood(80, 12))
    rgb.setflags(write=False)
    before = rgb.copy()
    method(rgb, FS)
    np.testing.assert_array_equal(rgb, before)
    np.testing.assert_array_equal(method(rgb, FS), method(rgb, FS))


@pytest.mark.parametrize(
    ("rgb", "fs", "message"),
    [
        (np.full((59, 3), 9.0), 30.0, r"at least 2 s, that is 60 samples at 30 Hz, got 59"),
        (np.empty((0, 3)), 30.0, r"at least 2 s"),
        (np.full((90, 4), 9.0), 30.0, r"shape \(T, 3\), got \(90, 4\)"),
        (np.full(90, 9.0), 30.0, r"shape \(T, 3\), got \(90,\)"),
        (np.full((90, 3), np.nan), 30.0, r"90 of 90 samples are NaN"),
        (np.full((90, 3), -1.0), 30.0, r"must not be negative, got -1"),
        (np.full((90, 3), 9.0), 5.0, r"at least 7 Hz"),
        (np.full((90, 3), 9.0), float("nan"), r"at least 7 Hz"),
    ],
)
def test_bad_input_is_refused(method, rgb, fs, message):
    with pytest.raises(InvalidInputError, match=message):
        method(rgb, fs)
    if method.__name__ in TOOLBOX_METHODS:
        with pytest.raises(InvalidInputError, match=message):
            toolbox(method.__name__, rgb, fs)


@pytest.mark.parametrize(("hr_bpm", "motion_bpm"), list(itertools.product([66.0, 90.0], [54.0, 78.0, 105.0])))
def test_chrominance_survives_intensity_motion(hr_bpm, motion_bpm):
    volume = blood(hr_bpm, 30)
    rgb = skin(volume, 0.03 * np.sin(2 * np.pi * motion_bpm / 60 * np.arange(len(volume)) / FS))
    for name in ("pos", "chrom"):
        assert hr_of(METHODS.load(name)(rgb, FS)) == pytest.approx(hr_bpm, abs=1.0), name
    assert hr_of(METHODS.load("green")(rgb, FS)) == pytest.approx(motion_bpm, abs=1.0)


@pytest.mark.parametrize("name", sorted(TOOLBOX_METHODS))
def test_toolbox_variant_recovers_the_rate(name):
    volume = blood(72.7, 40)
    bvp = toolbox(name, skin(volume, 0.1 * drift(len(volume))), FS)
    assert hr_of(bvp) == pytest.approx(72.7, abs=0.7)


def test_the_toolbox_has_seven_of_the_methods():
    assert set(TOOLBOX_METHODS) == {"green", "ica", "chrom", "pos", "lgi", "pbv", "omit"}
    assert set(TOOLBOX_METHODS) <= set(METHODS)


def test_toolbox_refuses_what_its_protocol_divides_by():
    with pytest.raises(InvalidInputError, match="does not change"):
        toolbox("pos", np.full((90, 3), 9.0), FS)
    with pytest.raises(UnknownNameError, match="Known: chrom, green"):
        toolbox("physnet", np.full((90, 3), 9.0), FS)
