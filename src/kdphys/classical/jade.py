"""JADE: independent components by joint diagonalisation of fourth-order cumulants. Deterministic.

Cardoso, Souloumiac 1993, "Blind beamforming for non-Gaussian signals", IEE Proc. F 140(6),
doi:10.1049/ip-f-2.1993.0054; the real-valued form of Cardoso 1999, doi:10.1162/089976699300016863.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats

#: Directions with less than this share of the largest power hold nothing but rounding.
_RANK = 1e-10
_SWEEPS = 100


def jade(x: ArrayLike) -> Floats:
    """Separate mixtures into sources of unit power; order and signs are arbitrary but reproducible.

    Args:
        x: (C, T), real.

    Returns:
        float64 (K, T), K ≤ C the rank of x.
    """
    given = np.asarray(x, dtype=np.float64)
    centred = given - given.mean(axis=1, keepdims=True)
    power, axes = np.linalg.eigh(centred @ centred.T / centred.shape[1])
    keep = power > _RANK * max(float(power[-1]), np.finfo(float).tiny)
    if not (keep & (power > 0)).any():
        return np.empty((0, centred.shape[1]))
    z = (axes[:, keep] / np.sqrt(power[keep])).T @ centred
    out: Floats = diagonaliser(cumulants(z)).T @ z
    return out


def cumulants(z: Floats) -> Floats:
    """The cumulant matrices (K(K+1)/2, K, K) of white signals z (K, T)."""
    k, n = z.shape
    eye = np.eye(k)
    out = []
    for i in range(k):
        for j in range(i + 1):
            q = (z * (z[i] * z[j])) @ z.T / n - np.outer(eye[i], eye[j]) - np.outer(eye[j], eye[i])
            if i == j:
                q -= eye
            out.append(q if i == j else np.sqrt(2.0) * q)
    return np.array(out)


def diagonaliser(matrices: Floats) -> Floats:
    """The rotation V (K, K) for which all Vᵀ M V are as diagonal as can be, by Jacobi sweeps.

    Args:
        matrices: (N, K, K), symmetric.
    """
    m = np.array(matrices)
    k = m.shape[1]
    v = np.eye(k)
    for _ in range(_SWEEPS):
        turned = False
        for p in range(k - 1):
            for q in range(p + 1, k):
                g = np.stack([m[:, p, p] - m[:, q, q], m[:, p, q] + m[:, q, p]])
                gg = g @ g.T
                on, off = gg[0, 0] - gg[1, 1], gg[0, 1] + gg[1, 0]
                angle = 0.5 * np.arctan2(off, on + np.hypot(on, off))
                if abs(angle) < 1e-12:
                    continue
                turned = True
                turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                m[:, :, [p, q]] = m[:, :, [p, q]] @ turn
                m[:, [p, q], :] = turn.T @ m[:, [p, q], :]
                v[:, [p, q]] = v[:, [p, q]] @ turn
        if not turned:
            break
    return v
