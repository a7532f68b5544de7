"""What runs in a worker process: it takes calls from the server, one after the other, until the server goes away."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import struct
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

#: Before an answer: what became of the call, and its number. The rest is JSON.
HEAD = struct.Struct("<BQ")
DONE, REFUSED, NO_MEMORY, BROKE = range(4)
#: Longest answer that the server takes from a worker, bytes.
MAX_ANSWER = 256 << 20


def main(calls: Connection, answers: Connection, kind: str, memory_bytes: int, niceness: int) -> None:
    """Take calls (number, name, arguments) and answer each.

    The first answer, number 0, says that the worker is ready, and what it can do.

    Args:
        calls: from the server.
        answers: to the server.
        kind: "measure" or "live".
        memory_bytes: address space of this process.
        niceness: how much it steps back for others.
    """
    _settle(memory_bytes, niceness)
    handler: Any
    if kind == "live":
        from kdphys.serve.live import Streamer

        handler = Streamer()
    else:
        from kdphys.serve.measure import Measurer

        handler = Measurer()
    answers.send_bytes(HEAD.pack(DONE, 0) + json.dumps(handler.about()).encode())
    from kdphys.errors import KDPhysError

    while True:
        try:
            number, name, arguments = calls.recv()
        except (EOFError, OSError):
            return
        try:
            state, answer = DONE, getattr(handler, name)(*arguments)
        except KDPhysError as error:
            state, answer = REFUSED, str(error)
        except (MemoryError, BlockingIOError):  # the latter: no memory for the stack of a thread
            state, answer = NO_MEMORY, ""
        except Exception as error:
            logging.getLogger("kdphys.serve").exception("a worker could not do its work")
            state, answer = BROKE, type(error).__name__
        try:
            answers.send_bytes(HEAD.pack(state, number) + json.dumps(answer, allow_nan=False).encode())
        except OSError:
            return


def _settle(memory_bytes: int, niceness: int) -> None:
    """One thread, bounded memory, no core dumps (they would hold faces), and an end when the server ends."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    # The server decides when a worker ends, also when a whole group of processes is told to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        os.nice(niceness)

    import cv2

    cv2.setNumThreads(1)
