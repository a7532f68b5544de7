/** How far to trust a heart rate: a calibrated share of right answers; as kdphys/vitals/quality.py. */

import { chrom, green, pos } from "../classical/methods";
import type { Evidence } from "../clip/trace";
import { HR_HZ, heartSpectrum, isSlower, pulseFrequency, spectrum } from "../dsp/spectrum";
import { clamp, interp, mean, median, runs, std } from "../dsp/stats";
import type { Pulse } from "../pulse/pulse";
import { BIN_HZ, agreement, dominance, halves, logAc, near, snrDb, strength, unison } from "./features";
import { MISSING, band, impostor } from "./impostors";

/** Below this SQI the answer is "no reliable pulse". */
export const SQI_THRESHOLD = 0.7;
const FEATURES = ["snr_db", "dominance", "halves", "agreement", "unison", "phase", "log_ac", "motion"] as const;
/** Fewer frames a second in half of a window, and a fast heart is read as a slow one. (Some clocks count in ms.) */
export const MIN_FPS = 8;
const CLOCK_FPS = 0.1;
const DARK_LUMA = 22;
/** Share of the face that is over-exposed: from here on it explains that nothing is seen, … */
const CLIPPED_SHARE = 0.35;
/** … and from here on nothing is believed. */
const BLIND_SHARE = 0.6;
const MOTION = 0.25;
/** Parts of a face that beat together less than this, in noise or where something else is seen than blood. */
const APART = [0.1, 0.4] as const;
/** An SQI where nothing is believed is no higher than this. */
const BLIND_SQI = 0.5;
/** Half of the width of a peak and of its first sidelobe, in bins of the window. */
const LOBE = 2.5;

export type FeatureName = (typeof FEATURES)[number] | "strength";
export type Features = Record<FeatureName, number>;

/** Why there is no answer. */
export type Reason =
  | "no face"
  | "too short"
  | "fs too low"
  | "too dark"
  | "over-exposed"
  | "repeating picture"
  | "flickering light"
  | "too much motion"
  | "unsteady picture"
  | "no periodic component";

/** One logistic fit and its calibration, of sqi.json. */
export interface Fit {
  features?: FeatureName[];
  mean: number[];
  scale: number[];
  weights: number[];
  bias: number;
  score: number[];
  share: number[];
}

/** Content of kdphys/assets/sqi.json. */
export interface Calibration {
  fits: Record<string, Fit>;
}

/** The judgement on a window. */
export interface Quality {
  hrBpm: number | null; // the best guess, whatever its quality
  sqi: number;
  reason: Reason | null; // why it is not to be relied on
  features: Features | null;
}

const refused = (reason: Reason): Quality => ({ hrBpm: null, sqi: 0, reason, features: null });

/** Judges windows of one pulse. What all windows share is computed once. */
export class Judge {
  private readonly waves: Float64Array[] = []; // POS, CHROM, GREEN on the same skin
  private patches: { a: Float64Array[]; b: Float64Array[] } | null = null;

  constructor(
    readonly pulse: Pulse,
    private readonly calibration: Calibration,
  ) {
    const { evidence, fs } = pulse;
    if (!evidence || evidence.nPatches < 4) return;
    const n = pulse.bvp.length;
    const { rgb } = evidence;
    const seen = Array.from({ length: n }, (_, k) => Number(Number.isFinite(rgb[3 * k]! + rgb[3 * k + 1]! + rgb[3 * k + 2]!)));
    const spans = runs(seen).filter(({ start, stop }) => stop - start >= 3 * fs);
    const lit = spans.every(({ start, stop }) =>
      [0, 1, 2].every((c) => mean(Float64Array.from({ length: stop - start }, (_, k) => rgb[3 * (start + k) + c]!)) > 2),
    );
    if (!spans.length || !lit) return;
    for (const method of [pos, chrom, green]) {
      const wave = new Float64Array(n);
      for (const { start, stop } of spans) wave.set(band(method(rgb.subarray(3 * start, 3 * stop), fs), fs), start);
      this.waves.push(wave);
    }
    this.patches = { a: [], b: [] };
    for (let p = 0; p < evidence.nPatches; p++) {
      const [a, b] = [new Float64Array(n), new Float64Array(n)];
      for (const { start, stop } of spans) {
        const [x, y] = chroma(evidence, p, start, stop, fs);
        a.set(x, start);
        b.set(y, start);
      }
      this.patches.a.push(a);
      this.patches.b.push(b);
    }
  }

  /** Judge the samples `start` … `stop` (not included). */
  judge(start: number, stop: number): Quality {
    const { pulse } = this;
    const { evidence, fs } = pulse;
    if (!(mean(pulse.valid.subarray(start, stop)) >= 1 - MISSING) || !isCovered(evidence, start, stop)) return refused("no face");
    if (fs < MIN_FPS - CLOCK_FPS || isSlow(evidence, start, stop)) return refused("fs too low");
    let reason = exposure(evidence, start, stop, BLIND_SHARE);
    const seen = this.look(start, stop);
    if (!seen) return refused(reason ?? "no periodic component");
    const { f0, features } = seen;
    const kind = this.patches ? "face" : "trace";
    let sqi = score(this.calibration, features, kind, pulse.method);
    if (reason) sqi = Math.min(sqi, BLIND_SQI);
    else if (evidence) {
      reason = impostor(pulse, start, stop, f0, features.unison < APART[0] && features.phase < APART[1]);
      if (reason) sqi = 0;
    }
    if (!reason && isBeyond(pulse, start, stop, f0)) [reason, sqi] = ["no periodic component", 0];
    if (!reason && !(sqi >= SQI_THRESHOLD))
      reason =
        exposure(evidence, start, stop, CLIPPED_SHARE) ??
        (features.motion > Math.log10(MOTION) ? "too much motion" : "no periodic component");
    return { hrBpm: 60 * f0, sqi, reason, features };
  }

  /** The frequency of the best guess (Hz) and the features; null where the pulse is flat. */
  look(start: number, stop: number): { f0: number; features: Features } | null {
    const { pulse } = this;
    const { fs, evidence } = pulse;
    const bvp = pulse.bvp.subarray(start, stop);
    if (std(bvp) < 1e-9) return null;
    const whole = spectrum(bvp, fs, BIN_HZ);
    const f0 = pulseFrequency(bvp, fs, BIN_HZ);
    const features: Features = {
      snr_db: snrDb(whole, f0),
      dominance: dominance(whole, f0),
      halves: halves(bvp, fs, f0),
      strength: strength(bvp, pulse.scale?.subarray(start, stop) ?? null),
      agreement: 0,
      unison: 0,
      phase: 0,
      log_ac: -1,
      motion: -3,
    };
    const motion = evidence ? finite(evidence.motion.subarray(start, stop)) : [];
    if (motion.length) features.motion = Math.log10(mean(motion) + 1e-3);
    if (this.waves.length) {
      const waves = this.waves.map((wave) => wave.subarray(start, stop));
      features.agreement = agreement(waves, fs, f0);
      features.log_ac = logAc(waves[0]!, fs, f0);
    }
    if (this.patches) {
      const cut = (parts: Float64Array[]): Float64Array[] => parts.map((part) => part.subarray(start, stop));
      [features.unison, features.phase] = unison(cut(this.patches.a), cut(this.patches.b), fs, f0);
    }
    return { f0, features };
  }
}

const finite = (x: Float64Array): number[] => Array.from(x).filter(Number.isFinite);

/** The two POS projections of one patch, band-passed. */
function chroma(evidence: Evidence, p: number, start: number, stop: number, fs: number): [Float64Array, Float64Array] {
  const [r, g, b] = [0, 1, 2].map((c) => {
    const at = (k: number): number => evidence.patches[3 * ((start + k) * evidence.nPatches + p) + c]!;
    const colour = Float64Array.from({ length: stop - start }, (_, k) => at(k));
    const level = Math.max(mean(colour), 1e-3);
    return band(colour.map((v) => v / level - 1), fs);
  });
  return [g!.map((v, k) => v - b![k]!), g!.map((v, k) => v + b![k]! - 2 * r![k]!)];
}

/** Whether what was seen beside the pulse is known for as much of a window as the pulse must be. */
function isCovered(evidence: Evidence | null, start: number, stop: number): boolean {
  if (!evidence) return true;
  let missing = 0;
  for (let k = start; k < stop; k++) missing += Number(!evidence.rgb.subarray(3 * k, 3 * k + 3).every(Number.isFinite));
  return 1 - missing / (stop - start) >= 1 - MISSING;
}

/** Whether the peak at `f0` (Hz) may be the slope of a higher one, above the rates that are looked for, or the double of one below. */
function isBeyond(pulse: Pulse, start: number, stop: number, f0: number): boolean {
  const bvp = pulse.bvp.subarray(start, stop);
  if (isSlower(bvp, pulse.fs, f0, BIN_HZ)) return true;
  const { step, power } = heartSpectrum(bvp, pulse.fs, BIN_HZ);
  const [, high] = HR_HZ;
  const k = Math.min(Math.floor(f0 / step), power.length - 2);
  const own = power[k]! + (f0 / step - k) * (power[k + 1]! - power[k]!);
  const beyond = (f: number): boolean =>
    f > high && f <= high + (LOBE * pulse.fs) / (stop - start) && !near(f, 2 * f0, 0.15);
  return power.some((p, bin) => p > own && beyond(bin * step));
}

/** Whether half of a window was made of too few frames a second. */
function isSlow(evidence: Evidence | null, start: number, stop: number): boolean {
  return !!evidence && median(finite(evidence.rate.subarray(start, stop))) < MIN_FPS - CLOCK_FPS;
}

function exposure(evidence: Evidence | null, start: number, stop: number, share: number): Reason | null {
  if (!evidence) return null;
  if (median(finite(evidence.luma.subarray(start, stop))) < DARK_LUMA) return "too dark";
  if (median(finite(evidence.clipped.subarray(start, stop))) > share) return "over-exposed";
  return null;
}

/** The calibrated SQI of a method; of a method without a fit of its own, by the fit of all. */
function score({ fits }: Calibration, features: Features, kind: string, method: string): number {
  const fit = fits[`${kind}:${method}`] ?? fits[kind]!;
  return share(fit, (fit.features ?? FEATURES).map((name) => features[name]));
}

/** A logistic score of the features and their products, then the measured share of right answers at that score. */
export function share(fit: Fit, features: number[]): number {
  const z = features.map((v, k) => clamp((v - fit.mean[k]!) / fit.scale[k]!, -2.5, 2.5));
  const x = [...z];
  for (let i = 0; i < z.length; i++) for (let j = i; j < z.length; j++) x.push(z[i]! * z[j]!);
  const total = x.reduce((sum, v, k) => sum + v * fit.weights[k]!, fit.bias);
  return interp(total, fit.score, fit.share);
}
