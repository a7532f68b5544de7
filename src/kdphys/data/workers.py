"""Jobs over processes that end with their parent, and a lock on a folder."""

from __future__ import annotations

import multiprocessing
import os
import signal as signals
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from kdphys.errors import DataError

J = TypeVar("J")
R = TypeVar("R")

#: Name of the lock file in a folder.
LOCK = ".lock"


def run_all(jobs: Sequence[J], run: Callable[[J], R], workers: int) -> Iterator[tuple[J, R]]:
    """Each job and what became of it, in the order in which they finish.

    Args:
        jobs: picklable.
        run: a function of a module, so that other processes find it.
        workers: processes; 1 runs here.

    Raises:
        DataError: a process died.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, run(job)
        return

    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker)
    waiting: dict[Future[R], J] = {}
    queue = deque(jobs)
    try:
        while queue or waiting:
            while queue and len(waiting) < 2 * workers:
                job = queue.popleft()
                waiting[pool.submit(run, job)] = job
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died, perhaps for lack of memory; what is done is kept: run again, with fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """In a worker: end with the parent, however that ends, and leave Ctrl-C to it."""
    import cv2

    cv2.setNumThreads(1)
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the store against a second run; the system lets go of it when the process dies.

    Raises:
        DataError: another run holds it.
    """
    from filelock import FileLock, Timeout  # not in the base installation

    try:
        with FileLock(out / LOCK, timeout=0):
            yield
    except Timeout as error:
        raise DataError(f"{out}: another 'kdphys prepare' is writing into this store") from error
