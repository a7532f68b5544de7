"""The values that flow through the pipeline: frozen, validated on creation, arrays read-only.

Units are part of the field names; arrays are NumPy, colours are RGB in that order, times are seconds on the
clock of the source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdphys.errors import InvalidInputError

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def _frozen(array: ArrayLike, dtype: Any) -> NDArray[Any]:
    out: NDArray[Any] = np.array(array, dtype=dtype)
    out.setflags(write=False)
    return out


def _all_valid() -> Bools:
    """The default of ``valid``: an empty mask stands for "every sample"."""
    return np.empty(0, bool)


def _unknown() -> Floats:
    """The default of what may not be known: a single NaN stands for one at every sample."""
    return np.array(np.nan)


def _given(valid: ArrayLike, n: int) -> Bools:
    mask = np.asarray(valid, bool)
    return np.ones(n, bool) if mask.size == 0 else mask


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidInputError(message)


def _check_times(times: Floats, what: str) -> None:
    _require(bool(np.all(np.isfinite(times))), f"{what}: times must be finite numbers of seconds")
    if len(times) > 1:
        step = np.diff(times)
        if not np.all(step > 0):
            at = int(np.argmin(step > 0)) + 1
            raise InvalidInputError(
                f"{what}: times must increase, but time {at} is {times[at]:.6f} s after {times[at - 1]:.6f} s"
            )


def _check_uniform(fs: float, t0: float, n: int, valid: Bools, what: str) -> None:
    _require(np.isfinite(fs) and fs > 0, f"{what}: fs must be a positive rate in Hz, got {fs!r}")
    _require(bool(np.isfinite(t0)), f"{what}: t0 must be a finite time in seconds, got {t0!r}")
    _require(valid.shape == (n,), f"{what}: valid must have shape ({n},), got {valid.shape}")


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    Args:
        rgb: uint8, shape (H, W, 3), RGB order.
        t: presentation time in seconds on the clock of the source.
    """

    rgb: NDArray[np.uint8]
    t: float

    def __post_init__(self) -> None:
        rgb = self.rgb
        if not (isinstance(rgb, np.ndarray) and rgb.dtype == np.uint8 and rgb.shape[2:] == (3,) and rgb.size):
            got = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
            raise InvalidInputError(f"frame: expected uint8 of shape (height, width, 3) in RGB order, got {got}")
        _require(
            isinstance(self.t, Real) and bool(np.isfinite(self.t)),
            f"frame: t must be a finite time in seconds, got {self.t!r}",
        )
        # A view: pictures are large and decoded by the thousand, so this one array is not copied.
        view = rgb.view()
        view.setflags(write=False)
        object.__setattr__(self, "rgb", view)


class Video(ABC):
    """A sequence of frames in time: lazy, and re-iterable (each ``iter`` starts from the beginning).

    Attributes:
        name: what to call it in messages: a file name, "array", "camera 0".
        width, height: of the pictures as shown (rotation applied), pixels.
        fps: the nominal rate that the source claims, or None. Never used as a clock.
        duration_s: what the source claims, or None when unknown.
        n_frames: what the source claims, or None when unknown.
    """

    name: str
    width: int
    height: int
    fps: float | None = None
    duration_s: float | None = None
    n_frames: int | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield frames with strictly increasing times."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What went wrong in the last iteration without ending it ("3 corrupt frames between 2.1 s and 2.3 s")."""
        return ()

    @property
    def beat_hz(self) -> float | None:
        """How often a strongly compressed stream is renewed by a whole picture, which shows; of what has been read in
        the last iteration. None where that is not regular, where it has bits enough, or where it is not known.
        """
        return None


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One person's face box over time.

    Args:
        boxes: float64 (T, 4), x0, y0, x1, y1 in pixels of the frame; NaN where the face is missing.
        scores: float64 (T,), detector score in [0, 1]; 0 where missing.
        times: float64 (T,), seconds, increasing.
        id: stable number of the person within the video, from 0.
    """

    boxes: Floats
    scores: Floats
    times: Floats
    id: int = 0

    def __post_init__(self) -> None:
        for name in ("boxes", "scores", "times"):
            object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))
        n = len(self.times)
        _require(self.boxes.shape == (n, 4), f"face track: boxes must be ({n}, 4), got {self.boxes.shape}")
        _require(self.scores.shape == (n,), f"face track: scores must be ({n},), got {self.scores.shape}")
        _check_times(self.times, "face track")

    @property
    def present(self) -> Bools:
        """bool (T,): whether the face was there."""
        return np.asarray(np.isfinite(self.boxes).all(axis=1))


@dataclass(frozen=True, eq=False)
class Clip:
    """The pixels of one model call on a uniform clock.

    Args:
        rgb: float32 (T, S, S, 3), values 0–255, RGB.
        fs: sampling rate in Hz.
        t0: time of the first sample in seconds.
        valid: bool (T,), False where there was no face.
    """

    rgb: NDArray[np.float32]
    fs: float
    t0: float = 0.0
    valid: Bools = field(default_factory=_all_valid)

    def __post_init__(self) -> None:
        rgb = _frozen(self.rgb, np.float32)
        _require(
            rgb.ndim == 4 and rgb.shape[3] == 3 and rgb.shape[1] == rgb.shape[2],
            f"clip: expected (T, S, S, 3), got {rgb.shape}",
        )
        valid = _frozen(_given(self.valid, len(rgb)), np.bool_)
        _check_uniform(self.fs, self.t0, len(rgb), valid, "clip")
        _require(bool(np.isfinite(rgb[valid]).all()), "clip: valid samples must be finite")
        object.__setattr__(self, "rgb", rgb)
        object.__setattr__(self, "valid", valid)

    @property
    def times(self) -> Floats:
        """float64 (T,): seconds."""
        return self.t0 + np.arange(len(self.rgb)) / self.fs


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was seen beside the pulse, on the pulse's clock: what its quality is judged by.

    Args:
        rgb: float64 (T, 3), mean skin colour, 0–255; NaN in gaps.
        patches: float32 (T, P, 3), mean skin colour of P parts of the face; P may be 0.
        luma: float64 (T,), brightness of the skin, 0–255.
        clipped: float64 (T,), share of the face that is over-exposed, 0–1.
        motion: float64 (T,), speed of the face, box widths a second.
        rate: float64 (T,), frames a second that the sample was made of; one number stands for all samples.
        surround: float64 (T,), brightness of the picture around the face, 0–255; NaN, the default, where it is not
            known.
        place: float64 (T, 3), centre of the face and half of its width, in widths of the face as it was first seen, by
            its own pixels where a network sees it, else by the detector's box; NaN, the default, where it is not known.
        sharpness: float64 (T,), how much the pixels of the face differ from those beside them, grey levels; NaN, the
            default, where it is not known.
        beat_hz: what a strongly compressed video beats with, see :attr:`Video.beat_hz`; None where it is not known.
    """

    rgb: Floats
    patches: Floats
    luma: Floats
    clipped: Floats
    motion: Floats
    rate: Floats | float
    surround: Floats = field(default_factory=_unknown)
    place: Floats = field(default_factory=_unknown)
    sharpness: Floats = field(default_factory=_unknown)
    beat_hz: float | None = None

    def __post_init__(self) -> None:
        n = len(self.rgb)
        columns = dict.fromkeys(("luma", "clipped", "motion", "rate", "surround", "sharpness"), (n,))
        shapes = {"rgb": (n, 3), "place": (n, 3), **columns}
        for name in ("rate", "surround", "place", "sharpness"):
            if np.ndim(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.full(shapes[name], getattr(self, name)))
        for name in ("patches", *shapes):
            # Float32 is finer than any camera, and an hour of patches in float64 is heavy.
            array = _frozen(getattr(self, name), np.float32 if name == "patches" else np.float64)
            want = shapes.get(name, (n, array.shape[1] if array.ndim == 3 else -1, 3))
            _require(array.shape == want, f"evidence: {name} must be {want}, got {array.shape}")
            object.__setattr__(self, name, array)


@dataclass(frozen=True, eq=False)
class RgbTrace:
    """The mean skin colour over time on a uniform clock.

    Args:
        rgb: float64 (T, 3), values 0–255, RGB. Samples that are not valid are NaN.
        fs: sampling rate in Hz.
        t0: time of the first sample in seconds.
        valid: bool (T,), False inside gaps (no face, dropped frames).
        evidence: what the quality of a pulse from this trace is judged by, or None.
    """

    rgb: Floats
    fs: float
    t0: float = 0.0
    valid: Bools = field(default_factory=_all_valid)
    evidence: Evidence | None = None

    def __post_init__(self) -> None:
        rgb = np.array(self.rgb, dtype=np.float64)
        _require(rgb.ndim == 2 and rgb.shape[1] == 3, f"RGB trace: expected (T, 3), got {rgb.shape}")
        valid = _given(self.valid, len(rgb))
        _check_uniform(self.fs, self.t0, len(rgb), valid, "RGB trace")
        bad = int((~np.isfinite(rgb[valid])).any(axis=1).sum())
        _require(bad == 0, f"RGB trace: {bad} of {int(valid.sum())} valid samples are NaN or infinite")
        rgb[~valid] = np.nan
        object.__setattr__(self, "rgb", _frozen(rgb, np.float64))
        object.__setattr__(self, "valid", _frozen(valid, np.bool_))

    @property
    def times(self) -> Floats:
        """float64 (T,): seconds."""
        return self.t0 + np.arange(len(self.rgb)) / self.fs


@dataclass(frozen=True, eq=False)
class Pulse:
    """The blood-volume pulse (BVP) on a uniform clock.

    Args:
        bvp: float64 (T,), arbitrary units, systole upwards. Samples that are not valid are 0.
        fs: sampling rate in Hz.
        t0: time of the first sample in seconds.
        valid: bool (T,), False where nothing could be estimated.
        method: the name of the method that made it.
        evidence: what its quality is judged by, on the same clock, or None.
        scale: float64 (T,), what ``bvp`` was divided by, in the method's own units, or None. A learned method is
            trained to be quiet when it is unsure.
    """

    bvp: Floats
    fs: float
    t0: float = 0.0
    valid: Bools = field(default_factory=_all_valid)
    method: str = ""
    evidence: Evidence | None = None
    scale: Floats | None = None

    def __post_init__(self) -> None:
        bvp = np.array(self.bvp, dtype=np.float64)
        _require(bvp.ndim == 1, f"pulse: expected (T,), got {bvp.shape}")
        valid = _given(self.valid, len(bvp))
        _check_uniform(self.fs, self.t0, len(bvp), valid, "pulse")
        _require(bool(np.isfinite(bvp[valid]).all()), "pulse: valid samples must be finite")
        bvp[~valid] = 0.0
        object.__setattr__(self, "bvp", _frozen(bvp, np.float64))
        object.__setattr__(self, "valid", _frozen(valid, np.bool_))
        if self.scale is not None:
            scale = np.array(self.scale, dtype=np.float64)
            _require(scale.shape == bvp.shape, f"pulse: expected a scale of {bvp.shape}, got {scale.shape}")
            _require(bool((scale >= 0).all()), "pulse: the scale must not be negative")
            object.__setattr__(self, "scale", _frozen(scale, np.float64))

    @property
    def times(self) -> Floats:
        """float64 (T,): seconds."""
        return self.t0 + np.arange(len(self.bvp)) / self.fs


@dataclass(frozen=True, eq=False)
class Signal:
    """A reference signal with its own clock.

    Args:
        times: float64 (N,), seconds on the clock of the video, increasing.
        values: float64 (N,).
    """

    times: Floats
    values: Floats

    def __post_init__(self) -> None:
        for name in ("times", "values"):
            object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))
        _require(
            self.times.ndim == 1 and self.times.shape == self.values.shape,
            f"signal: times {self.times.shape} and values {self.values.shape} must be of one length",
        )
        _check_times(self.times, "signal")

    def at(self, times: ArrayLike) -> Floats:
        """Linear interpolation at ``times`` (seconds); NaN outside the signal's own span."""
        out: Floats = np.interp(np.asarray(times, float), self.times, self.values, left=np.nan, right=np.nan)
        return out


@dataclass(frozen=True, eq=False)
class Recording:
    """One take of one subject: a video with reference signals and the conditions it was made under.

    Args:
        subject: identifier of the person, unique within the data set.
        name: identifier of the take, unique within the data set.
        video: the frames, lazy.
        references: by name: "bvp", "ecg", "hr_bpm", "resp", "rr_brpm", "spo2".
        conditions: tags such as {"motion": "talking", "light": "led-low", "skin": "5"}.
    """

    subject: str
    name: str
    video: Video
    references: Mapping[str, Signal] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightsSpec:
    """What travels with a set of weights.

    Args:
        name: registered name ("student").
        file: path of the file.
        sha256: of the file, hexadecimal.
        fs: the sampling rate in Hz that the model expects.
        size: side of the square crop in pixels.
        box_scale: face box × this = crop.
        lookahead: samples of the future that the output needs.
        normalisation: name of the input transform.
        paper: where the architecture comes from.
        licence: of the weights.
    """

    name: str
    file: Path
    sha256: str
    fs: float
    size: int
    box_scale: float
    lookahead: int
    normalisation: str
    paper: str
    licence: str = "Apache-2.0"
