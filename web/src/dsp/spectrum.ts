/** Power spectra and their peaks. */

import { fft, powerOfTwo } from "./fft";
import { clamp, mean } from "./stats";

/** Power at frequencies `k × step` Hz. */
export interface Spectrum {
  step: number;
  power: Float64Array;
}

const hanns = new Map<number, Float64Array>();
const tukeys = new Map<number, Float64Array>();

/** A symmetric window with cosine edges that take `taper` of its `n` samples; the last ones used are kept. */
function edged(kept: Map<number, Float64Array>, n: number, taper: number): Float64Array {
  let w = kept.get(n);
  if (!w) {
    const edge = (k: number): number => Math.min((2 * Math.min(k, n - 1 - k)) / (taper * (n - 1)), 1);
    w = Float64Array.from({ length: n }, (_, k) => (n > 1 ? 0.5 - 0.5 * Math.cos(Math.PI * edge(k)) : 1));
    kept.set(n, w);
    if (kept.size > 64) kept.delete(kept.keys().next().value!);
  }
  return w;
}

/** The symmetric Hann window of `n` samples. */
export function hann(n: number): Float64Array {
  return edged(hanns, n, 1);
}

/** As `spectrum`, under the window in which a heart's rate is looked for: Tukey's with a quarter of taper. */
export function heartSpectrum(x: Float64Array, fs: number, resolution?: number): Spectrum {
  return spectrum(x, fs, resolution, edged(tukeys, x.length, 0.25));
}

/** Power spectrum of a whole signal without its mean, windowed (Hann) and zero-padded to bins of `resolution` Hz or finer. */
export function spectrum(x: Float64Array, fs: number, resolution = 0.05 / 60, w = hann(x.length)): Spectrum {
  const size = powerOfTwo(Math.max(Math.ceil(Math.max(fs / resolution, x.length)), 16));
  const re = new Float64Array(size);
  const im = new Float64Array(size);
  const m = mean(x);
  for (let k = 0; k < x.length; k++) re[k] = (x[k]! - m) * w[k]!;
  fft(re, im);
  const power = new Float64Array(size / 2 + 1);
  for (let k = 0; k < power.length; k++) power[k] = re[k]! ** 2 + im[k]! ** 2;
  return { step: fs / size, power };
}

/** Frequency (Hz) of the highest power in [low, high], refined by a parabola through three bins. */
export function peakFrequency({ step, power }: Spectrum, low: number, high: number): number {
  let best = -1;
  for (let k = 0; k < power.length; k++) {
    const f = k * step;
    if (f >= low && f <= high && (best < 0 || power[k]! > power[best]!)) best = k;
  }
  if (best < 0) throw new RangeError(`no spectrum bin between ${low} and ${high} Hz`);
  let f = best * step;
  if (best > 0 && best < power.length - 1) {
    const [left, mid, right] = [power[best - 1]!, power[best]!, power[best + 1]!];
    const bend = left - 2 * mid + right;
    if (bend < 0) f += ((0.5 * (left - right)) / bend) * step;
  }
  return clamp(f, low, high);
}

/** The rates that a human heart is looked for at, Hz. */
export const HR_HZ = [40 / 60, 200 / 60] as const;
/** How far from half of a frequency its fundamental is looked for, Hz. */
const HALF_HZ = 0.05;

/** Frequency (Hz) of a heart: the highest peak, or its half where that has a peak of its own with more than half the power. */
export function heartFrequency(found: Spectrum): number {
  const [low, high] = HR_HZ;
  const f = peakFrequency(found, low, high);
  if (f / 2 < low) return f;
  const first = Math.ceil(Math.max(f / 2 - HALF_HZ, low) / found.step);
  const last = Math.floor((f / 2 + HALF_HZ) / found.step);
  let best = first;
  for (let k = first; k <= last; k++) if (found.power[k]! > found.power[best]!) best = k;
  if (best === first || best >= last) return f; // a slope, no peak
  const half = peakFrequency(found, first * found.step, last * found.step);
  return powerAt(found, half) > 0.5 * powerAt(found, f) ? half : f;
}

function powerAt({ step, power }: Spectrum, f: number): number {
  const k = Math.min(Math.floor(f / step), power.length - 2);
  return power[k]! + (f / step - k) * (power[k + 1]! - power[k]!);
}
