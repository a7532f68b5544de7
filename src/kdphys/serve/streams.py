"""Streams over WebSocket: frames in, vital signs out; who sends too much loses the oldest frames, and is told."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import Counter, deque
from contextlib import suppress
from itertools import count
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from kdphys.serve.frames import Format, Malformed
from kdphys.serve.limits import Seats, client_of
from kdphys.serve.metrics import Metrics
from kdphys.serve.pool import Slot, WorkBroke, Worker, WorkerDied, WorkRefused
from kdphys.serve.problems import Refused
from kdphys.serve.schemas import StreamHello
from kdphys.serve.settings import Settings

_log = logging.getLogger("kdphys.serve")
#: The protocol's name, for clients that must name one (browsers that send a token do).
PROTOCOL = "kdphys.v1"
#: A worker that does not answer for this long hangs, seconds.
_CALL_S = 30.0
#: Wait for a worker to be ready, seconds.
_READY_S = 60.0
#: Frames in one call while measuring keeps up. For a while after it did not, they go one by one: the frames that are
#: dropped are then spread evenly, and what is left is a slower camera instead of one with gaps.
_BATCH = 8
_BEHIND_S = 5.0
_HELLO_BYTES = 4096
_OURS = ("received", "measured", "dropped", "malformed")
_SESSIONS = ("late", "gaps", "lost", "persons", "clock_jumps")
_COUNTS = (*_OURS, "queued", *_SESSIONS)
#: What sending to who has left raises.
_LEFT = (OSError, RuntimeError, WebSocketDisconnect)


class _Ended(Exception):
    """A stream ends: close code, reason for people, and a word for the counters."""

    def __init__(self, close: int, code: str, message: str) -> None:
        super().__init__(message)
        self.close, self.code, self.message = close, code, message


class _Gone(Exception):
    """The client has left."""


class _Stream:
    """One client."""

    def __init__(
        self,
        ws: WebSocket,
        worker: Worker,
        key: int,
        form: Format,
        s: Settings,
        metrics: Metrics,
        closing: asyncio.Event,
    ) -> None:
        self._ws, self._worker, self._key, self._form, self._closing = ws, worker, key, form, closing
        self._s, self._metrics = s, metrics
        self._queue: deque[tuple[float, bytes, float]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        self._dropped_at = -math.inf
        self._streak = 0
        self.counts = dict.fromkeys(_OURS, 0)
        self._session = dict.fromkeys(_SESSIONS, 0)

    async def run(self) -> None:
        """Until it ends.

        Raises:
            _Ended, _Gone: in any case.
        """
        tasks = [asyncio.create_task(do()) for do in (self._measure, self._read, self._watch, self._close)]
        measure = tasks[0]
        try:
            waiting = set(tasks)
            while not measure.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise _Ended(1000, "ended", "the stream has ended")

    def all_counts(self) -> dict[str, int]:
        """What happened to the frames so far."""
        return {**self.counts, "queued": len(self._queue), **self._session}

    async def _send(self, message: dict[str, Any]) -> None:
        await self._ws.send_text(json.dumps({**message, "counts": self.all_counts()}))

    async def _malformed(self, code: str, message: str, n: int = 1) -> None:
        self.counts["malformed"] += n
        self._metrics.frames.labels("malformed").inc(n)
        self._streak += n
        if self._streak >= self._s.max_malformed:
            raise _Ended(1003, "malformed", f"{self._streak} malformed messages in a row; the last one: {message}")
        await self._send({"type": "error", "code": code, "message": message})

    async def _watch(self) -> None:
        await self._worker.gone.wait()
        raise _lost(self._worker.ending)

    async def _close(self) -> None:
        await self._closing.wait()
        raise _Ended(1012, "shutting_down", "the server is shutting down; connect again later")

    async def _read(self) -> None:
        while not self._over:
            try:
                async with asyncio.timeout(self._s.idle_timeout_s):
                    message = await self._ws.receive()
            except TimeoutError:
                raise _Ended(1008, "idle", f"nothing came for {self._s.idle_timeout_s:g} s") from None
            if message["type"] != "websocket.receive":
                raise _Gone
            data = message.get("bytes")
            if data is None:
                await self._told(message.get("text") or "")
                continue
            try:
                t, picture = self._form.split(data)
            except Malformed as error:
                await self._malformed(error.code, error.message)
                continue
            self._put(t, picture)

    async def _told(self, text: str) -> None:
        told = None
        if len(text) <= _HELLO_BYTES:
            with suppress(ValueError, RecursionError):
                told = json.loads(text)
        if told == {"type": "end"}:
            self._over = True
            self._wake.set()
        else:
            await self._malformed("bad_message", 'expected a binary message with a frame, or the text {"type": "end"}')

    def _put(self, t: float, picture: bytes) -> None:
        self.counts["received"] += 1
        self._queue.append((t, picture, time.monotonic()))
        self._bytes += len(picture)
        while len(self._queue) > self._s.queue_frames or (self._bytes > self._s.queue_bytes and len(self._queue) > 1):
            _, old, _ = self._queue.popleft()
            self._bytes -= len(old)
            self._dropped_at = time.monotonic()
            self.counts["dropped"] += 1
            self._metrics.frames.labels("dropped").inc()
        self._wake.set()

    def _take(self) -> tuple[list[tuple[float, bytes]], float]:
        n = 1 if time.monotonic() - self._dropped_at < _BEHIND_S else min(_BATCH, len(self._queue))
        taken = [self._queue.popleft() for _ in range(n)]
        self._bytes -= sum(len(picture) for _, picture, _ in taken)
        return [(t, picture) for t, picture, _ in taken], taken[-1][2]

    async def _measure(self) -> None:
        while True:
            if self._queue:
                batch, came = self._take()
                answer = await ask(self._worker, "frames", self._key, batch)
                self._metrics.frame_seconds.observe(time.monotonic() - came)
                await self._answer(answer, len(batch))
            elif self._over:
                answer = await ask(self._worker, "end", self._key)
                await self._answer(answer, 0, final=True)
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _answer(self, answer: Any, n: int, final: bool = False) -> None:
        bad, late = answer["undecodable"], answer["counts"]["late"] - self._session["late"]
        self.counts["measured"] += n - bad - late
        self._metrics.frames.labels("measured").inc(n - bad - late)
        self._metrics.frames.labels("late").inc(late)
        self._session = {name: answer["counts"][name] for name in self._session}
        if n > bad:
            self._streak = 0
        if bad:
            await self._malformed("not_decodable", f"{bad} of the pictures could not be decoded", bad)
        for update in answer["updates"]:
            await self._send({"type": "update", "final": final, **update})


async def ask(worker: Worker, name: str, *arguments: Any) -> Any:
    """Call a worker of streams.

    Raises:
        _Ended: it could not do it.
    """
    try:
        async with asyncio.timeout(_CALL_S):
            return json.loads(await worker.call(name, *arguments))
    except TimeoutError:
        worker.kill("took too long")
        raise _Ended(1011, "crashed", "measuring took too long; connect again") from None
    except WorkRefused as refusal:
        raise _Ended(1008, "refused", str(refusal)) from None
    except WorkBroke as broke:
        raise _Ended(1011, "internal", f"measuring met an error of its own ({broke})") from None
    except WorkerDied as death:
        raise _lost(str(death)) from None


def _lost(how: str) -> _Ended:
    return _Ended(1011, "crashed", f"the measuring process was lost ({how}); connect again")


class Streams:
    """All streams.

    Args:
        settings: limits.
        slots: workers, each for many streams.
        metrics: where to count.
    """

    def __init__(self, settings: Settings, slots: list[Slot], metrics: Metrics) -> None:
        self._s, self._slots, self._metrics = settings, slots, metrics
        self._seats = Seats(settings.max_streams, settings.client_streams, "streams")
        self._load: Counter[int] = Counter()
        self._keys = count()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._seats)

    def drain(self) -> None:
        """The server is about to end, and with it each stream, which is told."""
        self._closing.set()

    async def serve(self, ws: WebSocket, methods: list[str], default: str) -> None:
        """Serve one client from the handshake to the end."""
        began = time.monotonic()
        offered = ws.scope.get("subprotocols", [])
        await ws.accept(PROTOCOL if PROTOCOL in offered else None)
        stream: list[_Stream] = []
        outcome = "gone"
        try:
            with self._seats.seat(client_of(ws.scope)):
                await self._run(ws, methods, default, stream)
        except Refused as refusal:
            outcome = refusal.code
            await _bye(ws, _Ended(1013, refusal.code, refusal.message), {})
        except _Ended as end:
            outcome = end.code
            await _bye(ws, end, stream[0].all_counts() if stream else {})
        except (_Gone, *_LEFT):
            pass
        finally:
            self._metrics.streams_total.labels(outcome).inc()
            frames = stream[0].counts["received"] if stream else 0
            _log.info("WS /v1/stream %s, %.1f s, %d frames", outcome, time.monotonic() - began, frames)

    async def _run(self, ws: WebSocket, methods: list[str], default: str, stream: list[_Stream]) -> None:
        hello, form = await self._hello(ws)
        method = default if hello.method is None else hello.method
        if method not in methods:
            raise _Ended(1008, "unknown_method", f"unknown method {method[:40]!r}; known: {', '.join(methods)}")
        key = next(self._keys)
        place = min(range(len(self._slots)), key=lambda k: (self._slots[k].worker is None, self._load[k]))
        self._load[place] += 1
        try:
            try:
                async with asyncio.timeout(_READY_S):
                    worker = await self._slots[place].ready()
            except TimeoutError:
                raise _Ended(1013, "starting", "the server is starting; try again later") from None
            try:
                about = (method, form.jpeg, form.width, form.height, hello.crop, hello.window)
                opened = await ask(worker, "open", key, *about)
                ready = {"type": "ready", "method": method, **opened, "queue_frames": self._s.queue_frames}
                await ws.send_text(json.dumps({**ready, "max_frame_bytes": max_message(self._s)}))
                stream.append(_Stream(ws, worker, key, form, self._s, self._metrics, self._closing))
                await stream[0].run()
            finally:
                if not worker.gone.is_set():
                    worker.call("drop", key).add_done_callback(lambda future: future.cancelled() or future.exception())
        finally:
            self._load[place] -= 1

    async def _hello(self, ws: WebSocket) -> tuple[StreamHello, Format]:
        wanted = 'expected JSON such as {"format": "jpeg", "width": 640, "height": 480}'
        try:
            async with asyncio.timeout(self._s.hello_timeout_s):
                message = await ws.receive()
        except TimeoutError:
            raise _Ended(1008, "no_hello", f"no first message within {self._s.hello_timeout_s:g} s; {wanted}") from None
        if message["type"] != "websocket.receive":
            raise _Gone
        text = message.get("text")
        if text is None or len(text) > _HELLO_BYTES:
            raise _Ended(1008, "bad_hello", wanted)
        try:
            hello = StreamHello.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the message"
            raise _Ended(1008, "bad_hello", f"{where}: {first['msg']}; {wanted}"[:400]) from None
        if hello.width * hello.height > self._s.stream_pixels:
            raise _Ended(
                1008,
                "too_large",
                f"frames of {hello.width}×{hello.height}; at most {self._s.stream_pixels} pixels are taken here",
            )
        return hello, Format(hello.format == "jpeg", hello.width, hello.height, self._s.stream_pixels)


def max_message(s: Settings) -> int:
    """Longest message of a stream, bytes: a raw frame and its time."""
    return max(3 * s.stream_pixels + 8, 1 << 16)


async def _bye(ws: WebSocket, end: _Ended, counts: dict[str, int]) -> None:
    with suppress(*_LEFT):
        if end.close != 1000:
            told = {"type": "error", "code": end.code, "message": end.message}
            await ws.send_text(json.dumps({**told, "counts": {**dict.fromkeys(_COUNTS, 0), **counts}}))
        await ws.close(end.close, end.message.encode()[:120].decode("utf-8", "ignore"))
