"""Uploads that wait, are measured, or are done: each ends in one way, and its file is deleted in all of them."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from kdphys.serve.metrics import Metrics
from kdphys.serve.pool import Slot, WorkBroke, Worker, WorkerDied, WorkRefused
from kdphys.serve.problems import Refused
from kdphys.serve.settings import Settings
from kdphys.serve.spool import SpoolFile

_log = logging.getLogger("kdphys.serve")
#: How often finished jobs are looked through, seconds.
_SWEEP_S = 1.0
#: When a full queue is worth another try, seconds.
_RETRY_S = 5.0
#: On shutdown, results can be fetched for this long after the last one, seconds.
_LINGER_S = 1.0


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Options:
    """How an upload is measured; as of ``kdphys measure``."""

    method: str
    faces: str
    window_s: float


@dataclass(eq=False)
class Job:
    """One upload.

    Attributes:
        id: not guessable: who knows it may fetch and delete the result.
        state: where it is.
        error: (code, message) of a failed one.
        result: JSON of a done one.
    """

    id: str
    file: SpoolFile
    options: Options
    state: State = State.QUEUED
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None
    finished: datetime | None = None
    queued_at: float = field(default_factory=time.monotonic)
    ended_at: float = 0.0
    error: tuple[str, str] | None = None
    result: bytes | None = None
    cancelled: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (State.DONE, State.FAILED)

    def json(self, keep_s: float) -> bytes:
        """As clients get it."""
        left = round(max(keep_s - (time.monotonic() - self.ended_at), 0), 1) if self.over else None
        about = {
            "id": self.id,
            "state": self.state,
            "created": _iso(self.created),
            "started": _iso(self.started),
            "finished": _iso(self.finished),
            "expires_in_s": left,
            "error": None if self.error is None else {"code": self.error[0], "message": self.error[1]},
        }
        return json.dumps(about)[:-1].encode() + b', "result": ' + (self.result or b"null") + b"}"


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat(timespec="milliseconds")


class Board:
    """All jobs.

    Args:
        settings: limits.
        metrics: where to count.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._jobs: dict[str, Job] = {}
        self._queue: deque[Job] = deque()
        self._arriving = 0
        self._running: dict[str, Worker] = {}
        self._wake = asyncio.Condition()
        self._draining = False
        self._last_end = 0.0

    # Clients

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place in the queue while an upload arrives.

        Raises:
            Refused: the queue is full, or the server is shutting down.
        """
        self.check_open()
        if len(self._queue) + self._arriving >= self._settings.queue:
            raise Refused(503, "queue_full", f"{self._settings.queue} uploads wait already; try again later", _RETRY_S)
        self._arriving += 1
        try:
            yield
        finally:
            self._arriving -= 1

    def check_open(self) -> None:
        """Whether there is still a server.

        Raises:
            Refused: it is shutting down.
        """
        if self._draining:
            raise Refused(503, "shutting_down", "the server is shutting down", _RETRY_S)

    async def submit(self, job: Job) -> None:
        """Put a job, whose place is held, into the queue."""
        self.check_open()
        self._jobs[job.id] = job
        self._queue.append(job)
        async with self._wake:
            self._wake.notify_all()

    def get(self, name: str) -> Job:
        """A job by its id.

        Raises:
            Refused: 404.
        """
        job = self._jobs.get(name)
        if job is None:
            raise Refused(
                404,
                "no_such_measurement",
                "no measurement with this id: it never was, was deleted, or its result is no longer kept",
            )
        return job

    def forget(self, name: str) -> None:
        """Stop a job if it runs, and forget it.

        Raises:
            Refused: 404.
        """
        job = self.get(name)
        del self._jobs[name]
        job.cancelled = True
        if job.state is State.QUEUED:
            self._queue.remove(job)
            self._end(job, error=("cancelled", "deleted by the client"))
        elif job.state is State.RUNNING:
            self._running[name].kill("deleted by the client")

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        out = {str(state): 0 for state in State}
        for job in self._jobs.values():
            out[job.state] += 1
        return out

    # Work

    async def work(self, slot: Slot) -> None:
        """Measure one job after the other in a slot, until this is cancelled."""
        while True:
            await slot.ready()
            async with self._wake:
                await self._wake.wait_for(lambda: bool(self._queue))
                worker = slot.worker
                if worker is None or worker.doomed:  # since this began to wait
                    self._wake.notify_all()
                    continue
                job = self._queue.popleft()
            await self._measure(job, worker)

    async def _measure(self, job: Job, worker: Worker) -> None:
        job.state, job.started = State.RUNNING, datetime.now(UTC)
        began = time.monotonic()
        self._metrics.job_seconds.labels("waiting").observe(began - job.queued_at)
        self._running[job.id] = worker
        s, o = self._settings, job.options
        bounds = (s.max_pixels, s.max_frames, s.max_duration_s)
        error: tuple[str, str] | None = ("shutting_down", "the server was shut down before it was measured")
        try:
            async with asyncio.timeout(s.job_timeout_s):
                job.result = await worker.call(
                    "measure", str(job.file.path), job.id, o.method, o.faces, o.window_s, bounds
                )
            error = None
        except TimeoutError:
            worker.kill("took too long")
            error = ("timeout", f"not measured within {s.job_timeout_s:g} s; send a shorter or smaller video")
        except WorkRefused as refusal:
            error = ("unreadable", str(refusal))
        except WorkBroke as broke:
            if str(broke) == "memory":
                error = ("memory", "it needs more memory than a measurement may take; send a smaller video")
            else:
                error = ("internal", f"the measurement met an error of its own ({broke})")
        except WorkerDied as death:
            error = ("crashed", f"the process that measured it was lost ({death})")
        finally:
            self._running.pop(job.id)
            self._metrics.job_seconds.labels("measuring").observe(time.monotonic() - began)
            self._end(job, error)

    def _end(self, job: Job, error: tuple[str, str] | None) -> None:
        job.file.delete()
        job.state, job.error = (State.DONE, None) if error is None else (State.FAILED, error)
        job.finished, job.ended_at = datetime.now(UTC), time.monotonic()
        self._last_end = job.ended_at
        outcome = "cancelled" if job.cancelled else "done" if error is None else error[0]
        self._metrics.jobs_total.labels(outcome).inc()

    async def sweep(self) -> None:
        """Forget results when their time is over, until this is cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.forget_old()

    def forget_old(self) -> None:
        """Forget results whose time is over, and the oldest of too many."""
        now = time.monotonic()
        over = sorted((job for job in self._jobs.values() if job.over), key=lambda job: job.ended_at)
        surplus = max(len(over) - self._settings.keep_count, 0)
        for n, job in enumerate(over):
            if n < surplus or now - job.ended_at > self._settings.keep_s:
                del self._jobs[job.id]

    # Shutdown

    def drain(self) -> None:
        """Take no more jobs and fail those that wait; those that run may finish."""
        if not self._draining:
            self._draining = True
            self._last_end = time.monotonic() - _LINGER_S
            while self._queue:
                self._end(self._queue.popleft(), ("shutting_down", "the server was shut down before it was measured"))

    @property
    def drained(self) -> bool:
        """Whether nothing runs, and who waited for the last result had a moment to fetch it."""
        return not self._running and not self._arriving and time.monotonic() - self._last_end > _LINGER_S


def new_id() -> str:
    """128 random bits."""
    return secrets.token_urlsafe(16)
