"""ICA: independent components of the three colours.

Poh, McDuff, Picard 2010, "Non-contact, automated cardiac pulse measurements using video imaging and blind source
separation", Optics Express 18(10), doi:10.1364/OE.18.010762. The separation is JADE, as in the paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import FLAT, PULSE_SIGNATURE, Floats, check_trace, flatten, in_windows, relative
from kdphys.classical.jade import jade
from kdphys.dsp import HR_BAND_BPM


def ica(rgb: ArrayLike, fs: float) -> Floats:
    """The independent component with the sharpest spectral peak in 40–200 bpm, in windows of 10 s.

    Independent components have no sign: each window takes the one under which the skin darkens with the pulse and
    which agrees with the window before.

    Args:
        rgb: (T, 3), RGB, at least 2 s.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, about unit standard deviation.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """

    def part(window: Floats, so_far: Floats) -> Floats:
        c = flatten(relative(window), fs)
        spread = c.std(axis=0)
        changes = spread > FLAT
        if not changes.any():
            return np.zeros(len(c))
        sources = jade(((c - c.mean(axis=0)) / spread.clip(FLAT))[:, changes].T)
        best: Floats = sources[np.argmax([_sharpness(s, fs) for s in sources])]
        return best if _sign(best, c, so_far) > 0 else -best

    return in_windows(check_trace(rgb, fs, "ica"), fs, part)


def _sharpness(source: Floats, fs: float) -> float:
    """The highest power in the heart's band as a share of all power."""
    power = np.abs(np.fft.rfft(source * np.hanning(len(source)))) ** 2
    hz = np.fft.rfftfreq(len(source), 1 / fs)
    band = (hz >= HR_BAND_BPM[0] / 60) & (hz <= HR_BAND_BPM[1] / 60)
    return float(power[band].max(initial=0.0) / max(float(power.sum()), np.finfo(float).tiny))


def _sign(source: Floats, colour: Floats, so_far: Floats) -> float:
    """Positive if the skin darkens with the source and it agrees with the windows before; in [-2, 2]."""
    shows = colour.T @ source
    length = float(np.linalg.norm(shows) * np.linalg.norm(PULSE_SIGNATURE))
    out = -float(shows @ PULSE_SIGNATURE) / length if length > 0 else 1.0
    seen = np.isfinite(so_far)
    if seen.sum() > 2 and float(so_far[seen].std()) > 0 and float(source[seen].std()) > 0:
        out += float(np.corrcoef(source[seen], so_far[seen])[0, 1])
    return out
