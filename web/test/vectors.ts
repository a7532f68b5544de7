/** Reads test vectors that tools/web_vectors.py wrote, and compares with them. */

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Evidence } from "../src/clip/trace";
import type { Picture } from "../src/clip/picture";
import type { Pulse } from "../src/pulse/pulse";

export interface Packed {
  dtype: string;
  shape: number[];
  data: string;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Json = any;

export const vectors = (name: string): Json =>
  JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), "utf8"));

export const asset = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../src/kdphys/assets/${name}`, import.meta.url)));

export const calibration = (): Json => JSON.parse(new TextDecoder().decode(asset("sqi.json")));

export function bytes({ data }: Packed): Uint8Array {
  return Uint8Array.from(Buffer.from(data, "base64"));
}

export function floats(packed: Packed): Float32Array {
  return new Float32Array(bytes(packed).buffer);
}

export const doubles = (packed: Packed): Float64Array => Float64Array.from(floats(packed));

/** Pictures (…, H, W, 3) as the browser has them. */
export function pictures(packed: Packed): Picture[] {
  const [height, width] = packed.shape.slice(-3) as [number, number];
  const rgb = bytes(packed);
  const pixels = width * height;
  return Array.from({ length: rgb.length / pixels / 3 }, (_, n) => {
    const data = new Uint8Array(4 * pixels).fill(255);
    for (let k = 0; k < pixels; k++) data.set(rgb.subarray(3 * (n * pixels + k), 3 * (n * pixels + k) + 3), 4 * k);
    return { data, width, height };
  });
}

/** A picture pushed `right` and `down`; what leaves it comes in at the other side. */
export function rolled({ data, width, height }: Picture, right: number, down = 0): Picture {
  const out = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const to = 4 * (((y + down + height) % height) * width + ((x + right + width) % width));
      out.set(data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4), to);
    }
  return { data: out, width, height };
}

/** All within `tolerance`, relative to the largest number there or to 1; NaN only where NaN is expected. */
export function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 1e-3): void {
  expect(got.length).toBe(want.length);
  let scale = 0;
  for (let k = 0; k < want.length; k++) if (Number.isFinite(want[k]!)) scale = Math.max(scale, Math.abs(want[k]!));
  const allowed = tolerance * Math.min(Math.max(scale, 1e-9), 1);
  let worst = 0;
  let at = -1;
  for (let k = 0; k < want.length; k++) {
    if (Number.isNaN(want[k]!) && Number.isNaN(got[k]!)) continue;
    const off = Math.abs(got[k]! - want[k]!);
    if (!(off <= worst)) [worst, at] = [off, k];
  }
  expect(worst, `element ${at}: ${got[at]} instead of ${want[at]}`).toBeLessThanOrEqual(allowed);
}

export function evidenceOf(e: Json): Evidence {
  const [, nPatches] = e.patches.shape;
  return {
    rgb: doubles(e.rgb),
    patches: floats(e.patches),
    nPatches,
    luma: doubles(e.luma),
    clipped: doubles(e.clipped),
    motion: doubles(e.motion),
    rate: doubles(e.rate),
    surround: doubles(e.surround),
    place: doubles(e.place),
    sharpness: doubles(e.sharpness),
  };
}

export function pulseOf(p: Json): Pulse {
  return {
    bvp: doubles(p.bvp),
    fs: p.fs,
    t0: p.t0,
    valid: Uint8Array.from(p.valid),
    method: p.method,
    evidence: p.evidence ? evidenceOf(p.evidence) : null,
    scale: p.scale ? doubles(p.scale) : null,
  };
}
