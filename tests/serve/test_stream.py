"""Streams as clients meet them."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from kdphys.containers import Frame
from kdphys.face.detect import FaceDetector
from kdphys.serve.frames import Malformed, jpeg_size
from kdphys.serve.schemas import StreamError, StreamReady, StreamUpdate
from tests.serve.server import TOKEN, Running, until

HELLO = {"method": "pos", "format": "jpeg", "width": 640, "height": 480}


def message(t: float, picture: bytes) -> bytes:
    return struct.pack("<d", t) + picture


def jpeg(rgb: np.ndarray, *options: int) -> bytes:
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95, *options])
    assert ok
    return data.tobytes()


@contextmanager
def stream(server: Running, hello: dict[str, Any] | None = None) -> Iterator[ClientConnection]:
    """A stream that has begun."""
    with server.connect(close_timeout=20) as ws:
        ws.send(json.dumps(hello or HELLO))
        StreamReady.model_validate(told(ws))
        yield ws


def told(ws: ClientConnection) -> dict[str, Any]:
    out: dict[str, Any] = json.loads(ws.recv(timeout=60))
    return out


def to_the_end(ws: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """All messages until the server closes, the code (1006: no word at all, RFC 6455), and the reason."""
    out: list[dict[str, Any]] = []
    try:
        while True:
            out.append(told(ws))
    except ConnectionClosed as error:
        end = error.rcvd
    return (out, end.code, end.reason) if end else (out, 1006, "")


@pytest.fixture(scope="module")
def pictures(demo_frames: list[Frame]) -> list[tuple[float, bytes]]:
    return [(f.t, jpeg(f.rgb)) for f in demo_frames]


def test_jpeg_frames_are_measured(server: Running, pictures: list[tuple[float, bytes]]) -> None:
    with stream(server) as ws:
        for t, picture in pictures:
            ws.send(message(t + 1e6, picture))
        ws.send('{"type": "end"}')
        answers, code, _ = to_the_end(ws)
    assert code == 1000
    updates = [StreamUpdate.model_validate(answer) for answer in answers]
    assert [u.final for u in updates] == [False] * (len(updates) - 1) + [True]
    assert 11 <= len(updates) <= 14, "one a second, and the last"
    last = updates[-1]
    assert last.heart_rate.value is not None
    assert abs(last.heart_rate.value - 72.1) < 3
    assert last.reliable
    assert last.t == pytest.approx(1e6 + pictures[-1][0], abs=1e-3)
    assert last.fps == pytest.approx(30, abs=0.5)
    counts = last.counts
    assert (counts.received, counts.measured, counts.dropped, counts.malformed) == (360, 360, 0, 0)
    assert counts.persons == 1
    assert last.box is not None
    wave = last.waveform
    assert len(wave.values) == pytest.approx(10 * wave.fs, abs=2)
    assert np.std([v for v in wave.values if v is not None]) > 0.1
    assert updates[0].reasons == ["too short"]
    assert updates[0].advice


def test_raw_crops_are_measured_without_looking_for_a_face(server: Running, demo_frames: list[Frame]) -> None:
    box = FaceDetector()(demo_frames[0].rgb).boxes[0]
    centre, side = (box[:2] + box[2:]) / 2, 1.5 * float(np.mean(box[2:] - box[:2]))
    x, y = np.round(centre - side / 2).astype(int)
    crops = [np.ascontiguousarray(f.rgb[y : y + round(side), x : x + round(side)]) for f in demo_frames]
    hello = {"format": "rgb", "width": crops[0].shape[1], "height": crops[0].shape[0], "crop": True, "window": 8}
    with stream(server, hello | {"method": "pos"}) as ws:
        for frame, crop in zip(demo_frames, crops, strict=True):
            ws.send(message(frame.t, crop.tobytes()))
        ws.send('{"type": "end"}')
        answers, code, _ = to_the_end(ws)
    assert code == 1000
    last = StreamUpdate.model_validate(answers[-1])
    assert last.heart_rate.value is not None
    assert abs(last.heart_rate.value - 72.1) < 3
    assert last.heart_rate.window_s is not None
    start, end = last.heart_rate.window_s
    assert end - start == pytest.approx(8, abs=0.1)
    assert last.box == pytest.approx([side / 6, side / 6, 5 * side / 6, 5 * side / 6], abs=1)


def test_what_comes_too_fast_is_dropped_and_counted(server: Running, pictures: list[tuple[float, bytes]]) -> None:
    """Measuring stands still for a moment: the oldest of what waits are dropped, the newest are measured."""

    def dropped() -> bool | None:
        found = re.search(r'fate="dropped"} ([0-9.]+)', server.client.get("metrics").text)
        return True if found and float(found.group(1)) >= 100 else None

    workers = server.children()
    with stream(server) as ws:
        try:
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            for n in range(510):  # 400 may wait, some are on their way
                ws.send(message(n / 30, pictures[n % 360][1]))
            until(dropped)
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        ws.send('{"type": "end"}')
        answers, code, _ = to_the_end(ws)
    assert code == 1000
    counts = [answer["counts"] for answer in answers]
    assert counts[-1]["received"] == 510
    assert 100 <= counts[-1]["dropped"] <= 110
    assert counts[-1]["measured"] + counts[-1]["dropped"] == 510
    assert all(c["received"] >= c["measured"] + c["dropped"] + c["queued"] for c in counts)
    assert answers[-1]["t"] == pytest.approx(509 / 30, abs=1e-3)


def malformed_messages() -> dict[str, bytes | str]:
    flat = np.full((480, 640, 3), 120, np.uint8)
    good = jpeg(flat)
    return {
        "too_short": b"\x00" * 8,
        "bad_time": message(math.nan, good),
        "wrong_size": message(1, jpeg(flat[:240])),
        "too_large": message(1, jpeg(np.zeros((2000, 3000, 3), np.uint8))),
        "not_jpeg": message(1, b"\x89PNG\r\n\x1a\n" + bytes(100)),
        "progressive": message(1, jpeg(flat, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        "not_decodable": message(1, good[: good.index(b"\xff\xda")] + b"\xff\xda\x00\x00"),
        "bad_message": "hello again",
    }


def test_each_kind_of_malformed_message_is_told(server: Running, pictures: list[tuple[float, bytes]]) -> None:
    wrong = malformed_messages()
    with stream(server) as ws:
        for code, data in wrong.items():
            ws.send(data)
            error = StreamError.model_validate(told(ws))
            assert error.code == code
            assert len(error.message) > 10
        assert error.counts.malformed == len(wrong)
        ws.send(message(*pictures[0]))  # the stream goes on
        ws.send('{"type": "end"}')
        answers, code, _ = to_the_end(ws)
    assert code == 1000
    assert answers[-1]["counts"]["measured"] == 1
    with stream(server, HELLO | {"format": "rgb"}) as ws:
        ws.send(message(0, bytes(640 * 480 * 3 - 1)))
        assert told(ws)["code"] == "wrong_size"


def test_many_malformed_messages_end_the_stream(server: Running) -> None:
    with stream(server) as ws:
        for _ in range(10):
            ws.send(b"rubbish")
        answers, code, reason = to_the_end(ws)
    assert code == 1003
    assert "malformed" in reason
    assert [answer["type"] for answer in answers] == ["error"] * 10
    with stream(server) as ws:
        with suppress(ConnectionClosed):  # the server may hang up while most of it is still on its way
            ws.send(bytes(2_000_000))  # more than any frame of this server
        _, code, _ = to_the_end(ws)
    assert code in (1009, 1006)  # 1006: over bytes that nobody read, the system may reset the connection


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ("{", "bad_hello"),
        ("[]", "bad_hello"),
        (b"\x00\x01", "bad_hello"),
        (json.dumps(HELLO | {"format": "png"}), "bad_hello"),
        (json.dumps(HELLO | {"width": "640"}), "bad_hello"),
        (json.dumps(HELLO | {"width": -1}), "bad_hello"),
        (json.dumps(HELLO | {"colour": "red"}), "bad_hello"),
        (json.dumps(HELLO | {"window": 1}), "bad_hello"),
        (json.dumps(HELLO | {"width": 8192, "height": 16}), "bad_hello"),
        (json.dumps(HELLO) + " " * 5000, "bad_hello"),
        (json.dumps(HELLO | {"width": 8000, "height": 8000}), "too_large"),
        (json.dumps(HELLO | {"method": "magic"}), "unknown_method"),
        (json.dumps(HELLO | {"method": "/etc/passwd.onnx"}), "unknown_method"),
    ],
)
def test_wrong_hellos(server: Running, hello: str | bytes, code: str) -> None:
    with server.connect() as ws:
        ws.send(hello)
        (answer,), closed, reason = to_the_end(ws)
    assert closed == 1008
    assert StreamError.model_validate(answer).code == code
    assert reason


def test_silence_ends_a_stream(server: Running) -> None:
    with server.connect() as mute, stream(server) as idle:
        (answer,), closed, _ = to_the_end(mute)
        assert (answer["code"], closed) == ("no_hello", 1008)
        (answer,), closed, _ = to_the_end(idle)
        assert (answer["code"], closed) == ("idle", 1008)


def test_there_are_only_so_many_streams(server: Running) -> None:
    until(lambda: server.client.get("healthz").json()["streams"] == 0 or None)
    with stream(server), stream(server), stream(server), server.connect() as fourth:
        (answer,), closed, reason = to_the_end(fourth)
        assert (answer["code"], closed) == ("no_more_streams", 1013)
        assert "3" in reason
    until(lambda: server.client.get("healthz").json()["streams"] == 0 or None)
    with stream(server):
        pass


def test_pages_of_others_may_not_connect(server: Running) -> None:
    own = f"http://127.0.0.1:{server.port}"
    with server.connect(origin=own):
        pass
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}"):
        with pytest.raises(InvalidStatus) as refused:
            server.connect(origin=origin)
        assert refused.value.response.status_code == 403
    sock = socket.create_connection(("127.0.0.1", server.port))
    with pytest.raises(InvalidStatus) as refused:
        server.connect(sock=sock, headers=server.headers | {"Host": "evil.example"})
    assert refused.value.response.status_code == 400, "a name that was bound to this address by somebody else"


def test_a_lost_worker_ends_its_streams_with_a_reason(server: Running, pictures: list[tuple[float, bytes]]) -> None:
    before = server.client.get("healthz").json()["streaming"]["restarts"]
    with stream(server) as ws:
        ws.send(message(*pictures[0]))
        for pid in server.children():
            os.kill(pid, signal.SIGKILL)  # all of them; uploads' too
        answers, code, _ = to_the_end(ws)
    assert code == 1011
    assert answers[-1]["code"] == "crashed"
    assert "SIGKILL" in answers[-1]["message"]
    with stream(server) as ws:  # waits for the new worker
        ws.send(message(*pictures[0]))
        ws.send('{"type": "end"}')
        assert to_the_end(ws)[1] == 1000
    assert server.client.get("healthz").json()["streaming"]["restarts"] == before + 1
    until(lambda: server.client.get("healthz").status_code == 200 or None)


@pytest.mark.parametrize("how", ["half", "reset"])
def test_who_leaves_without_a_word_is_noticed(server: Running, how: str) -> None:
    """A connection that ends halfway, or at once: long before the time limit for silence."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        key = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + 22 * "A"
            + "=="
        )
        token = f"Authorization: Bearer {TOKEN}"
        connection.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n{token}\r\n{key}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
        hello = json.dumps(HELLO).encode()
        connection.sendall(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)  # masked with zeros
        assert b'"ready"' in connection.recv(4096)
        assert server.client.get("healthz").json()["streams"] == 1
        if how == "half":
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(5 * (bytes([0x81, 0x81, 0, 0, 0, 0]) + b"?"))  # is answered to nobody
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        began = time.monotonic()
        until(lambda: server.client.get("healthz").json()["streams"] == 0 or None)
        assert time.monotonic() - began < 1.5
    assert "Traceback" not in server.log()


def test_without_the_headers_of_a_websocket(server: Running) -> None:
    answer = server.client.get("v1/stream")
    assert answer.status_code == 426
    assert answer.headers["Upgrade"] == "websocket"


def test_bytes_that_fill_up_a_jpeg_are_no_damage(server: Running) -> None:
    """ITU-T T.81 lets any number of 0xFF stand before a marker."""
    plain = cv2.imencode(".jpg", np.full((480, 640, 3), 120, np.uint8))[1].tobytes()
    assert jpeg_size(plain) == jpeg_size(plain[:2] + b"\xff\xff" + plain[2:]) == (640, 480)
    with pytest.raises(Malformed):
        jpeg_size(plain[:2] + b"\xff" * 40)
