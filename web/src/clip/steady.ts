/**
 * A face held still: a box that moves with the face's own pixels, to a fraction of one; as kdphys/clip/steady.py.
 *
 * Each frame's face is laid on the mean of those before (shift and scale), while the box is drawn slowly to the
 * detector's.
 */

import { clamp } from "../dsp/stats";
import { square } from "./crop";
import type { Box, Picture } from "./picture";
import { MAX_GAP_S } from "./resampler";

/** Side of the template, and the width of the Gaussian that samples it, in its pixels. */
const SIDE = 32;
const BLUR = 1.2;
/** Seconds: memory of the template, and of the box for the detector's. */
const TEMPLATE_S = 1;
const LEASH_S = 5;
/** Further than this from the detector's box, in its sides, or larger or smaller by this ratio, is lost. */
const FAR = 0.25;
const RATIO = 1.4;
/** What is followed is as like what it was as this (correlation), or it is lost. */
const LIKE = 0.5;
/** Steps for one picture at most, and how much the face may grow in one. */
const STEPS = 3;
const GROWTH = 0.2;

const PIXELS = SIDE * SIDE;
const AXIS = Float64Array.from({ length: SIDE }, (_, k) => (k + 0.5) / SIDE - 0.5);
/** What counts: the middle of the face; sum 1. */
const WEIGHTS = bells();

/** Follows one face from picture to picture. */
export class Steady {
  private template: Float64Array | null = null;
  private x = 0;
  private y = 0;
  private side = 0;
  private t = 0;

  /** The box on the face in the next picture with it, of the same shape as the tracker's `box`. */
  follow(picture: Picture, t: number, box: Box): Box {
    const [x0, y0, x1, y1] = square(box, 1);
    const [x, y, side] = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0];
    if (!this.template || t - this.t > MAX_GAP_S) this.begin(picture, x, y, side);
    else this.lay(picture, t - this.t, x, y, side);
    this.t = t;
    const [w, h] = [((box[2] - box[0]) / 2) * (this.side / side), ((box[3] - box[1]) / 2) * (this.side / side)];
    return [this.x - w, this.y - h, this.x + w, this.y + h];
  }

  private begin(picture: Picture, x: number, y: number, side: number): void {
    [this.x, this.y, this.side] = [x, y, side];
    this.template = Grey.around(picture, x, y, side)?.patch(x, y, side) ?? null;
  }

  private lay(picture: Picture, dt: number, toX: number, toY: number, toSide: number): void {
    const template = this.template!;
    const grey = Grey.around(picture, this.x, this.y, this.side);
    if (!grey) return this.begin(picture, toX, toY, toSide);
    const slopes = slopesOf(template);
    const solve = solver(slopes);
    let [x, y, side] = [this.x, this.y, this.side];
    for (let step = 0; step < STEPS; step++) {
      const patch = grey.patch(x, y, side);
      const moved = [0, 0, 0];
      for (let k = 0; k < 3; k++)
        for (let p = 0; p < PIXELS; p++) moved[k]! += solve[k]![p]! * (patch[p]! - template[p]!);
      x -= side * moved[0]!;
      y -= side * moved[1]!;
      side *= 1 - clamp(moved[2]!, -GROWTH, GROWTH);
      if (Math.max(...moved.map(Math.abs)) < 1e-3) break;
    }
    const there = x >= 0 && x < picture.width && y >= 0 && y < picture.height;
    const near = Math.hypot(x - toX, y - toY) < FAR * toSide && there;
    if (!near || side / toSide <= 1 / RATIO || side / toSide >= RATIO) return this.begin(picture, toX, toY, toSide);
    const home = Math.min(dt / LEASH_S, 1);
    const way = [home * (toX - x), home * (toY - y), home * (toSide - side)] as const;
    [this.x, this.y, this.side] = [x + way[0], y + way[1], side + way[2]];
    // The template comes along, or it would hold the box back.
    for (let k = 0; k < 3; k++) for (let p = 0; p < PIXELS; p++) template[p]! += (way[k]! / side) * slopes[k]![p]!;
    const now = grey.patch(this.x, this.y, this.side);
    if (likeness(now, template) < LIKE) return this.begin(picture, toX, toY, toSide);
    const share = Math.min(dt / TEMPLATE_S, 1);
    for (let p = 0; p < PIXELS; p++) template[p]! += share * (now[p]! - template[p]!);
  }
}

/** The brightness around a face, shrunk by a whole number so that the face is some 24–48 pixels wide. */
class Grey {
  private constructor(
    private readonly values: Float64Array, // rows
    private readonly at: { x: Float64Array; y: Float64Array }, // of their columns and rows in the picture
  ) {}

  /** Null where too little of it is in the picture. */
  static around({ data, width, height }: Picture, x: number, y: number, side: number): Grey | null {
    const step = Math.max(Math.ceil(side / 48), 1);
    const [x0, y0] = [Math.max(Math.trunc(x - 0.7 * side), 0), Math.max(Math.trunc(y - 0.7 * side), 0)];
    const across = Math.floor((Math.min(Math.trunc(x + 0.7 * side) + 1, width) - x0) / step);
    const down = Math.floor((Math.min(Math.trunc(y + 0.7 * side) + 1, height) - y0) / step);
    if (Math.min(across, down) < 8) return null;
    const values = new Float64Array(across * down);
    for (let row = 0; row < down * step; row++) {
      let from = 4 * ((y0 + row) * width + x0);
      const to = Math.floor(row / step) * across;
      for (let column = 0; column < across * step; column++, from += 4) {
        // As OpenCV: whole grey levels (ITU-R BT.601).
        const level = (9798 * data[from]! + 19235 * data[from + 1]! + 3735 * data[from + 2]! + 16384) >> 15;
        values[to + Math.floor(column / step)]! += level / (step * step);
      }
    }
    const centres = (first: number, n: number): Float64Array =>
      Float64Array.from({ length: n }, (_, k) => first + step * (k + 0.5));
    return new Grey(values, { x: centres(x0, across), y: centres(y0, down) });
  }

  /** What lies in the square, 32 × 32, of mean 0 and spread 1 where the template looks. */
  patch(x: number, y: number, side: number): Float64Array {
    const [across, down] = [sampled(x, side, this.at.x), sampled(y, side, this.at.y)];
    const w = this.at.x.length;
    const out = new Float64Array(PIXELS);
    const row = new Float64Array(w);
    let mean = 0;
    for (let i = 0, p = 0; i < SIDE; i++) {
      row.fill(0);
      for (let r = down[i]!.first, k = 0; k < down[i]!.weights.length; r++, k++) {
        const weight = down[i]!.weights[k]!;
        for (let c = 0; c < w; c++) row[c]! += weight * this.values[r * w + c]!;
      }
      for (let j = 0; j < SIDE; j++, p++) {
        const { first, weights } = across[j]!;
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += row[first + k]! * weights[k]!;
        out[p] = sum;
        mean += WEIGHTS[p]! * sum;
      }
    }
    let power = 1;
    for (let p = 0; p < PIXELS; p++) {
      out[p]! -= mean;
      power += WEIGHTS[p]! * out[p]! ** 2;
    }
    const spread = Math.sqrt(power);
    for (let p = 0; p < PIXELS; p++) out[p]! /= spread;
    return out;
  }
}

/** Weights of the pixels at `at` for each row or column of a patch; beyond the last it goes on like it. */
function sampled(centre: number, side: number, at: Float64Array): { first: number; weights: Float64Array }[] {
  const [n, spacing] = [at.length, at[1]! - at[0]!];
  const width = (BLUR * side) / SIDE;
  return Array.from(AXIS, (place) => {
    const looked = clamp(centre + side * place, at[0]!, at[n - 1]!);
    const [middle, reach] = [(looked - at[0]!) / spacing, (6 * width) / spacing]; // further off it weighs 10⁻⁸
    const first = Math.max(Math.round(middle - reach), 0);
    const weights = new Float64Array(Math.min(Math.round(middle + reach), n - 1) + 1 - first);
    let total = 0;
    for (let k = 0; k < weights.length; k++) {
      const away = (at[first + k]! - looked) / width;
      total += weights[k] = Math.exp(-0.5 * away * away);
    }
    for (let k = 0; k < weights.length; k++) weights[k]! /= total;
    return { first, weights };
  });
}

/** Correlation of two patches where the template looks. */
function likeness(a: Float64Array, b: Float64Array): number {
  let [both, ofA, ofB] = [0, 0, 0];
  for (let p = 0; p < PIXELS; p++) {
    both += WEIGHTS[p]! * a[p]! * b[p]!;
    ofA += WEIGHTS[p]! * a[p]! ** 2;
    ofB += WEIGHTS[p]! * b[p]! ** 2;
  }
  return both / Math.sqrt(Math.max(ofA * ofB, 1e-12));
}

/** How a patch changes, a side, when it is shifted right, down, and grows. */
function slopesOf(template: Float64Array): Float64Array[] {
  const slopes = [0, 1, 2].map(() => new Float64Array(PIXELS));
  const slope = (p: number, k: number, stride: number): number => {
    const [low, high] = [k > 0 ? p - stride : p, k < SIDE - 1 ? p + stride : p];
    return ((template[high]! - template[low]!) * SIDE * stride) / (high - low);
  };
  for (let i = 0, p = 0; i < SIDE; i++)
    for (let j = 0; j < SIDE; j++, p++) {
      const [right, down] = [slope(p, j, 1), slope(p, i, SIDE)];
      slopes[0]![p] = right;
      slopes[1]![p] = down;
      slopes[2]![p] = right * AXIS[j]! + down * AXIS[i]!;
    }
  return slopes;
}

/** What turns the difference of a patch from the template into a shift right, down, and growth, in sides. */
function solver(slopes: Float64Array[]): Float64Array[] {
  const normal = [0, 1, 2].map(() => [0, 0, 0]);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++) {
      let sum = 0;
      for (let p = 0; p < PIXELS; p++) sum += WEIGHTS[p]! * slopes[i]![p]! * slopes[j]![p]!;
      normal[i]![j] = i === j ? sum * (1 + 1e-3) + 1e-9 : sum;
    }
  return inverted(normal).map(([a, b, c]) => {
    const row = new Float64Array(PIXELS);
    for (let p = 0; p < PIXELS; p++)
      row[p] = WEIGHTS[p]! * (a! * slopes[0]![p]! + b! * slopes[1]![p]! + c! * slopes[2]![p]!);
    return row;
  });
}

/** Of a symmetric 3 × 3 matrix. */
function inverted([[a, b, c], [, d, e], [, , f]]: number[][]): number[][] {
  const [p, q, r] = [d! * f! - e! * e!, c! * e! - b! * f!, b! * e! - c! * d!];
  const det = a! * p + b! * q + c! * r;
  const [s, t, u] = [a! * f! - c! * c!, b! * c! - a! * e!, a! * d! - b! * b!];
  return [
    [p, q, r],
    [q, s, t],
    [r, t, u],
  ].map((row) => row.map((v) => v / det));
}

function bells(): Float64Array {
  const bell = AXIS.map((v) => Math.exp(-((v / 0.5) ** 2)));
  const total = bell.reduce((sum, v) => sum + v, 0) ** 2;
  return Float64Array.from({ length: PIXELS }, (_, p) => (bell[Math.floor(p / SIDE)]! * bell[p % SIDE]!) / total);
}
