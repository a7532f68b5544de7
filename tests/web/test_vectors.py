"""The vectors that the browser's port is compared with are what Python computes today."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield importlib.import_module("web_vectors")


def test_vectors_are_current(tool: ModuleType) -> None:
    found = tool.check()
    assert not found, f"run 'python tools/web_vectors.py', then 'npm --prefix web test': {found[:5]}"


def test_a_difference_is_seen(tool: ModuleType) -> None:
    packed = importlib.import_module("web_vectors_common").packed
    old = {"x": packed([1.0, 2.0]), "n": [1, 2], "f": 0.5}
    assert tool.differences(old, old, "v") == []
    assert tool.differences(old, {**old, "x": packed([1.0, 2.01])}, "v") == ["v.x: values"]
    assert tool.differences(old, {**old, "n": [1]}, "v") == ["v.n: 2 → 1 entries"]
    assert tool.differences(old, {**old, "f": 0.51}, "v") == ["v.f: 0.5 → 0.51"]
