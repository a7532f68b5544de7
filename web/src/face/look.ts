/** Thumbnails of pictures and faces: what tells a cut, or another face, from movement. */

import { resize, type Box, type Picture } from "../clip/picture";
import { clamp, mean, roundHalfEven, std } from "../dsp/stats";

/** A picture with less contrast than this, in grey levels, is flat. */
const FLAT = 8;

/** Every `step`-th pixel of a picture. */
export function thin(picture: Picture, step: number): Picture {
  const [width, height] = [Math.ceil(picture.width / step), Math.ceil(picture.height / step)];
  const data = new Uint8Array(4 * width * height);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++, to += 4) {
      const from = 4 * (y * step * picture.width + x * step);
      data[to] = picture.data[from]!;
      data[to + 1] = picture.data[from + 1]!;
      data[to + 2] = picture.data[from + 2]!;
    }
  return { data, width, height };
}

/** A thumbnail of `width` × `height` pixels of a part of a picture: RGB rows. */
export function look(picture: Picture, box: Box, width: number, height: number, step = 1): Float32Array {
  return resize(picture, box, width, height, step).map(roundHalfEven);
}

/** A thumbnail of the face in `box`, or null where it is not in the picture. */
export function patch(picture: Picture, box: Box): Float32Array | null {
  const [x0, y0, x1, y1] = box.map((v, k) => Math.trunc(clamp(v, 0, k % 2 ? picture.height : picture.width))) as Box;
  const step = Math.max(Math.floor((x1 - x0) / 48), 1);
  const [w, h] = [Math.ceil((x1 - x0) / step), Math.ceil((y1 - y0) / step)];
  return Math.min(w, h) >= 4 ? look(picture, [x0, y0, x1, y1], 16, 16, step) : null;
}

/** Mean difference of two thumbnails in standard deviations: a change of light alone is none. */
export function difference(a: Float32Array, b: Float32Array): number {
  const [x, y] = [centred(a), centred(b)];
  const [p, q] = [std(x), std(y)];
  if (Math.max(p, q) < FLAT) return 0; // two flat pictures: nothing to compare
  let total = 0;
  for (let k = 0; k < x.length; k++) total += Math.abs(x[k]! / Math.max(p, FLAT) - y[k]! / Math.max(q, FLAT));
  return total / x.length;
}

function centred(rgb: Float32Array): Float64Array {
  const means = [0, 1, 2].map((c) => mean(rgb.filter((_, k) => k % 3 === c)));
  return Float64Array.from(rgb, (v, k) => v - means[k % 3]!);
}
