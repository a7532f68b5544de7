/** The page: its controls, and what becomes of what the worker says. */

import { Pump, listCameras, openCamera } from "./camera";
import { Engine } from "./engine";
import type { ExportKind, FromWorker, MethodName } from "./protocol";
import { byId, make, setText } from "./ui/dom";
import { Readings } from "./ui/readings";
import { Overlay } from "./ui/stage";
import { PAUSED, SILENT, aboutCamera, insecure } from "./ui/words";
import { version } from "../package.json";

type State = "loading" | "idle" | "opening" | "running" | "broken";

const video = byId("video", HTMLVideoElement);
const startButton = byId("start", HTMLButtonElement);
const cameras = byId("camera", HTMLSelectElement);
const methods = byId("method", HTMLSelectElement);
const theme = byId("theme", HTMLSelectElement);
const problem = byId("problem", HTMLParagraphElement);
const fps = byId("fps", HTMLSpanElement);
const exports: [HTMLButtonElement, ExportKind, string][] = [
  [byId("save-json", HTMLButtonElement), "json", "application/json"],
  [byId("save-csv", HTMLButtonElement), "csv", "text/csv"],
  [byId("save-wave", HTMLButtonElement), "wave", "text/csv"],
];
/** Without a picture for this long there is no heart rate to be shown, ms. */
const STALE_MS = 3000;
const METHOD_NAMES: Record<MethodName, string> = { student: "Student", pos: "POS" };

const readings = new Readings();
const overlay = new Overlay(byId("overlay", HTMLCanvasElement));
let stream: MediaStream | null = null;
let pump: Pump | null = null;
let heard = 0; // when the worker was done with the newest frame, ms; infinite once that has been told
let told = false; // whether the page shows a reading
let finished: number[] = []; // when the worker was done with frames, ms
let attempt = 0; // to open a camera: an earlier one no longer counts
let state: State = "loading";

function become(next: State): void {
  state = document.body.dataset.state = next;
  const active = next === "running" || next === "opening";
  startButton.disabled = next === "loading" || next === "broken";
  setText(startButton, active ? "Stop" : "Start");
  methods.disabled = active;
}

function complain(text: string): void {
  problem.hidden = !text;
  setText(problem, text);
}

const engine = new Engine(hear);

function hear(message: FromWorker): void {
  if (message.type === "ready") {
    methods.replaceChildren(...message.methods.map((name) => new Option(METHOD_NAMES[name], name)));
    become("idle");
    readings.status("Press Start to begin.");
    if (message.notes.length) complain(message.notes.join(" "));
  } else if (message.type === "done") {
    if (state !== "running") return;
    heard = performance.now();
    overlay.draw(message.box, message.width, message.height);
    count(message.processed, message.ms);
  } else if (message.type === "update") {
    if (state !== "running") return;
    if (Number.isFinite(heard)) {
      readings.show(message.update);
      told = true;
    }
    fps.dataset.cameraFps = message.update.fps.toFixed(2);
    for (const [button] of exports) button.disabled = false;
  } else if (message.type === "exported") {
    save(message.kind, message.text);
  } else {
    if (message.doing !== "export") stop();
    if (state === "loading") {
      become("broken");
      readings.status("");
    }
    complain(`Something went wrong: ${message.message}`);
  }
}

/** Say once that there is nothing new; with the next picture the readings are there again. */
function silence(text: string): void {
  if (!Number.isFinite(heard)) return;
  heard = Infinity;
  told = false;
  overlay.clear();
  readings.silence(text);
}

/** The rate of processed frames over the last 3 seconds. */
function count(processed: number, ms: number): void {
  const now = performance.now();
  finished.push(now);
  finished = finished.filter((t) => now - t <= 3000);
  const rate = finished.length > 1 ? (1000 * (finished.length - 1)) / (now - finished[0]!) : 0;
  const dropped = engine.dropped + (pump?.missed ?? 0);
  Object.assign(fps.dataset, { fps: rate.toFixed(2), processed, dropped, ms: ms.toFixed(2) });
  if (processed % 15 !== 0) return;
  setText(fps, `${rate.toFixed(0)} frames a second measured, ${dropped} of ${processed + dropped} frames dropped`);
}

async function start(): Promise<void> {
  complain("");
  if (!navigator.mediaDevices) {
    complain(insecure(location.port));
    return;
  }
  const mine = ++attempt;
  become("opening");
  const waiting = (): boolean => mine === attempt && state === "opening"; // not when it was stopped on the way
  const opened = await openCamera(cameras.value).catch((error: unknown) => {
    if (waiting()) fail(aboutCamera(error));
    return null;
  });
  if (!opened) return;
  if (!waiting()) {
    release(opened);
    return;
  }
  stream = opened;
  const lost = (text: string): void => {
    if (stream === opened) fail(text);
  };
  opened
    .getVideoTracks()[0]
    ?.addEventListener("ended", () => lost("The camera was disconnected. Connect it, then press Start again."));
  video.srcObject = opened;
  // Not waited for: it is done with the first picture, which may never come.
  video.play().catch((error: unknown) => lost(aboutCamera(error)));
  await fillCameras();
  if (!waiting()) return;
  readings.reset();
  readings.status("Looking for your face.");
  for (const [button] of exports) button.disabled = true;
  told = false;
  finished = [];
  heard = performance.now();
  engine.start(methods.value as MethodName);
  const running = new Pump(video, (t) => {
    engine.take(video, t).catch((error: unknown) => {
      if (pump === running) fail(`The camera's pictures cannot be read: ${String(error)}`);
    });
  });
  pump = running;
  become("running");
}

function fail(text: string): void {
  stop();
  complain(text);
}

function release(camera: MediaStream | null): void {
  for (const track of camera?.getTracks() ?? []) track.stop();
}

function stop(): void {
  pump?.stop();
  pump = null;
  release(stream);
  stream = null;
  video.srcObject = null;
  overlay.clear();
  readings.stop();
  if (state === "running") readings.status(told ? "Stopped. The readings are the last ones." : "Stopped.");
  if (state !== "loading") become("idle");
}

async function fillCameras(): Promise<void> {
  const found = await listCameras().catch(() => []); // the default camera is there in any case
  const chosen = stream?.getVideoTracks()[0]?.getSettings().deviceId ?? cameras.value;
  const named = found.filter(({ deviceId }) => deviceId);
  cameras.replaceChildren(new Option("Default camera", ""), ...named.map((c, k) => new Option(c.label || `Camera ${k + 1}`, c.deviceId)));
  if (named.some(({ deviceId }) => deviceId === chosen)) cameras.value = chosen;
}

function save(kind: ExportKind, text: string): void {
  const type = exports.find(([, name]) => name === kind)![2];
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = { json: "kdphys.json", csv: "kdphys-heart-rate.csv", wave: "kdphys-pulse-wave.csv" }[kind];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

startButton.addEventListener("click", () => {
  if (state === "running" || state === "opening") stop();
  else void start();
});
cameras.addEventListener("change", () => {
  if (state !== "running" && state !== "opening") return;
  const chosen = cameras.value;
  stop();
  cameras.value = chosen;
  void start();
});
for (const [button, kind] of exports) button.addEventListener("click", () => engine.export(kind, version));
theme.addEventListener("change", () => {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  readings.redraw();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => readings.redraw());
addEventListener("resize", () => readings.redraw());
document.addEventListener("visibilitychange", () => {
  if (state !== "running") return;
  pump?.forget();
  if (document.hidden) silence(PAUSED);
});
setInterval(() => {
  if (state === "running" && performance.now() - heard > STALE_MS) silence(document.hidden ? PAUSED : SILENT);
}, 500);
if (navigator.mediaDevices) {
  navigator.mediaDevices.addEventListener("devicechange", () => void fillCameras());
  void fillCameras();
} else complain(insecure(location.port));
