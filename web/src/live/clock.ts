/** The clock of the frames, kept running forward; as kdphys/streaming/clock.py. */

/** Frames that keep coming with earlier times for this long have a new clock, seconds. */
const NEW_S = 1;
/** A frame this soon after another is the same one: no camera gives a thousand a second. */
const LEAST_S = 1e-3;
/** Times further from zero than this leave no digits for fractions of a second, seconds. */
const FAR_S = 1e12;

/** Refuses times that do not increase, until it is plain that the clock was set back. */
export class Clock {
  private offset = 0;
  private last = -Infinity;
  private late: [number, number] | null = null; // first and last of the frames refused in a row

  /** The time of a frame on the clock that runs forward, or null: refused. */
  at(t: number): number | null {
    if (!(Math.abs(t) <= FAR_S)) return null;
    let now = t + this.offset;
    if (now < this.last + LEAST_S) {
      if (!this.late || t < this.late[0]) {
        this.late = [t, t];
        return null;
      }
      if (t <= this.late[1]) return null; // given twice, or overtaken
      this.late[1] = t;
      if (t - this.late[0] < NEW_S) return null;
      now = this.last + t - this.late[0];
      this.offset = now - t;
    }
    this.late = null;
    this.last = now;
    return now;
  }
}
