/** Samples with their own times onto a uniform clock; gaps stay gaps. */

import { clamp, upperBound } from "./stats";

/** Rows of numbers on a clock; rows that are not valid hold NaN. */
export interface Resampled {
  values: Float64Array;
  valid: Uint8Array;
  t0: number;
}

/**
 * Each output sample is the mean, over one output period around its time, of the piecewise linear curve through the
 * input: an interpolator for slow input, an anti-aliasing average for fast input.
 *
 * @param times increasing, seconds.
 * @param values one row of `columns` numbers per time; rows with NaN are missing.
 * @param maxGap a stretch without samples longer than this, in seconds, stays a gap.
 * @param t0 time of the first output sample; that of the first input by default.
 */
export function resampleByTime(
  times: ArrayLike<number>,
  values: ArrayLike<number>,
  columns: number,
  fs: number,
  maxGap = 0.5,
  t0?: number,
): Resampled {
  const count = times.length;
  for (let k = 1; k < count; k++) if (!(times[k]! > times[k - 1]!)) throw new RangeError("resample: times must increase");
  const start = t0 ?? (count ? times[0]! : 0);
  const n = count ? Math.max(Math.floor((times[count - 1]! - start) * fs + 1e-6) + 1, 0) : 0;
  const out = new Float64Array(n * columns).fill(NaN);
  const valid = new Uint8Array(n);
  const kept: number[] = [];
  for (let k = 0; k < count; k++) {
    let ok = true;
    for (let c = 0; c < columns && ok; c++) ok = Number.isFinite(values[k * columns + c]!);
    if (ok) kept.push(k);
  }
  let begin = 0;
  for (let k = 1; k <= kept.length; k++) {
    if (k < kept.length && times[kept[k]!]! - times[kept[k - 1]!]! <= maxGap) continue;
    if (k - begin >= 2) stretch(kept.slice(begin, k), times, values, columns, fs, start, out, valid);
    begin = k;
  }
  return { values: out, valid, t0: start };
}

function stretch(
  rows: number[],
  times: ArrayLike<number>,
  values: ArrayLike<number>,
  columns: number,
  fs: number,
  start: number,
  out: Float64Array,
  valid: Uint8Array,
): void {
  const m = rows.length;
  const t = Float64Array.from(rows, (row) => times[row]!);
  const [first, last] = [t[0]!, t[m - 1]!];
  const low = Math.max(Math.ceil((first - 1e-9 - start) * fs - 1e-9), 0);
  for (let k = low; k < valid.length; k++) {
    const at = start + k / fs;
    if (at < first - 1e-9) continue;
    if (at > last + 1e-9) break;
    const a = clamp(at - 0.5 / fs, first, last);
    const b = clamp(at + 0.5 / fs, first, last);
    const from = segment(t, a);
    const to = segment(t, b);
    valid[k] = 1;
    for (let c = 0; c < columns; c++) {
      let area = 0;
      for (let i = from; i <= to; i++) {
        const v0 = values[rows[i]! * columns + c]!;
        const v1 = values[rows[i + 1]! * columns + c]!;
        const slope = (v1 - v0) / (t[i + 1]! - t[i]!);
        const x0 = i === from ? a - t[i]! : 0;
        const x1 = i === to ? b - t[i]! : t[i + 1]! - t[i]!;
        area += v0 * (x1 - x0) + 0.5 * slope * (x1 * x1 - x0 * x0);
      }
      out[k * columns + c] = area / (b - a);
    }
  }
}

function segment(t: Float64Array, at: number): number {
  return clamp(upperBound(t, at) - 1, 0, t.length - 2);
}
