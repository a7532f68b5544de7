/// <reference lib="webworker" />
/** The worker: pictures in, vital signs out. Nothing here sends anything anywhere. */

import type { Picture } from "./clip/picture";
import { FaceDetector } from "./face/detect";
import { FaceFinder } from "./face/find";
import { bvpCsv, courseCsv, documentOf } from "./live/document";
import { Session } from "./live/session";
import { PosWaveform, StudentWaveform, type StreamingModel } from "./live/waveform";
import { openBlazeface } from "./models/blazeface";
import { loadRuntime } from "./models/runtime";
import { openStudent } from "./models/student";
import { Grabber } from "./grab";
import type { FromWorker, MethodName, Shot, ToWorker } from "./protocol";
import type { Calibration } from "./vitals/quality";

const say = (message: FromWorker): void => postMessage(message);

let detector: FaceDetector | null = null;
let student: StreamingModel | null = null;
let calibration: Calibration | null = null;
let session: Session | null = null;
let current = 0;
let processed = 0;
const grabber = new Grabber();

async function fetchBytes(url: string): Promise<Uint8Array<ArrayBuffer> | null> {
  const answer = await fetch(url);
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function need(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await fetchBytes(url);
  if (!bytes) throw new Error(`${url} is missing on the server`);
  return bytes;
}

async function load(base: string): Promise<void> {
  const [wasm, face, about] = await Promise.all(
    ["ort/ort-wasm-simd-threaded.wasm.gz", "models/blazeface_short.onnx", "models/index.json"].map((name) => need(base + name)),
  );
  const text = new TextDecoder();
  const { models } = JSON.parse(text.decode(about)) as { models: string[] };
  calibration = JSON.parse(text.decode(await need(`${base}models/sqi.json`))) as Calibration;
  await loadRuntime(wasm!);
  detector = new FaceDetector(await openBlazeface(face!));
  await detector.detect(blank(128)); // engines are slow the first time: not when the camera runs
  const methods: MethodName[] = ["pos"];
  const notes: string[] = [];
  if (models.includes("student-stream.onnx")) {
    try {
      student = await openStudent(await need(`${base}models/student-stream.onnx`));
      await student.run(new Float32Array(student.size ** 2 * 3), new Float32Array(1));
      student.reset();
      methods.unshift("student");
    } catch (error) {
      notes.push(`the student model does not run here (${message(error)}); POS is used`);
    }
  }
  say({ type: "ready", methods, notes });
}

function blank(size: number): Picture {
  return { data: new Uint8Array(4 * size * size), width: size, height: size };
}

function start(method: MethodName): void {
  if (!detector || !calibration) throw new Error("the worker is not ready");
  const finder = new FaceFinder(detector);
  session = new Session({
    detect: (picture) => finder.detect(picture),
    calibration,
    openWaveform: (fs, capacity) =>
      method === "student" && student ? new StudentWaveform(student, capacity) : new PosWaveform(fs, capacity),
  });
  processed = 0;
}

async function frame(shot: Shot, t: number): Promise<void> {
  const began = performance.now();
  const picture = grabber.take(shot);
  if (!session) return;
  const update = await session.push(picture, t);
  processed++;
  say({
    type: "done",
    session: current,
    box: session.box,
    width: picture.width,
    height: picture.height,
    processed,
    ms: performance.now() - began,
  });
  if (update) say({ type: "update", session: current, update });
}

async function handle(data: ToWorker): Promise<void> {
  if (data.type === "load") await load(data.base);
  else if (data.type === "start") {
    current = data.session;
    start(data.method);
  } else if (data.type === "frame") {
    if (data.session === current) await frame(data.shot, data.t);
    else if ("close" in data.shot) data.shot.close();
  } else if (session) {
    const texts = {
      json: () => `${JSON.stringify(documentOf(session!, data.version), null, 2)}\n`,
      csv: () => courseCsv(session!),
      wave: () => bvpCsv(session!),
    };
    say({ type: "exported", kind: data.kind, text: texts[data.kind]() });
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// One after the other: a message may come while an earlier one waits for a network.
let queue = Promise.resolve();
addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  queue = queue.then(() => handle(data)).catch((error: unknown) => say({ type: "failed", session: current, doing: data.type, message: message(error) }));
});
