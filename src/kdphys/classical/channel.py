"""CHANNEL: the one colour channel with the cleanest rhythm, for a fingertip on the lens.

With the lamp shining through the finger, red may be saturated or green and blue may be black, and there is no skin
reflection for CHROM or POS to cancel: the best single channel is what contact photoplethysmography uses. Which one is
best is judged by spectral purity, as in Scully et al. 2012, "Physiological parameter monitoring from optical
recordings with a mobile phone", IEEE Trans. Biomed. Eng. 59(2), doi:10.1109/TBME.2011.2163157.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kdphys.classical.common import Floats, check_trace, flatten, in_windows, relative
from kdphys.dsp import HR_BAND_BPM, spectrum


def channel(rgb: ArrayLike, fs: float) -> Floats:
    """In windows of 10 s, the channel whose power is most concentrated at one heart rate and twice that.

    Args:
        rgb: (T, 3), RGB, at least 2 s; channels may be black.
        fs: sampling rate in Hz.

    Returns:
        float64 (T,), systole upwards, in standard deviations of each window.

    Raises:
        InvalidInputError: see :func:`kdphys.classical.common.check_trace`.
    """
    x = check_trace(rgb, fs, "channel")

    def part(window: Floats, so_far: Floats) -> Floats:
        waves = [flatten(-relative(window[:, [c]])[:, 0], fs) for c in range(3)]
        best = max(waves, key=lambda wave: _purity(wave, fs))
        spread = float(best.std())
        return best / spread if spread > 0 else best

    return in_windows(x, fs, part)


def _purity(wave: Floats, fs: float) -> float:
    """Share of the power in 0.65–4 Hz that lies within 9 bpm of the highest peak or of twice its rate."""
    if float(np.ptp(wave)) <= 0:
        return -1.0
    f, power = spectrum(wave, fs, 1 / 60)
    heart = (f >= HR_BAND_BPM[0] / 60) & (f <= HR_BAND_BPM[1] / 60)
    top = f[heart][np.argmax(power[heart])]
    band = (f >= 0.65) & (f <= 4.0)
    near = (np.abs(f - top) < 0.15) | (np.abs(f - 2 * top) < 0.15)
    return float(power[band & near].sum() / max(float(power[band].sum()), 1e-300))
