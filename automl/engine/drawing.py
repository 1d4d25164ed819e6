"""Which rows of a large table a short search learns from: so many as there is time for, drawn evenly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.trial import TaskType

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A search that has a second for so many cells has the time for a few models of all of them; of fewer rows
# than these it need not draw: docs/decisions/039.
CELLS_A_SECOND = 150_000
LEAST_DRAWN = 20_000
# Folds can share so many rows of a class; of one that is rarer still all are drawn.
LEAST_OF_A_CLASS = 5


def fill(rows: int, columns: int, classes: int, seconds: float | None) -> float:
    """How much of what there is time to learn from a table holds; 0 where time is not what ends the search.

    Parameters
    ----------
    rows, columns : int
        Of the table; the target does not count.
    classes : int
        0 where numbers are predicted. Of more than two each is learned by itself.
    seconds : float or None
        The budget of the search, if that is in time.
    """
    if seconds is None:
        return 0.0
    return rows * columns * math.sqrt(max(classes - 1, 1)) / (CELLS_A_SECOND * seconds)


def rows_in_time(rows: int, filled: float) -> int:
    """How many rows of a table are learned from, see `fill`: all, if they are few or fit."""
    return rows if filled <= 1.0 else min(rows, max(int(rows / filled), LEAST_DRAWN))


def draw_rows(y: NDArray[Any], task_type: TaskType, *, count: int, seed: int) -> NDArray[np.int64]:
    """Draw rows evenly, of every class its share.

    Parameters
    ----------
    y : array of shape (rows,)
        Class codes or numbers.
    task_type : TaskType
    count : int
        About how many: of every class its share is rounded, and of rare ones more are drawn.
    seed : int

    Returns
    -------
    array of int64, shape (about `count`,)
        Places, in order.
    """
    generator = np.random.default_rng([seed, 0xD12A])
    order = generator.permutation(len(y))
    if not task_type.is_classification:
        return np.sort(order[:count])
    order = order[np.argsort(y[order], kind="stable")]
    members = np.bincount(y)
    most = np.maximum(np.round(members * count / len(y)), LEAST_OF_A_CLASS)
    rank = np.arange(len(y)) - np.repeat(np.cumsum(members) - members, members)
    return np.sort(order[rank < np.repeat(most, members)])
