/** Vital signs of a stream: the heart rate of the last window, breathing and variability of the last minutes. */

import { mean, runs } from "../dsp/stats";
import type { Pulse } from "../pulse/pulse";
import { findBeats, type Beats } from "../vitals/beats";
import { variability, type HrvName } from "../vitals/hrv";
import { Memory } from "../vitals/memory";
import { Judge, type Calibration } from "../vitals/quality";
import { MIN_RR_S, respiration } from "../vitals/respiration";
import { refused, type Estimate, type HrWindow } from "../vitals/result";

/** The shortest stretch that a heart rate is computed on, seconds. */
export const MIN_HR_S = 6;
/** Length of a full window, seconds. */
export const WINDOW_S = 10;
/** Breathing is that of this long, seconds. */
const BREATHING_S = 60;
/** Context before the window that is judged, seconds: what the filters of the judge need to settle. */
const CONTEXT_S = 10;
/** Share of a window that must be there. */
const SHARE = 0.85;

export interface Vitals {
  hr: HrWindow;
  rr: Estimate;
  hrv: Record<HrvName, Estimate>;
  beats: Beats;
}

/** The samples `start` … `stop` (not included) of a pulse, with their evidence. */
export function cut(pulse: Pulse, start: number, stop: number): Pulse {
  const { evidence: e, fs } = pulse;
  return {
    ...pulse,
    bvp: pulse.bvp.subarray(start, stop),
    t0: pulse.t0 + start / fs,
    valid: pulse.valid.subarray(start, stop),
    scale: pulse.scale?.subarray(start, stop) ?? null,
    // Named one by one, so that a field that is forgotten here does not compile.
    evidence: e && {
      rgb: e.rgb.subarray(3 * start, 3 * stop),
      patches: e.patches.subarray(3 * e.nPatches * start, 3 * e.nPatches * stop),
      nPatches: e.nPatches,
      luma: e.luma.subarray(start, stop),
      clipped: e.clipped.subarray(start, stop),
      motion: e.motion.subarray(start, stop),
      rate: e.rate.subarray(start, stop),
      surround: e.surround.subarray(start, stop),
      sharpness: e.sharpness.subarray(start, stop),
      place: e.place.subarray(3 * start, 3 * stop),
    },
  };
}

/** A heart rate, and whose: of the persons of a session, from 0. */
export type PersonWindow = HrWindow & { person: number };

/** The vital signs at the end of a pulse. */
export class LiveVitals {
  /** Heart rate over time, one window a refresh, of all persons one after the other. */
  course: PersonWindow[] = [];
  /** Who is measured now. */
  person = 0;
  private memory = new Memory();

  /** @param most windows that are kept. */
  constructor(
    private readonly calibration: Calibration,
    private readonly most: number,
  ) {}

  /** Another person. */
  restart(): void {
    this.person++;
    this.memory = new Memory();
  }

  measure(pulse: Pulse, face: boolean): Vitals {
    const hr = this.memory.believed(this.now(pulse, face));
    if (hr.t1 - hr.t0 >= MIN_HR_S - 0.5 / pulse.fs) this.course.push({ ...hr, person: this.person });
    if (this.course.length > this.most) this.course.shift();
    const beats: Beats =
      hr.hrBpm === null
        ? { times: [], intervals: [], leftOut: 0 }
        : findBeats(pulse, this.course.filter((w) => w.person === this.person && w.hrBpm !== null && w.t1 > pulse.t0));
    const rr = hr.hrBpm === null ? refused("brpm", MIN_RR_S, "no reliable pulse") : breathing(pulse, beats, hr.sqi);
    return { hr, rr, hrv: variability(beats, hr.sqi), beats };
  }

  /** The heart rate of the last window, or of as much of it as there is since the face came. */
  private now(pulse: Pulse, face: boolean): HrWindow {
    const { fs } = pulse;
    const n = pulse.bvp.length;
    const t1 = pulse.t0 + n / fs;
    const need = MIN_HR_S * fs - 0.5;
    let start = Math.max(n - Math.round(WINDOW_S * fs), 0);
    const none = (): HrWindow => ({
      t0: pulse.t0 + start / fs,
      t1,
      hrBpm: null,
      sqi: 0,
      reason: face ? "too short" : "no face",
      candidateBpm: null,
    });
    const stretches = runs(pulse.valid.subarray(start));
    if (!stretches.length) return none();
    const [first, last] = [start + stretches[0]!.start, start + stretches.at(-1)!.start];
    start = first;
    if (n - start < need || mean(pulse.valid.subarray(start)) < SHARE) {
      start = last;
      if (n - start < need || !pulse.valid[n - 1]) return none();
    }
    const before = Math.max(start - Math.round(CONTEXT_S * fs), 0);
    const judge = new Judge(cut(pulse, before, n), this.calibration);
    const { hrBpm, sqi, reason } = judge.judge(start - before, n - before);
    return { t0: pulse.t0 + start / fs, t1, hrBpm: reason === null ? hrBpm : null, sqi, reason, candidateBpm: hrBpm };
  }
}

function breathing(pulse: Pulse, beats: Beats, sqi: number): Estimate {
  const n = pulse.bvp.length;
  const recent = cut(pulse, Math.max(n - Math.round(BREATHING_S * pulse.fs), 0), n);
  const since = recent.t0;
  return respiration(
    recent,
    {
      times: beats.times.filter((t) => t >= since),
      intervals: beats.intervals.filter(({ t }) => t >= since),
      leftOut: beats.leftOut,
    },
    sqi,
  );
}
