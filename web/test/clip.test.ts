import { describe, expect, it } from "vitest";
import { BOX_SCALE, crop, surround } from "../src/clip/crop";
import type { Box } from "../src/clip/picture";
import { Resampler } from "../src/clip/resampler";
import { Steady } from "../src/clip/steady";
import { SkinWeights, skinMeans } from "../src/clip/skin";
import { TraceBuilder } from "../src/clip/trace";
import { doubles, expectClose, floats, pictures, rolled, vectors, type Json } from "./vectors";

const v = vectors("clip");

describe("crops match Python's", () => {
  it.each(v.crops as { box: Box; size: number; out: never }[])("$box at $size px", ({ box, size, out }) => {
    expectClose(crop(pictures(v.picture)[0]!, box, size)!, floats(out));
  });

  it.each(v.surrounds as { box: Box; out: number | null }[])("around $box", ({ box, out }) => {
    const got = surround(pictures(v.large)[0]!, box, BOX_SCALE);
    if (out === null) expect(got).toBeNaN();
    else expect(got).toBeCloseTo(out, 6);
  });

  it("knows a box outside the picture", () => {
    expect(crop(pictures(v.picture)[0]!, [100, 10, 120, 30], 8)).toBeNull();
  });
});

it("the box that is held on a face matches Python's", () => {
  const steady = new Steady();
  const seen = pictures(v.steady.pictures);
  for (const { t, picture, roll, box, out } of v.steady.frames as Json[])
    expectClose(steady.follow(rolled(seen[picture]!, roll[0], roll[1]), t, box), out);
});

it("skin weights and means match Python's", () => {
  const faces = floats(v.faces);
  const skin = new SkinWeights();
  (v.skin as never[]).forEach(({ t, weights, mean, patches }, k) => {
    const face = faces.slice(k * 12288, (k + 1) * 12288);
    const got = skin.update(face, t);
    expectClose(got, floats(weights));
    const means = skinMeans(face, got);
    expectClose(means.mean, floats(mean));
    expectClose(means.patches, floats(patches));
  });
});

it("the trace and its evidence match Python's", () => {
  const r = v.trace;
  const base = floats(r.face);
  const gains = floats(r.gains);
  const [boxes, held] = [doubles(r.boxes), doubles(r.held)];
  const around = doubles(r.around).map((x) => (x < 0 ? NaN : x));
  const trace = new TraceBuilder(r.fs, r.t0, 400);
  doubles(r.times).forEach((t, k) => {
    const face = base.map((value, i) => Math.fround(value * gains[3 * k + (i % 3)]!));
    const [box, place] = [boxes, held].map((b) => Array.from(b.subarray(4 * k, 4 * k + 4)) as Box);
    trace.addFace(face, t, box!, around[k], place);
  });
  trace.flush();
  const { valid, evidence } = trace.slice(0, r.valid.length);
  expect(Array.from(valid)).toEqual(r.valid);
  for (const name of ["rgb", "patches", "luma", "clipped", "motion", "rate", "surround", "place", "sharpness"] as const)
    expectClose(Array.from(evidence[name]).map((n) => (Number.isNaN(n) ? -1 : n)), floats(r[name]));
});

it("the trace keeps only its capacity", () => {
  const trace = new TraceBuilder(30, 0, 60);
  const face = new Float32Array(12288).map((_, k) => [170, 120, 100][k % 3]! + (k % 7));
  for (let k = 0; k < 200; k++) trace.addFace(face, k / 30, [0, 0, 100, 100]);
  expect(trace.settled).toBeGreaterThan(190);
  const { valid } = trace.slice(0, trace.settled);
  expect(valid.reduce((sum, ok) => sum + ok, 0)).toBe(60);
});

it("resampling as samples come gives the same, whatever the chunks", () => {
  const times = Array.from({ length: 120 }, (_, k) => k * 0.034 + (k > 70 ? 0.7 : 0) + 0.004 * Math.sin(9 * k));
  const collect = (hold: number): Map<number, number> => {
    const stream = new Resampler(30, 0, 0.5, hold);
    const blocks = times.flatMap((t) => stream.push(t, Float32Array.of(Math.sin(3 * t))));
    return new Map([...blocks, ...stream.flush()].flatMap((b) => b.rows.map((row, k) => [b.start + k, row[0]!] as const)));
  };
  const whole = collect(1000);
  const live = collect(2);
  expect([...live.keys()]).toEqual([...whole.keys()]);
  expectClose([...live.values()], [...whole.values()], 1e-6);
});
