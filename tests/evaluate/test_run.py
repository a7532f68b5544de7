"""Evaluation from takes to the report, on skin whose pulse is known."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from kdphys.containers import RgbTrace, Signal
from kdphys.errors import InvalidInputError, MissingExtraError, OutputError, UnknownNameError
from kdphys.evaluate.aggregate import Group, by_condition, mae_interval, summarise
from kdphys.evaluate.protocols import Score
from kdphys.evaluate.report import Failure, Report
from kdphys.evaluate.run import Take, evaluate

FS = 30.0


def take(name, hr_bpm, seconds=40.0, subject=None, reference="bvp", gap=(), offset=0.0, **conditions):
    t = np.arange(round(seconds * FS)) / FS
    angle = 2 * np.pi * hr_bpm / 60 * t
    volume = np.sin(angle) + 0.3 * np.sin(2 * angle + 0.5)
    noise = np.random.default_rng(int(hr_bpm * 10)).standard_normal((len(t), 3))
    light = 1 + 0.02 * np.sin(2 * np.pi * 0.13 * t)[:, None]
    rgb = np.array([150.0, 110.0, 90.0]) * light * (1 - 0.006 * volume[:, None] * [0.33, 0.77, 0.53] + 0.0005 * noise)
    valid = np.ones(len(t), bool)
    for a, b in gap:
        valid[(t >= a) & (t < b)] = False
    times = np.arange(0, seconds, 1 / 64 if reference == "bvp" else 1.0)
    values = np.interp(times, t, volume) if reference == "bvp" else np.full(len(times), hr_bpm)
    references = {reference: Signal(times + offset, values)} if reference else {}
    return Take(subject or name, name, RgbTrace(rgb, FS, 0.0, valid), references, conditions)


@pytest.fixture(scope="module")
def report():
    takes = [
        take("one", 63.4, light="low", subject="anna"),
        take("two", 81.7, light="low", subject="anna"),
        take("three", 97.2, light="high", reference="hr_bpm"),
        take("four", 118.9, light="high", gap=[(10, 20)]),
    ]
    return evaluate(takes, ["pos", "green"], protocols=("toolbox", "kdphys"))


def group(report, protocol, method, window):
    (found,) = [g for g in report.groups if (g.protocol, g.method, g.window) == (protocol, method, window)]
    return found


def test_best_guesses_are_right(report):
    for window, n in (("10 s", 16), ("30 s", 4), ("whole", 4)):
        scores = group(report, "kdphys", "pos", window).scores
        assert len(scores) == n
        guessed = [s for s in scores if s.candidate_bpm is not None]
        assert len(guessed) >= n - 2
        assert all(abs(s.candidate_bpm - s.ref_bpm) < 1 for s in guessed)
    assert all(s.snr_db > 3 for s in guessed)
    assert [s.macc is None for s in guessed] == [s.recording == "three" for s in guessed]


def test_a_missing_face_is_a_window_without_answer(report):
    scores = [s for s in group(report, "kdphys", "pos", "10 s").scores if s.recording == "four"]
    assert [s.candidate_bpm is None for s in scores] == [False, True, False, False]
    assert scores[1].hr_bpm is None
    assert scores[1].reason == "no face"


def test_toolbox_needs_a_wave_and_says_what_it_filled(report):
    toolbox = group(report, "toolbox", "pos", "whole")
    assert [s.recording for s in toolbox.scores] == ["one", "two", "four"]
    assert toolbox.without_reference == 1
    assert all(abs(s.hr_bpm - s.ref_bpm) < 2 for s in toolbox.scores)
    assert sum("300 of 1200 samples without a face bridged" in note for note in report.notes) == 1


def test_the_toolbox_bridges_no_large_gap_of_the_reference():
    def without(a, b):
        whole = take("one", 70.0)
        bvp = whole.references["bvp"]
        kept = (bvp.times < a) | (bvp.times >= b)
        return replace(whole, references={"bvp": Signal(bvp.times[kept], bvp.values[kept])})

    small = evaluate([without(20, 22)], ["pos"], protocols=("toolbox",))
    assert len(group(small, "toolbox", "pos", "whole").scores) == 1
    assert any("of 1200 samples without a reference bridged" in note for note in small.notes)
    large = evaluate([without(15, 25)], ["pos"], protocols=("toolbox", "kdphys"))
    (found,) = [g for g in large.groups if g.protocol == "toolbox"]
    assert (len(found.scores), found.without_reference) == (0, 1)


def test_a_recording_that_fails_is_listed_and_the_rest_goes_on():
    class Broken:
        name = "broken"

        def open(self):
            raise InvalidInputError("broken: cannot be read")

    got = evaluate(
        [
            Broken(),
            take("alone", 70, reference=None),
            take("later", 70, offset=500.0),
            take("good", 70),
            take("good", 75),
            take("short", 70, seconds=4.0),
        ]
    )
    assert [f.recording for f in got.failures] == ["broken", "alone", "later", "good", "short"]
    reasons = [f.reason for f in got.failures]
    assert reasons[0] == "cannot be read"
    assert "'bvp' wave or 'hr_bpm'" in reasons[1]
    assert "do not overlap in time" in reasons[2]
    assert "second recording of this name" in reasons[3]
    assert "nothing to compare: 4.0 s of video" in reasons[4]
    assert {s.recording for g in got.groups for s in g.scores} == {"good"}


def test_ctrl_c_keeps_what_is_done():
    class Stop:
        name = "stop"

        def open(self):
            raise KeyboardInterrupt

    got = evaluate([take("done", 70), Stop(), take("left", 70)])
    assert [(f.recording, f.reason) for f in got.failures] == [
        ("stop", "not evaluated: stopped before"),
        ("left", "not evaluated: stopped before"),
    ]
    assert group(got, "kdphys", "pos", "10 s").scores


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": ["poss"]}, UnknownNameError, "Did you mean 'pos'"),
        ({"methods": []}, InvalidInputError, "one or more"),
        ({"methods": ["pos", "pos"]}, InvalidInputError, "named once"),
        ({"protocols": ["paper"]}, InvalidInputError, "kdphys, toolbox, got paper"),
        ({"windows_s": [10.0, 3.0]}, InvalidInputError, "at least 6 s.*got 3 s"),
        ({"windows_s": [10.0, 10.0]}, InvalidInputError, "each window once"),
        ({"step_s": 0.0}, InvalidInputError, "step must be at least"),
        ({"protocols": []}, InvalidInputError, "got none"),
        ({"split": {"train": ["a"]}}, InvalidInputError, "expected a 'test' part"),
        ({"split": {"train": ["a", "b"], "test": ["b"]}}, InvalidInputError, "'b' is in 'train' and in 'test'"),
    ],
)
def test_wrong_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        evaluate([take("one", 70)], **options)


def test_no_recordings_is_refused():
    with pytest.raises(InvalidInputError, match="no recordings"):
        evaluate([])


def test_subjects_outside_the_test_part_are_not_evaluated():
    split = {"train": ["anna"], "test": ["carl", "bert"]}
    got = evaluate([take("a", 70, subject="anna"), take("b", 70, subject="bert")], split=split)
    assert [f.recording for f in got.failures] == ["a"]
    assert "not in the split's test part" in got.failures[0].reason
    assert got.to_dict()["split"] == {"train": ["anna"], "test": ["bert", "carl"]}
    assert "- test (2): bert, carl" in got.to_markdown()


def score(error, sqi=0.9, subject="a", recording="r", answered=True, **conditions):
    guess = 70.0 + error
    answer = guess if answered else None
    return Score(recording, subject, 0, 10, answer, guess, 70.0, sqi, 5.0, 0.9, None, tuple(conditions.items()))


def test_coverage_and_errors_of_answers():
    s = summarise([score(1), score(-3), score(20, 0.1, answered=False), score(4)])
    assert (s.n, s.answered, s.coverage) == (4, 3, 0.75)
    assert s.mae.value == pytest.approx(8 / 3)
    assert s.mae_all.value == pytest.approx(7)
    assert s.agreement.bias == pytest.approx(2 / 3)


def test_nothing_answered_has_no_error():
    s = summarise([score(20, 0.1, answered=False)])
    assert s.coverage == 0
    assert s.mae is None
    assert s.agreement is None
    assert s.mae_all.value == 20
    assert np.isnan(summarise([]).coverage)


def test_interval_is_over_subjects_when_there_are_enough():
    rng = np.random.default_rng(0)
    scores = [
        score(abs(centre + rng.normal(0, 0.1)), subject=f"s{k}", recording=f"s{k}")
        for k, centre in enumerate(rng.exponential(3, 30))
        for _ in range(50)
    ]
    ci = mae_interval(scores)
    assert (ci.over, ci.n) == ("subjects", 30)
    means = np.array([np.mean([s.hr_bpm - 70 for s in scores[50 * k : 50 * k + 50]]) for k in range(30)])
    half = 1.96 * means.std(ddof=1) / np.sqrt(30)  # the normal approximation over subjects
    assert ci.low == pytest.approx(means.mean() - half, abs=0.3 * half)
    assert ci.high == pytest.approx(means.mean() + half, abs=0.3 * half)
    assert mae_interval(scores[:50]).over == "windows"
    assert mae_interval(scores[:2]) is None


def test_breakdown_has_every_score_once():
    got = by_condition([score(1, light="low"), score(5, light="high"), score(7, light="high"), score(9)])
    assert {value: s.n for value, s in got["light"].items()} == {"high": 2, "low": 1, "–": 1}
    assert got["light"]["high"].mae.value == pytest.approx(6)


def test_conditions_are_in_natural_order_and_methods_in_that_of_the_call():
    scores = tuple(score(k, subject=f"s{k}", lux=lux) for k, lux in enumerate(["10", "2", "100", "2", "2"]))
    text = Report((Group("kdphys", "pos", "10 s", scores), Group("kdphys", "chrom", "10 s", scores))).to_markdown()
    rows = [
        line.split(" | ") for line in text.split("By lux")[1].splitlines() if line.startswith("| 1") or "| 2 |" in line
    ]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("| 2", "pos", "3"),
        ("| 2", "chrom", "3"),
        ("| 10", "pos", "1"),
        ("| 10", "chrom", "1"),
        ("| 100", "pos", "1"),
        ("| 100", "chrom", "1"),
    ]
    assert "(3 s)" in rows[0][5], "an interval over three subjects"
    assert rows[2][5] == "–"
    assert [row[8] for row in rows[2:]] == ["–"] * 4, "one point has no correlation"


def test_report_as_json(report):
    text = json.dumps(report.to_dict(), allow_nan=False)
    got = json.loads(text)
    assert got["schema"] == "kdphys/evaluation/1.0"
    first = got["groups"][0]
    assert (first["protocol"], first["method"], first["window"]) == ("kdphys", "pos", "10 s")
    assert first["summary"]["n"] == len(first["scores"]) == 16
    assert set(first["conditions"]["light"]) == {"low", "high"}
    assert first["risk_coverage"]["coverage"][-1] == 1
    assert first["scores"][0]["conditions"] == {"light": "low"}
    assert got["split"] is None


def test_report_as_markdown(report):
    text = report.to_markdown()
    assert "## Protocol kdphys" in text
    assert "## Protocol toolbox" in text
    assert "By light, 10 s:\n\n| light | method | n |" in text
    assert "| low | pos | 8 |" in text
    assert "No training split was given" in text
    assert "pos whole: 1" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert (
        len({line.count("|") for line in rows if line.startswith(("| pos | 10 s", "| method | window | n | cov"))}) == 2
    )
    assert "Recordings: 4 of 3 subjects.\n" in text
    refused = [s.reason for s in group(report, "kdphys", "green", "10 s").scores if s.hr_bpm is None]
    assert "no face" in refused
    (line,) = [line for line in text.splitlines() if line.startswith("- green, 10 s: ")]
    assert sum(int(word) for word in line.split(": ")[1].replace(",", "").split() if word.isdigit()) == len(refused)
    odd = Report((), (Failure("a|b", "line\nbreak"),)).to_markdown()
    assert "| a\\|b | line break |" in odd


def test_save_writes_all_or_nothing(report, tmp_path):
    out = tmp_path / "deep" / "out"
    written = report.save(out)
    assert {p.name for p in written} == {p.name for p in out.iterdir()}
    assert {"report.json", "report.md", "risk-coverage-10s.png"} <= {p.name for p in written}
    assert all(p.stat().st_size > 5000 for p in written if p.suffix == ".png")
    assert "![risk-coverage-10s.png](risk-coverage-10s.png)" in (out / "report.md").read_text(encoding="utf-8")
    with pytest.raises(OutputError, match="has a report already"):
        report.save(out)
    again = report.save(out, force=True, plots=False)
    assert {p.name for p in again} == {p.name for p in out.iterdir()}, "no picture of the report before"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        report.save(tmp_path / "file" / "out")


def test_answers_are_plotted(tmp_path):
    scores = tuple(score(e, q, subject=f"s{k}") for k, (e, q) in enumerate([(1, 0.9), (-2, 0.8), (15, 0.2)]))
    written = Report((Group("kdphys", "pos", "30 s", scores), Group("toolbox", "pos", "whole", scores))).save(tmp_path)
    assert {p.name for p in written} == {"bland-altman-30s.png", "risk-coverage-30s.png", "report.json", "report.md"}


def test_without_matplotlib_the_line_that_installs_it(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"pip install 'kdphys\[plot\]'"):
        report.save(tmp_path / "out")
    assert not list(tmp_path.glob("out/*"))
    report.save(tmp_path / "out", plots=False)
