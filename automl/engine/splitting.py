"""Which rows judge which fit: every row is validated once a repeat, by a model that never saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.trial import TaskType

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALWAYS_TRAINING = -1
# The fewer rows, the more a model gains from each of them, and the cheaper the fits are: docs/decisions/020.
TINY_ROWS, SMALL_ROWS, LARGE_ROWS = 600, 2_000, 100_000
USUAL_FOLDS, MORE_FOLDS, MOST_FOLDS = 5, 8, 10
# A search that has a second for so many rows has the time for more folds too: docs/decisions/022.
ROWS_A_SECOND = 150
# Large tables that fill so much of what there is time for have two folds, or three: docs/decisions/039.
FULL, FILLED = 0.5, 0.1


def fold_plan(
    rows: int, rarest: int | None = None, seconds: float | None = None, *, filled: float = 0.0
) -> tuple[int, int]:
    """How many folds and repeats a table of so many rows gets.

    Parameters
    ----------
    rows : int
    rarest : int or None
        Rows of the rarest class that counts: a fold without a class can't judge by it.
    seconds : float or None
        The budget of the search, if that is in time.
    filled : float
        How much of what there is time to learn from the table holds, see `automl.engine.drawing.fill`.

    Returns
    -------
    folds, repeats : int
        Two or three folds on tables that are large for the time, as wide ones of some thousand rows are too;
        eight and ten on small ones, and where there is time. Rows are dealt once; experiments of older
        versions have two repeats.
    """
    folds = USUAL_FOLDS
    if rows >= LARGE_ROWS and (seconds is None or filled > FILLED):
        folds = 2 if filled > FULL else 3
    elif rows >= SMALL_ROWS and filled > FULL:
        folds = 3
    elif rows < TINY_ROWS:
        folds = MOST_FOLDS
    elif rows < max(SMALL_ROWS, ROWS_A_SECOND * (seconds or 0.0)):
        folds = MORE_FOLDS
    return (folds if rarest is None else min(folds, max(USUAL_FOLDS, rarest))), 1


def make_folds(
    y: NDArray[Any], task_type: TaskType, *, seed: int, folds: int = 5, repeats: int = 1
) -> NDArray[np.int8]:
    """Deal rows to folds; classes evenly, so that each is in every training part.

    Parameters
    ----------
    y : array of shape (rows,)
        Class codes or numbers.
    task_type : TaskType
    seed, folds, repeats : int

    Returns
    -------
    array of int8, shape (repeats, rows)
        The fold that validates the row; -1 for the only member of its class, which can only train.
    """
    generator = np.random.default_rng([seed, 0xF01D])
    result = np.empty((repeats, len(y)), dtype=np.int8)
    for repeat in range(repeats):
        if task_type.is_classification:
            result[repeat] = _by_class(y, folds, generator)
        else:
            result[repeat] = _by_rank(y, folds, generator)
    return result


def _by_class(y: NDArray[Any], folds: int, generator: np.random.Generator) -> NDArray[np.int8]:
    result = np.empty(len(y), dtype=np.int8)
    start = 0
    for code in np.unique(y):
        members = generator.permutation(np.flatnonzero(y == code))
        if len(members) == 1:
            result[members] = ALWAYS_TRAINING
            continue
        # Each class goes on dealing where the last one stopped, so that the folds stay equally large.
        result[members] = (start + np.arange(len(members))) % folds
        start = (start + len(members)) % folds
    return result


def _by_rank(y: NDArray[Any], folds: int, generator: np.random.Generator) -> NDArray[np.int8]:
    """Neighbours in value go to different folds: each fold has its share of the extremes."""
    order = np.argsort(y + 0.0, kind="stable")
    result = np.empty(len(y), dtype=np.int8)
    for begin in range(0, len(y), folds):
        block = order[begin : begin + folds]
        result[block] = generator.permutation(folds)[: len(block)]
    return result
