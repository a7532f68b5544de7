/** The raw waveform of a method, as samples come; as kdphys/streaming/waveform.py. */

import type { Block } from "../clip/resampler";
import { pos } from "../classical/methods";
import { Ring } from "./ring";

/** What turns samples on a uniform clock into a raw waveform. */
export interface Waveform {
  readonly name: string;
  readonly lookahead: number; // samples of the future that one output waits for
  readonly crop: { size: number; scale: number } | null; // of the pictures that it takes; null: it takes the mean colour
  readonly ring: Ring;
  /** Take samples; the end of a stretch is computed at once. */
  take(block: Block): Promise<void>;
  /** Compute what can be computed now. */
  settle(): Promise<void>;
}

/** A stretch shorter than this is not computed, seconds. */
const MIN_RUN_S = 3;

/** POS: a sample is settled when all windows of 1.6 s that cover it are there. */
export class PosWaveform implements Waveform {
  readonly name = "pos";
  readonly crop = null;
  readonly lookahead: number;
  readonly ring: Ring;
  private rgb: number[] = []; // of the stretch, from sample `start` on
  private start = -1;
  private origin = -1; // first sample of the stretch
  private done = 0;

  constructor(
    private readonly fs: number,
    capacity: number,
  ) {
    this.lookahead = Math.ceil(1.6 * fs) - 1;
    this.ring = new Ring(capacity);
  }

  async take({ start, rows, ends }: Block): Promise<void> {
    if (this.origin < 0) this.origin = this.start = this.done = start;
    for (const row of rows) this.rgb.push(row[0]!, row[1]!, row[2]!);
    if (!ends) return;
    this.compute(0);
    this.rgb = [];
    this.origin = -1;
  }

  async settle(): Promise<void> {
    if (this.origin >= 0) this.compute(this.lookahead);
  }

  private compute(lookahead: number): void {
    const stop = this.start + this.rgb.length / 3;
    if (stop - this.origin < MIN_RUN_S * this.fs || this.done >= stop - lookahead) return;
    const wave = pos(Float64Array.from(this.rgb), this.fs);
    for (; this.done < stop - lookahead; this.done++) this.ring.put(this.done, wave[this.done - this.start]!);
    const keep = Math.max(this.done - this.lookahead, this.start);
    this.rgb.splice(0, 3 * (keep - this.start));
    this.start = keep;
  }
}

/** A network that is run a few frames at a time, its past in states. */
export interface StreamingModel {
  readonly name: string;
  readonly size: number;
  readonly boxScale: number;
  readonly lookahead: number;
  /** Forget the past. */
  reset(): void;
  /** Crops (T, S, S, 3) and whether each is there → the waveform, `lookahead` samples late. */
  run(rgb: Float32Array, present: Float32Array): Promise<Float32Array>;
}

/** The student: each frame is computed once. */
export class StudentWaveform implements Waveform {
  readonly name: string;
  readonly lookahead: number;
  readonly crop: { size: number; scale: number };
  readonly ring: Ring;
  private origin = -1;
  private waiting: Float32Array[] = [];
  private next = 0; // the sample that is given to the network next

  constructor(
    private readonly model: StreamingModel,
    capacity: number,
  ) {
    this.name = model.name;
    this.lookahead = model.lookahead;
    this.crop = { size: model.size, scale: model.boxScale };
    this.ring = new Ring(capacity);
    model.reset();
  }

  async take({ start, rows, ends }: Block): Promise<void> {
    if (this.origin < 0 && rows.length) this.origin = this.next = start;
    this.waiting.push(...rows);
    if (!ends || this.origin < 0) return;
    await this.settle();
    await this.run([], this.lookahead, 0); // absent frames bring the last samples out
    this.model.reset();
    this.origin = -1;
  }

  async settle(): Promise<void> {
    const rows = this.waiting;
    this.waiting = [];
    if (rows.length) await this.run(rows, rows.length, 1);
  }

  private async run(rows: Float32Array[], count: number, present: number): Promise<void> {
    const pixels = this.model.size ** 2 * 3;
    const rgb = new Float32Array(count * pixels);
    rows.forEach((row, k) => rgb.set(row, k * pixels));
    const out = await this.model.run(rgb, new Float32Array(count).fill(present));
    for (let k = 0; k < count; k++) {
      const n = this.next + k - this.lookahead;
      if (n >= this.origin) this.ring.put(n, out[k]!);
    }
    this.next += count;
  }
}
