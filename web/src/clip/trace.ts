/** One face over time, reduced to numbers: colour and the evidence about its quality, kept for a limited time. */

import { roundHalfEven } from "../dsp/stats";
import { BOX_SCALE, crop, square, surround } from "./crop";
import type { Box, Picture } from "./picture";
import { MAX_GAP_S, Resampler, type Block } from "./resampler";
import { GRID, OVAL, SIZE, SkinWeights, sharpness, skinMeans } from "./skin";

const PATCHES = GRID * GRID;
/**
 * Columns: R, G, B, luma, clipped, motion, surround, rate, place, sharpness, the patches' colours, whether each patch was
 * seen.
 */
const PLACE = 8;
const SHARPNESS = PLACE + 3;
const COLOURS = SHARPNESS + 1;
const SEEN = COLOURS + 3 * PATCHES;
const COLUMNS = SEEN + PATCHES;

/** Below this mean difference of two faces, grey levels, the picture before is shown once more. */
const SHOWN_AGAIN = 0.05;

/** What was seen beside the pulse, on the pulse's clock; see kdphys/containers.py. */
export interface Evidence {
  rgb: Float64Array; // T × 3, NaN in gaps
  patches: Float32Array; // T × P × 3
  nPatches: number;
  luma: Float64Array;
  clipped: Float64Array;
  motion: Float64Array;
  rate: Float64Array; // frames a second that the sample was made of
  surround: Float64Array; // brightness around the face, NaN where it is not known
  sharpness: Float64Array; // how much the pixels of the face differ from those beside them, grey levels
  place: Float64Array; // T × 3, centre of the face and half of its width, in widths of the face as it was first seen
}

/** A stretch of a trace. */
export interface Trace {
  valid: Uint8Array;
  evidence: Evidence;
}

export class TraceBuilder {
  private readonly skin = new SkinWeights();
  private readonly stream: Resampler;
  private readonly table: Float32Array;
  private readonly filled: Float64Array; // which sample number each row of the ring holds
  private readonly held = new Float64Array(3 * PATCHES);
  private last: { t: number; box: Box } | null = null;
  private rate: number; // new pictures a second, by the last step; the first frame has none
  private shown: { t: number; face: Float32Array } | null = null; // the last picture that was not the one before
  private stop = 0;
  private unit = 0; // width of the face when it was first seen
  private around = -1; // the last brightness around the face; negative until there is one

  /**
   * @param fs Hz.
   * @param t0 time of sample 0, seconds.
   * @param capacity samples that are kept.
   */
  constructor(
    readonly fs: number,
    readonly t0: number,
    readonly capacity: number,
  ) {
    this.stream = new Resampler(fs, t0, MAX_GAP_S);
    this.rate = fs;
    this.table = new Float32Array(capacity * COLUMNS);
    this.filled = new Float64Array(capacity).fill(-1);
  }

  /** Number of samples that are settled, counted from sample 0. */
  get settled(): number {
    return this.stop;
  }

  /**
   * Take a picture and the face box in it, and that box held on the face's pixels if that is known; give what is settled.
   * Where no skin is usable, all of the face counts. Its corners are whole pixels, as in Python.
   */
  add(picture: Picture, t: number, box: Box, held = box): Block[] {
    const face = crop(picture, square(box, 1).map(roundHalfEven) as Box, SIZE);
    return face ? this.addFace(face, t, box, surround(picture, box, BOX_SCALE), held) : [];
  }

  /** Take a face (64 × 64 RGB, 0–255, of the face box) that is cut out already; `held`: where its pixels were. */
  addFace(face: Float32Array, t: number, box: Box, around = NaN, held = box): Block[] {
    const skin = skinMeans(face, this.skin.update(face, t));
    // Too dark or too bright for skin: all of the face, which shows it.
    const { mean, patches } = skin.mean.every(Number.isFinite) ? skin : skinMeans(face, OVAL);
    let motion = 0;
    if (this.last) {
      const step = Math.max(t - this.last.t, 1e-3);
      const moved = box.reduce((total, v, k) => total + Math.abs(v - this.last!.box[k]!), 0) / 4;
      motion = moved / Math.max(box[2] - box[0], 1) / step;
      if (t - this.last.t > MAX_GAP_S) this.shown = null;
    }
    if (!this.shown || difference(face, this.shown.face) > SHOWN_AGAIN) {
      if (this.shown) this.rate = 1 / Math.max(t - this.shown.t, 1e-6);
      this.shown = { t, face };
    }
    this.last = { t, box: [...box] };
    const row = new Float32Array(COLUMNS);
    row.set(mean);
    row[3] = 0.299 * mean[0] + 0.587 * mean[1] + 0.114 * mean[2];
    row[4] = clippedShare(face);
    row[5] = motion;
    if (Number.isFinite(around)) this.around = around;
    row[6] = this.around;
    this.unit ||= Math.max(box[2] - box[0], 1);
    row[7] = this.rate;
    row[SHARPNESS] = sharpness(face);
    row[PLACE] = (held[0] + held[2]) / (2 * this.unit);
    row[PLACE + 1] = (held[1] + held[3]) / (2 * this.unit);
    row[PLACE + 2] = (held[2] - held[0]) / (2 * this.unit);
    for (let p = 0; p < PATCHES; p++) {
      const colour = patches.subarray(3 * p, 3 * p + 3);
      if (!colour.every(Number.isFinite)) continue;
      this.held.set(colour, 3 * p);
      row[SEEN + p] = 1;
    }
    row.set(this.held, COLOURS);
    return this.keep(this.stream.push(t, row));
  }

  /** End the stretch: settle what waits for the next frame. */
  flush(): Block[] {
    return this.keep(this.stream.flush());
  }

  private keep(blocks: Block[]): Block[] {
    for (const block of blocks)
      block.rows.forEach((row, k) => {
        const n = block.start + k;
        this.table.set(row, (n % this.capacity) * COLUMNS);
        this.filled[n % this.capacity] = n;
        this.stop = Math.max(this.stop, n + 1);
      });
    return blocks;
  }

  /** The samples `from` … `to` (not included); what was not seen, or is forgotten, is not valid. */
  slice(from: number, to: number): Trace {
    const n = to - from;
    const at = Int32Array.from({ length: n }, (_, k) => {
      const slot = (from + k) % this.capacity;
      return this.filled[slot] === from + k ? slot * COLUMNS : -1;
    });
    const valid = Uint8Array.from(at, (slot) => Number(slot >= 0));
    const count = valid.reduce((total, v) => total + v, 0);
    const kept: number[] = [];
    for (let p = 0; p < PATCHES; p++) {
      let seen = 0;
      for (const slot of at) if (slot >= 0) seen += this.table[slot + SEEN + p]!;
      if (seen > 0.9 * Math.max(count, 1)) kept.push(p);
    }
    const column = (c: number): Float64Array => Float64Array.from(at, (slot) => (slot < 0 ? NaN : this.table[slot + c]!));
    const rgb = new Float64Array(3 * n).fill(NaN);
    const patches = new Float32Array(3 * n * kept.length).fill(NaN);
    at.forEach((slot, k) => {
      if (slot < 0) return;
      rgb.set(this.table.subarray(slot, slot + 3), 3 * k);
      kept.forEach((p, i) => {
        const colour = slot + COLOURS + 3 * p;
        patches.set(this.table.subarray(colour, colour + 3), 3 * (k * kept.length + i));
      });
    });
    const evidence: Evidence = {
      rgb,
      patches,
      nPatches: kept.length,
      luma: column(3),
      clipped: column(4),
      motion: column(5),
      rate: column(7),
      sharpness: column(SHARPNESS),
      surround: column(6).map((v) => (v < 0 ? NaN : v)),
      place: Float64Array.from({ length: 3 * n }, (_, k) => {
        const slot = at[Math.floor(k / 3)]!;
        return slot < 0 ? NaN : this.table[slot + PLACE + (k % 3)]!;
      }),
    };
    return { valid, evidence };
  }
}

function difference(a: Float32Array, b: Float32Array): number {
  let total = 0;
  for (let k = 0; k < a.length; k++) total += Math.abs(a[k]! - b[k]!);
  return total / a.length;
}

/** Share of the middle of the face that is over-exposed. */
function clippedShare(face: Float32Array): number {
  let over = 0;
  for (let y = 8; y < SIZE - 8; y++)
    for (let x = 8; x < SIZE - 8; x++) {
      const k = 3 * (y * SIZE + x);
      if (Math.max(face[k]!, face[k + 1]!, face[k + 2]!) > 250) over++;
    }
  return over / (SIZE - 16) ** 2;
}
