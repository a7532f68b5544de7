"""``kdphys train`` and ``kdphys distill`` from a configuration on disk to weights on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kdphys.cli.train import distill, train
from kdphys.errors import InvalidInputError
from kdphys.models import create
from kdphys.models.weights import load_weights, save_weights
from tests.train.clips import make_pool

CONFIG = """
name = "tiny"
[model]
name = "student"
size = 16
options = {{ width = 16, hidden = 16 }}
[data]
frames = 32
batch = 2
[[data.sources]]
kind = "pool"
path = "{pool}"
[data.validation]
kind = "pool"
path = "{pool}"
[optim]
steps = 2
warmup = 1
[run]
precision = "32-true"
accelerator = "cpu"
validate_every = 1
"""


def app() -> typer.Typer:
    both = typer.Typer()
    both.command()(train)
    both.command()(distill)
    return both


@pytest.fixture
def config(tmp_path: Path) -> Path:
    pool = make_pool(tmp_path / "p", n=4, frames=48, size=16)
    file = tmp_path / "tiny.toml"
    file.write_text(CONFIG.format(pool=pool))
    return file


def test_train_then_distil(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(app(), ["train", str(config), "--out", str(out), "-q"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 steps" in done.output
    assert "weights_only" not in done.output
    assert "finished" in done.output
    assert "mae_bpm" in done.output
    assert load_weights(out / "tiny.safetensors")[1].model == "student"

    save_weights(create("teacher", size=16), tmp_path / "t.safetensors", "t", "teacher")
    config.write_text(config.read_text() + "[distill]\n")
    args = ["distill", str(config), "--teacher", str(tmp_path / "t.safetensors"), "--out", str(tmp_path / "kd"), "-q"]
    assert CliRunner().invoke(app(), args, catch_exceptions=False).exit_code == 0
    assert "t.safetensors" in (tmp_path / "kd" / "config.toml").read_text()


def test_the_two_commands_do_not_take_each_others_configurations(config: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no \[distill\] table"):
        CliRunner().invoke(app(), ["distill", str(config)], catch_exceptions=False)
    config.write_text(config.read_text() + "[distill]\n")
    with pytest.raises(InvalidInputError, match="use `kdphys distill"):
        CliRunner().invoke(app(), ["train", str(config)], catch_exceptions=False)
    with pytest.raises(InvalidInputError, match="must be positive"):
        CliRunner().invoke(app(), ["distill", str(config), "--max-minutes", "0"], catch_exceptions=False)


def test_importing_the_command_and_the_registry_loads_no_torch() -> None:
    code = "import sys, kdphys.cli.train, kdphys.models, kdphys.train.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
