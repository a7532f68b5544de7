"""Whole pictures with background at a camera's resolution, frame by frame.

Colour is warped at full resolution; the slow fields (light, pulse, highlights) are drawn by :mod:`shade` on a
coarse grid of about 25 cells a face width and enlarged, which makes a full picture cost some milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kdphys.data.synth.camera import auto_gains, flicker_rows
from kdphys.data.synth.shade import _BACKGROUND_WIDTHS, Shader

Floats = NDArray[np.floating[Any]]

_CHUNK = 16
_CELLS = 25  # a face width
_SPARE = 64


class Composer:
    """Draws the pictures of a clip.

    Args:
        shader: the person.
        width, height: of the picture, pixels.
        centre: where the middle of the resting face box lies, pixels.
        face_px: width of the resting face box, pixels.
    """

    def __init__(self, shader: Shader, width: int, height: int, centre: tuple[float, float], face_px: float) -> None:
        self.shader, self.width, self.height, self.centre, self.face_px = shader, width, height, centre, face_px
        self._cell = max(round(face_px / _CELLS), 2)
        self._cells = -(-max(width, height) // self._cell)
        side = self._cells * self._cell
        middle = (np.array([side / 2, side / 2]) - centre) / face_px
        self._window = np.array([*middle, side / face_px], np.float32)
        p = shader.painted
        self._colour = np.ascontiguousarray(p.colour)
        self._clear = np.ascontiguousarray(1 - np.repeat(p.alpha[..., None], 3, 2))
        self._behind = self._backdrop()
        self._rng = shader.scene.rng("noise")
        self._gains = self._auto()
        self._pool = self._noise_pool()

    def _windows(self, n: int) -> Floats:
        return np.repeat(self._window[None], n, 0)

    def _backdrop(self) -> NDArray[np.float32]:
        drop = self.shader.backdrop
        n = len(drop)
        x = (np.arange(self.width) + 0.5 - self.centre[0]) / self.face_px / _BACKGROUND_WIDTHS + 0.5
        y = (np.arange(self.height) + 0.5 - self.centre[1]) / self.face_px / _BACKGROUND_WIDTHS + 0.5
        mx, my = np.meshgrid((x * n - 0.5).astype(np.float32), (y * n - 0.5).astype(np.float32))
        return np.asarray(cv2.remap(drop, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))

    def _auto(self) -> Floats:
        """Exposure and white balance, from a very small drawing of all frames."""
        tracks, scene = self.shader.tracks, self.shader.scene
        n = len(tracks.times)
        if not (scene.camera.auto_exposure or scene.camera.auto_white):
            return np.ones((n, 3))
        frames = np.arange(n)
        means = self.shader.draw(frames, self._windows(n), 16).picture().mean(dim=(2, 3)).cpu().numpy()
        return auto_gains(scene, means.astype(np.float64), tracks.times)

    def _noise_pool(self) -> NDArray[np.float32]:
        camera = self.shader.scene.camera
        shape = (self.height + _SPARE, self.width + _SPARE, 3)
        pool = self._rng.standard_normal(shape, dtype=np.float32)
        if camera.noise_blur > 0.05:
            pool = cv2.GaussianBlur(pool, (0, 0), camera.noise_blur)
        level = 255 * float(camera.exposure) * 0.8
        # Blur leaves the low frequencies, which are what averages over many pixels see, as they were.
        return np.asarray(pool * np.sqrt(camera.read**2 + camera.shot**2 * level / 128), np.float32)

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """All pictures, uint8 (height, width, 3) RGB, in order; dropped ones repeat the one before."""
        held = self.shader.tracks.held
        last: tuple[int, NDArray[np.uint8]] | None = None
        fresh = self._fresh()
        for k in held:
            if last is None or k != last[0]:
                for j, picture in fresh:
                    last = (j, picture)
                    if j == k:
                        break
            assert last is not None
            yield last[1]

    def _fresh(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        shader = self.shader
        n = len(shader.tracks.times)
        for start in range(0, n, _CHUNK):
            k = np.arange(start, min(start + _CHUNK, n))
            windows = self._windows(len(k))
            layers = shader.draw(k, windows, self._cells)
            grid = shader.grid(k, windows, self._cells)[0].cpu().numpy()
            gain = layers.light.permute(0, 2, 3, 1)
            auto = self._gains[k].astype(np.float32)
            fields = np.concatenate([gain.cpu().numpy(), layers.shine.permute(0, 2, 3, 1).cpu().numpy()], -1)
            fields[..., :3] *= auto[:, None, None]
            behind = shader.behind_light(k).cpu().numpy() * auto
            rows = flicker_rows(shader.scene, shader.tracks, k, windows, self._cells)
            reveal = None if layers.reveal is None else layers.reveal.permute(0, 2, 3, 1).cpu().numpy()
            for i, j in enumerate(k):
                row = None if rows is None else rows[i]
                picture = self._picture(grid[i], fields[i], behind[i], row, None if reveal is None else reveal[i])
                yield int(j), picture

    def _enlarged(self, field: Floats) -> NDArray[np.float32]:
        side = self._cells * self._cell
        big = cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(big[: self.height, : self.width])

    def _look_up(self, grid: Floats) -> Floats:
        """The full-resolution map coordinates of a coarse grid, continued in straight lines at the edges."""
        wide = np.pad(grid, ((1, 1), (1, 1), (0, 0)), mode="reflect", reflect_type="odd")
        side = (self._cells + 2) * self._cell
        big = cv2.resize(wide, (side, side), interpolation=cv2.INTER_LINEAR)
        c = self._cell
        return np.asarray(big[c : c + self.height, c : c + self.width])

    def _picture(
        self, grid: Floats, fields: Floats, behind: Floats, rows: Floats | None, reveal: Floats | None
    ) -> NDArray[np.uint8]:
        at = cv2.convertMaps(self._look_up((grid + 1) * (len(self._colour) / 2) - 0.5), None, cv2.CV_16SC2)
        edge = cv2.BORDER_REPLICATE
        colour = cv2.remap(self._colour, *at, cv2.INTER_LINEAR, borderMode=edge)
        clear = cv2.remap(self._clear, *at, cv2.INTER_LINEAR, borderMode=edge)
        if reveal is not None and reveal.max() > 0.02:
            masks = self._enlarged(reveal)
            for k, paint in enumerate((self.shader.painted.inside, self.shader.painted.lid)):
                colour += masks[..., k : k + 1] * (paint * (1 - clear) - colour)
        picture = cv2.multiply(colour, self._enlarged(fields[..., :3]))
        shine = self._enlarged(fields[..., 3:])
        behind_px = cv2.multiply(self._behind, (*(float(c) for c in behind), 0.0))
        picture = cv2.add(picture, cv2.multiply(clear, behind_px))
        picture = cv2.add(picture, cv2.merge([shine, shine, shine]))
        if rows is not None:
            picture *= np.repeat(rows, self._cell)[: self.height, None, None]
        return self._sensor(picture)

    def _sensor(self, picture: Floats) -> NDArray[np.uint8]:
        camera = self.shader.scene.camera
        y, x = self._rng.integers(0, _SPARE, 2)
        noise = self._pool[y : y + self.height, x : x + self.width]
        if camera.row_noise:
            row = camera.row_noise * np.sqrt(self.face_px) / 4 * self._rng.standard_normal((self.height, 1, 1))
            noise = noise + row.astype(np.float32)
        out = cv2.add(np.ascontiguousarray(picture, np.float32), np.ascontiguousarray(noise), dtype=cv2.CV_8U)
        if camera.contrast:
            v = np.arange(256) / 255
            curve = np.rint(255 * (v + camera.contrast * v * (1 - v) * (2 * v - 1))).astype(np.uint8)
            out = cv2.LUT(out, curve)
        return np.asarray(out, np.uint8)
