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

/** A symmetric window with cosine edges that take `taper` of its `n` samples; the last 64 made are kept. */
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
/** The slowest hearts that are thought of (their rates are not told), Hz. */
const SLOWEST_HZ = 25 / 60;
/** How far from half of a frequency its fundamental is looked for, Hz. */
const HALF_HZ = 0.05;
/**
 * A weaker one, of at least this share of the power, is the fundamental when it beats in step with its double: phases
 * coupled to this, over at least so long, seconds, and twice its frequency no further from the other than this, Hz.
 */
const COUPLED_POWER = 0.03;
const COUPLED = 0.9;
const COUPLED_S = 9.9;
const COUPLED_HZ = 4 / 60;

/** Frequency (Hz) of a heart: the highest peak, or its half where that has a peak of its own with more than half the power. */
export function heartFrequency(found: Spectrum): number {
  const f = peakFrequency(found, ...HR_HZ);
  const { half, share } = halfOf(found, f);
  return share > 0.5 ? half : f;
}

/** The peak at half of `f`, Hz, and its share of the power at `f`; 0 where none is its own, from `low`. */
function halfOf(found: Spectrum, f: number, low: number = HR_HZ[0]): { half: number; share: number } {
  const none = { half: f / 2, share: 0 };
  if (f / 2 < low) return none;
  const first = Math.ceil(Math.max(f / 2 - HALF_HZ, low) / found.step);
  const last = Math.floor((f / 2 + HALF_HZ) / found.step);
  let best = first;
  for (let k = first; k <= last; k++) if (found.power[k]! > found.power[best]!) best = k;
  if (best === first || best >= last) return none; // a slope, no peak
  const half = peakFrequency(found, first * found.step, last * found.step);
  return { half, share: powerAt(found, half) / Math.max(powerAt(found, f), 1e-300) };
}

/** Frequency (Hz) of a heart from its pulse: the above, or its half where the wave beats there as well, in step. */
export function pulseFrequency(x: Float64Array, fs: number, resolution?: number): number {
  const found = heartSpectrum(x, fs, resolution);
  const f = heartFrequency(found);
  const { half, share } = halfOf(found, f);
  return inStep(x, fs, f, half, share) ? half : f;
}

/** Whether `f` (Hz) is the second harmonic of a heart that beats slower than 40 a minute. */
export function isSlower(x: Float64Array, fs: number, f: number, resolution?: number): boolean {
  if (f / 2 >= HR_HZ[0]) return false;
  const { half, share } = halfOf(heartSpectrum(x, fs, resolution), f, SLOWEST_HZ);
  return share > 0.5 || inStep(x, fs, f, half, share);
}

function inStep(x: Float64Array, fs: number, f: number, half: number, share: number): boolean {
  const weak = share < COUPLED_POWER || Math.abs(2 * half - f) > COUPLED_HZ || x.length < COUPLED_S * fs;
  return !weak && coupling(x, fs, f) >= COUPLED;
}

/** How steady the phase at `f` Hz is against twice that at its half, over five stretches of a third of `x`. */
function coupling(x: Float64Array, fs: number, f: number): number {
  const n = Math.floor(x.length / 3);
  const w = hann(n);
  let [re, im] = [0, 0];
  for (let part = 0; part < 5; part++) {
    const start = Math.trunc((part * (x.length - n)) / 4);
    let [x1, y1, x2, y2] = [0, 0, 0, 0]; // at the half, at f
    for (let k = 0; k < n; k++) {
      const turn = (-Math.PI * f * (start + k)) / fs;
      const v = x[start + k]! * w[k]!;
      x1 += v * Math.cos(turn);
      y1 += v * Math.sin(turn);
      x2 += v * Math.cos(2 * turn);
      y2 += v * Math.sin(2 * turn);
    }
    const angle = Math.atan2(y2, x2) - 2 * Math.atan2(y1, x1);
    re += Math.cos(angle) / 5;
    im += Math.sin(angle) / 5;
  }
  return Math.hypot(re, im);
}

function powerAt({ step, power }: Spectrum, f: number): number {
  const k = Math.min(Math.floor(f / step), power.length - 2);
  return power[k]! + (f / step - k) * (power[k + 1]! - power[k]!);
}
