/** Which pixels of a face are skin that can be trusted, learned from the face itself: see kdphys/clip/skin.py. */

import { clamp, median } from "../dsp/stats";

/** Side of the face picture that skin weights and patch means are computed on, pixels. */
export const SIZE = 64;
/** Patches along each side of the face. */
export const GRID = 4;
const DARK = 8;
const BRIGHT = 250;
/** Time constant, seconds. */
const TAU_S = 1.5;
const AREA = SIZE * SIZE;

/** Where in the face box a face is, 0–1: an ellipse, soft at the rim. */
export const OVAL = new Float32Array(AREA);
const CORE: number[] = [];
for (let row = 0; row < SIZE; row++) {
  for (let column = 0; column < SIZE; column++) {
    const y = row / (SIZE - 1) - 0.5;
    const x = column / (SIZE - 1) - 0.5;
    OVAL[row * SIZE + column] = clamp((1 - Math.hypot(x / 0.47, (y + 0.02) / 0.56)) / 0.15, 0, 1);
    if (
      row >= Math.trunc(0.4 * SIZE) &&
      row < Math.trunc(0.72 * SIZE) &&
      column >= Math.trunc(0.22 * SIZE) &&
      column < Math.trunc(0.78 * SIZE)
    )
      CORE.push(row * SIZE + column);
  }
}

/** Skin weights that follow one face over time, slowly against the pulse. */
export class SkinWeights {
  private mean: Float32Array | null = null;
  private weights: Float32Array | null = null;
  private t = 0;
  private tWeights = 0;

  /** Take the face (64 × 64 RGB, 0–255) at `t` seconds; give weights in [0, 1]. */
  update(face: Float32Array, t: number): Float32Array {
    if (!this.mean || !this.weights) {
      this.mean = face.slice();
      this.weights = skinWeights(face);
      this.t = this.tWeights = t;
      return this.weights;
    }
    const share = 1 - Math.exp(-Math.max(t - this.t, 0) / TAU_S);
    this.t = t;
    const { mean } = this;
    for (let k = 0; k < mean.length; k++) mean[k]! += share * (face[k]! - mean[k]!);
    if (t - this.tWeights >= 0.2) {
      const part = 1 - Math.exp(-(t - this.tWeights) / TAU_S);
      const now = skinWeights(mean);
      this.weights = this.weights.map((w, k) => w + part * (now[k]! - w));
      this.tWeights = t;
    }
    return this.weights;
  }
}

/** Weights of one picture. */
export function skinWeights(face: Float32Array): Float32Array {
  const smooth = blur(face);
  const features = [0, 1, 2].map(() => new Float32Array(AREA));
  const usable = new Uint8Array(AREA);
  for (let k = 0; k < AREA; k++) {
    const [r, g, b] = [smooth[3 * k]!, smooth[3 * k + 1]!, smooth[3 * k + 2]!];
    const total = r + g + b + 1e-3;
    features[0]![k] = r / total;
    features[1]![k] = b / total;
    features[2]![k] = 0.2 * Math.log(total); // weakly: shading is not another material
    usable[k] = Number(Math.min(r, g, b) > DARK && Math.max(r, g, b) < BRIGHT);
  }
  let core = CORE.filter((k) => usable[k]);
  if (core.length < 30) core = CORE;
  const weights = new Float32Array(AREA);
  for (const feature of features) {
    const centre = median(core.map((k) => feature[k]!));
    const spread = 1.4826 * median(core.map((k) => Math.abs(feature[k]! - centre))) + 0.012;
    for (let k = 0; k < AREA; k++) weights[k]! += ((feature[k]! - centre) / (3 * spread)) ** 2;
  }
  for (let k = 0; k < AREA; k++) weights[k] = Math.exp(-0.5 * weights[k]!) * usable[k]! * OVAL[k]!;
  return weights;
}

/** Mean over 3 × 3 pixels, mirrored at the edge without repeating it. */
function blur(face: Float32Array): Float32Array {
  const mirror = (k: number): number => (k < 0 ? -k : k >= SIZE ? 2 * SIZE - 2 - k : k);
  const across = new Float32Array(face.length);
  const out = new Float32Array(face.length);
  for (let y = 0; y < SIZE; y++)
    for (let x = 0; x < SIZE; x++)
      for (let c = 0; c < 3; c++) {
        const at = (column: number): number => face[(y * SIZE + mirror(column)) * 3 + c]!;
        across[(y * SIZE + x) * 3 + c] = at(x - 1) + at(x) + at(x + 1);
      }
  for (let y = 0; y < SIZE; y++) {
    const [above, below] = [mirror(y - 1), mirror(y + 1)];
    for (let k = 0; k < 3 * SIZE; k++)
      out[y * 3 * SIZE + k] =
        (across[above * 3 * SIZE + k]! + across[y * 3 * SIZE + k]! + across[below * 3 * SIZE + k]!) / 9;
  }
  return out;
}

/** Skin-weighted mean colour of the face and of its patches; NaN where there is no skin. */
export interface SkinMeans {
  mean: [number, number, number];
  patches: Float64Array; // GRID² × 3
}

/** Mean difference of a pixel of a face (64 × 64 RGB) from its four neighbours, grey levels, four times over. */
export function sharpness(face: Float32Array): number {
  const grey = new Float32Array(SIZE * SIZE);
  for (let k = 0; k < grey.length; k++) grey[k] = 0.299 * face[3 * k]! + 0.587 * face[3 * k + 1]! + 0.114 * face[3 * k + 2]!;
  let total = 0;
  for (let y = 1; y < SIZE - 1; y++)
    for (let x = 1, k = y * SIZE + 1; x < SIZE - 1; x++, k++)
      total += Math.abs(4 * grey[k]! - grey[k - SIZE]! - grey[k + SIZE]! - grey[k - 1]! - grey[k + 1]!);
  return total / (SIZE - 2) ** 2;
}

export function skinMeans(face: Float32Array, weights: Float32Array): SkinMeans {
  const cell = SIZE / GRID;
  const patches = new Float64Array(GRID * GRID * 3);
  const mass = new Float64Array(GRID * GRID);
  for (let y = 0; y < SIZE; y++)
    for (let x = 0; x < SIZE; x++) {
      const k = y * SIZE + x;
      const w = weights[k]!;
      const p = Math.floor(y / cell) * GRID + Math.floor(x / cell);
      mass[p]! += w;
      for (let c = 0; c < 3; c++) patches[3 * p + c]! += w * face[3 * k + c]!;
    }
  const mean: [number, number, number] = [0, 0, 0];
  let total = 0;
  for (let p = 0; p < mass.length; p++) {
    total += mass[p]!;
    for (let c = 0; c < 3; c++) mean[c]! += patches[3 * p + c]!;
    const enough = mass[p]! > 0.06 * cell * cell;
    for (let c = 0; c < 3; c++) patches[3 * p + c] = enough ? patches[3 * p + c]! / mass[p]! : NaN;
  }
  for (let c = 0; c < 3; c++) mean[c] = total > 1 ? mean[c]! / total : NaN;
  return { mean, patches };
}
