"""The configuration of a training run: frozen dataclasses, read from and written to TOML, checked on creation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from kdphys.errors import InvalidInputError
from kdphys.registry import Registry

#: Kinds of data source; each is built as ``cls(source, seed)``.
SOURCES = Registry(
    "data source",
    {
        "synth": "kdphys.train.data:SynthSource",
        "pool": "kdphys.train.pool:PoolSource",
        "store": "kdphys.train.store:StoreSource",
    },
)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidInputError(f"training configuration: {message}")


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Args:
        name: registered name, see :data:`kdphys.models.MODELS`.
        size: side of the crop in pixels.
        options: further options of the constructor.
        start: weights to start from (bundled name or path), "" for fresh ones.
    """

    name: str = "student"
    size: int = 36
    options: dict[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class SourceConfig:
    """Where clips come from.

    Args:
        kind: "synth" renders people on the fly, "pool" reads clips rendered before, "store" a prepared data set.
        weight: how often this source serves a batch, relative to the others.
        path: of the pool or store, a folder.
        render: pool only: if it does not exist, render this many clips into it first; 0 refuses instead.
        render_frames: pool only: length of those clips, longer than a training clip so that it can be cut and
            stretched.
        codec_share: synth, and rendering a pool: share of clips that pass through a real video encoder.
        scene: synth, and rendering a pool: conditions that all scenes share, as
            :func:`kdphys.data.synth.sample.sample_scene` takes them: ``{ codec = "mpeg4", mbps = [0.2, 2.0] }``.
        heads, heads_seed: synth, and rendering a pool: how many different heads, and which; another seed gives people
            whom the training never saw. Building them takes about a second each, once.
        split, fold, part: store only: which persons, as the store's manifest divides them; "holdout" has no fold,
            the part is "train", "val", "test", or "all" for everybody.
        augment: whether clips are stretched in time, cropped, flipped, recoloured and made noisy (pool and store).
        seed: of what the source makes; different sources need different ones.
    """

    kind: str = "synth"
    weight: float = 1.0
    path: str = ""
    render: int = 0
    render_frames: int = 300
    codec_share: float = 0.3
    scene: dict[str, Any] = field(default_factory=dict)
    heads: int = 160
    heads_seed: int = 0
    split: str = "holdout"
    fold: str = ""
    part: str = "train"
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        SOURCES[self.kind]
        _require(self.weight > 0, f"the weight of a source must be positive, got {self.weight}")
        _require(0 <= self.codec_share <= 1, f"codec_share must be between 0 and 1, got {self.codec_share}")
        allowed = ("skin", "motion", "light", "codec", "hr_bpm", "no_pulse_share", "mbps", "gop", "fps", "held")
        _require(set(self.scene) <= set(allowed), f"scene takes {', '.join(allowed)}; got {', '.join(self.scene)}")
        parts = ("train", "val", "test", "all")
        _require(self.part in parts, f"part must be one of {', '.join(parts)}, got {self.part!r}")
        _require(self.kind == "synth" or bool(self.path), f"a source of kind {self.kind!r} needs a path")
        _require(self.seed >= 0, f"the seed of a source must be 0 or more, got {self.seed}")


@dataclass(frozen=True)
class DataConfig:
    """What the model sees.

    Args:
        frames: length of a clip.
        batch: clips per step.
        workers: processes that prepare batches; 0 prepares them in the training process.
        sources: mixed by weight.
        validation: where the validation batches come from; None switches validation off.
        validation_batches: how many.
        validation_frames: length of a validation clip, 0 for ``frames``; heart rates need ten seconds or more.
    """

    frames: int = 160
    batch: int = 16
    workers: int = 0
    sources: tuple[SourceConfig, ...] = (SourceConfig(),)
    validation: SourceConfig | None = None
    validation_batches: int = 8
    validation_frames: int = 0

    def __post_init__(self) -> None:
        _require(self.frames >= 8, f"frames must be 8 or more, got {self.frames}")
        _require(self.batch >= 1, f"batch must be 1 or more, got {self.batch}")
        _require(len(self.sources) > 0, "data.sources is empty")
        _require(self.workers >= 0, f"data.workers must be 0 or more, got {self.workers}")
        _require(
            self.validation_batches >= 1, f"data.validation_batches must be 1 or more; got {self.validation_batches}"
        )
        for source in self.sources:
            _check_length(source, self.frames, "frames")
        if self.validation is not None:
            _check_length(self.validation, self.validation_frames or self.frames, "validation_frames")
        short = 0 < self.validation_frames < 30
        _require(not short, f"data.validation_frames must be 0 or 30 or more, got {self.validation_frames}")


def _check_length(source: SourceConfig, frames: int, what: str) -> None:
    """Before hours are spent on rendering."""
    long = source.kind != "pool" or source.render == 0 or source.render_frames >= frames
    _require(long, f"{source.path}: render_frames must be {frames} ({what}) or more, got {source.render_frames}")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss; 0 switches a part off.

    Args:
        pearson: negative Pearson correlation, clips with a pulse.
        dilate: DILATE of the standardised waveforms per sample, clips with a pulse.
        dilate_alpha, dilate_gamma: see :func:`kdphys.losses.dilate.dilate`.
        dilate_stride: waveforms are averaged over this many samples first; timing needs no more than 15 Hz.
        heart_rate: cross-entropy of the spectrum.
        amplitude: squared error against the standardised waveform, against silence where there is no pulse. So the
            output's power tells how sure the model is: the best guess of an uncertain pulse is a small one.
    """

    pearson: float = 1.0
    dilate: float = 0.0
    dilate_alpha: float = 0.5
    dilate_gamma: float = 0.1
    dilate_stride: int = 2
    heart_rate: float = 0.0
    amplitude: float = 0.3

    def __post_init__(self) -> None:
        for name in ("pearson", "dilate", "heart_rate", "amplitude"):
            _require(getattr(self, name) >= 0, f"loss.{name} must not be negative, got {getattr(self, name)}")
        _require(self.dilate_stride >= 1, f"loss.dilate_stride must be 1 or more, got {self.dilate_stride}")


@dataclass(frozen=True)
class DistillConfig:
    """What the student learns from the teacher; a weight of 0 switches a part off.

    Args:
        teacher: weights (bundled name or path).
        output: matching the teacher's waveform.
        feature: matching the teacher's features through learned projections.
        attention: matching the attention maps themselves (Zagoruyko & Komodakis 2017).
        weigh_space, weigh_time: whether the teacher's attention in space and in time weighs the match of features.
        pairs: (student's tap, teacher's tap) to match.
    """

    teacher: str = "teacher"
    output: float = 1.0
    feature: float = 0.5
    attention: float = 1.0
    weigh_space: bool = True
    weigh_time: bool = True
    pairs: tuple[tuple[str, str], ...] = (("mid", "early"), ("deep", "mid"), ("temporal", "deep"))

    def __post_init__(self) -> None:
        for name in ("output", "feature", "attention"):
            _require(getattr(self, name) >= 0, f"distill.{name} must not be negative, got {getattr(self, name)}")
        object.__setattr__(self, "pairs", tuple(tuple(p) for p in self.pairs))
        _require(all(len(p) == 2 for p in self.pairs), "distill.pairs holds pairs [student's tap, teacher's tap]")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with a linear warm-up and a cosine down to 1 % of the rate.

    Args:
        steps: of the whole run.
        lr: peak learning rate.
        weight_decay: on weights with two or more dimensions.
        warmup: steps.
        clip: largest norm of the gradient.
        ema: decay of the running mean of the weights, which is what is validated and exported; 0 switches it off.
    """

    steps: int = 20_000
    lr: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 500
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        _require(self.steps >= 1, f"optim.steps must be 1 or more, got {self.steps}")
        _require(self.lr > 0, f"optim.lr must be positive, got {self.lr}")
        _require(0 <= self.ema < 1, f"optim.ema must be in [0, 1), got {self.ema}")


@dataclass(frozen=True)
class RunConfig:
    """How it runs and what is kept.

    Args:
        precision: of Lightning: "32-true", "bf16-mixed" or "16-mixed"; "auto" takes bfloat16 where the machine computes
            with it, and 32 bits elsewhere (without its instructions a processor is several times slower in bfloat16).
        channels_last: memory format of the convolutions.
        accelerator, devices, nodes: of Lightning.
        validate_every, checkpoint_every, log_every: steps.
        patience: stop after this many validations without a better heart-rate error; 0 never stops early.
        export: which weights become the result: "last" or the "best" of the validations.
    """

    precision: str = "auto"
    channels_last: bool = True
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    validate_every: int = 500
    checkpoint_every: int = 500
    log_every: int = 20
    patience: int = 0
    export: str = "last"

    def __post_init__(self) -> None:
        formats = ("auto", "32-true", "bf16-mixed", "16-mixed")
        _require(
            self.precision in formats, f"run.precision must be one of {', '.join(formats)}, got {self.precision!r}"
        )
        _require(self.export in ("last", "best"), f'run.export must be "last" or "best", got {self.export!r}')
        _require(
            min(self.validate_every, self.checkpoint_every, self.log_every) >= 1,
            "run: intervals must be 1 step or more",
        )


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Args:
        name: of the run and of the weights that it makes.
        seed: of weights and data order.
        distill: None trains without a teacher.
    """

    name: str = "student"
    seed: int = 0
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    distill: DistillConfig | None = None

    def __post_init__(self) -> None:
        _require(bool(self.name), "name is empty")
        needs = self.run.patience > 0 or self.run.export == "best"
        _require(not needs or self.data.validation is not None, "patience and export = 'best' need data.validation")
        _require(
            not needs or self.run.validate_every <= self.optim.steps,
            f"patience and export = 'best' need a validation within the {self.optim.steps} steps, and "
            f"run.validate_every is {self.run.validate_every}",
        )
        _require(self.seed >= 0, f"seed must be 0 or more, got {self.seed}")
        _require(
            self.data.frames >= 2 * self.loss.dilate_stride,
            f"loss.dilate_stride must be at most half of data.frames, got {self.loss.dilate_stride}",
        )
        _require(self.distill is None or self.data.frames % 4 == 0, "distillation needs data.frames divisible by 4")


def _convert(kind: Any, value: Any, where: str) -> Any:
    options = [a for a in get_args(kind) if a is not type(None)]
    if get_origin(kind) is not tuple and type(None) in get_args(kind):
        return None if value is None else _convert(options[0], value, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, where)
    if get_origin(kind) is tuple:
        _require(isinstance(value, list | tuple), f"{where} must be a list, got {value!r}")
        inner = options[0]
        return tuple(_convert(inner, v, f"{where}[{i}]") for i, v in enumerate(value))
    if get_origin(kind) is dict:
        _require(isinstance(value, dict), f"{where} must be a table, got {value!r}")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    _require(right, f"{where} must be {kind.__name__}, got {value!r}")
    return value


def _build(kind: type[Any], table: Any, where: str) -> Any:
    _require(isinstance(table, Mapping), f"{where} must be a table, got {table!r}")
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            _require(False, f"unknown key {key!r} in {where}.{hint} Known: {', '.join(known)}")
    return kind(**{k: _convert(hints[k], v, f"{where}.{k}") for k, v in table.items()})


def parse_config(text: str, where: str = "configuration") -> TrainConfig:
    """TOML text → configuration.

    Raises:
        InvalidInputError: not TOML, an unknown key, a wrong type or a value out of range; the message names the key.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{where}: not TOML: {error}") from error
    config: TrainConfig = _build(TrainConfig, table, where)
    return config


def load_config(file: Path | str) -> TrainConfig:
    """Read a configuration; relative paths in it are left as they are, relative to the working directory.

    Raises:
        InvalidInputError: see :func:`parse_config`, or the file cannot be read.
    """
    file = Path(file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{file}: cannot read the training configuration: {error}") from error
    return parse_config(text, file.name)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_scalar(v)}" for k, v in value.items()) + " }" if value else "{}"
    return repr(value)


def _tables(table: Mapping[str, Any], path: str) -> list[str]:
    lines, later = [], []
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if value is None:
            continue
        if isinstance(value, dict) and key != "options":
            later += ["", f"[{name}]", *_tables(value, name)]
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for item in value:
                later += ["", f"[[{name}]]", *_tables(item, name)]
        else:
            lines.append(f"{key} = {_scalar(value)}")
    return lines + later


def dump_config(config: TrainConfig) -> str:
    """Configuration → TOML text, every value written out; :func:`parse_config` reads it back equal."""
    return "\n".join(_tables(asdict(config), "")) + "\n"


def with_teacher(config: TrainConfig, teacher: str | None) -> TrainConfig:
    """The configuration with another teacher.

    Raises:
        InvalidInputError: the configuration has no [distill].
    """
    if config.distill is None:
        raise InvalidInputError("the configuration has no [distill] table; use `kdphys train` for training alone")
    return config if teacher is None else replace(config, distill=replace(config.distill, teacher=teacher))
