"""Painting a person on a head: colour, gloss, and where and how strongly the pulse shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.data.synth.heads import BACKGROUND, CLOTH, EYE, HAIR, HALF_WIDTH, MOUTH, SKIN, HeadMaps
from kdphys.data.synth.scene import Person, Scene
from kdphys.data.synth.skin import reflectance
from kdphys.errors import DataError

Floats = NDArray[np.floating[Any]]
_LINEAR = 2.2  # between a texture's 8-bit values and light


@dataclass(frozen=True, eq=False)
class Painted:
    """A person, ready to be warped and lit. Colours are reflectance^(1/gamma): what a camera shows under unit light.

    Args:
        colour: float32 (R, R, 3), times ``alpha``.
        alpha: float32 (R, R), 1 on the person, 0 on the background.
        normal: float32 (R, R, 3).
        strength: float32 (R, R), of the pulse, 0 where there is no bare skin, about 1 on the cheeks, times ``alpha``.
        delay: float32 (R, R), arrival time relative to the face's mean, seconds, times ``strength``.
        gloss: float32 (R, R).
        depth: float32 (R, R), metres towards the camera relative to the middle of the head.
        flow: float32 (K, F, F, 2), as in :class:`HeadMaps`.
        reveal: float32 (2, F, F).
        inside, lid: float32 (3,), colours of the open mouth and of closed eyelids.
        box: centre x, y and size of the face box that a detector gives, in map widths.
    """

    colour: Floats
    alpha: Floats
    normal: Floats
    strength: Floats
    delay: Floats
    gloss: Floats
    depth: Floats
    flow: Floats
    reveal: Floats
    inside: Floats
    lid: Floats
    box: tuple[float, float, float]


def face_box(eyes_mouth: Floats) -> tuple[float, float, float]:
    """The square box (centre x, y, side) in map widths that BlazeFace short range gives to a face.

    Fitted to the detector's answers on rendered heads (``tools/synth_calibrate_box.py``).
    """
    left, right, mouth = np.asarray(eyes_mouth, float)
    eyes = (left + right) / 2
    drop = mouth - eyes
    side = 1.303 * float(np.hypot(*(right - left))) + 1.129 * float(np.hypot(*drop))
    # The mouth stands out more than the eyes: in a turned head it tells on which side the rest of the face is.
    return float(eyes[0] - 1.96 * drop[0]), float(eyes[1] + 0.512 * drop[1]), side


def flipped(maps: HeadMaps) -> HeadMaps:
    """The mirrored head."""
    turn = np.array([-1, 1, 1], np.float32)
    marks = maps.eyes_mouth.copy()
    marks[:, 0] = 1 - marks[:, 0]
    return replace(
        maps,
        canonical=maps.canonical[:, ::-1],
        normal=maps.normal[:, ::-1] * turn,
        depth=maps.depth[:, ::-1],
        region=maps.region[:, ::-1],
        uv=maps.uv[:, ::-1],
        flow=maps.flow[:, :, ::-1] * turn[:2],
        reveal=maps.reveal[:, :, ::-1],
        eyes_mouth=marks,
    )


def noise(rng: np.random.Generator, size: int, cells: int) -> Floats:
    """Smooth noise (size, size) of about unit variance with ``cells`` blobs across."""
    small = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC))


def _step(x: Floats, width: float) -> Floats:
    """0 below −width, 1 above width, smooth between."""
    u = np.clip(0.5 + 0.5 * x / width, 0, 1)
    return np.asarray(u * u * (3 - 2 * u))


def _bump(x: Floats, y: Floats, cx: float, cy: float, rx: float, ry: float) -> Floats:
    """A soft ellipse, 1 in its centre, in centimetres."""
    return np.asarray(np.exp(-0.5 * (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)))


def paint(scene: Scene, maps: HeadMaps, textures: Path | None = None) -> Painted:
    """Paint the person of ``scene`` on a head.

    Args:
        textures: folder with skin textures in MakeHuman's layout; needed when the scene names one.

    Raises:
        DataError: the scene names a texture that the folder does not hold.
    """
    who, gamma = scene.person, scene.camera.gamma
    if who.flip:
        maps = flipped(maps)
    size = maps.region.shape[0]
    rng = scene.rng("paint")
    region = maps.region
    x, y, z = (maps.canonical[..., k] * 100 for k in range(3))
    if who.flip:
        x = -x
    soft = 100 * HALF_WIDTH / size  # half a pixel, centimetres
    skin = (region == SKIN).astype(np.float32)
    linear, bare = _skin(who, maps, x, y, rng, textures)
    strength = _strength(x, y, z) * (1 + 0.2 * noise(rng, size, 5) + 0.12 * noise(rng, size, 12))
    strength = np.clip(strength, 0.05, None) * skin * bare
    gloss = np.clip(0.5 + 0.5 * _bump(x, y, 0, 19.5, 3, 2) + 0.6 * _bump(x, y, 0, 14, 1, 2), 0, 1.5) * skin
    linear, strength, gloss = _features(who, linear, strength, gloss, (x, y, z), skin, rng, soft)
    linear, strength, gloss = _other(who, linear, strength, gloss, maps, (x, y), rng)
    linear *= _cavity(maps)[..., None]
    linear, strength, gloss, glass = _glasses(who, linear, strength, gloss, (x, y, z), region, soft)
    alpha = (region != BACKGROUND).astype(np.float32)
    alpha[: size // 64] = 0  # tall hair ends here, and does not go on above the map
    blur = (0, 0) if size >= 192 else (3, 3)
    sigma = 0.8
    premultiplied = np.dstack([np.power(np.clip(linear, 1e-4, 1), 1 / gamma) * alpha[..., None], alpha])
    premultiplied = cv2.GaussianBlur(premultiplied.astype(np.float32), blur, sigma)
    delay = scene.pulse.delay_s * ((15.0 - y) / 7.0) + 0.008 * noise(rng, size, 6)
    field = np.dstack([strength, strength * delay, gloss * alpha]).astype(np.float32)
    field = cv2.GaussianBlur(field, blur, sigma)
    lid = np.power(reflectance(who.melanin + 0.15, who.haemoglobin + 0.05) * 0.85, 1 / gamma)
    depth = maps.depth - float(np.median(maps.depth[region == SKIN])) + 0.07
    depth = np.where(region == BACKGROUND, 0.0, depth)
    return Painted(
        colour=premultiplied[..., :3],
        alpha=premultiplied[..., 3],
        normal=np.ascontiguousarray(maps.normal),
        strength=field[..., 0],
        delay=field[..., 1],
        gloss=field[..., 2],
        depth=cv2.blur(depth.astype(np.float32), (5, 5)),
        flow=np.ascontiguousarray(maps.flow),
        reveal=np.ascontiguousarray(maps.reveal) * [[[1.0]], [[1.0 - glass]]],
        inside=np.power([0.06, 0.015, 0.012], 1 / gamma).astype(np.float32),
        lid=lid.astype(np.float32),
        box=face_box(maps.eyes_mouth),
    )


def _skin(
    who: Person, maps: HeadMaps, x: Floats, y: Floats, rng: np.random.Generator, textures: Path | None
) -> tuple[Floats, Floats]:
    """Linear colour of bare skin, and how much of it make-up leaves open (both (R, R, …))."""
    size = maps.region.shape[0]
    mottle = noise(rng, size, 6) + 0.7 * noise(rng, size, 17) + 0.6 * noise(rng, size, size // 3)
    melanin = who.melanin * (1 + who.mottle * mottle)
    melanin += who.haemoglobin * 0.25 * (_bump(x, y, 3.1, 16.2, 1.6, 0.9) + _bump(x, y, -3.1, 16.2, 1.6, 0.9))
    if who.freckles:
        spots = _step(noise(rng, size, size // 4) - 1.6, 0.5)
        melanin += 0.5 * who.freckles * spots * (_bump(x, y, 0, 14.5, 5, 2.2))
    blood = who.haemoglobin * (1 + 1.5 * who.mottle * noise(rng, size, 9))
    blood += 0.10 * (
        _bump(x, y, 4.2, 13.2, 1.8, 1.6) + _bump(x, y, -4.2, 13.2, 1.8, 1.6) + _bump(x, y, 0, 13.8, 1.2, 1.2)
    )
    linear = reflectance(np.clip(melanin, 0.02, None), np.clip(blood, 0.02, None)).astype(np.float32)
    if who.texture >= 0:
        detail = _detail(who.texture, textures)
        h, w = detail.shape[:2]
        at = [np.clip(v * n, 0, n - 1).astype(np.float32) for v, n in ((maps.uv[..., 0], w), (1 - maps.uv[..., 1], h))]
        linear = linear * cv2.remap(detail, at[0], at[1], cv2.INTER_LINEAR)
    bare = 1.0 - 0.75 * who.makeup * np.ones_like(x)
    if who.makeup:  # an even layer of the person's own colour
        layer = reflectance(who.melanin * 0.95, who.haemoglobin * 0.9)
        linear = linear + 0.7 * who.makeup * (layer - linear)
    return linear, np.asarray(bare, np.float32)


@lru_cache(maxsize=16)
def _texture(path: Path) -> Floats:
    picture = cv2.imread(str(path))
    if picture is None:
        raise DataError(f"skin texture: {path} is not a picture")
    small = cv2.resize(picture[..., ::-1].astype(np.float32), (512, 512), interpolation=cv2.INTER_AREA)
    light = (small / 255) ** _LINEAR + 1e-3
    return np.asarray(np.clip(light / np.median(light.reshape(-1, 3), axis=0), 0.3, 2.0), np.float32)


def skin_textures(folder: Path | None) -> list[Path]:
    """Skin textures of a folder in MakeHuman's layout, in order of name; none of no folder.

    Raises:
        DataError: there is no texture in it.
    """
    found = sorted(folder.glob("*diffuse*.png")) if folder else []
    if folder and not found:
        raise DataError(f"{folder}: no skin textures in this folder (looked for *diffuse*.png)")
    return found


def _detail(k: int, folder: Path | None) -> Floats:
    found = skin_textures(folder)
    if k >= len(found):
        raise DataError(f"skin texture {k} is asked for, but {folder or 'no folder'} holds {len(found)}")
    return _texture(found[k])


def _strength(x: Floats, y: Floats, z: Floats) -> Floats:
    """How strongly each place pulses: cheeks and forehead most, nose, lids, chin and neck less.

    After the perfusion maps of the face in Verkruysse, Svaasand, Nelson 2008, doi:10.1364/OE.16.021434.
    """
    out = 0.55 + 0.5 * _bump(x, y, 0, 20, 4.5, 1.8)
    out += 0.55 * (_bump(x, y, 4.3, 13, 2, 2.2) + _bump(x, y, -4.3, 13, 2, 2.2))
    out -= 0.2 * (_bump(x, y, 3, 16.6, 1.6, 0.8) + _bump(x, y, -3, 16.6, 1.6, 0.8))
    out -= 0.15 * _bump(x, y, 0, 14.5, 0.8, 2)
    neck = _step(7.2 - y, 0.5)
    return np.asarray(out * (1 - 0.55 * neck))


def _features(
    who: Person,
    linear: Floats,
    strength: Floats,
    gloss: Floats,
    place: tuple[Floats, Floats, Floats],
    skin: Floats,
    rng: np.random.Generator,
    soft: float,
) -> tuple[Floats, Floats, Floats]:
    """Lips, brows and beard."""
    x, y, z = place
    front = skin * (z > 6)
    dip = 0.12 * np.exp(-((x / 0.35) ** 2))
    upper = 10.75 + 0.95 * (1 - (np.abs(x) / 2.5) ** 1.6) - dip
    lower = 10.75 - 1.15 * (1 - (np.abs(x) / 2.45) ** 2)
    lip = _step(np.minimum(upper - y, y - lower), 0.15 + soft) * (np.abs(x) < 2.5) * front
    colour = linear * np.array([0.9, 1 - 0.55 * who.lips, 1 - 0.35 * who.lips])
    covered = 0.45
    if who.lipstick is not None:
        colour, covered = 0.25 * colour + 0.75 * np.asarray(who.lipstick), 0.12
    linear = linear + lip[..., None] * (colour - linear)
    strength = strength * (1 - lip * (1 - covered))
    seam = np.exp(-(((y - 10.75) / (0.1 + soft)) ** 2)) * (np.abs(x) < 2.3) * front
    linear = linear * (1 - 0.6 * seam)[..., None]
    strength = strength * (1 - 0.8 * seam)
    ax = np.abs(x)
    arch = 18.0 + 0.4 * np.sin(np.clip((ax - 1.0) / 4.2, 0, 1) * np.pi * 0.9) + 0.25 * (rng.random() - 0.5)
    thick = 0.22 + 0.3 * np.clip((5.2 - ax) / 4, 0, 1) * (0.6 + 0.8 * rng.random())
    brow = who.brows * _step(thick - np.abs(y - arch), 0.15 + soft) * _step(np.minimum(ax - 1.1, 5.4 - ax), 0.3) * front
    linear, strength, gloss = _cover(linear, strength, gloss, brow, np.asarray(who.hair) * 0.8)
    lash = (np.exp(-((np.hypot((ax - 3.05) / 1.55, (y - 16.75) / 0.75) - 1) ** 2) / 0.03)) * _step(y - 16.6, 0.3)
    linear, strength, gloss = _cover(linear, strength, gloss, 0.5 * lash * front, np.array([0.01, 0.008, 0.008]))
    if who.beard != "none":
        jaw = 11.6 + 4.0 * np.clip((ax - 4.0) / 3.0, 0, 1) ** 1.5
        chin = _step(jaw - y, 0.5) * _step(y - 5.8, 0.6)
        if who.beard == "goatee":
            chin = _step(2.6 - ax, 0.4) * _step(10.9 - y, 0.4) * _step(y - 5.8, 0.5)
        lip_hair = _step(0.55 - np.abs(y - (12.25 - 0.12 * ax)), 0.25) * _step(3.0 - ax, 0.4)
        full = lip_hair if who.beard == "moustache" else np.maximum(chin, lip_hair)
        tuft = np.clip(1 + 0.15 * noise(rng, len(x), len(x) // 3), 0, 1.2)
        density = np.clip(who.beard_density * full * tuft, 0, 1) * (1 - lip) * front
        linear, strength, gloss = _cover(linear, strength, gloss, density, np.asarray(who.hair) * 0.9)
    return linear, strength, gloss


def _cover(
    linear: Floats, strength: Floats, gloss: Floats, share: Floats, colour: Floats
) -> tuple[Floats, Floats, Floats]:
    """Lay something opaque over a share of each pixel: what it hides cannot pulse."""
    return linear + share[..., None] * (colour - linear), strength * (1 - share), gloss * (1 - share)


def _other(
    who: Person,
    linear: Floats,
    strength: Floats,
    gloss: Floats,
    maps: HeadMaps,
    place: tuple[Floats, Floats],
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Eyes, mouth, hair and clothes: none of them pulses."""
    x, y = place
    region, size = maps.region, len(maps.region)
    gaze = rng.normal(0, 0.12, 2)
    r = np.hypot(np.abs(x) - 3.0 - gaze[0] * np.sign(x), y - 16.6 - gaze[1])
    iris, pupil = _step(0.6 - r, 0.06), _step(0.25 - r, 0.05)
    eye = np.array([0.62, 0.58, 0.55]) * (0.6 + 0.4 * _step(17.1 - y, 0.4))[..., None]
    eye = eye + iris[..., None] * (np.asarray(who.iris) - eye)
    eye = (
        eye * (1 - 0.95 * pupil)[..., None]
        + 0.5 * np.exp(-(((r - 0.3) / 0.1) ** 2) - ((y - 17.0) / 0.12) ** 2)[..., None]
    )
    strand = cv2.resize(
        rng.standard_normal((6, size // 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR
    )
    hair = np.asarray(who.hair) * np.exp(0.25 * strand + 0.15 * noise(rng, size, 8))[..., None]
    weave = 1 + 0.05 * noise(rng, size, size // 2) + 0.1 * noise(rng, size, 6)
    weave[-size // 32 :] = 1.0  # what lies below the map repeats its last row
    cloth = np.asarray(who.cloth) * np.clip(weave, 0.3, 2)[..., None]
    for kind, colour in ((EYE, eye), (MOUTH, np.array([0.12, 0.03, 0.03])), (HAIR, hair), (CLOTH, cloth)):
        here = region == kind
        linear = np.where(here[..., None], colour, linear)
        strength = np.where(here, 0.0, strength)
        gloss = np.where(here, {EYE: 0.8, HAIR: 0.25}.get(kind, 0.0), gloss)
    return linear, strength, gloss


def _cavity(maps: HeadMaps) -> Floats:
    """Hollows are darker: depth against its own surroundings."""
    size = len(maps.region)
    ok = (maps.region != BACKGROUND).astype(np.float32)
    sigma = 0.025 * size
    weight = cv2.GaussianBlur(ok, (0, 0), sigma)
    mean = cv2.GaussianBlur(np.asarray(maps.depth * ok, np.float32), (0, 0), sigma) / np.maximum(weight, 1e-3)
    return np.asarray(np.clip(1 + 30 * (maps.depth - mean), 0.45, 1.12) * ok + (1 - ok), np.float32)


def _glasses(
    who: Person,
    linear: Floats,
    strength: Floats,
    gloss: Floats,
    place: tuple[Floats, Floats, Floats],
    region: NDArray[np.uint8],
    soft: float,
) -> tuple[Floats, Floats, Floats, float]:
    """Frames and lenses; the last value is how much of the eyes they hide."""
    if not who.glasses:
        return linear, strength, gloss, 0.0
    x, y, z = place
    ax = np.abs(x)
    front = ((region == SKIN) | (region == EYE)) & (z > 0)
    rx, ry, width = 2.6, 2.0, 0.12 + 0.18 * who.glasses
    ring = (np.hypot((ax - 3.15) / rx, (y - 16.3) / ry) - 1) * (rx + ry) / 2
    lens = _step(-ring, 0.1 + soft) * front
    frame = _step(width - np.abs(ring), 0.08 + soft) * front
    bridge = _step(width - np.abs(y - 16.9), 0.08 + soft) * _step(0.7 - ax, 0.1) * front
    temple = _step(width - np.abs(y - 16.9), 0.08 + soft) * _step(ax - 5.6, 0.1) * front
    linear = linear * (1 - who.lens * lens)[..., None] ** 2
    strength = strength * (1 - min(0.15 + who.lens, 1.0) * lens)
    gloss = np.maximum(gloss, 1.2 * lens * np.exp(-(((x + 2.2) / 0.5) ** 2) - ((y - 17) / 0.5) ** 2))
    solid = np.clip(frame + bridge + temple, 0, 1)
    linear, strength, gloss = _cover(linear, strength, gloss, solid, np.array([0.02, 0.018, 0.017]))
    return linear, strength, gloss, who.lens
