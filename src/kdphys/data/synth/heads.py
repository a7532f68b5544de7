"""Parametric heads of the ``anny`` package, ray-cast once into maps that clips are painted on and warped from.

A head is described by per-pixel maps in an orthographic picture of ``2 × HALF_WIDTH`` metres: where on a template
head the pixel lies (so that lips, brows and beards fall on the right places of every identity), the surface normal,
the depth, the kind of surface, and how the picture flows when the face moves its jaw, eyelids, mouth and brows.
Casting takes a second a head; a clip then only warps the maps.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdphys.data.synth.targets import targets_read_at_once
from kdphys.errors import MissingExtraError

Floats = NDArray[np.floating[Any]]

#: Half the width of a map, metres, and its centre on the head, metres above the origin of the model.
HALF_WIDTH = 0.17
CENTRE_Y = 0.135
#: Sizes of the low-resolution expression flows.
FLOW_SIZE = 64
#: What a pixel shows.
BACKGROUND, SKIN, EYE, MOUTH, HAIR, CLOTH = range(6)
#: Expressions that can be animated, each a blend of the model's facial actions.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "jaw": {"jawOpen": 0.55},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    "brow": {"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8},
    "pucker": {"mouthPucker": 0.8},
}
_LOCAL = ("cheek", "chin", "ear-", "eyebrows", "eye-", "forehead", "head-", "mouth-", "neck-", "nose-")
_LOCAL_NOT = ("nose-compression", "head-age", "trans-out", "head-trans", "head-angle", "neck-trans", "neck-double")


@dataclass(frozen=True)
class HeadMaps:
    """One head, seen from the front under a small turn.

    Args:
        canonical: float32 (R, R, 3), metres on the template head; 0 where ``region`` is background.
        normal: float32 (R, R, 3), unit vectors, x right, y up, z towards the camera.
        depth: float32 (R, R), metres towards the camera; background at the head's median.
        region: uint8 (R, R), one of ``BACKGROUND … CLOTH``.
        uv: float32 (R, R, 2), MakeHuman texture coordinates in [0, 1].
        flow: float32 (K, F, F, 2), share of the map's width from a pixel of the full expression to its place at rest.
        reveal: float32 (2, F, F), what an open jaw (mouth inside) and closed lids (lid skin) show, 0–1.
        eyes_mouth: float32 (3, 2), left eye, right eye and mouth in the map, x and y in [0, 1], y down.
    """

    canonical: Floats
    normal: Floats
    depth: Floats
    region: NDArray[np.uint8]
    uv: Floats
    flow: Floats
    reveal: Floats
    eyes_mouth: Floats


class HeadModel:
    """The anny head with a torso and hair, as a source of :class:`HeadMaps`.

    Raises:
        MissingExtraError: ``anny``, ``trimesh`` or ``embreex`` is not installed.
    """

    def __init__(self) -> None:
        try:
            import anny
            from trimesh.ray import ray_pyembree  # noqa: F401
        except ImportError as error:
            raise MissingExtraError(str(error.name or "anny"), "synth") from error
        os.environ.setdefault("TQDM_DISABLE", "1")
        import torch
        from anny.models import RigConfig
        from anny.models.legacy import legacy_topology_to_anny

        with warnings.catch_warnings(), targets_read_at_once():
            warnings.simplefilter("ignore")
            self._model = anny.Anny(
                rig=RigConfig(
                    base_rig="makehuman",
                    bone_orientation="blender",
                    root_identity_orientation=False,
                    bones_to_remove=frozenset(),
                    subtree_root="neck01",
                ),
                topology=legacy_topology_to_anny("head", True, True),
                local_changes="all",
                facial_actions="all",
                phenotypes="all",
                pose_parameterization="local-bone",
                skinning_method="lbs",
            )
        self._torch = torch
        self.faces: NDArray[np.int64] = self._model.faces.numpy().astype(np.int64)
        self.template = self.vertices({}, {}, {})
        self._parts = _components(self.faces, len(self.template))
        self._uv = self._model.texture_coordinates.numpy()
        self._uv_faces = self._model.face_texture_coordinate_indices.numpy()
        self.local_names = [
            n
            for n in self._model.local_change_labels
            if any(k in n for k in _LOCAL) and not any(k in n for k in _LOCAL_NOT)
        ]

    def vertices(self, phenotype: dict[str, float], local: dict[str, float], actions: dict[str, float]) -> Floats:
        """float64 (V, 3): metres, x right in the picture, y up, z towards the camera."""
        with self._torch.no_grad():
            out = self._model(phenotype_kwargs=phenotype, local_changes_kwargs=local, facial_actions=actions)
        return np.asarray(out["vertices"][0].double().numpy())

    def sample(self, rng: np.random.Generator, size: int) -> tuple[HeadMaps, dict[str, Any]]:
        """A random identity, resting expression, hair and pose, cast at ``size`` × ``size``."""
        race = rng.dirichlet([0.7, 0.7, 0.7])
        phenotype = {
            "gender": float(rng.choice([rng.uniform(0, 0.3), rng.uniform(0.7, 1)])),
            "age": float(rng.uniform(0.55, 1.0)),
            "muscle": float(rng.uniform(0.3, 0.7)),
            "weight": float(rng.uniform(0.25, 0.9)),
            "height": 0.5,
            "proportions": float(rng.uniform(0.3, 0.8)),
            "african": float(race[0]),
            "asian": float(race[1]),
            "caucasian": float(race[2]),
        }
        local: dict[str, float] = {}
        for name in self.local_names:
            mirrored = "l-" + name[2:]
            if name.startswith("r-") and mirrored in local:
                local[name] = float(np.clip(local[mirrored] + 0.05 * rng.standard_normal(), -0.7, 0.7))
            else:
                local[name] = float(np.clip(0.22 * rng.standard_normal(), -0.7, 0.7))
        rest = {
            name: float(w) for name, w in zip(EXPRESSIONS, rng.uniform(0, [0.06, 0.15, 0.5, 0.3, 0.2]), strict=True)
        }
        pose = (
            float(np.clip(9 * rng.standard_normal(), -22, 22)),
            float(10 + np.clip(6 * rng.standard_normal(), -12, 12)),
        )
        hair = {
            "line": float(rng.choice([9.0, 0.233, 0.2], p=[0.08, 0.77, 0.15]) + rng.normal(0, 0.007)),
            "thickness": float(rng.choice([0.003, rng.uniform(0.006, 0.03)], p=[0.3, 0.7])),
            "length": float(rng.choice([0.0, rng.uniform(0.05, 0.24)], p=[0.55, 0.45])),
            "parting": float(rng.normal(0, 0.3)),
        }
        if hair["line"] > 1:
            hair["length"] = 0.0
        recipe = {"phenotype": phenotype, "rest": rest, "yaw_pitch_deg": list(pose), "hair": hair}
        return self.cast(phenotype, local, rest, pose, hair, size), recipe

    def cast(
        self,
        phenotype: dict[str, float],
        local: dict[str, float],
        rest: dict[str, float],
        yaw_pitch_deg: tuple[float, float],
        hair: dict[str, float],
        size: int,
    ) -> HeadMaps:
        """Ray-cast one head; arguments as in the recipe that :meth:`sample` returns."""
        turn = _rotation(*yaw_pitch_deg)
        pivot = np.array([0.0, CENTRE_Y, 0.02])

        skull = self.template[:, 1] > 0.2
        still = self.vertices(phenotype, local, {})[skull]

        def pose(actions: dict[str, float]) -> Floats:
            v = self.vertices(phenotype, local, actions)
            v = self._comb(v + (still - v[skull]).mean(axis=0), hair)  # the model re-centres expressions
            return np.asarray((v - pivot) @ turn.T + pivot)

        neutral = pose(_blend(rest))
        extra = _torso() + ([] if hair["length"] <= 0 else _curtain(self.template, hair))
        mesh = _Mesh(
            neutral,
            self.faces,
            [((v - pivot) @ (turn.T if moves else np.eye(3)) + pivot, f, r) for v, f, r, moves in extra],
        )
        hit = mesh.cast(size)
        maps = self._maps(mesh, hit, size, hair)
        flows, reveal = [], np.zeros((2, FLOW_SIZE, FLOW_SIZE), np.float32)
        rest_hit = mesh.cast(FLOW_SIZE)
        rest_part = self._part(rest_hit)
        for k, name in enumerate(EXPRESSIONS):
            moved = mesh.with_head(pose(_blend({**rest, name: 1.0})))
            found = moved.cast(FLOW_SIZE)
            flows.append(_flow(mesh, found))
            part = self._part(found)
            if k == 0:
                reveal[0] = (part == MOUTH) | self._inside_mouth(found)
            if k == 1:
                reveal[1] = (rest_part == EYE) & (part == SKIN)
        marks = mesh.project(neutral)[self._landmarks()].reshape(3, -1, 2).mean(axis=1)
        canonical, normal, depth, region, uv = maps
        marks = np.asarray(marks, np.float32)
        return HeadMaps(canonical, normal, depth, region, uv, np.stack(flows), reveal, marks)

    def _landmarks(self) -> NDArray[np.int64]:
        """Vertices (3, 8) nearest to the eyes' and the mouth's place on the template's front."""
        out = []
        for x, y in ((-0.030, 0.166), (0.030, 0.166), (0.0, 0.1085)):
            far = np.abs(self.template[:, :2] - [x, y]).sum(axis=1) + (self.template[:, 2] < 0.06)
            out.append(np.argsort(far, kind="stable")[:8])
        return np.array(out)

    def _comb(self, v: Floats, hair: dict[str, float]) -> Floats:
        """Grow the scalp outwards where hair is."""
        depth = np.clip(hairness(self.template, hair) / 0.02, 0, 1)
        normal = _vertex_normals(v, self.faces)
        wave = 1 + 0.25 * np.sin(60 * self.template[:, 0] + 9 * hair["parting"]) * np.cos(45 * self.template[:, 1])
        return np.asarray(v + normal * (hair["thickness"] * depth * wave)[:, None])

    def _part(self, hit: _Hit) -> NDArray[np.uint8]:
        part = np.zeros(hit.triangle.shape, np.uint8)
        ok = hit.triangle >= 0
        head = ok & (hit.triangle < len(self.faces))
        part[head] = self._parts[hit.triangle[head]]
        for region, start, stop in hit.extras:
            part[(hit.triangle >= start) & (hit.triangle < stop)] = region
        return part

    def _inside_mouth(self, hit: _Hit) -> NDArray[np.bool_]:
        """Whether a pixel shows the cavity behind the lips."""
        p = hit.interpolate(self.template, self.faces)
        deep = (np.abs(p[..., 0]) < 0.024) & (np.abs(p[..., 1] - 0.107) < 0.016) & (p[..., 2] < 0.095)
        return np.asarray(deep & (hit.triangle >= 0) & (hit.triangle < len(self.faces)))

    def _maps(self, mesh: _Mesh, hit: _Hit, size: int, hair: dict[str, float]) -> tuple[Any, Any, Any, Any, Any]:
        canonical = hit.interpolate(self.template, self.faces)
        region = self._part(hit)
        scalp = (region == SKIN) & (hairness(canonical, hair) > 0) & (canonical[..., 2] < 0.13)
        region[scalp] = HAIR
        normal = hit.interpolate(mesh.normals, mesh.faces)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        depth = hit.interpolate(mesh.vertices[:, 2:3], mesh.faces)[..., 0]
        depth[region == BACKGROUND] = np.median(depth[region == SKIN])
        uv = hit.interpolate(self._uv, self._uv_faces)
        f = np.float32
        return canonical.astype(f), normal.astype(f), depth.astype(f), region, uv.astype(f)


def hairness(canonical: Floats, hair: dict[str, float]) -> Floats:
    """Metres inside the hairline (positive: hair), on the template head (..., 3)."""
    x, y, z = canonical[..., 0], canonical[..., 1], canonical[..., 2]
    ragged = 0.003 * np.sin(110 * x + 7 * hair["parting"]) + 0.002 * np.sin(310 * x)
    ear = np.clip((np.abs(x) - 0.0745) / 0.004, 0, 1) * 0.1
    return np.asarray(y - hair["line"] + 1.14 * (0.085 - z) - 0.8 * np.clip(np.abs(x) - 0.05, 0, None) + ragged - ear)


@dataclass(frozen=True)
class _Hit:
    triangle: NDArray[np.int64]
    weights: Floats
    extras: list[tuple[int, int, int]]

    def interpolate(self, values: Floats, faces: NDArray[np.int64]) -> Floats:
        """Values (V, C) at the hit points, 0 where nothing (or no triangle of ``faces``) was hit."""
        out = np.zeros((*self.triangle.shape, values.shape[1]))
        ok = (self.triangle >= 0) & (self.triangle < len(faces))
        out[ok] = np.einsum("nk,nkc->nc", self.weights[ok], values[faces[self.triangle[ok]]])
        return out


class _Mesh:
    """A head with extra parts, cast orthographically from the front."""

    def __init__(
        self, head: Floats, faces: NDArray[np.int64], extra: list[tuple[Floats, NDArray[np.int64], int]]
    ) -> None:
        self._head_faces, self._extra = faces, extra
        self.vertices, all_faces, self.extras = head, [faces], []
        triangles = len(faces)
        for v, f, region in extra:
            all_faces.append(f + len(self.vertices))
            self.vertices = np.concatenate([self.vertices, v])
            self.extras.append((region, triangles, triangles + len(f)))
            triangles += len(f)
        self.faces = np.concatenate(all_faces)
        self.normals = _vertex_normals(self.vertices, self.faces)

    def with_head(self, head: Floats) -> _Mesh:
        return _Mesh(head, self._head_faces, self._extra)

    def project(self, points: Floats) -> Floats:
        """Place in the map, x and y in [0, 1], y down."""
        x = (points[..., 0] + HALF_WIDTH) / (2 * HALF_WIDTH)
        y = (CENTRE_Y + HALF_WIDTH - points[..., 1]) / (2 * HALF_WIDTH)
        return np.stack([x, y], -1)

    def cast(self, size: int) -> _Hit:
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        g = (np.arange(size) + 0.5) / size * 2 - 1
        x, y = np.meshgrid(g * HALF_WIDTH, CENTRE_Y - g * HALF_WIDTH)
        origin = np.stack([x, y, np.full_like(x, 1.0)], -1).reshape(-1, 3)
        mesh = trimesh.Trimesh(self.vertices, self.faces, process=False)
        towards = np.tile([0.0, 0.0, -1.0], (len(origin), 1))
        triangle = np.asarray(RayMeshIntersector(mesh).intersects_first(origin, towards), np.int64)
        weights = np.zeros((len(origin), 3))
        ok = triangle >= 0
        a, b, c = (self.vertices[self.faces[triangle[ok], k], :2] for k in range(3))
        p = origin[ok, :2]
        area = _cross(b - a, c - a)
        area = np.where(np.abs(area) < 1e-14, 1e-14, area)
        w1, w2 = _cross(p - a, c - a) / area, _cross(b - a, p - a) / area
        weights[ok] = np.clip(np.stack([1 - w1 - w2, w1, w2], -1), 0, 1)
        return _Hit(triangle.reshape(size, size), weights.reshape(size, size, 3), self.extras)


def _flow(rest: _Mesh, found: _Hit) -> NDArray[np.float32]:
    size = found.triangle.shape[0]
    source = rest.project(found.interpolate(rest.vertices, rest.faces))
    g = (np.arange(size) + 0.5) / size
    here = np.stack(np.meshgrid(g, g), -1)
    flow = np.where((found.triangle >= 0)[..., None], source - here, 0.0)
    return np.asarray(np.clip(flow, -0.15, 0.15), np.float32)


def _cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _blend(weights: dict[str, float]) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, weight in weights.items():
        for action, full in EXPRESSIONS[name].items():
            out[action] = out.get(action, 0.0) + weight * full
    return out


def _rotation(yaw_deg: float, pitch_deg: float) -> Floats:
    """Turn to the side (about y), then nod forward (about x)."""
    a, b = np.deg2rad([yaw_deg, pitch_deg])
    yaw = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(pitch @ yaw)


def _vertex_normals(v: Floats, f: NDArray[np.int64]) -> Floats:
    n = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    out = np.zeros_like(v)
    for k in range(3):
        np.add.at(out, f[:, k], n)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def _components(faces: NDArray[np.int64], n: int) -> NDArray[np.uint8]:
    """What each triangle of the head belongs to: the largest part is skin, the one low in the middle the tongue."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    i, j = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]]).T
    _, label = connected_components(coo_matrix((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)
    size = np.bincount(label)
    kind = np.full(len(size), EYE, np.uint8)
    order = np.argsort(-size)
    kind[order[0]] = SKIN
    kind[order[1]] = MOUTH
    return np.asarray(kind[label[faces[:, 0]]])


def _grid_faces(rows: int, columns: int) -> NDArray[np.int64]:
    k = np.arange((rows - 1) * columns).reshape(rows - 1, columns)[:, :-1].reshape(-1)
    return np.concatenate([np.stack([k, k + columns, k + 1], 1), np.stack([k + 1, k + columns, k + columns + 1], 1)])


def _torso() -> list[tuple[Floats, NDArray[np.int64], int, bool]]:
    """Neck to shoulders: a sheet whose height falls to the sides."""
    x, s = np.meshgrid(np.linspace(-0.26, 0.26, 41), np.linspace(0, 1, 12))
    ax = np.abs(x)
    top = 0.034 + 0.012 * np.clip(ax / 0.06, 0, 1) ** 2 - 0.3 * np.clip(ax - 0.065, 0, 0.065)
    top -= 40 * np.clip(ax - 0.12, 0, None) ** 2  # inside the map, so that what lies beyond it is background
    y = top - 0.16 * s
    z = 0.06 + 0.04 * np.sqrt(s) - 0.9 * x**2 + 0.012 * np.cos(40 * x) * s
    v = np.stack([x, y, z], -1).reshape(-1, 3)
    return [(v, _grid_faces(12, 41), CLOTH, False)]


def _curtain(template: Floats, hair: dict[str, float]) -> list[tuple[Floats, NDArray[np.int64], int, bool]]:
    """Long hair: a sheet around the sides and the back of the head."""
    angle, s = np.meshgrid(np.deg2rad(np.linspace(-20, 200, 45)), np.linspace(0, 1, 20))
    flare = 1.0 + 0.15 * s + 0.03 * np.sin(9 * angle) * s
    x = (0.083 + hair["thickness"] * 0.7) * flare * np.cos(angle)
    z = 0.0 - (0.09 + hair["thickness"]) * flare * np.sin(angle)
    y = 0.21 - s * (0.03 + hair["length"])
    v = np.stack([x, y, z], -1).reshape(-1, 3)
    return [(v, _grid_faces(20, 45), HAIR, True)]
