/** Features of a window of pulse that its quality is judged by; as kdphys/vitals/quality.py. */

import { HR_HZ, hann, heartFrequency, heartSpectrum, type Spectrum } from "../dsp/spectrum";
import { clamp, mean, std, sum } from "../dsp/stats";

/** Spacing of the spectrum's bins, Hz. */
export const BIN_HZ = 0.25 / 60;
export const near = (f: number, centre: number, halfWidth: number): boolean => Math.abs(f - centre) <= halfWidth;

/** Frequency of the heart by the spectrum of a window alone, Hz. */
export function heartPeak(bvp: Float64Array, fs: number): number {
  return heartFrequency(heartSpectrum(bvp, fs, BIN_HZ));
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
    worst = Math.max(worst, Math.abs(60 * (heartPeak(part, fs) - f0)));
  }
  return Math.log10(1 + Math.min(worst, 60));
}

/** Mean over methods of how near their own peak is to f0: 1 at the same rate, 0 at more than 6 bpm away. */
export function agreement(waves: Float64Array[], fs: number, f0: number): number {
  return mean(
    waves.map((wave) =>
      std(wave) < 1e-12 ? 0 : Math.max(0, 1 - (60 * Math.abs(heartPeak(wave, fs) - f0)) / 6),
    ),
  );
}

/** A tone's complex amplitude in a windowed wave. */
export function demodulate(wave: Float64Array, window: Float64Array, f: number, fs: number): [number, number] {
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
