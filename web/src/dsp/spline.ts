/** Cubic splines through points, "not a knot" at the ends, as SciPy's CubicSpline. */

/** A function of time through the points (`x` increasing, four or more). */
export function cubicSpline(x: ArrayLike<number>, y: ArrayLike<number>): (at: number) => number {
  const n = x.length;
  if (n < 4 || y.length !== n) throw new RangeError(`spline: needs four points or more, got ${n} and ${y.length}`);
  const dx = Float64Array.from({ length: n - 1 }, (_, k) => x[k + 1]! - x[k]!);
  const slope = dx.map((d, k) => (y[k + 1]! - y[k]!) / d);
  const lower = new Float64Array(n);
  const main = new Float64Array(n);
  const upper = new Float64Array(n);
  const s = new Float64Array(n);
  for (let k = 1; k < n - 1; k++) {
    lower[k] = dx[k]!;
    main[k] = 2 * (dx[k - 1]! + dx[k]!);
    upper[k] = dx[k - 1]!;
    s[k] = 3 * (dx[k]! * slope[k - 1]! + dx[k - 1]! * slope[k]!);
  }
  const d0 = x[2]! - x[0]!;
  main[0] = dx[1]!;
  upper[0] = d0;
  s[0] = ((dx[0]! + 2 * d0) * dx[1]! * slope[0]! + dx[0]! ** 2 * slope[1]!) / d0;
  const d1 = x[n - 1]! - x[n - 3]!;
  main[n - 1] = dx[n - 3]!;
  lower[n - 1] = d1;
  s[n - 1] = (dx[n - 2]! ** 2 * slope[n - 3]! + (2 * d1 + dx[n - 2]!) * dx[n - 3]! * slope[n - 2]!) / d1;
  for (let k = 1; k < n; k++) {
    const factor = lower[k]! / main[k - 1]!;
    main[k]! -= factor * upper[k - 1]!;
    s[k]! -= factor * s[k - 1]!;
  }
  s[n - 1]! /= main[n - 1]!;
  for (let k = n - 2; k >= 0; k--) s[k] = (s[k]! - upper[k]! * s[k + 1]!) / main[k]!;
  let at = 0; // where the last answer was: times mostly come in order
  return (t) => {
    if (t < x[at]!) at = 0;
    while (at < n - 2 && t >= x[at + 1]!) at++;
    const h = dx[at]!;
    const u = t - x[at]!;
    const c = (s[at]! + s[at + 1]! - 2 * slope[at]!) / h;
    return y[at]! + u * (s[at]! + u * ((slope[at]! - s[at]!) / h - c + (u * c) / h));
  };
}
