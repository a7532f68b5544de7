"""The ONNX files in the package compute what the weights in the package compute."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from kdphys.export import TOLERANCE, parity, stream_parity
from kdphys.models.student import Student
from kdphys.models.weights import load_weights, sha256
from kdphys.pulse.engines import STREAM_SUFFIX, load_bundled
from kdphys.pulse.estimate import BUNDLED

ASSETS = files("kdphys") / "assets"


@pytest.mark.parametrize("name", BUNDLED)
def test_files_match_the_weights(name: str) -> None:
    model, saved = load_weights(name)
    method = load_bundled(name)  # checks the hash that is listed
    assert method.engine.about["weights_sha256"] == saved.spec.sha256 == sha256(saved.spec.file)
    assert parity(model, (ASSETS / f"{name}.onnx").read_bytes()) <= TOLERANCE
    if isinstance(model, Student):
        assert method.live is not None
        assert method.live.about["weights_sha256"] == saved.spec.sha256
        assert stream_parity(model, (ASSETS / f"{name}{STREAM_SUFFIX}.onnx").read_bytes()) <= TOLERANCE
        assert f"{name}{STREAM_SUFFIX}" in json.loads((ASSETS / "models.json").read_text())
