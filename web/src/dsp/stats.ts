/** Means, spreads and orders of plain arrays, with NumPy's definitions. */

export type Numbers = ArrayLike<number>;

export function sum(x: Numbers): number {
  let total = 0;
  for (let k = 0; k < x.length; k++) total += x[k]!;
  return total;
}

export function mean(x: Numbers): number {
  return sum(x) / x.length;
}

/** Standard deviation; `ddof` as NumPy has it. */
export function std(x: Numbers, ddof = 0): number {
  const m = mean(x);
  let total = 0;
  for (let k = 0; k < x.length; k++) total += (x[k]! - m) ** 2;
  return Math.sqrt(total / (x.length - ddof));
}

/** The middle value; the mean of both middles for an even count; NaN for none. */
export function median(x: Numbers): number {
  const n = x.length;
  if (n === 0) return NaN;
  const sorted = Float64Array.from(x).sort();
  return n % 2 ? sorted[(n - 1) / 2]! : (sorted[n / 2 - 1]! + sorted[n / 2]!) / 2;
}

export function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}

/** Rounds halves to the even neighbour, as Python and NumPy do. */
export function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Index of the first element that is above `x` in an increasing array (`searchsorted`, side "right"). */
export function upperBound(sorted: Numbers, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (sorted[mid]! <= x) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** Index of the first element that is not below `x` in an increasing array (`searchsorted`, side "left"). */
export function lowerBound(sorted: Numbers, x: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (sorted[mid]! < x) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** Linear interpolation through (`xs`, `ys`), constant beyond the ends. */
export function interp(x: number, xs: Numbers, ys: Numbers): number {
  const n = xs.length;
  if (x <= xs[0]!) return ys[0]!;
  if (x >= xs[n - 1]!) return ys[n - 1]!;
  const k = upperBound(xs, x) - 1;
  const share = (x - xs[k]!) / (xs[k + 1]! - xs[k]!);
  return ys[k]! + share * (ys[k + 1]! - ys[k]!);
}

/** A stretch of samples, `stop` not included. */
export interface Run {
  start: number;
  stop: number;
}

/** The stretches of true. */
export function runs(mask: Numbers): Run[] {
  const out: Run[] = [];
  let start = -1;
  for (let k = 0; k <= mask.length; k++) {
    const on = k < mask.length && !!mask[k];
    if (on && start < 0) start = k;
    if (!on && start >= 0) {
      out.push({ start, stop: k });
      start = -1;
    }
  }
  return out;
}
