import { describe, expect, it } from "vitest";
import type { Box } from "../src/clip/picture";
import { FaceDetector, letterbox, type Face } from "../src/face/detect";
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
