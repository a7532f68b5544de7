"""All parts of a running server, put together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kdphys.serve.jobs import Board
from kdphys.serve.limits import Seats
from kdphys.serve.metrics import Metrics
from kdphys.serve.pool import Slot
from kdphys.serve.problems import Refused
from kdphys.serve.schemas import Health, Workers
from kdphys.serve.settings import Settings
from kdphys.serve.spool import Spool
from kdphys.serve.streams import Streams

#: Requests wait this long for the first worker, seconds.
_START_S = 60.0
#: Workers step back for the process that talks to the network; uploads can wait longer than streams.
_NICE = {"measure": 10, "live": 5}


class Core:
    """Workers, jobs, streams and the folder for uploads; created in the event loop that it runs in.

    Args:
        settings: limits.
        metrics: where to count.
        version: of kdphys.
    """

    def __init__(self, settings: Settings, metrics: Metrics, version: str) -> None:
        self.settings, self.metrics, self._version = settings, metrics, version
        self.spool = Spool(settings.max_spool_bytes)
        self._slots = {
            kind: [Slot(kind, settings.memory_bytes, _NICE[kind], metrics.restarts.labels(kind).inc) for _ in range(n)]
            for kind, n in (("measure", settings.workers), ("live", settings.stream_workers))
        }
        self.board = Board(settings, metrics)
        self.streams = Streams(settings, self._slots["live"], metrics)
        self.uploads = Seats(10 * settings.queue, settings.client_uploads, "uploads")
        self._known: tuple[list[str], str] | None = None
        self.draining = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Workers run inside; after it, no process and no file is left."""
        slots = [slot for some in self._slots.values() for slot in some]
        keepers = [asyncio.create_task(slot.keep()) for slot in slots]
        tasks = [asyncio.create_task(self.board.work(slot)) for slot in self._slots["measure"]]
        tasks.append(asyncio.create_task(self.board.sweep()))
        try:
            yield
        finally:
            self.drain()
            for task in (*tasks, *keepers):
                task.cancel()
            await asyncio.gather(*tasks, *keepers, return_exceptions=True)
            self.spool.close()

    def drain(self) -> None:
        """The server is about to end: streams do at once, jobs that run may finish."""
        self.draining = True
        self.streams.drain()
        self.board.drain()

    async def methods(self) -> tuple[list[str], str]:
        """What can be asked for, and what is taken when nothing is asked for; workers know.

        Raises:
            Refused: 503, there is no worker.
        """
        if self._known is None:
            waits = [asyncio.create_task(slot.ready()) for some in self._slots.values() for slot in some]
            try:
                done, _ = await asyncio.wait(waits, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    raise Refused(503, "starting", "the server is starting; try again later", 5)
                about = json.loads(done.pop().result().about)
            finally:
                for wait in waits:
                    wait.cancel()
            self._known = list(about["methods"]), str(about["default"])
        return self._known

    def health(self) -> Health:
        """How it is."""

        def workers(kind: str) -> Workers:
            slots = self._slots[kind]
            ready = sum(slot.worker is not None for slot in slots)
            return Workers(ready=ready, wanted=len(slots), restarts=sum(slot.restarts for slot in slots))

        measuring, streaming = workers("measure"), workers("live")
        able = measuring.ready > 0 and streaming.ready > 0
        return Health(
            status="shutting_down" if self.draining else "ok" if able else "starting",
            version=self._version,
            measuring=measuring,
            streaming=streaming,
            jobs=self.board.counts(),
            streams=len(self.streams),
        )

    def metrics_text(self) -> bytes:
        """For Prometheus."""
        pids = {kind: [slot.pid for slot in some] for kind, some in self._slots.items()}
        ready = {kind: sum(slot.worker is not None for slot in some) for kind, some in self._slots.items()}
        return self.metrics.text(self.board.counts(), len(self.streams), self.spool.bytes, ready, pids)
