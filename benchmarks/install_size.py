"""Installed size of the base, in an empty environment: ``python benchmarks/install_size.py``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def size_mb(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()) / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        subprocess.run([sys.executable, "-m", "venv", str(env)], check=True)
        python = env / "bin" / "python"
        site = Path(
            subprocess.run(
                [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
        )
        before = size_mb(site)
        began = time.perf_counter()
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-compile", str(ROOT)], check=True)
        seconds = time.perf_counter() - began
        names = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
        parts = sorted(((size_mb(p), p.name) for p in site.iterdir() if p.is_dir()), reverse=True)
        size, count, torch = size_mb(site) - before, len(names.splitlines()), "torch" in names
        print(f"base install: {size:.0f} MB in {seconds:.0f} s, {count} packages, with torch: {torch}")
        print("largest: " + ", ".join(f"{name} {mb:.0f} MB" for mb, name in parts[:7]))
        out = subprocess.run([env / "bin" / "kdphys", "demo"], check=True, capture_output=True, text=True).stdout
        print(out.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
