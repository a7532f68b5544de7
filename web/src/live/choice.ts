/** Who is measured when faces come and go; as kdphys/streaming/faces.py. */

import type { Face } from "../face/detect";

/** Who was followed for less than this has no claim to be waited for, seconds. */
const CLAIM_S = 2;

/** One face of those in the picture: the largest at first, and then that one for as long as it may come back. */
export class Choice {
  private id: number | null = null;
  private last = 0;
  private followedS = 0;

  /** @param memoryS how long who is gone is waited for while another face is there, seconds. */
  constructor(private readonly memoryS: number) {}

  /**
   * @param remembers whether the tracker still knows a person; who was replaced by somebody else is not waited for.
   * @returns the person at `t` seconds, or null when the chosen one is not there; and whether one is chosen anew.
   */
  choose(faces: Map<number, Face>, t: number, remembers: (id: number) => boolean): { id: number | null; anew: boolean } {
    if (this.id !== null && faces.has(this.id)) {
      this.followedS += Math.min(t - this.last, 1);
      this.last = t;
      return { id: this.id, anew: false };
    }
    if (!faces.size) return { id: null, anew: false };
    const gone = (this.id !== null && !remembers(this.id)) || this.followedS < CLAIM_S || t - this.last > this.memoryS;
    if (this.id !== null && !gone) return { id: null, anew: false };
    let largest = -1;
    for (const [key, { box }] of faces) {
      const area = (box[2] - box[0]) * (box[3] - box[1]);
      if (area > largest) [largest, this.id] = [area, key];
    }
    this.last = t;
    this.followedS = 0;
    return { id: this.id, anew: true };
  }

  /** Whoever is there next is chosen anew. */
  forget(): void {
    this.id = null;
  }
}
