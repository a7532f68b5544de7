"""Configurations: what is written is read back; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdphys.errors import InvalidInputError, UnknownNameError
from kdphys.models import MODELS
from kdphys.train.config import (
    DataConfig,
    DistillConfig,
    LossConfig,
    ModelConfig,
    SourceConfig,
    TrainConfig,
    dump_config,
    load_config,
    parse_config,
    with_teacher,
)

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def test_defaults_round_trip() -> None:
    assert parse_config(dump_config(TrainConfig())) == TrainConfig()
    assert parse_config("") == TrainConfig()


def test_everything_round_trips() -> None:
    config = TrainConfig(
        name='odd "name" \\ é',
        seed=7,
        model=ModelConfig(name="teacher", options={"dilations": [1, 1, 2, 2]}),
        data=DataConfig(
            sources=(
                SourceConfig(weight=3.0, scene={"codec": "mpeg4", "mbps": [0.2, 2.0]}),
                SourceConfig(kind="pool", path="a b", augment=False),
            ),
            validation=SourceConfig(kind="store", path="x.zarr", part="val"),
        ),
        loss=LossConfig(dilate=0.25, dilate_gamma=1e-3),
        distill=DistillConfig(output=0.0, pairs=(("mid", "deep"),)),
    )
    assert parse_config(dump_config(config)) == config


@pytest.mark.parametrize("file", CONFIGS, ids=lambda f: f.name)
def test_shipped_configurations_are_valid(file: Path) -> None:
    config = load_config(file)
    assert config.model.name in MODELS
    assert config.data.validation is not None
    assert parse_config(dump_config(config)) == config


def test_both_roads_are_shipped() -> None:
    loaded = {f.stem: load_config(f) for f in CONFIGS}
    assert loaded["teacher"].distill is None
    assert loaded["student"].distill is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = ", "not TOML"),
        ("[optim]\nstep = 3", r"unknown key 'step' in configuration\.optim\. Did you mean 'steps'\?"),
        ("seed = 1.5", r"configuration\.seed must be int, got 1\.5"),
        ("seed = true", r"seed must be int, got True"),
        ("[[data.sources]]\nweight = -1", "weight of a source must be positive"),
        ("[[data.sources]]\nkind = 'pool'", "needs a path"),
        ("[[data.sources]]\nscene = { codek = 'mpeg4' }", "scene takes skin, .*mbps, gop, fps, held; got codek"),
        ("data = 3", r"configuration\.data must be a table"),
        ("[loss]\npearson = -1", r"loss\.pearson must not be negative"),
        ("[run]\npatience = 3", r"need data\.validation"),
        ("[data]\nframes = 90\n[distill]", "divisible by 4"),
        ("[data]\nsources = []", "sources is empty"),
        ("seed = -1", "seed must be 0 or more"),
        ("[[data.sources]]\nseed = -1", "seed of a source must be 0 or more"),
        ("[loss]\ndilate_stride = 100", "at most half of data.frames"),
        (
            "[data]\nframes = 400\n[[data.sources]]\nkind = 'pool'\npath = 'p'\nrender = 9",
            r"p: render_frames must be 400 \(frames\) or more, got 300",
        ),
        (
            "[data.validation]\n[run]\nexport = 'best'\n[optim]\nsteps = 300",
            "validation within the 300 steps, and run.validate_every is 500",
        ),
        ("[distill]\npairs = [['a']]", r"pairs \[student's tap, teacher's tap\]"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_config(text)


def test_unknown_kind_of_source_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="Known: pool, store, synth"):
        parse_config("[[data.sources]]\nkind = 'sinth'")


def test_missing_file_and_teacher(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot read"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(InvalidInputError, match="kdphys train"):
        with_teacher(TrainConfig(), "x")
    changed = with_teacher(TrainConfig(distill=DistillConfig()), "my.safetensors")
    assert changed.distill is not None
    assert changed.distill.teacher == "my.safetensors"
