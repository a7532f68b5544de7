"""Walking a copy of a data set on disk: what is missing, truncated or implausible, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from kdphys.containers import Frame, Signal, Video
from kdphys.data.readers._video import FileVideo
from kdphys.data.recording import Reader, Take
from kdphys.dsp import resample_by_time, runs, spectrum, stands_still
from kdphys.errors import UNEXPECTED, InvalidInputError, KDPhysError, VideoError
from kdphys.video.packets import demux
from kdphys.video.reader import ImageFolder, VideoFile

Floats = NDArray[np.floating[Any]]

#: A heart beats within these rates, beats per minute.
PLAUSIBLE_BPM = (30.0, 240.0)
#: A label may end this much before or after the video: seconds, or share of the video, whichever is more.
TOLERANCE_S, TOLERANCE_SHARE = 1.0, 0.02
#: Clocks that run apart by more than this share are noted.
STRETCH = 0.01
#: Constant for this long, a wave is not a pulse any more, seconds.
FLAT_S = 3.0
_FS = 30.0


@dataclass(frozen=True)
class Survey:
    """What a video claims and what it holds.

    Args:
        claimed: frames that its header or index promises, or None.
        found: frames that are there.
        seconds: time from the first to the last frame.
        problems: what else is wrong with it.
    """

    claimed: int | None
    found: int
    seconds: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What the check says about one recording.

    Args:
        recording: name of the take.
        problems: why it is bad; empty when it is not.
        notes: what one should know, but can live with.
        frames: frames found, or None when the video could not be opened.
        seconds: length of the video, or None.
        hr_bpm: rate of the reference over the whole recording, or None.
    """

    recording: str
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    frames: int | None = None
    seconds: float | None = None
    hr_bpm: float | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class CheckReport:
    """What the check says about a copy of a data set.

    Args:
        dataset: name.
        root: where.
        findings: one for each take that is there or should be.
    """

    dataset: str
    root: str
    findings: tuple[Finding, ...]

    @property
    def bad(self) -> tuple[Finding, ...]:
        """The findings with problems."""
        return tuple(f for f in self.findings if not f.ok)

    @property
    def ok(self) -> bool:
        """Whether no recording is bad."""
        return not self.bad

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        findings = [{"ok": f.ok} | asdict(f) for f in self.findings]
        counts = {"recordings": len(self.findings), "bad": len(self.bad)}
        return {"dataset": self.dataset, "root": self.root, "ok": self.ok} | counts | {"findings": findings}


def check_dataset(
    reader: Reader,
    root: str | Path,
    *,
    decode: bool = False,
    partial: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> CheckReport:
    """Check every take of a data set on disk.

    Args:
        reader: of the data set.
        root: where the copy is.
        decode: decode every frame instead of only counting what the files hold: slow, finds damaged pictures too.
        partial: the copy is meant to hold only some of the takes: do not report the absent ones.
        progress: called before each take with its number, the number of takes, and its name.

    Raises:
        DataError: ``root`` holds nothing of this data set.
    """
    takes = reader.find(root)
    findings = []
    for k, take in enumerate(takes):
        if progress is not None:
            progress(k, len(takes), take.name)
        findings.append(check_take(take, decode=decode))
    if not partial:
        there = {take.name for take in takes}
        absent = [name for name in reader.expected() if name not in there]
        findings += [Finding(name, ("missing: not in this copy",)) for name in absent]
        total = reader.info.recordings
        if not reader.expected() and total is not None and len(takes) < total:
            findings.append(Finding("(whole set)", (f"missing: {total - len(takes)} of {total} recordings",)))
    return CheckReport(reader.name, str(root), tuple(findings))


def check_take(take: Take, *, decode: bool = False) -> Finding:
    """Check one take; see :func:`check_dataset`."""
    try:
        return _check(take, decode)
    except KDPhysError as error:
        return Finding(take.name, (str(error).removeprefix(f"{take.name}: "),))
    except UNEXPECTED as error:
        return Finding(take.name, (f"unexpected {type(error).__name__}: {error}",))


def _check(take: Take, decode: bool) -> Finding:
    recording = take.open()
    problems: list[str] = []
    notes: list[str] = list(recording.video.notes)
    survey = survey_video(recording.video, decode=decode)
    problems += survey.problems
    if survey.claimed is not None and survey.found != survey.claimed:
        what = "truncated video" if survey.found < survey.claimed else "wrong length of video"
        problems.append(f"{what}: {survey.found} of {survey.claimed} frames")
    if survey.found < 2:
        problems.append(f"{survey.found} frames are no video")
    rate = None
    if not problems:  # a video that is cut off fits no label
        for name, reference in recording.references.items():
            problems += _cover(name, reference, survey.seconds, notes)
    if "bvp" in recording.references:
        trouble, rate = _wave(recording.references["bvp"])
        problems += trouble
    if "hr_bpm" in recording.references:
        problems += _readings(recording.references["hr_bpm"], notes)
    if not {"bvp", "hr_bpm", "ecg"} & set(recording.references):
        problems.append("missing label: neither bvp nor hr_bpm")
    return Finding(
        take.name, tuple(dict.fromkeys(problems)), tuple(notes), survey.found, round(survey.seconds, 3), rate
    )


def survey_video(video: Video, *, decode: bool = False) -> Survey:
    """Count the frames of a video; without ``decode`` by what its file holds, without decoding pictures.

    Raises:
        VideoError: it cannot be opened any more.
    """
    if decode:
        return _decoded(video)
    if isinstance(video, FileVideo) and isinstance(video.source, VideoFile):
        return _demuxed(video)
    if isinstance(video, ImageFolder):
        return _images(video)
    if video.n_frames is not None and video.duration_s is not None:
        return _first_and_last(video)
    return _decoded(video)


def _decoded(video: Video) -> Survey:
    n, first, last = 0, 0.0, 0.0
    problems: tuple[str, ...] = ()
    try:
        for n, frame in enumerate(video, 1):
            first, last = (frame.t if n == 1 else first), frame.t
    except VideoError as error:
        problems = (f"cannot be decoded beyond frame {n}: {error}",)
    corrupt = tuple(note for note in video.notes if "corrupt" in note)
    return Survey(video.n_frames, n, last - first, problems + corrupt)


def _demuxed(video: FileVideo) -> Survey:
    """Packets of the stream; one packet is one frame in every codec that the data sets use."""
    stamps: list[float] = []
    broken = 0
    cut = ""
    with av.open(str(video.path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        packets = demux(container, stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.error.FFmpegError as error:
                cut = f"truncated video: its container ends in the middle ({error.strerror})"
                break
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.size == 0 or stamp is None or stream.time_base is None:
                continue
            if packet.is_corrupt:
                broken += 1
                continue
            stamps.append(float(stamp * stream.time_base))
    problems = [cut] if cut else []
    if broken:
        problems.append(f"truncated video: {broken} frame{'s' * (broken > 1)} cut off")
    seconds = max(stamps) - min(stamps) if stamps else 0.0
    if video.times is not None:
        seconds = float(video.times[min(len(stamps), len(video.times)) - 1] - video.times[0]) if stamps else 0.0
        own = video.source.n_frames
        if own is not None and len(stamps) < own:
            problems.append(f"truncated video: {len(stamps)} of {own} frames")
    elif video.n_frames is None and video.duration_s and seconds < video.duration_s - _slack(video.duration_s):
        problems.append(f"truncated video: {seconds:.2f} of {video.duration_s:.2f} s")
    return Survey(video.n_frames, len(stamps), seconds, tuple(problems))


def _images(video: ImageFolder) -> Survey:
    bad = [path.name for path in video.files if not _is_whole(path)]
    problems = (f"truncated video: {len(bad)} images cut off ({', '.join(bad[:3])})",) if bad else ()
    return Survey(video.n_frames, len(video.files), video.duration_s or 0.0, problems)


def _is_whole(path: Path) -> bool:
    """Whether an image file ends where it should, by its own format; other formats are taken for whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(6)
        if path.suffix.lower() == ".png":
            file.seek(max(size - 12, 0))
            return head.startswith(b"\x89PNG") and file.read(12)[4:8] == b"IEND"
        if path.suffix.lower() == ".bmp":
            return head[:2] == b"BM" and int.from_bytes(head[2:6], "little") <= size
    return size > 0


def _first_and_last(video: Video) -> Survey:
    """For videos inside a data file: an array that is whole has all its frames; the first block is read to see it."""
    frames = iter(video)
    first: Frame | None = None
    try:
        first = next(frames, None)
    except VideoError as error:
        return Survey(video.n_frames, 0, 0.0, (f"truncated video: {error}",))
    finally:
        close = getattr(frames, "close", None)
        if close is not None:
            close()
    n = video.n_frames if first is not None else 0
    seconds = (video.duration_s or 0.0) - (1.0 / video.fps if video.fps else 0.0)
    return Survey(video.n_frames, n or 0, max(seconds, 0.0))


def _slack(seconds: float) -> float:
    return max(TOLERANCE_S, TOLERANCE_SHARE * seconds)


def _cover(name: str, reference: Signal, seconds: float, notes: list[str]) -> list[str]:
    """Whether a reference spans the video."""
    if len(reference.times) < 2:
        return [f"{name}: {len(reference.times)} samples"]
    step = float(np.median(np.diff(reference.times)))
    start, end = float(reference.times[0]), float(reference.times[-1])
    slack = _slack(seconds) + step  # readings once a second end up to a second early
    problems = []
    if start > slack:
        problems.append(f"{name}: label starts {start:.2f} s after the video")
    if end < seconds - slack:
        problems.append(f"{name}: label shorter than the video: it ends at {end:.2f} of {seconds:.2f} s")
    if end > seconds + slack:
        problems.append(f"{name}: label longer than the video: it ends at {end:.2f}, the video at {seconds:.2f} s")
    if not problems and seconds > 0 and start >= 0:
        ratio = (end - start + step) / (seconds + 1 / _FS)
        if name == "bvp" and abs(ratio - 1) > STRETCH and abs(end - start - seconds) > 0.2:
            notes.append(f"{name}: spans {ratio:.3f} of the video: the clocks may be stretched against each other")
    return problems


def _wave(bvp: Signal) -> tuple[list[str], float | None]:
    """Problems of a pulse wave, and its rate in bpm."""
    problems = []
    try:
        values, valid, _ = resample_by_time(bvp.times, bvp.values, _FS)
    except InvalidInputError as error:
        return [f"bvp: {error}"], None
    if not valid.any() or float(np.ptp(bvp.values)) == 0:
        return ["flat signal: bvp does not change"], None
    longest = max((run.stop - run.start for run in runs(stands_still(values, valid))), default=0) / _FS
    if longest >= FLAT_S:
        problems.append(f"flat signal: bvp does not change for {longest:.1f} s")
    if (~valid).sum() / _FS > FLAT_S:
        problems.append(f"gaps: bvp is missing for {(~valid).sum() / _FS:.1f} s")
    run = max(runs(valid), key=lambda r: r.stop - r.start)
    wave = values[run]
    if len(wave) < 4 * _FS:
        return problems, None
    wave = wave - np.convolve(np.pad(wave, int(_FS), mode="reflect"), np.ones(61) / 61, "same")[int(_FS) : -int(_FS)]
    frequencies, power = spectrum(wave, _FS, 0.01)
    bpm = 60 * frequencies
    shown = (bpm >= 6) & (bpm <= 420)
    beating = (bpm >= PLAUSIBLE_BPM[0]) & (bpm <= PLAUSIBLE_BPM[1])
    rate = float(bpm[shown][np.argmax(power[shown])])
    share = float(power[beating].sum() / max(power[shown].sum(), 1e-300))
    if share < 0.3:
        low, high = PLAUSIBLE_BPM
        problems.append(f"implausible heart rate: bvp beats at {rate:.0f} bpm, expected {low:.0f}–{high:.0f}")
    return problems, round(rate, 1)


def _readings(hr: Signal, notes: list[str]) -> list[str]:
    low, high = PLAUSIBLE_BPM
    outside = (hr.values < low) | (hr.values > high)
    share = float(outside.mean())
    if share > 0.5:
        middle = float(np.median(hr.values))
        return [f"implausible heart rate: hr_bpm is {middle:.0f} in the median, expected {low:.0f}–{high:.0f}"]
    if share > 0:
        notes.append(f"hr_bpm: {int(outside.sum())} of {len(outside)} readings outside {low:.0f}–{high:.0f} bpm")
    return []
