"""Skin colour from two pigments.

Light crosses the epidermis (melanin) twice and is scattered back by the dermis (haemoglobin). Averaged over a
camera's broad filters, reflectance is ``base · exp(−m · MELANIN − h · HAEMOGLOBIN)``, linear RGB. The amount of
melanin is found from the individual typology angle (ITA), whose bands are how skin types are measured: Chardon,
Cretois, Hourseau 1991, doi:10.1111/j.1467-2494.1991.tb00561.x; Del Bino, Bernerd 2013, doi:10.1111/bjd.12529.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]

#: Absorption of one unit of pigment in red, green, blue.
MELANIN = np.array([0.62, 0.80, 1.00])
HAEMOGLOBIN = np.array([0.10, 1.00, 0.62])
_BASE = np.array([0.82, 0.71, 0.60])
#: ITA in degrees of the six skin types, from very light to dark.
ITA_BANDS = {1: (55.0, 66.0), 2: (41.0, 55.0), 3: (28.0, 41.0), 4: (10.0, 28.0), 5: (-30.0, 10.0), 6: (-58.0, -30.0)}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(axis=1)


def reflectance(melanin: ArrayLike, haemoglobin: ArrayLike) -> Floats:
    """Linear RGB (..., 3) in [0, 1] of skin with so much pigment (any shape, both alike)."""
    m, h = np.asarray(melanin, float)[..., None], np.asarray(haemoglobin, float)[..., None]
    out: Floats = _BASE * np.exp(-m * MELANIN - h * HAEMOGLOBIN)
    return out


def ita_degrees(linear_rgb: ArrayLike) -> Floats:
    """Individual typology angle of linear RGB (..., 3), degrees: high is light, negative is dark."""
    xyz = np.asarray(linear_rgb, float) @ _XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lightness, b = 116 * f[..., 1] - 16, 200 * (f[..., 1] - f[..., 2])
    return np.asarray(np.degrees(np.arctan2(lightness - 50, b)))


def melanin_for(ita: float, haemoglobin: float) -> float:
    """The melanin that gives skin this ITA (degrees), by bisection."""
    low, high = 0.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        if float(ita_degrees(reflectance(middle, haemoglobin))) > ita:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def skin_type(ita: float) -> int:
    """The type 1–6 whose ITA band holds this angle."""
    for kind in range(1, 6):
        if ita >= ITA_BANDS[kind][0]:
            return kind
    return 6


def sample_pigment(rng: np.random.Generator, kind: int) -> tuple[float, float]:
    """Melanin and haemoglobin of a person of skin type ``kind`` (1–6).

    Raises:
        InvalidInputError: there is no such type.
    """
    if kind not in ITA_BANDS:
        raise InvalidInputError(f"skin type: expected 1 to 6, got {kind!r}")
    haemoglobin = float(rng.uniform(0.12, 0.36))
    return melanin_for(float(rng.uniform(*ITA_BANDS[kind])), haemoglobin), haemoglobin


def pulse_colour(melanin: float, light_rgb: ArrayLike, rng: np.random.Generator) -> Floats:
    """Relative strength of the pulse in R, G, B, green = 1.

    Around 0.33 : 0.77 : 0.53 (de Haan, van Leest 2014, doi:10.1088/0967-3334/35/9/1913). Melanin filters the blue
    and green light that dives into the dermis more than the red; reddish light shifts what each filter sees.
    """
    light = np.asarray(light_rgb, float)
    warm = float(np.log(light[0] / light[2])) if light.min() > 0 else 0.0
    red = 0.33 / 0.77 * (1 + 0.12 * melanin) * np.exp(0.12 * rng.standard_normal() - 0.15 * warm)
    blue = 0.53 / 0.77 * (1 - 0.08 * melanin) * np.exp(0.12 * rng.standard_normal() - 0.10 * warm)
    return np.array([float(np.clip(red, 0.2, 0.75)), 1.0, float(np.clip(blue, 0.3, 0.95))])
