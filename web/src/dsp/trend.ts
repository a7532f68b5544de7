/** Slow trends: smoothness priors (Tarvainen, Ranta-aho, Karjalainen 2002, doi:10.1109/10.979357). */

/** `x − (I + λ² D₂ᵀD₂)⁻¹ x`, solved as a band of five diagonals by L D Lᵀ. */
export function detrend(x: Float64Array, lam = 100): Float64Array {
  const n = x.length;
  if (n < 3) return new Float64Array(n);
  const l2 = lam * lam;
  const main = (k: number): number => {
    const edge = Math.min(k, n - 1 - k);
    return 1 + l2 * (edge === 0 ? 1 : edge === 1 ? (n > 3 ? 5 : 4) : 6);
  };
  const first = (k: number): number => l2 * (k === 1 || k === n - 1 ? -2 : -4); // between k − 1 and k
  const d = new Float64Array(n);
  const l1 = new Float64Array(n); // L[k][k − 1]
  const l2s = new Float64Array(n); // L[k][k − 2]
  const y = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    let diagonal = main(k);
    let value = x[k]!;
    if (k >= 2) {
      l2s[k] = l2 / d[k - 2]!;
      diagonal -= l2s[k]! ** 2 * d[k - 2]!;
      value -= l2s[k]! * y[k - 2]!;
    }
    if (k >= 1) {
      const off = first(k) - (k >= 2 ? l2s[k]! * d[k - 2]! * l1[k - 1]! : 0);
      l1[k] = off / d[k - 1]!;
      diagonal -= l1[k]! ** 2 * d[k - 1]!;
      value -= l1[k]! * y[k - 1]!;
    }
    d[k] = diagonal;
    y[k] = value;
  }
  for (let k = 0; k < n; k++) y[k]! /= d[k]!;
  for (let k = n - 1; k >= 0; k--) {
    if (k + 1 < n) y[k]! -= l1[k + 1]! * y[k + 1]!;
    if (k + 2 < n) y[k]! -= l2s[k + 2]! * y[k + 2]!;
  }
  return x.map((v, k) => v - y[k]!);
}
