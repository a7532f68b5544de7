/** The last numbers of a stream, by their number on its clock; memory is fixed at creation. */
export class Ring {
  private readonly values: Float64Array;
  private readonly holds: Float64Array; // which sample each place holds
  /** The number of the sample that comes next. */
  stop = 0;

  constructor(readonly capacity: number) {
    this.values = new Float64Array(capacity);
    this.holds = new Float64Array(capacity).fill(-1);
  }

  put(n: number, value: number): void {
    this.values[n % this.capacity] = value;
    this.holds[n % this.capacity] = n;
    this.stop = Math.max(this.stop, n + 1);
  }

  /** The samples `from` … `to` (not included), and whether each is there. */
  slice(from: number, to: number): { values: Float64Array; seen: Uint8Array } {
    const values = new Float64Array(to - from);
    const seen = new Uint8Array(to - from);
    for (let n = Math.max(from, 0); n < to; n++) {
      if (this.holds[n % this.capacity] !== n) continue;
      values[n - from] = this.values[n % this.capacity]!;
      seen[n - from] = 1;
    }
    return { values, seen };
  }
}
