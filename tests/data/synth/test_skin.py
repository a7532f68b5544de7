from __future__ import annotations

import cv2
import numpy as np
import pytest

from kdphys.data.synth.skin import (
    ITA_BANDS,
    ita_degrees,
    melanin_for,
    pulse_colour,
    reflectance,
    sample_pigment,
    skin_type,
)
from kdphys.errors import InvalidInputError


def test_ita_is_that_of_opencv_lab() -> None:
    rng = np.random.default_rng(0)
    linear = rng.uniform(0.02, 0.9, (50, 3)).astype(np.float32)
    srgb = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)
    lab = cv2.cvtColor(srgb[None], cv2.COLOR_RGB2LAB)[0].astype(float)
    expected = np.degrees(np.arctan2(lab[:, 0] - 50, lab[:, 2]))
    assert np.allclose(ita_degrees(linear), expected, atol=1.0)


@pytest.mark.parametrize("kind", range(1, 7))
def test_people_of_a_type_lie_in_its_ita_band(kind: int) -> None:
    rng = np.random.default_rng(kind)
    for _ in range(20):
        ita = float(ita_degrees(reflectance(*sample_pigment(rng, kind))))
        assert ITA_BANDS[kind][0] - 0.01 <= ita <= ITA_BANDS[kind][1] + 0.01
        assert skin_type(ita) == kind


def test_blood_darkens_green_most_and_red_least() -> None:
    change = reflectance(0.8, 0.25) / reflectance(0.8, 0.26)
    assert change[1] > change[2] > change[0] > 1


def test_melanin_darkens_and_is_found_again() -> None:
    assert (reflectance(2.0, 0.2) < reflectance(1.0, 0.2)).all()
    assert melanin_for(float(ita_degrees(reflectance(1.3, 0.2))), 0.2) == pytest.approx(1.3, abs=1e-3)


def test_pulse_colour_is_near_the_published_signature() -> None:
    rng = np.random.default_rng(1)
    colours = np.array([pulse_colour(0.8, (1, 1, 1), rng) for _ in range(400)])
    assert np.median(colours, axis=0) == pytest.approx([0.33 / 0.77, 1.0, 0.53 / 0.77], rel=0.15)
    assert colours[:, 0].std() > 0.02


def test_there_is_no_type_seven() -> None:
    with pytest.raises(InvalidInputError, match="1 to 6"):
        sample_pigment(np.random.default_rng(0), 7)
