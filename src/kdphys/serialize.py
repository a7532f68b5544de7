"""Measurements as JSON (versioned, see ``docs/output.md``) and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np

from kdphys.pipeline import Measurement
from kdphys.vitals.quality import SQI_THRESHOLD
from kdphys.vitals.result import Estimate, HrWindow, Vitals

#: Version of the JSON layout: the first number changes when readers would break.
SCHEMA_VERSION = "1.0"
NOTICE = "Not a medical device: not for diagnosis or treatment."


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of :func:`document`."""
    return dict(json.loads((files("kdphys") / "assets" / "measurement.schema.json").read_text()))


def document(done: Mapping[str, Iterable[Measurement]], failed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All results of one run.

    Args:
        done: source → its measurements.
        failed: source → why it could not be measured.
    """
    return {
        "schema": f"kdphys/measurement/{SCHEMA_VERSION}",
        "kdphys": version("kdphys"),
        "notice": NOTICE,
        "sqi_threshold": SQI_THRESHOLD,
        "measurements": [{"source": s, **_measurement(m)} for s, many in done.items() for m in many],
        "failures": [{"source": s, "error": why} for s, why in (failed or {}).items()],
    }


def _measurement(m: Measurement) -> dict[str, Any]:
    v, e = m.vitals, m.extraction
    return {
        "person": m.person,
        "method": v.method,
        "start_s": number(e.span[0]),
        "end_s": number(e.span[1]),
        "frames": e.n_frames,
        "face_frames": len(m.track.times) if m.track is not None else (e.n_face_frames if m.trace.valid.any() else 0),
        "partial": e.interrupted,
        "notes": list(m.notes),
        "reliable": v.reliable,
        "reasons": list(v.reasons),
        "sqi": number(v.sqi),
        "heart_rate": estimate(v.hr),
        "respiration_rate": estimate(v.rr),
        "hrv": {name: estimate(value) for name, value in v.hrv.items()},
        "beats_s": [number(t) for t in v.beat_times],
        "ibi_ms": [number(t) for t in v.ibi_ms],
        "coverage": number(v.coverage),
        "course": [
            {
                "start_s": number(w.t0),
                "end_s": number(w.t1),
                "hr_bpm": number(w.hr_bpm),
                "sqi": number(w.sqi),
                "reason": w.reason,
            }
            for w in v.course
        ],
    }


def estimate(e: Estimate) -> dict[str, Any]:
    """An estimate as plain values."""
    return {
        "value": number(e.value),
        "unit": e.unit,
        "confidence": number(e.confidence),
        "window_s": [number(t) for t in e.window] if e.window else None,
        "min_s": e.min_s,
        "reason": e.reason,
    }


def number(x: float | np.floating[Any] | None) -> float | None:
    """Four digits after the point; None for what is not finite, which JSON has no word for."""
    return None if x is None or not math.isfinite(x) else round(float(x), 4)


def json_text(done: Mapping[str, Iterable[Measurement]], failed: Mapping[str, str] | None = None) -> str:
    """:func:`document` as text."""
    return json.dumps(document(done, failed), indent=2, ensure_ascii=False) + "\n"


def course_csv(done: Mapping[str, Iterable[Measurement]], failed: Mapping[str, str] | None = None) -> str:
    """Heart rate over time, one row a window; an empty cell where it cannot tell.

    What is shorter than a window has one row, that of the whole; what could not be measured has one with the error.
    """
    rows: list[tuple[Any, ...]] = [
        (s, m.person, _text(w.t0), _text(w.t1), _text(w.hr_bpm), _text(w.sqi), w.reason or "")
        for s, many in done.items()
        for m in many
        for w in m.vitals.course or (_whole(m.vitals),)
    ]
    rows += [(s, "", "", "", "", "", f"failed: {why}") for s, why in (failed or {}).items()]
    return _csv(("source", "person", "start_s", "end_s", "hr_bpm", "sqi", "reason"), rows)


def _whole(v: Vitals) -> HrWindow:
    t0, t1 = v.hr.window or v.window
    return HrWindow(t0, t1, v.hr_bpm, v.sqi, None if v.reliable else ", ".join(v.reasons))


def bvp_csv(done: Mapping[str, Iterable[Measurement]]) -> str:
    """The pulse wave, one row a sample; an empty cell in gaps."""
    rows = [
        (s, m.person, _text(t), f"{b:.6g}" if ok else "")
        for s, many in done.items()
        for m in many
        for t, b, ok in zip(m.pulse.times, m.pulse.bvp, m.pulse.valid, strict=True)
    ]
    return _csv(("source", "person", "time_s", "bvp"), rows)


def _text(x: float | None) -> str:
    return "" if x is None or not math.isfinite(x) else f"{x:.4f}"


def _csv(header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
