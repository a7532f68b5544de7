"""The student on a stream computes what the student computes on the whole clip, however the frames are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from kdphys.models.stream import StudentStream, band
from kdphys.models.student import Student
from tests.models.test_student import trained

SIZE = 12


@pytest.fixture(scope="module")
def model() -> Student:
    torch.set_num_threads(1)
    return trained(SIZE)


def frames(n: int, seed: int = 0) -> Tensor:
    """(n, S, S, 3): a pulse, noise, a shadow that falls on it."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(n)[:, None, None, None] / 30
    colour = torch.tensor([170.0, 120.0, 95.0])
    x = colour * (1 + 0.01 * torch.sin(2 * torch.pi * 1.2 * t) - 0.3 * (t > 5).float())
    return (x + 3 * torch.randn(n, SIZE, SIZE, 3, generator=g)).clamp(0, 255)


def whole(model: Student, rgb: Tensor) -> Tensor:
    with torch.no_grad():
        return model(rgb[None].permute(0, 1, 4, 2, 3))[0]


def streamed(module: StudentStream, rgb: Tensor, cuts: list[int], junk: float = 0.0) -> Tensor:
    """In calls that end at ``cuts``; the frames after the last, which are absent, hold ``junk``."""
    ahead = module.lookahead
    rgb = torch.cat([rgb, torch.full((ahead, SIZE, SIZE, 3), junk)])
    present = torch.cat([torch.ones(len(rgb) - ahead), torch.zeros(ahead)])
    states = [torch.zeros(shape) for shape in module.states.values()]
    out = []
    edges = sorted({0, *(c for c in cuts if c < len(rgb)), len(rgb)})
    with torch.no_grad():
        for low, high in pairwise(edges):
            bvp, *states = module(rgb[None, low:high], present[low:high], *states)
            out.append(bvp)
    return torch.cat(out)[ahead:]


@pytest.mark.parametrize("n", [2, 5, 40, 330])
@pytest.mark.parametrize("way", ["one by one", "at once", "anyhow"])
def test_equals_the_whole_clip_from_the_first_frame_to_the_last(model: Student, n: int, way: str) -> None:
    rgb = frames(n)
    rng = np.random.default_rng(n)
    cuts = {"one by one": list(range(400)), "at once": [], "anyhow": rng.integers(1, 400, 40).tolist()}[way]
    got, expected = streamed(StudentStream(model), rgb, cuts), whole(model, rgb)
    assert got.shape == expected.shape
    assert float((got - expected).abs().max()) <= 1e-4


def test_absent_frames_may_hold_anything(model: Student) -> None:
    module, rgb = StudentStream(model), frames(60)
    assert torch.equal(streamed(module, rgb, [7, 50]), streamed(module, rgb, [7, 50], junk=255.0))


def test_forgets_what_is_out_of_sight(model: Student) -> None:
    """The states after a long stream are those after its last frames: nothing adds up, so nothing can drift."""
    module = StudentStream(model)
    assert model.lookback is not None
    n = model.lookback + module.lookahead + 1
    late = frames(n, seed=1)
    long = torch.cat([frames(600, seed=2) * 0.3 + 150, late])

    def states_after(rgb: Tensor) -> list[Tensor]:
        states = [torch.zeros(shape) for shape in module.states.values()]
        with torch.no_grad():
            for part in rgb.split(50):
                _, *states = module(part[None], torch.ones(len(part)), *states)
        return states

    for a, b in zip(states_after(long), states_after(late), strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_states_have_the_shapes_that_are_told(model: Student) -> None:
    module = StudentStream(model)
    states = [torch.zeros(shape) for shape in module.states.values()]
    with torch.no_grad():
        bvp, *after = module(frames(3)[None], torch.ones(3), *states)
    assert bvp.shape == (3,)
    assert [tuple(s.shape) for s in after] == list(module.states.values())
    assert module.lookahead == model.lookahead


def test_band_sums_windows() -> None:
    x = torch.randn(9, 2)
    expected = torch.stack([x[t : t + 4].sum(0) for t in range(6)])
    assert torch.allclose(band(torch.zeros(6, 1), 4) @ x, expected, atol=1e-6)
