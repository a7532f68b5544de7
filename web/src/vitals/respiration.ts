/**
 * Respiration rate from how breathing modulates the pulse: amplitude, baseline and frequency, fused; as
 * kdphys/vitals/respiration.py. Karlen et al. 2013, doi:10.1109/TBME.2013.2246160.
 */

import { peakFrequency, spectrum } from "../dsp/spectrum";
import { cubicSpline } from "../dsp/spline";
import { clamp, interp, lowerBound, mean, median, std, sum } from "../dsp/stats";
import { detrend } from "../dsp/trend";
import type { Pulse } from "../pulse/pulse";
import type { Beats } from "./beats";
import { timingNoise } from "./hrv";
import { refused, type Estimate } from "./result";

/** The shortest stretch that a respiration rate is computed on, seconds. */
export const MIN_RR_S = 30;
/** Rates that are looked for, breaths per second. */
const BAND_HZ = [6 / 60, 36 / 60] as const;
const FS = 4;
/** Modulations further apart than this do not agree, breaths per minute. */
const AGREE_BRPM = 4;
/** A modulation counts when this share of its power lies at its peak. */
const SHARE = 0.35;
/** Intervals of which errors of the beats' times may make up more than this share say nothing of breathing. */
const NOISE = 0.6;
/** Two beats further apart than this have a gap between them, seconds. */
const GAP_S = 4;
/** Smoothness of the trends that are taken out, below 8.5 and below 3 breaths a minute. */
const TREND = 20;
const SLOW_TREND = 160;
/**
 * Sampled once a beat, R breaths a minute look like HR − R. Up to this rate, that of somebody at rest, the slower of the
 * two is meant; above, the baseline, which is sampled by the camera, must be among those that agree.
 */
const REST_BRPM = 16;

/** Respiration rate, or why it cannot be told; its confidence is an index, not calibrated. */
export function respiration(pulse: Pulse, all: Beats, sqi: number): Estimate {
  const beats = longest(all);
  const { times } = beats;
  const have = times.length ? times.at(-1)! - times[0]! : 0;
  if (times.length < 5 || have < MIN_RR_S)
    return refused("brpm", MIN_RR_S, `too short: ${have.toFixed(0)} s of beats, ${MIN_RR_S} s needed`);
  const window: [number, number] = [times[0]!, times.at(-1)!];
  const good = modulations(pulse, beats)
    .map(({ wave, baseline }) => ({ ...rate(wave), baseline }))
    .filter(({ share }) => share >= SHARE);
  let best: typeof good = [];
  for (const { rr } of good) {
    const near = good.filter((other) => Math.abs(other.rr - rr) <= AGREE_BRPM / 2);
    const more = near.length - best.length || sum(near.map((p) => p.share)) - sum(best.map((p) => p.share));
    if (more > 0) best = near;
  }
  if (best.length < 2) return refused("brpm", MIN_RR_S, "the modulations of the pulse do not agree", window);
  const shares = best.map((p) => p.share);
  const value = sum(best.map(({ rr, share }) => rr * share)) / sum(shares);
  const other = 60 / median(times.slice(1).map((t, k) => t - times[k]!)) - value;
  if (value > REST_BRPM && other < 60 * BAND_HZ[1] && !best.some(({ baseline }) => baseline))
    return refused("brpm", MIN_RR_S, `once a beat, ${value.toFixed(0)} breaths a minute look like ${other.toFixed(0)}`, window);
  return { value, unit: "brpm", window, confidence: mean(shares) * sqi, minS: MIN_RR_S, reason: null };
}

/** The longest stretch without a gap: nothing is known of the breath in between. */
function longest({ times, intervals, leftOut }: Beats): Beats {
  let [from, to] = [0, 0]; // of the longest, its last one included
  let first = 0;
  times.forEach((t, k) => {
    if (k > 0 && t - times[k - 1]! > GAP_S) first = k;
    if (t - times[first]! > times[to]! - times[from]!) [from, to] = [first, k];
  });
  const part = times.slice(from, to + 1);
  return { times: part, intervals: intervals.filter(({ t }) => t > part[0]! && t <= part.at(-1)!), leftOut };
}

function modulations(pulse: Pulse, { times, intervals }: Beats): { wave: Float64Array; baseline: boolean }[] {
  const { fs, t0, bvp, evidence } = pulse;
  const [first, last] = [times[0]!, times.at(-1)!];
  const grid = Float64Array.from({ length: Math.ceil((last - first) * FS) }, (_, k) => first + k / FS);
  const clock = Float64Array.from(bvp, (_, k) => t0 + k / fs);
  const heights = times.map((t) => interp(t, clock, bvp));
  const at = times.map((t) => clamp(lowerBound(clock, t), 0, clock.length - 1));
  const middles = times.slice(1).map((t, k) => (t + times[k]!) / 2);
  const amplitude = middles.map((_, k) => {
    let foot = bvp[at[k]!]!;
    for (let j = at[k]! + 1; j < at[k + 1]!; j++) foot = Math.min(foot, bvp[j]!);
    return heights[k + 1]! - foot;
  });
  const out = [{ wave: even(middles, amplitude, grid), baseline: false }];
  const ibi = intervals.map(({ ms }) => ms);
  if (Math.SQRT2 * timingNoise(ibi) <= NOISE * std(ibi))
    out.push({ wave: even(intervals.map(({ t }) => t), ibi, grid), baseline: false });
  if (evidence) {
    const seen = Array.from(clock.keys()).filter((k) => Number.isFinite(evidence.rgb[3 * k + 1]!));
    if (seen.length > 0.9 * clock.length) {
      const xs = seen.map((k) => clock[k]!);
      const ys = seen.map((k) => evidence.rgb[3 * k + 1]!);
      const smooth = movingMean(clock.map((t) => interp(t, xs, ys)), Math.max(Math.trunc((fs / FS) * 2), 1));
      out.push({ wave: grid.map((t) => interp(t, clock, smooth)), baseline: true });
    }
  }
  return out;
}

/** As NumPy's `convolve` with ones / width, mode "same": what lies outside counts as 0. */
function movingMean(x: Float64Array, width: number): Float64Array {
  const ahead = Math.floor((width - 1) / 2);
  return x.map((_, k) => {
    let total = 0;
    for (let j = k + ahead - width + 1; j <= k + ahead; j++) total += x[j] ?? 0;
    return total / width;
  });
}

/** Samples at uneven times on an even grid; beyond the ends, the first and last value. */
function even(times: number[], values: number[], grid: Float64Array): Float64Array {
  const spline = cubicSpline(times, values);
  const [first, last] = [times[0]!, times.at(-1)!];
  return grid.map((t) => (t < first ? values[0]! : t > last ? values.at(-1)! : spline(t)));
}

/**
 * Breaths per minute and the share of the band's power near it. Where there is more at half of that rate, which the first
 * trend has taken out, it is the half that breathes.
 */
function rate(wave: Float64Array): { rr: number; share: number } {
  const [low, high] = BAND_HZ;
  let found = spectrum(detrend(wave, TREND), FS, 0.1 / 60);
  let f = peakFrequency(found, low, high);
  const slow = spectrum(detrend(wave, SLOW_TREND), FS, 0.1 / 60);
  const width = FS / wave.length;
  const half = peakFrequency(slow, f / 2 - width / 2, f / 2 + width / 2);
  const bins = Array.from(slow.power, (_, k) => k);
  const [there, here] = [half, f].map((at) => interp(at / slow.step, bins, slow.power)) as [number, number];
  if (there > here) {
    if (half < low - width / 2) return { rr: 60 * half, share: 0 }; // out of the band
    f = Math.max(half, low);
    found = slow;
  }
  let [near, band] = [0, 0];
  found.power.forEach((p, k) => {
    const at = k * found.step;
    if (at < low || at > high) return;
    band += p;
    if (Math.abs(at - f) < 0.03) near += p;
  });
  return { rr: 60 * f, share: near / Math.max(band, 1e-30) };
}
