"""What several tests share: the bundled clip, real recordings when there are any, simulated pulses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import kdphys
from kdphys.containers import Evidence, Frame, RgbTrace

ASSETS = Path(kdphys.__file__).parent / "assets"
#: Folders whose tests need the machine for themselves: cameras, browsers and servers in real time.
ALONE = ("live", "serve", "web")
#: Files in them whose tests do not.
TOGETHER = ("test_guard.py", "test_build.py", "test_vectors.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in ALONE and item.path.name not in TOGETHER:
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def demo_path() -> Path:
    return ASSETS / "demo.mp4"


@pytest.fixture(scope="session")
def demo_frames(demo_path: Path) -> list[Frame]:
    """All frames of the bundled clip; treat them as read-only."""
    return list(kdphys.read_video(demo_path))


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Real recordings for checks; tests that use them skip when there are none."""
    root = Path(os.environ.get("KDPHYS_RECORDINGS", Path(__file__).parents[2] / "shared" / "recordings"))
    if not root.is_dir():
        pytest.skip(f"no recordings at {root} (set KDPHYS_RECORDINGS)")
    return root


def pulse_wave(t: np.ndarray, hr_bpm: float, breath_hz: float = 0.25, rsa: float = 0.0) -> np.ndarray:
    """A heart's wave with a second harmonic, its rate moved by breathing."""
    fine = np.linspace(t[0], t[-1], 10 * len(t))
    rate = hr_bpm / 60 * (1 + rsa * np.sin(2 * np.pi * breath_hz * fine))
    phase = np.interp(t, fine, 2 * np.pi * np.cumsum(rate) * (fine[1] - fine[0]))
    return np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6)


def face_trace(
    seconds: float,
    hr_bpm: float | None,
    *,
    noise: float = 0.0006,
    amplitude: float = 0.004,
    fs: float = 30.0,
    patches: int = 12,
    seed: int = 0,
) -> RgbTrace:
    """Skin whose colour beats at ``hr_bpm`` (None: does not beat) under a lamp that drifts, with sensor noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * fs)) / fs
    x = rng.normal(0, noise, (len(t), patches, 3))
    if hr_bpm is not None:
        x -= amplitude * pulse_wave(t, hr_bpm)[:, None, None] * np.array([0.33, 0.77, 0.53])
    x += 0.01 * np.sin(2 * np.pi * 0.07 * t)[:, None, None]
    colour = np.array([170.0, 120.0, 95.0]) * (1 + x)
    rgb = colour.mean(axis=1)
    zero = np.zeros(len(t))
    return RgbTrace(rgb, fs, evidence=Evidence(rgb, colour, rgb @ [0.299, 0.587, 0.114], zero, zero, fs))
