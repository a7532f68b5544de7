/** What has a rhythm and is no pulse: a loop, a light, a head that nods or chews in time, a focus that hunts; as kdphys/vitals/impostors.py. */

import type { Evidence } from "../clip/trace";
import { fft, powerOfTwo } from "../dsp/fft";
import { bandpass } from "../dsp/filter";
import { hann, spectrum } from "../dsp/spectrum";
import { interp, mean, roundHalfEven, std, sum } from "../dsp/stats";
import type { Pulse } from "../pulse/pulse";
import { BIN_HZ, demodulate, near } from "./features";

/** What is new in a picture that repeats itself is as like what was new before: see kdphys/vitals/impostors.py. */
const SAME = [0.36, 0.18, 0.15] as const;
const ONCE_S = 1.5;
const COMPARED_S = 1;
const REACH_S = 20;
/** The past that is known, and the shortest and the longest distance, seconds. */
const KNOWN_S = [
  [0.3, 0.25, 1.3],
  [1, 0.5, 8],
] as const;
/** What beats around the face as it does in it is the light: from this share of the swing in the face on, and that alone. */
const LIT = [
  [0.4, 0.4],
  [0.15, 0.5],
] as const;
/** Moving in time with the rate that was read: amplitude in widths of the face, share of all movement in the band; … */
const NOD = 0.008;
const NODDING = 0.4;
/** … or less of both, when the pulse follows the movement as closely as this (coherence, up to so many Hz from the rate). */
const TURN = 0.005;
const TURNING = 0.2;
const FOLLOWS = 0.65;
const FOLLOWS_HZ = 0.35;
/** The same of the shades of the face, which go up in one part of it and down in another: see kdphys/vitals/impostors.py. */
const SHADES: readonly [number, number, number][] = [[0.005, 0.5, 0.7]];
const SHADES_APART: readonly [number, number, number][] = [
  [0.005, 0.3, 0.25],
  [0.003, 0.1, 0.6],
];
const SHADES_HALF = [0.005, 0.6, 0.66] as const;
const LUMA = [0.299, 0.587, 0.114] as const;
/** Sharpness that swings in time with the rate (amplitude, a share of itself), and does little else; … */
const HUNTING = [0.04, 0.5] as const;
/** … the same of the time from one new picture to the next (amplitude of its logarithm). */
const STALLING = [0.05, 0.45] as const;
/** Brightness that swings at the rate and leaves the colour as it is, to this share, is light; blood has a colour. */
const GREY = 0.05;
/** Where what the colours do is done at the rate, and more than faintly, it must be as blood does: see kdphys/vitals/impostors.py. */
const OWN = 0.4;
const FAINT = 0.003;
const STRONG = 0.012;
const GREYISH = 0.12;
const RED = [0.25, 1.15] as const;
const BLUE = [0.45, 1.3] as const;
const BRIGHT = 1.15;
/** Below this difference between the mean colours, grey levels, a picture has no colour. */
const COLOURED = 3;
/** Up to this share of a window may be missing: it is bridged. */
export const MISSING = 0.15;

/** Why the beat at `f0` (Hz) of a pulse is none of a heart, or null. */
export function impostor(
  { evidence, bvp, fs }: Pulse,
  start: number,
  stop: number,
  f0: number,
  apart: boolean, // the parts of the face do not beat together
): "repeating picture" | "too much motion" | "unsteady picture" | "flickering light" | null {
  if (!evidence) return null;
  const before = Math.max(stop - Math.round(REACH_S * fs), 0);
  if (repeats(evidence, start, stop, fs) || (before < start && repeats(evidence, before, stop, fs))) return "repeating picture";
  const wave = bvp.subarray(start, stop);
  if (moves(evidence, start, stop, fs, f0, wave) || plays(evidence, start, stop, fs, f0, wave, apart)) return "too much motion";
  if (hunts(evidence, start, stop, fs, f0)) return "unsteady picture";
  if (shines(evidence, start, stop, fs, f0) || flickers(evidence, start, stop, fs, f0)) return "flickering light";
  return null;
}

/** The band of the pulse, 0.6–4 Hz. */
export function band(x: Float64Array, fs: number): Float64Array {
  return bandpass(x, fs, 0.6, Math.min(4, 0.45 * fs));
}

/**
 * Whether the picture repeats itself: a loop has a perfect rhythm, but it is no pulse. A head that sways in time, a lamp
 * and a heart repeat themselves, too, but can be foreseen; what cannot, never comes back in a living picture. In a loop it
 * does, even through an encoder. What the patches share is taken out.
 */
function repeats(evidence: Evidence, start: number, stop: number, fs: number): boolean {
  if (evidence.nPatches < 4) return false;
  const n = stop - start;
  const columns = 3 * evidence.nPatches;
  const patches = evidence.patches.subarray(start * columns, stop * columns);
  const whole = filled(Array.from({ length: columns }, (_, c) => Float64Array.from({ length: n }, (_, k) => patches[k * columns + c]!)));
  if (!whole) return false;
  const there = Float64Array.from({ length: n }, (_, k) => Number(patches.subarray(k * columns, (k + 1) * columns).every(Number.isFinite)));
  const levels = whole.map((x) => Math.max(mean(x), 1e-9));
  const shared = [0, 1, 2].map((colour) => {
    const total = new Float64Array(n);
    for (let c = colour; c < columns; c += 3) whole[c]!.forEach((v, k) => (total[k]! += v / levels[c]!));
    return total.map((v) => v / evidence.nPatches);
  });
  const own = whole.flatMap((x, c) => {
    const mine = x.map((v, k) => v - shared[c % 3]![k]! * levels[c]!);
    const [middle, spread] = [mean(mine), std(mine)];
    return spread > 0.003 ? [mine.map((v) => (v - middle) / spread)] : [];
  });
  return own.length > 0 && KNOWN_S.some(([known, shortest, longest]) => comesBack(own, there, fs, known, shortest, longest));
}

/** Whether what is new in waves, where they are `there`, was new before. */
function comesBack(waves: Float64Array[], there: Float64Array, fs: number, knownS: number, shortestS: number, longestS: number): boolean {
  const order = Math.round(knownS * fs);
  if (there.length <= 3 * order) return false;
  const fresh = unforeseen(waves, order);
  const n = there.length - order;
  const sizes = Float64Array.from({ length: n }, (_, k) => Math.sqrt(sum(fresh.map((x) => x[k]! ** 2))));
  const counts = sizes.map((size, k) => Number(there[order + k]! > 0 && size > 1e-9));
  const cross = autocorrelation(fresh.map((x) => x.map((v, k) => (counts[k] ? v / sizes[k]! : 0))));
  const both = autocorrelation([counts]);
  const enough = Math.round(COMPARED_S * fs);
  const last = n - 1 - enough;
  const alike = cross.subarray(0, last + 1).map((v, lag) => (Math.round(both[lag]!) >= enough ? v / Math.round(both[lag]!) : 0));
  if (alike.subarray(Math.round(ONCE_S * fs), Math.trunc(longestS * fs) + 1).some((v) => v > SAME[0])) return true;
  const longest = Math.min(last / 2, longestS * fs);
  // Quarters of a sample: a loop need not fit the rate.
  for (let quarters = Math.round(4 * shortestS * fs); quarters < 4 * longest + 1; quarters++) {
    let [total, count] = [0, 0];
    for (let at = quarters / 4; at < last + 0.5; at += quarters / 4, count++) total += alike[roundHalfEven(at)]!;
    const need = SAME[count > 2 ? 2 : 1];
    if (total / count > need && alike[roundHalfEven(quarters / 4)]! > need) return true;
  }
  return false;
}

/** What of waves the `order` samples before do not tell: the error of linear prediction, by Levinson and Durbin. */
function unforeseen(waves: Float64Array[], order: number): Float64Array[] {
  const n = waves[0]!.length;
  const window = hann(n);
  const r = autocorrelation(waves.map((x) => x.map((v, k) => v * window[k]!))).slice(0, order + 1);
  let error = (r[0]! *= 1.001);
  let weights: number[] = [];
  for (let m = 1; m <= order; m++) {
    const k = (r[m]! - sum(weights.map((w, j) => w * r[m - 1 - j]!))) / error;
    weights = [...weights.map((w, j) => w - k * weights[m - 2 - j]!), k];
    error *= 1 - k * k;
  }
  return waves.map((x) =>
    Float64Array.from({ length: n - order }, (_, t) => {
      let value = x[order + t]!;
      for (let j = 0; j < order; j++) value -= weights[j]! * x[order + t - 1 - j]!;
      return value;
    }),
  );
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
  const swing = around[0] * face[0] + around[1] * face[1];
  const alone = shareAt([waves[1]!], fs, f0);
  return LIT.some(([lit, least]) => swing >= lit * (face[0] ** 2 + face[1] ** 2) && alone > least);
}

/**
 * Whether the colours of the face swing at `f0` (Hz) as in a light that falls on it alone, and not as blood does. A camera
 * without colour shows brightness alone, so there only a strong light can be told.
 */
function shines(evidence: Evidence, start: number, stop: number, fs: number, f0: number): boolean {
  const colours = filled(
    [0, 1, 2].map((c) => Float64Array.from({ length: stop - start }, (_, k) => evidence.rgb[3 * (start + k) + c]!)),
  );
  if (!colours) return false;
  const levels = colours.map(mean);
  if (Math.min(...levels) < 1) return false;
  const coloured = Math.max(...levels) - Math.min(...levels) >= COLOURED;
  const waves = colours.map((x) => relative(x, fs));
  const tones = waves.map((x) => tone(x, fs, f0));
  const amplitude = Math.max(...tones.map((z) => Math.hypot(...z)));
  if (amplitude < 1e-9) return false; // nothing swings
  const [re, im] = [mean(tones.map((z) => z[0])), mean(tones.map((z) => z[1]))];
  const off = Math.max(...tones.map((z) => Math.hypot(z[0] - re, z[1] - im)));
  const grey = off / Math.max(Math.hypot(re, im), 1e-12);
  if (coloured && grey < GREY) return true;
  if (amplitude < FAINT || shareAt(waves, fs, f0) < OWN) return false;
  if (amplitude > STRONG || !coloured) return amplitude > STRONG;
  const green = tones[1]!;
  const size = Math.max(green[0] ** 2 + green[1] ** 2, 1e-30);
  const [red, , blue] = tones.map((z) => (z[0] * green[0] + z[1] * green[1]) / size) as [number, number, number];
  const blood = RED[0] < red && red < RED[1] && BLUE[0] < blue && blue < Math.max(BLUE[1], (BRIGHT * levels[1]!) / levels[2]!);
  return grey < GREYISH || !blood;
}

/**
 * Whether the head nods, sways, turns, comes and goes at `f0` (Hz), and does hardly anything else, or what was taken for a
 * pulse does as it does.
 */
function moves(evidence: Evidence, start: number, stop: number, fs: number, f0: number, bvp: Float64Array): boolean {
  const place = filled(
    [0, 1, 2].map((c) => Float64Array.from({ length: stop - start }, (_, k) => evidence.place[3 * (start + k) + c]!)),
  );
  if (!place) return false;
  const waves = place.map((x) => {
    const middle = mean(x);
    return band(x.map((v) => v - middle), fs);
  });
  const swing = Math.hypot(...waves.flatMap((x) => tone(x, fs, f0)));
  const share = shareAt(waves, fs, f0);
  if (swing > NOD && share > NODDING) return true;
  return swing > TURN && share > TURNING && coherence(waves, bvp, fs, f0) > FOLLOWS;
}

/**
 * Whether the shades of the face play at `f0` (Hz), as where it chews, frowns or rolls in time, and what was taken for a
 * pulse does as they do. Blood darkens all parts alike.
 */
function plays(evidence: Evidence, start: number, stop: number, fs: number, f0: number, bvp: Float64Array, apart: boolean): boolean {
  const parts = evidence.nPatches;
  if (parts < 4) return false;
  const n = stop - start;
  const luma = filled(
    Array.from({ length: parts }, (_, p) =>
      Float64Array.from({ length: n }, (_, k) =>
        LUMA.reduce((total, weight, c) => total + weight * evidence.patches[((start + k) * parts + p) * 3 + c]!, 0),
      ),
    ),
  );
  if (!luma) return false;
  const waves = luma.map((x) => {
    const level = mean(x);
    return band(x.map((v) => (v - level) / Math.max(level, 1)), fs);
  });
  const shared = Float64Array.from({ length: n }, (_, k) => sum(waves.map((x) => x[k]!)) / parts);
  waves.forEach((x) => x.forEach((v, k) => (x[k] = v - shared[k]!)));
  const swing = Math.sqrt(sum(waves.map((x) => Math.hypot(...tone(x, fs, f0)) ** 2)) / parts);
  const [share, follows] = [shareAt(waves, fs, f0), coherence(waves, bvp, fs, f0)];
  const least = apart ? [...SHADES, ...SHADES_APART] : SHADES;
  return least.some(([a, b, c]) => swing > a && share > b && follows > c) || doubles(waves, bvp, fs, f0);
}

/** Whether waves swing at half of `f0` (Hz) and a pulse does as their square: a mouth that opens and closes shows something twice. */
function doubles(waves: Float64Array[], bvp: Float64Array, fs: number, f0: number): boolean {
  const tones = waves.map((x) => tone(x, fs, f0 / 2));
  const swing = Math.sqrt(sum(tones.map(([re, im]) => re * re + im * im)) / waves.length);
  if (!(swing > SHADES_HALF[0]) || !(shareAt(waves, fs, f0 / 2) > SHADES_HALF[1])) return false;
  const squared: Tone = [sum(tones.map(([re, im]) => re * re - im * im)), sum(tones.map(([re, im]) => 2 * re * im))];
  const turn = -0.5 * Math.atan2(squared[1], squared[0]);
  const weights = tones.map(([re, im]) => re * Math.cos(turn) - im * Math.sin(turn));
  const square = bvp.map((_, k) => sum(waves.map((x, p) => weights[p]! * x[k]!)) ** 2);
  const middle = mean(square);
  return coherence([band(square.map((v) => v - middle), fs)], bvp, fs, f0) > SHADES_HALF[2];
}

/**
 * Whether the picture gets sharp and soft at `f0` (Hz), as when a camera looks for its focus or a call changes its
 * resolution, or stands still for some frames in that rhythm.
 */
function hunts(evidence: Evidence, start: number, stop: number, fs: number, f0: number): boolean {
  const [sharp] = filled([evidence.sharpness.subarray(start, stop)]) ?? [];
  const [rate] = filled([evidence.rate.subarray(start, stop)]) ?? [];
  const does = (wave: Float64Array, [swing, share]: readonly [number, number]): boolean => {
    const middle = mean(wave);
    const x = band(wave.map((v) => v - middle), fs);
    return Math.hypot(...tone(x, fs, f0)) > swing && shareAt([x], fs, f0) > share;
  };
  const level = sharp ? mean(sharp) : 0;
  if (level > 0 && does(sharp!.map((v) => v / level), HUNTING)) return true;
  return rate !== undefined && Math.min(...rate) > 0 && does(rate.map(Math.log), STALLING);
}

/** How closely a pulse follows movement, in the direction that it has at `f0` (Hz), 0–1. */
function coherence(movement: Float64Array[], bvp: Float64Array, fs: number, f0: number): number {
  const seconds = bvp.length / fs;
  const way = movement.map((x) => tone(x, fs, f0));
  const reach = roundHalfEven(FOLLOWS_HZ * seconds);
  let [re, im, moved, beaten] = [0, 0, 0, 0];
  for (let k = -reach; k <= reach; k++) {
    const f = f0 + k / seconds;
    let [x, y] = [0, 0];
    movement.forEach((wave, c) => {
      const [[a, b], [p, q]] = [tone(wave, fs, f), way[c]!];
      x += a * p + b * q;
      y += b * p - a * q;
    });
    const [a, b] = tone(bvp, fs, f);
    re += a * x + b * y;
    im += a * y - b * x;
    moved += x * x + y * y;
    beaten += a * a + b * b;
  }
  return (re * re + im * im) / Math.max(moved * beaten, 1e-30);
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
