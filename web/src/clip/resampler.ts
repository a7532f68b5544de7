/** Rows of numbers onto a uniform clock, as they come: gives what `resampleByTime` gives for the whole. */

import { resampleByTime } from "../dsp/resample";
import { upperBound } from "../dsp/stats";

/** A stretch without a face, or without frames, longer than this stays a gap, seconds. */
export const MAX_GAP_S = 0.5;

/** Samples that follow each other without a gap. */
export interface Block {
  start: number; // index of the first on the clock
  rows: Float32Array[];
  ends: boolean; // a gap comes next
}

export class Resampler {
  private times: number[] = [];
  private samples: Float32Array[] = [];
  private next = 0;

  /**
   * @param fs Hz.
   * @param t0 time of sample 0, seconds.
   * @param maxGap a stretch without samples longer than this ends the stretch of samples, seconds.
   * @param hold how many are collected before they are resampled.
   */
  constructor(
    readonly fs: number,
    readonly t0: number,
    readonly maxGap = MAX_GAP_S,
    readonly hold = 2,
  ) {}

  /** Take a row at `t` seconds, later than all before; give what is settled. */
  push(t: number, sample: Float32Array): Block[] {
    const last = this.times.at(-1);
    const out = last !== undefined && t - last > this.maxGap ? this.flush() : [];
    this.times.push(t);
    this.samples.push(sample);
    if (this.times.length >= this.hold) out.push(...this.settle(false));
    return out;
  }

  /** End of the stretch: all that is left. */
  flush(): Block[] {
    const out = this.settle(true);
    this.times = [];
    this.samples = [];
    return out;
  }

  private settle(last: boolean): Block[] {
    const { times, samples, fs, t0 } = this;
    if (times.length < 2) return last && times.length ? [{ start: this.next, rows: [], ends: true }] : [];
    const end = last ? times.at(-1)! : times.at(-1)! - 0.5 / fs;
    const first = Math.max(this.next, Math.ceil((times[0]! - t0) * fs - 1e-6));
    const stop = Math.floor((end - t0) * fs + 1e-6) + 1;
    if (stop <= first) return last ? [{ start: first, rows: [], ends: true }] : [];
    const columns = samples[0]!.length;
    const flat = new Float64Array(times.length * columns);
    samples.forEach((sample, k) => flat.set(sample, k * columns));
    const { values, valid } = resampleByTime(times, flat, columns, fs, this.maxGap, t0 + first / fs);
    const rows: Float32Array[] = [];
    for (let k = 0; k < stop - first; k++)
      if (valid[k]) rows.push(Float32Array.from(values.subarray(k * columns, (k + 1) * columns)));
    this.next = first + rows.length;
    if (!last) {
      // Keep what the next sample's average reaches back to.
      const keep = Math.max(upperBound(times, t0 + (this.next - 0.5) / fs) - 1, 0);
      times.splice(0, keep);
      samples.splice(0, keep);
    }
    return [{ start: first, rows, ends: last }];
  }
}
