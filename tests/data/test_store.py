"""A prepared store that lost something on its way: an error, and no black video."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kdphys.data.prepare import prepare
from kdphys.data.readers import load_reader
from kdphys.data.store import open_store
from kdphys.errors import DataError
from tests.data.prepare_child import whole_picture
from tests.data.test_prepare import phys_tree


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two persons, prepared: treat as read-only."""
    root, out = tmp_path_factory.mktemp("phys"), tmp_path_factory.mktemp("out") / "store"
    phys_tree(root, 2)
    prepare(load_reader("ubfc-phys").find(root), "ubfc-phys", out, whole_picture, size=16)
    return out


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("rgb/c", "pixels are missing"),
        ("valid/c", "where the face was"),
        ("bvp/c", "the reference is missing"),
        ("references/bvp/c", "a reference is missing"),
        ("rgb/zarr.json", "rgb cannot be read"),
        ("", "not in its folder"),
    ],
)
def test_a_store_that_was_not_copied_whole_is_no_black_video(
    lost: str, words: str, store: Path, tmp_path: Path
) -> None:
    """What is not there reads as zeros."""
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    path = copy / "recordings" / open_store(store).keys[0] / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(DataError, match=words):
        (lambda item: (item.rgb, item.bvp, item.references))(next(iter(open_store(copy))))


def test_a_damaged_chunk_is_said(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    chunk = next(p for p in (copy / "recordings").rglob("rgb/c/**/*") if p.is_file())
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    with pytest.raises(DataError, match="was the store copied whole"):
        [item.rgb for item in open_store(copy)]
