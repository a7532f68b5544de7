"""Measuring streams, in a worker process: many sessions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.clip.crop import BOX_SCALE
from kdphys.errors import InvalidInputError, KDPhysError
from kdphys.face.track import FaceTracker
from kdphys.pipeline import DEFAULT_METHOD
from kdphys.pulse.engines import StreamMethod
from kdphys.pulse.estimate import Method
from kdphys.serialize import estimate, number
from kdphys.serve.measure import known_methods, warm_up
from kdphys.streaming import Session, Update
from kdphys.streaming.waveform import load_live
from kdphys.vitals.result import Vitals

#: Updates of a stream a second: its own time may run as fast as its client likes.
_MOST_PER_S = 2.0


@dataclass
class _Live:
    session: Session
    jpeg: bool
    width: int
    height: int
    box: NDArray[np.float64] | None

    def picture(self, data: bytes) -> NDArray[np.uint8] | None:
        """uint8 (H, W, 3) RGB, or None: cannot be decoded, or to another size."""
        shape = (self.height, self.width, 3)
        if self.jpeg:
            flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
            rgb: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            if rgb is None or rgb.shape != shape:
                return None
            rgb.setflags(write=False)  # nobody else has it: the session need not copy it
            return np.asarray(rgb)
        return np.frombuffer(data, np.uint8).reshape(shape) if len(data) == np.prod(shape) else None


class Streamer:
    """The calls that a worker for streams answers."""

    def __init__(self) -> None:
        warm_up()
        self._live: dict[int, _Live] = {}
        self._methods: dict[str, Method | StreamMethod] = {}

    def about(self) -> dict[str, Any]:
        """What this worker can do."""
        return {"methods": known_methods(), "default": DEFAULT_METHOD}

    def open(self, key: int, method: str, jpeg: bool, width: int, height: int, crop: bool, window_s: float) -> Any:
        """Begin a stream.

        Returns:
            how far its waveform lags behind the newest frame.

        Raises:
            KDPhysError: the method cannot run on a stream.
        """
        if method not in known_methods():
            raise InvalidInputError(f"unknown method {method!r}")
        if method not in self._methods:
            self._methods[method] = load_live(method)
        session = Session(self._methods[method], window_s=window_s, most_per_s=_MOST_PER_S)
        box = None
        if crop:
            size = np.array([width, height, width, height], float)
            low = 0.5 * (1 - 1 / BOX_SCALE)
            box = size * np.array([low, low, 1 - low, 1 - low])
        self._live[key] = _Live(session, jpeg, width, height, box)
        return {"latency_s": round(session.latency_s if not crop else _lag(session), 4)}

    def frames(self, key: int, batch: Sequence[tuple[float, bytes]]) -> dict[str, Any]:
        """Take frames of a stream.

        Args:
            key: of the stream.
            batch: times in seconds and pictures.

        Returns:
            the updates that they gave, how many could not be decoded, and what the session counted so far.
        """
        live = self._live[key]
        updates, undecodable = [], 0
        for t, data in batch:
            rgb = live.picture(data)
            if rgb is None:
                undecodable += 1
                continue
            try:
                update = live.session.push(rgb, t, box=live.box)
            except KDPhysError:
                self._live.pop(key)
                raise
            if update is not None:
                updates.append(update_json(update))
        return {"updates": updates, "undecodable": undecodable, "counts": asdict(live.session.counts)}

    def end(self, key: int) -> dict[str, Any]:
        """End of a stream: the last update."""
        live = self._live.pop(key)
        update = live.session.close()
        updates = [] if update is None else [update_json(update)]
        return {"updates": updates, "undecodable": 0, "counts": asdict(live.session.counts)}

    def drop(self, key: int) -> None:
        """The client is gone."""
        self._live.pop(key, None)


def _lag(session: Session) -> float:
    """Without the wait for the next face detection."""
    return session.latency_s - FaceTracker.interval_s


def update_json(update: Update) -> dict[str, Any]:
    """An update as clients get it; numbers that cannot be told are null."""
    v: Vitals = update.vitals
    pulse = update.pulse
    return {
        "t": number(update.t),
        "method": v.method,
        "reliable": v.reliable,
        "reasons": list(v.reasons),
        "advice": list(update.advice),
        "notes": list(update.notes),
        "sqi": number(v.sqi),
        "heart_rate": estimate(v.hr),
        "respiration_rate": estimate(v.rr),
        "hrv": {name: estimate(value) for name, value in v.hrv.items()},
        "person": update.person,
        "box": None if update.box is None else [number(x) for x in update.box],
        "fps": number(update.fps),
        "waveform": {
            "start_s": number(pulse.t0),
            "fs": pulse.fs,
            "values": [round(float(b), 3) if ok else None for b, ok in zip(pulse.bvp, pulse.valid, strict=True)],
        },
    }
