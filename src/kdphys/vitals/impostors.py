"""What has a rhythm and is no pulse: a loop, a light, a head that nods or chews in time, a focus that hunts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import LUMA
from kdphys.containers import Evidence, Pulse
from kdphys.dsp import bandpass, spectrum

Floats = NDArray[np.floating[Any]]

#: Spacing of the spectrum's bins, Hz; a peak is refined between them to better than 0.1 bpm.
BIN_HZ = 0.25 / 60
#: A picture repeats itself when what is new in it, to somebody who knows what came just before, is as like what was new
#: some time ago as this (cosine, mean over the frames): at one distance of at least 1.5 s; at a distance and its
#: double; at it, its double and its triple, and so on, with 1 s left to be compared.
_SAME = (0.36, 0.18, 0.15)
_ONCE_S, _COMPARED_S = 1.5, 1.0
#: The past that is known, and the shortest and the longest distance, seconds. (A short loop would be known by heart; a
#: long one has the heart rate of who is in it.)
_KNOWN_S = ((0.3, 0.25, 1.3), (1.0, 0.5, 8.0))
#: Looked for in the window, and in it and what came before it, so long, seconds.
_REACH_S = 20.0
#: What beats around the face as it does in it is the light: from this share of the swing in the face on, and when that
#: much of what happens there in the pulse's band happens at this rate.
_LIT = ((0.4, 0.4), (0.15, 0.5))
#: This near to the beat of the whole pictures of a coarse codec (Hz) a rate is its doing, however sure it is; this near
#: it may be, unless the SQI is as high as this.
_BEAT_HZ, _BESIDE_HZ = 0.015, 0.05
_BESIDE_SQI = 0.97
#: Moving in time with the rate that was read: amplitude in widths of the face, share of all movement in the pulse's
#: band; or less of both, when the pulse follows the movement as closely as this (coherence, up to so many Hz from the
#: rate). The recoil of a heartbeat moves a head at rest by half of the lesser amplitude at most.
_NOD, _NODDING = 0.008, 0.4
_TURN, _TURNING = 0.005, 0.2
_FOLLOWS, _FOLLOWS_HZ = 0.65, 0.35
#: The same of the shades of the face, which go up in one part of it and down in another (root mean square, a share of
#: themselves), while the pulse follows them; or less of all three where the parts of the face do not beat together.
_SHADES = ((0.005, 0.5, 0.7),)
_SHADES_APART = ((0.005, 0.3, 0.25), (0.003, 0.1, 0.6))
#: The same at half of the rate that was read, while the pulse follows their square.
_SHADES_HALF = (0.005, 0.6, 0.66)
#: Sharpness that swings in time with the rate (amplitude, a share of itself), and does little else; the same of the
#: time from one new picture to the next (amplitude of its logarithm).
_HUNTING, _HUNTS = 0.04, 0.5
_STALLING, _STALLS = 0.05, 0.45
#: Brightness that swings at the rate and leaves the colour as it is, to this share, is light; blood has a colour.
_GREY = 0.05
#: Where this share of what the face's colours do in the pulse's band happens at the rate, and more than faintly
#: (amplitude), it is blood only if it is no stronger than a pulse ever is, less grey than this, and red and blue swing
#: against green as they do where blood comes and goes, or where an encoder has left the brightness alone.
_OWN, _FAINT, _STRONG = 0.4, 0.003, 0.012
_GREYISH = 0.12
_RED, _BLUE, _BRIGHT = (0.25, 1.15), (0.45, 1.3), 1.15
#: Below this difference between the mean colours, grey levels, a picture has no colour.
_COLOURED = 3.0
#: The reason that holds at any rate.
REPEATING = "repeating picture"
UNSTEADY = "unsteady picture"
#: Up to this share of a window may be missing: it is bridged.
MISSING = 0.15


def impostor(
    pulse: Pulse, start: int, stop: int, f0: float, contact: bool = False, sqi: float = 1.0, apart: bool = False
) -> str | None:
    """Why the beat at ``f0`` (Hz) in the samples ``start:stop`` of a pulse is none of a heart, or None.

    Args:
        contact: a fingertip on the lens: there is no surround, and its colours may swing alike.
        sqi: how sure the beat is but for all this.
        apart: the parts of the face do not beat together.
    """
    evidence, fs = pulse.evidence, pulse.fs
    if evidence is None:
        return None
    before = max(stop - round(_REACH_S * fs), 0)
    if _repeats(evidence, start, stop, fs) or (before < start and _repeats(evidence, before, stop, fs)):
        return REPEATING
    if contact:
        return None
    bvp = np.where(pulse.valid[start:stop], pulse.bvp[start:stop], 0.0)
    if _moves(evidence, start, stop, fs, f0, bvp) or _plays(evidence, start, stop, fs, f0, bvp, apart):
        return "too much motion"
    if _hunts(evidence, start, stop, fs, f0):
        return UNSTEADY
    off = np.inf if evidence.beat_hz is None else abs(f0 - evidence.beat_hz)
    if off < (_BESIDE_HZ if sqi < _BESIDE_SQI else _BEAT_HZ):
        return "flickering light"
    if _shines(evidence, start, stop, fs, f0) or _flickers(evidence, start, stop, fs, f0):
        return "flickering light"
    return None


def band(x: Floats, fs: float) -> Floats:
    """The band of the pulse, 0.6–4 Hz."""
    return bandpass(x, fs, 0.6, min(4.0, 0.45 * fs))


def near(frequencies: Floats, f: float, half_width: float) -> NDArray[np.bool_]:
    """Which of the frequencies lie around ``f``."""
    return np.asarray(np.abs(frequencies - f) <= half_width)


def _repeats(evidence: Evidence, start: int, stop: int, fs: float) -> bool:
    """Whether the picture repeats itself: a loop has a perfect rhythm, but it is no pulse.

    A head that sways in time, a lamp and a heart repeat themselves, too, but can be foreseen; what cannot, never comes
    back in a living picture. In a loop it does, even through an encoder. What the patches share is taken out.
    """
    if evidence.patches.shape[1] < 4:
        return False
    given = evidence.patches[start:stop]
    patches = _filled(given.reshape(len(given), -1).astype(np.float64))
    if patches is None:
        return False
    n, patches = len(patches), patches.reshape(given.shape)
    level = np.maximum(patches.mean(axis=0), 1e-9)
    relative = patches / level
    x = ((relative - relative.mean(axis=1, keepdims=True)) * level).reshape(n, -1)
    x -= x.mean(axis=0)
    spread = x.std(axis=0)
    x = x[:, spread > 0.003] / spread[spread > 0.003]
    if x.shape[1] == 0:
        return False
    there = np.asarray(np.isfinite(given).all(axis=(1, 2)))
    return any(_comes_back(x, there, fs, *each) for each in _KNOWN_S)


def _comes_back(
    x: Floats, there: NDArray[np.bool_], fs: float, known_s: float, shortest_s: float, longest_s: float
) -> bool:
    """Whether what is new in waves (T, N), where they are ``there``, was new before: see :data:`_SAME`."""
    order = round(known_s * fs)
    if len(x) <= 3 * order:
        return False
    new = _unforeseen(x, order)
    size = np.linalg.norm(new, axis=1, keepdims=True)
    counts = there[order:, None] & (size > 1e-9)
    new = np.where(counts, new / np.maximum(size, 1e-9), 0.0)
    enough = round(_COMPARED_S * fs)
    last = len(new) - 1 - enough
    both = np.round(_autocorrelation(counts.astype(np.float64)))
    alike = np.where(both >= enough, _autocorrelation(new) / np.maximum(both, 1), 0.0)[: last + 1]
    if alike[round(_ONCE_S * fs) : int(longest_s * fs) + 1].max(initial=0.0) > _SAME[0]:
        return True
    # Quarters of a sample: a loop need not fit the rate.
    multiples, count = _multiples(round(4 * shortest_s * fs), min(2 * last, int(np.ceil(4 * longest_s * fs))), last)
    if not len(count):
        return False
    again = np.append(alike, 0.0)[multiples]
    # The first as well: what comes back after 12 s is no loop of 6.
    least = np.minimum(again[:, 0], again.sum(axis=1) / count)
    return bool((least > np.take(_SAME, np.minimum(count, len(_SAME)) - 1)).any())


@lru_cache(maxsize=64)
def _multiples(shortest: int, longest: int, last: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """The multiples up to ``last`` of distances in quarters of a sample, ``shortest`` to ``longest``: (P, K) rounded to
    samples, −1 beyond ``last``; and how many each distance has (P,)."""
    periods = np.arange(shortest, longest + 1) / 4
    if not len(periods):
        return np.zeros((0, 1), int), np.zeros(0, int)
    at = periods[:, None] * np.arange(1, int((last + 0.5) / periods[0]) + 2)
    there = at < last + 0.5
    return np.where(there, np.rint(at), -1).astype(int), there.sum(axis=1)


def _unforeseen(x: Floats, order: int) -> Floats:
    """What of waves (T, N) the ``order`` samples before do not tell (T − order, N): the error of linear prediction."""
    n = len(x)
    r = _autocorrelation(x * np.hanning(n)[:, None])[: order + 1]
    r[0] *= 1.001
    weights = np.linalg.solve(r[np.abs(np.subtract.outer(np.arange(order), np.arange(order)))], r[1:])
    out = x[order:].copy()
    for k, weight in enumerate(weights, 1):
        out -= weight * x[order - k : n - k]
    return out


def _autocorrelation(x: Floats) -> Floats:
    """Sum over time and over waves (T, N) of each sample times the one some samples later, by distance (T,)."""
    n = len(x)
    nfft = 1 << int(np.ceil(np.log2(2 * n)))
    return np.asarray(np.fft.irfft((np.abs(np.fft.rfft(x, nfft, axis=0)) ** 2).sum(axis=1), nfft)[:n])


def _filled(series: Floats) -> Floats | None:
    """A series (T, …) with what is missing bridged by straight lines; None where too much is missing."""
    flat = series.reshape(len(series), -1)
    seen = np.isfinite(flat).all(axis=1)
    if seen.mean() < 1 - MISSING:
        return None
    if seen.all():
        return series
    at = np.arange(len(flat))
    return np.stack([np.interp(at, at[seen], column[seen]) for column in flat.T], axis=1).reshape(series.shape)


def _flickers(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether what beats at ``f0`` (Hz) is the light, or the encoder: the picture around the face beats with it."""
    series = _filled(np.stack([evidence.luma[start:stop], evidence.surround[start:stop]], axis=1))
    if series is None or float(series.mean(axis=0).min()) < 1.0:
        return False
    x = np.stack([band(s / s.mean() - 1.0, fs) for s in series.T])
    face, around = _tone(x, fs, f0)
    # In step, and not much fainter than in the face.
    swing, alone = float(np.real(around * np.conj(face))), _share_at(x[1:], fs, f0)
    return any(swing >= lit * float(np.abs(face)) ** 2 and alone > least for lit, least in _LIT)


def _shines(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether the colours of the face swing at ``f0`` (Hz) as in a light that falls on it alone, and not as blood does.

    A camera without colour shows brightness alone, so there only a strong light can be told.
    """
    colour = _filled(evidence.rgb[start:stop])
    if colour is None or float(colour.mean(axis=0).min()) < 1.0:
        return False
    level = colour.mean(axis=0)
    coloured = float(np.ptp(level)) >= _COLOURED
    x = np.stack([band(c / c.mean() - 1.0, fs) for c in colour.T])
    tones = _tone(x, fs, f0)
    amplitude = float(np.abs(tones).max())
    if amplitude < 1e-9:
        return False  # nothing swings
    grey = float(np.abs(tones - tones.mean()).max()) / max(float(np.abs(tones.mean())), 1e-12)
    if coloured and grey < _GREY:
        return True
    if amplitude < _FAINT or _share_at(x, fs, f0) < _OWN:
        return False
    if amplitude > _STRONG or not coloured:
        return amplitude > _STRONG
    red, _, blue = np.real(tones * np.conj(tones[1])) / max(float(np.abs(tones[1])) ** 2, 1e-30)
    blood = _RED[0] < red < _RED[1] and _BLUE[0] < blue < max(_BLUE[1], _BRIGHT * level[1] / level[2])
    return grey < _GREYISH or not blood


def _moves(evidence: Evidence, start: int, stop: int, fs: float, f0: float, bvp: Floats) -> bool:
    """Whether the head nods, sways, turns, comes and goes at ``f0`` (Hz), and does hardly anything else, or what was
    taken for a pulse does as it does."""
    place = _filled(evidence.place[start:stop])
    if place is None:
        return False
    x = np.stack([band(p - p.mean(), fs) for p in place.T])
    swing, share = float(np.linalg.norm(_tone(x, fs, f0))), _share_at(x, fs, f0)
    if swing > _NOD and share > _NODDING:
        return True
    return swing > _TURN and share > _TURNING and _coherence(x, bvp, fs, f0) > _FOLLOWS


def _plays(evidence: Evidence, start: int, stop: int, fs: float, f0: float, bvp: Floats, apart: bool) -> bool:
    """Whether the shades of the face play at ``f0`` (Hz), as where it chews, frowns or rolls in time, and what was
    taken for a pulse does as they do. Blood darkens all parts alike."""
    if evidence.patches.shape[1] < 4:
        return False
    patches = _filled(evidence.patches[start:stop].astype(np.float64))
    if patches is None:
        return False
    luma = patches @ LUMA
    level = luma.mean(axis=0)
    x = band((luma - level) / np.maximum(level, 1.0), fs)
    x = (x - x.mean(axis=1, keepdims=True)).T
    swing, share = float(np.sqrt(np.mean(np.abs(_tone(x, fs, f0)) ** 2))), _share_at(x, fs, f0)
    follows = _coherence(x, bvp, fs, f0)
    least = _SHADES + _SHADES_APART if apart else _SHADES
    return any(swing > a and share > b and follows > c for a, b, c in least) or _doubles(x, bvp, fs, f0)


def _doubles(x: Floats, bvp: Floats, fs: float, f0: float) -> bool:
    """Whether waves (N, T) swing at half of ``f0`` (Hz) and a pulse (T,) does as their square: a mouth that opens and
    closes shows something twice."""
    tones = _tone(x, fs, f0 / 2)
    least = _SHADES_HALF
    if np.sqrt(np.mean(np.abs(tones) ** 2)) <= least[0] or _share_at(x, fs, f0 / 2) <= least[1]:
        return False
    main = np.real(tones * np.exp(-0.5j * np.angle((tones**2).sum()))) @ x  # most of what they do
    square = band(main**2 - np.mean(main**2), fs)
    return _coherence(square[None], bvp, fs, f0) > least[2]


def _hunts(evidence: Evidence, start: int, stop: int, fs: float, f0: float) -> bool:
    """Whether the picture gets sharp and soft at ``f0`` (Hz), as when a camera looks for its focus or a call changes
    its resolution, or stands still for some frames in that rhythm."""
    sharp, rate = (_filled(np.asarray(x)[start:stop]) for x in (evidence.sharpness, evidence.rate))
    waves = []
    if sharp is not None and float(sharp.mean()) > 0:
        waves.append((sharp / sharp.mean(), _HUNTING, _HUNTS))
    if rate is not None and float(rate.min()) > 0:
        waves.append((np.log(rate), _STALLING, _STALLS))
    for wave, swing, share in waves:
        x = band(wave - wave.mean(), fs)[None]
        if float(np.abs(_tone(x, fs, f0)[0])) > swing and _share_at(x, fs, f0) > share:
            return True
    return False


def _coherence(movement: Floats, bvp: Floats, fs: float, f0: float) -> float:
    """How closely a pulse (T,) follows movement (N, T), in the direction that it has at ``f0`` (Hz), 0–1."""
    seconds = len(bvp) / fs
    reach = round(_FOLLOWS_HZ * seconds)
    waves = np.concatenate([movement, bvp[None]])
    tones = np.stack([_tone(waves, fs, f0 + k / seconds) for k in range(-reach, reach + 1)])
    along, pulse = tones[:, :-1] @ np.conj(tones[reach, :-1]), tones[:, -1]
    power = float((np.abs(along) ** 2).sum() * (np.abs(pulse) ** 2).sum())
    return float(np.abs(np.vdot(pulse, along)) ** 2) / max(power, 1e-30)


def _tone(waves: Floats, fs: float, f: float) -> NDArray[np.complexfloating[Any]]:
    """Complex amplitudes of waves (N, T) at ``f``."""
    window = np.hanning(waves.shape[1])
    tone = window * np.exp(-2j * np.pi * f * np.arange(waves.shape[1]) / fs)
    return np.asarray((waves * tone).sum(axis=1) * 2 / window.sum())


def _share_at(waves: Floats, fs: float, f0: float) -> float:
    """The share of the power of waves (N, T) in the pulse's band that lies at ``f0`` and its double."""
    spectra = [spectrum(wave, fs, BIN_HZ) for wave in waves]
    frequencies, power = spectra[0][0], np.sum([p for _, p in spectra], axis=0)
    inside = (frequencies >= 0.65) & (frequencies <= 4.0)
    there = inside & (near(frequencies, f0, 0.15) | near(frequencies, 2 * f0, 0.15))
    return float(power[there].sum()) / max(float(power[inside].sum()), 1e-30)
