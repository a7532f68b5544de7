"""Fit the face box of synthetic heads to what the bundled detector answers on rendered pictures of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kdphys.data.synth.bank import load_bank
from kdphys.data.synth.compose import Composer
from kdphys.data.synth.paint import flipped, paint
from kdphys.data.synth.sample import sample_scene
from kdphys.data.synth.scene import Motion
from kdphys.data.synth.shade import Shader
from kdphys.data.synth.tracks import make_tracks
from kdphys.face.detect import FaceDetector


def main() -> None:
    bank, detector = load_bank(), FaceDetector()
    rows, wanted, missed = [], [], 0
    errors = []
    for k in range(len(bank)):
        scene = sample_scene(k, bank=bank.spec, light="steady", motion="still", codec="none")
        scene = replace(scene, person=replace(scene.person, head=k), motion=Motion())
        maps = bank.head(k)
        shader = Shader(scene, paint(scene, maps), make_tracks(scene, 0.1))
        picture = next(Composer(shader, 640, 480, (320.0, 240.0), 160.0).frames())
        found = detector(picture)
        if len(found.scores) == 0:
            missed += 1
            continue
        x0, y0, x1, y1 = found.boxes[0]
        bx, by, side = shader.painted.box
        # back from the picture to the map
        centre = ((x0 + x1) / 2 - 320) / 160 * side + bx, ((y0 + y1) / 2 - 240) / 160 * side + by
        size = ((x1 - x0) + (y1 - y0)) / 2 / 160 * side
        left, right, mouth = (flipped(maps) if scene.person.flip else maps).eyes_mouth.astype(float)
        eyes = (left + right) / 2
        rows.append((eyes, mouth, float(np.hypot(*(right - left))), float(np.hypot(*(mouth - eyes)))))
        wanted.append((*centre, size))
        errors.append(((centre[0] - bx) / size, (centre[1] - by) / size, size / side))
    w = np.array(wanted)
    eyes, mouth = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    apart, drop = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])
    a = np.stack([apart, drop], 1)
    side_fit = np.linalg.lstsq(a, w[:, 2], rcond=None)[0]
    y_fit = np.linalg.lstsq((mouth - eyes)[:, 1:2], w[:, 1] - eyes[:, 1], rcond=None)[0]
    x_fit = np.linalg.lstsq((mouth - eyes)[:, :1], w[:, 0] - eyes[:, 0], rcond=None)[0]
    e = np.array(errors)
    spread = np.std(a @ side_fit / w[:, 2])
    print(f"{len(rows)} faces found, {missed} missed")
    print(f"side = {side_fit[0]:.3f} × eye distance + {side_fit[1]:.3f} × eyes to mouth; sd {spread:.3f}")
    print(f"centre: x = eyes + {x_fit[0]:.3f} × (mouth − eyes), y = eyes + {y_fit[0]:.3f} × (mouth − eyes)")
    for k, what in enumerate(("x off by", "y off by", "detector's side / ours")):
        print(f"present box: {what} {e[:, k].mean():+.3f} ± {e[:, k].std():.3f}")


if __name__ == "__main__":
    main()
