/** Fourier transforms of lengths that are powers of two. */

interface Plan {
  cos: Float64Array;
  sin: Float64Array;
  swap: Uint32Array;
}

const plans = new Map<number, Plan>();

function plan(n: number): Plan {
  const known = plans.get(n);
  if (known) return known;
  const cos = new Float64Array(n / 2);
  const sin = new Float64Array(n / 2);
  for (let k = 0; k < n / 2; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / n);
    sin[k] = Math.sin((2 * Math.PI * k) / n);
  }
  const swap = new Uint32Array(n);
  const bits = Math.log2(n);
  for (let k = 0; k < n; k++) {
    let reversed = 0;
    for (let b = 0; b < bits; b++) if (k & (1 << b)) reversed |= 1 << (bits - 1 - b);
    swap[k] = reversed >>> 0;
  }
  const made = { cos, sin, swap };
  plans.set(n, made);
  return made;
}

/** The smallest power of two that is not below `n`. */
export function powerOfTwo(n: number): number {
  let size = 1;
  while (size < n) size *= 2;
  return size;
}

/** The transform of `re + i im`, in place, with the sign of `exp(-i…)`. Lengths are equal powers of two. */
export function fft(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  if (n !== im.length || n !== powerOfTwo(n)) throw new RangeError(`fft: needs equal powers of two, got ${n} and ${im.length}`);
  const { cos, sin, swap } = plan(n);
  for (let k = 0; k < n; k++) {
    const j = swap[k]!;
    if (j > k) {
      [re[k], re[j]] = [re[j]!, re[k]!];
      [im[k], im[j]] = [im[j]!, im[k]!];
    }
  }
  for (let half = 1; half < n; half *= 2) {
    const stride = n / (2 * half);
    for (let start = 0; start < n; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const c = cos[k * stride]!;
        const s = sin[k * stride]!;
        const a = start + k;
        const b = a + half;
        const x = re[b]! * c + im[b]! * s;
        const y = im[b]! * c - re[b]! * s;
        re[b] = re[a]! - x;
        im[b] = im[a]! - y;
        re[a] = re[a]! + x;
        im[a] = im[a]! + y;
      }
    }
  }
}
