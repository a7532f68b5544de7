"""How many frames a second the page measures in headless Chromium: ``python benchmarks/browser_fps.py``.

Shows the bundled clip (640×480, 30 frames a second) to the page as its camera, forth and back, and asks the page what
it processed and dropped. Frames a second are the processed frames over the whole time, not the page's running figure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kdphys

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.web import films
from tests.web.browser import Browser, find_chromium
from tests.web.server import serve

STATE = """JSON.stringify({
    state: document.body.dataset.state, bpm: document.getElementById("hr").dataset.bpm,
    methods: [...document.getElementById("method").options].map((o) => o.value),
    ...document.getElementById("fps").dataset })"""


def measure(film: Path, method: str, seconds: float) -> dict[str, float | str]:
    """One run of the page."""
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with serve() as url, Browser(*flags, f"--use-file-for-fake-video-capture={film}") as browser:

        def look() -> dict[str, str]:
            return dict(json.loads(browser.js(STATE)))

        browser.open(url)
        browser.wait(lambda: look()["state"] == "idle", "the page")
        if method not in look()["methods"]:
            return {"method": method, "skipped": "not bundled"}
        browser.js(f"document.getElementById('method').value = {method!r}")
        browser.js("document.getElementById('start').click()", gesture=True)
        browser.wait(lambda: int(look()["processed"]) > 30, "the first frames")
        first, began, milliseconds = look(), time.perf_counter(), []
        while time.perf_counter() - began < seconds:
            time.sleep(0.1)
            milliseconds.append(float(look()["ms"]))
        last, took = look(), time.perf_counter() - began
    frames = int(last["processed"]) - int(first["processed"])
    dropped = int(last["dropped"]) - int(first["dropped"])
    return {
        "method": method,
        "fps": round(frames / took, 2),
        "dropped": f"{dropped} of {frames + dropped}",
        "worker_ms_median": round(statistics.median(milliseconds), 2),
        "worker_ms_p95": round(statistics.quantiles(milliseconds, n=20)[-1], 2),
        "bpm": last["bpm"] or "-",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a run, after the first frames")
    parser.add_argument("--methods", nargs="+", default=["student", "pos"])
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium: apt-get install chromium, or set KDPHYS_CHROMIUM")
    version = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{version}, headless, software rendering; {machine}")
    with tempfile.TemporaryDirectory() as folder:
        film = films.convert(Path(kdphys.__file__).parent / "assets" / "demo.mp4", Path(folder) / "demo.y4m")
        for method in options.methods:
            print(json.dumps(measure(film, method, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
