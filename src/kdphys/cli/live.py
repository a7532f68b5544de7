"""``kdphys live``: a camera, a network stream or a file in real time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kdphys.video.live import LiveSource


def live(
    camera: Annotated[
        str | None, typer.Option("--camera", "-c", help="Number of the camera, or on Linux its path. Default: 0.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", "-s", help="rtsp://…, http://…, or a file that is played in real time.")
    ] = None,
    method: Annotated[str, typer.Option("--method", "-m", help="As of 'kdphys measure'.")] = "student",
    window: Annotated[bool, typer.Option("--window", help="A window with the picture instead.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="One line a second; so without a terminal, too.")] = False,
    record: Annotated[
        Path | None, typer.Option("--record", help="Write PREFIX.mkv and PREFIX.csv. Nothing is kept otherwise.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recording's files.")] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", help="End after so long.")] = None,
) -> None:
    """Measure who is in front of the camera, now. q or Ctrl-C ends it. Not a medical device.

    Exit codes: 0 a heart rate was told; 3 none was; 2 the source cannot be used, or a wrong option.
    """
    import signal
    import sys
    import time

    from rich.console import Console

    from kdphys.errors import InvalidInputError
    from kdphys.live.record import Recorder
    from kdphys.live.run import LiveRun
    from kdphys.live.terminal import show, summary_lines
    from kdphys.streaming import stream

    if seconds is not None and seconds <= 0:
        raise InvalidInputError(f"--seconds must be positive, got {seconds:g}")
    if window and plain:
        raise InvalidInputError("--window and --plain: choose one of them")
    opened = _open(camera, source)
    recorder = Recorder(record, force, None if source is None else Path(source)) if record is not None else None
    run = LiveRun(opened, stream(method), recorder, method=method)
    began = time.monotonic()

    def done() -> bool:
        return seconds is not None and (run.elapsed_s or time.monotonic() - began) >= seconds

    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as Ctrl-C does, with the terminal as it was
    try:
        if window:
            from kdphys.live.window import Window

            view = Window(run, done)  # where there is no screen, the camera stays off and no recording is begun
            with run:
                view.show()
        else:
            screen = sys.stdout.isatty() and not console.is_dumb_terminal
            with run:
                show(run, console, plain or not screen, done)
    except KeyboardInterrupt:
        pass
    summary = run.summary()
    if summary.frames:
        for line in summary_lines(summary):
            console.out(line, highlight=False)
    run.check()
    sys.exit(0 if summary.hr_bpm is not None else 3)


def _open(camera: str | None, source: str | None) -> LiveSource:
    from kdphys.errors import InvalidInputError
    from kdphys.video.camera import Camera, is_device
    from kdphys.video.live import Playback
    from kdphys.video.network import NetworkStream

    if camera is not None and source is not None:
        raise InvalidInputError("--camera and --source: choose one of them")
    if source is None:
        return Camera(camera if camera is not None else 0)
    if "://" in source:
        return NetworkStream(source)
    return Camera(source) if is_device(source) else Playback(Path(source))
