"""Worker processes as the server sees them: calls, answers, and a new one for one that died."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from kdphys.serve.worker import BROKE, DONE, HEAD, MAX_ANSWER, NO_MEMORY, REFUSED, main

_log = logging.getLogger("kdphys.serve")
_SPAWN = multiprocessing.get_context("spawn")
#: A worker that is not ready after this long never will be, seconds.
_START_S = 180.0
#: Longest wait before another try to start one, seconds.
_MAX_WAIT_S = 30.0


class WorkerDied(Exception):
    """The process ended in the middle of a call; the message says how."""


class WorkRefused(Exception):
    """The worker could not do it, for a reason that the client can understand."""


class WorkBroke(Exception):
    """The worker met an error of its own. ``str`` is "memory" or the name of the error."""


class Worker:
    """One process.

    Args:
        kind: "measure" or "live".
        memory_bytes: address space that it may use.
        niceness: how much it steps back for others.

    Attributes:
        about: what it can do; set when it is ready.
        gone: set when it has ended.
    """

    def __init__(self, kind: str, memory_bytes: int, niceness: int) -> None:
        self._arguments = (kind, memory_bytes, niceness)
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[tuple[int, str, tuple[Any, ...]] | None] = SimpleQueue()
        self._waiting: dict[int, asyncio.Future[bytes]] = {0: self._loop.create_future()}
        self._number = 0
        self._process: Any = None
        self._killed = ""
        self.about: bytes = b"{}"
        self.gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid if self._process is not None else None

    @property
    def doomed(self) -> bool:
        """Whether it was killed, though it may not be gone yet."""
        return bool(self._killed)

    async def start(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            WorkerDied: it ended before, or takes too long.
        """
        ready = self._waiting[0]
        await asyncio.to_thread(self._spawn)
        try:
            async with asyncio.timeout(_START_S):
                self.about = await ready
        except TimeoutError:
            self.kill("did not start in time")
            raise WorkerDied("did not start in time") from None

    def call(self, name: str, *arguments: Any) -> asyncio.Future[bytes]:
        """Ask for something; the future has the answer as JSON.

        It raises :class:`WorkerDied`, :class:`WorkRefused` or :class:`WorkBroke`.
        """
        future: asyncio.Future[bytes] = self._loop.create_future()
        if self.gone.is_set():
            future.set_exception(WorkerDied(self.ending))
            return future
        self._number += 1
        self._waiting[self._number] = future
        self._calls.put((self._number, name, arguments))
        return future

    def kill(self, why: str) -> None:
        """End the process at once."""
        if not self.gone.is_set():
            self._killed = self._killed or why
            if self._process is not None:
                with suppress(ValueError, OSError):
                    self._process.kill()

    def _spawn(self) -> None:
        their_calls, calls = _SPAWN.Pipe(duplex=False)
        answers, their_answers = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=main, args=(their_calls, their_answers, *self._arguments), daemon=True)
        process.start()
        self._process = process
        if self._killed:  # while it was being started
            process.kill()
        their_calls.close()
        their_answers.close()
        threading.Thread(target=self._write, args=(calls,), daemon=True).start()
        threading.Thread(target=self._read, args=(answers,), daemon=True).start()

    def _write(self, calls: Any) -> None:
        with calls, suppress(OSError):
            while (call := self._calls.get()) is not None:
                calls.send(call)

    def _read(self, answers: Any) -> None:
        with answers, suppress(EOFError, OSError):
            while True:
                self._post(self._arrived, answers.recv_bytes(MAX_ANSWER))
        self._process.join(5)
        self._process.kill()
        self._process.join()
        self._calls.put(None)
        self._post(self._ended)

    def _post(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(function, *arguments)

    def _arrived(self, answer: bytes) -> None:
        state, number = HEAD.unpack_from(answer)
        body = answer[HEAD.size :]
        future = self._waiting.pop(number, None)
        if future is None or future.done():
            return
        if state == DONE:
            future.set_result(body)
        elif state == REFUSED:
            future.set_exception(WorkRefused(_text(body)))
        else:
            assert state in (NO_MEMORY, BROKE)
            future.set_exception(WorkBroke("memory" if state == NO_MEMORY else _text(body)))

    def _ended(self) -> None:
        self.gone.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(WorkerDied(self.ending))
                future.exception()  # not everyone who asked still waits
        self._waiting.clear()

    @property
    def ending(self) -> str:
        """How the process ended."""
        code = self._process.exitcode if self._process is not None else None
        if self._killed:
            return self._killed
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"ended by {signal.Signals(-code).name}"
        return f"ended with code {code}"


def _text(body: bytes) -> str:
    return str(json.loads(body))


class Slot:
    """A place for a worker: when one dies, another takes it.

    Args:
        kind, memory_bytes, niceness: of :class:`Worker`.
        on_restart: called when a worker has died.

    Attributes:
        worker: that is ready, or None; it may be doomed.
        restarts: workers that died so far.
    """

    def __init__(self, kind: str, memory_bytes: int, niceness: int, on_restart: Callable[[], None]) -> None:
        self._arguments = (kind, memory_bytes, niceness)
        self._on_restart = on_restart
        self._ready = asyncio.Event()
        self.worker: Worker | None = None
        self._starting: Worker | None = None
        self.restarts = 0

    async def ready(self) -> Worker:
        """A worker, as soon as there is one."""
        while (worker := self.worker) is None or worker.doomed:
            if worker is None:
                await self._ready.wait()
            else:
                await worker.gone.wait()
                await asyncio.sleep(0)  # :meth:`keep` sees it, too
        return worker

    @property
    def pid(self) -> int | None:
        """Of the process."""
        worker = self.worker or self._starting
        return worker.pid if worker else None

    async def keep(self) -> None:
        """Keep a worker here until this is cancelled; then it is ended."""
        failures = 0
        try:
            while True:
                self._starting = worker = Worker(*self._arguments)
                try:
                    await worker.start()
                except (WorkerDied, OSError) as error:
                    failures += 1
                    _log.error("a worker cannot be started: %s", error)
                    await asyncio.sleep(min(0.5 * 2**failures, _MAX_WAIT_S))
                    continue
                failures = 0
                self.worker, self._starting = worker, None
                self._ready.set()
                await worker.gone.wait()
                self.worker = None
                self._ready.clear()
                self.restarts += 1
                self._on_restart()
        finally:
            for one in (self.worker, self._starting):
                if one is not None:
                    one.kill("the server is shutting down")
            self.worker = None
