"""Bland–Altman and risk–coverage plots (extra ``[plot]``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdphys.errors import MissingExtraError
from kdphys.evaluate.aggregate import Group, risk
from kdphys.evaluate.metrics import bland_altman

if TYPE_CHECKING:
    from kdphys.evaluate.report import Report

_RED, _GREY, _INK = "#c1272d", "#8a8f98", "#22262b"


def require_matplotlib() -> None:
    """Say at once what plots need.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot", "leave the plots out (--no-plots)")


def save_plots(report: Report, folder: Path) -> list[str]:
    """Write all plots of a report as PNG; groups without an answer have none.

    Returns:
        file names.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    names = []
    for window in dict.fromkeys(g.window for g in report.groups if g.protocol == "kdphys"):
        groups = [g for g in report.groups if g.protocol == "kdphys" and g.window == window]
        stem = window.replace(" ", "")
        answered = [g for g in groups if any(s.hr_bpm is not None for s in g.scores)]
        if answered:
            names.append(f"bland-altman-{stem}.png")
            _write(_bland_altman(answered), folder / names[-1])
        if any(s.candidate_bpm is not None for g in groups for s in g.scores):
            names.append(f"risk-coverage-{stem}.png")
            _write(_risk_coverage(groups), folder / names[-1])
    return names


def _figure(columns: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(4.8 * columns, 6.0), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _bland_altman(groups: list[Group]) -> Any:
    figure = _figure(len(groups))
    axes = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for ax, group in zip(axes, groups, strict=True):
        pairs = np.array([(s.hr_bpm, s.ref_bpm) for s in group.scores if s.hr_bpm is not None])
        agreement = bland_altman(pairs[:, 0], pairs[:, 1])
        ax.scatter(pairs.mean(axis=1), pairs[:, 0] - pairs[:, 1], s=14, color=_INK, alpha=0.5, linewidths=0)
        lines = [(agreement.bias, f"bias {agreement.bias:+.2f}", "-")]
        if np.isfinite(agreement.sd):
            lines += [
                (agreement.lower, f"{agreement.lower:+.1f}", "--"),
                (agreement.upper, f"{agreement.upper:+.1f}", "--"),
            ]
        for y, text, style in lines:
            ax.axhline(y, color=_RED, linestyle=style, linewidth=1)
            ax.annotate(
                text,
                (1, y),
                (-3, 4),
                ("axes fraction", "data"),
                "offset points",
                ha="right",
                color=_RED,
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            )
        ax.set_title(f"{group.method}, {group.window}, n = {agreement.n}")
        ax.set_xlabel("mean of estimate and reference, bpm")
        _tidy(ax)
    axes[0].set_ylabel("estimate − reference, bpm")
    return figure


def _risk_coverage(groups: list[Group]) -> Any:
    figure = _figure(1)
    ax = figure.subplots()
    for group in groups:
        curve = risk(group.scores)
        if curve is not None:
            ax.step(100 * curve.coverage, curve.mae, where="post", label=f"{group.method} (n = {len(group.scores)})")
            ax.plot(100 * curve.coverage[-1], curve.mae[-1], "o", color=ax.lines[-1].get_color(), markersize=4)
    ax.set_xlim(0, 102)
    ax.set_ylim(bottom=0)
    ax.set_title(f"What answering more costs, {groups[0].window}")
    ax.set_xlabel("best windows by SQI, % of those with a guess")
    ax.set_ylabel("mean absolute error, bpm")
    ax.legend(frameon=False)
    _tidy(ax)
    return figure


def _tidy(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color=_GREY, alpha=0.2)


def _write(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=130)
