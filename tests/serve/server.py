"""A real server in processes of its own, on a free port of this machine."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from kdphys.serve.settings import Settings

TOKEN = "correct-horse-battery-staple"
ROOT = Path(__file__).resolve().parents[2]
# A connection that was idle is not used again: the server may be about to close it.
_LIMITS = httpx.Limits(keepalive_expiry=2.0)
#: Patience: the machine may be busy.
PATIENCE_S = 60.0


class Running:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Path, token: str | None) -> None:
        self.process, self.url, self.folder = process, url, folder
        self.port = int(url.rsplit(":", 1)[1].strip("/"))
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(
            base_url=url, headers=self.headers, timeout=PATIENCE_S, trust_env=False, limits=_LIMITS
        )

    def connect(self, **options: Any) -> Any:
        """A WebSocket."""
        options = {"open_timeout": PATIENCE_S, "proxy": None, "max_size": 1 << 24, **options}
        address = f"ws://127.0.0.1:{self.port}/v1/stream"
        return connect(address, additional_headers=options.pop("headers", self.headers), **options)

    def spooled(self) -> list[str]:
        """Uploads that lie on disk."""
        return [p.name for p in self.folder.glob("kdphys-serve-*/*") if p.name != ".lock"]

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def children(self) -> list[int]:
        """Processes of the server's."""
        return [pid for pid, parent in _parents() if parent == self.process.pid]

    def worker_with_upload(self) -> int | None:
        """The worker that has an upload open."""
        for pid in self.children():
            with contextlib.suppress(OSError):
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if "kdphys-serve-" in os.readlink(link):
                            return pid
        return None

    def upload(self, path: Path, name: str = "video.mp4", **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.client.post("v1/measurements", files={"file": (name, file)}, data=fields)

    def wait(self, measurement: str, *states: str) -> dict[str, Any]:
        """The measurement as soon as it is in one of the states; done or failed by default."""

        def look() -> dict[str, Any] | None:
            now = self.client.get(f"v1/measurements/{measurement}").json()
            return now if now["state"] in (states or ("done", "failed")) else None

        return until(look)

    def measured(self, path: Path, **fields: str) -> dict[str, Any]:
        """The measurement of an upload when it is over."""
        answer = self.upload(path, **fields)
        assert answer.status_code == 202, answer.text
        return self.wait(answer.json()["id"])


def until(look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """What ``look`` gives as soon as it does not give None."""
    end = time.monotonic() + patience_s
    while (found := look()) is None:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def serving(
    folder: Path, *command: str, ready: bool = True, token: str | None = None, **settings: Any
) -> Iterator[Running]:
    """A server with these settings; or what a command line starts, which must take a free port."""
    folder.mkdir(parents=True, exist_ok=True)
    program = list(command) or ["-m", "tests.serve.server", json.dumps({"port": 0, "token": token, **settings})]
    env = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    env.pop("KDPHYS_TOKEN", None)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, *program], cwd=ROOT, env=env, stderr=log, stdout=log)

    def address() -> str | None:
        assert process.poll() is None, (folder / "log").read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+/", (folder / "log").read_text())
        return found.group() if found else None

    running = None
    try:
        running = Running(process, until(address), folder, token)
        if ready:
            until(lambda: running.client.get("healthz").status_code == 200 or None)
        yield running
    finally:
        if running is not None:
            running.client.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            finally:
                process.kill()
                process.wait()


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                yield int(entry.name), int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])


if __name__ == "__main__":
    from kdphys.serve.run import log_to_stderr, run

    log_to_stderr(logging.INFO)
    chosen = json.loads(sys.argv[1])
    run(Settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}))
