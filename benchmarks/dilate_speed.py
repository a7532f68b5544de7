"""Speed of DILATE over anti-diagonals against plain Python loops: ``python benchmarks/dilate_speed.py``."""

from __future__ import annotations

import math
import platform
import time

import torch

from kdphys.losses.dilate import dilate


def dilate_loops(x: list[float], y: list[float], alpha: float, gamma: float) -> tuple[float, list[float]]:
    """Value and gradient with respect to ``x``: the textbook recursions, cell by cell, plain floats."""
    n, inf = len(x), math.inf
    d = [[(a - b) ** 2 for b in y] for a in x]
    r = [[inf] * (n + 1) for _ in range(n + 1)]
    s = [[0.0] * (n + 1) for _ in range(n + 1)]
    w = [[(0.0, 0.0, 0.0)] * (n + 1) for _ in range(n + 1)]
    r[0][0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, n + 1):
            up, left, diag = r[i - 1][j], r[i][j - 1], r[i - 1][j - 1]
            low = min(up, left, diag)
            e = (math.exp((low - up) / gamma), math.exp((low - left) / gamma), math.exp((low - diag) / gamma))
            z = sum(e)
            w[i][j] = (e[0] / z, e[1] / z, e[2] / z)
            r[i][j] = d[i - 1][j - 1] + low - gamma * math.log(z)
            a, b, c = w[i][j]
            s[i][j] = ((i - j) / n) ** 2 + a * s[i - 1][j] + b * s[i][j - 1] + c * s[i - 1][j - 1]
    p = [[0.0] * (n + 1) for _ in range(n + 1)]
    q = [[0.0] * (n + 1) for _ in range(n + 1)]
    p[n][n], q[n][n] = alpha, 1 - alpha
    grad = [0.0] * n
    for i in range(n, 0, -1):
        for j in range(n, 0, -1):
            mean = s[i][j] - ((i - j) / n) ** 2
            for weight, k, m in zip(w[i][j], (i - 1, i, i - 1), (j, j - 1, j - 1), strict=True):
                p[k][m] += weight * (p[i][j] - q[i][j] * (s[k][m] - mean) / gamma)
                q[k][m] += weight * q[i][j]
            grad[i - 1] += p[i][j] * 2 * (x[i - 1] - y[j - 1])
    return alpha * r[n][n] + (1 - alpha) * s[n][n], grad


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = torch.randn(16, 160, dtype=torch.float64), torch.randn(16, 160, dtype=torch.float64)
    start = time.perf_counter()
    loops = [dilate_loops(a, b, 0.5, 0.1) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    slow = time.perf_counter() - start
    best = math.inf
    for _ in range(5):
        leaf = x.clone().requires_grad_()
        start = time.perf_counter()
        value = dilate(leaf, y, 0.5, 0.1)
        value.sum().backward()
        best = min(best, time.perf_counter() - start)
    assert leaf.grad is not None
    grad = torch.tensor([g for _, g in loops], dtype=torch.float64)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    )
    print("DILATE forward and backward, T = 160, batch 16, float64, 1 thread")
    print(f"  plain Python loops  {slow * 1e3:8.1f} ms")
    print(f"  anti-diagonals      {best * 1e3:8.1f} ms   {slow / best:.0f} times faster")
    print(f"  largest difference  value {max(abs(v - w) for (v, _), w in zip(loops, value.tolist(), strict=True)):.1e}")
    print(f"                      gradient {float((grad - leaf.grad).abs().max()):.1e}")


if __name__ == "__main__":
    main()
