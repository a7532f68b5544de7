"""Splits by person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdphys.data.splits import Split, all_splits, holdout, k_fold, leave_one_dataset_out
from kdphys.errors import DataError, InvalidInputError

people = st.lists(st.text("abc123", min_size=1, max_size=4), min_size=4, max_size=30, unique=True)


@given(people, st.integers(2, 4), st.integers(0, 9), st.sampled_from([0.0, 0.15, 0.5]))
def test_k_fold_tests_everybody_once_and_never_mixes(names: list[str], k: int, seed: int, val: float) -> None:
    folds = k_fold(names, k, seed, val)
    assert sorted(s for fold in folds for s in fold.test) == sorted(names)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert sorted([*fold.train, *fold.val, *fold.test]) == sorted(names)
        assert fold.train


@given(people, st.randoms())
def test_the_order_on_disk_and_doubles_do_not_matter(names: list[str], random: object) -> None:
    mixed = [*names, *names[:3]]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert k_fold(mixed, 3, 1) == k_fold(names, 3, 1)
    assert holdout(mixed, 1) == holdout(names, 1)


def test_the_seed_matters() -> None:
    names = [f"s{k}" for k in range(30)]
    assert k_fold(names, 5, 0) != k_fold(names, 5, 1)
    assert holdout(names, 0) != holdout(names, 1)


def test_splits_stay_the_same_over_versions() -> None:
    """Written down: results reported with a seed must stay reproducible."""
    assert holdout([f"s{k}" for k in range(1, 11)], seed=0).test == ("s4", "s6")


def test_leave_one_data_set_out() -> None:
    sets = {"a": ["a/1", "a/2"], "b": ["b/1"], "c": ["c/1", "c/2", "c/3"]}
    out = leave_one_dataset_out(sets)
    assert set(out) == set(sets)
    for name, split in out.items():
        assert set(split.test) == set(sets[name])
        assert not any(s.startswith(f"{name}/") for s in (*split.train, *split.val))
        assert len(split.train) + len(split.val) == 6 - len(sets[name])


def test_what_cannot_be_split() -> None:
    assert all_splits({"a": ["a/1"]}) == {"seed": 0, "folds": 5}
    assert len(all_splits({"a": ["a/1", "a/2", "a/3"]}, k=5)["k_fold"]) == 3
    for wrong in (1, 4):
        with pytest.raises(InvalidInputError, match="k must be 2"):
            k_fold(["x", "y", "z"], wrong)
    with pytest.raises(InvalidInputError, match="two persons"):
        holdout(["x"])
    with pytest.raises(InvalidInputError, match="two data sets"):
        leave_one_dataset_out({"a": ["a/1"]})
    with pytest.raises(DataError, match="more than one part: x"):
        Split(("x",), (), ("x", "y"))
