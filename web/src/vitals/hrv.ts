/** Heart-rate variability (Task Force 1996, doi:10.1161/01.CIR.93.5.1043); as kdphys/vitals/hrv.py. */

import { hann } from "../dsp/spectrum";
import { mean, median, std, sum } from "../dsp/stats";
import type { Beats } from "./beats";
import { refused, type Estimate } from "./result";

/** Unit and shortest stretch in seconds. */
export const MEASURES = {
  sdnn: ["ms", 60],
  rmssd: ["ms", 30],
  pnn50: ["%", 60],
  lf: ["ms²", 120],
  hf: ["ms²", 60],
  lf_hf: ["ratio", 120],
} as const;
export type HrvName = keyof typeof MEASURES;
export const HRV_NAMES = Object.keys(MEASURES) as HrvName[];

/** How many times the standard deviation of the beats' times they add, at most this share of which is accepted. */
const NOISE = 0.4;
const SLOW = Math.SQRT2;
const FAST = Math.sqrt(6);
const LF = [0.04, 0.15] as const;
const HF = [0.15, 0.4] as const;
/** Length of the segments that spectra of intervals are made of, seconds. */
const SEGMENT_S = 300;

/** SDNN, RMSSD, pNN50, LF, HF and LF/HF, each refused below its minimum length, and where noise may have made it. */
export function variability({ intervals, leftOut }: Beats, sqi: number): Record<HrvName, Estimate> {
  const each = (make: (name: HrvName, unit: string, minS: number) => Estimate): Record<HrvName, Estimate> =>
    Object.fromEntries(HRV_NAMES.map((name) => [name, make(name, MEASURES[name][0], MEASURES[name][1])])) as Record<HrvName, Estimate>;
  const n = intervals.length;
  if (n < 3) return each((_, unit, minS) => refused(unit, minS, "too few beats"));
  const times = intervals.map(({ t }) => t);
  const ibi = intervals.map(({ ms }) => ms);
  const window: [number, number] = [times[0]! - ibi[0]! / 1000, times[n - 1]!];
  const covered = sum(ibi) / 1000;
  const share = n / (n + leftOut);
  const values = valuesOf(times, ibi);
  const noise = timingNoise(ibi);
  const slow = SLOW * noise > NOISE * values.sdnn;
  const fast = !(FAST * noise <= NOISE * values.rmssd);
  const reason = `too noisy: the beats are timed to ±${noise.toFixed(0)} ms only`;
  return each((name, unit, minS) => {
    if (covered < minS) return refused(unit, minS, `too short: ${covered.toFixed(0)} s of beats, ${minS} s needed`, window);
    if (share < 0.8)
      return refused(unit, minS, `too irregular: ${leftOut} of ${n + leftOut} intervals are not plausible`, window);
    if (name === "sdnn" || name === "lf" ? slow : fast) return refused(unit, minS, reason, window);
    return { value: values[name], unit, window, confidence: share * sqi, minS, reason: null };
  });
}

/** How far beats lie from where they are found, as a standard deviation, from the fast part of the intervals' spectrum. */
export function timingNoise(ibi: number[]): number {
  const n = ibi.length;
  if (n < 12) return Infinity;
  const window = hann(n);
  const x = withoutParabola(ibi).map((v, k) => v * window[k]!);
  const scale = sum(window.map((w) => w * w));
  const ratios: number[] = [];
  for (let bin = 0; bin <= n / 2; bin++) {
    const omega = (2 * Math.PI * bin) / n;
    if (omega <= Math.PI / 2) continue;
    let [re, im] = [0, 0];
    x.forEach((v, k) => {
      re += v * Math.cos(omega * k);
      im += v * Math.sin(omega * k);
    });
    ratios.push((re * re + im * im) / scale / (2 - 2 * Math.cos(omega)));
  }
  return Math.sqrt(median(ratios) / Math.LN2); // power is exponential: its median is ln 2 of its mean
}

/** Values less their parabola over their numbers: −1 … 1 and its square, made orthogonal, are taken out. */
function withoutParabola(y: number[]): number[] {
  const n = y.length;
  const line = y.map((_, k) => (2 * k) / (n - 1) - 1);
  const level = mean(line.map((v) => v * v));
  let rest = y;
  for (const base of [y.map(() => 1), line, line.map((v) => v * v - level)]) {
    const share = sum(base.map((v, k) => v * rest[k]!)) / sum(base.map((v) => v * v));
    rest = rest.map((v, k) => v - share * base[k]!);
  }
  return rest;
}

function valuesOf(times: number[], ibi: number[]): Record<HrvName, number> {
  // Successive differences only between intervals that share a beat.
  const steps: number[] = [];
  for (let k = 1; k < ibi.length; k++)
    if (Math.abs(times[k]! - times[k - 1]! - ibi[k]! / 1000) < 0.02) steps.push(ibi[k]! - ibi[k - 1]!);
  const [lf, hf] = bandPowers(times, ibi);
  return {
    sdnn: std(ibi, 1),
    rmssd: steps.length ? Math.sqrt(mean(steps.map((d) => d * d))) : NaN,
    pnn50: steps.length ? (100 * steps.filter((d) => Math.abs(d) > 50).length) / steps.length : NaN,
    lf,
    hf,
    lf_hf: hf > 0 ? lf / hf : NaN,
  };
}

/** Power in LF and HF, ms²: the mean over segments of up to 5 min. */
function bandPowers(times: number[], ibi: number[]): [number, number] {
  const start = times[0]!;
  const span = times.at(-1)! - start;
  if (span < 10) return [NaN, NaN];
  const count = Math.max(Math.ceil(span / SEGMENT_S), 1);
  const powers: { lf: number; hf: number; ms: number }[] = [];
  for (let part = 0; part < count; part++) {
    const inside = times.map((t) => Math.min(Math.trunc(((t - start) / span) * count), count - 1) === part);
    const pick = (x: number[]): number[] => x.filter((_, k) => inside[k]);
    if (pick(times).length < 8) continue;
    const [lf, hf] = lomb(pick(times), pick(ibi));
    powers.push({ lf, hf, ms: sum(pick(ibi)) });
  }
  const all = sum(powers.map(({ ms }) => ms));
  return [sum(powers.map(({ lf, ms }) => lf * ms)) / all, sum(powers.map(({ hf, ms }) => hf * ms)) / all];
}

/** Power in LF and HF of one segment by the Lomb–Scargle periodogram: beats are not evenly spaced. */
function lomb(times: number[], ibi: number[]): [number, number] {
  const t = times.map((v) => v - times[0]!);
  const span = t.at(-1)!;
  const step = 1 / (4 * span);
  const x = withoutLine(t, ibi);
  let [lf, hf] = [0, 0];
  for (let k = 0; LF[0] + k * step < HF[1]; k++) {
    const f = LF[0] + k * step;
    // ms²/Hz, one-sided; the time between samples is that of an interval: gaps hold none
    const density = (lombScargle(t, x, 2 * Math.PI * f) * 2 * mean(ibi)) / 1000;
    if (f >= LF[0] && f < LF[1]) lf += density * step;
    if (f >= HF[0] && f < HF[1]) hf += density * step;
  }
  return [lf, hf];
}

/** Power at one angular frequency, in the units of an ordinary periodogram. */
function lombScargle(t: number[], x: number[], w: number): number {
  let [cc, ss, cs] = [0, 0, 0];
  for (const at of t) {
    const [c, s] = [Math.cos(w * at), Math.sin(w * at)];
    cc += c * c;
    ss += s * s;
    cs += c * s;
  }
  const tau = 0.5 * Math.atan2(2 * cs, cc - ss);
  let [yc, ys, c2, s2] = [0, 0, 0, 0];
  t.forEach((at, k) => {
    const [c, s] = [Math.cos(w * at - tau), Math.sin(w * at - tau)];
    yc += x[k]! * c;
    ys += x[k]! * s;
    c2 += c * c;
    s2 += s * s;
  });
  const tiny = 1e-16 * t.length;
  return 0.5 * (yc ** 2 / Math.max(c2, tiny) + ys ** 2 / Math.max(s2, tiny));
}

/** Values less their straight line over time. */
function withoutLine(t: number[], y: number[]): number[] {
  const [mt, my] = [mean(t), mean(y)];
  let [top, bottom] = [0, 0];
  t.forEach((v, k) => {
    top += (v - mt) * (y[k]! - my);
    bottom += (v - mt) ** 2;
  });
  const slope = bottom > 0 ? top / bottom : 0;
  return y.map((v, k) => v - my - slope * (t[k]! - mt));
}
