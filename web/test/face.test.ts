import { describe, expect, it } from "vitest";
import type { Box } from "../src/clip/picture";
import { FaceDetector, letterbox, type Face, type Square } from "../src/face/detect";
import { FaceFinder } from "../src/face/find";
import { FaceTracker } from "../src/face/track";
import { bytes, expectClose, floats, pictures, rolled, vectors, type Json } from "./vectors";

const v = vectors("face");

it("the network's input and the decoding of its output match Python's", async () => {
  const picture = pictures(v.picture)[0]!;
  const levels = letterbox(picture, 0, 0, 200).values.map((x) => Math.round((x + 1) * 127.5));
  const want = bytes(v.input);
  const off = levels.map((x, k) => Math.abs(x - want[k]!));
  expect(Math.max(...off)).toBeLessThanOrEqual(1); // OpenCV rounds ties its own way
  expect(off.filter((d) => d > 0).length).toBeLessThan(0.01 * off.length);
  const logits = new Float32Array(896).fill(-9);
  const regressors = new Float32Array(896 * 16);
  (v.hits as number[]).forEach((hit, k) => {
    logits[hit] = floats(v.logits)[k]!;
    regressors.set(floats(v.regressors).subarray(4 * k, 4 * k + 4), 16 * hit);
  });
  const found = await new FaceDetector(async () => ({ regressors, logits })).detect(picture);
  expectClose(found.map((face) => face.score), floats(v.scores), 1e-5);
  expectClose(found.flatMap((face) => face.box), floats(v.boxes));
});

it("looks for small faces where Python does", async () => {
  let faces: Box[] = [];
  let asked: Square[] = [];
  const seen = (test: (box: Box) => boolean) => faces.filter(test).map((box): Face => ({ box, score: 0.9 }));
  const finder = new FaceFinder({
    detect: async () => ((asked = []), seen((box) => box[2] - box[0] > 100)),
    look: async (_, where) => {
      asked = where;
      return seen((box) =>
        where.some(
          ([x, y, side]) =>
            box[0] >= x && box[1] >= y && box[2] <= x + side && box[3] <= y + side && box[2] - box[0] > 0.12 * side,
        ),
      );
    },
  });
  const picture = { data: new Uint8Array(0), width: 1280, height: 720 };
  for (const step of v.finder as Json[]) {
    faces = step.faces;
    const found = await finder.detect(picture);
    expect(asked).toEqual(step.asked);
    expect(found.map((face) => face.box)).toEqual(step.found);
  }
});

describe("tracks match Python's", () => {
  const films = pictures(v.tracks[0].pictures);
  it.each(v.tracks as Json[])("$name", async ({ frames, cuts, tracked }: Json) => {
    let now: Box[] = [];
    const tracker = new FaceTracker(async () => now.map((box): Face => ({ box, score: 0.9 })));
    const out = [];
    for (const { t, picture, roll, boxes } of frames) {
      now = boxes;
      out.push(...(await tracker.push({ picture: rolled(films[picture]!, roll), t })));
    }
    out.push(...(await tracker.flush()));
    expect(tracker.cuts).toBe(cuts);
    expect(out.map((o) => [...o.faces.keys()].map(String).sort())).toEqual(
      tracked.map((o: Json) => Object.keys(o.faces).sort()),
    );
    out.forEach((o, k) => {
      expect(o.t).toBe(tracked[k].t);
      for (const [key, { box }] of o.faces) expectClose(box, tracked[k].faces[key]);
    });
  });
});
