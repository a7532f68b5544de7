"""``kdphys datasets list | info | check``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kdphys.cli.datasets import app
from kdphys.data.readers import DATASETS
from kdphys.errors import DataError, OutputError, UnknownNameError
from tests.data.trees import TREES

run = CliRunner()


def test_list_names_every_data_set() -> None:
    result = run.invoke(app, ["list"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()[1:]] == sorted(DATASETS)
    as_json = json.loads(run.invoke(app, ["list", "--json", "-"]).output)
    assert as_json["pure"]["doi"] == "10.1109/ROMAN.2014.6926392"


@pytest.mark.parametrize("name", DATASETS)
def test_info_says_where_to_ask_and_on_what_terms(name: str) -> None:
    result = run.invoke(app, ["info", name])
    assert result.exit_code == 0
    assert {"licence", "where", "layout", "paper"} <= {line.split()[0] for line in result.output.splitlines()[1:]}


def test_info_of_an_unknown_name() -> None:
    assert isinstance(run.invoke(app, ["info", "purr"]).exception, UnknownNameError)


def test_check_of_a_whole_and_of_a_damaged_copy(tmp_path: Path) -> None:
    TREES["cohface"].make(tmp_path)
    whole = run.invoke(app, ["check", "cohface", str(tmp_path), "--partial"])
    assert whole.exit_code == 0, whole.output
    assert "3 of 3 recordings good" in whole.output
    (tmp_path / "1/0/data.hdf5").unlink()
    damaged = run.invoke(app, ["check", "cohface", str(tmp_path), "--partial"])
    assert damaged.exit_code == 1
    assert "BAD  1-0  missing label" in damaged.output
    assert "2 of 3 recordings good" in damaged.output
    incomplete = run.invoke(app, ["check", "cohface", str(tmp_path)])
    assert incomplete.exit_code == 1
    assert "missing from this copy" in incomplete.output


def test_check_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES["ubfc-phys"].make(tmp_path / "set")
    out = tmp_path / "report.json"
    arguments = ["check", "ubfc-phys", str(tmp_path / "set"), "--json", str(out)]
    assert run.invoke(app, arguments).exit_code == 1
    report = json.loads(out.read_text())
    assert (report["recordings"], report["bad"], report["ok"]) == (168, 166, False)
    assert report["findings"][0] == {
        "ok": True,
        "recording": "s1_T1",
        "problems": [],
        "notes": [],
        "frames": 210,
        "seconds": pytest.approx(209 / 35, abs=0.001),
        "hr_bpm": pytest.approx(88, abs=6),
    }
    monkeypatch.setattr("kdphys.data.check.check_take", lambda *_, **__: pytest.fail("hours later"))
    assert isinstance(run.invoke(app, arguments).exception, OutputError)
    monkeypatch.undo()
    assert run.invoke(app, [*arguments, "--force"]).exit_code == 1


def test_check_of_a_wrong_folder(tmp_path: Path) -> None:
    assert isinstance(run.invoke(app, ["check", "pure", str(tmp_path)]).exception, DataError)
