"""From scores to the lines of a table: metrics, coverage, breakdown by condition, confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kdphys.evaluate import metrics
from kdphys.evaluate.metrics import BlandAltman, Metric, RiskCoverage
from kdphys.evaluate.protocols import Score

#: Resamples of a bootstrap, and its seed.
_RESAMPLES, _SEED = 2000, 0
#: The fewest clusters that an interval is made of.
_MIN_CLUSTERS = 3


@dataclass(frozen=True)
class Group:
    """The scores of one method by one protocol on one length of window.

    Args:
        protocol: "kdphys" or "toolbox".
        method: name.
        window: "10 s", "30 s", "whole".
        scores: one a window that has a reference.
        without_reference: windows left out because the reference does not cover them.
    """

    protocol: str
    method: str
    window: str
    scores: tuple[Score, ...]
    without_reference: int = 0


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval.

    Args:
        low, high: in the unit of the mean.
        over: what was resampled: "subjects", "recordings" or "windows".
        n: how many of those.
    """

    low: float
    high: float
    over: str
    n: int


@dataclass(frozen=True)
class Summary:
    """One line of a table. Metrics are over the windows that have an answer, None where there is none.

    Args:
        n: windows with a reference.
        answered: of those, windows with an answer.
        subjects, recordings: that they come from.
        coverage: answered / n, NaN if n is 0.
        mae, rmse: bpm.
        mape: per cent.
        r: Pearson's.
        snr: dB.
        macc: 0–1.
        mae_ci: 95 % interval of the MAE, None with fewer than three samples.
        mae_all: MAE of every best guess, whatever its quality, bpm.
        agreement: Bland–Altman.
    """

    n: int
    answered: int
    subjects: int
    recordings: int
    coverage: float
    mae: Metric | None
    rmse: Metric | None
    mape: Metric | None
    r: Metric | None
    snr: Metric | None
    macc: Metric | None
    mae_ci: Interval | None
    mae_all: Metric | None
    agreement: BlandAltman | None


def summarise(scores: Sequence[Score]) -> Summary:
    """All metrics of some scores."""
    answered = [s for s in scores if s.hr_bpm is not None]
    estimate = [s.hr_bpm for s in answered if s.hr_bpm is not None]
    reference = [s.ref_bpm for s in answered]
    guessed, guess_reference, _ = candidates(scores)

    def both(metric: Callable[[list[float], list[float]], Metric]) -> Metric | None:
        return metric(estimate, reference) if estimate else None

    return Summary(
        n=len(scores),
        answered=len(answered),
        subjects=len({s.subject for s in scores}),
        recordings=len({(s.subject, s.recording) for s in scores}),
        coverage=len(answered) / len(scores) if scores else float("nan"),
        mae=both(metrics.mae),
        rmse=both(metrics.rmse),
        mape=both(metrics.mape),
        r=both(metrics.pearson),
        snr=_mean(s.snr_db for s in answered),
        macc=_mean(s.macc for s in answered),
        mae_ci=mae_interval(answered),
        mae_all=metrics.mae(guessed, guess_reference) if guessed else None,
        agreement=metrics.bland_altman(estimate, reference) if estimate else None,
    )


def by_condition(scores: Sequence[Score]) -> dict[str, dict[str, Summary]]:
    """Condition → value → summary, in order of name; recordings without the condition count under "–"."""
    names = sorted({name for s in scores for name, _ in s.conditions})
    out: dict[str, dict[str, Summary]] = {}
    for name in names:
        values: dict[str, list[Score]] = {}
        for s in scores:
            values.setdefault(dict(s.conditions).get(name, "–"), []).append(s)
        out[name] = {value: summarise(values[value]) for value in sorted(values)}
    return out


def candidates(scores: Sequence[Score]) -> tuple[list[float], list[float], list[float]]:
    """Best guess, reference and quality of every window that has a guess."""
    kept = [(s.candidate_bpm, s.ref_bpm, s.sqi) for s in scores if s.candidate_bpm is not None]
    return [c for c, _, _ in kept], [r for _, r, _ in kept], [q for _, _, q in kept]


def risk(scores: Sequence[Score]) -> RiskCoverage | None:
    """Risk–coverage of every best guess; None without any."""
    guess, reference, quality = candidates(scores)
    return metrics.risk_coverage(np.subtract(guess, reference), quality) if guess else None


def mae_interval(answered: Sequence[Score]) -> Interval | None:
    """95 % interval of the MAE by a bootstrap over subjects; over recordings or windows where there are too few.

    Windows of one person are not independent, so whole subjects are resampled if there are three or more.
    """
    keys: tuple[tuple[str, Callable[[int, Score], object]], ...] = (
        ("subjects", lambda _, s: s.subject),
        ("recordings", lambda _, s: (s.subject, s.recording)),
        ("windows", lambda k, _: k),
    )
    for over, key in keys:
        clusters: dict[object, list[float]] = {}
        for k, s in enumerate(answered):
            if s.hr_bpm is not None:
                clusters.setdefault(key(k, s), []).append(abs(s.hr_bpm - s.ref_bpm))
        if len(clusters) >= _MIN_CLUSTERS:
            sums = np.array([sum(c) for c in clusters.values()])
            sizes = np.array([len(c) for c in clusters.values()])
            pick = np.random.default_rng(_SEED).integers(0, len(sums), (_RESAMPLES, len(sums)))
            means = sums[pick].sum(axis=1) / sizes[pick].sum(axis=1)
            low, high = np.percentile(means, [2.5, 97.5])
            return Interval(float(low), float(high), over, len(sums))
    return None


def _mean(values: Iterable[float | None]) -> Metric | None:
    known = [v for v in values if v is not None and np.isfinite(v)]
    return metrics.mean(known) if known else None
