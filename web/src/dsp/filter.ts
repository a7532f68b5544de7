/** Butterworth band-pass filters, run forth and back so that nothing shifts in time; as SciPy's. */

interface Complex {
  re: number;
  im: number;
}

const times = (a: Complex, b: Complex): Complex => ({ re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re });
const over = (a: Complex, b: Complex): Complex => {
  const d = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / d, im: (a.im * b.re - a.re * b.im) / d };
};
const root = (a: Complex): Complex => {
  const r = Math.hypot(a.re, a.im);
  const re = Math.sqrt((r + a.re) / 2);
  return { re, im: (a.im < 0 ? -1 : 1) * Math.sqrt(Math.max((r - a.re) / 2, 0)) };
};

/** Coefficients of a digital filter, `a[0]` = 1. */
export interface Coefficients {
  b: Float64Array;
  a: Float64Array;
}

const designs = new Map<string, Coefficients>();

/** A Butterworth band-pass of the given one-way order; corners in Hz, 0 < low < high < fs / 2. */
export function butter(order: number, low: number, high: number, fs: number): Coefficients {
  if (!(low > 0 && low < high && high < fs / 2))
    throw new RangeError(`band-pass ${low}–${high} Hz does not fit a signal sampled at ${fs} Hz`);
  const key = `${order} ${low} ${high} ${fs}`;
  const known = designs.get(key);
  if (known) return known;
  const warp = (f: number): number => 4 * Math.tan((Math.PI * f) / fs);
  const [w0, w1] = [warp(low), warp(high)];
  const [width, centre] = [w1 - w0, Math.sqrt(w0 * w1)];
  let poles: Complex[] = [];
  for (let m = -order + 1; m < order; m += 2) {
    const angle = (Math.PI * m) / (2 * order);
    const p = { re: (-Math.cos(angle) * width) / 2, im: (-Math.sin(angle) * width) / 2 };
    const square = times(p, p);
    const r = root({ re: square.re - centre * centre, im: square.im });
    poles.push({ re: p.re + r.re, im: p.im + r.im }, { re: p.re - r.re, im: p.im - r.im });
  }
  // Bilinear transform at a rate of 2: zeros at 0 become 1, those at infinity −1.
  let gain: Complex = { re: (width * 4) ** order, im: 0 };
  poles = poles.map((p) => {
    gain = over(gain, { re: 4 - p.re, im: -p.im });
    return over({ re: 4 + p.re, im: p.im }, { re: 4 - p.re, im: -p.im });
  });
  let b: number[] = [gain.re];
  for (let k = 0; k < order; k++) b = product(b, [1, 0, -1]);
  let a: Complex[] = [{ re: 1, im: 0 }];
  for (const p of poles) {
    const next = [...a, { re: 0, im: 0 }];
    a.forEach((c, k) => {
      const moved = times(c, p);
      next[k + 1] = { re: next[k + 1]!.re - moved.re, im: next[k + 1]!.im - moved.im };
    });
    a = next;
  }
  const made = { b: Float64Array.from(b), a: Float64Array.from(a, (c) => c.re) };
  designs.set(key, made);
  if (designs.size > 64) designs.delete(designs.keys().next().value!); // new corners come with each heart rate
  return made;
}

function product(p: number[], q: number[]): number[] {
  const out = new Array<number>(p.length + q.length - 1).fill(0);
  p.forEach((x, i) => q.forEach((y, j) => (out[i + j]! += x * y)));
  return out;
}

/** State of the filter at rest on a constant 1. */
function steady({ b, a }: Coefficients): Float64Array {
  const n = a.length;
  const zi = new Float64Array(n - 1);
  let total = 0;
  let sumA = 0;
  for (let k = 0; k < n; k++) sumA += a[k]!;
  for (let k = 1; k < n; k++) total += b[k]! - a[k]! * b[0]!;
  zi[0] = total / sumA;
  let asum = 1;
  let csum = 0;
  for (let k = 1; k < n - 1; k++) {
    asum += a[k]!;
    csum += b[k]! - a[k]! * b[0]!;
    zi[k] = asum * zi[0] - csum;
  }
  return zi;
}

/** One way, in place, starting at rest on `x[0]`. */
function run({ b, a }: Coefficients, zi: Float64Array, x: Float64Array): void {
  const order = a.length - 1;
  const z = zi.map((v) => v * x[0]!);
  for (let k = 0; k < x.length; k++) {
    const value = x[k]!;
    const y = b[0]! * value + z[0]!;
    for (let i = 0; i < order - 1; i++) z[i] = z[i + 1]! + b[i + 1]! * value - a[i + 1]! * y;
    z[order - 1] = b[order]! * value - a[order]! * y;
    x[k] = y;
  }
}

/** Forth and back over `x`, extended at both ends by `pad` samples turned about the end. */
export function filtfilt(filter: Coefficients, x: Float64Array, pad = 3 * filter.a.length): Float64Array {
  const n = x.length;
  if (n <= pad) throw new RangeError(`band-pass needs more than ${pad} samples, got ${n}`);
  const wide = new Float64Array(n + 2 * pad);
  wide.set(x, pad);
  for (let k = 0; k < pad; k++) {
    wide[k] = 2 * x[0]! - x[pad - k]!;
    wide[pad + n + k] = 2 * x[n - 1]! - x[n - 2 - k]!;
  }
  const zi = steady(filter);
  run(filter, zi, wide);
  wide.reverse();
  run(filter, zi, wide);
  wide.reverse();
  return wide.slice(pad, pad + n);
}

/** Zero-phase Butterworth band-pass. Corners in Hz; more than 3 (2 order + 1) samples. */
export function bandpass(x: Float64Array, fs: number, low = 0.65, high = 3.5, order = 2): Float64Array {
  return filtfilt(butter(order, low, high, fs), x);
}
