/** Features of a window of pulse that its quality is judged by; as kdphys/vitals/quality.py. */

import type { Evidence } from "../clip/trace";
import { fft, powerOfTwo } from "../dsp/fft";
import { bandpass } from "../dsp/filter";
import { HR_HZ, hann, heartFrequency, spectrum, type Spectrum } from "../dsp/spectrum";
import { clamp, mean, roundHalfEven, std, sum } from "../dsp/stats";

/** Spacing of the spectrum's bins, Hz. */
export const BIN_HZ = 0.25 / 60;
/** Above this there is no pulse to speak of, only noise; and how alike noise may be to itself. */
const NOISE_HZ = 5;
const SAME = 0.65;
/** What beats around the face as it does in it is the light: from this share of the swing in the face on, … */
const LIT = 0.4;
/** … and when that much of what happens there in the pulse's band happens at this rate. */
const ALONE = 0.4;
/** The same on average over three and more multiples of one distance. */
const SAME_AGAIN = 0.4;

const near = (f: number, centre: number, halfWidth: number): boolean => Math.abs(f - centre) <= halfWidth;

/** Frequency of the heart in a window, Hz. */
export function pulseFrequency(bvp: Float64Array, fs: number): number {
  return heartFrequency(spectrum(bvp, fs, BIN_HZ));
}

/** Power at the pulse and its second harmonic against the rest of 0.65–4 Hz, dB. */
export function snrDb({ step, power }: Spectrum, f0: number): number {
  let signal = 0;
  let rest = 0;
  power.forEach((p, k) => {
    const f = k * step;
    if (f < 0.65 || f > 4) return;
    if (near(f, f0, 0.15) || near(f, 2 * f0, 0.15)) signal += p;
    else rest += p;
  });
  return clamp(10 * Math.log10(signal / Math.max(rest, 1e-30)), -30, 30);
}

/** The peak against the highest other peak that is no harmonic of it, dB. */
export function dominance({ step, power }: Spectrum, f0: number): number {
  let other = 1e-30;
  let top = 1e-30;
  power.forEach((p, k) => {
    const f = k * step;
    if (near(f, f0, 0.02)) top = Math.max(top, p);
    const related = near(f, f0, 0.25) || near(f, 2 * f0, 0.2) || near(f, 3 * f0, 0.2);
    if (f >= HR_HZ[0] && f <= HR_HZ[1] && !related) other = Math.max(other, p);
  });
  return clamp(10 * Math.log10(top / Math.max(other, 1e-30)), 0, 30);
}

/** log10 of the standard deviation of the method's own output; 0 where that is not known. */
export function strength(bvp: Float64Array, scale: Float64Array | null): number {
  return scale ? Math.log10(std(bvp.map((v, k) => v * scale[k]!)) + 1e-3) : 0;
}

/** How far the heart rates of the two halves of the window lie from the whole's, log10(1 + bpm). */
export function halves(bvp: Float64Array, fs: number, f0: number): number {
  const half = Math.floor(bvp.length / 2);
  let worst = 0;
  for (const part of [bvp.subarray(0, half), bvp.subarray(half)]) {
    if (std(part) < 1e-12) return Math.log10(61);
    worst = Math.max(worst, Math.abs(60 * (pulseFrequency(part, fs) - f0)));
  }
  return Math.log10(1 + Math.min(worst, 60));
}

/** Mean over methods of how near their own peak is to f0: 1 at the same rate, 0 at more than 6 bpm away. */
export function agreement(waves: Float64Array[], fs: number, f0: number): number {
  return mean(
    waves.map((wave) =>
      std(wave) < 1e-12 ? 0 : Math.max(0, 1 - (60 * Math.abs(pulseFrequency(wave, fs) - f0)) / 6),
    ),
  );
}

/** A tone's complex amplitude in a windowed wave. */
function demodulate(wave: Float64Array, window: Float64Array, f: number, fs: number): [number, number] {
  let re = 0;
  let im = 0;
  const w = (-2 * Math.PI * f) / fs;
  for (let k = 0; k < wave.length; k++) {
    const v = wave[k]! * window[k]!;
    re += v * Math.cos(w * k);
    im += v * Math.sin(w * k);
  }
  return [re, im];
}

/** log10 of the amplitude of POS at f0, per cent of the mean colour. A pulse is 0.01–2 %. */
export function logAc(pos: Float64Array, fs: number, f0: number): number {
  const window = hann(pos.length);
  const amplitude = (2 * Math.hypot(...demodulate(pos, window, f0, fs))) / sum(window);
  return Math.log10(100 * amplitude + 1e-5);
}

/**
 * Whether the parts of the face beat together.
 *
 * @param a, b the two POS projections of each patch, one wave a patch.
 * @returns the mean correlation between pairs of patches around f0, and how alike their phases are at f0.
 */
export function unison(a: Float64Array[], b: Float64Array[], fs: number, f0: number): [number, number] {
  const window = hann(a[0]!.length);
  const count = a.length;
  const units: [number, number][][] = [];
  let [phaseRe, phaseIm] = [0, 0];
  for (let p = 0; p < count; p++) {
    const alpha = std(a[p]!) / Math.max(std(b[p]!), 1e-9);
    const wave = a[p]!.map((v, k) => v + alpha * b[p]![k]!);
    // Demodulation at f0 and 0.1 Hz on both sides of it keeps the beat-to-beat changes.
    const z = [-0.1, 0, 0.1].map((df) => demodulate(wave, window, f0 + df, fs));
    const norm = Math.max(Math.sqrt(sum(z.map(([re, im]) => re * re + im * im))), 1e-12);
    units.push(z.map(([re, im]) => [re / norm, im / norm]));
    const middle = Math.max(Math.hypot(...z[1]!), 1e-12);
    phaseRe += z[1]![0] / middle;
    phaseIm += z[1]![1] / middle;
  }
  let correlation = 0;
  for (let p = 0; p < count; p++)
    for (let q = 0; q < count; q++)
      if (p !== q)
        for (let k = 0; k < 3; k++)
          correlation += units[p]![k]![0] * units[q]![k]![0] + units[p]![k]![1] * units[q]![k]![1];
  return [correlation / (count * (count - 1)), Math.hypot(phaseRe, phaseIm) / count];
}

/**
 * Whether the picture repeats itself: a loop has a perfect rhythm, but it is no pulse. Looks above the pulse, where a
 * living picture has only noise, which never comes back, and the overtones of fast hearts, which are the same
 * everywhere: what the patches share is taken out.
 */
export function repeats(evidence: Evidence | null, start: number, stop: number, fs: number): boolean {
  if (!evidence || evidence.nPatches < 4 || fs < 2.5 * NOISE_HZ) return false;
  const n = stop - start;
  const columns = 3 * evidence.nPatches;
  const patches = evidence.patches.subarray(start * columns, stop * columns);
  if (!patches.every(Number.isFinite)) return false;
  const column = (c: number) => Float64Array.from({ length: n }, (_, k) => patches[k * columns + c]!);
  const levels = Array.from({ length: columns }, (_, c) => Math.max(mean(column(c)), 1e-9));
  const shared = [0, 1, 2].map((colour) => {
    const total = new Float64Array(n);
    for (let c = colour; c < columns; c += 3) column(c).forEach((v, k) => (total[k]! += v / levels[c]!));
    return total.map((v) => v / evidence.nPatches);
  });
  const noise: Float64Array[] = [];
  const remove = slowPart(n, fs);
  for (let c = 0; c < columns; c++) {
    const x = column(c).map((v, k) => v - shared[c % 3]![k]! * levels[c]!);
    remove(x);
    const spread = std(x);
    if (spread > 0.003) noise.push(x.map((v) => v / spread));
  }
  if (!noise.length) return false;
  // Mean squared difference at every lag, from autocorrelations: |a|² + |b|² − 2ab over the overlap.
  const cross = autocorrelation(noise);
  const energy = new Float64Array(n + 1);
  for (let k = 0; k < n; k++) energy[k + 1] = energy[k]! + sum(noise.map((x) => x[k]! ** 2));
  // The taper weighs the two copies differently; what it does to equal pictures is divided out.
  const root = hann(n);
  const taper = new Float64Array(n + 1);
  for (let k = 0; k < n; k++) taper[k + 1] = taper[k]! + root[k]! ** 2;
  const first = Math.trunc(0.25 * fs);
  const alike: number[] = [];
  for (let lag = first; lag < Math.floor(n / 2); lag++) {
    const both = energy[n - lag]! + energy[n]! - energy[lag]!;
    let weight = 0;
    for (let k = 0; k + lag < n; k++) weight += root[k]! * root[k + lag]!;
    const ceiling = (2 * weight) / (taper[n - lag]! + taper[n]! - taper[lag]!);
    alike.push((2 * cross[lag]!) / Math.max(both, 1e-12) / ceiling);
  }
  return alike.some((v) => v > SAME) || rhythm(alike, first) > SAME_AGAIN;
}

/** Whether what beats at `f0` (Hz) is the light, or the encoder: the picture around the face beats with it. */
export function flickers(evidence: Evidence | null, start: number, stop: number, fs: number, f0: number): boolean {
  if (!evidence) return false;
  const series = [evidence.luma, evidence.surround].map((x) => x.subarray(start, stop));
  if (!series.every((x) => x.every(Number.isFinite) && mean(x) >= 1)) return false;
  const waves = series.map((x) => {
    const level = mean(x);
    return bandpass(x.map((v) => v / level - 1), fs, 0.6, Math.min(4, 0.45 * fs));
  });
  const window = hann(stop - start);
  const [face, around] = waves.map((x) => demodulate(x, window, f0, fs)) as [[number, number], [number, number]];
  // In step, and not much fainter than in the face.
  if (around[0] * face[0] + around[1] * face[1] < LIT * (face[0] ** 2 + face[1] ** 2)) return false;
  const { step, power } = spectrum(waves[1]!, fs, BIN_HZ);
  let [there, all] = [0, 0];
  power.forEach((p, k) => {
    const f = k * step;
    if (f < 0.65 || f > 4) return;
    all += p;
    if (near(f, f0, 0.15) || near(f, 2 * f0, 0.15)) there += p;
  });
  return there > ALONE * all;
}

/**
 * The largest mean of `alike` (by lag, from `first`) over all multiples, three or more, of one period. What a short loop
 * loses in a codec is lost at each lag by chance; its mean over many lags stays.
 */
function rhythm(alike: number[], first: number): number {
  const last = first + alike.length - 1;
  let most = 0;
  // In quarters of a sample: a loop need not fit the 30 Hz.
  for (let period = first; period <= Math.floor((4 * last) / 3) / 4; period += 0.25) {
    let [total, count] = [0, 0];
    for (let at = period; at < last + 0.5; at += period, count++) total += alike[roundHalfEven(at) - first]!;
    most = Math.max(most, total / count);
  }
  return most;
}

/** What takes the mean, a Hann window and everything below NOISE_HZ out of a wave of `n` samples, in place. */
function slowPart(n: number, fs: number): (x: Float64Array) => void {
  const window = hann(n);
  const cos = Float64Array.from({ length: n }, (_, k) => Math.cos((2 * Math.PI * k) / n));
  const sin = Float64Array.from({ length: n }, (_, k) => Math.sin((2 * Math.PI * k) / n));
  const bins: number[] = [];
  for (let k = 0; k <= n / 2 && k / (n / fs) < NOISE_HZ; k++) bins.push(k);
  return (x) => {
    const m = mean(x);
    const whole = x.map((v, k) => (v - m) * window[k]!);
    x.set(whole);
    for (const bin of bins) {
      let [re, im] = [0, 0];
      for (let k = 0, at = 0; k < n; k++, at = at + bin < n ? at + bin : at + bin - n) {
        re += whole[k]! * cos[at]!;
        im += whole[k]! * sin[at]!;
      }
      const twice = bin === 0 || 2 * bin === n ? 1 / n : 2 / n;
      for (let k = 0, at = 0; k < n; k++, at = at + bin < n ? at + bin : at + bin - n)
        x[k]! -= twice * (re * cos[at]! + im * sin[at]!);
    }
  };
}

/** Sum of the autocorrelations of waves, by lag. */
function autocorrelation(waves: Float64Array[]): Float64Array {
  const n = waves[0]!.length;
  const size = powerOfTwo(2 * n);
  const power = new Float64Array(size);
  for (let p = 0; p < waves.length; p += 2) {
    // Two real waves in one complex transform.
    const re = new Float64Array(size);
    const im = new Float64Array(size);
    re.set(waves[p]!);
    if (p + 1 < waves.length) im.set(waves[p + 1]!);
    fft(re, im);
    for (let k = 0; k < size; k++) {
      const j = (size - k) % size;
      power[k]! += (re[k]! ** 2 + im[k]! ** 2 + re[j]! ** 2 + im[j]! ** 2) / 2;
    }
  }
  fft(power, new Float64Array(size)); // even and real: its inverse is itself, but for the length
  return power.subarray(0, n).map((v) => v / size);
}
