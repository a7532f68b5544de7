/** Frames in, vital signs out, each second, for as long as there are frames; as kdphys/streaming/session.py. */

import { crop, square } from "../clip/crop";
import type { Box, Picture } from "../clip/picture";
import { MAX_GAP_S, Resampler } from "../clip/resampler";
import { Steady } from "../clip/steady";
import { TraceBuilder } from "../clip/trace";
import { sum } from "../dsp/stats";
import type { Face } from "../face/detect";
import { FaceTracker, MEMORY_S, type Tracked } from "../face/track";
import { shapePulse, type Pulse } from "../pulse/pulse";
import type { Beats } from "../vitals/beats";
import type { HrvName } from "../vitals/hrv";
import type { Calibration } from "../vitals/quality";
import type { Estimate, HrWindow } from "../vitals/result";
import { advise } from "./advice";
import { Choice } from "./choice";
import { Clock } from "./clock";
import { LiveVitals, MIN_HR_S, cut } from "./vitals";
import type { Waveform } from "./waveform";

export const FS = 30;
/** What the pulse is kept for: LF needs 2 minutes. */
export const HISTORY_S = 180;
const REFRESH_S = 1;
/** Length of the waveform in an update, seconds. */
export const SHOWN_S = 10;
/** Heart rates that are kept, one a second. */
export const COURSE_LENGTH = 6 * 3600;
/** The rate of the frames is counted over this long, seconds. */
const FPS_S = 4;
const CAPACITY = (HISTORY_S + 4) * FS;

/** What happened to the frames of a session so far. */
export interface Counts {
  frames: number; // given to the session
  late: number; // refused: not after the frame before
  faceFrames: number; // with the face that is measured
  gaps: number; // stretches of more than 0.5 s without frames
  lost: number; // times the face went away
  persons: number; // measured one after the other
}

/** The state of a session at a refresh. */
export interface Update {
  t: number; // of the newest frame, seconds since the first
  hr: HrWindow;
  rr: Estimate;
  hrv: Record<HrvName, Estimate>;
  collectedS: number; // of pulse in the current stretch; a heart rate needs MIN_HR_S
  wave: { bvp: Float32Array; valid: Uint8Array; t0: number; fs: number }; // the last SHOWN_S
  fps: number; // frames that were processed, a second
  advice: string[];
  person: number | null;
  counts: Counts;
}

export interface SessionOptions {
  detect: (picture: Picture) => Promise<Face[]>;
  calibration: Calibration;
  openWaveform: (fs: number, capacity: number) => Waveform;
}

export class Session {
  readonly counts: Counts = { frames: 0, late: 0, faceFrames: 0, gaps: 0, lost: 0, persons: 0 };
  readonly vitals: LiveVitals;
  /** All of the last HISTORY_S, at the last refresh. */
  pulse: Pulse | null = null;
  beats: Beats = { times: [], intervals: [], leftOut: 0 };
  update: Update | null = null;
  /** Where the face was in the newest frame whose faces are known. */
  box: Box | null = null;
  readonly method: string;
  private tracker: FaceTracker;
  private readonly choice: Choice;
  private readonly clock = new Clock();
  private size = ""; // of the pictures
  private wave: Waveform;
  private trace: TraceBuilder | null = null;
  private crops: Resampler | null = null;
  private steady = new Steady();
  private origin = NaN;
  private last = NaN;
  private nextRefresh = 0;
  private firstSample = 0; // of this person
  private opened = -1; // first sample of the current stretch; −1: no face
  private lastFace = 0;
  private warm = false;
  private steps: number[] = [];

  constructor(private readonly options: SessionOptions) {
    this.tracker = new FaceTracker(options.detect);
    this.choice = new Choice(MEMORY_S);
    this.vitals = new LiveVitals(options.calibration, COURSE_LENGTH);
    this.wave = options.openWaveform(FS, CAPACITY);
    this.method = this.wave.name;
  }

  /** Take a picture at `time` seconds on any clock; an update comes back whenever the vital signs were refreshed. */
  async push(picture: Picture, time: number): Promise<Update | null> {
    this.counts.frames++;
    const now = this.clock.at(time);
    if (now === null) {
      this.counts.late++;
      return null;
    }
    if (Number.isNaN(this.origin)) {
      this.origin = now;
      this.nextRefresh = REFRESH_S;
      this.begin(0);
    }
    const t = now - this.origin;
    if (t - this.last > MAX_GAP_S) this.counts.gaps++;
    if (!Number.isNaN(this.last)) this.steps.push(t - this.last);
    while (this.steps.length > 1 && sum(this.steps) > FPS_S) this.steps.shift();
    this.last = t;
    const size = `${picture.width}×${picture.height}`;
    if (this.size && size !== this.size) await this.resize();
    this.size = size;
    for (const tracked of await this.tracker.push({ picture, t })) await this.take(tracked);
    await this.wave.settle();
    const first = !this.warm && this.collectedS >= MIN_HR_S;
    if (!first && t < this.nextRefresh) return null;
    this.warm ||= first;
    while (this.nextRefresh <= t) this.nextRefresh += REFRESH_S;
    return this.refresh();
  }

  /** Seconds of pulse in the current stretch. */
  private get collectedS(): number {
    if (this.opened < 0) return 0;
    return Math.max(Math.min(this.trace!.settled - this.wave.lookahead, this.wave.ring.stop) - this.opened, 0) / FS;
  }

  private number(t: number): number {
    return Math.floor(t * FS + 1e-6);
  }

  private begin(first: number): void {
    this.firstSample = first;
    this.trace = new TraceBuilder(FS, 0, CAPACITY);
    this.crops = this.wave.crop ? new Resampler(FS, 0, MAX_GAP_S) : null;
    this.steady = new Steady();
    this.opened = -1;
    this.warm = false;
  }

  /** Pictures of another size come: places in them mean nothing to the tracker. */
  private async resize(): Promise<void> {
    for (const tracked of await this.tracker.flush()) await this.take(tracked);
    this.tracker = new FaceTracker(this.options.detect);
    this.choice.forget();
  }

  private async take({ picture, t, faces }: Tracked): Promise<void> {
    const { id, anew } = this.choice.choose(faces, t, (known) => this.tracker.remembers(known));
    if (id === null) {
      if (this.box) this.counts.lost++;
      this.box = null;
      if (this.opened >= 0 && t - this.lastFace > MAX_GAP_S) await this.endStretch();
      return;
    }
    const another = anew && this.counts.persons > 0;
    if (another) {
      this.vitals.restart();
      this.wave = this.options.openWaveform(FS, CAPACITY);
      this.begin(this.number(t));
    }
    if (another || this.counts.persons === 0) this.counts.persons++;
    this.box = faces.get(id)!.box;
    this.counts.faceFrames++;
    if (this.opened < 0 || t - this.lastFace > MAX_GAP_S) this.opened = Math.max(this.number(t), this.firstSample);
    this.lastFace = t;
    const held = this.wave.crop ? this.steady.follow(picture, t, this.box) : this.box;
    const colours = this.trace!.add(picture, t, this.box, held);
    if (!this.wave.crop) for (const block of colours) await this.wave.take(block);
    if (!this.crops || !this.wave.crop) return;
    const face = crop(picture, square(held, this.wave.crop.scale), this.wave.crop.size);
    if (face) for (const block of this.crops.push(t, face)) await this.wave.take(block);
  }

  /** The face is gone: what waits for the future is computed without it. */
  private async endStretch(): Promise<void> {
    const colours = this.trace!.flush();
    const blocks = this.crops ? this.crops.flush() : colours;
    for (const block of blocks) await this.wave.take(block);
    this.opened = -1;
  }

  private refresh(): Update {
    const open = this.opened >= 0;
    const { ring, lookahead } = this.wave;
    const newest = open ? this.number(this.lastFace) - lookahead : this.number(this.last) + 1;
    const stop = Math.max(ring.stop, this.firstSample, newest);
    const start = Math.max(this.firstSample, stop - HISTORY_S * FS);
    const { values, seen } = ring.slice(start, stop);
    const trace = this.trace!.slice(start, stop);
    this.pulse = shapePulse(values, seen, FS, start / FS, this.method, trace.evidence);
    const { hr, rr, hrv, beats } = this.vitals.measure(this.pulse, open);
    this.beats = beats;
    const n = stop - start;
    const shown = cut(this.pulse, Math.max(n - SHOWN_S * FS, 0), n);
    const span = sum(this.steps);
    const fps = span > 0 ? this.steps.length / span : 0;
    this.update = {
      t: this.last,
      hr,
      rr,
      hrv,
      collectedS: this.collectedS,
      wave: { bvp: Float32Array.from(shown.bvp), valid: shown.valid.slice(), t0: shown.t0, fs: FS },
      fps,
      advice: advise(hr.reason, this.box, fps),
      person: this.counts.persons ? this.counts.persons - 1 : null,
      counts: { ...this.counts },
    };
    return this.update;
  }
}
