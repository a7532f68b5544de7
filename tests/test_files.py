"""Files are written whole or not at all, and not over others."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kdphys.errors import OutputError
from kdphys.files import check_free, whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with whole(path) as part:
        part.write_text("begun", encoding="utf-8")
        assert not path.exists()
        part.write_text("whole", encoding="utf-8")
    assert path.read_text("utf-8") == "whole"
    assert list(path.parent.iterdir()) == [path]


def _write_half(part: Path) -> None:
    part.write_text("half", encoding="utf-8")
    raise OSError(errno.ENOSPC, "disk is full")


def test_what_is_cut_short_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(OutputError, match="disk is full"), whole(path) as part:
        _write_half(part)
    assert path.read_text("utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_write_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.onnx: cannot be written"), whole(tmp_path / "file" / "a.onnx") as part:
        part.touch()


def test_only_force_overwrites_and_never_a_folder(tmp_path: Path) -> None:
    check_free(tmp_path / "a.txt", force=False)
    (tmp_path / "a.txt").touch()
    with pytest.raises(OutputError, match="overwrite it with --force"):
        check_free(tmp_path / "a.txt", force=False)
    check_free(tmp_path / "a.txt", force=True)
    with pytest.raises(OutputError, match="is a folder"):
        check_free(tmp_path, force=True)
