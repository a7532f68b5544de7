"""What changes from frame to frame: pose, expression, light, pulse, the box, and the camera's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.clip.steady import LEASH_S
from kdphys.data.synth.heads import EXPRESSIONS
from kdphys.data.synth.pulse import Heart, realise
from kdphys.data.synth.scene import Scene

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Tracks:
    """One clip over time at the camera's frames.

    Args:
        times: float64 (N,), the times that the frames claim, seconds, increasing.
        held: int (N,), index of the frame that is shown in this place (frame drops repeat the one before).
        pulse, pulse_slope: float32 (N,), the wave (systole upwards) and its derivative per second.
        shift: float32 (N, 2), of the head in the picture, face widths, x right, y down.
        scale, roll, yaw, pitch: float32 (N,), size ratio and radians.
        expression: float32 (N, K), 0–1 each.
        box: float32 (N, 3), centre x, y relative to the resting face box in face widths, and size ratio.
        ambient, key: float32 (N, 3), light colours, linear.
        key_from: float32 (N, 3), unit vectors towards the key light.
        flicker: float32 (N, 2), depth and phase of the mains flicker at the top row.
        shadow: float32 (N,), place of the shadow's edge, −2…2 in crop widths.
        heart: the realised pulse.
    """

    times: Floats
    held: NDArray[np.int64]
    pulse: Floats
    pulse_slope: Floats
    shift: Floats
    scale: Floats
    roll: Floats
    yaw: Floats
    pitch: Floats
    expression: Floats
    box: Floats
    ambient: Floats
    key: Floats
    key_from: Floats
    flicker: Floats
    shadow: Floats
    heart: Heart


def wander(rng: np.random.Generator, t: Floats, low: float, high: float, columns: int = 1, n: int = 14) -> Floats:
    """Smooth noise (N, columns) of unit variance with a 1/f spectrum between two rates in Hz."""
    f = np.exp(rng.uniform(np.log(low), np.log(high), (n, columns)))
    p = rng.uniform(0, 2 * np.pi, (n, columns))
    a = rng.rayleigh(1.0, (n, columns))
    a /= np.sqrt((a**2).sum(axis=0) / 2)
    return np.asarray((a * np.cos(2 * np.pi * f * t[:, None, None] + p)).sum(axis=1))


def make_tracks(scene: Scene, seconds: float, uniform: bool = False) -> Tracks:
    """Draw all tracks of a clip.

    Args:
        scene: the recipe.
        seconds: from the first frame to at least this much later.
        uniform: keep the camera's clock perfect (no jitter, no missing frames), for containers with a constant rate.
    """
    times, true, held = _clock(scene, seconds, uniform)
    heart = realise(scene.pulse, scene.rng("pulse"), seconds + 1.0)
    bvp = heart.bvp(true)
    slope = (heart.bvp(true + 0.01) - heart.bvp(true - 0.01)) / 0.02
    pose = _pose(scene, true, heart)
    light = _light(scene, true)
    f = np.float32
    pose = {name: value.astype(f) for name, value in pose.items()}
    light = {name: value.astype(f) for name, value in light.items()}
    return Tracks(times, held, bvp.astype(f), slope.astype(f), heart=heart, **pose, **light)


def _clock(scene: Scene, seconds: float, uniform: bool) -> tuple[Floats, Floats, NDArray[np.int64]]:
    rng, camera = scene.rng("clock"), scene.camera
    n = int(np.ceil(seconds * camera.fps)) + 2
    ideal = np.arange(n) / camera.fps
    held = np.arange(n)
    if uniform:
        return ideal, ideal, held
    jitter = camera.time_jitter_s * rng.standard_normal(n)
    true = ideal + np.clip(jitter, -0.3 / camera.fps, 0.3 / camera.fps)
    true -= true[0]
    # Half of the cameras stamp frames when they were taken, half on a perfect grid.
    times = true if rng.random() < 0.5 else ideal
    lost = rng.random(n) < camera.drop
    lost[0] = lost[-1] = False
    if camera.drop_holds:
        held = np.maximum.accumulate(np.where(lost, 0, held))
        return times, true, held
    keep = ~lost
    return times[keep], true[keep], np.arange(int(keep.sum()))


def _pose(scene: Scene, t: Floats, heart: Heart) -> dict[str, Floats]:
    rng, m, framing = scene.rng("motion"), scene.motion, scene.framing
    n = len(t)
    shift = m.sway * wander(rng, t, 0.05, max(m.sway_hz, 0.06) * 2, 2)
    shift += 0.04 * m.sway * wander(rng, t, 1.0, 6.0, 2)  # tremor
    if m.kind == "translation":
        shift += m.translation * wander(rng, t, 0.4 * m.speed_hz, 1.6 * m.speed_hz, 2, n=5) * [1.0, 0.5]
    turn = np.deg2rad(m.rotation) * wander(rng, t, 0.4 * m.speed_hz, 1.6 * m.speed_hz, 2, n=5) * [1.0, 0.6]
    turn = np.clip(turn, -0.35, 0.35)
    roll = np.deg2rad(m.roll) * wander(rng, t, 0.3 * m.speed_hz, 1.5 * m.speed_hz)[:, 0]
    if m.periodic_hz:
        wobble = 2 * np.pi * np.cumsum(np.gradient(t)) * m.periodic_hz + 0.8 * wander(rng, t, 0.05, 0.3)[:, 0]
        direction = rng.normal(0, 1, 2) * [0.6, 1.0]
        direction /= max(float(np.linalg.norm(direction)), 1e-6)
        wave = np.sin(wobble) + 0.25 * rng.random() * np.sin(2 * wobble + 1)
        shift += m.translation * wave[:, None] * direction
        turn += 0.25 * m.translation * np.sin(wobble + 0.5)[:, None] * direction
    breath = heart.resp(t)
    shift[:, 1] -= m.breathing * breath
    turn[:, 1] += 0.5 * m.breathing * breath
    if scene.pulse.present and scene.pulse.bcg:
        recoil = heart.bvp(t + 0.12) - heart.bvp(t + 0.05)  # the head answers the ejection before the blood arrives
        recoil = recoil / max(float(np.abs(recoil).max()), 1e-9)
        shift[:, 1] += 0.5 * scene.pulse.bcg * recoil
        turn[:, 1] += 0.2 * scene.pulse.bcg * recoil
    scale = np.exp(
        0.5 * m.sway * wander(rng, t, 0.05, 0.4)[:, 0] + 0.3 * m.translation * wander(rng, t, 0.1, 0.5)[:, 0]
    )
    return {
        "shift": shift,
        "scale": scale,
        "roll": roll,
        "yaw": turn[:, 0],
        "pitch": turn[:, 1],
        "expression": _expression(scene, t, rng),
        "box": _box(scene, t, shift, scale, turn, roll) if framing.follow else _still_box(scene, n, shift),
    }


def _expression(scene: Scene, t: Floats, rng: np.random.Generator) -> Floats:
    m = scene.motion
    out = np.zeros((len(t), len(EXPRESSIONS)))
    names = list(EXPRESSIONS)
    speaking = np.clip(0.6 + wander(rng, t, 0.1, 0.5)[:, 0], 0, 1) * m.talking
    syllables = 2 * np.pi * rng.uniform(2.5, 5.0) * t + 2.5 * wander(rng, t, 0.3, 1.5)[:, 0]
    out[:, names.index("jaw")] = speaking * np.clip(0.45 + 0.45 * np.sin(syllables), 0, 1)
    out[:, names.index("pucker")] = speaking * np.clip(0.5 * wander(rng, t, 1.0, 4.0)[:, 0], 0, 1)
    out[:, names.index("smile")] = np.clip(m.expression * wander(rng, t, 0.05, 0.5)[:, 0], -0.2, 1)
    out[:, names.index("brow")] = np.clip(0.7 * m.expression * wander(rng, t, 0.1, 0.8)[:, 0], -0.2, 1)
    blink = np.zeros(len(t))
    at = float(t[0]) - 1
    while at < t[-1]:
        at += 0.25 + float(rng.exponential(1 / max(m.blinks_hz, 1e-3)))
        d = (t - at) / 0.075
        blink = np.maximum(blink, np.exp(-0.5 * np.where(d < 0, 1.6 * d, 0.9 * d) ** 2))
    out[:, names.index("blink")] = blink
    return out


def _jitter(scene: Scene, n: int) -> Floats:
    """The detector's own trembling (N, 3), smooth over some frames as it looks only now and then."""
    rng = scene.rng("box")
    steps = scene.framing.jitter * rng.standard_normal((n // 5 + 3, 3)) * [1, 1, 1.5]
    at = np.arange(n) / 5
    return np.stack([np.interp(at, np.arange(len(steps)), steps[:, k]) for k in range(3)], 1)


def _still_box(scene: Scene, n: int, shift: Floats) -> Floats:
    f = scene.framing
    out = np.zeros((n, 3))
    out[:, :2] = np.asarray(f.shift) + shift.mean(axis=0)
    out[:, 2] = f.loose
    return out


def _box(scene: Scene, t: Floats, shift: Floats, scale: Floats, turn: Floats, roll: Floats) -> Floats:
    f, n = scene.framing, len(t)
    # A turning head carries its face along (as in face_box).
    centre = shift + turn * [0.2, 0.45]
    target = np.concatenate([centre, np.log(scale)[:, None]], 1)
    smooth = _late(target, t, f.lag_s) if f.lag_s > 0 else target.copy()
    smooth += _jitter(scene, n)
    px = scene.camera.face_px
    # What passes through an encoder is held by the real thing, on its pixels.
    held = f.held and scene.codec.kind in ("none", "approx")
    if held:
        # Found by running the real thing on turning heads: the middle of the face turns, and swings with the neck.
        still = np.concatenate([shift + turn * [0.32, 0.43] + roll[:, None] * [0.5, 0], target[:, 2:]], 1)
        smooth = still + _held(scene, t, smooth - still)
    out = np.empty((n, 3))
    out[:, :2] = smooth[:, :2] + f.shift
    if not held:  # the crop's corners are whole pixels of the picture
        out[:, :2] = np.round(out[:, :2] * px) / px
    out[:, 2] = np.round(np.exp(smooth[:, 2]) * f.loose * f.scale * px) / (px * f.scale)
    return out


def _late(x: Floats, t: Floats, tau_s: float) -> Floats:
    """Tracks (N, K) that follow ``x`` at times (N,) with a time constant in seconds."""
    keep = np.exp(-np.diff(t) / tau_s)
    out = x.copy()
    for k in range(1, len(t)):
        out[k] = keep[k - 1] * out[k - 1] + (1 - keep[k - 1]) * x[k]
    return out


def _held(scene: Scene, t: Floats, error: Floats) -> Floats:
    """What is left of the detector's errors (N, 3) in a box that is held on the face's pixels: it is drawn to the
    detector's slowly, and the finding of the face trembles a little with the noise of the picture."""
    left = _late(error, t, LEASH_S)
    rng = scene.rng("held")
    tremble = np.exp(rng.uniform(np.log(1e-4), np.log(1e-3)))
    return np.asarray(left + tremble * rng.standard_normal((len(t), 3)))


def _light(scene: Scene, t: Floats) -> dict[str, Floats]:
    rng, s = scene.rng("light"), scene.light
    drift = 1 + s.drift * wander(rng, t, 0.03, 2 * s.drift_hz)[:, 0]
    other = 1 + 0.6 * s.drift * wander(rng, t, 0.03, 2 * s.drift_hz)[:, 0]
    key = s.key * np.clip(drift, 0.2, 2)[:, None] * np.asarray(s.key_colour)
    ambient = s.ambient * np.clip(other, 0.2, 2)[:, None] * np.asarray(s.ambient_colour)
    if s.screen:
        smooth = np.clip(wander(rng, t, 0.2 * s.screen_hz, 2 * s.screen_hz, 3), -2, 2) * [0.5, 0.5, 0.5]
        common = wander(rng, t, 0.2 * s.screen_hz, 2 * s.screen_hz)
        cuts = np.cumsum(rng.random(len(t)) < 0.25 * s.screen_hz / scene.camera.fps)
        scenes = rng.uniform(-1, 1, (int(cuts[-1]) + 1, 3))[cuts] if rng.random() < 0.5 else 0.0
        glow = np.clip(1 + 0.6 * common + 0.4 * smooth + scenes, 0, 4)
        ambient = ambient + s.screen * glow * np.asarray(s.screen_colour)
    angle = 0.3 * s.drift * wander(rng, t, 0.02, 0.2)[:, 0]  # clouds and curtains move the light, too
    x, y, z = s.key_from
    c, d = np.cos(angle), np.sin(angle)
    key_from = np.stack([c * x + d * z, np.full_like(t, y), c * z - d * x], 1)
    exposure = scene.camera.shutter / scene.camera.fps
    # A lamp's flicker is averaged over the exposure: multiples of its period leave none.
    depth = s.flicker * abs(float(np.sinc(s.flicker_hz * exposure)))
    phase = 2 * np.pi * s.flicker_hz * t
    period = s.shadow_s * (1.5 + rng.random())
    place = 2.2 * np.sin(2 * np.pi * t / period + rng.uniform(0, 6.28)) + 0.2 * wander(rng, t, 0.1, 1)[:, 0]
    return {
        "ambient": ambient,
        "key": key,
        "key_from": key_from,
        "flicker": np.stack([np.full_like(t, depth), phase], 1),
        "shadow": place,
    }
