"""The recipe of a clip: everything that it takes to draw it again, as plain numbers and JSON.

:func:`kdphys.data.synth.sample.sample_scene` draws a recipe; both renderers, the fast one for training and the one that
writes video files, start from it. The recipe holds what was chosen; the noise that happens on the way is drawn from its
seed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, get_type_hints

import numpy as np

from kdphys.data.synth.bank import BankSpec
from kdphys.data.synth.pulse import PulseSpec
from kdphys.errors import InvalidInputError

Colour = tuple[float, float, float]

MOTIONS = ("still", "sway", "translation", "rotation", "talking", "periodic", "near_pulse")
LIGHTS = ("steady", "drift", "screen", "flicker", "shadow", "dim", "coloured", "side", "bright")
CODECS = ("none", "approx", "h264", "mpeg4", "mjpeg")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")


@dataclass(frozen=True)
class Person:
    """Who: a head of the bank and what is painted on it. Shares are 0–1, colours linear RGB."""

    head: int = 0
    flip: bool = False
    skin_type: int = 3
    melanin: float = 0.8
    haemoglobin: float = 0.25
    mottle: float = 0.05
    freckles: float = 0.0
    texture: int = -1
    lips: float = 0.3
    lipstick: Colour | None = None
    makeup: float = 0.0
    brows: float = 0.6
    hair: Colour = (0.03, 0.02, 0.015)
    beard: str = "none"
    beard_density: float = 0.0
    glasses: float = 0.0
    lens: float = 0.0
    iris: Colour = (0.05, 0.03, 0.02)
    cloth: Colour = (0.1, 0.1, 0.3)
    gloss: float = 0.1


@dataclass(frozen=True)
class Motion:
    """How the head moves. Lengths are face widths, angles degrees, rates Hz."""

    kind: str = "still"
    sway: float = 0.003
    sway_hz: float = 0.3
    translation: float = 0.0
    rotation: float = 0.0
    roll: float = 0.0
    speed_hz: float = 0.3
    periodic_hz: float = 0.0
    talking: float = 0.0
    expression: float = 0.0
    blinks_hz: float = 0.25
    breathing: float = 0.002


@dataclass(frozen=True)
class Light:
    """What shines. Amounts are shares of the light's own brightness; colours relative, green = 1."""

    kind: str = "steady"
    ambient: float = 0.4
    key: float = 0.8
    key_from: Colour = (0.4, 0.4, 0.8)
    key_colour: Colour = (1.0, 1.0, 1.0)
    ambient_colour: Colour = (1.0, 1.0, 1.0)
    drift: float = 0.0
    drift_hz: float = 0.1
    screen: float = 0.0
    screen_hz: float = 1.0
    screen_colour: Colour = (0.9, 1.0, 1.2)
    flicker: float = 0.0
    flicker_hz: float = 100.0
    shadow: float = 0.0
    shadow_s: float = 5.0
    specular: float = 0.1
    background: Colour = (0.3, 0.3, 0.3)
    background_texture: float = 0.3


@dataclass(frozen=True)
class Camera:
    """What looks. Noise is in grey levels of one source pixel; ``face_px`` is the width of the face box."""

    fps: float = 30.0
    face_px: float = 150.0
    exposure: float = 0.55
    gamma: float = 2.2
    contrast: float = 0.0
    auto_exposure: float = 0.0
    auto_white: float = 0.0
    white: Colour = (1.0, 1.0, 1.0)
    shot: float = 2.0
    read: float = 1.0
    noise_blur: float = 0.5
    row_noise: float = 0.0
    shutter: float = 0.5
    rolling_s: float = 0.02
    time_jitter_s: float = 0.0
    drop: float = 0.0
    drop_holds: bool = True


@dataclass(frozen=True)
class Framing:
    """How the crop lies on the face: a box that the detector would give, × ``scale``; ``held`` on the face's own pixels
    (:mod:`kdphys.clip.steady`), or as it trembles, lags and jumps by whole pixels."""

    scale: float = 1.5
    loose: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    jitter: float = 0.002
    lag_s: float = 0.1
    follow: bool = True
    held: bool = False


@dataclass(frozen=True)
class Codec:
    """How the video is compressed; ``mbps`` is for 640 × 480 pixels at the clip's own frame rate."""

    kind: str = "none"
    mbps: float = 2.0
    gop: int = 30
    downscale: float = 1.0
    preset: str = "veryfast"
    first_mjpeg: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A complete recipe. The same scene gives the same clip (to the bit on the same kind of device and software)."""

    seed: int = 0
    bank: BankSpec = field(default_factory=BankSpec)
    person: Person = field(default_factory=Person)
    pulse: PulseSpec = field(default_factory=PulseSpec)
    motion: Motion = field(default_factory=Motion)
    light: Light = field(default_factory=Light)
    camera: Camera = field(default_factory=Camera)
    framing: Framing = field(default_factory=Framing)
    codec: Codec = field(default_factory=Codec)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scene:
        """The scene that :meth:`to_json` wrote.

        Raises:
            InvalidInputError: the text is not such a recipe; the message says where.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidInputError(f"scene: not JSON ({error})") from error
        scene: Scene = _build(cls, document, "scene")
        return scene

    def rng(self, what: str) -> np.random.Generator:
        """The source of randomness for one aspect ("pulse", "motion", …), independent of all others."""
        return np.random.default_rng([self.seed, *what.encode()])

    @property
    def tags(self) -> dict[str, str]:
        """Conditions by name, as a :class:`kdphys.containers.Recording` states them."""
        return {
            "skin": str(self.person.skin_type),
            "motion": self.motion.kind,
            "light": self.light.kind,
            "codec": self.codec.kind,
            "pulse": "yes" if self.pulse.present else "no",
            "glasses": "yes" if self.person.glasses > 0 else "no",
            "beard": self.person.beard,
            "fps": f"{self.camera.fps:g}",
        }


def _build(kind: Any, value: Any, where: str) -> Any:
    if not (isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict)):
        return tuple(value) if isinstance(value, list) else value
    hints = get_type_hints(kind)
    names = {f.name for f in fields(kind)}
    if names != set(value):
        wrong = sorted(names ^ set(value))
        raise InvalidInputError(f"{where}: missing or unknown entries {wrong}; was it written by another version?")
    return kind(**{name: _build(hints[name], value[name], f"{where}.{name}") for name in names})
