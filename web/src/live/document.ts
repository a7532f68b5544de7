/** A session as JSON (docs/output.md, "kdphys/measurement/1.0") and CSV, the layouts of `kdphys measure`. */

import { HRV_NAMES } from "../vitals/hrv";
import { SQI_THRESHOLD } from "../vitals/quality";
import type { Estimate } from "../vitals/result";
import type { Counts, Session } from "./session";
import { MIN_HR_S } from "./vitals";

const NOTICE = "Not a medical device: not for diagnosis or treatment.";
const SOURCE = "camera (browser)";

const number = (x: number | null): number | null => (x === null || !Number.isFinite(x) ? null : Math.round(x * 1e4) / 1e4);
const text = (x: number | null): string => (x === null || !Number.isFinite(x) ? "" : x.toFixed(4));

function estimate(e: Estimate): object {
  return {
    value: number(e.value),
    unit: e.unit,
    confidence: number(e.confidence),
    window_s: e.window ? e.window.map(number) : null,
    min_s: e.minS,
    reason: e.reason,
  };
}

/** All that a session measured; times are seconds since its first frame. */
export function documentOf(session: Session, version: string): object {
  const { update, beats } = session;
  const course = session.vitals.course.filter((w) => w.person === update?.person);
  const measurements = update
    ? [
        {
          source: SOURCE,
          person: update.person ?? 0,
          method: session.method,
          start_s: 0,
          end_s: number(update.t),
          frames: update.counts.frames,
          face_frames: update.counts.faceFrames,
          partial: false,
          notes: notes(update.counts),
          reliable: update.hr.hrBpm !== null,
          reasons: update.hr.reason ? [update.hr.reason] : [],
          sqi: number(update.hr.sqi),
          heart_rate: estimate({
            value: update.hr.hrBpm,
            unit: "bpm",
            window: [update.hr.t0, update.hr.t1],
            confidence: update.hr.hrBpm === null ? null : update.hr.sqi,
            minS: MIN_HR_S,
            reason: update.hr.reason,
          }),
          respiration_rate: estimate(update.rr),
          hrv: Object.fromEntries(HRV_NAMES.map((name) => [name, estimate(update.hrv[name])])),
          beats_s: beats.times.map(number),
          ibi_ms: beats.intervals.map(({ ms }) => number(ms)),
          coverage: number(course.filter((w) => w.hrBpm !== null).length / Math.max(course.length, 1)),
          course: course.map((w) => ({
            start_s: number(w.t0),
            end_s: number(w.t1),
            hr_bpm: number(w.hrBpm),
            sqi: number(w.sqi),
            reason: w.reason,
          })),
        },
      ]
    : [];
  return {
    schema: "kdphys/measurement/1.0",
    kdphys: version,
    notice: NOTICE,
    sqi_threshold: SQI_THRESHOLD,
    measurements,
    failures: [],
  };
}

function notes(counts: Counts): string[] {
  const out: string[] = [];
  if (counts.persons > 1) out.push(`${counts.persons} persons were measured one after the other; all but heart rate over time (CSV) is the last one's`);
  if (counts.gaps) out.push(`${counts.gaps} gaps of more than 0.5 s without frames`);
  if (counts.lost) out.push(`the face was lost ${counts.lost} times`);
  if (counts.late) out.push(`${counts.late} frames refused: their time was not after the frame before`);
  return out;
}

/** Heart rate over time, one row a window; an empty cell where it cannot tell. */
export function courseCsv(session: Session): string {
  const rows = session.vitals.course.map((w) =>
    [SOURCE, w.person, text(w.t0), text(w.t1), text(w.hrBpm), text(w.sqi), w.reason ?? ""].join(","),
  );
  return ["source,person,start_s,end_s,hr_bpm,sqi,reason", ...rows, ""].join("\n");
}

/** The pulse wave of the last minutes, one row a sample; an empty cell in gaps. */
export function bvpCsv({ pulse, update }: Session): string {
  const rows: string[] = [];
  if (pulse)
    for (let k = 0; k < pulse.bvp.length; k++)
      rows.push(
        [SOURCE, update?.person ?? 0, text(pulse.t0 + k / pulse.fs), pulse.valid[k] ? pulse.bvp[k]!.toPrecision(6) : ""].join(","),
      );
  return ["source,person,time_s,bvp", ...rows, ""].join("\n");
}
