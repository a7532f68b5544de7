"""What a live measurement looks like in a terminal, and as plain lines where there is none."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kdphys.containers import Pulse
from kdphys.live.run import LiveRun, Snapshot, Summary
from kdphys.streaming.session import SHOWN_S
from kdphys.vitals.result import Estimate

NOTICE = "not a medical device"
_REFRESH_S = 0.1
_DIGITS = {
    "0": ("┏━┓", "┃ ┃", "┗━┛"),
    "1": (" ╻ ", " ┃ ", " ╹ "),
    "2": ("╺━┓", "┏━┛", "┗━╸"),
    "3": ("╺━┓", " ━┫", "╺━┛"),
    "4": ("╻ ╻", "┗━┫", "  ╹"),
    "5": ("┏━╸", "┗━┓", "╺━┛"),
    "6": ("┏━╸", "┣━┓", "┗━┛"),
    "7": ("╺━┓", "  ┃", "  ╹"),
    "8": ("┏━┓", "┣━┫", "┗━┛"),
    "9": ("┏━┓", "┗━┫", "╺━┛"),
    "–": ("   ", "╺━╸", "   "),
}
# Dots of a Braille cell, by row and column.
_BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def braille(wave: NDArray[Any], valid: NDArray[np.bool_], width: int, height: int) -> list[str]:
    """A wave as ``height`` lines of ``width`` Braille characters; gaps are empty.

    Args:
        wave, valid: (T,).
    """
    cells = np.zeros((height, width), int)
    if valid.any():
        x = np.linspace(0, len(wave) - 1, 2 * width)
        y = np.interp(x, np.arange(len(wave)), wave)
        seen = valid[x.round().astype(int)]
        low, high = np.quantile(wave[valid], [0.01, 0.99])
        level = np.clip((high - y) / max(float(high - low), 1e-9), 0, 1)
        rows = (level * (4 * height - 1)).round().astype(int)
        before = rows[0]
        for k in np.flatnonzero(seen):
            start = before if k and seen[k - 1] else rows[k]
            for row in range(min(start, rows[k]), max(start, rows[k]) + 1):
                cells[row // 4, k // 2] |= _BRAILLE[row % 4, k % 2]
            before = rows[k]
    return ["".join(chr(0x2800 + c) for c in line) for line in cells]


def shown_wave(pulse: Pulse) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The wave, and where it is valid, over as long as a view shows: what is shorter begins further to the right."""
    missing = max(round(SHOWN_S * pulse.fs) - len(pulse.bvp), 0)
    return np.pad(pulse.bvp, (missing, 0)), np.pad(pulse.valid, (missing, 0))


def rate_text(s: Snapshot) -> tuple[str, str]:
    """Heart rate in whole bpm ("–" without one) and what to say beside it."""
    if s.update is None:
        return "–", "waiting for the first frames" if not s.capture.frames else "measuring"
    if not s.fresh:
        return "–", "no pictures come"
    v = s.update.vitals
    if v.hr_bpm is None:
        return "–", f"no reliable pulse: {v.reasons[0]}" if v.reasons else "no reliable pulse"
    return f"{v.hr_bpm:.0f}", f"confidence {v.sqi:.0%}"


def _value(e: Estimate, digits: int = 0) -> str:
    if e.value is None:
        return f"–  {e.reason}"
    return f"{e.value:.{digits}f} {e.unit}  index {e.confidence:.2f}"


def _lines(s: Snapshot) -> Iterator[tuple[str, str]]:
    if s.update is not None and s.fresh:
        v = s.update.vitals
        yield "respiration", _value(v.rr)
        yield "variability", f"RMSSD {_value(v.hrv['rmssd'])}"
        yield "face", f"{s.update.box[2] - s.update.box[0]:.0f} pixels wide" if s.update.box is not None else "–"
    size = f"{s.capture.size[0]}×{s.capture.size[1]}, " if s.capture.size else ""
    dropped = f", {s.capture.dropped} frames dropped" if s.capture.dropped else ""
    yield "camera", f"{size}{s.capture.fps:.0f} frames a second, {s.measured_fps:.0f} measured{dropped}"


def _trouble(s: Snapshot) -> str | None:
    if s.capture.state == "lost":
        wait = f"again in {s.capture.retry_s:.0f} s" if s.capture.retry_s is not None else "again now"
        return f"{s.capture.trouble}: tried {wait}"
    if s.trouble:
        return f"recording ended: {s.trouble}"
    return None


def render(s: Snapshot, width: int = 72) -> RenderableType:
    """A screen."""
    number, beside = rate_text(s)
    told = number != "–"
    big = [" ".join(_DIGITS[c][k] for c in number) for k in range(3)]
    head = Table.grid(padding=(0, 2))
    head.add_column(width=12, justify="right")
    head.add_column()
    words = [Text("bpm", style="dim"), Text(beside, style="green" if told else "yellow"), Text("")]
    for line, word in zip(big, words, strict=True):
        head.add_row(Text(line, style="bold red" if told else "dim"), word)
    parts: list[RenderableType] = [head]
    if s.update is not None and s.fresh:
        wave, valid = shown_wave(s.update.pulse)
        parts.append(Text("\n".join(braille(wave, valid, max(width - 6, 20), 4)), style="red"))
    else:
        parts.append(Text("\n" * 3))
    table = Table.grid(padding=(0, 2))
    for name, text in _lines(s):
        table.add_row(Text(name, style="dim"), Text(text))
    parts.append(table)
    trouble = _trouble(s)
    advice = [trouble] if trouble else list(s.update.advice if s.update is not None and s.fresh else ())
    parts.append(Text(" · ".join(advice) or " ", style="bold yellow"))
    for note in s.notes[-2:]:
        parts.append(Text(note, style="dim"))
    recording = f" · recording {', '.join(s.recording)}" if s.recording else ""
    title = Text(f" {' · '.join(filter(None, (s.source, s.method)))} · {s.elapsed_s:.0f} s{recording} ")
    return Panel(Group(*parts), title=title, subtitle=Text(f" {NOTICE} · q ends "), width=width, border_style="dim")


def plain_line(s: Snapshot) -> str:
    """One refresh as a line."""
    assert s.update is not None
    number, beside = rate_text(s)
    v = s.update.vitals
    parts = [f"{s.elapsed_s:6.1f} s", f"{number} bpm  {beside}" if number != "–" else f"–  {beside}"]
    if v.rr.value is not None:
        parts.append(f"respiration {v.rr.value:.0f} brpm")
    parts += list(s.update.advice)
    return "  ".join(parts)


def summary_lines(s: Summary) -> Iterator[str]:
    """What a run gave."""
    if s.hr_bpm is not None:
        span = f"{s.hr_low_bpm:.0f}–{s.hr_high_bpm:.0f}"
        yield f"heart rate {s.hr_bpm:.1f} bpm (median; {span} bpm, told in {s.coverage:.0%} of the refreshes)"
    else:
        yield f"no reliable pulse{f': {s.reason}' if s.reason else ''}"
    lost = [f"{n} {what}" for n, what in ((s.dropped, "dropped"), (s.corrupt, "broken")) if n]
    yield f"{s.seconds:.1f} s, {s.frames} frames{', ' + ', '.join(lost) if lost else ''}"
    if s.returns:
        yield f"the source went and came back {s.returns} times"
    for note in s.notes:
        yield f"note: {note}"
    if s.recording:
        yield f"recorded: {', '.join(s.recording)}"
    if s.trouble:
        yield f"recording ended: {s.trouble}"
    yield f"{NOTICE[0].upper()}{NOTICE[1:]}."


def show(run: LiveRun, console: Console, plain: bool, done: Callable[[], bool]) -> None:
    """Show a run until it is over, ``done`` says so, or a key ends it."""
    (_plain if plain else _screen)(run, console, done)


def _plain(run: LiveRun, console: Console, done: Callable[[], bool]) -> None:
    last, lost = None, None
    while True:
        over = run.over or done()
        s = run.look()
        if s.update is not None and s.update is not last:
            last = s.update
            console.out(plain_line(s), highlight=False)
        trouble = s.capture.trouble if s.capture.state == "lost" else None
        if trouble != lost:
            lost = trouble
            console.out(trouble or "the pictures are back", highlight=False)
        if over:
            return
        time.sleep(_REFRESH_S)


def _screen(run: LiveRun, console: Console, done: Callable[[], bool]) -> None:
    def screen() -> RenderableType:
        return render(run.look(), min(console.width, 80))

    with _keys() as pressed, Live(screen(), console=console, auto_refresh=False, screen=False) as live:
        while not (run.over or done() or pressed() & {b"q", b"Q", b"\x1b"}):
            live.update(screen(), refresh=True)
            time.sleep(_REFRESH_S)
        live.update(screen(), refresh=True)


@contextmanager
def _keys() -> Iterator[Callable[[], set[bytes]]]:
    """Gives the keys that were pressed, without waiting for Enter where the system can."""
    try:
        import select
        import termios
        import tty

        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
    except (ImportError, OSError, ValueError, AttributeError):
        yield set
        return
    except termios.error:  # no terminal on the standard input
        yield set
        return

    def pressed() -> set[bytes]:
        ready, _, _ = select.select([handle], [], [], 0)
        typed = os.read(handle, 64) if ready else b""
        # Arrows and the like are an escape and more, which is not Esc.
        return {typed} if typed.startswith(b"\x1b") else {bytes([c]) for c in typed}

    tty.setcbreak(handle)
    try:
        yield pressed
    finally:
        with suppress(termios.error):
            termios.tcsetattr(handle, termios.TCSADRAIN, before)
