"""Write ``web/test/vectors/*.json``: what the Python package computes, for the browser's port of it to match.

    python tools/web_vectors.py            # write
    python tools/web_vectors.py --check    # say what differs

Arrays are base64 of little-endian float32 (or uint8) with their shape. Inputs are made float32 before they are used, so
that both sides compute on the same numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from web_vectors_common import Json, unpacked
from web_vectors_pictures import clip_vectors, face_vectors, network_vectors
from web_vectors_signals import classical_vectors, dsp_vectors, quality_vectors, vitals_vectors

FOLDER = Path(__file__).resolve().parents[1] / "web" / "test" / "vectors"

MAKERS: dict[str, Callable[[], Json]] = {
    "dsp": dsp_vectors,
    "classical": classical_vectors,
    "clip": clip_vectors,
    "face": face_vectors,
    "quality": quality_vectors,
    "vitals": vitals_vectors,
    "networks": network_vectors,
}


def differences(old: Any, new: Any, where: str) -> list[str]:
    """Where two vectors differ by more than rounding."""
    if isinstance(new, dict) and isinstance(old, dict):
        if set(new) == {"dtype", "shape", "data"}:
            if new["shape"] != old.get("shape"):
                return [f"{where}: shape {old.get('shape')} → {new['shape']}"]
            a, b = unpacked(old), unpacked(new)
            return [] if np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True) else [f"{where}: values"]
        if set(new) != set(old):
            return [f"{where}: keys {sorted(set(new) ^ set(old))}"]
        return [d for key in new for d in differences(old[key], new[key], f"{where}.{key}")]
    if isinstance(new, list) and isinstance(old, list):
        if len(new) != len(old):
            return [f"{where}: {len(old)} → {len(new)} entries"]
        return [d for k, (a, b) in enumerate(zip(old, new, strict=True)) for d in differences(a, b, f"{where}[{k}]")]
    if isinstance(new, float) and isinstance(old, float):
        return [] if abs(new - old) <= 1e-4 * max(abs(new), 1.0) else [f"{where}: {old} → {new}"]
    return [] if new == old else [f"{where}: {old!r} → {new!r}"]


def check() -> list[str]:
    """What the files say differently from what Python computes now."""
    out = []
    for name, make in MAKERS.items():
        path = FOLDER / f"{name}.json"
        if not path.is_file():
            out.append(f"{name}: missing")
            continue
        out += differences(json.loads(path.read_text()), json.loads(json.dumps(make())), name)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    if parser.parse_args().check:
        found = check()
        print("\n".join(found) if found else "the vectors are what Python computes")
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(make(), indent=1) + "\n")
        print(f"{path}: {path.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
