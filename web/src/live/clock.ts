/** The clock of the frames, kept running forward; as kdphys/streaming/clock.py. */

/** Frames that keep coming with earlier times for this long have a new clock, seconds. */
const NEW_S = 1;
/** So many of them in a row, each later than the one before, are no picture that was overtaken on its way. */
const ROW = 3;
/** A frame this soon after another is the same one: no camera gives a thousand a second. */
const LEAST_S = 1e-3;
/** Times further from zero than this leave no digits for fractions of a second, seconds. */
const FAR_S = 1e12;

/**
 * Refuses times that do not increase, until it is plain that the clock was set back: when frames have come with earlier
 * times for a second, or, where the clock passes its old time before, when three of them came in a row, of times when
 * no frame was missing. Their own times tell how much time went by.
 */
export class Clock {
  private offset = 0;
  private last = -Infinity; // times of the last two frames taken
  private before = -Infinity;
  private late: [number, number] | null = null; // first and last of the frames refused in a row
  private row = 0; // how many they are

  /** The time of a frame on the clock that runs forward, or null: refused. */
  at(t: number): number | null {
    if (!(Math.abs(t) <= FAR_S)) return null;
    let now = t + this.offset;
    if (now < this.last + LEAST_S) {
      if (!this.late || t < this.late[0]) {
        this.late = [t, t];
        this.row = 1;
        return null;
      }
      if (t <= this.late[1]) return null; // given twice, or overtaken
      this.late[1] = t;
      this.row++;
      if (t - this.late[0] < NEW_S) return null;
      now = this.set(t, this.late);
    } else if (this.late && this.row >= ROW && this.late[0] + this.offset < this.before) {
      now = this.set(t, this.late);
    }
    this.late = null;
    this.row = 0;
    this.before = this.last;
    this.last = now;
    return now;
  }

  /** The clock was set before the frames refused from time `first` to `latest` on it: when `t` is. */
  private set(t: number, [first, latest]: [number, number]): number {
    const now = this.last + (t - first) + (latest - first) / (this.row - 1); // one step before the first of them
    this.offset = now - t;
    return now;
  }
}
