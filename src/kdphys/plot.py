"""One picture of a measurement: face and skin, traces, pulse, spectrum, heart rate over time (extra ``[plot]``)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kdphys.clip.crop import crop, square
from kdphys.clip.skin import SIZE, SkinWeights
from kdphys.dsp import runs
from kdphys.errors import MissingExtraError, OutputError
from kdphys.pipeline import Measurement
from kdphys.vitals.heart_rate import hr_spectrum
from kdphys.vitals.quality import SQI_THRESHOLD

_FORMATS = (".png", ".svg", ".pdf")
_RED, _GREY, _INK = "#c1272d", "#8a8f98", "#22262b"
_CHANNELS = ("#d1495b", "#3a9b5c", "#3d7cc9")


def require_matplotlib(where: str) -> None:
    """Say at once what a picture needs.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the file's ending is none that is written.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot")
    if Path(where).suffix.lower() not in _FORMATS:
        raise OutputError(f"{where}: a picture's name must end in {', '.join(_FORMATS)}")


def save_figure(m: Measurement, path: Path) -> None:
    """Draw ``m`` and write it to ``path`` (PNG, SVG or PDF)."""
    require_matplotlib(str(path))
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _GREY,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.grid": True,
        "grid.alpha": 0.25,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(12, 8.2), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(3, 3, width_ratios=(1.05, 1, 1))
        figure.suptitle(_headline(m), x=0.012, ha="left", fontsize=14, fontweight="bold", parse_math=False)
        _face(figure.add_subplot(grid[0, 0]), m)
        _skin(figure.add_subplot(grid[1, 0]), m)
        _traces(figure.add_subplot(grid[0, 1:]), m)
        _pulse(figure.add_subplot(grid[1, 1:]), m)
        _spectrum(figure.add_subplot(grid[2, 0]), m)
        _course(figure.add_subplot(grid[2, 1:]), m)
        figure.supxlabel("Not a medical device", x=0.988, ha="right", fontsize=8, color=_GREY)
        figure.savefig(path, dpi=120, facecolor="white")


def _headline(m: Measurement) -> str:
    v = m.vitals
    if v.hr_bpm is None:
        return f"{m.source}: no reliable pulse ({', '.join(v.reasons)})"
    rr = f", respiration {v.rr_brpm:.1f} brpm" if v.rr_brpm is not None else ""
    return f"{m.source}: heart rate {v.hr_bpm:.1f} bpm, confidence {v.sqi:.0%}{rr}"


def _blank(ax: Any, title: str, text: str) -> None:
    ax.set_title(title)
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color=_GREY)
    ax.set_xticks([])
    ax.set_yticks([])


def _box_at(m: Measurement) -> np.ndarray | None:
    if m.portrait is None or m.track is None:
        return None
    k = int(np.argmin(np.abs(m.track.times - m.portrait.t)))
    return np.asarray(m.track.boxes[k])


def _face(ax: Any, m: Measurement) -> None:
    from matplotlib.patches import Rectangle

    box = _box_at(m)
    if box is None or m.portrait is None:
        _blank(ax, "Face", "no face")
        return
    rgb = m.portrait.rgb
    step = max(rgb.shape[0] // 480, 1)
    ax.imshow(rgb[::step, ::step], extent=(0, rgb.shape[1], rgb.shape[0], 0), interpolation="bilinear")
    x0, y0, x1, y1 = (float(v) for v in box)
    ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=_RED, linewidth=2))
    ax.set_title(f"Face at {m.portrait.t:.1f} s")
    ax.axis("off")


def _skin(ax: Any, m: Measurement) -> None:
    box = _box_at(m)
    if box is None or m.portrait is None:
        _blank(ax, "Skin weights", "no face")
        return
    face = crop(m.portrait.rgb, square(box, 1.0), SIZE)
    weights = SkinWeights().update(face, 0.0)
    red = np.array([0.76, 0.15, 0.18])
    tinted = (0.35 + 0.65 * weights[..., None]) * face / 255 * (1 - weights[..., None]) + weights[..., None] * (
        0.45 * face / 255 + 0.55 * red
    )
    ax.imshow(np.concatenate([face / 255, np.clip(tinted, 0, 1)], axis=1))
    ax.set_title("Pixels that count, in red (skin weights)")
    ax.axis("off")


def _with_gaps(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    return np.where(valid, values, np.nan)


def _traces(ax: Any, m: Measurement) -> None:
    if not m.trace.valid.any():
        _blank(ax, "Skin colour", "no face")
        return
    for c, (name, colour) in enumerate(zip("RGB", _CHANNELS, strict=True)):
        x = m.trace.rgb[:, c]
        mean = max(float(np.nanmean(x)), 1e-6)
        label = f"{name} (mean {mean:.0f})"
        ax.plot(m.trace.times, 100 * (x / mean - 1), color=colour, lw=0.9, label=label)
    ax.set_title("Skin colour, change in %")
    ax.legend(loc="upper right", ncols=3, frameon=False, fontsize=8)
    ax.set_xlim(m.trace.times[0], m.trace.times[-1])
    ax.set_xlabel("s")


def _pulse(ax: Any, m: Measurement) -> None:
    pulse = m.pulse
    if not pulse.valid.any():
        _blank(ax, "Pulse", "no pulse could be estimated")
        return
    good = [w for w in m.vitals.course if w.hr_bpm is not None]
    best = max(good, key=lambda w: w.sqi) if good else None
    start = max(min(best.t0, pulse.times[-1] - 20), pulse.times[0]) if best else pulse.times[0]
    show = (pulse.times >= start) & (pulse.times <= start + 20)
    ax.plot(pulse.times[show], _with_gaps(pulse.bvp, pulse.valid)[show], color=_RED, lw=1.2)
    beats = m.vitals.beat_times[(m.vitals.beat_times >= start) & (m.vitals.beat_times <= start + 20)]
    if len(beats):
        ax.plot(beats, np.interp(beats, pulse.times, pulse.bvp), "o", ms=4, color=_INK, label=f"{len(beats)} beats")
        ax.margins(y=0.2)  # room for the legend above the wave
        ax.legend(loc="upper right", frameon=False, fontsize=8)
    ax.set_title(f"Pulse wave ({m.vitals.method})")
    ax.set_yticks([])
    ax.set_xlabel("s")
    ax.set_xlim(pulse.times[show][0], pulse.times[show][-1])


def _spectrum(ax: Any, m: Measurement) -> None:
    pulse = m.pulse
    stretches = runs(pulse.valid)
    if not stretches:
        _blank(ax, "Spectrum", "no pulse could be estimated")
        return
    longest = max(stretches, key=lambda r: r.stop - r.start)
    f, p = hr_spectrum(pulse.bvp[longest], pulse.fs)
    band = (f >= 0.6) & (f <= 4.0)
    ax.fill_between(60 * f[band], p[band] / max(p[band].max(), 1e-30), color=_GREY, alpha=0.5, lw=0)
    ax.plot(60 * f[band], p[band] / max(p[band].max(), 1e-30), color=_INK, lw=1)
    if m.vitals.hr_bpm is not None:
        ax.axvline(m.vitals.hr_bpm, color=_RED, lw=1.5)
        ax.text(m.vitals.hr_bpm + 3, 0.93, f"{m.vitals.hr_bpm:.1f} bpm", color=_RED)
    ax.set_title("Spectrum")
    ax.set_xlabel("bpm")
    ax.set_yticks([])
    ax.set_xlim(36, 240)
    ax.set_ylim(0, 1.08)


def _course(ax: Any, m: Measurement) -> None:
    course = m.vitals.course
    if not course:
        _blank(ax, "Heart rate over time", "too short for windows")
        return
    t = np.array([(w.t0 + w.t1) / 2 for w in course])
    hr = np.array([np.nan if w.hr_bpm is None else w.hr_bpm for w in course])
    sqi = np.array([w.sqi for w in course])
    length = course[0].t1 - course[0].t0
    # The band: 5 bpm, the error that the confidence speaks of, the stronger the surer.
    ax.plot(t, hr, color=_RED, lw=1.5)
    size = 10 + 40 * np.clip((sqi - SQI_THRESHOLD) / (1 - SQI_THRESHOLD), 0, 1)
    ok = np.isfinite(hr)
    if ok.any():
        ax.fill_between(t, hr - 5, hr + 5, color=_RED, alpha=0.10, lw=0, label="± 5 bpm")
        points = ax.scatter(t[ok], hr[ok], s=size[ok], c=sqi[ok], cmap="RdYlGn", vmin=0.5, vmax=1, zorder=3,
                            edgecolors=_INK, linewidths=0.4)  # fmt: skip
        ax.figure.colorbar(points, ax=ax, label="confidence (right within 5 bpm)", pad=0.01)
        centre = float(np.median(hr[ok]))
        ax.set_ylim(min(centre - 15, np.nanmin(hr) - 8), max(centre + 15, np.nanmax(hr) + 8))
    else:
        ax.set_ylim(40, 200)
        ax.text(0.5, 0.5, "no window has an answer", ha="center", transform=ax.transAxes, color=_GREY)
    for w, at in zip(course, t, strict=True):
        if w.hr_bpm is None:
            ax.axvspan(at - 0.5, at + 0.5, color=_GREY, alpha=0.12, lw=0)
    ax.set_title(f"Heart rate over time ({length:g} s windows; grey: cannot tell)")
    ax.set_xlabel("s")
    ax.set_ylabel("bpm")
    ax.set_xlim(m.pulse.times[0], m.pulse.times[-1])
