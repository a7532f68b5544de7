"""What is told over time: windows that deny each other, beats of a rate that changes, breathing and its gaps."""

from __future__ import annotations

import numpy as np
import pytest

from kdphys.containers import Pulse
from kdphys.pulse.estimate import load_method
from kdphys.pulse.shape import shape_pulse
from kdphys.vitals import measure_vitals
from kdphys.vitals.heart_rate import Memory, hr_window
from kdphys.vitals.hrv import variability
from kdphys.vitals.quality import Judge
from kdphys.vitals.result import HrWindow
from tests.conftest import face_trace, pulse_wave
from tests.vitals.test_vitals import changed


def course_of(*told: tuple[float, str | None]) -> list[HrWindow]:
    """A window a second: its rate, and what is known of it."""
    return [
        HrWindow(float(k), k + 10.0, None if why else bpm, 0.0 if why else 0.9, why, bpm)
        for k, (bpm, why) in enumerate(told)
    ]


def test_a_window_is_denied_by_those_of_the_last_half_minute_only() -> None:
    light, heart = (100.0, "flickering light"), (100.0, None)
    told = [w.hr_bpm for w in map(Memory(), course_of(*[light] * 5, *[heart] * 60))]
    assert told[:15] == [None] * 15, "as long as half as many knew"
    assert told[15:] == [100.0] * 50
    assert [w.hr_bpm for w in map(Memory(), course_of(*[light] * 5, *[(72.0, None)] * 9))][5:] == [72.0] * 9
    weak = [(100.0, "no periodic component")] * 5
    assert [w.hr_bpm for w in map(Memory(), course_of(*weak, *[heart] * 9))][5:] == [100.0] * 9
    (last,) = [w for w in map(Memory(), course_of(light, heart)) if w.t0 == 1.0]
    assert (last.reason, last.sqi, last.candidate_bpm) == ("flickering light", 0.0, 100.0)


def test_a_short_recording_is_denied_by_its_windows_too() -> None:
    """Twenty seconds whose lamp swings in time for the first half: the whole of it would convince."""
    trace = face_trace(20, 70.0, noise=0.002, amplitude=0.01)
    t = np.arange(600) / 30
    luma = 120 * (1 + 0.01 * np.sin(2 * np.pi * 70 / 60 * t))
    swing = np.where(t < 11, 0.002, 0.0) * np.sin(2 * np.pi * 70 / 60 * t)
    around = 60 * (1 + swing + np.random.default_rng(0).normal(0, 0.0005, 600))
    pulse = load_method("pos").pulse(changed(trace, luma=luma, surround=around))
    assert hr_window(Judge(pulse), 0, 600).hr_bpm == pytest.approx(70, abs=1)
    vitals = measure_vitals(pulse)
    assert vitals.hr_bpm is None
    assert vitals.reasons == ("flickering light",)


def test_the_windows_of_a_short_recording_are_denied_by_the_whole() -> None:
    """Twenty seconds in whose second half the lamp swings in time with what had looked like a pulse in the first."""
    trace = face_trace(20, 70.0, noise=0.002, amplitude=0.01)
    t = np.arange(600) / 30
    beat = np.sin(2 * np.pi * 70 / 60 * t)
    around = 60 * (1 + np.where(t > 9, 0.012, 0.0) * beat + np.random.default_rng(0).normal(0, 0.0005, 600))
    lit = load_method("pos").pulse(changed(trace, luma=120 * (1 + 0.01 * beat), surround=around))
    assert hr_window(Judge(lit), 0, 270).hr_bpm == pytest.approx(70, abs=1)
    vitals = measure_vitals(lit)
    assert vitals.reasons == ("flickering light",)
    assert [w.hr_bpm for w in vitals.course] == [None] * len(vitals.course)
    assert vitals.coverage == 0.0


def test_a_short_recording_of_an_unsteady_heart_has_no_one_rate() -> None:
    """Twenty seconds of a heart that slows down; of a minute of the same it is the median of what was seen."""
    t = np.arange(1800) / 30
    noise = np.random.default_rng(0).normal(0, 0.02, 1800)
    beats = np.cumsum(np.where(t < 7, 110, 85) / 60 / 30)
    wave = np.sin(2 * np.pi * beats) + noise
    short = measure_vitals(Pulse(wave[:600], 30.0))
    assert short.hr_bpm is None
    assert short.reasons == ("unsteady rate",)
    told = [w.hr_bpm for w in short.course if w.hr_bpm is not None]
    assert min(told) == pytest.approx(85, abs=2), "what each window read is told"
    assert max(told) == pytest.approx(110, abs=2)
    assert measure_vitals(Pulse(wave, 30.0)).hr_bpm == pytest.approx(85, abs=1)
    steady = np.sin(2 * np.pi * 1.5 * t[:600] + 2 * np.sin(2 * np.pi * 0.05 * t[:600])) + noise[:600]
    assert measure_vitals(Pulse(steady, 30.0)).hr_bpm == pytest.approx(90, abs=3)


def test_breathing_is_not_read_across_a_gap() -> None:
    """A minute of a heart that breathes, of which the middle is gone: twice 15 s are no 30 s of beats."""
    rng = np.random.default_rng(0)
    t = np.arange(1800) / 30
    wave = (1 + 0.3 * np.sin(2 * np.pi * 0.25 * t)) * pulse_wave(t, 72.0, rsa=0.06) + rng.normal(0, 0.02, len(t))
    whole = Pulse(wave, 30.0)
    valid = (t < 15) | (t > 45)
    assert measure_vitals(whole).rr_brpm == pytest.approx(15, abs=1)
    told = measure_vitals(Pulse(wave, 30.0, valid=valid))
    assert told.hr_bpm == pytest.approx(72, abs=2)
    assert told.rr_brpm is None
    assert (told.rr.reason or "").startswith("too short")


@pytest.mark.parametrize(("high", "low", "tau"), [(160.0, 75.0, 40.0), (150.0, 65.0, 60.0)])
def test_beats_are_found_while_the_rate_changes(high: float, low: float, tau: float) -> None:
    """After exercise: a filter for the median rate would lose every other beat of the beginning."""
    rng = np.random.default_rng(0)
    t = np.arange(300 * 30) / 30
    rate = (low + (high - low) * np.exp(-t / tau)) * (1 + 0.02 * np.sin(2 * np.pi * 0.25 * t))
    phase = np.cumsum(rate / 60) / 30
    x = np.sin(2 * np.pi * phase) + 0.35 * np.sin(4 * np.pi * phase - 1) + rng.normal(0, 0.05, len(t))
    told = measure_vitals(shape_pulse(x, np.ones(len(t), bool), 30.0, 0.0, "pos", None))
    true = 1000 * np.diff(np.interp(np.arange(1, int(phase[-1])), phase, t))
    assert abs(len(told.beat_times) - len(true) - 1) <= 3
    assert told.hrv["sdnn"].value == pytest.approx(true.std(ddof=1), rel=0.03)
    rmssd = told.hrv["rmssd"].value
    assert rmssd is None or rmssd == pytest.approx(np.sqrt(np.mean(np.diff(true) ** 2)), rel=0.15)


def test_few_beats_far_apart_give_no_error() -> None:
    intervals = np.array([[2.0, 1500.0], [4.0, 1600.0], [8.0, 1500.0], [13.0, 1550.0]])
    assert {e.value for e in variability(intervals, 5, 0.9).values()} == {None}


def test_long_windows_that_all_answer_are_an_answer() -> None:
    t = np.arange(1350) / 30
    pulse = Pulse(pulse_wave(t, 72.0), 30.0)
    for window_s, step_s in ((40.0, 1.0), (20.0, 20.0), (44.0, 1.0)):
        assert measure_vitals(pulse, window_s, step_s).hr_bpm == pytest.approx(72, abs=1)
