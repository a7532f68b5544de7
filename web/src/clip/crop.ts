/** Square crops around a face, area-averaged in floating point: rounding to 8 bits would cost signal. */

import { roundHalfEven } from "../dsp/stats";
import { resize, type Box, type Picture } from "./picture";

/** The square around the centre of `box` whose side is `scale` × the mean of its sides. */
export function square([x0, y0, x1, y1]: Box, scale: number): Box {
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const half = (scale * (x1 - x0 + y1 - y0)) / 4;
  return [x - half, y - half, x + half, y + half];
}

/** Cut `box` out and bring it to `size` × `size`: RGB float32, 0–255. Null when it lies outside the picture. */
export function crop(picture: Picture, box: Box, size: number): Float32Array | null {
  const [x0, y0, x1, y1] = box.map(roundHalfEven) as Box;
  if (x1 <= x0 || y1 <= y0 || x1 <= 0 || y1 <= 0 || x0 >= picture.width || y0 >= picture.height) return null;
  return resize(picture, [x0, y0, x1, y1], size, size);
}
