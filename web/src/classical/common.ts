/** What the classical methods share: colour relative to its mean, overlap-add in Hann windows. */

import { hann } from "../dsp/spectrum";

/** A relative change of colour below this is rounding, not light. */
const FLAT = 1e-9;

/** One channel of a trace (T × 3). */
export function channel(rgb: Float64Array, c: number): Float64Array {
  return Float64Array.from({ length: rgb.length / 3 }, (_, k) => rgb[3 * k + c]!);
}

/** A channel relative to its mean, minus one; zero where it is black or does not change. */
export function relative(x: Float64Array): Float64Array {
  let total = 0;
  for (let k = 0; k < x.length; k++) total += x[k]!;
  const mean = total / x.length;
  if (!(mean > FLAT)) return new Float64Array(x.length);
  const out = new Float64Array(x.length);
  let [low, high] = [Infinity, -Infinity];
  for (let k = 0; k < x.length; k++) {
    const v = x[k]! / mean - 1;
    out[k] = v;
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return high - low > FLAT ? out : out.fill(0);
}

/** `a / b`, and 0 where b is 0. */
export function ratio(a: number, b: number): number {
  return b > 0 ? a / b : 0;
}

/** Apply `part` in half-overlapping Hann windows of `size` samples and put its results together, to the last sample. */
export function overlapAdd(
  n: number,
  size: number,
  part: (start: number, stop: number) => Float64Array,
): Float64Array {
  const total = new Float64Array(n);
  const weight = new Float64Array(n);
  const width = Math.min(size, n);
  const hop = Math.max(Math.floor(size / 2), 1);
  const starts: number[] = [];
  for (let at = 0; at < n - width; at += hop) starts.push(at);
  starts.push(n - width);
  const taper = hann(width + 2).subarray(1, width + 1); // nowhere zero: the ends count too
  for (const start of starts) {
    const wave = part(start, start + width);
    for (let k = 0; k < width; k++) {
      total[start + k]! += taper[k]! * wave[k]!;
      weight[start + k]! += taper[k]!;
    }
  }
  return total.map((v, k) => v / weight[k]!);
}
