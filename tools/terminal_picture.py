"""The picture of ``kdphys live`` in the README: ``python tools/terminal_picture.py``.

Measures the bundled clip in real time and keeps the screen after 11 s.
"""

from __future__ import annotations

import io
import re
import time
from importlib.resources import files
from pathlib import Path

from rich.console import Console

import kdphys
from kdphys.live.run import LiveRun
from kdphys.live.terminal import render
from kdphys.video.live import Playback

OUT = Path(__file__).parents[1] / "docs" / "images" / "terminal.svg"


def main() -> None:
    source = Playback(Path(str(files("kdphys") / "assets" / "demo.mp4")))
    with LiveRun(source, kdphys.stream(), method="student") as run:
        while run.elapsed_s < 11 and not run.over:
            time.sleep(0.1)
        screen = render(run.look(), 76)
    console = Console(record=True, width=76, file=io.StringIO())
    console.print(screen)
    svg = console.export_svg(title="kdphys live")
    # Rich's picture fetches its font from a third party: the reader's own will do.
    svg = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", svg, flags=re.DOTALL).replace("Fira Code", "DejaVu Sans Mono")
    OUT.write_text("\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n")


if __name__ == "__main__":
    main()
