"""What the server counts, for Prometheus."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_WORK = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class Metrics:
    """Counters of one server; nothing global, nothing about who a client is."""

    def __init__(self) -> None:
        self._registry = r = CollectorRegistry()
        self.requests = Counter(
            "kdphys_requests_total", "HTTP requests answered", ["method", "route", "status"], registry=r
        )
        self.request_seconds = Histogram(
            "kdphys_request_seconds", "Time to answer a request", ["route"], buckets=_LATENCY, registry=r
        )
        self.upload_bytes = Counter("kdphys_upload_bytes_total", "Bytes of uploads received", registry=r)
        self.jobs_total = Counter("kdphys_jobs_total", "Jobs that ended, by how", ["outcome"], registry=r)
        self.job_seconds = Histogram(
            "kdphys_job_seconds", "Time that a job was in a stage", ["stage"], buckets=_WORK, registry=r
        )
        self.streams_total = Counter("kdphys_streams_total", "Streams that ended, by how", ["outcome"], registry=r)
        self.frames = Counter("kdphys_stream_frames_total", "Frames of streams, by fate", ["fate"], registry=r)
        self.frame_seconds = Histogram(
            "kdphys_stream_frame_seconds", "From a frame's arrival until it was measured", buckets=_LATENCY, registry=r
        )
        self.restarts = Counter("kdphys_worker_restarts_total", "Workers that died", ["kind"], registry=r)
        self._jobs = Gauge("kdphys_jobs_kept", "Jobs that are kept, by state", ["state"], registry=r)
        self._streams = Gauge("kdphys_streams_open", "Open streams", registry=r)
        self._workers = Gauge("kdphys_workers_ready", "Workers that are ready", ["kind"], registry=r)
        self._memory = Gauge("kdphys_memory_bytes", "Resident memory (Linux)", ["process"], registry=r)
        self._spool = Gauge("kdphys_spool_bytes", "Bytes of uploads on disk", registry=r)

    def text(
        self,
        jobs: dict[str, int],
        streams: int,
        spool: int,
        ready: dict[str, int],
        pids: dict[str, list[int | None]],
    ) -> bytes:
        """In the text format of Prometheus.

        Args:
            jobs: by state.
            streams: that are open.
            spool: bytes on disk.
            ready: kind → workers that are ready.
            pids: kind → process ids, None for one that is not there.
        """
        for state, n in jobs.items():
            self._jobs.labels(state).set(n)
        self._streams.set(streams)
        self._spool.set(spool)
        for kind, n in ready.items():
            self._workers.labels(kind).set(n)
            self._memory.labels(kind).set(sum(resident(pid) for pid in pids[kind] if pid is not None))
        self._memory.labels("server").set(resident(os.getpid()))
        return generate_latest(self._registry)


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where that cannot be told."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
