/** Pictures as the browser gives them, and resizing as OpenCV does it. */

/** A picture of RGBA bytes; alpha is not looked at. */
export interface Picture {
  data: Uint8ClampedArray | Uint8Array;
  width: number;
  height: number;
}

/** x0, y0, x1, y1 in pixels. */
export type Box = [number, number, number, number];

/** Which source samples one output sample is made of. */
interface Axis {
  first: Int32Array;
  count: Int32Array;
  weights: Float32Array; // `width` per output sample
  width: number;
}

const axes = new Map<number, Axis>();

/** Area weights to shrink, linear ones to enlarge. */
function axis(length: number, size: number, shrink: boolean): Axis {
  const key = (length * 4096 + size) * 2 + Number(shrink);
  const known = axes.get(key);
  if (known) return known;
  const scale = length / size;
  const width = shrink ? Math.ceil(scale) + 1 : 2;
  const made: Axis = {
    first: new Int32Array(size),
    count: new Int32Array(size),
    weights: new Float32Array(size * width),
    width,
  };
  for (let i = 0; i < size; i++) {
    if (shrink) {
      const [from, to] = [i * scale, Math.min((i + 1) * scale, length)];
      const first = Math.min(Math.floor(from + 1e-9), length - 1);
      const last = Math.min(Math.max(Math.ceil(to - 1e-9), first + 1), length);
      made.first[i] = first;
      made.count[i] = last - first;
      for (let k = first; k < last; k++)
        made.weights[i * width + k - first] = (Math.min(to, k + 1) - Math.max(from, k)) / (to - from);
    } else {
      const at = (i + 0.5) * scale - 0.5;
      const first = Math.min(Math.max(Math.floor(at), 0), length - 1);
      const share = first === length - 1 ? 0 : Math.min(Math.max(at - first, 0), 1);
      made.first[i] = first;
      made.count[i] = share > 0 ? 2 : 1;
      made.weights[i * width] = 1 - share;
      made.weights[i * width + 1] = share;
    }
  }
  axes.set(key, made);
  if (axes.size > 256) axes.delete(axes.keys().next().value!);
  return made;
}

/** The same for a part that lies `share` of a sample further along: its samples are interpolated between two. */
function moved(made: Axis, share: number): Axis {
  if (share === 0) return made;
  const width = made.width + 1;
  const weights = new Float32Array(made.first.length * width);
  for (let i = 0; i < made.first.length; i++)
    for (let k = 0; k < made.count[i]!; k++) {
      const weight = made.weights[i * made.width + k]!;
      weights[i * width + k]! += (1 - share) * weight;
      weights[i * width + k + 1]! += share * weight;
    }
  return { first: made.first, count: made.count.map((n) => n + 1), weights, width };
}

/**
 * A part of a picture at another size: averaged over areas when it shrinks, interpolated when it grows; the picture's
 * edge is repeated where the part leaves it.
 *
 * @param x0 … y1 whole pixels.
 * @param step read every `step`-th pixel only.
 * @param shares how far the part lies from there, right and down, in shares of a pixel.
 * @returns RGB float32 (height, width, 3), 0–255.
 */
export function resize(
  picture: Picture,
  [x0, y0, x1, y1]: Box,
  width: number,
  height: number,
  step = 1,
  shares: [number, number] = [0, 0],
): Float32Array {
  let [w, h] = [Math.ceil((x1 - x0) / step), Math.ceil((y1 - y0) / step)];
  const shrink = w >= width && h >= height;
  const across = moved(axis(w, width, shrink), shares[0]);
  const down = moved(axis(h, height, shrink), shares[1]);
  w += Number(shares[0] > 0);
  h += Number(shares[1] > 0);
  const columns = new Int32Array(w);
  for (let k = 0; k < w; k++) columns[k] = 4 * Math.min(Math.max(x0 + k * step, 0), picture.width - 1);
  const rows = new Float32Array(h * width * 3);
  const { data } = picture;
  for (let y = 0; y < h; y++) {
    const row = 4 * picture.width * Math.min(Math.max(y0 + y * step, 0), picture.height - 1);
    let to = y * width * 3;
    for (let i = 0; i < width; i++, to += 3) {
      const first = across.first[i]!;
      let r = 0;
      let g = 0;
      let b = 0;
      for (let k = 0, n = across.count[i]!, at = i * across.width; k < n; k++) {
        const weight = across.weights[at + k]!;
        const from = row + columns[first + k]!;
        r += weight * data[from]!;
        g += weight * data[from + 1]!;
        b += weight * data[from + 2]!;
      }
      rows[to] = r;
      rows[to + 1] = g;
      rows[to + 2] = b;
    }
  }
  const out = new Float32Array(height * width * 3);
  const line = width * 3;
  for (let i = 0; i < height; i++) {
    for (let k = 0; k < down.count[i]!; k++) {
      const weight = down.weights[i * down.width + k]!;
      const from = (down.first[i]! + k) * line;
      for (let c = 0; c < line; c++) out[i * line + c]! += weight * rows[from + c]!;
    }
  }
  return out;
}
