/** POS, CHROM and GREEN, as in kdphys/classical: a trace (T × 3, 2 s or more) in, blood volume out, systole upwards. */

import { butter, filtfilt } from "../dsp/filter";
import { std } from "../dsp/stats";
import { channel, overlapAdd, ratio, relative } from "./common";

export type Classical = (rgb: Float64Array, fs: number) => Float64Array;

/** Windows of POS and CHROM, seconds. */
const SHORT_S = 1.6;

/** The plane orthogonal to the skin tone. Wang et al. 2017, doi:10.1109/TBME.2016.2609282. */
export const pos: Classical = (rgb, fs) => {
  const n = rgb.length / 3;
  const size = Math.ceil(SHORT_S * fs);
  if (n < size) throw new RangeError(`pos: needs ${size} samples, got ${n}`);
  const channels = [channel(rgb, 0), channel(rgb, 1), channel(rgb, 2)];
  const total = new Float64Array(n);
  const s0 = new Float64Array(size);
  const s1 = new Float64Array(size);
  for (let start = 0; start + size <= n; start++) {
    const [r, g, b] = channels.map((c) => relative(c.subarray(start, start + size)));
    for (let k = 0; k < size; k++) {
      s0[k] = g![k]! - b![k]!;
      s1[k] = g![k]! + b![k]! - 2 * r![k]!;
    }
    const alpha = ratio(std(s0), std(s1));
    let mean = 0;
    for (let k = 0; k < size; k++) {
      s0[k]! += alpha * s1[k]!;
      mean += s0[k]! / size;
    }
    for (let k = 0; k < size; k++) total[start + k]! += s0[k]! - mean;
  }
  const most = Math.min(size, n - size + 1);
  return total.map((v, k) => -v / Math.min(k + 1, n - k, most));
};

/** Chrominance. de Haan, Jeanne 2013, doi:10.1109/TBME.2013.2266196. */
export const chrom: Classical = (rgb, fs) => {
  let size = Math.ceil(SHORT_S * fs);
  size += size % 2;
  const filter = butter(3, 0.667, Math.min(4, 0.45 * fs), fs);
  const channels = [channel(rgb, 0), channel(rgb, 1), channel(rgb, 2)];
  return overlapAdd(rgb.length / 3, size, (start, stop) => {
    const [r, g, b] = channels.map((c) => relative(c.subarray(start, stop)));
    const pad = Math.min(3 * filter.a.length, stop - start - 1);
    const x = filtfilt(filter, r!.map((v, k) => 3 * v - 2 * g![k]!), pad);
    const y = filtfilt(filter, r!.map((v, k) => 1.5 * v + g![k]! - 1.5 * b![k]!), pad);
    const alpha = ratio(std(x), std(y));
    return x.map((v, k) => v - alpha * y[k]!);
  });
};

/** The green channel relative to its mean over windows of 10 s, turned over: blood absorbs green. */
export const green: Classical = (rgb, fs) => {
  const g = channel(rgb, 1);
  return overlapAdd(g.length, Math.round(10 * fs), (start, stop) => relative(g.subarray(start, stop)).map((v) => -v));
};
