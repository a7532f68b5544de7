"""Where the time goes: ``python benchmarks/speed.py`` (30 s, 640×480, 30 fps, H.264) and ``--hour`` (1080p, one hour).

The video is made from the bundled clip: its encoded frames are repeated with later times, so that an hour needs no
hour of encoding (and it is refused in the end as a repeating picture, as it should be). Each run is a process of its
own; peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import av
import cv2
import numpy as np

import kdphys

DEMO = Path(kdphys.__file__).parent / "assets" / "demo.mp4"


def make(path: Path, seconds: float, size: tuple[int, int] | None) -> None:
    """The bundled clip, over and over, as one file of ``seconds``; scaled to ``size`` (width, height) if given."""
    source = DEMO
    if size is not None:
        source = path.with_name("scaled.mp4")
        with av.open(str(source), "w") as out:
            stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            for frame in kdphys.read_video(DEMO):
                rgb = cv2.resize(np.asarray(frame.rgb), size, interpolation=cv2.INTER_LINEAR)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            out.mux(stream.encode())
    with av.open(str(source)) as once, av.open(str(path), "w") as out:
        stream = once.streams.video[0]
        target = out.add_stream_from_template(stream)
        packets = [(p.pts, p.dts, bytes(p), p.is_keyframe, p.duration) for p in once.demux(stream) if p.pts is not None]
        length = len(packets) * packets[0][4]
        for k in range(round(seconds * float(stream.average_rate))):
            turn, at = divmod(k, len(packets))
            pts, dts, data, key, duration = packets[at]
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.duration = target, stream.time_base, duration
            packet.pts, packet.dts, packet.is_keyframe = pts + turn * length, dts + turn * length, key
            out.mux(packet)


def child(path: str, method: str) -> None:
    """Measure in this process and print what it took as JSON."""
    began = time.perf_counter()
    from kdphys.pipeline import measure_all

    imported = time.perf_counter() - began
    began = time.perf_counter()
    (m,) = measure_all(path, method)
    total = time.perf_counter() - began
    e = m.extraction
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    seconds = {k: round(v, 3) for k, v in e.seconds.items()}
    report = {"import": imported, "total": total, "frames": e.n_frames, "span": e.span[1] - e.span[0]}
    report |= {"seconds": seconds, "peak_mb": peak, "hr": m.vitals.hr_bpm, "reasons": m.vitals.reasons}
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="pos")
    parser.add_argument("--hour", action="store_true", help="an hour of 1080p instead: some ten minutes")
    parser.add_argument("--seconds", type=float, default=None, help="length of the video")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.method)
        return
    seconds = options.seconds or (3600.0 if options.hour else 30.0)
    size = (1920, 1080) if options.hour else None
    versions = ", ".join(
        f"{p} {version(p)}" for p in ("kdphys", "av", "numpy", "opencv-python-headless", "onnxruntime")
    )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        make(path, seconds, size)
        command = [sys.executable, __file__, "--child", str(path), "--method", options.method]
        for _ in range(1 if options.hour else 3):
            out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            stages = "  ".join(f"{k} {v:.2f} s" for k, v in out["seconds"].items())
            print(f"{out['span']:.0f} s of video, {out['frames']} frames in {out['total']:.2f} s "
                  f"({out['span'] / out['total']:.1f}× real time): {stages}; import {out['import']:.2f} s; "
                  f"peak memory {out['peak_mb']:.0f} MB; {out['hr'] or out['reasons']}")  # fmt: skip
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kdphys.cli.main", "--help"], check=True, capture_output=True)
    print(f"kdphys --help in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
