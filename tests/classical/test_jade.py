"""JADE against mixtures whose sources are known."""

from __future__ import annotations

import numpy as np
import pytest

from kdphys.classical.jade import jade


@pytest.mark.parametrize("seed", range(5))
def test_separates_independent_sources(seed):
    rng = np.random.default_rng(seed)
    t = np.arange(6000) / 30
    sources = np.stack([np.sin(2 * np.pi * 1.13 * t), rng.laplace(size=t.size), np.sign(np.sin(2 * np.pi * 0.31 * t))])
    found = jade(rng.standard_normal((3, 3)) @ sources + rng.standard_normal((3, 1)))
    match = np.abs(np.corrcoef(sources, found)[:3, 3:])
    assert sorted(match.argmax(axis=1)) == [0, 1, 2]
    assert match.max(axis=1).min() > 0.99
    np.testing.assert_allclose(found @ found.T / t.size, np.eye(3), atol=1e-9)


def test_copies_of_one_source_are_one_source():
    source = np.random.default_rng(0).laplace(size=500)
    found = jade(np.stack([source, 2 * source, -source]))
    assert found.shape == (1, 500)
    assert abs(np.corrcoef(found[0], source)[0, 1]) == pytest.approx(1)


def test_nothing_has_no_source():
    assert jade(np.ones((3, 100))).shape == (0, 100)
