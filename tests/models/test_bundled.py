"""What is bundled belongs together: weights, sidecars, graphs, hashes, and what ``kdphys measure`` loads."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import pytest

from kdphys.models.weights import bundled, load_weights
from kdphys.ort import open_session
from kdphys.pulse.engines import METADATA
from kdphys.pulse.estimate import BUNDLED

ASSETS = Path(str(files("kdphys"))) / "assets"
MODELS = json.loads((ASSETS / "models.json").read_text())


def test_every_bundled_method_has_weights_and_a_graph():
    assert set(BUNDLED) == set(bundled())
    assert set(BUNDLED) <= set(MODELS)
    assert {p.name for p in (ASSETS / "weights").glob("*.json")} == {f"{n}.json" for n in BUNDLED}


@pytest.mark.parametrize("graph", sorted(MODELS))
def test_graph_is_the_one_listed_and_made_from_the_weights(graph):
    content = (ASSETS / f"{graph}.onnx").read_bytes()
    assert hashlib.sha256(content).hexdigest() == MODELS[graph]["sha256"]
    about = json.loads(open_session(content, graph).get_modelmeta().custom_metadata_map[METADATA])
    weights = (ASSETS / "weights" / MODELS[graph]["weights"]).read_bytes()
    assert about["weights_sha256"] == hashlib.sha256(weights).hexdigest()


def test_weights_are_safetensors_only():
    kinds = {p.suffix for p in ASSETS.rglob("*") if p.is_file()}
    assert not kinds & {".pt", ".pth", ".ckpt", ".pkl", ".bin"}
    student, saved = load_weights("student")
    assert saved.parameters == sum(p.numel() for p in student.parameters()) <= 230_000
    assert "runs/pools" in saved.recipe["config"], "the sidecar names the recipe"
