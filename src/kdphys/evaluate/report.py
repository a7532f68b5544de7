"""The result of an evaluation: JSON for programs, Markdown and plots for people."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kdphys.data.recording import natural
from kdphys.errors import OutputError
from kdphys.evaluate.aggregate import Group, Summary, by_condition, risk, summarise
from kdphys.evaluate.metrics import Metric, RiskCoverage

#: Version of the JSON layout: the first number changes when readers would break.
SCHEMA_VERSION = "1.0"
_PICTURES = ("bland-altman-*.png", "risk-coverage-*.png")
_NO_SPLIT = (
    "No training split was given: every recording was evaluated. That is right for methods that are not trained; a "
    "trained method must not have seen these subjects."
)
_HEAD = ("method", "window", "n", "coverage", "MAE", "95 % CI", "RMSE", "MAPE %", "r", "SNR dB", "MACC", "MAE of all")


@dataclass(frozen=True)
class Failure:
    """A recording that was not evaluated, and why."""

    recording: str
    reason: str


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation gives.

    Args:
        groups: the scores, one group for each protocol, method and length of window.
        failures: recordings that were not evaluated.
        notes: what went wrong in those that were.
        split: part → subjects, of trained methods; None without training.
        part: of the split that was evaluated.
    """

    groups: tuple[Group, ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    split: Mapping[str, Sequence[str]] | None = None
    part: str = "test"

    def summaries(self) -> list[tuple[Group, Summary]]:
        """Each group with its metrics."""
        return [(group, summarise(group.scores)) for group in self.groups]

    def to_dict(self) -> dict[str, Any]:
        """Everything, every score included, as JSON types; what is not defined is null."""
        document = {
            "schema": f"kdphys/evaluation/{SCHEMA_VERSION}",
            "kdphys": version("kdphys"),
            "split": None if self.split is None else {k: sorted(v) for k, v in self.split.items()},
            "part": None if self.split is None else self.part,
            "groups": [
                {
                    "protocol": group.protocol,
                    "method": group.method,
                    "window": group.window,
                    "without_reference": group.without_reference,
                    "summary": dataclasses.asdict(summary),
                    "conditions": {
                        name: {value: dataclasses.asdict(s) for value, s in values.items()}
                        for name, values in by_condition(group.scores).items()
                    },
                    "risk_coverage": _curve(risk(group.scores)) if group.protocol == "kdphys" else None,
                    "scores": [{**dataclasses.asdict(s), "conditions": dict(s.conditions)} for s in group.scores],
                }
                for group, summary in self.summaries()
            ],
            "failures": [dataclasses.asdict(f) for f in self.failures],
            "notes": list(self.notes),
        }
        plain: dict[str, Any] = _plain(document)
        return plain

    def to_markdown(self, pictures: Sequence[str] = ()) -> str:
        """The tables.

        Args:
            pictures: file names of plots to show.
        """
        out = ["# Evaluation", "", f"kdphys {version('kdphys')}. Not a medical device.", ""]
        out += [
            "n windows with a reference; coverage, the share of them with an answer. Metrics are over those with an "
            "answer, ± one standard error; MAE and RMSE in bpm. The 95 % interval of the MAE is a bootstrap over the "
            "subjects (s), recordings (r) or windows (w) that it names. MAE of all: every best guess, answered or not.",
            "",
        ]
        scores = [score for group in self.groups for score in group.scores]
        takes, persons = {(s.subject, s.recording) for s in scores}, {s.subject for s in scores}
        left = f"; {len(self.failures)} not evaluated, see below" if self.failures else ""
        out += [f"Recordings: {len(takes)} of {len(persons)} subjects{left}.", ""]
        pairs = self.summaries()
        for protocol in dict.fromkeys(group.protocol for group in self.groups):
            here = [(g, s) for g, s in pairs if g.protocol == protocol]
            out += [f"## Protocol {protocol}", "", *_table(_HEAD, [[g.method, g.window, *_line(s)] for g, s in here])]
            missing = [f"{g.method} {g.window}: {g.without_reference}" for g, _ in here if g.without_reference]
            if missing:
                out += [f"Left out for want of a reference (windows): {', '.join(missing)}.", ""]
            out += _refusals([g for g, _ in here])
            out += self._agreement(here)
            out += self._conditions(here)
        out += [f"![{name}]({name})\n" for name in pictures]
        out += ["## Split", "", *self._split()]
        if self.failures:
            rows = [[_cell(f.recording), _cell(f.reason)] for f in self.failures]
            out += [f"## Not evaluated: {len(rows)}", "", *_table(("recording", "reason"), rows)]
        if self.notes:
            out += ["## Notes", "", *(f"- {note}" for note in self.notes), ""]
        return "\n".join(out)

    def _agreement(self, pairs: Sequence[tuple[Group, Summary]]) -> list[str]:
        rows = []
        for group, summary in pairs:
            a = summary.agreement
            if a is not None:
                limits = f"{_number(a.lower)} … {_number(a.upper)}" if a.n > 1 else "–"
                rows.append([group.method, group.window, str(a.n), _number(a.bias), _number(a.sd), limits])
        if not rows:
            return []
        return ["Bland–Altman, bpm:", "", *_table(("method", "window", "n", "bias", "sd", "95 % limits"), rows)]

    def _conditions(self, pairs: Sequence[tuple[Group, Summary]]) -> list[str]:
        out: list[str] = []
        for window in dict.fromkeys(g.window for g, _ in pairs):
            tables: dict[str, list[list[str]]] = {}
            for group, _ in pairs:
                if group.window == window:
                    for name, values in by_condition(group.scores).items():
                        rows = tables.setdefault(name, [])
                        rows += [[_cell(value), group.method, *_line(s)] for value, s in values.items()]
            for name, rows in tables.items():
                out += [f"By {name}, {window}:", "", *_table((_cell(name), "method", *_HEAD[2:]), _by_value(rows))]
        return out

    def _split(self) -> list[str]:
        if self.split is None:
            return [_NO_SPLIT, ""]
        parts = [f"- {part} ({len(s)}): {', '.join(sorted(s)) or 'nobody'}" for part, s in self.split.items()]
        return [f"Subjects are in one part only; those evaluated are in {self.part}.", "", *parts, ""]

    def save(self, folder: str | Path, *, force: bool = False, plots: bool = True) -> list[Path]:
        """Write ``report.json``, ``report.md`` and, with ``plots``, pictures (PNG) into a folder.

        Raises:
            OutputError: the folder has one of these files already (without ``force``) or cannot be written.
            MissingExtraError: ``plots`` without matplotlib.
        """
        folder = Path(folder)
        check_output(folder, force)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".kdphys-") as name:
                part = Path(name)
                pictures: list[str] = []
                if plots:
                    from kdphys.evaluate.plots import save_plots

                    pictures = save_plots(self, part)
                text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
                (part / "report.json").write_text(text + "\n", encoding="utf-8")
                (part / "report.md").write_text(self.to_markdown(pictures), encoding="utf-8")
                for old in [p for pattern in _PICTURES for p in folder.glob(pattern) if force]:
                    old.unlink()  # of the report that is overwritten
                return [p.replace(folder / p.name) for p in sorted(part.iterdir())]
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror or error})") from error


def check_output(folder: Path, force: bool) -> None:
    """Refuse, before anything is evaluated, what could not be written afterwards.

    Raises:
        OutputError: not a folder, not writable, or it has a report already (without ``force``).
    """
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{folder}: is not a folder that can be written to")
    if folder.exists() and not force and any((folder / name).exists() for name in ("report.json", "report.md")):
        raise OutputError(f"{folder}: has a report already; choose another folder or overwrite it with --force")


def _refusals(groups: Sequence[Group]) -> list[str]:
    """How many windows had no answer, and why."""
    lines = []
    for group in groups:
        why = Counter(s.reason or "no reason given" for s in group.scores if s.hr_bpm is None)
        if why:
            said = ", ".join(f"{n} {reason}" for reason, n in why.most_common())
            lines.append(f"- {group.method}, {group.window}: {said}")
    return ["Windows without an answer:", "", *lines, ""] if lines else []


def _by_value(rows: Sequence[list[str]]) -> list[list[str]]:
    """In order of the condition's value, 2 before 10; methods stay in the order that they were named in."""
    return sorted(rows, key=lambda row: natural(row[0]))


def _line(s: Summary) -> list[str]:
    ci = f"{_number(s.mae_ci.low)}–{_number(s.mae_ci.high)} ({s.mae_ci.n} {s.mae_ci.over[0]})" if s.mae_ci else "–"
    coverage = "–" if math.isnan(s.coverage) else f"{s.coverage:.0%}"
    return [
        f"{s.n}",
        coverage,
        _metric(s.mae),
        ci,
        *map(_metric, (s.rmse, s.mape, s.r if s.answered > 2 else None, s.snr, s.macc)),  # two points: r is ±1
        _number(s.mae_all.value) if s.mae_all else "–",
    ]


def _metric(m: Metric | None) -> str:
    if m is None:
        return "–"
    return f"{_number(m.value)} ± {_number(m.error)}" if m.n > 1 and math.isfinite(m.error) else _number(m.value)


def _number(x: float) -> str:
    return f"{x:.2f}".replace("-", "−") if math.isfinite(x) else "–"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def _curve(curve: RiskCoverage | None) -> dict[str, list[float]] | None:
    if curve is None:
        return None
    return {name: getattr(curve, name).tolist() for name in ("coverage", "mae", "threshold")}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
