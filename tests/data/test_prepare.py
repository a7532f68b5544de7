"""Preparing recordings into a store: what is in it, what is not and why, and what a kill leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import typer
import zarr
from typer.testing import CliRunner

import kdphys
from kdphys.cli.prepare import prepare as command
from kdphys.containers import Clip, Frame, Recording, Signal, Video
from kdphys.data.prepare import label, prepare
from kdphys.data.readers import load_reader
from kdphys.data.store import key_of, open_store
from kdphys.data.workers import locked
from kdphys.errors import DataError, InvalidInputError, UnknownNameError
from kdphys.evaluate.protocols import wave_hr
from kdphys.pipeline import extract_clip
from tests.data.prepare_child import whole_picture
from tests.data.trees import SECONDS, TREES, pictures, uniform, wave, write_lines, write_video

ROOT = Path(__file__).parents[2]


def phys_tree(root: Path, persons: int, seconds: float = SECONDS) -> None:
    for k in range(1, persons + 1):
        folder = root / f"s{k}"
        write_video(folder / f"vid_s{k}_T1.avi", pictures(uniform(35, seconds)), 35, "mjpeg", "yuvj420p")
        write_lines(folder / f"bvp_s{k}_T1.csv", (f"{v:.5f}" for v in wave(uniform(64, seconds))))


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store by its path."""
    return {p.relative_to(store).as_posix(): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six persons, of whom one has no label, one a cut video that is hardly there, one no face."""
    root = tmp_path_factory.mktemp("phys")
    phys_tree(root, 6)
    (root / "s2/bvp_s2_T1.csv").unlink()
    video = root / "s3/vid_s3_T1.avi"
    video.write_bytes(video.read_bytes()[:20000])
    write_video(root / "s5/vid_s5_T1.avi", [np.zeros((36, 48, 3), np.uint8)] * 210, 35, "mjpeg", "yuvj420p")
    return root


@pytest.fixture(scope="module")
def store(six: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six, prepared: treat as read-only."""
    out = tmp_path_factory.mktemp("out") / "store"
    prepare(load_reader("ubfc-phys").find(six), "ubfc-phys", out, whole_picture, size=16)
    return out


def test_everything_in_is_out_or_refused_with_a_reason(store: Path) -> None:
    opened = open_store(store)
    assert opened.manifest["datasets"] == {"ubfc-phys": {"in": 6, "done": 3, "refused": 3, "pending": 0}}
    assert [item.subject for item in opened] == ["ubfc-phys/s1", "ubfc-phys/s4", "ubfc-phys/s6"]
    reasons = opened.refused
    assert "missing bvp" in reasons["ubfc-phys-s2_T1"]
    assert "no face: seen for" in reasons["ubfc-phys-s3_T1"]
    assert "no face in the whole recording" in reasons["ubfc-phys-s5_T1"]
    assert {"numpy", "av", "zarr", "kdphys"} <= set(opened.manifest["versions"])
    assert len(opened.manifest["settings_sha256"]) == 64


def test_crops_and_labels_are_on_one_clock(store: Path) -> None:
    item = open_store(store)["ubfc-phys-s1_T1"]
    assert (item.size, item.fs, item.rgb.dtype, item.group["rgb"].chunks) == (16, 30.0, np.float16, (128, 16, 16, 3))
    assert len(item) == len(item.bvp) == len(item.valid) == len(item.times) == pytest.approx(SECONDS * 30, abs=2)
    assert item.conditions == {"task": "rest", "motion": "still"}
    brightness = item.rgb.astype(float).mean(axis=(1, 2, 3))
    known = np.isfinite(item.bvp) & item.valid
    assert known.mean() > 0.97
    # 64 Hz labels and 35 fps pictures, both averaged over 1/30 s: the same wave.
    assert np.corrcoef(item.bvp[known], brightness[known])[0, 1] > 0.999
    assert np.corrcoef(item.bvp[known], wave(item.times[known]))[0, 1] > 0.999
    reference = item.references["bvp"]
    assert np.allclose(reference.values, np.round(wave(reference.times), 5))


def test_an_item_is_a_clip_and_a_recording(store: Path) -> None:
    item = open_store(store)["ubfc-phys-s4_T1"]
    clip = item.clip()
    assert isinstance(clip, Clip)
    assert (clip.fs, clip.t0, clip.rgb.shape) == (item.fs, item.t0, item.rgb.shape)
    recording = item.open()
    assert isinstance(recording, Recording)
    frames = list(recording.video)
    assert len(frames) == recording.video.n_frames == item.valid.sum()
    assert frames[0].rgb.shape == (16, 16, 3)
    assert np.allclose([f.t for f in frames], item.times[item.valid])
    assert recording.references["bvp"].times[-1] == pytest.approx(SECONDS, abs=0.1)


def test_it_is_a_zarr_v3_group_for_others_too(store: Path) -> None:
    root = zarr.open_group(str(store), mode="r")
    assert root.metadata.zarr_format == 3
    assert root["recordings/ubfc-phys-s6_T1/rgb"].shape[1:] == (16, 16, 3)


def test_splits_are_by_person_and_stored(store: Path) -> None:
    opened = open_store(store)
    tested = [s for fold in opened.manifest["splits"]["k_fold"] for s in fold["test"]]
    assert sorted(tested) == opened.subjects
    parts = {part: {i.subject for i in opened.part("k_fold", part, 1)} for part in ("train", "val", "test")}
    assert set.union(*parts.values()) == set(opened.subjects)
    assert sum(map(len, parts.values())) == len(opened.subjects)
    with pytest.raises(UnknownNameError, match="holdout"):
        opened.part("random", "train")
    with pytest.raises(DataError, match="folds 0–2"):
        opened.part("k_fold", "train", 7)


def test_uint8_is_rounded(six: Path, store: Path, tmp_path: Path) -> None:
    takes = load_reader("ubfc-phys").find(six)[:1]
    prepare(takes, "ubfc-phys", tmp_path / "s", whole_picture, size=16, dtype="uint8")
    small = open_store(tmp_path / "s")["ubfc-phys-s1_T1"].rgb
    fine = open_store(store)["ubfc-phys-s1_T1"].rgb.astype(float)
    assert small.dtype == np.uint8
    assert np.abs(small - fine).max() <= 0.6
    assert 0.1 < np.abs(small - fine).mean() < 0.3


def test_two_runs_give_the_same_bytes_whatever_the_processes(six: Path, store: Path, tmp_path: Path) -> None:
    prepare(load_reader("ubfc-phys").find(six), "ubfc-phys", tmp_path / "s", whole_picture, size=16, workers=2)
    assert contents(tmp_path / "s") == contents(store)


def counting(calls: list[str]) -> Callable[..., Clip | None]:
    def extract(video: Video, size: int, fs: float, box_scale: float) -> Clip | None:
        calls.append(video.name)
        return whole_picture(video, size, fs, box_scale)

    extract.__module__, extract.__qualname__ = whole_picture.__module__, whole_picture.__qualname__
    return extract


def test_finished_recordings_are_not_redone_and_refused_ones_are_tried_again(
    six: Path, store: Path, tmp_path: Path
) -> None:
    root, out = tmp_path / "phys", tmp_path / "store"
    shutil.copytree(six, root)
    shutil.copytree(store, out)
    shutil.copy(root / "s1/bvp_s1_T1.csv", root / "s2/bvp_s2_T1.csv")  # mended
    calls: list[str] = []
    manifest = prepare(load_reader("ubfc-phys").find(root), "ubfc-phys", out, counting(calls), size=16)
    assert calls == ["vid_s2_T1.avi", "vid_s3_T1.avi", "vid_s5_T1.avi"]
    assert manifest["datasets"]["ubfc-phys"] == {"in": 6, "done": 4, "refused": 2, "pending": 0}


def test_a_recording_in_place_without_an_entry_is_taken_over(six: Path, store: Path, tmp_path: Path) -> None:
    """What a kill between the move and the manifest leaves."""
    out = tmp_path / "store"
    shutil.copytree(store, out)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["recordings"]["ubfc-phys-s4_T1"] = {"status": "pending", "dataset": "ubfc-phys", "subject": "", "name": ""}
    (out / "manifest.json").write_text(json.dumps(manifest))
    calls: list[str] = []
    prepare(load_reader("ubfc-phys").find(six), "ubfc-phys", out, counting(calls), size=16)
    assert "vid_s4_T1.avi" not in calls
    assert contents(out) == contents(store)


def test_a_recording_lost_from_disk_is_made_again(six: Path, store: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    shutil.copytree(store, out)
    shutil.rmtree(out / "recordings" / "ubfc-phys-s4_T1")
    prepare(load_reader("ubfc-phys").find(six), "ubfc-phys", out, whole_picture, size=16)
    assert contents(out) == contents(store)


def test_a_half_written_recording_is_never_read(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "store"
    shutil.copytree(store, out)
    shutil.copytree(out / "recordings/ubfc-phys-s1_T1", out / ".partial/ubfc-phys-s2_T1.77")
    assert len(open_store(out)) == 3


def test_two_data_sets_in_one_store(six: Path, tmp_path: Path) -> None:
    TREES["cohface"].make(tmp_path / "cohface")
    out = tmp_path / "store"
    prepare(load_reader("ubfc-phys").find(six)[:1], "ubfc-phys", out, whole_picture, size=8)
    prepare(load_reader("cohface").find(tmp_path / "cohface"), "cohface", out, whole_picture, size=8)
    opened = open_store(out)
    assert {item.dataset for item in opened} == {"ubfc-phys", "cohface"}
    held_out = {item.subject for item in opened.part("leave_one_dataset_out", "test", "cohface")}
    assert held_out == {"cohface/1", "cohface/2"}
    trained = opened.part("leave_one_dataset_out", "train", "cohface")
    assert {item.dataset for item in trained} == {"ubfc-phys"}
    assert sorted(opened["cohface-1-0"].references) == ["bvp", "resp"]


def test_a_store_goes_on_with_its_own_seed_and_folds(six: Path, tmp_path: Path) -> None:
    takes, out = load_reader("ubfc-phys").find(six), tmp_path / "store"
    first = prepare(takes, "ubfc-phys", out, whole_picture, size=8, seed=7, folds=2)["splits"]
    assert prepare(takes, "ubfc-phys", out, whole_picture, size=8)["splits"] == first
    assert (first["seed"], first["folds"], len(first["k_fold"])) == (7, 2, 2)
    assert prepare(takes, "ubfc-phys", out, whole_picture, size=8, seed=0)["splits"]["seed"] == 0


def test_a_run_that_is_stopped_before_its_splits_keeps_its_seed(six: Path, tmp_path: Path) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    takes, out = load_reader("ubfc-phys").find(six), tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        prepare(takes, "ubfc-phys", out, whole_picture, size=8, seed=7, folds=2, progress=stopped)
    splits = prepare(takes, "ubfc-phys", out, whole_picture, size=8)["splits"]
    assert (splits["seed"], splits["folds"]) == (7, 2)


class _Source:
    """A source that fails in a way nobody thought of, or has odd labels."""

    subject, name = "somebody", "a/b:c*"

    def __init__(self, references: dict[str, Signal] | Exception) -> None:
        self.given = references

    def open(self) -> Recording:
        if isinstance(self.given, Exception):
            raise self.given
        video = kdphys.read_video(np.stack(pictures(uniform(30))), fs=30)
        return Recording(self.subject, self.name, video, self.given)


def _refusal(references: dict[str, Signal] | Exception, out: Path) -> str:
    manifest = prepare([_Source(references)], "odd", out, whole_picture, size=8)
    ((_, entry),) = manifest["recordings"].items()
    return str(entry.get("reason", entry["status"]))


def test_reasons_of_refusal(tmp_path: Path) -> None:
    t = uniform(60)
    assert _refusal(ZeroDivisionError("oh"), tmp_path / "a") == "unexpected ZeroDivisionError: oh"
    assert _refusal({}, tmp_path / "b") == "missing label: no reference at all"
    assert "do not overlap" in _refusal({"bvp": Signal(t + 100, wave(t))}, tmp_path / "c")
    assert "together for 1.0 s" in _refusal({"bvp": Signal(t[:61], wave(t[:61]))}, tmp_path / "d")


def test_heart_rates_alone_are_kept(tmp_path: Path) -> None:
    assert _refusal({"hr_bpm": Signal(np.arange(6.0), np.full(6, 70.0))}, tmp_path / "s") == "done"
    (item,) = open_store(tmp_path / "s")
    assert np.isnan(item.bvp).all()
    assert item.references["hr_bpm"].values.tolist() == [70.0] * 6


def test_keys_are_safe_and_different() -> None:
    names = ["a/b:c*", "a_b_c_", "s1 T1", "ü" * 40, "x" * 300, "x" * 301, "CON"]
    keys = [key_of("odd", name) for name in names]
    assert len({k.lower() for k in keys}) == len(names)
    assert all(len(k) < 120 and k.isascii() and not set(k) & set('/\\:*?"<>| .') for k in keys)


def test_wrong_options(six: Path, store: Path, tmp_path: Path) -> None:
    takes = load_reader("ubfc-phys").find(six)
    for options in ({"size": 4}, {"dtype": "float32"}, {"fs": 0}, {"workers": 0}):
        with pytest.raises(InvalidInputError, match=next(iter(options))):
            prepare(takes, "ubfc-phys", tmp_path / "s", whole_picture, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"a name of its own, got 's1_T1' \(2 times\)"):
        prepare([*takes, takes[0]], "ubfc-phys", tmp_path / "s", whole_picture)
    with pytest.raises(DataError, match="choose another folder"):
        prepare(takes, "ubfc-phys", store, whole_picture, size=20)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        prepare(takes, "ubfc-phys", tmp_path / "mine", whole_picture)
    with pytest.raises(DataError, match="no prepared store"):
        open_store(tmp_path)


def test_a_second_run_at_the_same_time_is_refused(six: Path, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(DataError, match="another 'kdphys prepare'"):
        prepare(load_reader("ubfc-phys").find(six), "ubfc-phys", tmp_path, whole_picture)
    assert prepare(load_reader("ubfc-phys").find(six), "ubfc-phys", tmp_path, whole_picture)


def begun(partial: Path) -> bool:
    """Whether a recording is being written; the folder itself may go at any moment."""
    try:
        return bool(list(partial.glob("*/*")))
    except FileNotFoundError:
        return False


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
def test_killed_at_random_moments_the_store_is_the_same(tmp_path: Path) -> None:
    phys_tree(tmp_path / "phys", 6, seconds=4.0)
    takes = load_reader("ubfc-phys").find(tmp_path / "phys")
    began = time.monotonic()
    prepare(takes, "ubfc-phys", tmp_path / "whole", whole_picture, size=32)
    seconds = time.monotonic() - began
    rng = np.random.default_rng()
    killed = tmp_path / "killed"
    for kill in range(3):
        command = [sys.executable, "-m", "tests.data.prepare_child", str(tmp_path / "phys"), str(killed), "32", "1"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            while kill and process.poll() is None and not begun(killed / ".partial"):
                time.sleep(0.001)  # the second and third die while they write a recording
            time.sleep(rng.uniform(0.0, 0.02 if kill else 0.5 * seconds))
            process.send_signal(signal.SIGKILL)
        if (killed / "manifest.json").exists():  # whatever is there can be read
            for item in open_store(killed):
                assert item.rgb.shape == (len(item), 32, 32, 3)
                assert item.references
    prepare(takes, "ubfc-phys", killed, whole_picture, size=32)
    assert contents(killed) == contents(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_keeps_no_half_recording(tmp_path: Path) -> None:
    """The pipeline answers Ctrl-C with what it has; a store must not take that for the whole."""

    def interrupted(video: Video, size: int, fs: float, box_scale: float) -> Clip | None:
        frames = iter(list(video)[:30])

        class Stopped(Video):
            name, width, height = video.name, video.width, video.height

            def __iter__(self) -> Iterator[Frame]:
                yield from frames
                raise KeyboardInterrupt

        return extract_clip(Stopped(), size, fs, box_scale, roi="full")

    phys_tree(tmp_path / "phys", 1)
    with pytest.raises(KeyboardInterrupt):
        prepare(load_reader("ubfc-phys").find(tmp_path / "phys"), "ubfc-phys", tmp_path / "s", interrupted)
    assert len(open_store(tmp_path / "s")) == 0


def test_command_on_a_real_face(tmp_path: Path, demo_path: Path) -> None:

    from kdphys.cli.main import app as whole

    app = typer.Typer()
    app.command()(command)
    assert whole is not None
    (tmp_path / "videos").mkdir()
    for suffix in (".mp4", ".csv"):
        shutil.copy(demo_path.with_suffix(suffix), tmp_path / "videos" / f"demo{suffix}")
    arguments = ["files", str(tmp_path / "videos"), "--out", str(tmp_path / "store"), "--as", "bundled"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output == "bundled: 1 in = 1 out + 0 refused\n"
    (item,) = open_store(tmp_path / "store")
    assert item.subject == "bundled/demo"
    assert item.rgb.shape[1:] == (36, 36, 3)
    assert item.valid.mean() > 0.95
    known = np.isfinite(item.bvp)
    assert wave_hr(item.bvp[known], item.fs) == pytest.approx(72.1, abs=1.0)
    green = item.rgb.astype(float)[:, 9:27, 9:27, 1].mean(axis=(1, 2))[known]
    assert wave_hr(green - np.convolve(np.pad(green, 30, "edge"), np.ones(61) / 61, "valid"), item.fs) == pytest.approx(
        72.1, abs=4.0
    )


def test_command_says_what_was_refused(six: Path, tmp_path: Path) -> None:

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["ubfc-phys", str(six), "--out", str(tmp_path / "s")])  # colours, but no faces
    assert result.exit_code == 1
    assert "ubfc-phys: 6 in = 0 out + 6 refused" in result.output
    assert "refused  s1_T1  no face in the whole recording" in result.output


def test_a_label_on_a_clock_of_its_own_is_refused_and_a_wild_time_does_no_harm() -> None:
    """Neither asks for the samples in between, hundreds of gigabytes of them."""
    clip = Clip(np.zeros((300, 8, 8, 3), np.float32), 30.0)
    times = np.arange(0, 10, 1 / 60)
    with pytest.raises(DataError, match="do not overlap"):
        label({"bvp": Signal(times + 1.7e9, np.sin(8 * times))}, clip)
    wild = label({"bvp": Signal(np.append(times, 1.7e9), np.append(np.sin(8 * times), 0.0))}, clip)
    good = label({"bvp": Signal(times, np.sin(8 * times))}, clip)
    assert np.isfinite(good).sum() > 290
    np.testing.assert_array_equal(wild, good)
