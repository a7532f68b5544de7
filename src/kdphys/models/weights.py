"""Weights on disk: one safetensors file and beside it a JSON sidecar that says what they are.

The sidecar carries what a user of the weights must know (sampling rate, crop, look-ahead, recipe, licence) and the
SHA-256 of the safetensors file, which is checked on every load.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from kdphys.containers import WeightsSpec
from kdphys.errors import DataError, OutputError, UnknownNameError
from kdphys.files import whole
from kdphys.models import create
from kdphys.models.base import PulseModel, count_parameters

#: Where the package's own weights lie.
BUNDLED = Path(__file__).parent.parent / "assets" / "weights"


@dataclass(frozen=True)
class SavedWeights:
    """What the sidecar says, the architecture included.

    Attributes:
        spec: what every engine needs to feed the model.
        model: registered name of the architecture.
        options: of its constructor.
        recipe: how it was trained: configuration, seed, steps, minutes, data.
        parameters: number of trainable scalars.
    """

    spec: WeightsSpec
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0


def sidecar(file: Path) -> Path:
    """The JSON file that belongs to a safetensors file."""
    return file.with_suffix(".json")


def sha256(file: Path) -> str:
    """Of a file's content, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_weights(
    model: PulseModel,
    file: Path | str,
    name: str,
    architecture: str,
    options: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    box_scale: float | None = None,
) -> SavedWeights:
    """Write ``file`` (.safetensors) and its sidecar.

    Args:
        name: of these weights; a look-ahead of −1 in the sidecar means "the whole clip".
        architecture: registered name of the model.
        options: the constructor's, beyond ``size``.
        recipe: anything JSON can hold.
        box_scale: what it was trained at; the model's own by default.

    Raises:
        OutputError: the file cannot be written.
    """
    file = Path(file)
    if file.suffix != ".safetensors":
        raise OutputError(f"{file}: the name of a weights file ends in .safetensors")
    with whole(file) as part:
        save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, part)
    spec = WeightsSpec(
        name=name,
        file=file,
        sha256=sha256(file),
        fs=model.fs,
        size=model.size,
        box_scale=model.box_scale if box_scale is None else box_scale,
        lookahead=-1 if model.lookahead is None else model.lookahead,
        normalisation=model.normalisation,
        paper=model.paper,
    )
    saved = SavedWeights(spec, architecture, dict(options or {}), dict(recipe or {}), count_parameters(model))
    text = {
        "name": name,
        "model": architecture,
        "options": dict(saved.options),
        "sha256": spec.sha256,
        "fs": spec.fs,
        "size": spec.size,
        "box_scale": spec.box_scale,
        "lookahead": spec.lookahead,
        "lookback": model.lookback,
        "normalisation": spec.normalisation,
        "paper": spec.paper,
        "licence": spec.licence,
        "parameters": saved.parameters,
        "recipe": dict(saved.recipe),
    }
    with whole(sidecar(file)) as part:
        part.write_text(json.dumps(text, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return saved


def bundled() -> dict[str, Path]:
    """The weights that come with the package, by name."""
    return {f.stem: f for f in sorted(BUNDLED.glob("*.safetensors"))}


def resolve(name: str | Path) -> Path:
    """The safetensors file of bundled weights, or of a path.

    Raises:
        UnknownNameError: neither a bundled name nor a file; the message lists the bundled names.
    """
    path = Path(name)
    if path.suffix == ".safetensors" and path.is_file():
        return path
    known = bundled()
    if str(name) not in known:
        raise UnknownNameError("weights", str(name), [*known, "or a path to a .safetensors file"])
    return known[str(name)]


#: Kinds of what a sidecar holds.
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "model", "sha256", "normalisation"), str),
    **dict.fromkeys(("size", "lookahead"), int),
    **dict.fromkeys(("fs", "box_scale"), (int, float)),
    **dict.fromkeys(("options", "recipe"), dict),
}


def read_spec(name: str | Path) -> SavedWeights:
    """Read the sidecar and check the hash of the weights against it.

    Raises:
        UnknownNameError: see :func:`resolve`.
        DataError: the sidecar is missing or broken, or the file is not the one that it describes.
    """
    file = resolve(name)
    side = sidecar(file)
    try:
        text = json.loads(side.read_text(encoding="utf-8"))
        for key, kind in _KINDS.items():
            if not isinstance(text[key], kind):
                raise TypeError(f"{key} is {text[key]!r}")
        spec = WeightsSpec(
            file=file,
            **{k: text[k] for k in ("name", "sha256", "fs", "size", "box_scale", "lookahead", "normalisation")},
            paper=text["paper"],
            licence=text["licence"],
        )
        saved = SavedWeights(spec, text["model"], text["options"], text["recipe"], text["parameters"])
    except FileNotFoundError as error:
        raise DataError(f"{file}: its sidecar {side.name} is missing; keep the two files together") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{side}: not a sidecar of weights ({type(error).__name__}: {error})") from error
    got = sha256(file)
    if got != spec.sha256:
        raise DataError(
            f"{file}: the file is not the one that {side.name} describes: sha256 {got[:12]}…, "
            f"expected {spec.sha256[:12]}…; copy or download it again"
        )
    return saved


def load_into(model: nn.Module, file: Path) -> None:
    """Copy the tensors of ``file`` into ``model``.

    Raises:
        DataError: the file is broken, or holds the weights of another architecture.
    """
    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        raise DataError(f"{file}: does not fit {type(model).__name__}: {error}") from error


def load_weights(name: str | Path) -> tuple[PulseModel, SavedWeights]:
    """Build the model that the weights belong to, in eval mode, on the CPU.

    Raises:
        UnknownNameError, DataError: see :func:`read_spec` and :func:`load_into`.
    """
    saved = read_spec(name)
    model = create(saved.model, size=saved.spec.size, **saved.options)
    load_into(model, saved.spec.file)
    return model.eval(), saved
