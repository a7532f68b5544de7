"""A window with the picture, the face's box and the waveform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from kdphys.errors import KDPhysError
from kdphys.live.run import LiveRun, Snapshot
from kdphys.live.terminal import NOTICE, rate_text, shown_wave

_WIDTH, _WAVE_HEIGHT, _EVERY_MS = 640, 110, 40
_BACK, _RED, _GREEN, _GREY = "#111418", "#ff5c5c", "#59d38c", "#9aa4b2"


class Window:
    """Shows a run until it is over, ``done`` says so, the window is closed, or q is pressed.

    Raises:
        KDPhysError: there is no Tk, or no screen.
    """

    def __init__(self, run: LiveRun, done: Callable[[], bool]) -> None:
        try:
            import tkinter
        except ImportError as error:
            raise KDPhysError("--window needs Tk, which this Python lacks (Debian: apt install python3-tk)") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise KDPhysError(f"--window needs a screen ({error}); leave it out for the terminal view") from error
        self._tk: Any = tkinter
        self._run, self._done = run, done
        self._image: Any = None
        self._error: BaseException | None = None
        root = self._root
        root.report_callback_exception = self._end_with
        root.title("kdphys")
        root.configure(bg=_BACK)
        self._picture = tkinter.Label(root, bg=_BACK, borderwidth=0)
        self._rate = tkinter.Label(root, bg=_BACK, fg=_RED, font=("TkDefaultFont", 40, "bold"))
        self._beside = tkinter.Label(root, bg=_BACK, fg=_GREY, font=("TkDefaultFont", 12), justify="left")
        self._wave = tkinter.Canvas(root, width=_WIDTH, height=_WAVE_HEIGHT, bg=_BACK, highlightthickness=0)
        self._advice = tkinter.Label(root, bg=_BACK, fg="#ffd166", font=("TkDefaultFont", 14))
        notice = tkinter.Label(root, text=f"{NOTICE} · q ends", bg=_BACK, fg=_GREY)
        root.columnconfigure(1, weight=1)
        self._picture.grid(row=0, columnspan=2)
        self._rate.grid(row=1, column=0, sticky="w", padx=16)
        self._beside.grid(row=1, column=1, sticky="w")
        self._wave.grid(row=2, columnspan=2)
        self._advice.grid(row=3, columnspan=2)
        notice.grid(row=4, columnspan=2)
        for key in ("q", "Q", "<Escape>"):
            root.bind(key, lambda _: root.quit())
        root.protocol("WM_DELETE_WINDOW", root.quit)

    def show(self) -> None:
        """Until the end."""
        try:
            self._root.after(0, self._next)  # not at once: to quit before the loop has begun is forgotten
            self._root.mainloop()
        finally:
            self._root.destroy()
        if self._error is not None:
            raise self._error

    def _end_with(self, _: object, error: BaseException, *__: object) -> None:
        # Tk would print it and go on, even with Ctrl-C when that comes while a picture is drawn.
        self._error = error
        self._root.quit()

    def _next(self) -> None:
        if self._run.over or self._done():
            self._root.quit()
            return
        self._draw(self._run.look())
        self._root.after(_EVERY_MS, self._next)

    def _draw(self, s: Snapshot) -> None:
        number, beside = rate_text(s)
        self._rate.configure(text=number, fg=_RED if number != "–" else _GREY)
        self._beside.configure(text=f"bpm\n{beside}", fg=_GREEN if number != "–" else _GREY)
        trouble = s.capture.trouble if s.capture.state == "lost" else None
        advice = s.update.advice if s.update is not None and s.fresh else ()
        self._advice.configure(text=trouble or " · ".join(advice))
        if s.picture is not None:
            self._show_picture(s)
        self._wave.delete("all")
        if s.update is not None and s.fresh:
            self._show_wave(s)

    def _show_picture(self, s: Snapshot) -> None:
        assert s.picture is not None
        height, width = s.picture.shape[:2]
        scale = _WIDTH / width
        rgb = cv2.resize(s.picture, (_WIDTH, round(height * scale)), interpolation=cv2.INTER_AREA)
        if s.update is not None and s.update.box is not None and s.fresh:
            x0, y0, x1, y1 = (round(float(v) * scale) for v in s.update.box)
            cv2.rectangle(rgb, (x0, y0), (x1, y1), (89, 211, 140), 2)
        data = f"P6 {_WIDTH} {len(rgb)} 255\n".encode() + np.ascontiguousarray(rgb).tobytes()
        image = self._tk.PhotoImage(data=data, format="PPM")
        self._picture.configure(image=image)
        self._image = image  # Tk does not keep it

    def _show_wave(self, s: Snapshot) -> None:
        assert s.update is not None
        wave, valid = shown_wave(s.update.pulse)
        x = np.linspace(0, _WIDTH, len(wave))
        y = _WAVE_HEIGHT * (0.5 - np.clip(wave, -3, 3) / 7)
        points: list[float] = []
        for k, seen in enumerate(valid):
            if seen:
                points += [float(x[k]), float(y[k])]
            if (not seen or k == len(x) - 1) and len(points) >= 4:
                self._wave.create_line(*points, fill=_RED, width=2)
            if not seen:
                points = []
