/**
 * Faces over time: steady boxes, stable identities, and no box where there is no face; as kdphys/face/track.py.
 *
 * The tracker looks ahead by one detection interval. Between two detections that belong together the box is
 * interpolated; where a detection fails there is no box, so a stale one is never used.
 */

import type { Box, Picture } from "../clip/picture";
import { iou, type Face } from "./detect";
import { difference, look, patch, thin } from "./look";

/** A picture that differs by more than this from the last one, in standard deviations, may be another scene. */
const LEAP = 0.3;
/** A face that differs by more than this from who was there before is another one. */
const OTHER = 0.7;
/** Time between detections, seconds. */
const INTERVAL_S = 0.16;
/** A face that comes back to its place within this time is the same person, seconds. */
export const MEMORY_S = 4;
/** For pictures that wait; large ones are detected more often. */
const BUFFER_BYTES = 48 << 20;
/** Stands for the whole picture where the others are persons. */
const PICTURE = -1;

export interface TimedPicture {
  picture: Picture;
  t: number; // seconds
}

/** A picture with the faces in it, by person. */
export interface Tracked extends TimedPicture {
  faces: Map<number, Face>;
}

interface Person {
  id: number;
  box: Box; // smoothed, at `t`
  score: number;
  t: number;
  speed: number; // of the centre, box widths a second
  look: Float32Array | null; // when last seen
}

export class FaceTracker {
  cuts = 0;
  private waiting: TimedPicture[] = [];
  private persons: Person[] = [];
  private seen = new Map<number, Face>(); // faces at the last detection
  private seenT = 0;
  private nextId = 0;
  private small: Picture | null = null;
  private steps = new Map<number, number[]>();
  private started = false;

  constructor(private readonly detect: (picture: Picture) => Promise<Face[]>) {}

  /** Take one picture; give back, in order, the pictures whose boxes are now known. */
  async push(item: TimedPicture): Promise<Tracked[]> {
    const { cut, changed } = this.changes(item.picture);
    let out: Tracked[] = [];
    if (cut || changed.length) {
      out = await this.flush(); // a detection on the last picture before settles what waits
      const visible = this.persons.filter((p) => this.seen.has(p.id));
      const boxes = (await this.detect(item.picture)).map((face) => face.box);
      const replaced = (cut ? visible : changed).filter((p) => boxes.some((box) => iou(p.box, box) > 0.2));
      this.persons = this.persons.filter((p) => !replaced.includes(p));
      this.seen = new Map();
      this.started = false;
      this.cuts += Number(cut);
    }
    const full = (this.waiting.length + 1) * item.picture.data.byteLength > BUFFER_BYTES;
    if (this.started && item.t - this.seenT < INTERVAL_S - 1e-3 && !full) {
      this.waiting.push(item);
      return out;
    }
    const now = await this.follow(item);
    if (this.started) out.push(...this.waiting.map((waiting) => this.between(waiting, now, item.t)));
    this.waiting = [];
    this.seen = now;
    this.seenT = item.t;
    this.started = true;
    out.push({ ...item, faces: new Map(now) });
    return out;
  }

  /** The pictures after the last detection: one more detection settles them. */
  async flush(): Promise<Tracked[]> {
    const last = this.waiting.pop();
    if (!last) return [];
    const now = await this.follow(last);
    const out = this.waiting.map((waiting) => this.between(waiting, now, last.t));
    this.waiting = [];
    this.seen = now;
    this.seenT = last.t;
    return [...out, { ...last, faces: new Map(now) }];
  }

  /** Whether a person that is not seen would be known again. */
  remembers(id: number): boolean {
    return this.persons.some((person) => person.id === id);
  }

  private between(item: TimedPicture, now: Map<number, Face>, t: number): Tracked {
    const share = (item.t - this.seenT) / Math.max(t - this.seenT, 1e-9);
    const faces = new Map<number, Face>();
    for (const [key, a] of this.seen) {
      const b = now.get(key);
      if (!b) continue;
      const box = a.box.map((v, k) => v + share * (b.box[k]! - v)) as Box;
      faces.set(key, { box, score: Math.min(a.score, b.score) });
    }
    return { ...item, faces };
  }

  /** Detect, and tell who is who. */
  private async follow({ picture, t }: TimedPicture): Promise<Map<number, Face>> {
    const found = await this.detect(picture);
    this.persons = this.persons.filter((p) => t - p.t <= MEMORY_S);
    const free = new Set(found);
    const out = new Map<number, Face>();
    const pairs = this.persons
      .flatMap((person) => found.map((face) => ({ overlap: iou(person.box, face.box), face, person })))
      .sort((a, b) => b.overlap - a.overlap);
    for (const { overlap, face, person } of pairs) {
      if (overlap < 0.2 || !free.has(face) || out.has(person.id)) continue;
      if (!this.seen.has(person.id) && isOther(person, picture, face.box)) continue;
      free.delete(face);
      smooth(person, face, t);
      out.set(person.id, { box: person.box, score: person.score });
    }
    for (const face of free) {
      const person: Person = { id: this.nextId++, box: face.box, score: face.score, t, speed: 0, look: null };
      this.persons.push(person);
      out.set(person.id, { box: person.box, score: person.score });
    }
    for (const person of this.persons) if (out.has(person.id)) person.look = patch(picture, person.box);
    for (const key of this.steps.keys()) if (key !== PICTURE && !this.remembers(key)) this.steps.delete(key);
    return out;
  }

  /** Whether the whole picture changed from the last one to this one, and whose face did. */
  private changes(picture: Picture): { cut: boolean; changed: Person[] } {
    const step = Math.max(Math.floor(Math.min(picture.width, picture.height) / 96), 1);
    const small = thin(picture, step);
    const before = this.small;
    this.small = small;
    if (!before || before.width !== small.width || before.height !== small.height) return { cut: false, changed: [] };
    const whole: Box = [0, 0, small.width, small.height];
    const cut = this.leaps(PICTURE, look(before, whole, 32, 24), look(small, whole, 32, 24));
    const changed = this.persons.filter((person) => {
      if (!this.seen.has(person.id)) return false; // hidden already
      const box = person.box.map((v) => v / step) as Box;
      const [was, now] = [patch(before, box), patch(small, box)];
      return was && now && this.leaps(person.id, was, now);
    });
    return { cut, changed };
  }

  /** Whether a part of the picture changed at once, and not by the kind of change that it was in already. */
  private leaps(key: number, was: Float32Array, now: Float32Array): boolean {
    const steps = this.steps.get(key) ?? [];
    this.steps.set(key, steps);
    const step = difference(was, now);
    const usual = Math.max(0, ...steps);
    steps.push(step);
    if (steps.length > 8) steps.shift();
    return steps.length > 2 && step > LEAP && step > 4 * usual;
  }
}

/** Whether who appears where a person was hidden looks like somebody else. */
function isOther(person: Person, picture: Picture, box: Box): boolean {
  const now = patch(picture, box);
  return person.look !== null && now !== null && difference(person.look, now) > OTHER;
}

/** One-euro smoothing (Casiez et al. 2012): strong when the face is still, weak when it moves. */
function smooth(person: Person, { box, score }: Face, t: number): void {
  const dt = Math.max(t - person.t, 1e-3);
  const size = (person.box[2] - person.box[0] + person.box[3] - person.box[1]) / 2;
  const moved = Math.max(...box.map((v, k) => Math.abs(v - person.box[k]!)));
  const rate = moved / Math.max(size, 1e-9) / dt;
  person.speed += ((rate - person.speed) * dt) / (dt + 1 / (2 * Math.PI));
  const cutoff = 0.4 + 6 * person.speed;
  const share = dt / (dt + 1 / (2 * Math.PI * cutoff));
  person.box = person.box.map((v, k) => v + (box[k]! - v) * share) as Box;
  person.score = score;
  person.t = t;
}
