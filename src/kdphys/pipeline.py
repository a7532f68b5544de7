"""From a video to vital signs: one pass over the frames, memory that does not grow with their size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import BOX_SCALE
from kdphys.clip.crowd import MIN_FACE_S, Collector, Crowd, Sink
from kdphys.clip.transform import Block, Resampler
from kdphys.containers import Clip, Evidence, FaceTrack, Frame, Pulse, RgbTrace, Video
from kdphys.dsp import MAX_GAP_S
from kdphys.errors import InvalidInputError, VideoError
from kdphys.face.detect import FaceDetector
from kdphys.face.find import FaceFinder
from kdphys.face.track import FaceTracker
from kdphys.pulse.engines import ClipMethod
from kdphys.pulse.estimate import Method, load_method
from kdphys.video.reader import read_video
from kdphys.vitals.heart_rate import check_windows
from kdphys.vitals.measure import measure_vitals
from kdphys.vitals.quality import MIN_FPS
from kdphys.vitals.result import Vitals

Floats = NDArray[np.floating[Any]]

#: The method when none is named.
DEFAULT_METHOD = "student"
#: Sampling rate of traces and pulses, Hz.
FS = 30.0
_ONE_MORE = "another face, or the same one after it was gone, was"
#: Frames over longer than this, seconds, and fewer than so many a second: their times are in another unit, or wrong.
_LONG_S, _SPARSE_FPS = 6 * 3600.0, 0.5


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a video.

    Args:
        track: the face box over time; NaN where the face was missing.
        trace: the skin colour on a uniform clock.
        portrait: one frame in which the face was seen well, or None.
        pulse: what a learned method made of the crops, or None when none was asked for.
    """

    track: FaceTrack
    trace: RgbTrace
    portrait: Frame | None
    pulse: Pulse | None = None


@dataclass(frozen=True, eq=False)
class Extraction:
    """What one pass over a video gives.

    Args:
        persons: largest face first; empty when no face was seen.
        n_frames: frames read.
        n_face_frames: frames with the first person's face.
        span: times of the first and the last frame, seconds.
        notes: what went wrong on the way without ending it.
        interrupted: whether it was stopped before the end of the video.
        seconds: where the time went, by stage.
    """

    persons: tuple[Person, ...]
    n_frames: int
    n_face_frames: int
    span: tuple[float, float]
    notes: tuple[str, ...]
    interrupted: bool
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Frames a second, on average; 0 for a single one."""
        first, last = self.span
        return (self.n_frames - 1) / (last - first) if last > first else 0.0


@dataclass(frozen=True, eq=False)
class Measurement:
    """The vital signs of one person in one video, with what they came from.

    Args:
        source: name of the video.
        person: number of the person, stable within the video.
        vitals: the result.
        pulse: the waveform.
        trace: the skin colour.
        extraction: the pass over the video.
        track: the face box over time, or None when no face was seen.
        portrait: one frame with the face, or None.
        notes: what went wrong without ending the measurement.
    """

    source: str
    person: int
    vitals: Vitals
    pulse: Pulse
    trace: RgbTrace
    extraction: Extraction
    track: FaceTrack | None
    portrait: Frame | None
    notes: tuple[str, ...]


def extract(
    video: Video,
    *,
    roi: tuple[float, float, float, float] | str | None = None,
    fs: float = FS,
    open_sink: Callable[[float], Sink] | None = None,
    progress: Callable[[float], None] | None = None,
    tracker: FaceTracker | None = None,
    most: int | None = None,
) -> Extraction:
    """Find the faces of a video and reduce each to its trace, in one pass.

    Args:
        video: from :func:`kdphys.read_video`.
        roi: look at this box (x0, y0, x1, y1 in pixels) instead of looking for faces, or "full" for the whole picture:
            for a fingertip on the lens or a patch of skin.
        fs: sampling rate of the traces in Hz.
        open_sink: called with the time of the first frame for each person, for something that takes the crops.
        progress: called with the time of the frame just done, in seconds.
        tracker: another face tracker than the default.
        most: how many persons, those whose faces cover most over time; by default all. Others are counted in a note.

    Ctrl-C ends the pass early: what was read so far is measured and said to be partial.

    Raises:
        VideoError: the frames' times are no seconds.
    """
    tracker = tracker or FaceTracker()
    clock = {"decode": 0.0, "detect": 0.0, "crop": 0.0}
    n, first, last, interrupted = 0, np.nan, np.nan, False
    box = roi_box(roi, video.width, video.height)

    def open_one() -> Collector:
        return Collector(fs, float(first), box is not None, open_sink(float(first)) if open_sink else None)

    crowd = Crowd(most, open_one)
    frames = iter(video)
    try:
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            clock["decode"] += time.perf_counter() - began
            if frame is not None:
                n += 1
                first, last = (frame.t if n == 1 else first), frame.t
            began = time.perf_counter()
            if box is not None:
                found = [(frame, {0: (box, 1.0)})] if frame is not None else []
            else:
                tracked = tracker.push(frame) if frame is not None else tracker.flush()
                found = [(item.frame, item.faces) for item in tracked]
            clock["detect"] += time.perf_counter() - began
            began = time.perf_counter()
            for seen, faces in found:
                crowd.add(seen, faces, tracker.remembers)
            clock["crop"] += time.perf_counter() - began
            if frame is None:
                break
            if progress is not None:
                progress(frame.t)
    except KeyboardInterrupt:
        if n == 0:
            raise
        interrupted = True
    _check_span(video.name, n, float(last - first))
    notes = list(video.notes)
    if interrupted:
        notes.insert(0, f"stopped at {last:.1f} s: this is a partial result")
    chosen, others, brief = crowd.chosen(min(MIN_FACE_S, 0.5 * (last - first)))
    n_face = len(next(iter(chosen.values())).times) if chosen else 0
    persons = tuple(_person(key, c, float(last), video.beat_hz) for key, c in chosen.items())
    if others:
        who = f"{len(others)} other faces, or the same one after it was gone, were" if others[1:] else _ONE_MORE
        notes.append(f"{who} seen for {sum(others):.0f} s and not measured: --faces all does (faces='all')")
    if brief:
        notes.append(f"{brief} face{'s' * (brief > 1)} seen for less than {MIN_FACE_S:g} s left out")
    if persons and all(_is_grey(p.trace) for p in persons):
        notes.append(
            "the picture has no colour: a pulse is hardly told from light and movement by its brightness alone"
        )
    if n > 1 and last - first > MAX_GAP_S * (n - 1):
        notes.append(f"a frame every {(last - first) / (n - 1):.3g} s: are their times in seconds?")
    return Extraction(persons, n, n_face, (float(first), float(last)), tuple(notes), interrupted, clock)


def _is_grey(trace: RgbTrace) -> bool:
    """Whether red, green and blue are the same, to the rounding of a codec."""
    rgb = trace.rgb[trace.valid]
    return len(rgb) > 0 and float(np.ptp(rgb, axis=1).mean()) < 0.5


def _check_span(name: str, n: int, seconds: float) -> None:
    if seconds > _LONG_S and n < _SPARSE_FPS * seconds:
        raise VideoError(
            f"{name}: {n} frames lie {seconds:.0f} s apart from first to last; are their times in seconds? "
            "(or one of them is wrong)"
        )


def roi_box(roi: tuple[float, float, float, float] | str | None, width: int, height: int) -> Floats | None:
    """The option ``roi`` of :func:`extract` as a box (4,) in a picture of ``width`` × ``height``; None for None.

    Raises:
        InvalidInputError: no such box.
    """
    if roi is None:
        return None
    if isinstance(roi, str):
        if roi != "full":
            raise InvalidInputError(f"roi must be four pixel numbers x0, y0, x1, y1 or 'full', got {roi!r}")
        return np.array([0.0, 0.0, width, height])
    try:
        box = np.asarray(roi, float)
    except (TypeError, ValueError):
        box = np.empty(0)
    if box.shape != (4,) or not (box[2] - box[0] >= 2 and box[3] - box[1] >= 2):
        raise InvalidInputError(f"roi must be x0, y0, x1, y1 with x1 > x0 and y1 > y0 (pixels), got {roi!r}")
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise InvalidInputError(f"roi {roi!r} leaves the picture of {width}×{height} pixels")
    return box


def _person(key: int, c: Collector, last: float, beat_hz: float | None) -> Person:
    track = FaceTrack(c.boxes, np.array(c.scores), np.array(c.times), key)
    trace = c.builder.build(last, beat_hz)
    pulse = c.sink.finish(len(trace.rgb), trace.evidence) if c.sink is not None else None
    return Person(track, trace, c.portrait, pulse)


class _Keep:
    """A sink that keeps all crops on a uniform clock, and tells ``done`` when they are all there."""

    def __init__(self, size: int, box_scale: float, fs: float, t0: float, done: list[_Keep]) -> None:
        self.size, self.box_scale, self._done = size, box_scale, done
        self._stream = Resampler(fs, t0)
        self.blocks: list[Block] = []

    def push(self, t: float, crop: NDArray[np.float32]) -> None:
        self.blocks += self._stream.push(t, crop)

    def finish(self, n: int, evidence: Evidence | None) -> None:
        self.blocks += self._stream.flush()
        self._done.append(self)


def extract_clip(
    video: Video, size: int = 36, fs: float = FS, box_scale: float = BOX_SCALE, **options: Any
) -> Clip | None:
    """The crops of the largest face over the whole recording, or None when there is no face.

    Args:
        video: from :func:`kdphys.read_video`.
        size: side of the crops in pixels.
        fs: sampling rate in Hz.
        box_scale: face box × this = crop.
        options: of :func:`extract`.

    Raises:
        KeyboardInterrupt: stopped; a part of a clip is no clip.
    """
    kept: list[_Keep] = []  # of the persons, the largest first

    def open_sink(t0: float) -> _Keep:
        return _Keep(size, box_scale, fs, t0, kept)

    extraction = extract(video, fs=fs, open_sink=open_sink, **{"most": 1, **options})
    if extraction.interrupted:
        raise KeyboardInterrupt
    if not extraction.persons:
        return None
    person = extraction.persons[0]
    n = len(person.trace.rgb)
    rgb, valid = np.zeros((n, size, size, 3), np.float32), np.zeros(n, bool)
    for block in kept[0].blocks:
        stop = min(block.start + len(block.values), n)
        rgb[block.start : stop], valid[block.start : stop] = block.values[: stop - block.start], True
    return Clip(rgb, fs, person.trace.t0, valid)


def extract_trace(video: Video, **options: Any) -> RgbTrace:
    """The RGB trace of the largest face; all of it a gap when there is none. Options as of :func:`extract`."""
    extraction = extract(video, **{"most": 1, **options})
    return extraction.persons[0].trace if extraction.persons else no_trace(extraction, options.get("fs", FS))


def no_trace(extraction: Extraction, fs: float) -> RgbTrace:
    """A trace of the length of the video that is all gap."""
    first, last = extraction.span
    n = int(np.floor((last - first) * fs + 1e-6)) + 1 if extraction.n_frames else 0
    return RgbTrace(np.full((n, 3), np.nan), fs, first if n else 0.0, np.zeros(n, bool))


def estimate_pulse(source: str | Path | Video | RgbTrace, method: Method | str = DEFAULT_METHOD) -> Pulse:
    """The pulse of the largest face of a video, or of a trace.

    Args:
        source: a file, a folder of images, a video, or a trace.
        method: from :func:`kdphys.load_method`, or its name.

    Raises:
        VideoError: the source cannot be read.
        InvalidInputError: a trace for a method that needs pictures.
    """
    method = load_method(method) if isinstance(method, str) else method
    if isinstance(source, RgbTrace):
        if isinstance(method, ClipMethod):
            raise InvalidInputError(f"method {method.name!r} needs the pictures of a video, not an RGB trace")
        return method.pulse(source)
    video = source if isinstance(source, Video) else read_video(source)
    extraction = extract(video, open_sink=method.open if isinstance(method, ClipMethod) else None, most=1)
    return person_pulse(extraction, extraction.persons[0] if extraction.persons else None, method)


def person_pulse(extraction: Extraction, person: Person | None, method: Method) -> Pulse:
    """The pulse of a person of an extraction; all gap for None."""
    if person is None:
        trace = no_trace(extraction, FS)
        return Pulse(np.zeros(len(trace.rgb)), FS, trace.t0, trace.valid, method.name)
    if isinstance(method, ClipMethod):
        assert person.pulse is not None
        return person.pulse
    return method.pulse(person.trace)


def measure_all(
    source: str | Path | Video,
    method: Method | str = DEFAULT_METHOD,
    *,
    faces: str = "largest",
    window_s: float = 10.0,
    step_s: float = 1.0,
    roi: tuple[float, float, float, float] | str | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Measurement]:
    """Measure the persons in a video; at least one measurement comes back, with its reasons if there is no pulse.

    Args:
        source: a file, a folder of images, or a video.
        method: name or method.
        faces: "largest" or "all".
        window_s, step_s: of the heart rate's course over time.
        roi: see :func:`extract`.
        progress: called with the time of the frame just done.

    Raises:
        VideoError: the source cannot be read.
        InvalidInputError: an option is out of range.
    """
    if faces not in ("largest", "all"):
        raise InvalidInputError(f"faces must be 'largest' or 'all', got {faces!r}")
    check_windows(window_s, step_s)  # before an hour is spent on reading
    method = load_method(method) if isinstance(method, str) else method
    video = source if isinstance(source, Video) else read_video(source)
    sink = method.open if isinstance(method, ClipMethod) else None
    tracker = FaceTracker(detector=FaceFinder(FaceDetector(thorough=faces == "all")))
    most = 1 if faces == "largest" else None
    extraction = extract(video, roi=roi, progress=progress, open_sink=sink, tracker=tracker, most=most)
    persons: tuple[Person | None, ...] = extraction.persons or (None,)
    out = []
    for person in persons:
        trace = person.trace if person else no_trace(extraction, FS)
        began = time.perf_counter()
        pulse = person_pulse(extraction, person, method)
        extraction.seconds["method"] = extraction.seconds.get("method", 0.0) + time.perf_counter() - began
        began = time.perf_counter()
        vitals = measure_vitals(pulse, window_s, step_s)
        if person is not None and not pulse.valid.any() and 0 < extraction.fps < MIN_FPS:  # each frame a gap
            vitals = replace(vitals, hr=replace(vitals.hr, reason="fs too low"), reasons=("fs too low",))
        extraction.seconds["vitals"] = extraction.seconds.get("vitals", 0.0) + time.perf_counter() - began
        track, portrait = (person.track, person.portrait) if person else (None, None)
        number = person.track.id if person else 0
        out.append(Measurement(video.name, number, vitals, pulse, trace, extraction, track, portrait, extraction.notes))
    return out


def measure(source: str | Path | Video, method: Method | str = DEFAULT_METHOD, **options: Any) -> Vitals:
    """The vital signs of the largest face of a video. Options as of :func:`measure_all`."""
    return measure_all(source, method, **options)[0].vitals
