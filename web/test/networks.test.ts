import { readFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { FaceDetector } from "../src/face/detect";
import { StudentWaveform } from "../src/live/waveform";
import { openBlazeface } from "../src/models/blazeface";
import { metadata } from "../src/models/onnx";
import { loadRuntime, unzip } from "../src/models/runtime";
import { openStudent } from "../src/models/student";
import { asset, bytes, expectClose, floats, pictures, vectors } from "./vectors";

const v = vectors("networks");
const engine = new URL("../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", import.meta.url);

beforeAll(async () => {
  await loadRuntime(new Uint8Array(readFileSync(engine)));
});

it("finds the face that Python finds", async () => {
  const detector = new FaceDetector(await openBlazeface(asset("blazeface_short.onnx")));
  const found = await detector.detect(pictures(v.picture)[0]!);
  expectClose(found.map(({ score }) => score), floats(v.scores));
  expectClose(found.flatMap(({ box }) => box).map((x) => x / 128), floats(v.boxes).map((x) => x / 128));
  expect(found).toHaveLength(1);
});

it.skipIf(!v.student)("the student gives what Python's gives, on a stream with a gap", async () => {
  const { base, gains, cuts, lookahead, bvp } = v.student;
  const model = await openStudent(asset("student-stream.onnx"));
  expect(model.lookahead).toBe(lookahead);
  const wave = new StudentWaveform(model, 1000);
  const pixels = bytes(base);
  const g = floats(gains);
  const rows = Array.from({ length: g.length / 3 }, (_, k) =>
    Float32Array.from(pixels, (value, i) => Math.fround(value * g[3 * k + (i % 3)]!)),
  );
  // The same stretch twice: what was before the gap is forgotten.
  for (const start of [100, 400]) {
    const edges = [0, ...cuts, rows.length];
    for (let k = 1; k < edges.length; k++)
      await wave.take({ start: start + edges[k - 1]!, rows: rows.slice(edges[k - 1], edges[k]), ends: false });
    await wave.take({ start: start + rows.length, rows: [], ends: true });
    const { values, seen } = wave.ring.slice(start - 50, start + rows.length + 50);
    expect(seen.reduce((sum, ok) => sum + ok, 0)).toBe(rows.length);
    expectClose(values.subarray(50, 50 + rows.length), floats(bvp));
  }
});

it("says what is wrong with a model that is none of ours", async () => {
  await expect(openStudent(asset("blazeface_short.onnx"))).rejects.toThrow("holds no kdphys description");
  expect(() => metadata(Uint8Array.of(0x0a, 0x7f, 1))).toThrow("no ONNX file");
});

it("reads the metadata of an ONNX file", () => {
  const text = new TextEncoder();
  const field = (number: number, content: Uint8Array): number[] => [8 * number + 2, content.length, ...content];
  const entry = Uint8Array.from([...field(1, text.encode("kdphys")), ...field(2, text.encode("{}"))]);
  const file = Uint8Array.from([0x08, 8, ...field(2, text.encode("pytorch")), ...field(14, entry)]);
  expect(metadata(file)).toEqual(new Map([["kdphys", "{}"]]));
});

it("unpacks gzip, and leaves what is not packed", async () => {
  const { gzipSync } = await import("node:zlib");
  const content = Uint8Array.of(0, 97, 115, 109, 1, 2, 3);
  expect(await unzip(new Uint8Array(gzipSync(content)))).toEqual(content);
  expect(await unzip(content)).toEqual(content);
});
