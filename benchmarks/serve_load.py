"""Load on one server, over loopback: many stream clients and many uploads at the same time.

    python benchmarks/serve_load.py                       # 50 clients, 200 uploads
    python benchmarks/serve_load.py --clients 4 --uploads 8 --seconds 15

Starts a server of its own with room for them, sends the bundled clip over and over, and prints what was lost, how long
answers took, what was dropped, and the memory of the server's processes. The clients run on the same machine and take
their share of it. Bounded in time and count; the exit code is 1 when a job or a stream was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import cv2
import httpx
import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kdphys.face.detect import FaceDetector
from kdphys.video.reader import read_video

DEMO = Path(str(files("kdphys") / "assets" / "demo.mp4"))


@dataclass
class Seen:
    """What the clients saw."""

    upload_s: list[float] = field(default_factory=list)
    update_s: list[float] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)
    done: int = 0
    lost_jobs: list[str] = field(default_factory=list)
    lost_streams: list[str] = field(default_factory=list)
    waits: int = 0
    frames: int = 0
    measured: int = 0
    dropped: int = 0
    updates: int = 0
    reliable: int = 0
    errors: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    out = [pid]
    for one in out:
        out += [child for child, parent in parents.items() if parent == one]
    return out


def memory_mb(pid: int) -> tuple[float, float]:
    """Of a process and its descendants: resident, and proportional (shared pages counted once), MB."""
    rss = pss = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
            rss += int(re.search(r"^Rss:\s+(\d+)", text, re.M).group(1))  # type: ignore[union-attr]
            pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))  # type: ignore[union-attr]
    return rss / 1e3, pss / 1e3


def pictures(kind: str) -> tuple[dict[str, object], list[bytes]]:
    """The first message of a client, and the frames of the bundled clip: whole, or crops around the face."""
    frames = [f.rgb for f in read_video(DEMO)]
    if kind == "crop":
        box = FaceDetector()(frames[0]).boxes[0]
        side = 1.5 * float(np.mean(box[2:] - box[:2]))
        x, y = np.round((box[:2] + box[2:]) / 2 - side / 2).astype(int)
        frames = [np.ascontiguousarray(f[y : y + round(side), x : x + round(side)]) for f in frames]
    height, width = frames[0].shape[:2]
    coded = [cv2.imencode(".jpg", f[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes() for f in frames]
    return {"format": "jpeg", "width": width, "height": height, "crop": kind == "crop"}, coded


async def client(
    url: str,
    hello: dict[str, object],
    coded: list[bytes],
    fps: float,
    seconds: float,
    offset: float,
    truth: float,
    seen: Seen,
) -> None:
    """One stream in real time: the clip forwards and backwards, so that it has no seam."""
    await asyncio.sleep(offset)
    sent: dict[int, float] = {}
    last: dict[str, object] = {}
    there_and_back = coded + coded[-2:0:-1]
    try:
        async with connect(
            url.replace("http", "ws") + "v1/stream", proxy=None, max_size=1 << 22, open_timeout=60
        ) as ws:
            await ws.send(json.dumps(hello))
            assert json.loads(await ws.recv())["type"] == "ready"

            async def listen() -> None:
                async for text in ws:
                    now = time.monotonic()
                    told = json.loads(text)
                    last.update(told)
                    if told["type"] == "error":
                        seen.lost_streams.append(f"{told['code']}: {told['message']}")
                    elif not told["final"]:
                        seen.updates += 1
                        seen.update_s.append(now - sent.get(round(told["t"] * 1000), now))
                        seen.reasons.update(told["reasons"][:1])
                        if told["heart_rate"]["value"] is not None:
                            seen.reliable += 1
                            seen.errors.append(abs(told["heart_rate"]["value"] - truth))

            listener = asyncio.create_task(listen())
            start = time.monotonic()
            for n in range(round(seconds * fps)):
                await asyncio.sleep(max(start + n / fps - time.monotonic(), 0))
                t = n / fps
                for old in [key for key in list(sent)[:50] if key < 1000 * (t - 30)]:
                    del sent[old]
                sent[round(t * 1000)] = time.monotonic()
                await ws.send(struct.pack("<d", t) + there_and_back[n % len(there_and_back)])
                seen.frames += 1
            await ws.send('{"type": "end"}')
            await listener
    except (ConnectionClosed, OSError, TimeoutError) as error:
        seen.lost_streams.append(f"{type(error).__name__}: {error}")
    counts = last.get("counts")
    if isinstance(counts, dict):
        seen.measured += counts["measured"]
        seen.dropped += counts["dropped"]
    if last.get("final") is not True:
        seen.lost_streams.append("no last update")


async def upload(http: httpx.AsyncClient, content: bytes, method: str, seen: Seen) -> None:
    """One upload, from the first byte to the result."""
    began = time.monotonic()
    try:
        while True:
            asked = time.monotonic()
            file = {"file": ("demo.mp4", io.BytesIO(content), "video/mp4")}
            answer = await http.post("v1/measurements", files=file, data={"method": method} if method else {})
            seen.answers_s.append(time.monotonic() - asked)
            if answer.status_code not in (429, 503):
                break
            seen.waits += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            began = time.monotonic()  # a place in the queue is what the clock starts with
        if answer.status_code != 202:
            seen.lost_jobs.append(f"{answer.status_code} {answer.text[:200]}")
            return
        where = answer.headers["Location"].lstrip("/")
        while True:
            await asyncio.sleep(0.5)
            asked = time.monotonic()
            now = (await http.get(where)).json()
            seen.answers_s.append(time.monotonic() - asked)
            if now.get("state") == "done":
                seen.done += 1
                seen.upload_s.append(time.monotonic() - began)
                await http.delete(where)
                return
            if now.get("state") not in ("queued", "running"):
                seen.lost_jobs.append(json.dumps(now)[:300])
                return
    except httpx.HTTPError as error:
        seen.lost_jobs.append(f"{type(error).__name__}: {error}")


async def load(url: str, pid: int, options: argparse.Namespace, seen: Seen) -> list[tuple[float, float]]:
    """All at the same time; the memory of the server twice a second."""
    hello, coded = pictures(options.kind)
    if options.method:
        hello["method"] = options.method
    truth = float(json.loads((files("kdphys") / "assets" / "demo.json").read_text())["hr_bpm"])
    memory: list[tuple[float, float]] = []

    async def watch() -> None:
        while True:
            memory.append(await asyncio.to_thread(memory_mb, pid))
            await asyncio.sleep(0.5)

    content = DEMO.read_bytes()
    places = asyncio.Semaphore(options.uploaders)
    limits = httpx.Limits(max_connections=2 * options.uploaders)
    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False, limits=limits) as http:

        async def one() -> None:
            async with places:
                await upload(http, content, options.method, seen)

        watcher = asyncio.create_task(watch())
        spread = np.linspace(0, 2, max(options.clients, 1))
        work = [
            client(url, hello, coded, options.fps, options.seconds, float(offset), truth, seen)
            for offset in spread[: options.clients]
        ]
        work += [one() for _ in range(options.uploads)]
        try:
            async with asyncio.timeout(options.max_s):
                await asyncio.gather(*work)
        except TimeoutError:
            left = options.uploads - seen.done - len(seen.lost_jobs)
            seen.lost_jobs += [f"not done within {options.max_s:g} s"] * left
        watcher.cancel()
    return memory


def spread(values: list[float], unit: float = 1000.0) -> str:
    """p50, p95 and the largest, in ms by default."""
    if not values:
        return "–"
    p50, p95 = np.percentile(values, [50, 95])
    return f"p50 {p50 * unit:.0f}, p95 {p95 * unit:.0f}, max {max(values) * unit:.0f}"


def machine() -> str:
    """Where it ran, and on what."""
    cpu = "unknown CPU"
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        cpu = found.group(1) if found else cpu
    names = ("kdphys", "fastapi", "uvicorn", "websockets", "numpy", "onnxruntime", "av")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{cpu}, {os.cpu_count()} cores, {system}; {versions}"


def main() -> int:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=50, help="streams at the same time")
    parser.add_argument("--uploads", type=int, default=200, help="in all")
    parser.add_argument("--uploaders", type=int, default=8, help="uploads at the same time")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each stream")
    parser.add_argument("--fps", type=float, default=30.0, help="of each stream")
    parser.add_argument("--kind", choices=("jpeg", "crop"), default="jpeg", help="whole frames, or crops of the face")
    parser.add_argument("--method", default="", help="the server's default if left out")
    parser.add_argument("--workers", type=int, default=0, help="for uploads; 0: the server's default")
    parser.add_argument("--stream-workers", type=int, default=0, help="0: the server's default")
    parser.add_argument("--max-s", type=float, default=1800.0, help="the whole load ends after this, seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kdphys-load-") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "kdphys.cli.main", "serve", "--port", "0", "--rate", "0", "--keep", "120"]
        command += ["--max-streams", str(max(options.clients, 1)), "--per-client", str(max(options.clients, 64))]
        command += ["--workers", str(options.workers), "--stream-workers", str(options.stream_workers)]
        with log.open("wb") as out:
            server = subprocess.Popen(command, stderr=out, stdout=out, env=os.environ | {"TMPDIR": folder})
        try:
            return report(server, log, options)
        finally:
            server.terminate()
            try:
                server.wait(60)
            finally:
                server.kill()
                server.wait()


def report(server: subprocess.Popen[bytes], log: Path, options: argparse.Namespace) -> int:
    """Load the server when it is ready, and tell."""
    found, deadline = None, time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        found = found or re.search(r"http://\S+/", log.read_text())
        with contextlib.suppress(httpx.HTTPError):
            if found and httpx.get(f"{found.group()}healthz", trust_env=False).status_code == 200:
                break
    else:
        print(log.read_text(), file=sys.stderr)
        raise SystemExit("the server does not start")
    idle_rss, idle_pss = memory_mb(server.pid)
    seen, began = Seen(), time.monotonic()
    memory = asyncio.run(load(found.group(), server.pid, options, seen))
    seconds = time.monotonic() - began
    health = httpx.get(f"{found.group()}healthz", trust_env=False, timeout=60).json()
    after = memory_mb(server.pid)
    half = np.median([rss for rss, _ in memory[len(memory) // 2 :] or [after]])
    peak_rss, peak_pss = (max(column) for column in zip(*memory, strict=True))
    size = DEMO.stat().st_size / 1e6
    died = health["measuring"]["restarts"] + health["streaming"]["restarts"]
    off = np.median(seen.errors) if seen.errors else float("nan")
    rows = {
        "machine": machine(),
        "load": f"{options.clients} streams of {options.seconds:g} s at {options.fps:g} fps ({options.kind}), "
        f"{options.uploads} uploads of {size:.1f} MB by {options.uploaders} at once; {seconds:.0f} s",
        "workers": f"{health['measuring']['wanted']} for uploads, {health['streaming']['wanted']} for streams; "
        f"{died} died",
        "jobs": f"{seen.done} done, {len(seen.lost_jobs)} lost; {seen.waits} times told to wait",
        "upload to result, ms": spread(seen.upload_s),
        "answers of the API, ms": spread(seen.answers_s),
        "streams": f"{options.clients} opened, {len(seen.lost_streams)} problems",
        "frames": f"{seen.frames} sent, {seen.measured} measured ({seen.measured / max(seconds, 1):.0f} a second), "
        f"{seen.dropped} dropped ({100 * seen.dropped / max(seen.frames, 1):.1f} %)",
        "frame sent to update, ms": spread(seen.update_s),
        "updates": f"{seen.updates}, {seen.reliable} with a heart rate, median error {off:.1f} bpm; without: "
        + (", ".join(f"{reason} {n}" for reason, n in seen.reasons.most_common()) or "none"),
        "memory of all processes, MB": f"idle {idle_rss:.0f} (proportional {idle_pss:.0f}), peak {peak_rss:.0f} "
        f"({peak_pss:.0f}), median of the second half {half:.0f}, after {after[0]:.0f}",
    }
    for name, value in rows.items():
        print(f"{name:28s} {value}")
    for problem in [*seen.lost_jobs, *seen.lost_streams][:10]:
        print("  problem:", problem, file=sys.stderr)
    return 1 if seen.lost_jobs or seen.lost_streams else 0


if __name__ == "__main__":
    sys.exit(main())
