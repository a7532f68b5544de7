/** The blood-volume pulse, and what every method's raw waveform goes through to become one; as kdphys/pulse. */

import type { Evidence } from "../clip/trace";
import { bandpass } from "../dsp/filter";
import { mean, runs, std } from "../dsp/stats";

/** What is kept of a pulse, Hz. */
const BAND_HZ = [0.6, 4] as const;
/** A stretch shorter than this is not given to a method, seconds. */
const MIN_RUN_S = 3;

/** On a uniform clock; samples that are not valid are 0. */
export interface Pulse {
  bvp: Float64Array; // unit standard deviation in each stretch, systole upwards
  fs: number;
  t0: number; // time of the first sample, seconds
  valid: Uint8Array;
  method: string;
  evidence: Evidence | null;
  scale: Float64Array | null; // what `bvp` was divided by
}

/** Stretches of 3 s or more are band-passed to 0.6–4 Hz without shift in time; what is shorter is not valid. */
export function shapePulse(
  raw: Float64Array,
  seen: ArrayLike<number>,
  fs: number,
  t0: number,
  method: string,
  evidence: Evidence | null,
): Pulse {
  const bvp = new Float64Array(raw.length);
  const valid = new Uint8Array(raw.length);
  const scale = new Float64Array(raw.length);
  for (const { start, stop } of runs(seen)) {
    if (stop - start < MIN_RUN_S * fs) continue;
    const part = raw.subarray(start, stop);
    const m = mean(part);
    const wave = bandpass(part.map((v) => v - m), fs, BAND_HZ[0], Math.min(BAND_HZ[1], 0.45 * fs));
    const spread = std(wave);
    if (spread > 1e-12) bvp.set(wave.map((v) => v / spread), start);
    valid.fill(1, start, stop);
    scale.fill(spread, start, stop);
  }
  return { bvp, fs, t0, valid, method, evidence, scale };
}
