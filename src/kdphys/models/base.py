"""What every network of kdphys has in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from kdphys.errors import InvalidInputError


class PulseModel(nn.Module):
    """Face pixels in, blood-volume pulse out.

    The input normalisation belongs to the model: callers give plain RGB values and need not know.

    Attributes:
        layout: how the features of :meth:`features` are laid out: "btchw" (2-D networks) or "bcthw" (3-D networks).
        fs: the sampling rate, in Hz, that time constants inside the model are meant for.
        box_scale: face box × this = crop.
        normalisation: name of the input transform, for the card of the weights.
        paper: where the architecture comes from.
        lookahead, lookback: how many frames of the future and of the past one output sample depends on; None when it
            depends on the whole clip, so that the model cannot run on a live stream.
        grid: a part of a recording that is computed by itself must begin at a multiple of this many frames.
    """

    layout: ClassVar[str] = "btchw"
    fs: ClassVar[float] = 30.0
    box_scale: ClassVar[float] = 1.5
    normalisation: ClassVar[str] = ""
    paper: ClassVar[str] = ""

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise InvalidInputError(f"{type(self).__name__}: size must be a positive number of pixels, got {size}")
        self.size = size
        self.lookahead: int | None = None
        self.lookback: int | None = None
        self.grid = 1

    @abstractmethod
    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Named intermediate results and the output.

        Args:
            x: float (B, T, 3, S, S), RGB 0–255.

        Returns:
            "bvp" (B, T) and the taps "stem", "mid", "deep" (and "attention" where there is one) in :attr:`layout`.
        """

    def forward(self, x: Tensor) -> Tensor:
        """BVP (B, T) in the model's own units, systole upwards, from RGB (B, T, 3, S, S) in 0–255."""
        return self.features(x)["bvp"]

    def check(self, x: Tensor, any_size: bool = False) -> None:
        """Raise :class:`InvalidInputError` unless ``x`` is a float (B, T ≥ 2, 3, S, S) of the model's size."""
        name = type(self).__name__
        side = "S" if any_size else str(self.size)
        if x.ndim != 5 or x.shape[2] != 3 or x.shape[3] != x.shape[4] or x.shape[1] < 2:
            raise InvalidInputError(f"{name}: expected RGB (B, T ≥ 2, 3, {side}, {side}), got {tuple(x.shape)}")
        if not any_size and x.shape[3] != self.size:
            raise InvalidInputError(
                f"{name}: built for crops of {self.size} px, got {x.shape[3]} px; "
                f"resize the crop or build the model with size={x.shape[3]}"
            )
        if not x.is_floating_point():
            raise InvalidInputError(f"{name}: expected floating-point RGB in 0–255, got {x.dtype}; call .float() first")


def build(kind: type[PulseModel], name: str, options: Mapping[str, Any]) -> PulseModel:
    """Construct ``kind``, turning options that it does not take into an :class:`InvalidInputError`."""
    import inspect

    known = [p for p in inspect.signature(kind).parameters if p != "self"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidInputError(f"model {name!r} has no option {', '.join(unknown)}; it takes: {', '.join(known)}")
    return kind(**options)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
