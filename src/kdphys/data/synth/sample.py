"""Drawing recipes: who, what heart, which motion, light, camera and codec, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kdphys.data.synth.bank import BankSpec
from kdphys.data.synth.pulse import sample_pulse
from kdphys.data.synth.scene import (
    BEARDS,
    CODECS,
    LIGHTS,
    MOTIONS,
    Camera,
    Codec,
    Colour,
    Framing,
    Light,
    Motion,
    Person,
    Scene,
)
from kdphys.data.synth.skin import pulse_colour, sample_pigment
from kdphys.errors import InvalidInputError


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _pick(rng: np.random.Generator, given: str | None, names: tuple[str, ...], odds: list[float], what: str) -> str:
    if given is None:
        return str(rng.choice(names, p=np.array(odds) / np.sum(odds)))
    if given not in names:
        raise InvalidInputError(f"{what}: expected one of {', '.join(names)}, got {given!r}")
    return given


def sample_scene(
    seed: int,
    *,
    bank: BankSpec | None = None,
    skin: int | None = None,
    motion: str | None = None,
    light: str | None = None,
    codec: str | None = None,
    pulse: bool | None = None,
    hr_bpm: float | None = None,
    no_pulse_share: float = 0.1,
    codec_share: float = 0.3,
    mbps: Sequence[float] | None = None,
    gop: int | None = None,
    fps: float | None = None,
    held: bool = False,
    textures: int = 0,
) -> Scene:
    """Draw a scene; whatever is given is held, the rest is random.

    Args:
        seed: 0 or more; neighbouring seeds give unrelated scenes.
        bank: the heads to choose from.
        skin: type 1–6.
        motion, light, codec: a name of ``MOTIONS``, ``LIGHTS``, ``CODECS``.
        pulse: whether there is one; by chance (``no_pulse_share``) when None.
        hr_bpm: mean rate aimed at.
        codec_share: share of the scenes that pass through a real codec, when ``codec`` is None; of the rest, one half
            gets the approximation.
        mbps: lowest and highest bit rate of a codec, for 640 × 480 pixels; None for all that its kind allows.
        gop: frames from one whole picture of the codec to the next. FFmpeg's default for MPEG-4, 12, gives a picture
            at 20 frames/s a beat of 100 a minute.
        fps: frames per second of the camera.
        held: crops that are held still on the face, as :mod:`kdphys.pipeline` gives them to models.
        textures: number of skin textures to choose from; 0 for none.

    Raises:
        InvalidInputError: an unknown name, skin type, share, bit rate, GOP or frame rate.
    """
    if seed < 0:
        raise InvalidInputError(f"scene: expected a seed of 0 or more, got {seed}")
    if not (0 <= no_pulse_share <= 1 and 0 <= codec_share <= 1):
        raise InvalidInputError(f"scene: shares must lie in 0–1, got {no_pulse_share} and {codec_share}")
    if mbps is not None and not (len(mbps) == 2 and 0 < mbps[0] <= mbps[1]):
        raise InvalidInputError(f"scene: mbps must be a lowest and a highest bit rate above 0, got {mbps}")
    if gop is not None and gop < 1:
        raise InvalidInputError(f"scene: gop must be 1 frame or more, got {gop}")
    if fps is not None and not 5 <= fps <= 240:
        raise InvalidInputError(f"scene: fps must lie in 5–240, got {fps:g}")
    bank = bank or BankSpec()
    rng = np.random.default_rng([seed, 77])
    present = bool(rng.random() >= no_pulse_share) if pulse is None else pulse
    lamp = _sample_light(rng, _pick(rng, light, LIGHTS, [4, 2, 1.5, 1, 1, 1.5, 1, 1.5, 1], "light"))
    person = _sample_person(rng, bank.count, int(rng.integers(1, 7)) if skin is None else skin, textures)
    heart = sample_pulse(rng, hr_bpm)
    colour = pulse_colour(person.melanin, lamp.key_colour, rng)
    # Melanin takes light away before it reaches the blood: darker skin pulses less.
    shade = float(np.exp(-0.28 * max(person.melanin - 0.5, 0.0)))
    red, green, blue = (float(c) for c in colour)
    heart = replace(heart, present=present, amplitude=heart.amplitude * shade, colour=(red, green, blue))
    moves = _sample_motion(rng, _pick(rng, motion, MOTIONS, [2, 3, 1.5, 1.5, 2, 1.5, 1], "motion"), heart.hr_bpm)
    odds = [(1 - codec_share) / 2, (1 - codec_share) / 2, 0.5 * codec_share, 0.35 * codec_share, 0.15 * codec_share]
    kind = _pick(rng, codec, CODECS, odds, "codec")
    camera = _sample_camera(rng, lamp.kind)
    if kind not in ("none", "approx"):
        camera = replace(camera, face_px=_log(rng, 70, 220))
    camera = camera if fps is None else replace(camera, fps=fps)
    framing, coding = _sample_framing(rng, moves), _sample_codec(rng, kind, mbps)
    return Scene(
        seed=seed,
        bank=bank,
        person=person,
        pulse=heart,
        motion=moves,
        light=lamp,
        camera=camera,
        framing=replace(framing, held=held),
        codec=coding if gop is None else replace(coding, gop=gop),
    )


def _sample_person(rng: np.random.Generator, heads: int, skin: int, textures: int) -> Person:
    melanin, haemoglobin = sample_pigment(rng, skin)
    dark = np.array([0.012, 0.009, 0.008])
    hairs = [dark, np.array([0.05, 0.03, 0.018]), np.array([0.22, 0.13, 0.06]), np.array([0.14, 0.05, 0.02])]
    fair = np.array([0.3, 0.3, 0.3])
    odds = np.array([0.35, 0.3, 0.12, 0.06, 0.17]) if skin <= 3 else np.array([0.7, 0.14, 0.01, 0.01, 0.14])
    hair = [*hairs, fair][int(rng.choice(5, p=odds))] * float(rng.uniform(0.7, 1.4))
    beard = str(rng.choice(BEARDS, p=[0.6, 0.12, 0.08, 0.08, 0.12]))
    lipstick = None
    if rng.random() < 0.2:
        lipstick = (float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.03, 0.15)))
    iris = [(0.04, 0.025, 0.015), (0.1, 0.06, 0.03), (0.08, 0.12, 0.16), (0.07, 0.1, 0.06)][int(rng.integers(4))]
    cloth = rng.uniform(0.02, 0.6, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0.02, 0.7))
    return Person(
        head=int(rng.integers(heads)),
        flip=bool(rng.random() < 0.5),
        skin_type=skin,
        melanin=melanin,
        haemoglobin=haemoglobin,
        mottle=float(rng.uniform(0.02, 0.1)),
        freckles=float(rng.uniform(0.2, 1)) if rng.random() < 0.12 else 0.0,
        texture=int(rng.integers(textures)) if textures and rng.random() < 0.7 else -1,
        lips=float(rng.uniform(0.1, 0.6)),
        lipstick=lipstick,
        makeup=float(rng.uniform(0.15, 0.7)) if rng.random() < 0.2 else 0.0,
        brows=float(rng.uniform(0.25, 0.95)),
        hair=_rgb(hair),
        beard=beard,
        beard_density={"none": 0.0, "stubble": float(rng.uniform(0.1, 0.4))}.get(beard, float(rng.uniform(0.7, 0.98))),
        glasses=float(rng.uniform(0.5, 1.0)) if rng.random() < 0.25 else 0.0,
        lens=float(rng.choice([rng.uniform(0.03, 0.15), rng.uniform(0.5, 0.9)], p=[0.88, 0.12])),
        iris=iris,
        cloth=_rgb(cloth),
        gloss=float(rng.uniform(0.0, 0.35)),
    )


def _rgb(values: Any) -> Colour:
    r, g, b = (float(v) for v in values)
    return r, g, b


def _sample_motion(rng: np.random.Generator, kind: str, hr_bpm: float) -> Motion:
    talk = kind == "talking"
    strength = {"translation": _log(rng, 0.03, 0.4), "rotation": 0.02}.get(kind, 0.0)
    rate = 0.0
    if kind == "periodic":
        rate = float(rng.uniform(0.5, 3.4))
    if kind == "near_pulse":
        rate = max(hr_bpm / 60 + float(rng.normal(0, 0.15)), 0.5)
    if rate:
        strength = _log(rng, 0.004, 0.12 if kind == "periodic" else 0.03)
    return Motion(
        kind=kind,
        sway=_log(rng, 0.0005, 0.004) if kind == "still" else _log(rng, 0.003, 0.03),
        sway_hz=float(rng.uniform(0.1, 0.8)),
        translation=strength,
        rotation={"rotation": float(rng.uniform(3, 16)), "still": float(rng.uniform(0, 0.4))}.get(
            kind, _log(rng, 0.3, 4)
        ),
        roll=_log(rng, 0.05, 0.5) if kind == "still" else _log(rng, 0.2, 4),
        speed_hz=float(rng.uniform(0.08, 0.6)),
        periodic_hz=rate,
        talking=float(rng.uniform(0.3, 1.0)) if talk else 0.0,
        expression=float(rng.uniform(0.2, 1.0)) if rng.random() < (0.2 if kind == "still" else 0.5) else 0.05,
        blinks_hz=_log(rng, 0.05, 0.7),
        breathing=_log(rng, 0.0005, 0.01),
    )


def _tint(rng: np.random.Generator, spread: float) -> Colour:
    """A light between candle and sky, green = 1, and a little off that line."""
    warm = spread * float(rng.standard_normal())
    r, b = np.exp(warm + 0.03 * rng.standard_normal()), np.exp(-warm + 0.03 * rng.standard_normal())
    return float(np.clip(r, 0.4, 2.2)), 1.0, float(np.clip(b, 0.35, 2.2))


def _sample_light(rng: np.random.Generator, kind: str) -> Light:
    side = kind == "side"
    angle = float(rng.uniform(50, 85) if side else rng.uniform(0, 50)) * float(rng.choice([-1, 1]))
    up = float(rng.uniform(-15, 50))
    a, b = np.deg2rad([angle, up])
    ambient = float(rng.uniform(0.08, 0.25)) if side else float(rng.uniform(0.25, 0.7))
    spread = 0.3 if kind == "coloured" else 0.08
    lively = rng.random()
    base = rng.uniform(0.02, 0.8)
    wall = np.clip(base * np.exp(0.25 * rng.standard_normal(3)), 0.01, 0.9)
    return Light(
        kind=kind,
        ambient=ambient,
        key=1.0 - 0.6 * ambient,
        key_from=(float(np.sin(a) * np.cos(b)), float(np.sin(b)), float(np.cos(a) * np.cos(b))),
        key_colour=_tint(rng, spread),
        ambient_colour=_tint(rng, 0.6 * spread),
        drift=_log(rng, 0.02, 0.25) if kind == "drift" else _log(rng, 0.0005, 0.01),
        drift_hz=_log(rng, 0.05, 1.0),
        screen=_log(rng, 0.01, 0.25) if kind == "screen" else 0.0,
        screen_hz=_log(rng, 0.3, 4.0),
        screen_colour=_tint(rng, 0.3),
        flicker=_log(rng, 0.01, 0.3) if kind == "flicker" else (_log(rng, 0.002, 0.05) if lively < 0.2 else 0.0),
        flicker_hz=float(rng.choice([100.0, 120.0])) * (1 + 2e-4 * float(rng.standard_normal())),
        shadow=float(rng.uniform(0.15, 0.6)) if kind == "shadow" else 0.0,
        shadow_s=float(rng.uniform(2, 8)),
        specular=_log(rng, 0.02, 0.4),
        background=_rgb(wall),
        background_texture=float(rng.uniform(0.0, 0.8)),
    )


def _sample_camera(rng: np.random.Generator, light: str) -> Camera:
    fps = float(rng.choice([30.0, 30.0, 29.97, 25.0, 24.0, 20.0, 15.0, 60.0, 50.0, rng.uniform(15, 40)]))
    noisy = 3.0 if light == "dim" else 1.0
    exposure = {"dim": float(rng.uniform(0.1, 0.28)), "bright": float(rng.uniform(0.8, 1.1))}.get(
        light, float(rng.uniform(0.35, 0.75))
    )
    jittery = rng.random()
    return Camera(
        fps=fps,
        face_px=_log(rng, 70, 300),
        exposure=exposure,
        gamma=float(rng.uniform(1.8, 2.4)),
        contrast=float(rng.uniform(0.0, 0.5)),
        auto_exposure=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.4 else 0.0,
        auto_white=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.3 else 0.0,
        white=_tint(rng, 0.13),
        shot=_log(rng, 0.5, 3.0) * np.sqrt(noisy),
        read=_log(rng, 0.3, 1.5) * noisy,
        noise_blur=float(rng.uniform(0.0, 1.2)),
        row_noise=_log(rng, 0.02, 0.3) if rng.random() < 0.15 else 0.0,
        shutter=float(rng.uniform(0.1, 0.95)),
        rolling_s=float(rng.uniform(0.005, 0.03)),
        time_jitter_s=_log(rng, 0.0005, 0.008) if jittery < 0.4 else 0.0,
        drop=_log(rng, 0.002, 0.08) if rng.random() < 0.3 else 0.0,
        drop_holds=bool(rng.random() < 0.5),
    )


def _sample_framing(rng: np.random.Generator, motion: Motion) -> Framing:
    return Framing(
        loose=float(np.exp(0.07 * rng.standard_normal()))
        * float(rng.choice([1.0, rng.uniform(0.8, 1.3)], p=[0.8, 0.2])),
        shift=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
        jitter=_log(rng, 0.0003, 0.006),
        lag_s=float(rng.uniform(0.0, 0.3)),
        follow=bool(rng.random() < 0.9 or motion.kind in ("translation", "periodic")),
    )


def _sample_codec(rng: np.random.Generator, kind: str, mbps: Sequence[float] | None) -> Codec:
    low, high = mbps or ({"mjpeg": 1.5, "mpeg4": 0.2}.get(kind, 0.12), 15.0)
    return Codec(
        kind=kind,
        mbps=_log(rng, low, high),
        gop=int(rng.choice([10, 12, 30, 60, 120, 250])),
        downscale=float(rng.uniform(0.5, 0.95)) if rng.random() < 0.25 else 1.0,
        preset=str(rng.choice(["ultrafast", "superfast", "veryfast", "faster"])),
        first_mjpeg=_log(rng, 4, 20) if rng.random() < 0.15 else 0.0,
    )
