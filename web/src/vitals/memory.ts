/** Windows that deny each other; as `Memory` and `denial` of kdphys/vitals/heart_rate.py. */

import type { Reason } from "./quality";
import type { HrWindow } from "./result";

/** What a window may have found out about its rate, and how near the same rate is, bpm. */
const IMPOSTORS: ReadonlySet<Reason | null> = new Set<Reason>(["flickering light", "too much motion", "unsteady picture"]);
const SAME_BPM = 5;
/** A picture that repeats itself has no rate at all. */
const REPEATING: Reason = "repeating picture";
/** As many windows that found that out, as a share of those with an answer, and the others are not believed either, … */
const DENIED = 0.5;
/** … for so long, seconds. */
const MEMORY_S = 30;

/** Believes a window only if those before it do not deny it. */
export class Memory {
  private recent: HrWindow[] = [];

  /** The window that comes next, without its answer if that is denied. */
  believed(now: HrWindow): HrWindow {
    this.recent = [...this.recent.filter((w) => w.t1 > now.t1 - MEMORY_S), now];
    const why = now.hrBpm === null ? null : denial(this.recent, now.hrBpm);
    return why === null ? now : { ...now, hrBpm: null, sqi: 0, reason: why };
  }
}

/** What the windows found a rate to come from, when half as many found that as there are with an answer; or null. */
function denial(course: HrWindow[], hrBpm: number): Reason | null {
  const counts = new Map<Reason, number>();
  for (const { candidateBpm, reason, sqi } of course) {
    const same = candidateBpm !== null && Math.abs(candidateBpm - hrBpm) < SAME_BPM;
    const known = reason && ((same && IMPOSTORS.has(reason) && sqi === 0) || reason === REPEATING);
    if (known) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const known = [...counts.values()].reduce((total, n) => total + n, 0);
  if (!known || known < DENIED * course.filter((w) => w.hrBpm !== null).length) return null;
  return [...counts].reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}
