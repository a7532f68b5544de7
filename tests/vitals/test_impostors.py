"""Lights, encoders, nodding heads and hunting cameras have a rhythm, and are told from a pulse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdphys.containers import RgbTrace
from kdphys.pulse.estimate import load_method
from kdphys.vitals import measure_vitals
from kdphys.vitals.heart_rate import hr_course
from tests.conftest import face_trace, pulse_wave
from tests.vitals.test_vitals import changed


@pytest.mark.parametrize(("swing", "shift", "refused"), [(0.01, 0.0, True), (0.01, 0.4, False), (0.0005, 0.0, False)])
def test_what_beats_around_the_face_too_is_the_light(swing: float, shift: float, refused: bool) -> None:
    """A face that beats by 1 % at 70; the surround likewise, at another rate, or hardly."""
    trace = face_trace(20, 70.0, noise=0.002, amplitude=0.01)
    assert trace.evidence is not None
    t = np.arange(600) / 30
    luma = 120 * (1 + 0.01 * np.sin(2 * np.pi * 70 / 60 * t))
    noise = np.random.default_rng(0).normal(0, 0.0005, 600)
    around = 60 * (1 + swing * np.sin(2 * np.pi * (70 / 60 + shift) * t) + noise)
    vitals = measure_vitals(load_method("pos").pulse(changed(trace, luma=luma, surround=around)))
    assert (vitals.reasons == ("flickering light",)) == refused
    assert (vitals.hr_bpm is None) == refused


@pytest.mark.parametrize(("lit_s", "shift", "refused"), [(10.0, 0.0, False), (35.0, 0.0, True), (35.0, 0.4, False)])
def test_what_many_windows_know_to_be_the_light_is_no_pulse_in_the_others(
    lit_s: float, shift: float, refused: bool
) -> None:
    """A minute that beats at 70; for a while one sees that the lamp does, too, or that it beats at another rate."""
    trace = face_trace(60, 70.0, noise=0.002, amplitude=0.01)
    t = np.arange(1800) / 30
    luma = 120 * (1 + 0.01 * np.sin(2 * np.pi * 70 / 60 * t))
    swing = np.where(t < lit_s, 0.01, 0.0) * np.sin(2 * np.pi * (70 / 60 + shift) * t)
    around = 60 * (1 + swing + np.random.default_rng(0).normal(0, 0.0005, 1800))
    pulse = load_method("pos").pulse(changed(trace, luma=luma, surround=around))
    vitals = measure_vitals(pulse)
    assert sum(w.hr_bpm is not None for w in hr_course(pulse)) > 15, "each by itself is convincing"
    assert (sum(w.hr_bpm is not None for w in vitals.course) > 15) != refused
    assert vitals.hr_bpm == (None if refused else pytest.approx(70, abs=1))
    assert vitals.reasons == (("flickering light",) if refused else ())


@pytest.mark.parametrize(
    ("beat_hz", "noise", "refused"),
    [
        (70 / 60, 0.01, True), (72 / 60, 0.01, True), (75 / 60, 0.01, False), (None, 0.01, False), (70 / 60, 0.0, True),
        (72 / 60, 0.0, False),
    ],
)  # fmt: skip
def test_the_beat_of_a_coarse_codec_is_no_pulse_nor_what_is_beside_it_unless_it_is_sure(
    beat_hz: float | None, noise: float, refused: bool
) -> None:
    vitals = measure_vitals(load_method("pos").pulse(changed(face_trace(20, 70.0, noise=noise), beat_hz=beat_hz)))
    assert (vitals.reasons == ("flickering light",)) == refused
    assert (vitals.hr_bpm is None) == refused


@pytest.mark.parametrize("way", [1, 2])
@pytest.mark.parametrize(("nod", "shift", "refused"), [(0.02, 0.0, True), (0.02, 0.4, False), (0.001, 0.0, False)])
def test_a_head_that_nods_in_time_has_no_heart_rate(nod: float, shift: float, refused: bool, way: int) -> None:
    """A face that beats at 70 and nods, or comes and goes, at 70, at another rate, or by no more than a heart does."""
    t = np.arange(600) / 30
    place = 2 + np.random.default_rng(0).normal(0, 0.001, (600, 3))
    place[:, way] += nod * np.sin(2 * np.pi * (70 / 60 + shift) * t)
    vitals = measure_vitals(load_method("pos").pulse(changed(face_trace(20, 70.0), place=place)))
    assert (vitals.hr_bpm is None) == refused
    if refused:
        assert vitals.reasons == ("too much motion",)


@pytest.mark.parametrize(("follows", "refused"), [(True, True), (False, False)])
def test_a_pulse_that_does_as_a_turning_head_does_is_none(follows: bool, refused: bool) -> None:
    """The head turns by 0.6 % of the face over a slow sway, and its rhythm wanders: in the colours, too, or not."""
    t = np.arange(600) / 30
    trace = face_trace(20, 70.0)
    turn = pulse_wave(t, 70.0) if follows else np.sin(2 * np.pi * 70 / 60 * t + 1.5 * np.sin(1.7 * t))
    place = 2 + np.random.default_rng(0).normal(0, 0.001, (600, 3))
    place[:, 1] += 0.006 * turn + 0.008 * np.sin(2 * np.pi * 0.7 * t + 1)
    vitals = measure_vitals(load_method("pos").pulse(changed(trace, place=place)))
    assert (vitals.hr_bpm is None) == refused
    if refused:
        assert vitals.reasons == ("too much motion",)


@pytest.mark.parametrize(
    ("swing", "shift", "together", "refused"),
    [(0.01, 0.0, True, True), (0.01, 0.4, True, False), (0.004, 0.0, True, False), (0.004, 0.0, False, True)],
)
def test_a_pulse_that_does_as_the_shades_of_a_face_that_chews_is_none(
    swing: float, shift: float, together: bool, refused: bool
) -> None:
    """One half of the face gets lighter and the other darker, at the rate that was read or at another; its parts beat
    together beside, or do not."""
    t = np.arange(600) / 30
    trace, seen = face_trace(20, 70.0), face_trace(20, 70.0 if together else None).evidence
    assert seen is not None
    patches = seen.patches
    halves = np.where(np.arange(patches.shape[1]) % 2, 1.0, -1.0)[:, None]
    play = 1 + swing * halves * np.sin(2 * np.pi * (70 / 60 + shift) * t)[:, None, None]
    vitals = measure_vitals(load_method("pos").pulse(changed(trace, patches=(patches * play).astype(np.float32))))
    assert (vitals.hr_bpm is None) == refused
    if refused:
        assert vitals.reasons == ("too much motion",)


@pytest.mark.parametrize(("rate", "refused"), [(35.0, True), (45.0, False)])
def test_a_pulse_that_beats_twice_while_the_face_plays_once_is_none(rate: float, refused: bool) -> None:
    """A mouth opens and closes 35 or 45 times a minute; what is read beats at 70."""
    t = np.arange(600) / 30
    trace = face_trace(20, 70.0)
    assert trace.evidence is not None
    halves = np.where(np.arange(trace.evidence.patches.shape[1]) % 2, 1.0, -1.0)[:, None]
    patches = trace.evidence.patches * (1 + 0.012 * halves * np.sin(2 * np.pi * rate / 60 * t)[:, None, None])
    vitals = measure_vitals(load_method("pos").pulse(changed(trace, patches=patches.astype(np.float32))))
    assert (vitals.hr_bpm is None) == refused
    assert vitals.reasons == (("too much motion",) if refused else ())


@pytest.mark.parametrize(("swing", "shift", "refused"), [(0.1, 0.0, True), (0.1, 0.4, False), (0.01, 0.0, False)])
def test_a_focus_that_hunts_in_time_is_no_pulse(swing: float, shift: float, refused: bool) -> None:
    """A face that beats at 70 and gets sharp and soft at 70, at another rate, or hardly."""
    t = np.arange(600) / 30
    sharpness = 9 * (1 + swing * np.sin(2 * np.pi * (70 / 60 + shift) * t))
    sharpness += np.random.default_rng(0).normal(0, 0.1, 600)
    vitals = measure_vitals(load_method("pos").pulse(changed(face_trace(20, 70.0), sharpness=sharpness)))
    assert (vitals.hr_bpm is None) == refused
    assert vitals.reasons == (("unsteady picture",) if refused else ())


@pytest.mark.parametrize(("every", "refused"), [(26, True), (6, False), (0, False)])
def test_pictures_that_stand_still_in_time_are_no_pulse(every: int, refused: bool) -> None:
    """A face that beats at 70; its pictures stand still for five frames that often, for two as those of 25 a second
    do, or not."""
    rate = np.full(600, 30.0)
    if every:
        rate[::every] = 6.0 if every == 26 else 15.0
    vitals = measure_vitals(load_method("pos").pulse(changed(face_trace(20, 70.0), rate=rate)))
    assert (vitals.hr_bpm is None) == refused
    assert vitals.reasons == (("unsteady picture",) if refused else ())


@pytest.mark.parametrize(("sway_bpm", "refused"), [(33.0, True), (20.0, False)])
def test_a_slow_sway_is_no_heart_of_40(sway_bpm: float, refused: bool) -> None:
    """As the contact method sees a wall; a fingertip that beats at 60 sways with the breath."""
    t = np.arange(600) / 30
    x = 0.01 * np.sin(2 * np.pi * sway_bpm / 60 * t + np.sin(0.9 * t)) + np.random.default_rng(0).normal(0, 1e-4, 600)
    x += 0.0 if refused else 0.01 * pulse_wave(t, 60)
    rgb = np.array([150.0, 110, 90]) * (1 + x)[:, None]
    trace = RgbTrace(rgb, 30.0, evidence=changed(face_trace(20, 60.0), rgb=rgb).evidence)
    vitals = measure_vitals(load_method("channel").pulse(trace))
    assert (vitals.hr_bpm is None) == refused
    assert refused or vitals.hr_bpm == pytest.approx(60, abs=2)


@pytest.mark.parametrize("coloured", [True, False])
def test_a_light_on_the_face_alone_is_no_pulse(coloured: bool) -> None:
    """All colours swing alike; of a camera without colour that is not said, for it shows nothing else."""
    seen = face_trace(20, None, noise=0.0005, seed=1).evidence
    assert seen is not None
    swing = 1 - 0.01 * pulse_wave(np.arange(600) / 30, 66)
    patches = seen.patches * swing[:, None, None].astype(np.float32)
    if not coloured:
        patches = np.repeat(patches[:, :, 1:2], 3, axis=2)
    lit = type(seen)(patches.mean(axis=1), patches, seen.luma * swing, seen.clipped, seen.motion, 30.0)
    vitals = measure_vitals(load_method("green").pulse(RgbTrace(lit.rgb, 30.0, evidence=lit)))
    assert (vitals.reasons == ("flickering light",)) == coloured


@pytest.mark.parametrize(
    ("colour", "reasons"),
    [
        ((1.8, 1.0, 0.3), ("flickering light",)),  # an indicator, amber
        ((0.6, 1.0, 2.5), ("flickering light",)),  # a blue flasher
        ((0.88, 1.0, 1.05), ("flickering light",)),  # white, through a camera's curve
        ((1.2, 2.4, 2.9), ("flickering light",)),  # a screen: blood's colours, but no pulse is so strong
        ((0.43, 1.0, 0.69), ()),  # blood
        ((0.7, 1.0, 0.9), ()),  # blood, through an encoder
        ((0.35, 0.4, 0.42), ("no periodic component",)),  # hardly any colour left by an encoder: weak, but no light
    ],
)
def test_what_swings_on_the_face_must_swing_as_blood_does(
    colour: tuple[float, float, float], reasons: tuple[str, ...]
) -> None:
    seen = face_trace(20, 66.0).evidence
    assert seen is not None
    rgb = np.array([170.0, 120.0, 95.0]) * (1 - 0.0055 * pulse_wave(np.arange(600) / 30, 66)[:, None] * colour)
    rgb += np.random.default_rng(0).normal(0, 0.02, rgb.shape)
    vitals = measure_vitals(load_method("green").pulse(RgbTrace(rgb, 30.0, evidence=replace(seen, rgb=rgb))))
    assert vitals.reasons == reasons
