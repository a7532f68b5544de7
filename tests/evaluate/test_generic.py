"""The generic reader on fabricated folders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kdphys.errors import DataError
from kdphys.evaluate.generic import find_recordings, read_reference

GOOD = "time,bvp\n0.0,1\n0.5,2\n1.0,1\n"


def put(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_videos_with_a_csv_of_the_same_name(tmp_path):
    for name in ("b/take.MP4", "a.avi"):
        put(tmp_path / name)
        put((tmp_path / name).with_suffix(".csv"), GOOD)
    put(tmp_path / "notes.txt")
    found = find_recordings([tmp_path])
    assert [(s.name, s.subject, s.video.name, s.reference.name) for s in found] == [
        ("a", "a", "a.avi", "a.csv"),
        ("b/take", "b/take", "take.MP4", "take.csv"),
    ]
    assert find_recordings([tmp_path / "a.avi"])[0].reference == tmp_path / "a.csv"


def test_one_video_with_reference_csv(tmp_path):
    put(tmp_path / "video.mp4")
    put(tmp_path / "reference.csv", GOOD)
    assert find_recordings([tmp_path / "video.mp4"])[0].reference == tmp_path / "reference.csv"
    put(tmp_path / "second.mp4")
    with pytest.raises(DataError, match=r"second\.mp4: no reference beside it; expected second\.csv"):
        find_recordings([tmp_path])


def test_manifest_names_subjects_and_conditions(tmp_path):
    put(tmp_path / "v/1.mp4")
    put(tmp_path / "v/1.csv", GOOD)
    put(tmp_path / "2.mp4")
    put(tmp_path / "other.csv", GOOD)
    put(
        tmp_path / "manifest.csv",
        "Video,reference,subject,light,skin\nv/1.mp4,,anna,low,5\n\n2.mp4,other.csv,bert,high,\n",
    )
    one, two = find_recordings([tmp_path])
    assert (one.name, one.subject, one.conditions) == ("v/1", "anna", {"light": "low", "skin": "5"})
    assert (two.subject, two.conditions, two.reference) == ("bert", {"light": "high"}, tmp_path / "other.csv")


def test_folders_of_images_keep_their_dots_and_get_their_rate(tmp_path):
    for take in ("take.1", "take.2"):
        (tmp_path / take).mkdir()
        for k in range(3):
            cv2.imwrite(str(tmp_path / take / f"{k}.png"), np.full((16, 16, 3), 90, np.uint8))
        put(tmp_path / f"{take}.csv", GOOD)
    manifest = put(tmp_path / "manifest.csv", "video,subject,fs,light\ntake.1,anna,25,low\ntake.2,anna,50,low\n")
    found = find_recordings([tmp_path])
    assert [(s.name, s.reference.name, s.conditions) for s in found] == [
        ("take.1", "take.1.csv", {"light": "low"}),
        ("take.2", "take.2.csv", {"light": "low"}),
    ]
    assert [[f.t for f in s.open().video] for s in found] == [[0.0, 0.04, 0.08], [0.0, 0.02, 0.04]]
    manifest.write_text("video,fs\ntake.1,fast\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"manifest\.csv, line 2: fs is 'fast', not a number"):
        find_recordings([tmp_path])


def test_folders_below_have_manifests_links_and_secrets_of_their_own(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "a", elsewhere, root / ".trash"):
        put(folder / "t1.mp4")
        put(folder / "t1.csv", GOOD)
    put(root / "a/t2.mp4")
    put(root / "a/t2.csv", GOOD)
    put(root / "a/manifest.csv", "video,subject,light\nt1.mp4,anna,low\nt2.mp4,anna,high\n")
    (root / "b").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(root)
    found = find_recordings([root])
    assert [(s.name, s.subject) for s in found] == [("a/t1", "anna"), ("a/t2", "anna"), ("b/t1", "b/t1")]
    assert found[0].conditions == {"light": "low"}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("", "empty"),
        ("file,subject\n1.mp4,a\n", "'video' among them, got file, subject"),
        ("video,subject,subject\n1.mp4,a,b\n", "different names"),
        ("video\n", "no recordings"),
        ("video\nlost.mp4\n", r"line 2: no video 'lost\.mp4'"),
        ("video,reference\n1.mp4,lost.csv\n", r"line 2: no reference 'lost\.csv'"),
        ("video,subject\n1.mp4\n", r"line 2: expected 2 cells"),
        ("video,subject\n1.mp4,a\n1.mp4,a\n", "both recording"),
    ],
)
def test_wrong_manifests(tmp_path, manifest, message):
    put(tmp_path / "1.mp4")
    put(tmp_path / "1.csv", GOOD)
    put(tmp_path / "manifest.csv", manifest)
    with pytest.raises(DataError, match=message):
        find_recordings([tmp_path])


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no video in this folder"):
        find_recordings([tmp_path])
    with pytest.raises(DataError, match="no such file"):
        find_recordings([tmp_path / "lost.mp4"])


def test_reference_columns_and_units(tmp_path):
    path = put(tmp_path / "r.csv", "\ufefftime_ms, PPG ,hr\n0,1,\n40,2,70\n80,,71\n120,nan,72\n")
    got = read_reference(path)
    assert set(got) == {"bvp", "hr_bpm"}
    np.testing.assert_allclose(got["bvp"].times, [0, 0.04])
    np.testing.assert_allclose(got["bvp"].values, [1, 2])
    np.testing.assert_allclose(got["hr_bpm"].times, [0.04, 0.08, 0.12])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("0.0,1\n0.5,2\n", "first line of names with one of time, time_s"),
        ("bvp\n1\n2\n", "one of time, time_s"),
        ("time,value\n0,1\n", "unknown column value; known are"),
        ("time,bvp,ppg\n0,1,1\n", "one column each"),
        ("time\n0\n", "one column each"),
        ("time,bvp\n", "no values below"),
        ("time,bvp\n0,one\n", "line 2: bvp is 'one', not a number"),
        ("time,bvp\n0,inf\n", "line 2: bvp is infinite"),
        ("time,bvp\n0,1,2\n", "line 2: expected 2 cells"),
        ("time,bvp\n,1\n", "line 2: no time"),
        ("time,bvp\n0,1\n\n1,1\n1,2\n", "line 5: time 1 s does not come after 1 s"),
        ("time,bvp,hr\n0,1,\n1,1,\n", "column hr has no values"),
    ],
)
def test_wrong_references(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        read_reference(put(tmp_path / "r.csv", text))
    assert "r.csv" in str(error.value)


def test_unreadable_references(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_reference(tmp_path / "lost.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="not UTF-8"):
        read_reference(tmp_path / "binary.csv")


def test_a_file_of_zero_bytes_is_refused(tmp_path):
    """What a crash or a bad copy leaves behind is no reason to end an evaluation."""
    path = tmp_path / "zeros.csv"
    path.write_bytes(b"time,bvp\n" + bytes(200_000))
    with pytest.raises(DataError, match="damaged"):
        read_reference(path)
