from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import typer
from typer.testing import CliRunner

from kdphys.cli.synth import synth
from kdphys.data.synth import bank as banks
from kdphys.data.synth.bank import BankSpec, HeadBank


@pytest.fixture
def app(bank: HeadBank, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command on the tiny bank."""
    monkeypatch.setattr(BankSpec.__init__, "__defaults__", (bank.spec.count, bank.spec.size, bank.spec.seed))
    monkeypatch.setenv("KDPHYS_CACHE", str(bank.folder.parent))
    banks._load.cache_clear()
    out = typer.Typer()
    out.command()(synth)
    return out


def test_clips_and_contact_sheet(app: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "clips"
    result = CliRunner().invoke(app, ["--out", str(out), "--count", "2", "--seconds", "1", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert len(list(out.glob("000[01].csv"))) == len(list(out.glob("000[01].json"))) == 2
    assert len([p for p in out.iterdir() if p.suffix in (".mp4", ".avi")]) == 2
    again = CliRunner().invoke(app, ["--out", str(out), "--count", "1", "--seconds", "1"])
    assert "exists already" in str(again.exception)
    # The same number with another person's codec has another suffix: forced, no video stays beside the new reference.
    before = {p.stem: p.suffix for p in out.iterdir() if p.suffix in (".mp4", ".avi")}
    (out / f"0000{'.avi' if before['0000'] == '.mp4' else '.mp4'}").write_bytes(b"of an earlier run")
    again = CliRunner().invoke(app, ["--out", str(out), "--count", "1", "--seconds", "1", "--seed", "3", "--force"])
    assert again.exit_code == 0, again.output
    assert {p.stem: p.suffix for p in out.iterdir() if p.suffix in (".mp4", ".avi")} == before
    sheet = tmp_path / "sheet.png"
    result = CliRunner().invoke(app, ["--contact-sheet", str(sheet), "--count", "5"])
    assert result.exit_code == 0, result.output
    assert cv2.imread(str(sheet)).shape == (144, 5 * 144, 3)


def test_nothing_to_write_and_unknown_presets_say_what_to_do(app: typer.Typer) -> None:
    assert "--out" in str(CliRunner().invoke(app, []).exception)
    assert "videos, bench, demo" in str(CliRunner().invoke(app, ["--preset", "nice", "--out", "x"]).exception)


def test_a_folder_without_textures_is_an_error(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--out", str(tmp_path / "out"), "--textures", str(tmp_path)])
    assert "no skin textures in this folder" in str(result.exception)
    result = CliRunner().invoke(app, ["--preset", "demo", "--out", str(tmp_path), "--textures", str(tmp_path)])
    assert "--preset demo have none" in str(result.exception)
