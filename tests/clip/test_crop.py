"""Crops are exact averages in floating point; skin weights find skin; traces keep what is there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kdphys.clip.crop import crop, square, surround
from kdphys.clip.skin import SIZE, SkinWeights, sharpness, skin_means
from kdphys.clip.trace import TraceBuilder
from kdphys.containers import Frame
from kdphys.errors import InvalidInputError


def test_area_average_without_rounding() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (144, 144, 3), dtype=np.uint8)
    out = crop(rgb, np.array([0, 0, 144, 144]), 36)
    expected = rgb.reshape(36, 4, 36, 4, 3).mean(axis=(1, 3))
    assert np.abs(out - expected).max() < 1e-3
    assert np.abs(out - np.round(out)).max() > 0.2


def test_between_pixels_is_between_their_crops() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (90, 100, 3), dtype=np.uint8)
    box = np.array([10.0, 6, 82, 78])
    right, below = np.array([1.0, 0, 1, 0]), np.array([0.0, 1, 0, 1])
    corners = [crop(rgb, box + move, 24) for move in (0 * right, right, below, right + below)]
    expected = np.tensordot([0.75 * 0.4, 0.25 * 0.4, 0.75 * 0.6, 0.25 * 0.6], corners, 1)
    assert np.abs(crop(rgb, box + 0.25 * right + 0.6 * below, 24) - expected).max() < 1e-3


def test_outside_repeats_the_edge() -> None:
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[:, :20] = 200
    out = crop(rgb, np.array([-39, 0, 1, 40]), 8)
    assert np.allclose(out, 200)


@pytest.mark.parametrize("box", [(50, 50, 50, 60), (500, 0, 540, 40), (10, 20, 5, 30)])
def test_impossible_box(box: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="does not overlap"):
        crop(np.zeros((100, 100, 3), np.uint8), np.array(box), 36)


def test_square_keeps_the_centre() -> None:
    out = square(np.array([10.0, 20.0, 30.0, 60.0]), 1.5)
    assert np.allclose(out, [20 - 22.5, 40 - 22.5, 20 + 22.5, 40 + 22.5])


def face(skin: tuple[int, int, int]) -> np.ndarray:
    """A face of one colour with dark eyes, a beard and a blue background."""
    out = np.full((SIZE, SIZE, 3), (60, 90, 200), np.float32)
    y, x = np.mgrid[:SIZE, :SIZE] / (SIZE - 1) - 0.5
    out[np.hypot(x / 0.46, y / 0.55) < 1] = skin
    out[18:23, 14:26] = out[18:23, 38:50] = (30, 25, 22)
    out[54:] = (25, 20, 18)
    return out


@pytest.mark.parametrize("skin", [(235, 190, 170), (190, 140, 110), (120, 80, 60), (70, 46, 36)])
def test_skin_of_every_tone_counts_and_the_rest_does_not(skin: tuple[int, int, int]) -> None:
    weights = SkinWeights().update(face(skin), 0.0)
    assert weights[34:44, 22:42].mean() > 0.8
    assert weights[19:22, 16:24].max() < 0.2, "eyes"
    assert weights[58:, 20:44].max() < 0.2, "beard"
    assert weights[:4, :4].max() < 0.05, "background"


def test_clipped_pixels_do_not_count() -> None:
    shiny = face((190, 140, 110))
    shiny[34:40, 28:36] = 255
    assert SkinWeights().update(shiny, 0.0)[36:39, 30:34].max() < 0.05


def test_mean_is_the_skin_colour_and_black_has_none() -> None:
    skin = (190, 140, 110)
    mean, patches = skin_means(face(skin), SkinWeights().update(face(skin), 0.0))
    assert np.abs(mean - skin).max() < 3
    assert np.isfinite(patches).all(axis=1).sum() >= 6
    assert np.isnan(skin_means(face(skin), np.zeros((SIZE, SIZE), np.float32))[0]).all()


def test_weights_follow_slowly_and_put_no_pulse_into_the_mean() -> None:
    skin = SkinWeights()
    weights = [skin.update(face((190, 140, 110)) * (1 + 0.02 * np.sin(2 * np.pi * 1.2 * k / 30)), k / 30).sum()
               for k in range(150)]  # fmt: skip
    assert np.ptp(weights[30:]) / np.mean(weights) < 0.01


def test_sharpness_is_that_of_the_picture_and_not_of_its_light() -> None:
    sharp = face((190, 140, 110))
    soft = [cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.6, 1.2)]
    assert sharpness(sharp) > 1.5 * sharpness(soft[0]) > 1.5**2 * sharpness(soft[1])
    assert sharpness(0.8 * sharp) == pytest.approx(0.8 * sharpness(sharp), rel=1e-4)
    assert sharpness(np.full((SIZE, SIZE, 3), 120, np.float32)) < 1e-3


def test_trace_recovers_a_tenth_of_a_grey_level_through_8_bits() -> None:
    """The pulse is smaller than one step of the camera's values; averaging must bring it back."""
    rng = np.random.default_rng(0)
    builder = TraceBuilder()
    t = np.arange(300) / 30
    wave = 0.1 * np.sin(2 * np.pi * 1.5 * t)
    for k, at in enumerate(t):
        noisy = np.array([190.0, 140.0 + wave[k], 110.0]) + rng.normal(0, 2, (160, 160, 3))
        builder.add(Frame(np.clip(np.round(noisy), 0, 255).astype(np.uint8), float(at)), np.array([10.0, 10, 150, 150]))
    trace = builder.build()
    spectrum = np.abs(np.fft.rfft(trace.rgb[:, 1] - trace.rgb[:, 1].mean())) / len(t) * 2
    k = round(1.5 * len(t) / 30)
    assert spectrum[k] == pytest.approx(0.1, rel=0.25)
    assert trace.valid.all()
    assert trace.evidence is not None
    assert trace.evidence.rate == pytest.approx(30.0)


def test_gap_stays_a_gap_and_a_hiccup_is_bridged() -> None:
    builder = TraceBuilder(whole=True)
    rgb = np.full((40, 40, 3), 120, np.uint8)
    for k in range(300):
        if 100 <= k < 130 or 200 <= k < 206:  # 1 s and 0.2 s without the face
            continue
        builder.add(Frame(rgb, k / 30), np.array([0.0, 0, 40, 40]))
    trace = builder.build()
    assert not trace.valid[101:129].any()
    assert trace.valid[:99].all()
    assert trace.valid[131:].all()


def test_surround_is_what_lies_outside_the_crop() -> None:
    rgb = np.full((240, 320, 3), 40, np.uint8)
    rgb[60:180, 100:220] = 200  # 1.5 × a box of 80 × 80
    assert surround(rgb, np.array([120.0, 80.0, 200.0, 160.0])) == pytest.approx(40.0)
    assert surround(rgb, np.array([160.0, 80.0, 240.0, 160.0])) == pytest.approx(52.3, abs=1.5)  # a third of it is out
    assert np.isnan(surround(rgb, np.array([-10.0, -10.0, 330.0, 250.0])))
    assert np.isnan(surround(rgb, np.array([40.0, 0.0, 280.0, 240.0])))


def test_trace_knows_the_surround_only_of_faces() -> None:
    rng = np.random.default_rng(0)
    frames = [
        Frame(rng.normal((180, 130, 110), 2, (120, 160, 3)).clip(0, 255).astype(np.uint8), k / 30) for k in range(90)
    ]
    for whole in (False, True):
        builder = TraceBuilder(whole=whole)
        for frame in frames:
            builder.add(frame, np.array([50.0, 30.0, 110.0, 90.0]))
        trace = builder.build()
        assert trace.evidence is not None
        assert np.isfinite(trace.evidence.surround).all() == (not whole)
        assert len(trace.rgb) >= 89
        if not whole:
            level = np.array([0.299, 0.587, 0.114]) @ [180, 130, 110]
            assert trace.evidence.surround == pytest.approx(np.full(len(trace.rgb), level), abs=1.0)
