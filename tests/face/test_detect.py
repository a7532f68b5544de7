"""The bundled detector finds faces, and only faces."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

from kdphys.containers import Frame
from kdphys.face.detect import FaceDetector, iou


def test_one_face_in_the_bundled_clip(demo_frames: list[Frame]) -> None:
    for frame in demo_frames[::90]:
        found = FaceDetector()(frame.rgb)
        assert len(found.scores) == 1
        x0, y0, x1, y1 = found.boxes[0]
        height, width = frame.rgb.shape[:2]
        assert 0 < x0 < x1 < width
        assert 0 < y0 < y1 < height
        assert 0.15 * height < y1 - y0 < 0.9 * height


def test_box_moves_with_the_picture(demo_frames: list[Frame]) -> None:
    rgb = demo_frames[0].rgb
    here = FaceDetector()(rgb).boxes[0]
    there = FaceDetector()(np.roll(rgb, (24, -40), axis=(0, 1))).boxes[0]
    assert np.abs(there - here - [-40, 24, -40, 24]).max() < 0.08 * (here[2] - here[0])


def test_nothing_in_noise_or_on_a_wall() -> None:
    rng = np.random.default_rng(0)
    wall = np.full((480, 640, 3), 180, np.uint8)
    noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for picture in (wall, noise, np.zeros((16, 16, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)):
        assert len(FaceDetector()(picture).scores) == 0


def test_small_face_in_a_wide_picture(demo_frames: list[Frame]) -> None:
    rgb = demo_frames[0].rgb[::2, ::2]
    wide = np.full((rgb.shape[0], 2600, 3), 90, np.uint8)
    wide[:, 1700 : 1700 + rgb.shape[1]] = rgb
    found = FaceDetector()(wide)
    here = FaceDetector()(demo_frames[0].rgb).boxes[0] / 2 + [1700, 0, 1700, 0]
    assert len(found.scores) == 1
    assert iou(here, found.boxes)[0] > 0.5


def test_weights_are_the_ones_that_the_notice_names() -> None:
    notice = (files("kdphys") / "face" / "NOTICE.md").read_text()
    ours = hashlib.sha256((files("kdphys") / "assets" / "blazeface_short.onnx").read_bytes()).hexdigest()
    assert ours in re.findall(r"[0-9a-f]{64}", notice)


def test_inference_leaves_no_trace_of_telemetry(tmp_path: Path) -> None:
    """ONNX Runtime's own telemetry would leave a device id in the cache folder."""
    code = (
        "import numpy as np; from kdphys.face.detect import FaceDetector;"
        "FaceDetector()(np.zeros((64, 64, 3), np.uint8))"
    )
    hidden = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    env = {k: v for k, v in os.environ.items() if k not in hidden} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
    assert [p for p in tmp_path.rglob("*") if "onnx" in p.name.lower() or "Microsoft" in p.name] == []
