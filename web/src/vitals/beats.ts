/** Single heart beats in the pulse, and the intervals between them; as kdphys/vitals/beats.py. */

import { bandpass } from "../dsp/filter";
import { cubicSpline } from "../dsp/spline";
import { interp, median, roundHalfEven, runs } from "../dsp/stats";
import type { Pulse } from "../pulse/pulse";
import type { HrWindow } from "./result";

/** Beats are placed on a grid this fine, Hz, so that the camera's 33 ms do not show in the intervals. */
const FINE_HZ = 500;
/** The shortest stretch that beats are looked for in, seconds. */
const MIN_BEATS_S = 8;
/** A rate that leaves its median by more than this is followed in pieces, with something around each, seconds. */
const STEADY = 1.25;
const PIECE_S = 10;
const AROUND_S = 8;
/** Peaks of two pieces nearer than this, in intervals, are one. */
const SEAM = 0.4;

export interface Beats {
  times: number[]; // seconds, all that were found
  intervals: { t: number; ms: number }[]; // accepted, at their second beat
  leftOut: number;
}

/** Systolic peaks of the pulse where the heart rate is known. */
export function findBeats(pulse: Pulse, course: HrWindow[]): Beats {
  const answered = course.filter((w) => w.hrBpm !== null);
  const out: Beats = { times: [], intervals: [], leftOut: 0 };
  if (!answered.length) return out;
  const { fs, t0 } = pulse;
  const inside = new Uint8Array(pulse.bvp.length);
  for (const w of answered)
    inside.fill(1, Math.max(roundHalfEven((w.t0 - t0) * fs), 0), Math.max(roundHalfEven((w.t1 - t0) * fs), 0));
  const centres = answered.map((w) => (w.t0 + w.t1) / 2);
  const rates = answered.map((w) => w.hrBpm!);
  for (const { start, stop } of runs(inside.map((v, k) => v & pulse.valid[k]!))) {
    if (stop - start < MIN_BEATS_S * fs) continue;
    const times = Float64Array.from({ length: stop - start }, (_, k) => t0 + (start + k) / fs);
    const beats = along(pulse.bvp.subarray(start, stop), times, fs, times.map((t) => interp(t, centres, rates)));
    const { intervals, leftOut } = accept(beats);
    out.times.push(...beats);
    out.intervals.push(...intervals);
    out.leftOut += leftOut;
  }
  return out;
}

/** The peaks of a stretch, in one piece where its rate is much the same, else piece by piece. */
function along(bvp: Float64Array, times: Float64Array, fs: number, hrBpm: Float64Array): number[] {
  const middle = median(hrBpm);
  if (hrBpm.every((hr) => hr <= STEADY * middle && hr >= middle / STEADY)) return peaks(bvp, times, fs, middle);
  const [size, context] = [roundHalfEven(PIECE_S * fs), roundHalfEven(AROUND_S * fs)];
  const beats: number[] = [];
  for (let start = 0; start < times.length; start += size) {
    const stop = Math.min(start + size, times.length);
    const [from, to] = [Math.max(start - context, 0), Math.min(stop + context, times.length)];
    const hr = median(hrBpm.subarray(start, stop));
    const end = stop < times.length ? times[stop]! : Infinity;
    const found = peaks(bvp.subarray(from, to), times.subarray(from, to), fs, hr);
    const fresh = found.filter((t) => t >= times[start]! && t < end);
    const twice = beats.length && fresh.length && fresh[0]! - beats.at(-1)! < (SEAM * 60) / hr; // seen from both sides
    beats.push(...fresh.slice(twice ? 1 : 0));
  }
  return beats;
}

function peaks(bvp: Float64Array, times: Float64Array, fs: number, hrBpm: number): number[] {
  const f0 = hrBpm / 60;
  const wave = bandpass(bvp, fs, Math.max(0.6 * f0, 0.5), Math.min(1.9 * f0, 0.45 * fs));
  const spline = cubicSpline(times, wave);
  const first = times[0]!;
  const n = Math.ceil((times[times.length - 1]! - first) * FINE_HZ);
  const fine = Float64Array.from({ length: n }, (_, k) => spline(first + k / FINE_HZ));
  const distance = Math.max(Math.trunc((0.55 / f0) * FINE_HZ), 1);
  return findPeaks(fine, distance).map((k) => first + k / FINE_HZ);
}

/** Maxima of 0 or more; of those nearer than `distance` samples, the higher one. */
export function findPeaks(x: Float64Array, distance: number): number[] {
  const found: number[] = [];
  for (let k = 1; k < x.length - 1; k++) {
    if (!(x[k - 1]! < x[k]!)) continue;
    let end = k;
    while (end < x.length - 1 && x[end + 1] === x[k]) end++;
    if (end < x.length - 1 && x[end + 1]! < x[k]!) {
      if (x[k]! >= 0) found.push(Math.floor((k + end) / 2));
      k = end;
    }
  }
  const keep = found.map(() => true);
  const order = found.map((_, i) => i).sort((a, b) => x[found[b]!]! - x[found[a]!]! || b - a);
  for (const i of order) {
    if (!keep[i]) continue;
    for (let j = i - 1; j >= 0 && found[i]! - found[j]! < distance; j--) keep[j] = false;
    for (let j = i + 1; j < found.length && found[j]! - found[i]! < distance; j++) keep[j] = false;
  }
  return found.filter((_, i) => keep[i]);
}

/** Intervals of 0.3–2 s that are within 30 % of the median of their neighbours. */
function accept(beats: number[]): { intervals: Beats["intervals"]; leftOut: number } {
  const ibi = beats.slice(1).map((t, k) => 1000 * (t - beats[k]!));
  const at = (k: number): number => ibi[Math.min(Math.max(k, 0), ibi.length - 1)]!;
  const intervals: Beats["intervals"] = [];
  ibi.forEach((ms, k) => {
    const around = median([-3, -2, -1, 0, 1, 2, 3].map((d) => at(k + d)));
    if (ms > 300 && ms < 2000 && Math.abs(ms - around) < 0.3 * around) intervals.push({ t: beats[k + 1]!, ms });
  });
  return { intervals, leftOut: ibi.length - intervals.length };
}
