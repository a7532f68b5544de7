import { describe, expect, it } from "vitest";
import type { Box, Picture } from "../src/clip/picture";
import type { Face } from "../src/face/detect";
import { bvpCsv, courseCsv, documentOf } from "../src/live/document";
import { Session, type Update } from "../src/live/session";
import { PosWaveform, StudentWaveform, type StreamingModel, type Waveform } from "../src/live/waveform";
import { calibration } from "./vectors";

const [WIDTH, HEIGHT] = [96, 72];
const BOX: Box = [30, 16, 66, 56];

/** A person whose face changes colour with the heart; a texture that stays, noise that does not. */
function person(t: number, bpm: number, hue: [number, number, number], seed: number): Picture {
  const data = new Uint8Array(4 * WIDTH * HEIGHT).fill(255);
  const beat = Math.sin((2 * Math.PI * bpm * t) / 60);
  let noise = (Math.floor(t * 1000) * 2654435761 + seed) >>> 0;
  for (let k = 0; k < WIDTH * HEIGHT; k++) {
    const [x, y] = [k % WIDTH, Math.floor(k / WIDTH)];
    const skin = x >= BOX[0] && x < BOX[2] && y >= BOX[1] && y < BOX[3];
    const texture = 6 * Math.sin((x * (3 + seed)) / 9) * Math.cos((y * (5 + seed)) / 11);
    for (let c = 0; c < 3; c++) {
      noise = (noise * 1664525 + 1013904223) >>> 0;
      const level = skin ? hue[c]! * (1 - 0.012 * [0.4, 1, 0.7][c]! * beat) + texture : 90 + 8 * texture;
      data[4 * k + c] = Math.round(level + 3 * (noise / 2 ** 32 - 0.5));
    }
  }
  return { data, width: WIDTH, height: HEIGHT };
}

const HUE: [number, number, number] = [178, 132, 108];

function open(faces: { now: Box[] }, openWaveform = (fs: number, n: number): Waveform => new PosWaveform(fs, n)): Session {
  return new Session({
    detect: async () => faces.now.map((box): Face => ({ box, score: 0.9 })),
    calibration: calibration(),
    openWaveform,
  });
}

describe("a session", () => {
  it("measures, loses the face, measures again, and begins anew with another person", async () => {
    const faces = { now: [BOX] };
    const session = open(faces);
    const updates: Update[] = [];
    const run = async (from: number, to: number, bpm: number, hue = HUE, seed = 1): Promise<void> => {
      for (let k = Math.round(from * 30); k < Math.round(to * 30); k++) {
        const t = k / 30 + 0.004 * Math.sin(3 * k);
        const update = await session.push(person(t, bpm, hue, seed), 1000 + t);
        if (update) updates.push(update);
      }
    };
    await run(0, 16, 72);
    const first = updates.find((u) => u.hr.hrBpm !== null)!;
    expect(first.t).toBeLessThan(9);
    expect(updates.at(-1)!.hr.hrBpm).toBeCloseTo(72, 0);
    expect(updates.at(-1)!.hr.sqi).toBeGreaterThan(0.7);
    expect(updates.at(-1)!.advice).toEqual(["come closer"]); // 36 pixels wide
    expect(updates.at(-1)!.fps).toBeCloseTo(30, 0);

    expect(await session.push(person(15, 72, HUE, 1), 1015)).toBeNull(); // late
    expect(session.counts.late).toBe(1);

    faces.now = [];
    await run(16, 19, 72);
    expect(updates.at(-1)!.hr).toMatchObject({ hrBpm: null, reason: "no face" });
    expect(updates.at(-1)!.advice[0]).toMatch(/^no face/);
    expect(session.counts.lost).toBe(1);

    faces.now = [BOX];
    await run(19, 31, 72);
    expect(updates.at(-1)!.hr.hrBpm).toBeCloseTo(72, 0);
    expect(session.counts.persons).toBe(1);

    await run(31, 46, 100, [120, 88, 70], 5);
    expect(session.counts.persons).toBe(2);
    expect(updates.at(-1)!.hr.hrBpm).toBeCloseTo(100, 0);

    const document = documentOf(session, "0.1.0") as { measurements: Record<string, unknown>[] };
    expect(document.measurements[0]).toMatchObject({ method: "pos", person: 1, reliable: true, reasons: [] });
    const lines = courseCsv(session).trimEnd().split("\n");
    expect(lines[0]).toBe("source,person,start_s,end_s,hr_bpm,sqi,reason");
    const told = updates.filter((u) => u.hr.t1 - u.hr.t0 > 5.99);
    expect(lines).toHaveLength(told.length + 1);
    const persons = lines.slice(1).map((line) => line.split(",")[1]);
    expect(persons).toEqual(told.map((u) => String(u.person)));
    expect(new Set(persons)).toEqual(new Set(["0", "1"]));
    const { course } = document.measurements[0] as { course: { hr_bpm: number | null }[] };
    expect(course).toHaveLength(persons.filter((p) => p === "1").length);
    expect(course.every((w) => w.hr_bpm === null || w.hr_bpm > 90)).toBe(true);
    expect(lines.every((line) => line.split(",").length === 7)).toBe(true);
    expect(bvpCsv(session).split("\n").length).toBeGreaterThan(300);
  }, 60_000);

  it("goes on when its clock is set back", async () => {
    const session = open({ now: [BOX] });
    const updates: Update[] = [];
    for (let k = 0; k < 900; k++) {
      const update = await session.push(person(k / 30, 72, HUE, 1), (k < 450 ? 1000 : 10) + k / 30);
      if (update) updates.push(update);
    }
    expect(session.counts.late).toBe(30); // a second of doubt
    expect(updates.at(-1)!.hr.hrBpm).toBeCloseTo(72, 0);
    expect(updates.at(-1)!.t).toBeGreaterThan(28);
    expect(await session.push(person(30, 72, HUE, 1), NaN)).toBeNull();
  }, 60_000);

  it("bends no rate when its clock is set back a little again and again", async () => {
    const session = open({ now: [BOX] });
    const told: number[] = [];
    for (let k = 0; k < 1200; k++) {
      const update = await session.push(person(k / 30, 72, HUE, 1), 1000 + k / 30 - 0.31 * Math.floor(k / 120));
      if (update?.hr.hrBpm) told.push(update.hr.hrBpm);
    }
    expect(session.counts.late).toBe(9 * 9); // as many as the clock passes again, nine times
    expect(told.every((bpm) => Math.abs(bpm - 72) < 3)).toBe(true);
  }, 60_000);

  it("does not forget, half a minute later, that the picture around the face beats with it", async () => {
    const session = open({ now: [BOX] });
    const reasons: (string | null)[] = [];
    for (let k = 0; k < 36 * 30; k++) {
      const picture = person(k / 30, 72, HUE, 1);
      const lamp = 1 - 0.012 * Math.sin((2 * Math.PI * 72 * k) / 30 / 60);
      for (let i = 0; i < WIDTH * HEIGHT; i++) {
        const [x, y] = [i % WIDTH, Math.floor(i / WIDTH)];
        const skin = x >= BOX[0] && x < BOX[2] && y >= BOX[1] && y < BOX[3];
        for (let c = 0; c < 3 && !skin; c++) picture.data[4 * i + c] = Math.round(picture.data[4 * i + c]! * lamp);
      }
      const update = await session.push(picture, k / 30);
      if (update && k > 9 * 30) reasons.push(update.hr.reason);
    }
    expect(reasons.length).toBeGreaterThan(25);
    expect(new Set(reasons)).toEqual(new Set(["flickering light"]));
  }, 60_000);

  it("tells no old heart rate after the face, or the frames, were away for some seconds", async () => {
    for (const away of ["face", "frames"]) {
      const faces = { now: [BOX] };
      const session = open(faces);
      for (let k = 0; k < 25 * 30; k++) {
        const t = k / 30;
        const gone = t >= 16 && t < 19.5;
        faces.now = gone ? [] : [BOX];
        if (gone && away === "frames") continue;
        const update = await session.push(person(t, 72, HUE, 1), t);
        if (!update || t < 17.9) continue;
        expect(update.hr.hrBpm, `${away} away, at ${t} s`).toBeNull();
        if (t < 19.6) continue;
        expect(update.hr.reason).toBe("too short");
        expect(update.collectedS).toBeLessThan(t - 19.4);
      }
    }
  }, 60_000);

  it("begins anew when the camera gives pictures of another size", async () => {
    const session = open({ now: [BOX] });
    for (let k = 0; k < 12 * 30; k++) await session.push(person(k / 30, 72, HUE, 1), k / 30);
    expect(session.counts.persons).toBe(1);
    const turned = (t: number): Picture => {
      const { data, width, height } = person(t, 72, HUE, 1);
      return { data: data.slice(0, 4 * width * (height - 4)), width, height: height - 4 };
    };
    let last: Update | null = null;
    for (let k = 12 * 30; k < 24 * 30; k++) last = (await session.push(turned(k / 30), k / 30)) ?? last;
    expect(session.counts).toMatchObject({ persons: 2, lost: 0 });
    expect(last!.hr.hrBpm).toBeCloseTo(72, 0);
  }, 60_000);

  it("knows when the camera is too slow to begin with", async () => {
    const session = open({ now: [BOX] });
    let last: Update | null = null;
    for (let k = 0; k < 12; k++) last = (await session.push(person(k, 72, HUE, 1), k)) ?? last;
    expect(last!.fps).toBeCloseTo(1, 1);
    expect(last!.advice).toContain("the camera is too slow: 8 frames a second are needed");
  }, 30_000);

  it("says nothing of a still picture", async () => {
    const session = open({ now: [BOX] });
    const photo = person(0, 72, HUE, 1);
    let last: Update | null = null;
    for (let k = 0; k < 300; k++) last = (await session.push(photo, k / 30)) ?? last;
    expect(last!.hr).toMatchObject({ hrBpm: null, reason: "no periodic component" });
  }, 30_000);

  it("gives crops to a streaming model, and puts its late output in its place", async () => {
    const lookahead = 7;
    let past: number[] = [];
    const model: StreamingModel = {
      name: "student",
      size: 12,
      boxScale: 1.5,
      lookahead,
      reset: () => (past = []),
      run: async (rgb, present) => {
        const out = Array.from(present, (_, k) => {
          const green = rgb.slice(k * 432, (k + 1) * 432).filter((_, i) => i % 3 === 1);
          past.push(-green.reduce((sum, v) => sum + v, 0) / 144);
          return past.at(-1 - lookahead) ?? 1e6;
        });
        return Float32Array.from(out);
      },
    };
    const session = open({ now: [BOX] }, (_, n) => new StudentWaveform(model, n));
    let last: Update | null = null;
    for (let k = 0; k < 400; k++) last = (await session.push(person(k / 30, 66, HUE, 1), k / 30)) ?? last;
    expect(session.method).toBe("student");
    expect(last!.hr.hrBpm).toBeCloseTo(66, 0);
    // The wave is where the heart beats: systole when the skin is darkest.
    const { bvp, t0, valid } = last!.wave;
    let inStep = 0;
    bvp.forEach((v, k) => (inStep += v * Math.sin((2 * Math.PI * 66 * (t0 + k / 30)) / 60)));
    expect(inStep / Math.sqrt(bvp.reduce((sum, v) => sum + v * v, 0) * (bvp.length / 2))).toBeGreaterThan(0.95);
    expect(valid.every(Boolean)).toBe(true);
  }, 30_000);
});
