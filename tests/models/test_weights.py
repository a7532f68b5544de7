"""Weights go to disk and come back, or say why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kdphys.errors import DataError, OutputError, UnknownNameError
from kdphys.models import create
from kdphys.models.weights import load_weights, read_spec, save_weights, sidecar


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = create("student", size=12, width=16, hidden=16)
    file = tmp_path / "mine.safetensors"
    save_weights(model, file, "mine", "student", {"width": 16, "hidden": 16}, {"seed": 3}, box_scale=1.2)
    return file


def test_round_trip(saved: Path) -> None:
    torch.manual_seed(0)
    original = create("student", size=12, width=16, hidden=16).eval()
    model, what = load_weights(saved)
    x = torch.rand(1, 30, 3, 12, 12) * 255
    assert torch.equal(model(x), original(x))
    assert not model.training
    assert (what.spec.name, what.spec.size, what.spec.fs, what.spec.box_scale) == ("mine", 12, 30.0, 1.2)
    assert what.spec.lookahead == model.lookahead
    assert what.recipe == {"seed": 3}


def test_a_changed_file_is_refused(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(DataError, match=r"not the one that mine\.json describes"):
        load_weights(saved)


def test_a_missing_or_broken_sidecar_is_refused(saved: Path) -> None:
    side = sidecar(saved)
    text = side.read_text()
    side.write_text(json.dumps({"name": "mine"}))
    with pytest.raises(DataError, match="not a sidecar"):
        read_spec(saved)
    side.write_text(text.replace('"width": 16', '"width": 24'))
    with pytest.raises(DataError, match="does not fit"):
        load_weights(saved)
    side.unlink()
    with pytest.raises(DataError, match="is missing"):
        read_spec(saved)


def test_unknown_names_and_bad_targets(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown weights 'nobody'"):
        load_weights("nobody")
    with pytest.raises(OutputError, match=r"\.safetensors"):
        save_weights(create("student"), tmp_path / "x.pt", "x", "student")
