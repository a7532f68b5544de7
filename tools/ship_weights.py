"""Bundle trained weights: ``python tools/ship_weights.py runs/student/student.safetensors``.

Copies the safetensors file and its sidecar into ``src/kdphys/assets/weights``, writes what ``kdphys export NAME``
writes (the clip graph, and the streaming graph where the model has one) into ``src/kdphys/assets``, and enters their
hashes into ``src/kdphys/assets/models.json``.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from kdphys.export import export_onnx, export_stream
from kdphys.models.weights import BUNDLED, load_weights, sha256, sidecar
from kdphys.pulse.engines import STREAM_SUFFIX

ASSETS = BUNDLED.parent


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    model, saved = load_weights(source)
    name = saved.spec.name
    BUNDLED.mkdir(exist_ok=True)
    for file in (source, sidecar(source)):
        shutil.copyfile(file, BUNDLED / f"{name}{file.suffix}")
    index = ASSETS / "models.json"
    models = json.loads(index.read_text()) if index.exists() else {}
    graphs = {name: export_onnx}
    if saved.model == "student":
        graphs[f"{name}{STREAM_SUFFIX}"] = export_stream
    for graph, export in graphs.items():
        path = ASSETS / f"{graph}.onnx"
        worst = export(model, name, path, saved.spec.sha256, force=True)
        models[graph] = {"sha256": sha256(path), "bytes": path.stat().st_size, "weights": f"{name}.safetensors"}
        print(f"{path.name}: {path.stat().st_size} bytes, differs from torch by {worst:.1e}")
    index.write_text(json.dumps(dict(sorted(models.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
