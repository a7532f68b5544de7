"""Vital signs of pulses whose truth is known, and silence where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import neurokit2 as nk
import numpy as np
import pytest

from kdphys.containers import Pulse, RgbTrace
from kdphys.errors import InvalidInputError
from kdphys.pulse.estimate import load_method
from kdphys.vitals import measure_vitals
from kdphys.vitals.heart_rate import heart_rate, hr_course
from kdphys.vitals.hrv import timing_noise, variability
from kdphys.vitals.quality import FEATURES, SQI_THRESHOLD, Judge
from tests.conftest import face_trace, pulse_wave


@pytest.mark.parametrize("hr", [41.3, 59.77, 72.41, 101.9, 143.33, 198.6])
@pytest.mark.parametrize("seconds", [10.0, 30.0])
def test_heart_rate_between_bins(hr: float, seconds: float) -> None:
    t = np.arange(round(seconds * 30)) / 30
    # Within 10 s of Hann window, a tone at 41 bpm still meets its own negative frequency a little.
    assert heart_rate(np.sin(2 * np.pi * hr / 60 * t + 0.4), 30.0) == pytest.approx(hr, abs=0.5 if hr < 45 else 0.1)


def test_heart_rate_of_too_little_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 6 s"):
        heart_rate(np.sin(np.arange(100)), 30.0)


@pytest.mark.parametrize("method", ["pos", "chrom", "green", "lgi", "omit", "pbv", "ica"])
@pytest.mark.parametrize("hr", [48.0, 75.0, 130.0, 185.0])
def test_clear_pulse_is_answered_with_confidence(method: str, hr: float) -> None:
    vitals = measure_vitals(load_method(method).pulse(face_trace(20, hr)))
    assert vitals.hr_bpm == pytest.approx(hr, abs=1.0)
    assert vitals.sqi > 0.85
    assert vitals.reasons == ()
    assert vitals.coverage > 0.9


@pytest.mark.parametrize("method", ["pos", "chrom", "green", "lgi", "omit", "pbv", "ica"])
def test_no_pulse_no_answer(method: str) -> None:
    """Twenty living-looking faces without a pulse: at most one window in twenty may be fooled."""
    windows = [
        w
        for seed in range(20)
        for w in hr_course(load_method(method).pulse(face_trace(20, None, seed=seed)), 10.0, 5.0)
    ]
    answered = [w for w in windows if w.hr_bpm is not None]
    assert len(answered) <= 0.05 * len(windows)
    assert all(w.reason == "no periodic component" for w in windows if w.hr_bpm is None)


@pytest.mark.parametrize("added", [0.0, 0.009])
def test_loop_is_not_a_pulse(added: float) -> None:
    """One second of a face, over and over: a perfect 60 bpm that is no heart. A codec adds what does not repeat."""
    trace = face_trace(1, None, noise=0.01, seed=3)
    assert trace.evidence is not None
    loop = face_trace(20, None)
    assert loop.evidence is not None
    colour = np.tile(trace.evidence.patches, (20, 1, 1))
    colour *= 1 + added * np.random.default_rng(0).normal(size=colour.shape).astype(np.float32)
    e = type(loop.evidence)(
        colour.mean(axis=1), colour, loop.evidence.luma, loop.evidence.clipped, loop.evidence.motion, 30.0
    )
    vitals = measure_vitals(load_method("pos").pulse(RgbTrace(colour.mean(axis=1), 30.0, evidence=e)))
    assert vitals.hr_bpm is None
    assert vitals.reasons == ("repeating picture",)


def changed(trace: RgbTrace, **fields: object) -> RgbTrace:
    assert trace.evidence is not None
    return replace(trace, evidence=replace(trace.evidence, **fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"luma": np.full(600, 9.0)}, "too dark"),
        ({"clipped": np.full(600, 0.7)}, "over-exposed"),
        ({"rate": 5.0}, "fs too low"),
    ],
)
def test_the_reason_is_given(fields: dict[str, object], reason: str) -> None:
    vitals = measure_vitals(load_method("pos").pulse(changed(face_trace(20, 70.0), **fields)))
    assert vitals.hr_bpm is None
    assert vitals.reasons == (reason,)


@pytest.mark.parametrize(
    ("share", "hr", "reasons"),
    [(0.5, 70.0, ()), (0.5, None, ("over-exposed",)), (0.2, None, ("no periodic component",))],
)
def test_half_an_over_exposed_face_may_still_beat(share: float, hr: float | None, reasons: tuple[str, ...]) -> None:
    """And where it does not, the light is what is said to be wrong."""
    trace = changed(face_trace(20, hr), clipped=np.full(600, share))
    vitals = measure_vitals(load_method("pos").pulse(trace))
    assert vitals.hr_bpm == (hr and pytest.approx(hr, abs=1))
    assert vitals.reasons == reasons


def test_a_heart_below_40_is_not_told_at_its_double() -> None:
    """What is left at its own rate, beside a second push in each beat, gives it away."""
    t = np.arange(600) / 30
    noise = np.random.default_rng(0).normal(0, 0.05, 600)
    for own, told in ((0.4, None), (0.0, 68.0)):
        wave = own * np.sin(2 * np.pi * 34 / 60 * t) + np.sin(4 * np.pi * 34 / 60 * t + 0.5) + noise
        vitals = measure_vitals(Pulse(wave, 30.0))
        assert vitals.hr_bpm == (told and pytest.approx(told, abs=1))


def test_motion_is_named_as_the_reason() -> None:
    noisy = face_trace(20, None, noise=0.02, seed=5)
    vitals = measure_vitals(load_method("pos").pulse(changed(noisy, motion=np.full(600, 1.0))))
    assert vitals.reasons == ("too much motion",)


def test_too_short_and_no_face() -> None:
    assert measure_vitals(load_method("pos").pulse(face_trace(4, 70.0))).reasons == ("too short",)
    blank = RgbTrace(np.full((600, 3), np.nan), 30.0, valid=np.zeros(600, bool))
    assert measure_vitals(load_method("pos").pulse(blank)).reasons == ("no face",)


def test_gap_in_the_middle_is_a_gap_in_the_course() -> None:
    trace = face_trace(60, 80.0)
    valid = np.ones(1800, bool)
    valid[800:1000] = False
    assert trace.evidence is not None
    gap = RgbTrace(np.where(valid[:, None], trace.rgb, np.nan), 30.0, valid=valid)
    course = hr_course(load_method("pos").pulse(gap), 10.0, 1.0)
    for w in course:
        inside = max(0.0, min(w.t1, 1000 / 30) - max(w.t0, 800 / 30))
        if inside > 2.0:
            assert (w.hr_bpm, w.reason) == (None, "no face")
        if inside == 0.0:
            assert w.candidate_bpm == pytest.approx(80.0, abs=1.0)


@pytest.mark.parametrize(("window", "step"), [(3.0, 1.0), (10.0, 0.0), (10.0, -1.0)])
def test_impossible_windows(window: float, step: float) -> None:
    with pytest.raises(InvalidInputError):
        hr_course(Pulse(np.zeros(600), 30.0), window, step)


def test_long_recording_whose_rate_changes() -> None:
    t = np.arange(3600) / 30
    rate = np.interp(t, [0, 120], [60, 90])
    bvp = np.sin(2 * np.pi * np.cumsum(rate / 60) / 30)
    vitals = measure_vitals(Pulse(bvp, 30.0))
    assert vitals.hr_bpm == pytest.approx(75, abs=2)
    for w in vitals.course:
        assert w.hr_bpm == pytest.approx(60 + 30 * (w.t0 + w.t1) / 240, abs=1.5)


def ibis(seconds: float, hr_bpm: float, seed: int = 0) -> np.ndarray:
    """Beat times with breathing and slow rhythms in them."""
    rng = np.random.default_rng(seed)
    beats = [0.5]
    while beats[-1] < seconds:
        t = beats[-1]
        ibi = 60 / hr_bpm * (1 + 0.04 * np.sin(2 * np.pi * 0.25 * t) + 0.03 * np.sin(2 * np.pi * 0.1 * t))
        beats.append(t + ibi + rng.normal(0, 0.004))
    return np.array(beats)


def test_intervals_and_variability_come_back_from_a_wave() -> None:
    beats = ibis(180, 66)
    t = np.arange(180 * 30) / 30
    phase = 2 * np.pi * np.interp(t, beats, np.arange(len(beats)))
    bvp = np.cos(phase) + 0.3 * np.cos(2 * phase)
    vitals = measure_vitals(Pulse(bvp, 30.0))
    truth = 1000 * np.diff(beats)
    assert len(vitals.ibi_ms) == pytest.approx(len(truth), abs=4)
    assert np.mean(vitals.ibi_ms) == pytest.approx(truth.mean(), rel=0.005)
    assert vitals.hrv["sdnn"].value == pytest.approx(truth.std(ddof=1), rel=0.15)
    assert vitals.hrv["rmssd"].value == pytest.approx(np.sqrt(np.mean(np.diff(truth) ** 2)), rel=0.2)
    assert vitals.hrv["sdnn"].unit == "ms"


def rows(beats: np.ndarray) -> np.ndarray:
    """Intervals as :func:`variability` takes them: time of the second beat (s), interval (ms)."""
    return np.stack([beats[1:], 1000 * np.diff(beats)], axis=1)


@pytest.mark.parametrize("noise_ms", [3.0, 10.0, 30.0])
def test_how_well_beats_are_timed_is_seen_in_them(noise_ms: float) -> None:
    """Breathing and slow rhythms move the intervals by far more than the noise of their beats."""
    beats = ibis(170, 66)
    noise = np.random.default_rng(3).normal(0, noise_ms / 1000, len(beats))
    assert timing_noise(1000 * np.diff(beats + noise)) == pytest.approx(np.hypot(noise_ms, 3.0), rel=0.35)


def test_variability_that_noise_may_have_made_is_not_told() -> None:
    """A heart as regular as a clock, whose beats are timed to ±15 ms, has no RMSSD of 37 ms, nor an SDNN of 21."""
    rng = np.random.default_rng(0)
    clock = np.arange(0.0, 170.0, 0.9)
    told = variability(rows(clock + rng.normal(0, 0.015, len(clock))), 0, 0.95)
    assert all(one.value is None and (one.reason or "").startswith("too noisy") for one in told.values())
    assert "±1" in (told["rmssd"].reason or "")  # some ten to twenty milliseconds
    beats = ibis(170, 66)
    told = variability(rows(beats + rng.normal(0, 0.008, len(beats))), 0, 0.95)
    assert told["sdnn"].value == pytest.approx(1000 * np.diff(beats).std(ddof=1), rel=0.15)
    assert told["lf"].value is not None
    assert told["rmssd"].value is None


def test_variability_agrees_with_neurokit() -> None:
    beats = ibis(300, 70)
    ibi = 1000 * np.diff(beats)
    ours = variability(np.stack([beats[1:], ibi], axis=1), 0, 0.9)
    peaks = np.round(beats * 1000).astype(int)
    theirs = nk.hrv_time(peaks, sampling_rate=1000)
    assert ours["sdnn"].value == pytest.approx(float(theirs["HRV_SDNN"].iloc[0]), rel=0.02)
    assert ours["rmssd"].value == pytest.approx(float(theirs["HRV_RMSSD"].iloc[0]), rel=0.02)
    assert ours["pnn50"].value == pytest.approx(float(theirs["HRV_pNN50"].iloc[0]), abs=1.5)
    # The sine of 4 % at 0.25 Hz and of 3 % at 0.1 Hz: power = (amplitude)² / 2.
    mean = ibi.mean()
    assert ours["hf"].value == pytest.approx((0.04 * mean) ** 2 / 2, rel=0.25)
    assert ours["lf"].value == pytest.approx((0.03 * mean) ** 2 / 2, rel=0.25)


def test_each_vital_has_its_minimum_length() -> None:
    vitals = measure_vitals(load_method("pos").pulse(face_trace(20, 70.0)))
    for name, value in vitals.hrv.items():
        assert value.value is None, name
        assert "too short" in (value.reason or "")
    assert vitals.rr.value is None
    assert "30 s needed" in (vitals.rr.reason or "")


@pytest.mark.parametrize("breaths", [9.0, 15.0, 24.0])
def test_respiration_from_three_modulations(breaths: float) -> None:
    t = np.arange(60 * 30) / 30
    f = breaths / 60
    wave = pulse_wave(t, 72.0, f, 0.05) * (1 + 0.25 * np.sin(2 * np.pi * f * t))
    vitals = measure_vitals(Pulse(wave, 30.0))
    assert vitals.rr_brpm == pytest.approx(breaths, abs=1.0)
    assert vitals.rr.window is not None


def test_no_breathing_no_respiration_rate() -> None:
    rng = np.random.default_rng(0)
    beats = np.cumsum(0.85 + rng.normal(0, 0.03, 80))
    t = np.arange(60 * 30) / 30
    wave = np.cos(2 * np.pi * np.interp(t, beats, np.arange(80))) * (1 + 0.1 * np.interp(t, beats, rng.normal(size=80)))
    assert measure_vitals(Pulse(wave, 30.0)).rr_brpm is None


def test_features_and_fit_belong_together() -> None:
    fit = json.loads((files("kdphys") / "assets" / "sqi.json").read_text())
    assert tuple(fit["features"]) == FEATURES
    for name, one in fit["fits"].items():
        names = one.get("features", FEATURES)
        assert len(one["mean"]) == len(one["scale"]) == len(names), name
        assert all(np.diff(one["share"]) >= 0), f"{name}: a better score must not mean less confidence"
        assert all(np.diff(one["score"]) > 0), name


def test_weaker_pulse_less_confidence() -> None:
    scores = []
    for amplitude in (0.004, 0.0006, 0.00005):
        pulses = [
            load_method("pos").pulse(face_trace(10, 80.0, amplitude=amplitude, noise=0.002, seed=k)) for k in range(8)
        ]
        scores.append(np.mean([Judge(p)(0, 300).sqi for p in pulses]))
    assert scores[0] > scores[1] > scores[2]
    assert scores[0] > SQI_THRESHOLD > scores[2]


@pytest.mark.parametrize("breaths", [4.0, 5.0, 5.5])
def test_breathing_too_slow_for_the_band_is_not_told_as_its_double(breaths: float) -> None:
    t = np.arange(120 * 30) / 30
    breath = np.sin(2 * np.pi * breaths / 60 * t) + 0.35 * np.sin(4 * np.pi * breaths / 60 * t)
    rate = 65 / 60 * (1 + 0.04 * breath)
    phase = 2 * np.pi * np.cumsum(rate) / 30
    wave = (np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6)) * (1 + 0.25 * breath)
    assert measure_vitals(Pulse(wave, 30.0)).rr_brpm is None


@pytest.mark.parametrize(("hr", "breaths", "told"), [(50, 30, False), (60, 33, False), (50, 14, True), (80, 24, True)])
def test_breathing_that_a_slow_heart_may_alias_is_not_told(hr: float, breaths: float, told: bool) -> None:
    """Sampled once a beat, 30 breaths a minute look like 20 with a heart of 50."""
    t = np.arange(90 * 30) / 30
    f = breaths / 60
    wave = pulse_wave(t, hr, f, 0.05) * (1 + 0.25 * np.sin(2 * np.pi * f * t))
    rr = measure_vitals(Pulse(wave, 30.0)).rr
    assert rr.value == (pytest.approx(breaths, abs=1.0) if told else None)
    assert told or "look like" in (rr.reason or "")


def test_power_of_the_intervals_does_not_grow_with_a_gap() -> None:
    beats = ibis(300, 66)
    whole = variability(rows(beats), 0, 0.9)
    kept = rows(beats)
    kept = kept[(kept[:, 0] < 100) | (kept[:, 0] > 200)]
    gap = variability(kept, 0, 0.9)
    for name in ("lf", "hf"):
        assert gap[name].value == pytest.approx(whole[name].value, rel=0.15), name


@pytest.mark.parametrize("hr", [206.0, 208.0, 210.0])
def test_a_heart_above_the_band_is_not_told_at_its_edge(hr: float) -> None:
    for seed in range(6):
        for method in ("pos", "green"):
            vitals = measure_vitals(load_method(method).pulse(face_trace(10, hr, seed=seed)))
            assert vitals.hr_bpm is None or abs(vitals.hr_bpm - hr) <= 5


def test_a_wave_of_few_samples_a_second_has_no_heart_rate() -> None:
    t = np.arange(60) / 3
    assert measure_vitals(Pulse(np.sin(2 * np.pi * 2.5 * t), 3.0)).reasons == ("fs too low",)


@pytest.mark.parametrize("fps", [10.0, 25.0, 30.0])
def test_six_seconds_are_enough_at_any_rate(fps: float) -> None:
    """The last frame is shown for its time, too: 150 at 25 a second are 6 s, from the first to the last 5.96."""
    last = 6 - 1 / fps
    trace = face_trace(last + 1 / 30, 70.0)
    assert measure_vitals(load_method("pos").pulse(trace)).reasons != ("too short",)
