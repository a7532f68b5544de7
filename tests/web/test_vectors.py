"""The vectors that the browser's port is compared with are what Python computes today."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_vectors", ROOT / "tools" / "web_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vectors_are_current(tool: ModuleType) -> None:
    found = tool.check()
    assert not found, f"run 'python tools/web_vectors.py', then 'npm --prefix web test': {found[:5]}"


def test_a_difference_is_seen(tool: ModuleType) -> None:
    old = {"x": tool.packed([1.0, 2.0]), "n": [1, 2], "f": 0.5}
    assert tool.differences(old, old, "v") == []
    assert tool.differences(old, {**old, "x": tool.packed([1.0, 2.01])}, "v") == ["v.x: values"]
    assert tool.differences(old, {**old, "n": [1]}, "v") == ["v.n: 2 → 1 entries"]
    assert tool.differences(old, {**old, "f": 0.51}, "v") == ["v.f: 0.5 → 0.51"]
