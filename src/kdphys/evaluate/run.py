"""Recordings with references in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from kdphys.classical.toolbox import TOOLBOX_METHODS, toolbox
from kdphys.containers import Pulse, Recording, RgbTrace, Signal, Video
from kdphys.dsp import MAX_GAP_S
from kdphys.errors import UNEXPECTED, InvalidInputError, KDPhysError
from kdphys.evaluate.aggregate import Group
from kdphys.evaluate.prepared import Prepared
from kdphys.evaluate.protocols import PROTOCOLS, REFERENCE_SHARE, Reference, Score, kdphys_scores, toolbox_score
from kdphys.evaluate.report import Failure, Report
from kdphys.pipeline import FS, Extraction, extract, no_trace, person_pulse
from kdphys.pulse.engines import ClipMethod
from kdphys.pulse.estimate import Method, load_method
from kdphys.vitals.heart_rate import MIN_HR_S, check_windows, hr_course, hr_window
from kdphys.vitals.quality import Judge
from kdphys.vitals.result import HrWindow

#: Windows of the kdphys protocol, seconds; the whole recording comes on top.
WINDOWS_S = (10.0, 30.0)


class Source(Protocol):
    """A recording that is opened only when its turn comes."""

    @property
    def name(self) -> str:
        """Name, for messages."""

    def open(self) -> Recording:
        """Read it."""


@dataclass(frozen=True, eq=False)
class Take:
    """A recording whose video has been reduced to its trace already.

    Args:
        subject, name, references, conditions: as of :class:`kdphys.containers.Recording`.
        trace: the skin colour.
        notes: what went wrong without ending it.
        pulses: of the methods that need more than the trace, by name.
    """

    subject: str
    name: str
    trace: RgbTrace
    references: Mapping[str, Signal] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pulses: Mapping[str, Pulse] = field(default_factory=dict)


def evaluate(
    recordings: Iterable[Recording | Take | Prepared | Source],
    methods: Sequence[Method | str] = ("pos",),
    *,
    protocols: Sequence[str] = ("kdphys",),
    windows_s: Sequence[float] = WINDOWS_S,
    step_s: float | None = None,
    roi: Any = None,
    split: Mapping[str, Sequence[str]] | None = None,
    part: str = "test",
    progress: Callable[[int, str], None] | None = None,
) -> Report:
    """Compare methods with references.

    Args:
        recordings: with a "bvp" or "hr_bpm" reference; one at a time is opened. Those of a prepared store
            (:mod:`kdphys.evaluate.prepared`) need no face looked for.
        methods: names or methods. Two of one name, as a network trained further and the one that it came from have,
            are called by their files in the report.
        protocols: "kdphys", "toolbox" or both.
        windows_s: of the kdphys protocol, seconds.
        step_s: between the starts of windows; by default they do not overlap.
        roi: look at this box, or "full", instead of looking for a face.
        split: for methods that were trained: "train", "val" and "test" → subjects. Written into the report.
        part: of the split, whose subjects may be evaluated.
        progress: called with the number and the name of the recording that begins.

    A recording that cannot be evaluated is listed under the report's failures. Ctrl-C ends early: the rest is listed
    as not evaluated.

    Raises:
        UnknownNameError: a method is not registered.
        InvalidInputError: unknown protocol, a window that is too short, no recording, a split that shares subjects.
    """
    unknown = [p for p in protocols if p not in PROTOCOLS]
    if unknown or not protocols:
        raise InvalidInputError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {', '.join(unknown) or 'none'}")
    for window_s in windows_s:
        check_windows(window_s, window_s if step_s is None else step_s)
    if len({f"{w:g}" for w in windows_s}) < len(windows_s):
        raise InvalidInputError(f"each window once, got {', '.join(f'{w:g} s' for w in windows_s)}")
    check_split(split, part)
    loaded = _labelled([_method(m) for m in methods])
    todo = list(recordings)
    if not todo:
        raise InvalidInputError("no recordings to evaluate")
    job = _Job(loaded, tuple(protocols), tuple(windows_s), step_s, roi, split, part)
    for k, item in enumerate(todo):
        if progress is not None:
            progress(k, item.name)
        try:
            job.add(item)
        except KDPhysError as error:
            job.failures.append(Failure(item.name, str(error).removeprefix(f"{item.name}: ")))
        except UNEXPECTED as error:
            job.failures.append(Failure(item.name, f"unexpected {type(error).__name__}: {error}"))
        except KeyboardInterrupt:
            job.failures += [Failure(left.name, "not evaluated: stopped before") for left in todo[k:]]
            break
    return job.report()


def check_split(split: Mapping[str, Sequence[str]] | None, part: str = "test") -> None:
    """Refuse a split that shares subjects.

    Raises:
        InvalidInputError: a subject is in two parts, or there is no such part.
    """
    if split is None:
        return
    if part not in split:
        raise InvalidInputError(f"split: expected a {part!r} part, got {', '.join(split) or 'none'}")
    where: dict[str, str] = {}
    for name, subjects in split.items():
        for subject in subjects:
            if where.setdefault(subject, name) != name:
                raise InvalidInputError(f"split: subject {subject!r} is in {where[subject]!r} and in {name!r}")


class _Job:
    def __init__(
        self,
        methods: dict[str, Method],
        protocols: tuple[str, ...],
        windows_s: tuple[float, ...],
        step_s: float | None,
        roi: Any,
        split: Mapping[str, Sequence[str]] | None,
        part: str,
    ) -> None:
        self.methods, self.protocols, self.windows_s = methods, protocols, windows_s
        self.step_s, self.roi, self.split, self.part = step_s, roi, split, part
        self.scores: dict[tuple[str, str, str], list[Score]] = {}
        self.without: dict[tuple[str, str, str], int] = {}
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self.names: set[tuple[str, str]] = set()

    def add(self, item: Recording | Take | Prepared | Source) -> None:
        recording = item if isinstance(item, Recording | Take | Prepared) else item.open()
        if self.split is not None and recording.subject not in self.split[self.part]:
            raise InvalidInputError(
                f"{recording.name}: subject {recording.subject!r} is not in the split's {self.part} part"
            )
        if (recording.subject, recording.name) in self.names:
            raise InvalidInputError(f"{recording.name}: a second recording of this name by {recording.subject!r}")
        reference = Reference(recording.references.get("bvp"), recording.references.get("hr_bpm"))
        take = recording if isinstance(recording, Take) else self._take(recording)
        times = take.trace.times
        low, high = reference.span
        if not len(times) or not (low <= times[-1] and high >= times[0]):
            span = f"{times[0]:.1f}–{times[-1]:.1f} s" if len(times) else "empty"
            raise InvalidInputError(
                f"{take.name}: the reference ({low:.1f}–{high:.1f} s) and the video ({span}) do not overlap in time; "
                "the reference's times must be seconds on the video's clock"
            )
        found: list[tuple[tuple[str, str, str], list[Score], int]] = []
        for name, method in self.methods.items():
            if isinstance(method, ClipMethod):
                if name not in take.pulses:
                    raise InvalidInputError(f"{take.name}: method {name!r} needs pictures, this is a trace")
                pulse = take.pulses[name]
            else:
                pulse = method.pulse(take.trace)
            if "kdphys" in self.protocols:
                found += self._kdphys(take, name, pulse, reference)
            if "toolbox" in self.protocols:
                found += self._toolbox(take, name, pulse)
        if not any(scores for _, scores, _ in found):
            raise InvalidInputError(
                f"{take.name}: nothing to compare: {len(times) / take.trace.fs:.1f} s of video, reference from "
                f"{low:.1f} to {high:.1f} s"
            )
        self.names.add((take.subject, take.name))
        self.notes += [f"{take.name}: {note}" for note in take.notes]
        for key, scores, without in found:
            self.scores.setdefault(key, []).extend(scores)
            self.without[key] = self.without.get(key, 0) + without

    def _take(self, r: Recording | Prepared) -> Take:
        """Reduce a recording to its trace, and to the pulses of the methods that need its pictures.

        That is a pass over a video for each of them, or one over crops.
        """
        learned = {name: m for name, m in self.methods.items() if isinstance(m, ClipMethod)}
        if isinstance(r, Prepared):
            if self.roi is not None:
                raise InvalidInputError(f"{r.name}: a prepared store holds crops of faces; leave roi out")
            trace, waves = r.measure(list(learned.values()))
            pulses = dict(zip(learned, waves, strict=True))
            return Take(r.subject, r.name, trace, r.references, r.conditions, pulses=pulses)
        needed: list[ClipMethod | None] = [*learned.values()] or [None]
        passes = [_extract(r.video, self.roi, m) for m in needed]
        first = passes[0]
        person = first.persons[0] if first.persons else None
        trace = person.trace if person else no_trace(first, FS)
        pulses = {name: person_pulse(e, e.persons[0] if e.persons else None, m)
                  for (name, m), e in zip(learned.items(), passes, strict=False)}  # fmt: skip
        notes = first.notes if person else (*first.notes, "no face")
        return Take(r.subject, r.name, trace, r.references, r.conditions, notes, pulses)

    def _kdphys(
        self, take: Take, method: str, pulse: Pulse, reference: Reference
    ) -> list[tuple[tuple[str, str, str], list[Score], int]]:
        conditions = tuple(sorted(take.conditions.items()))
        courses = [(f"{w:g} s", hr_course(pulse, w, self.step_s or w)) for w in self.windows_s]
        courses.append(("whole", _whole(pulse)))
        return [
            (("kdphys", method, label), *kdphys_scores(pulse, course, reference, take.name, take.subject, conditions))
            for label, course in courses
        ]

    def _toolbox(self, take: Take, method: str, pulse: Pulse) -> list[tuple[tuple[str, str, str], list[Score], int]]:
        key = ("toolbox", method, "whole")
        bvp, trace = take.references.get("bvp"), take.trace
        if bvp is None or len(bvp.times) < 2:
            return [(key, [], 1)]
        valid, spanned = trace.valid, (trace.times >= bvp.times[0]) & (trace.times <= bvp.times[-1])
        after = np.clip(np.searchsorted(bvp.times, trace.times), 1, len(bvp.times) - 1)
        known = spanned & (bvp.times[after] - bvp.times[after - 1] <= MAX_GAP_S)
        if known.sum() < REFERENCE_SHARE * len(trace.times) or not valid.any():
            return [(key, [], 1)]
        first, last = np.flatnonzero(spanned)[[0, -1]]
        inside = slice(int(first), int(last) + 1)
        t = trace.times[inside]
        if method == next(iter(self.methods)):  # once a recording
            for there, what in ((valid, "a face"), (known, "a reference")):
                gaps = int((~there[inside]).sum())
                if gaps:
                    text = f"{take.name}: toolbox protocol: {gaps} of {len(t)} samples without {what} bridged"
                    self.notes.append(text)
        if method in TOOLBOX_METHODS:
            rgb = np.stack([np.interp(t, trace.times[valid], trace.rgb[valid, c]) for c in range(3)], axis=1)
            wave = toolbox(method, rgb, trace.fs)
        else:
            wave = pulse.bvp[inside]
        result = toolbox_score(wave, bvp.at(t), trace.fs)
        score = Score(
            take.name,
            take.subject,
            float(t[0]),
            float(t[-1]),
            result.hr_bpm,
            result.hr_bpm,
            result.ref_bpm,
            snr_db=result.snr_db,
            macc=result.macc,
            conditions=tuple(sorted(take.conditions.items())),
        )
        return [(key, [score], 0)]

    def report(self) -> Report:
        order = [p for p in PROTOCOLS if p in self.protocols]
        keys = sorted(self.scores, key=lambda k: (order.index(k[0]), list(self.methods).index(k[1])))
        groups = tuple(Group(*k, tuple(self.scores[k]), self.without[k]) for k in keys)
        return Report(groups, tuple(self.failures), tuple(self.notes), self.split, self.part)


# What follows is all that evaluation knows about measuring.


def _method(method: Method | str) -> Method:
    return load_method(method) if isinstance(method, str) else method


def _labelled(methods: Sequence[Method]) -> dict[str, Method]:
    """The methods by what they are called: their name, or the file where several share one."""
    names = [m.name for m in methods]
    out: dict[str, Method] = {}
    for m in methods:
        out[m.source if isinstance(m, ClipMethod) and names.count(m.name) > 1 else m.name] = m
    if not out or len(out) < len(methods):
        raise InvalidInputError(f"methods must be one or more, each named once, got {', '.join(names) or 'none'}")
    return out


def _extract(video: Video, roi: Any, method: ClipMethod | None) -> Extraction:
    """One pass over the video.

    Raises:
        KeyboardInterrupt: stopped before the end.
    """
    extraction = extract(video, roi=roi, open_sink=method.open if method else None, most=1)
    if extraction.interrupted:
        raise KeyboardInterrupt
    return extraction


def _whole(pulse: Pulse) -> list[HrWindow]:
    """One window over all of it; none where it is shorter than a heart rate needs."""
    n = len(pulse.bvp)
    return [hr_window(Judge(pulse), 0, n)] if n >= MIN_HR_S * pulse.fs else []
