"""Who is trained on and who is tested: by person, seeded, the same on every machine.

A person is in one part of a split only. Names are sorted before they are shuffled, so that the order on disk does not
matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdphys.data.recording import natural
from kdphys.errors import DataError, InvalidInputError


@dataclass(frozen=True)
class Split:
    """Persons by part, sorted.

    Args:
        train, val, test: identifiers "data set/person".

    Raises:
        DataError: a person is in two parts.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("train", "val", "test"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name), key=natural)))
        everybody = [*self.train, *self.val, *self.test]
        if len(set(everybody)) < len(everybody):
            twice = sorted({s for s in everybody if everybody.count(s) > 1})
            raise DataError(f"split: in more than one part: {', '.join(twice[:5])}")

    def to_json(self) -> dict[str, list[str]]:
        """Plain lists, as ``kdphys evaluate --split`` takes them."""
        return {name: list(part) for name, part in asdict(self).items()}


def shuffled(subjects: Iterable[str], seed: int) -> list[str]:
    """The persons once each, in an order that depends on their names and the seed alone."""
    names = sorted(set(subjects))
    return [names[k] for k in np.random.default_rng(seed).permutation(len(names))]


def k_fold(subjects: Iterable[str], k: int = 5, seed: int = 0, val_share: float = 0.15) -> list[Split]:
    """Each person is tested once.

    Args:
        subjects: identifiers.
        k: number of folds, 2 to the number of persons; as many as persons is leave-one-out.
        seed: of the shuffling.
        val_share: share of the persons not tested that validate; 0 for none.

    Raises:
        InvalidInputError: ``k`` or ``val_share`` is out of range.
    """
    names = shuffled(subjects, seed)
    if not 2 <= k <= len(names):
        raise InvalidInputError(f"k-fold: k must be 2 to the number of persons, {len(names)}; got {k}")
    folds = [names[fold::k] for fold in range(k)]
    out = []
    for fold, test in enumerate(folds):
        rest = [name for other in range(k) if other != fold for name in folds[other]]
        out.append(_with_validation(rest, test, seed + 1 + fold, val_share))
    return out


def holdout(subjects: Iterable[str], seed: int = 0, test_share: float = 0.2, val_share: float = 0.15) -> Split:
    """One split; ``test_share`` of the persons (at least one) are tested, ``val_share`` of the others validate.

    Raises:
        InvalidInputError: a share is out of range, or there are fewer than two persons.
    """
    names = shuffled(subjects, seed)
    if len(names) < 2 or not 0 < test_share < 1:
        raise InvalidInputError(
            f"holdout: expected two persons or more and a share in (0, 1), got {len(names)} persons"
        )
    n = min(max(round(test_share * len(names)), 1), len(names) - 1)
    return _with_validation(names[n:], names[:n], seed + 1, val_share)


def leave_one_dataset_out(
    subjects: Mapping[str, Sequence[str]], seed: int = 0, val_share: float = 0.15
) -> dict[str, Split]:
    """For each data set: tested on it, trained on the others.

    Args:
        subjects: identifiers by data set.
        seed: of the choice of who validates.
        val_share: share of the others' persons.

    Raises:
        InvalidInputError: fewer than two data sets.
    """
    if len(subjects) < 2:
        raise InvalidInputError(f"leave one data set out: expected two data sets or more, got {len(subjects)}")
    out = {}
    for fold, name in enumerate(sorted(subjects)):
        rest = shuffled((s for other in subjects if other != name for s in subjects[other]), seed)
        out[name] = _with_validation(rest, sorted(set(subjects[name])), seed + 1 + fold, val_share)
    return out


def all_splits(subjects: Mapping[str, Sequence[str]], k: int = 5, seed: int = 0) -> dict[str, Any]:
    """The splits that a manifest stores, as plain values; without those that too few persons or sets are there for.

    Args:
        subjects: identifiers by data set.
        k: folds; as many as persons where there are fewer.
        seed: of all of them.
    """
    everybody = sorted({s for names in subjects.values() for s in names})
    out: dict[str, Any] = {"seed": seed, "folds": k}
    if len(everybody) >= 2:
        folds = k_fold(everybody, min(k, len(everybody)), seed)
        out["k_fold"] = [fold.to_json() for fold in folds]
        out["holdout"] = holdout(everybody, seed).to_json()
    if len(subjects) >= 2:
        out["leave_one_dataset_out"] = {
            name: split.to_json() for name, split in leave_one_dataset_out(subjects, seed).items()
        }
    return out


def _with_validation(rest: Sequence[str], test: Sequence[str], seed: int, val_share: float) -> Split:
    if not 0 <= val_share < 1:
        raise InvalidInputError(f"val_share must be in [0, 1), got {val_share}")
    names = shuffled(rest, seed)
    # One at least, if a share is asked for and anybody is left to train on.
    n = min(max(round(val_share * len(names)), int(val_share > 0)), max(len(names) - 1, 0))
    return Split(tuple(names[n:]), tuple(names[:n]), tuple(test))
