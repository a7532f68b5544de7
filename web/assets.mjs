/**
 * Brings what the page needs beside its own code into the build: the engine (compressed), models, the calibration of
 * the SQI; and records what a build was made from, so that a test can tell an old one.
 *
 *   node assets.mjs      after new models or a new calibration, when no source of the page has changed
 */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const WEB = fileURLToPath(new URL(".", import.meta.url));
const ROOT = join(WEB, "..");
const ASSETS = join(ROOT, "src/kdphys/assets");
const ENGINE = "ort-wasm-simd-threaded.wasm";
const MODELS = ["blazeface_short.onnx", "student-stream.onnx", "sqi.json"];
/** What a build is made from, in web/. */
const SOURCES = ["src", "public", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "assets.mjs"];

const slashes = (path) => path.replaceAll("\\", "/");
const hash = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

function files(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).sort().flatMap((name) => files(join(path, name)));
}

const hashes = (paths, base) =>
  Object.fromEntries(paths.flatMap(files).sort().map((path) => [slashes(relative(base, path)), hash(path)]));

/** Copy engine and models into the build. */
export function addAssets(outDir) {
  mkdirSync(join(outDir, "ort"), { recursive: true });
  mkdirSync(join(outDir, "models"), { recursive: true });
  const engine = join(WEB, "node_modules/onnxruntime-web/dist", ENGINE);
  const packed = join(outDir, "ort", `${ENGINE}.gz`);
  if (existsSync(engine)) writeFileSync(packed, gzipSync(readFileSync(engine), { level: 9 }));
  else if (!existsSync(packed)) throw new Error(`${engine} is missing: run 'npm ci' in web/`);
  const models = MODELS.filter((name) => existsSync(join(ASSETS, name)));
  for (const name of MODELS) {
    if (models.includes(name)) copyFileSync(join(ASSETS, name), join(outDir, "models", name));
    else rmSync(join(outDir, "models", name), { force: true });
  }
  writeFileSync(join(outDir, "models/index.json"), `${JSON.stringify({ models })}\n`);
}

/** Write build.json: hashes of the sources, of the assets taken, and of all files of the build. */
export function stamp(outDir, { sources }) {
  const path = join(outDir, "build.json");
  const before = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  rmSync(path, { force: true });
  const taken = MODELS.map((name) => join(ASSETS, name)).filter((file) => existsSync(file));
  const record = {
    sources: sources ? hashes(SOURCES.map((name) => join(WEB, name)), ROOT) : before.sources,
    assets: hashes(taken, ROOT),
    files: hashes([outDir], outDir),
  };
  writeFileSync(path, `${JSON.stringify(record, null, 1)}\n`);
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  const outDir = join(ROOT, "src/kdphys/serve/static");
  addAssets(outDir);
  stamp(outDir, { sources: false });
}
