"""Starting and ending: what is refused, what is imported, what is left."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kdphys.errors import InvalidInputError
from kdphys.serve.settings import Settings
from tests.cli.conftest import Command
from tests.cli.conftest import command as command
from tests.serve.server import PATIENCE_S, TOKEN, serving, until


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "::"], "needs a token"),
        (["--host", "192.0.2.7", "--quiet"], "needs a token"),
        (["--proxy", "127.0.0.1"], "needs a token"),
        (["--token", "short"], "at least 16"),
        (["--token", "with spaces in between"], "without spaces"),
        (["--token-file", "/nonexistent"], "cannot be read"),
        (["--token-file", "/dev/null"], "at least 16"),
        (["--token", ""], "at least 16"),
        (["--cors", "example.org"], "an origin looks like"),
        (["--cors", "*"], "an origin looks like"),
        (["--port", "70000"], "'--port'"),
        (["--queue", "0"], "'--queue'"),
        (["--host", "192.0.2.7", "--token", TOKEN], "cannot listen on"),
    ],
)
def test_refused_before_anything_starts(args: list[str], words: str, command: Command) -> None:
    out = command("serve", *args)
    assert out.returncode == 2
    assert words in out.stderr
    assert "Traceback" not in out.stderr
    assert "correct-horse" not in out.stderr


def test_the_token_is_never_shown() -> None:
    assert TOKEN not in repr(Settings(token=TOKEN))
    with pytest.raises(InvalidInputError):
        Settings(keep_s=0)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout


def test_the_server_itself_is_light() -> None:
    """It loads broken that decodes or computes, and never torch; workers load what measures, and no torch either."""
    loaded = run("import sys, kdphys.serve; print(*sys.modules)").split()
    assert not {"torch", "numpy", "fastapi", "cv2", "av"} & set(loaded)
    loaded = run("import sys, kdphys.serve.run; print(*sys.modules)").split()
    assert "fastapi" in loaded
    assert not {"torch", "numpy", "scipy", "cv2", "av", "onnxruntime"} & set(loaded)
    loaded = run("import sys, kdphys.serve.measure, kdphys.serve.live; print(*sys.modules)").split()
    assert "av" in loaded
    assert "torch" not in loaded


def test_token_file_and_a_signal_in_the_middle_of_a_job(tmp_path: Path, long: Path) -> None:
    """The command as users start it: the token from a file, by header and by subprotocol; SIGTERM ends all."""
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    folder = tmp_path / "tmp"
    command = ("-m", "kdphys.cli.main", "serve", "--port", "0", "--token-file", str(secret), "--workers", "1")
    command += ("--proxy", "127.0.0.1", "--allowed-host", "pulse.example.org")
    with serving(folder, *command, ready=False, token=TOKEN) as server:
        until(lambda: server.client.get("healthz").status_code in (200, 503) or None)
        stat = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu_s = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("import fastapi, uvicorn")
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        least_s = used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime
        assert cpu_s < 5 * least_s, "starts with little more work than the libraries of the server need"
        until(lambda: server.client.get("healthz").status_code == 200 or None)
        for names in ([], ["kdphys.v1", "bearer.wrong"]):
            with pytest.raises(InvalidStatus) as refused:
                server.connect(headers={}, subprotocols=names or None).__enter__()
            assert refused.value.response.status_code == 401
        with server.connect(headers={}, subprotocols=["kdphys.v1", f"bearer.{TOKEN}"]) as ws:
            assert ws.subprotocol == "kdphys.v1"
        with server.connect() as ws:
            assert ws.subprotocol is None
        assert httpx.get(f"{server.url}metrics", trust_env=False).status_code == 401
        proxied = {"Host": "pulse.example.org", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
        assert server.client.get("healthz", headers=proxied).status_code == 200
        until(lambda: "203.0.113.7 GET /healthz 200" in server.log() or None)
        running, waiting = (server.upload(long).json()["id"] for _ in range(2))
        until(server.worker_with_upload)
        children = server.children()
        assert len(children) >= 2
        with server.connect() as ws:
            ws.send('{"format": "rgb", "width": 64, "height": 48}')
            assert json.loads(ws.recv(PATIENCE_S))["type"] == "ready"
            server.process.send_signal(signal.SIGTERM)
            assert json.loads(ws.recv(PATIENCE_S))["code"] == "shutting_down"
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(PATIENCE_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert server.wait(waiting)["error"]["code"] == "shutting_down"
        assert server.upload(long).status_code == 503
        assert server.client.get("healthz").json()["status"] == "shutting_down"
        assert server.wait(running)["state"] == "done", "what runs may finish"
        assert server.process.wait(PATIENCE_S) == -signal.SIGTERM
        until(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in children) or None)
        assert list(folder.glob("kdphys-*")) == []
        assert TOKEN not in server.log()
        assert "Traceback" not in server.log()


def test_two_signals_end_at_once_and_a_killed_server_leaves_broken_for_long(
    tmp_path: Path, long: Path, huge: Path
) -> None:
    folder, broken = tmp_path / "tmp", tmp_path / "broken.mp4"
    broken.write_bytes(long.read_bytes()[:4000])
    with serving(folder, workers=1, stream_workers=1) as server:
        server.upload(long)
        children = server.children()
        until(server.worker_with_upload)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in children) or None)
        assert len(server.spooled()) == 1
    with serving(folder, workers=1, stream_workers=1, job_timeout_s=1.0) as server:
        assert server.spooled() == [], "the next server removes what a killed one left"
        failed, *others = [server.upload(path).json()["id"] for path in (long, broken, broken)]
        assert server.wait(failed)["error"]["code"] == "timeout"
        for other in others:
            assert server.wait(other)["error"]["code"] == "unreadable", "its turn comes, with another worker"
    with serving(folder, workers=1, stream_workers=1, memory_bytes=1 << 30, max_pixels=1 << 26) as server:
        failed = server.measured(huge)
        assert failed["error"]["code"] in ("memory", "crashed"), "some libraries abort when there is no memory"
        assert server.client.get("v1/measurements/x").status_code == 404, "the server goes on"
        assert server.spooled() == []
        server.upload(long)
        until(server.worker_with_upload)
        children = server.children()
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGINT)
        server.process.wait(PATIENCE_S)
        assert time.monotonic() - began < 15
        until(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in children) or None)
        assert list(folder.glob("kdphys-*")) == []
    assert not re.search("Traceback(?!.*KeyboardInterrupt)", server.log(), re.DOTALL)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"proxy": "localhost"}, "a proxy is an IP address"),
        ({"allowed_hosts": ("pulse.example.org:443",)}, "no scheme and no port"),
        ({"allowed_hosts": ("https://pulse.example.org",)}, "no scheme and no port"),
    ],
)
def test_what_would_never_match_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Settings(token=TOKEN, **options)
    Settings(token=TOKEN, proxy="10.0.0.0/8, ::1", allowed_hosts=("::1", "pulse.example.org"))
