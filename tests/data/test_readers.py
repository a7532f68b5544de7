"""Every registered reader on a fabricated copy of its data set: whole, and damaged in each way."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdphys.data.readers import DATASETS, load_reader
from kdphys.data.readers._files import read_rows
from kdphys.errors import DataError, InvalidInputError, KDPhysError, UnknownNameError
from kdphys.evaluate.protocols import Reference
from tests.data.trees import SECONDS, TREES, W, write_lines, write_video
from tests.video.make import damage


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A copy of each data set below a folder named as a trap: treat as read-only."""
    root = tmp_path_factory.mktemp("copies") / "input" / "my data"
    for name, tree in TREES.items():
        tree.make(root / name)
    return {name: root / name for name in TREES}


@pytest.fixture
def copy(trees: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy that a test may damage."""
    name = request.node.callspec.params["name"]
    return Path(shutil.copytree(trees[name], tmp_path / "input" / name))


def test_no_reader_is_forgotten() -> None:
    assert set(TREES) == set(DATASETS)
    files = {p.stem for p in (Path(__file__).parents[2] / "src/kdphys/data/readers").glob("[a-z]*.py")}
    assert files == {DATASETS[name].split(":")[0].rsplit(".", 1)[1] for name in DATASETS}


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'pure'"):
        load_reader("puer")


@pytest.mark.parametrize("name", DATASETS)
def test_says_what_it_is(name: str) -> None:
    reader = load_reader(name)
    info = reader.info
    assert reader.name == name
    assert all((info.title, info.paper, info.licence, info.where, info.fps, info.references))
    assert info.doi.startswith(("10.", "arXiv:"))
    assert "ROOT" in info.layout
    assert info.subjects > 0
    expected = reader.expected()
    assert len(set(expected)) == len(expected)
    assert not expected or len(expected) == info.recordings


@pytest.mark.parametrize("name", DATASETS)
def test_reads_frames_and_references_on_one_clock(name: str, trees: dict[str, Path]) -> None:
    tree, reader = TREES[name], load_reader(name)
    recordings = list(reader.recordings(trees[name]))
    assert [r.name for r in recordings] == list(tree.takes)
    assert len({r.subject for r in recordings}) > 1
    for recording in recordings:
        assert tree.references <= set(recording.references)
        frames = list(recording.video)
        t = np.array([f.t for f in frames])
        brightness = np.array([f.rgb.mean() for f in frames])
        assert frames[0].rgb.shape == (tree.size[1], tree.size[0], 3) == (recording.video.height, tree.size[0], 3)
        assert recording.video.n_frames in (len(frames), None)  # Matroska makes no promise
        assert t[0] == 0
        assert t[-1] == pytest.approx(SECONDS, abs=0.6)
        top = frames[0].rgb[: len(frames[0].rgb) // 3].astype(float).mean(axis=(0, 1))
        assert top[0] > top[2] + 40, "red and blue are swapped"
        lags = np.linspace(-0.1, 0.1, 41)
        likeness = [_correlation(recording.references["bvp"].at(t + lag), brightness) for lag in lags]
        assert max(likeness) > 0.985
        assert abs(lags[np.argmax(likeness)]) <= 0.01, "labels and frames are shifted against each other"
    take, conditions = tree.conditions
    found = {r.name: r.conditions for r in recordings}[take]
    assert conditions.items() <= found.items()
    assert all(isinstance(v, str) for r in recordings for v in r.conditions.values())


def _correlation(label: np.ndarray, brightness: np.ndarray) -> float:
    known = np.isfinite(label)
    assert known.mean() > 0.9
    return float(np.corrcoef(label[known], brightness[known])[0, 1])


@pytest.mark.parametrize("name", DATASETS)
def test_video_starts_again(name: str, trees: dict[str, Path]) -> None:
    video = next(load_reader(name).recordings(trees[name])).video
    first, again = next(iter(video)), next(iter(video))
    assert first.t == again.t == 0
    assert np.array_equal(first.rgb, again.rgb)


@pytest.mark.parametrize("name", DATASETS)
def test_takes_travel_between_processes(name: str, trees: dict[str, Path]) -> None:
    take = load_reader(name).find(trees[name])[-1]
    back = pickle.loads(pickle.dumps(take))
    assert (back.name, back.subject, back.files) == (take.name, take.subject, take.files)
    assert back.open().name == take.open().name


@pytest.mark.parametrize("name", DATASETS)
def test_whole_copy_passes_the_check(name: str, trees: dict[str, Path]) -> None:
    report = load_reader(name).check(trees[name], partial=True)
    assert report.ok, report.bad
    assert [f.recording for f in report.findings] == list(TREES[name].takes)
    assert all(f.hr_bpm == pytest.approx(88, abs=6) for f in report.findings)


@pytest.mark.parametrize("name", DATASETS)
def test_absent_takes_are_reported(name: str, trees: dict[str, Path]) -> None:
    reader = load_reader(name)
    report = reader.check(trees[name])
    missing = [f for f in report.bad if f.problems[0].startswith("missing")]
    assert missing
    if reader.expected():
        assert len(report.findings) == reader.info.recordings
    else:
        assert missing[0].problems == (
            f"missing: {reader.info.recordings - len(TREES[name].takes)} of {reader.info.recordings} recordings",
        )


def _damaged(name: str, root: Path) -> str:
    """The name of the only recording with problems, and that reading the others still works."""
    report = load_reader(name).check(root, partial=True)
    assert len(report.bad) == 1, report.findings
    whole = [r.name for r in load_reader(name).recordings(root, on_error=lambda take, error: None)]
    good = [f.recording for f in report.findings if f.ok]
    assert set(good) <= set(whole)
    return " ".join(report.bad[0].problems)


@pytest.mark.parametrize("name", DATASETS)
def test_missing_label(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    if label.suffix == ".mat":  # one file holds all: without it the take is not there at all
        label.unlink()
        names = [f.recording for f in load_reader(name).check(copy).bad]
        assert any("missing" in p for f in load_reader(name).check(copy).bad for p in f.problems)
        assert names
        return
    label.unlink()
    assert "missing" in _damaged(name, copy)
    with pytest.raises(DataError, match="missing"):
        list(load_reader(name).recordings(copy))


@pytest.mark.parametrize("name", [name for name in DATASETS if not TREES[name].video.endswith(".mat")])
def test_missing_video(name: str, copy: Path) -> None:
    video = copy / TREES[name].video
    if video.is_dir():
        shutil.rmtree(video)
        assert "missing" in _damaged(name, copy)
        video.mkdir()
    else:
        video.unlink()
    assert "missing" in _damaged(name, copy)


@pytest.mark.parametrize("name", DATASETS)
def test_truncated_video(name: str, copy: Path) -> None:
    video = copy / TREES[name].video
    damaged = sorted(video.iterdir())[-1] if video.is_dir() else video
    data = damaged.read_bytes()
    damaged.write_bytes(data[: round(len(data) * 0.7)])
    said = _damaged(name, copy)
    assert "truncated" in said or "cut off" in said, said
    thorough = load_reader(name).check(copy, partial=True, decode=True)
    assert len(thorough.bad) == 1


@pytest.mark.parametrize("name", DATASETS)
def test_empty_video(name: str, copy: Path) -> None:
    video = copy / TREES[name].video
    damaged = sorted(video.iterdir())[-1] if video.is_dir() else video
    damaged.write_bytes(b"")
    assert _damaged(name, copy)


@pytest.mark.parametrize("name", DATASETS)
def test_wrong_length_of_labels(name: str, tmp_path: Path) -> None:
    TREES[name].make(tmp_path, label_s=SECONDS / 2)
    report = load_reader(name).check(tmp_path, partial=True)
    assert report.findings
    for finding in report.findings:
        assert any(("shorter" in p or "wrong length" in p or "starts" in p) for p in finding.problems), finding


@pytest.mark.parametrize("name", DATASETS)
def test_garbage_in_the_label(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    label.write_bytes(b"\x00\xff\xfe garbage \x93" * 40)
    assert _damaged(name, copy)


@pytest.mark.parametrize("name", DATASETS)
def test_cut_label(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    data = label.read_bytes()
    label.write_bytes(data[: len(data) // 2])
    assert _damaged(name, copy)


@pytest.mark.parametrize("name", DATASETS)
def test_wrong_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected ROOT"):
        load_reader(name).find(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load_reader(name).find(tmp_path / "absent")


@pytest.mark.parametrize("name", ["ubfc-phys"])
def test_flat_signal_and_implausible_rate(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    n = len(label.read_text().split())
    t = np.arange(n) / 64
    write_lines(label, np.full(n, 3.25))
    assert "flat signal" in _damaged(name, copy)
    write_lines(label, np.where(t < 2, np.sin(9 * t), np.sin(18.0)))
    assert "flat signal" in _damaged(name, copy)
    write_lines(label, np.sin(2 * np.pi * 300 / 60 * t))
    assert "implausible heart rate: bvp beats at 300 bpm" in _damaged(name, copy)
    write_lines(label, np.sin(2 * np.pi * 18 / 60 * t))
    assert "implausible heart rate" in _damaged(name, copy)
    write_lines(label, ["oops" if k == 7 else 1.0 for k in range(n)])
    assert "line 8: expected numbers" in _damaged(name, copy)


@pytest.mark.parametrize("name", ["ubfc-rppg"])
def test_times_that_do_not_increase(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    rows = [line.split() for line in label.read_text().splitlines()]
    rows[2][40] = rows[2][39]
    write_lines(label, ("  ".join(row) for row in rows))
    assert "times must increase" in _damaged(name, copy)


@pytest.mark.parametrize("name", ["ubfc-rppg"])
def test_stretched_labels_keep_their_times(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    rows = [line.split() for line in label.read_text().splitlines()]
    rows[2] = [f"{float(t) * 1.06:.7e}" for t in rows[2]]
    write_lines(label, ("  ".join(row) for row in rows))
    reader = load_reader(name)
    take = next(t for t in reader.find(copy) if t.name == "dataset2-10")
    assert take.open().references["bvp"].times[-1] == pytest.approx(float(rows[2][-1]))
    report = reader.check(copy, partial=True)
    assert report.ok
    assert any("stretched" in note for f in report.findings if f.recording == "dataset2-10" for note in f.notes)


@pytest.mark.parametrize("name", ["vipl-hr"])
def test_readings_outside_what_a_heart_does(name: str, copy: Path) -> None:
    path = copy / "data/p12/v7/source3/gt_HR.csv"
    write_lines(path, ["HR", 255, 255, 255, 84, 255, 255])
    assert "implausible heart rate: hr_bpm is 255" in _damaged(name, copy)


@pytest.mark.parametrize("name", ["vipl-hr"])
def test_decimal_commas_are_no_whole_numbers_and_spo2_may_be_missing(name: str, copy: Path) -> None:
    folder = copy / "data/p12/v7/source3"
    (folder / "gt_SpO2.csv").unlink()
    report = load_reader(name).check(copy, partial=True)
    assert report.ok, report.bad
    write_lines(folder / "gt_HR.csv", ["HR", *["84,5"] * 6])
    assert "expected one number a line, got 2; have its decimals a comma?" in _damaged(name, copy)


@pytest.mark.parametrize("name", ["vipl-hr"])
def test_frame_times_beside_a_video_of_another_length(name: str, copy: Path) -> None:
    path = copy / "data/p12/v7/source3/time.txt"
    stamps = path.read_text().split()
    write_lines(path, stamps[:-20])
    assert "wrong length of video" in _damaged(name, copy)
    with pytest.raises(KDPhysError, match="more frames than"):
        for _ in list(load_reader(name).recordings(copy))[1].video:
            pass
    path.unlink()  # without it the video's own clock counts
    recording = list(load_reader(name).recordings(copy))[1]
    assert [f.t for f in recording.video][1] == pytest.approx(1 / 25)


@pytest.mark.parametrize("packets", [range(3), range(60, 64)], ids=["at the beginning", "in the middle"])
@pytest.mark.parametrize("name", ["ubfc-phys", "lgi-ppgi", "vipl-hr"])
def test_lost_frames_keep_their_places(name: str, packets: range, copy: Path) -> None:
    """Labels stay with their frames, whether the times come from the stream or from a file beside it."""
    take = next(t for t in load_reader(name).find(copy) if t.files["video"] == copy / TREES[name].video)
    rng = np.random.default_rng(0)
    frames = [np.vstack([rng.integers(0, 255, (8, W, 3), np.uint8), f.rgb[8:]]) for f in take.open().video]
    write_video(take.files["video"], frames, 25, "mjpeg", "yuvj420p")  # no two pictures alike
    whole = [(f.t, f.rgb.mean()) for f in take.open().video]
    damage(take.files["video"], take.files["video"], packets)
    recording = take.open()
    rest = [(f.t, f.rgb.mean()) for f in recording.video]
    assert rest == [frame for k, frame in enumerate(whole) if k not in packets]
    (note,) = recording.video.notes
    assert note.startswith(f"{len(packets)} corrupt frames left out")
    said = load_reader(name).check(copy, partial=True, decode=True).bad
    assert [f.recording for f in said] == [take.name]
    assert note in said[0].problems


@pytest.mark.parametrize("name", ["mmpd"])
def test_squeezed_pictures_are_restored_and_said(name: str, trees: dict[str, Path]) -> None:
    for recording in load_reader(name).recordings(trees[name]):
        assert recording.video.notes == ("stored squeezed as 24×32, shown as 24×43",)


@pytest.mark.parametrize("name", ["mmpd"])
def test_pictures_of_another_range_are_refused(name: str, copy: Path) -> None:
    from scipy.io import loadmat, savemat

    path = copy / TREES[name].video
    content = {k: v for k, v in loadmat(path).items() if not k.startswith("__")}
    savemat(path, content | {"video": content["video"] * 255})
    assert "expected pictures in [0, 1]" in _damaged(name, copy)


@pytest.mark.parametrize("name", ["pure", "ibvp"])
def test_what_a_mac_leaves_beside_pictures_is_none(name: str, copy: Path) -> None:
    """On foreign disks macOS writes "._NAME" beside each file."""
    folder = copy / TREES[name].video
    for path in list(folder.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    report = load_reader(name).check(copy, partial=True, decode=True)
    assert not report.bad, report.bad


@pytest.mark.parametrize("name", ["pure", "ibvp"])
def test_a_broken_link_is_that_recordings_problem(name: str, copy: Path) -> None:
    folder = copy / TREES[name].video
    picture = sorted(folder.iterdir())[3]
    picture.unlink()
    picture.symlink_to(copy / "nowhere")
    assert picture.name in _damaged(name, copy) or "No such file" in _damaged(name, copy)


@pytest.mark.parametrize("name", ["pure"])
def test_one_wild_time_in_a_label_asks_for_no_memory(name: str, copy: Path) -> None:
    label = copy / TREES[name].label
    content = json.loads(label.read_text())
    content["/FullPackage"][-1]["Timestamp"] = 9 * content["/FullPackage"][-1]["Timestamp"]
    label.write_text(json.dumps(content))
    assert "are all of them right" in _damaged(name, copy)
    waves = [r.references["bvp"] for r in load_reader(name).recordings(copy)]
    wild = max(waves, key=lambda wave: wave.times[-1])
    with pytest.raises(InvalidInputError, match="are all of them right"):
        Reference(wild)


def test_a_row_without_a_value_keeps_its_place(tmp_path: Path) -> None:
    """Labels without times: a row less would move all that follow. pandas writes NaN in a single column as \"\"."""
    path = tmp_path / "bvp.csv"
    path.write_text('bvp\n1\n2\n""\n""\n3\n\n')
    np.testing.assert_array_equal(read_rows(path)[:, 0], [1, 2, np.nan, np.nan, 3])
    path.write_text("1,2\n,\n3,4\n")
    np.testing.assert_array_equal(read_rows(path), [[1, 2], [np.nan, np.nan], [3, 4]])
    path.write_text("1\n2\n\n3\n")
    with pytest.raises(DataError, match="line 3: is empty"):
        read_rows(path)
