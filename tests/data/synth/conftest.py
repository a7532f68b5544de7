"""A tiny bank of heads, cast once and kept with the other build products."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("anny")
pytest.importorskip("trimesh")

from kdphys.data.synth import bank as banks
from kdphys.data.synth.bank import BankSpec, HeadBank, load_bank

TINY = BankSpec(count=3, size=128, seed=5)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadBank]:
    folder: Path = tmp_path_factory.mktemp("heads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDPHYS_CACHE", str(folder))
        yield load_bank(TINY)
        banks._load.cache_clear()
