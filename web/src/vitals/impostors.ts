/** What has a rhythm and is no pulse: a loop, a light, a head that nods in time; as kdphys/vitals/impostors.py. */

import type { Evidence } from "../clip/trace";
import { fft, powerOfTwo } from "../dsp/fft";
import { bandpass } from "../dsp/filter";
import { hann, spectrum } from "../dsp/spectrum";
import { interp, mean, roundHalfEven, std, sum } from "../dsp/stats";
import { BIN_HZ, demodulate, near } from "./features";

/** Above this there is no pulse to speak of, only noise; and how alike noise may be to itself. */
const NOISE_HZ = 5;
const SAME = 0.65;
/** What beats around the face as it does in it is the light: from this share of the swing in the face on, … */
const LIT = 0.4;
/** … and when that much of what happens there in the pulse's band happens at this rate. */
const ALONE = 0.4;
/** The same on average over three and more multiples of one distance. */
const SAME_AGAIN = 0.4;
/** Nodding in time with the rate that was read: amplitude in widths of the face, share of all movement in the band. */
const NOD = 0.008;
const NODDING = 0.5;
/** Brightness that swings at the rate and leaves the colour as it is, to this share, is light; blood has a colour. */
const GREY = 0.05;
/** Below this difference between the mean colours, grey levels, a picture has no colour. */
const COLOURED = 3;
/** Up to this share of a window may be missing: it is bridged. */
export const MISSING = 0.15;
/** Bins to each side of a line that Hann's window spreads it over. */
const LINE = 2;

/** Why the beat at `f0` (Hz) is none of a heart, or null. */
export function impostor(
  evidence: Evidence,
  start: number,
  stop: number,
  fs: number,
  f0: number,
): "repeating picture" | "too much motion" | "flickering light" | null {
  if (repeats(evidence, start, stop, fs)) return "repeating picture";
  if (moves(evidence, start, stop, fs, f0)) return "too much motion";
  if (isGrey(evidence, start, stop, fs, f0) || flickers(evidence, start, stop, fs, f0)) return "flickering light";
  return null;
}

/** The band of the pulse, 0.6–4 Hz. */
export function band(x: Float64Array, fs: number): Float64Array {
  return bandpass(x, fs, 0.6, Math.min(4, 0.45 * fs));
}

/**
 * Whether the picture repeats itself: a loop has a perfect rhythm, but it is no pulse. Looks above the pulse, where a
 * living picture has only noise, which never comes back, and the overtones of fast hearts, which are the same
 * everywhere: what the patches share is taken out.
 */
function repeats(evidence: Evidence, start: number, stop: number, fs: number): boolean {
  if (evidence.nPatches < 4 || fs < 2.5 * NOISE_HZ) return false;
  const n = stop - start;
  const columns = 3 * evidence.nPatches;
  const patches = evidence.patches.subarray(start * columns, stop * columns);
  const whole = filled(Array.from({ length: columns }, (_, c) => Float64Array.from({ length: n }, (_, k) => patches[k * columns + c]!)));
  if (!whole) return false;
  const there = Float64Array.from({ length: n }, (_, k) => Number(patches.subarray(k * columns, (k + 1) * columns).every(Number.isFinite)));
  const column = (c: number) => whole[c]!;
  const levels = Array.from({ length: columns }, (_, c) => Math.max(mean(column(c)), 1e-9));
  const shared = [0, 1, 2].map((colour) => {
    const total = new Float64Array(n);
    for (let c = colour; c < columns; c += 3) column(c).forEach((v, k) => (total[k]! += v / levels[c]!));
    return total.map((v) => v / evidence.nPatches);
  });
  const own = Array.from({ length: columns }, (_, c) => column(c).map((v, k) => v - shared[c % 3]![k]! * levels[c]!));
  const noise = fastPart(own, fs).flatMap((x) => {
    const spread = std(x);
    return spread > 0.003 ? [x.map((v, k) => (v / spread) * there[k]!)] : [];
  });
  if (!noise.length) return false;
  // Mean squared difference at every lag, from correlations: |a|² + |b|² − 2ab over what is there of both copies.
  const cross = autocorrelation(noise);
  const energy = there.map((_, k) => sum(noise.map((x) => x[k]! ** 2)));
  // The taper weighs the two copies differently; what it does to equal pictures is divided out.
  const root = hann(n).map((v, k) => v * there[k]!);
  const first = Math.trunc(0.25 * fs);
  const alike: number[] = [];
  for (let lag = first; lag < Math.floor(n / 2); lag++) {
    let [both, weight, under] = [0, 0, 0];
    for (let k = 0; k + lag < n; k++) {
      both += energy[k]! * there[k + lag]! + there[k]! * energy[k + lag]!;
      weight += root[k]! * root[k + lag]!;
      under += root[k]! ** 2 * there[k + lag]! + there[k]! * root[k + lag]! ** 2;
    }
    alike.push(((2 * cross[lag]!) / Math.max(both, 1e-12) / (2 * weight)) * Math.max(under, 1e-12));
  }
  return alike.some((v) => v > SAME) || rhythm(alike, first) > SAME_AGAIN;
}

/** Series with what is missing in any of them bridged by straight lines; null where too much is missing. */
function filled(series: Float64Array[]): Float64Array[] | null {
  const n = series[0]!.length;
  const seen = Array.from({ length: n }, (_, k) => k).filter((k) => series.every((x) => Number.isFinite(x[k]!)));
  if (seen.length < (1 - MISSING) * n) return null;
  if (seen.length === n) return series;
  return series.map((x) => {
    const known = seen.map((k) => x[k]!);
    return x.map((_, k) => interp(k, seen, known));
  });
}

/** Whether what beats at `f0` (Hz) is the light, or the encoder: the picture around the face beats with it. */
function flickers(evidence: Evidence, start: number, stop: number, fs: number, f0: number): boolean {
  const series = filled([evidence.luma, evidence.surround].map((x) => x.subarray(start, stop)));
  if (!series?.every((x) => mean(x) >= 1)) return false;
  const waves = series.map((x) => relative(x, fs));
  const [face, around] = waves.map((x) => tone(x, fs, f0)) as [Tone, Tone];
  // In step, and not much fainter than in the face.
  if (around[0] * face[0] + around[1] * face[1] < LIT * (face[0] ** 2 + face[1] ** 2)) return false;
  return shareAt([waves[1]!], fs, f0) > ALONE;
}

/**
 * Whether all colours swing alike at `f0` (Hz), as they do in a light that falls on the face alone. A camera without
 * colour shows nothing else, so there it cannot be told.
 */
function isGrey(evidence: Evidence, start: number, stop: number, fs: number, f0: number): boolean {
  const colours = filled(
    [0, 1, 2].map((c) => Float64Array.from({ length: stop - start }, (_, k) => evidence.rgb[3 * (start + k) + c]!)),
  );
  if (!colours) return false;
  const levels = colours.map(mean);
  if (Math.min(...levels) < 1 || Math.max(...levels) - Math.min(...levels) < COLOURED) return false;
  const tones = colours.map((x) => tone(relative(x, fs), fs, f0));
  const [re, im] = [mean(tones.map((z) => z[0])), mean(tones.map((z) => z[1]))];
  const off = Math.max(...tones.map((z) => Math.hypot(z[0] - re, z[1] - im)));
  return off < GREY * Math.hypot(re, im);
}

/** Whether the head nods, sways, bounces, comes and goes at `f0` (Hz), and does hardly anything else. */
function moves(evidence: Evidence, start: number, stop: number, fs: number, f0: number): boolean {
  const place = filled(
    [0, 1, 2].map((c) => Float64Array.from({ length: stop - start }, (_, k) => evidence.place[3 * (start + k) + c]!)),
  );
  if (!place) return false;
  const waves = place.map((x) => {
    const middle = mean(x);
    return band(x.map((v) => v - middle), fs);
  });
  const swing = Math.hypot(...waves.flatMap((x) => tone(x, fs, f0)));
  return swing > NOD && shareAt(waves, fs, f0) > NODDING;
}

type Tone = [number, number];

/** What a series does relative to its mean, in the pulse's band. */
function relative(x: Float64Array, fs: number): Float64Array {
  const level = mean(x);
  return band(x.map((v) => v / level - 1), fs);
}

/** Complex amplitude of a wave at `f`. */
function tone(wave: Float64Array, fs: number, f: number): Tone {
  const window = hann(wave.length);
  const [re, im] = demodulate(wave, window, f, fs);
  const scale = 2 / sum(window);
  return [re * scale, im * scale];
}

/** The share of the power of waves in the pulse's band that lies at `f0` and its double. */
function shareAt(waves: Float64Array[], fs: number, f0: number): number {
  let [there, all] = [0, 0];
  for (const wave of waves) {
    const { step, power } = spectrum(wave, fs, BIN_HZ);
    power.forEach((p, k) => {
      const f = k * step;
      if (f < 0.65 || f > 4) return;
      all += p;
      if (near(f, f0, 0.15) || near(f, 2 * f0, 0.15)) there += p;
    });
  }
  return there / Math.max(all, 1e-30);
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

/**
 * Waves without their means, under a Hann window, without what is below NOISE_HZ and without their strongest line: a
 * mains lamp under a rolling shutter makes bands that come back as a loop does, at one rate.
 */
function fastPart(waves: Float64Array[], fs: number): Float64Array[] {
  const n = waves[0]!.length;
  const window = hann(n);
  const cos = Float64Array.from({ length: n }, (_, k) => Math.cos((2 * Math.PI * k) / n));
  const sin = Float64Array.from({ length: n }, (_, k) => Math.sin((2 * Math.PI * k) / n));
  const walk = (bin: number, visit: (k: number, at: number) => void): void => {
    for (let k = 0, at = 0; k < n; k++, at = at + bin < n ? at + bin : at + bin - n) visit(k, at);
  };
  const bins = Array.from({ length: Math.floor(n / 2) + 1 }, (_, k) => k);
  const whole = waves.map((x) => {
    const m = mean(x);
    return x.map((v, k) => (v - m) * window[k]!);
  });
  const spectra = whole.map((x) =>
    bins.map((bin): [number, number] => {
      let [re, im] = [0, 0];
      walk(bin, (k, at) => {
        re += x[k]! * cos[at]!;
        im += x[k]! * sin[at]!;
      });
      return [re, im];
    }),
  );
  const slow = bins.filter((bin) => bin / (n / fs) < NOISE_HZ);
  let [line, most] = [0, -1];
  for (const bin of bins.slice(slow.length)) {
    const power = sum(spectra.map((z) => z[bin]![0] ** 2 + z[bin]![1] ** 2));
    if (power > most) [line, most] = [bin, power];
  }
  const gone = bins.filter((bin) => bin < slow.length || Math.abs(bin - line) <= LINE);
  return whole.map((x, c) => {
    const out = x.slice();
    for (const bin of gone) {
      const [re, im] = spectra[c]![bin]!;
      const twice = bin === 0 || 2 * bin === n ? 1 / n : 2 / n;
      walk(bin, (k, at) => (out[k]! -= twice * (re * cos[at]! + im * sin[at]!)));
    }
    return out;
  });
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
