"""Running the command line: as a process, or faster through its entry point in this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kdphys.cli.main import main

Command = Callable[..., subprocess.CompletedProcess[str]]


def kdphys(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A process of its own."""
    command = [sys.executable, "-m", "kdphys.cli.main", *map(str, args)]
    env = os.environ | {"COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=cwd, env=env)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same without the second that a process takes to start; what libraries write to the terminal counts too."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["kdphys", *map(str, args)])
        capfd.readouterr()
        with contextlib.chdir(cwd or "."), pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        code = end.value.code or 0
        assert isinstance(code, int)
        return subprocess.CompletedProcess(list(map(str, args)), code, out, err)

    return run
