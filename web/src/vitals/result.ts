/** What measuring gives: each value with its unit, its stretch of time and its confidence, or the reason why not. */

import type { Reason } from "./quality";

/** One vital sign; as kdphys/vitals/result.py. */
export interface Estimate {
  value: number | null;
  unit: string;
  window: [number, number] | null; // seconds
  confidence: number | null; // 0–1
  minS: number; // the shortest stretch that it is computed on
  reason: string | null; // why there is no value
}

export function refused(unit: string, minS: number, reason: string, window: [number, number] | null = null): Estimate {
  return { value: null, unit, window, confidence: null, minS, reason };
}

/** Heart rate over one window. */
export interface HrWindow {
  t0: number; // seconds
  t1: number;
  hrBpm: number | null;
  sqi: number;
  reason: Reason | null;
  candidateBpm: number | null; // the best guess whatever its quality
}
