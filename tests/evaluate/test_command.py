"""``kdphys evaluate`` on video files, from the folder to the report."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from kdphys.cli.evaluate import evaluate
from kdphys.errors import KDPhysError

FS, SECONDS = 20, 22


def film(path, hr_bpm):
    """Skin that fills the picture, lossless, with a pulse wave beside it."""
    t = np.arange(FS * SECONDS) / FS
    volume = np.sin(2 * np.pi * hr_bpm / 60 * t)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=FS)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "bgr0"
        for v in volume:
            colour = np.array([150.0, 110.0, 90.0]) * (1 - 0.01 * v * np.array([0.33, 0.77, 0.53]))
            picture = np.rint(colour + rng.normal(0, 2, (48, 48, 3))).clip(0, 255).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")))
        out.mux(stream.encode())
    rows = "".join(f"{a:.4f},{b:.5f}\n" for a, b in zip(t, volume, strict=True))
    path.with_suffix(".csv").write_text("time,bvp\n" + rows, encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("set")
    film(out / "a.mkv", 66.3)
    film(out / "b.mkv", 92.9)
    (out / "manifest.csv").write_text("video,subject,light\na.mkv,anna,low\nb.mkv,bert,high\n", encoding="utf-8")
    return out


def run(*arguments):
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_folder_to_report(folder, tmp_path):
    out = tmp_path / "out"
    got = run(folder, "--roi", "full", "-m", "pos", "-m", "green", "--protocol", "both", "--window", 10, "--out", out)
    assert got.exit_code == 0, got.output
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["failures"] == []
    groups = {(g["protocol"], g["method"], g["window"]): g for g in report["groups"]}
    assert set(groups) == {
        (p, m, w) for m in ("pos", "green") for p, w in (("kdphys", "10 s"), ("kdphys", "whole"), ("toolbox", "whole"))
    }
    for group in groups.values():
        assert group["summary"]["mae_all"]["value"] < (0.5 if group["protocol"] == "kdphys" else 2)
    assert groups["kdphys", "pos", "10 s"]["summary"]["n"] == 4
    assert set(groups["kdphys", "pos", "10 s"]["conditions"]["light"]) == {"low", "high"}
    assert {str(out / name) for name in ("report.json", "report.md", "risk-coverage-10s.png")} <= set(
        got.stdout.split()
    )
    again = run(folder, "--out", out)
    assert isinstance(again.exception, KDPhysError)
    assert "has a report already" in str(again.exception)


def test_without_out_the_tables_are_printed(folder):
    got = run(folder / "a.mkv", "--roi", "full")
    assert got.exit_code == 0, got.output
    assert "| pos | 10 s | 2 |" in got.stdout


def test_a_broken_video_is_listed_and_the_others_count(folder, tmp_path):
    for name in ("a.mkv", "a.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "bad.mkv").write_bytes(b"not a video")
    (tmp_path / "bad.csv").write_text("time,bvp\n0,1\n1,2\n", encoding="utf-8")
    got = run(tmp_path, "--roi", "full")
    assert got.exit_code == 2
    assert "failed bad" in got.stderr
    assert "| pos | 10 s | 2 |" in got.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "paper"], "kdphys, toolbox or both, got 'paper'"),
        (["--method", "poss"], "Did you mean 'pos'"),
        (["--split", "lost.json"], "lost.json: no readable JSON"),
        (["--roi", "1,2"], "--roi expects"),
        (["--window", "2"], "at least 6 s"),
    ],
)
def test_wrong_options(folder, options, message):
    got = run(folder, *options)
    text = str(got.exception) if isinstance(got.exception, KDPhysError) else got.output
    assert got.exit_code != 0
    assert message in text


def test_split_is_written_and_kept(folder, tmp_path):
    split = tmp_path / "split.json"
    split.write_text('{"train": ["anna"], "test": ["bert"]}', encoding="utf-8")
    got = run(folder, "--roi", "full", "--split", split)
    assert got.exit_code == 0, got.output
    assert "left out: 1 recordings of persons outside the part 'test'" in got.stderr
    assert "1/1 b" in got.stderr
    assert "- test (1): bert" in got.stdout
    split.write_text('{"train": ["anna"], "test": ["bert", "bret"]}', encoding="utf-8")
    assert "no recording of bret, who are in the part 'test'" in run(folder, "--roi", "full", "--split", split).stderr
    split.write_text('{"train": ["anna"], "test": ["bret"]}', encoding="utf-8")
    assert "there are recordings of anna, bert" in str(run(folder, "--split", split).exception)
    split.write_text("[1]", encoding="utf-8")
    assert "expected an object of lists" in str(run(folder, "--split", split).exception)
