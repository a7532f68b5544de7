"""Uploads as clients meet them: measured, refused, cancelled; nothing of them stays."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import time
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest

from kdphys import serialize
from tests.serve.server import PATIENCE_S, TOKEN, Running, until
from tests.video.make import write_video


def form(*parts: tuple[str, bytes], end: bool = True) -> bytes:
    """A form by hand."""
    out = b""
    for disposition, body in parts:
        out += b"--X\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + body + b"\r\n"
    return out + (b"--X--\r\n" if end else b"")


def post(server: Running, body: bytes, **headers: str) -> tuple[int, dict[str, str]]:
    content = {"Content-Type": "multipart/form-data; boundary=X", **headers}
    answer = server.client.post("v1/measurements", content=body, headers=content)
    return answer.status_code, answer.json()


def raw(server: Running, head: str, body: bytes = b"") -> socket.socket:
    """A connection on which a request has begun."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(head.replace("\n", "\r\n").encode() + body)
    return connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    out = b""
    try:
        while data := connection.recv(65536):
            out += data
    except ConnectionError:
        pass
    return out


def answer(connection: socket.socket) -> bytes:
    """A refusal, without waiting until the server closes."""
    out = b""
    while not out.endswith(b"}"):
        data = connection.recv(65536)
        assert data, "closed without an answer"
        out += data
    return out


HEAD = f"""POST /v1/measurements HTTP/1.1
Host: localhost
Authorization: Bearer {TOKEN}
Content-Type: multipart/form-data; boundary=X
"""


def test_an_upload_is_measured_and_deleted(server: Running, demo_path: Path) -> None:
    answer = server.upload(demo_path, name="../../../etc/very-private-name.mp4", method="pos", window="8")
    assert answer.status_code == 202
    created = answer.json()
    assert created["state"] == "queued"
    assert answer.headers["Location"] == f"/v1/measurements/{created['id']}"
    done = server.wait(created["id"])
    assert done["state"] == "done", done["error"]
    assert done["error"] is None
    jsonschema.validate(done["result"], serialize.schema())
    (m,) = done["result"]["measurements"]
    assert abs(m["heart_rate"]["value"] - 72.1) < 3
    assert m["frames"] == 360
    assert m["method"] == "pos"
    windows = {round(w["end_s"] - w["start_s"], 3) for w in m["course"]}
    assert windows == {8.0}
    assert server.spooled() == []
    everywhere = server.log() + answer.text + str(done)
    assert "very-private-name" not in everywhere, "the name is neither kept nor logged"
    server.client.get("healthz", headers={"X-Forwarded-For": "203.0.113.7"})
    assert "203.0.113.7" not in server.log(), "only a proxy is believed"
    assert created["id"] not in server.log(), "who reads the log may not fetch results"
    assert str(server.folder) not in str(done)


def test_delete_forgets(server: Running, demo_path: Path) -> None:
    done = server.measured(demo_path, method="green", faces="all")
    assert done["state"] == "done"
    where = f"v1/measurements/{done['id']}"
    assert server.client.delete(where).status_code == 204
    again = server.client.delete(where)
    assert again.status_code == 404
    assert again.json()["code"] == "no_such_measurement"
    assert server.client.get(where).status_code == 404


@pytest.mark.parametrize("name", ["nothing", "..%2f..%2fetc%2fpasswd", "%00", "a" * 3000])
def test_unknown_ids(server: Running, name: str) -> None:
    for method in ("GET", "DELETE"):
        assert server.client.request(method, f"v1/measurements/{name}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "magic"}, "known: "),
        ({"method": "../../secret.onnx"}, "known: "),
        ({"method": ""}, "known: "),
        ({"faces": "some"}, "'largest' or 'all'"),
        ({"window": "2"}, "from 6"),
        ({"window": "nan"}, "from 6"),
        ({"window": "ten"}, "from 6"),
        ({"colour": "red"}, "expected the fields"),
        ({"method": "x" * 300}, "longer than"),
    ],
)
def test_wrong_options(server: Running, demo_path: Path, fields: dict[str, str], words: str) -> None:
    answer = server.upload(demo_path, **fields)
    assert answer.status_code == 422
    assert words in answer.json()["message"]
    assert server.spooled() == []


def test_a_wrong_option_before_the_file_is_refused_before_it(server: Running) -> None:
    part = form(('name="method"', b"magic"), ('name="file"; filename="x.mp4"', b""), end=False).removesuffix(b"\r\n")
    with raw(server, f"{HEAD}Content-Length: 5000000\n\n", part) as connection:
        refusal = answer(connection)
    assert refusal.startswith(b"HTTP/1.1 422 ")
    assert b"unknown_method" in refusal


def test_malformed_forms(server: Running, demo_path: Path) -> None:
    video = demo_path.read_bytes()[:5000]
    file = ('name="file"; filename="x.mp4"', video)
    cases = {
        "no_file": form(('name="method"', b"pos")),
        "empty": form(('name="file"; filename="x.mp4"', b"")),
        "repeated_field": form(file, file),
        "unknown_field": form(("", b"pos")),
        "bad_form": form(file, end=False),
        "bad_field": form(('name="method"', b"\xff\xfe"), file),
    }
    for code, body in cases.items():
        assert post(server, body)[1]["code"] == code
    assert post(server, b"nonsense")[1]["code"] == "bad_form"
    assert post(server, b"")[1]["code"] == "bad_form"
    assert post(server, b"{}", **{"Content-Type": "application/json"})[0] == 415
    assert post(server, form(file), **{"Content-Type": "multipart/form-data"})[0] == 415
    assert server.spooled() == []


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(600),
        b"PK\x03\x04" + bytes(600),
        b"#EXTM3U\nhttp://127.0.0.1/x.ts\n",
        b"<html>",
        b"\x47",
    ],
    ids=["png", "zip", "playlist", "html", "one byte"],
)
def test_type_is_told_by_content(server: Running, content: bytes) -> None:
    status, problem = post(server, form(('name="file"; filename="video.mp4"', content)))
    assert (status, problem["code"]) == (415, "not_a_video")
    assert server.spooled() == []


def test_what_only_begins_like_a_video_fails_with_a_reason(server: Running, videos: Path) -> None:
    path = videos / "begins.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypisom" + os.urandom(4000))
    failed = server.measured(path)
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == "unreadable"
    assert str(server.folder) not in failed["error"]["message"]
    assert failed["result"] is None
    assert server.spooled() == []


def test_huge_videos_in_small_files(server: Running, wide: Path, many: Path, endless: Path) -> None:
    assert max(p.stat().st_size for p in (wide, many, endless)) < 1_000_000
    reasons = {wide: "2048×1024", many: "3000 frames", endless: "300 s"}
    for path, words in reasons.items():
        failed = server.measured(path)
        assert failed["state"] == "failed"
        assert words in failed["error"]["message"]


def test_ten_gigabytes_are_refused_before_they_come(server: Running) -> None:
    with raw(server, f"{HEAD}Content-Length: 10000000000\n\n") as connection:
        refusal = answer(connection)
    assert refusal.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in refusal
    assert b"connection: close" in refusal.lower()


def test_endless_uploads_are_refused_when_they_get_too_large(server: Running, demo_path: Path) -> None:
    sent = 0

    def chunks() -> object:
        nonlocal sent
        head = form(('name="file"; filename="x.mp4"', b""), end=False).removesuffix(b"\r\n")
        yield head + demo_path.read_bytes()
        while True:
            sent += 1
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=X"}
    answer = server.client.post("v1/measurements", content=chunks(), headers=headers)
    assert answer.status_code == 413
    assert sent < 2000, "it is thrown away for a while, not for ever"
    assert server.spooled() == []


def test_stalled_uploads_fill_the_queue_for_a_moment(server: Running, demo_path: Path) -> None:
    part = form(('name="file"; filename="x.mp4"', demo_path.read_bytes()[:3000]), end=False)
    began = time.monotonic()
    stalled = [raw(server, f"{HEAD}Content-Length: 90000\n\n", part) for _ in range(3)]
    until(lambda: len(server.spooled()) == 3 or None)
    full = server.upload(demo_path)
    assert (full.status_code, full.json()["code"]) == (503, "queue_full")
    assert int(full.headers["Retry-After"]) >= 1
    for connection in stalled:
        with connection:
            assert answer(connection).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 30
    until(lambda: server.spooled() == [] or None)
    until(lambda: server.upload(demo_path).status_code == 202 or None)


def test_one_client_with_all_its_sockets_leaves_room_for_others(server: Running) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(600):  # more than the server takes at once, of all together
            stack.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", server.port))))
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(transport=transport, base_url=server.url, timeout=PATIENCE_S) as other:
            assert other.get("healthz").status_code == 200


def test_slow_clients_are_cut_off(server: Running) -> None:
    """Headers that drip, a connection without a request, and one that does not take its answers."""
    silent = raw(server, "")
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.settimeout(60)
    deaf.connect(("127.0.0.1", server.port))
    size = int(server.client.head("ort/ort-wasm-simd-threaded.wasm.gz").headers["Content-Length"])
    deaf.sendall(3 * b"GET /ort/ort-wasm-simd-threaded.wasm.gz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    began = time.monotonic()
    busy = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    busy.connect()
    kept = busy.sock
    with raw(server, "GET /healthz HTTP/1.1\nHost: localhost\n") as dripping:
        dripping.settimeout(0.3)
        for n in range(100):
            busy.request("GET", "/healthz")
            busy.getresponse().read()
            try:
                dripping.sendall(f"X-{n}: y\r\n".encode())
                if dripping.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("a connection was kept for half a minute of headers")
    assert time.monotonic() - began > 1.5
    assert busy.sock is kept, "who asks again and again is not cut off"
    busy.close()
    with silent, deaf:
        assert everything(silent) == b""
        time.sleep(max(began + 4.5 - time.monotonic(), 0))
        assert len(everything(deaf)) < 3 * size


def test_half_an_upload_leaves_nothing(server: Running, demo_path: Path) -> None:
    part = form(('name="file"; filename="x.mp4"', demo_path.read_bytes()), end=False)
    for end in ("half", "reset"):
        connection = raw(server, f"{HEAD}Content-Length: 9000000\n\n", part)
        until(lambda: server.spooled() or None)
        if end == "half":
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.close()
        until(lambda: not server.spooled() or None)
        connection.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_fails_one_job_and_nothing_else(
    server: Running, long: Path, demo_path: Path, how: signal.Signals
) -> None:
    before = server.client.get("healthz").json()["measuring"]["restarts"]
    victim = server.upload(long).json()["id"]
    other = server.upload(demo_path).json()["id"]
    pid = until(server.worker_with_upload)
    os.kill(pid, how)
    failed = server.wait(victim)
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == "crashed"
    assert how.name in failed["error"]["message"]
    assert server.wait(other)["state"] == "done"
    assert server.spooled() == []
    assert server.client.get("healthz").json()["measuring"]["restarts"] == before + 1


def test_delete_stops_what_runs_and_what_waits(server: Running, long: Path, demo_path: Path) -> None:
    running = server.upload(long).json()["id"]
    waiting = [server.upload(long).json()["id"] for _ in range(2)]
    server.wait(running, "running")
    for one in (waiting[0], running, waiting[1]):
        assert server.client.delete(f"v1/measurements/{one}").status_code == 204
    until(lambda: not server.spooled() or None)
    assert server.measured(demo_path)["state"] == "done"


def test_no_pulse_is_an_answer(server: Running, videos: Path) -> None:
    grey = write_video(videos / "grey.mp4", [np.full((96, 128, 3), 128, np.uint8)] * 300)
    done = server.measured(grey)
    assert done["state"] == "done"
    (m,) = done["result"]["measurements"]
    assert m["reliable"] is False
    assert m["reasons"][0] == "no face"


def test_wrong_methods_and_paths(server: Running) -> None:
    wrong = server.client.get("v1/measurements")
    assert wrong.status_code == 405
    assert wrong.headers["Allow"] == "POST"
    assert server.client.put("v1/measurements/x").headers["Allow"] == "DELETE, GET"
    assert server.client.get("v2/measurements").status_code == 404
    assert server.client.post("index.html").status_code == 404


def test_metrics_and_health(server: Running, demo_path: Path) -> None:
    assert server.measured(demo_path)["state"] == "done"
    text = server.client.get("metrics").text
    values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}
    assert values['kdphys_jobs_total{outcome="done"}'] >= 1
    assert values["kdphys_upload_bytes_total"] >= demo_path.stat().st_size
    assert values['kdphys_requests_total{method="POST",route="/v1/measurements",status="202"}'] >= 1
    assert values["kdphys_spool_bytes"] == 0
    for process in ("server", "measure", "live"):
        assert values[f'kdphys_memory_bytes{{process="{process}"}}'] > 10e6
    health = server.client.get("healthz").json()
    assert health["status"] == "ok"
    assert health["measuring"]["ready"] == health["measuring"]["wanted"] == 1
