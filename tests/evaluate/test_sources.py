"""Public data sets and prepared stores, from the command line to the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from kdphys.cli.evaluate import evaluate
from kdphys.containers import Clip, Recording, Signal, Video
from kdphys.data.prepare import prepare
from kdphys.data.store import open_store
from kdphys.errors import DataError, InvalidInputError, KDPhysError, UnknownNameError
from kdphys.evaluate.prepared import Prepared
from kdphys.evaluate.sources import select
from kdphys.pulse.engines import load_onnx
from kdphys.video.reader import read_video
from tests.data.trees import TREES
from tests.pulse.make import write_model

SIZE, FS, SECONDS = 24, 30.0, 21
RATES = {"ann": 61.3, "bob": 77.7, "cy": 94.1, "dee": 118.9}


class Skin:
    """A take whose crops are known: skin inside, and around it a wall that flickers at another rate."""

    def __init__(self, subject: str) -> None:
        self.subject, self.name = subject, f"{subject}/1"
        self.conditions = {"light": "low" if subject in ("ann", "bob") else "high"}

    def open(self) -> Recording:
        t = np.arange(SECONDS * 64) / 64
        still = read_video(np.zeros((2, SIZE, SIZE, 3), np.uint8), fs=1 / SECONDS)
        still.name = self.subject
        bvp = Signal(t, np.sin(2 * np.pi * RATES[self.subject] / 60 * t))
        return Recording(self.subject, self.name, still, {"bvp": bvp}, self.conditions)


def crops(video: Video, size: int, fs: float, box_scale: float) -> Clip:
    """A pulse of a third of a grey level, the same in every pixel: rounding the pixels would leave nothing of it."""
    t = np.arange(round(SECONDS * fs)) / fs
    volume = np.sin(2 * np.pi * RATES[video.name] / 60 * t)[:, None, None, None]
    face = np.array([150.0, 110.0, 90.0]) * (1 - 0.003 * volume * np.array([0.33, 0.77, 0.53]))
    rgb = np.broadcast_to(face, (len(t), size, size, 3)).copy()
    edge = round(size / 6)
    rgb[:, :edge] = 60 + 30 * np.sin(2 * np.pi * 1.9 * t)[:, None, None, None]
    return Clip(rgb.astype(np.float32), fs)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four persons: treat as read-only."""
    out = tmp_path_factory.mktemp("store") / "s"
    manifest = prepare([Skin(name) for name in RATES], "mine", out, crops, size=SIZE, folds=2)
    assert manifest["datasets"]["mine"]["done"] == 4
    return out


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def test_a_public_data_set(tmp_path: Path) -> None:
    TREES["pure"].make(tmp_path / "PURE")
    out = tmp_path / "out"
    got = run("-d", "pure", tmp_path / "PURE", "--roi", "full", "-m", "green", "--window", 6, "-o", out, "--no-plots")
    assert got.exit_code == 0, got.output
    (windows,) = [g for g in report_of(out)["groups"] if g["window"] == "6 s"]
    assert {(s["recording"], s["subject"]) for s in windows["scores"]} == {("01-01", "01"), ("02-03", "02")}
    for score in windows["scores"]:
        assert score["ref_bpm"] == pytest.approx(88, abs=4)
        assert score["candidate_bpm"] == pytest.approx(score["ref_bpm"], abs=1)
    assert set(windows["conditions"]["motion"]) == {"steady", "slow translation"}
    split = tmp_path / "split.json"  # as a store names them
    split.write_text('{"train": ["pure/01"], "test": ["pure/02"]}', encoding="utf-8")
    got = run("-d", "pure", tmp_path / "PURE", "--roi", "full", "--split", split)
    assert got.exit_code == 0, got.output
    assert "left out: 1 recordings" in got.stderr
    assert "1/1 02-03" in got.stderr


def test_a_store_needs_no_face_and_keeps_fractions(store: Path, tmp_path: Path) -> None:
    """Classical methods see the skin alone, learned ones the whole crop; neither sees rounded pixels."""
    model = write_model(tmp_path / "green1.onnx", np.array([-1.0]), 0, SIZE)
    out = tmp_path / "out"
    got = run(store, "-m", "pos", "-m", model, "--window", 10, "--protocol", "both", "-o", out, "--no-plots")
    assert got.exit_code == 0, got.output
    report = report_of(out)
    assert report["failures"] == []
    assert report["split"] is None
    groups = {(g["protocol"], g["method"], g["window"]): g for g in report["groups"]}
    skin = groups["kdphys", "pos", "10 s"]
    assert (skin["summary"]["n"], skin["summary"]["subjects"]) == (8, 4)
    for score in skin["scores"]:
        assert score["ref_bpm"] == pytest.approx(RATES[score["subject"].removeprefix("mine/")], abs=0.2)
        assert score["candidate_bpm"] == pytest.approx(score["ref_bpm"], abs=0.5)
    assert {value: s["n"] for value, s in skin["conditions"]["light"].items()} == {"low": 4, "high": 4}
    whole = groups["kdphys", "green1", "whole"]["scores"]
    assert [s["candidate_bpm"] for s in whole] == pytest.approx([1.9 * 60] * 4, abs=0.5), "the wall is in the crop"
    assert groups["toolbox", "pos", "whole"]["summary"]["mae"]["value"] < 1.8


def test_smaller_crops_are_averaged_from_larger_ones_not_the_reverse(store: Path, tmp_path: Path) -> None:
    item = Prepared(open_store(store)["mine-ann_1-" + _hash(store, "ann")], 1.5)
    half = load_onnx(write_model(tmp_path / "half.onnx", np.array([-1.0]), 0, SIZE // 2))
    same = load_onnx(write_model(tmp_path / "same.onnx", np.array([-1.0]), 0, SIZE))
    _, pulses = item.measure([half, same])
    assert np.allclose(pulses[0].bvp, pulses[1].bvp, atol=1e-3)
    assert len(pulses[0].bvp) == SECONDS * 30
    large = load_onnx(write_model(tmp_path / "large.onnx", np.array([-1.0]), 0, SIZE + 4))
    with pytest.raises(InvalidInputError, match=r"needs crops of 28 px or more.*holds 24 px"):
        item.measure([large])
    with pytest.raises(InvalidInputError, match=r"1\.5 × the face box.*1 ×"):
        Prepared(item.item, 1.0).measure([same])


def test_two_networks_of_one_name_are_told_apart_by_their_files(store: Path, tmp_path: Path) -> None:
    """One that was trained further has the name of the one that it came from."""
    (tmp_path / "mine").mkdir()
    model = write_model(tmp_path / "green1.onnx", np.array([-1.0]), 0, SIZE)
    other = write_model(tmp_path / "mine" / "green1.onnx", np.array([-1.0]), 0, SIZE)
    out = tmp_path / "out"
    got = run(store, "-m", "green", "-m", model, "-m", other, "--window", 10, "-o", out, "--no-plots")
    assert got.exit_code == 0, got.output
    groups = {g["method"]: g for g in report_of(out)["groups"] if g["window"] == "10 s"}
    assert list(groups) == ["green", str(model), str(other)]
    assert groups[str(model)]["scores"] == groups[str(other)]["scores"]
    assert "each named once" in str(run(store, "-m", model, "-m", model).exception)


def _hash(store: Path, subject: str) -> str:
    (key,) = [key for key in open_store(store).keys if key.startswith(f"mine-{subject}")]
    return key.rsplit("-", 1)[1]


def test_a_missing_face_stays_a_gap(tmp_path: Path) -> None:
    def hidden(video: Video, size: int, fs: float, box_scale: float) -> Clip:
        clip = crops(video, size, fs, box_scale)
        seen = np.ones(len(clip.rgb), bool)
        seen[300:400] = False
        return Clip(clip.rgb, fs, 0.0, seen)

    prepare([Skin("cy")], "mine", tmp_path / "s", hidden, size=SIZE)
    method = load_onnx(write_model(tmp_path / "green1.onnx", np.array([-1.0]), 0, SIZE))
    (item,) = open_store(tmp_path / "s")
    trace, (pulse,) = Prepared(item, 1.5).measure([method])
    for valid in (trace.valid, pulse.valid):
        assert not valid[300:400].any()
        assert valid[:300].all()
        assert valid[400:].all()


@pytest.mark.parametrize(
    ("options", "split", "fold", "part"),
    [
        (["--split", "holdout", "--part", "test"], "holdout", None, "test"),
        (["--part", "train"], "holdout", None, "train"),
        (["--split", "k_fold", "--fold", "1"], "k_fold", 1, "test"),
    ],
)
def test_parts_of_a_stores_splits(
    options: list[str], split: str, fold: int | None, part: str, store: Path, tmp_path: Path
) -> None:
    got = run(store, *options, "-m", "green", "-o", tmp_path / "out", "--no-plots", "--window", 10)
    assert got.exit_code == 0, got.output
    report = report_of(tmp_path / "out")
    expected: Mapping[str, list[str]] = open_store(store).split(split, fold)
    assert report["split"] == {k: sorted(v) for k, v in expected.items()}
    assert report["part"] == part
    assert {s["subject"] for g in report["groups"] for s in g["scores"]} == set(expected[part])
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"those evaluated are in {part}." in text
    assert f"- {part} ({len(expected[part])}): {', '.join(sorted(expected[part]))}" in text


def test_a_split_file_with_a_store(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    file.write_text('{"train": ["mine/bob", "mine/cy", "mine/dee"], "test": ["mine/ann"]}', encoding="utf-8")
    chosen = select([store], split=str(file))
    assert chosen.split is not None
    assert chosen.split["test"] == ["mine/ann"]
    assert [r.subject for r in chosen.recordings] == ["mine/ann"]
    assert chosen.left_out == 3


def test_the_report_has_every_condition_with_number_and_interval(store: Path) -> None:
    got = run(store, "-m", "green", "--window", 10)
    assert got.exit_code == 0, got.output
    head = "| light | method | n | coverage | MAE | 95 % CI |"
    assert f"By light, 10 s:\n\n{head}" in got.stdout
    rows = [line.split(" | ") for line in got.stdout.splitlines() if line.startswith(("| low |", "| high |"))]
    assert [(row[0], row[2]) for row in rows] == [("| high", "4"), ("| low", "4"), ("| high", "2"), ("| low", "2")]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--split", "random"], UnknownNameError, "Known: holdout, k_fold"),
        (["--split", "k_fold"], DataError, "folds 0–1, not None"),
        (["--part", "exam"], UnknownNameError, "Known: test, train, val"),
        (["--dataset", "pure"], InvalidInputError, "evaluated by itself"),
    ],
)
def test_wrong_options_with_a_store(options: list[str], error: type[KDPhysError], words: str, store: Path) -> None:
    got = run(store, *options)
    assert isinstance(got.exception, error)
    assert words in str(got.exception)


def test_wrong_options(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="evaluated by itself"):
        select([store, tmp_path])
    with pytest.raises(InvalidInputError, match="--fold needs a prepared store"):
        select([tmp_path], fold="1")
    with pytest.raises(InvalidInputError, match="--part one or a --split"):
        select([tmp_path], part="test")
    with pytest.raises(UnknownNameError, match="Did you mean 'pure'"):
        select([tmp_path], dataset="puer")
    got = run(store, "--roi", "full")
    assert got.exit_code == 2
    assert "crops of faces; leave roi out" in got.stderr
