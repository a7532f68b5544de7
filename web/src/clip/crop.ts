/** Square crops around a face, area-averaged in floating point: rounding to 8 bits would cost signal. */

import { clamp, roundHalfEven } from "../dsp/stats";
import { resize, type Box, type Picture } from "./picture";

/** Face box × this = the crop that models see. */
export const BOX_SCALE = 1.5;

/** The square around the centre of `box` whose side is `scale` × the mean of its sides. */
export function square([x0, y0, x1, y1]: Box, scale: number): Box {
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const half = (scale * (x1 - x0 + y1 - y0)) / 4;
  return [x - half, y - half, x + half, y + half];
}

/**
 * Mean brightness of the picture around a face, outside of `scale` × its box, from one pixel in some dozens: what beats
 * there as it does in the face is the light and no pulse. NaN where less than a twentieth of the picture is left.
 */
export function surround(picture: Picture, box: Box, scale: number): number {
  const { data, width, height } = picture;
  const step = Math.max(Math.floor(Math.min(width, height) / 60), 1);
  const half = Math.floor(step / 2);
  const [columns, rows] = [Math.ceil((width - half) / step), Math.ceil((height - half) / step)];
  const [x0, y0, x1, y1] = square(box, scale).map((v, k) =>
    clamp(Math.ceil((v - half) / step), 0, k % 2 ? rows : columns),
  ) as Box;
  const count = rows * columns - (x1 - x0) * (y1 - y0);
  if (count < 0.05 * rows * columns) return NaN;
  let total = 0;
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      if (x >= x0 && x < x1 && y >= y0 && y < y1) continue;
      const at = 4 * ((half + y * step) * width + half + x * step);
      total += 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
    }
  return total / count;
}

/**
 * Cut `box` out and bring it to `size` × `size`: RGB float32, 0–255. Null when it lies outside the picture. Sides are
 * rounded to whole pixels; the centre is not, and the picture is interpolated between its pixels.
 */
export function crop(picture: Picture, box: Box, size: number): Float32Array | null {
  const [across, down] = [roundHalfEven(box[2] - box[0]), roundHalfEven(box[3] - box[1])];
  const [left, top] = [(box[0] + box[2] - across) / 2, (box[1] + box[3] - down) / 2];
  const [x0, y0] = [Math.floor(left), Math.floor(top)];
  const [x1, y1] = [x0 + across + Number(left > x0), y0 + down + Number(top > y0)];
  if (across < 1 || down < 1 || x1 <= 0 || y1 <= 0 || x0 >= picture.width || y0 >= picture.height) return null;
  return resize(picture, [x0, y0, x0 + across, y0 + down], size, size, 1, [left - x0, top - y0]);
}
