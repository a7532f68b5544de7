import { describe, expect, it } from "vitest";
import { shapePulse } from "../src/pulse/pulse";
import { findBeats, findPeaks } from "../src/vitals/beats";
import { variability } from "../src/vitals/hrv";
import { Memory } from "../src/vitals/memory";
import { Judge, type Reason } from "../src/vitals/quality";
import { respiration } from "../src/vitals/respiration";
import type { Estimate, HrWindow } from "../src/vitals/result";
import { calibration, doubles, expectClose, floats, pulseOf, vectors, type Json } from "./vectors";

it("windows deny each other as in Python", () => {
  const { course, believed } = vectors("vitals").memory;
  const memory = new Memory();
  const got = (course as [number, number, number | null, number, Reason | null, number | null][]).map(
    ([t0, t1, hrBpm, sqi, reason, candidateBpm]) => memory.believed({ t0, t1, hrBpm, sqi, reason, candidateBpm }),
  );
  expect(got.map((w) => [w.hrBpm, w.sqi, w.reason])).toEqual(believed);
  const answers = (rows: (number | null)[]): number => rows.filter((bpm) => bpm !== null).length;
  expect(answers(believed.map((row: Json) => row[0]))).toBeLessThan(answers(course.map((row: Json) => row[2])) - 5);
});

describe("the judge matches Python's", () => {
  it.each(vectors("quality").cases as Json[])("$kind", ({ pulse, windows }: Json) => {
    const judge = new Judge(pulseOf(pulse), calibration());
    for (const { start, stop, hr_bpm, sqi, reason, features } of windows) {
      const got = judge.judge(start, stop);
      expect(got.reason).toBe(reason);
      if (hr_bpm === null) expect(got.hrBpm).toBeNull();
      else expect(got.hrBpm).toBeCloseTo(hr_bpm, 2);
      expect(Math.abs(got.sqi - sqi)).toBeLessThan(1e-3);
      const seen = judge.look(start, stop)!.features;
      for (const [name, value] of Object.entries(features as Record<string, number>))
        expect(Math.abs(seen[name as keyof typeof seen] - value), name).toBeLessThan(1e-3);
    }
  });
});

describe("a long pulse with gaps", () => {
  const v = vectors("vitals");
  const rgb = doubles(v.rgb).map((x) => (x < 0 ? NaN : x));
  const n = v.valid.length;
  const zeros = new Float64Array(n);
  const evidence = { rgb, patches: new Float32Array(0), nPatches: 0, luma: zeros, clipped: zeros, motion: zeros, rate: zeros.map(() => 30), surround: zeros, place: new Float64Array(3 * n), sharpness: zeros };
  const pulse = shapePulse(doubles(v.raw), v.seen, v.fs, v.t0, "pos", evidence);
  const course: HrWindow[] = v.course.map((w: Json) => ({ t0: w.t0, t1: w.t1, hrBpm: w.hr_bpm, sqi: w.sqi, reason: null }));
  const beats = findBeats(pulse, course);
  const same = (got: Estimate, want: Json): void => {
    expect(got).toMatchObject({ unit: want.unit, minS: want.min_s, reason: want.reason });
    for (const key of ["value", "confidence"] as const)
      if (want[key] === null) expect(got[key]).toBeNull();
      else expect(Math.abs(got[key]! - want[key])).toBeLessThan(1e-3 * Math.max(1, want[key]));
  };

  it("is shaped as in Python", () => {
    expect(Array.from(pulse.valid)).toEqual(v.valid);
    expectClose(pulse.bvp, floats(v.bvp));
    expectClose(pulse.scale!, floats(v.scale));
  });

  it("has the same beats", () => {
    expectClose(beats.times, v.beats);
    expectClose(beats.intervals.map(({ t }) => t), v.intervals.map((row: number[]) => row[0]));
    expectClose(beats.intervals.map(({ ms }) => ms / 1000), v.intervals.map((row: number[]) => row[1]! / 1000));
    expect(beats.leftOut).toBe(v.left_out);
  });

  it("has the same beats where the rate changes much", () => {
    const { raw, t0, course: windows, beats: want, left_out } = v.recovery;
    const seen = Array.from({ length: raw.shape[0] }, () => 1);
    const wave = shapePulse(doubles(raw), Uint8Array.from(seen), v.fs, t0, "pos", null);
    const found = findBeats(wave, windows.map((w: Json) => ({ ...w, hrBpm: w.hr_bpm, reason: null, candidateBpm: null })));
    expectClose(found.times, want);
    expect(found.leftOut).toBe(left_out);
  });

  it("has the same variability, and refuses what is too short", () => {
    const given = { times: v.beats, intervals: v.intervals.map(([t, ms]: number[]) => ({ t, ms })), leftOut: v.left_out };
    for (const [name, want] of Object.entries(v.hrv)) same(variability(given, 0.9)[name as "lf"], want);
    const short = { ...given, intervals: given.intervals.slice(0, 50) };
    for (const [name, want] of Object.entries(v.hrv_short)) same(variability(short, 0.9)[name as "lf"], want);
  });

  it.each(v.hearts as Json[])("tells the variability of a heart only as far as its beats are timed", (heart: Json) => {
    const given = { times: [], intervals: heart.intervals.map(([t, ms]: number[]) => ({ t, ms })), leftOut: heart.left_out };
    for (const [name, want] of Object.entries(heart.hrv)) same(variability(given, 0.9)[name as "lf"], want as Json);
  });

  it("has the same respiration", () => {
    expect(v.rr.value).not.toBeNull();
    same(respiration(pulse, beats, 0.9), v.rr);
  });
});

it("peaks: a plateau counts once, of near ones the higher, none below zero", () => {
  const x = Float64Array.of(0, 1, 1, 0, 2, 0, -2, -1, -2, 0, 3, 2.9, 3.1, 0);
  expect(findPeaks(x, 1)).toEqual([1, 4, 10, 12]);
  expect(findPeaks(x, 4)).toEqual([4, 12]);
});
