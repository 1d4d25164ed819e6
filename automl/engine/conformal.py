"""Conformal prediction: intervals and sets that hold the truth as often as they say.

Calibrated on out-of-fold predictions, of which each is by models that never saw the row (Vovk, Gammerman and
Shafer 2005; least ambiguous sets by Sadinle, Lei and Wasserman 2019; bins by the prediction after Mondrian
conformal regressors, Boström and Johansson 2020). What the model says of new rows is the mean of those
models, and no worse: the coverage is what was asked for, or slightly more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import Uncertainty
from automl.engine.trial import TaskType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

LEVELS = (0.8, 0.9, 0.95, 0.99)
# Residuals are like their neighbours' in size: a bin of this many tells how large they are where it lies.
BIN_ROWS, MOST_BINS = 250, 12
# Under this many rows in a tail its quantile is one row's luck.
TAIL_ROWS = 3
DIGITS = 6
# 1 - 0.9 is a little less than 0.1: of 99 rows it would leave 9 where 10 are meant.
ROUNDING = 1e-9


def fit_conformal(task_type: TaskType, y: Array, predicted: Array, parts: Array) -> dict[str, Any]:
    """Calibrate intervals or sets, and check them on rows that they were not calibrated on.

    Parameters
    ----------
    task_type : TaskType
    y : array of shape (rows,)
        Class codes or numbers.
    predicted : array of shape (rows,) or (rows, classes)
        Out-of-fold, as the model predicts them: calibrated probabilities, or numbers.
    parts : array of int, shape (rows,)
        Each part in turn is judged by what the others calibrate: the folds.

    Returns
    -------
    dict
        What `conformal.json` holds: `kind` ("intervals" or "sets"), `rows`, and for each of `levels` the
        numbers that `automl.engine.inference.uncertainty.Uncertainty` reads, and `checked`.
    """
    calibrate = _intervals if task_type is TaskType.REGRESSION else _sets
    if len(np.unique(parts)) == 1:
        parts = np.arange(len(y)) % 5
    levels = []
    for level in LEVELS:
        found = calibrate(y, predicted, level)
        if found is not None:
            checked = _check(calibrate, y, predicted, parts, level)
            levels.append({"level": level, **found, "checked": checked})
    kind = "intervals" if task_type is TaskType.REGRESSION else "sets"
    return {"kind": kind, "rows": len(y), "levels": levels}


def checked(conformal: Mapping[str, Any]) -> dict[str, Any]:
    """Tell how often intervals or sets held the truth of rows that they were not calibrated on.

    Returns
    -------
    dict
        `kind`, and `levels`, each with `level` and, where there were rows enough, `rows` and
        `coverage`; of intervals `median_width`, and `narrow_width` and `wide_width`, which a tenth are
        below and above; of sets `mean_size`, and the shares `single` and `empty`.
    """
    levels = [{"level": entry["level"], **(entry["checked"] or {})} for entry in conformal["levels"]]
    return {"kind": conformal["kind"], "levels": levels}


def least_rows(kind: str, level: float) -> int:
    """How many rows a level takes, of intervals or of sets."""
    tail = (1.0 - level) / 2 if kind == "intervals" else 1.0 - level
    return int(np.ceil(TAIL_ROWS / tail - ROUNDING))


def _judge(uncertainty: Uncertainty, level: float, y: Array, predicted: Array) -> tuple[Array, Array]:
    """Whether each row's truth is held, and the width of its interval or the size of its set."""
    if uncertainty.kind == "intervals":
        bounds = uncertainty.intervals(predicted, level)
        return (bounds[:, 0] <= y) & (y <= bounds[:, 1]), bounds[:, 1] - bounds[:, 0]
    held = uncertainty.sets(predicted, level)
    return held[np.arange(len(y)), y], held.sum(axis=1)


def _summary(y: Array, held: Array, sizes: Array) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": len(y), "coverage": _short(held.mean())}
    if sizes.dtype.kind == "f":
        narrow, median, wide = np.quantile(sizes, (0.1, 0.5, 0.9))
        widths = {"median_width": median, "narrow_width": narrow, "wide_width": wide}
        return {**found, **{name: _short(width) for name, width in widths.items()}}
    shares = {"single": (sizes == 1).mean(), "empty": (sizes == 0).mean()}
    return {**found, "mean_size": _short(sizes.mean()), **{name: _short(of) for name, of in shares.items()}}


def _check(calibrate: Any, y: Array, predicted: Array, parts: Array, level: float) -> dict[str, Any] | None:
    """Judge each part by the others; None where what is left of them is too little."""
    held, sizes, rows = [], [], []
    for part in np.unique(parts):
        here = parts == part
        found = calibrate(y[~here], predicted[~here], level)
        if found is None:
            return None
        kind = "intervals" if predicted.ndim == 1 else "sets"
        own = Uncertainty({"kind": kind, "levels": [{"level": level, **found}]})
        judged = _judge(own, level, y[here], predicted[here])
        held.append(judged[0])
        sizes.append(judged[1])
        rows.append(y[here])
    return _summary(np.concatenate(rows), np.concatenate(held), np.concatenate(sizes))


def _intervals(y: Array, predicted: Array, level: float) -> dict[str, Any] | None:
    """How far below and above a prediction the truth lies, by how large the prediction is."""
    tail, least = (1.0 - level) / 2, least_rows("intervals", level)
    if len(y) < least:
        return None
    count = int(np.clip(len(y) // max(BIN_ROWS, least), 1, MOST_BINS))
    edges = np.unique(np.quantile(predicted, np.arange(1, count) / count))
    bins = np.searchsorted(edges, predicted, side="right")
    residuals = y - predicted
    bounds = [_tails(residuals[bins == number], tail, least) for number in range(len(edges) + 1)]
    # Many equal predictions leave a bin with few rows; those are told by all.
    pooled = _tails(residuals, tail, least) if None in bounds else None
    chosen = [bound if bound is not None else pooled for bound in bounds]
    return {
        "edges": [float(edge) for edge in edges],
        "below": [bound[0] for bound in chosen if bound is not None],
        "above": [bound[1] for bound in chosen if bound is not None],
        # What never was negative will not be.
        "floor": 0.0 if y.min() >= 0 else None,
    }


def _tails(residuals: Array, tail: float, least: int) -> tuple[float, float] | None:
    """The residuals that leave a share of `tail` beyond them on each side, of `least` at least."""
    rows = len(residuals)
    if rows < least:
        return None
    beyond = int((rows + 1) * tail + ROUNDING)
    order = np.partition(residuals, [beyond - 1, rows - beyond])
    return float(order[beyond - 1]), float(order[rows - beyond])


def _sets(y: Array, predicted: Array, level: float) -> dict[str, Any] | None:
    """The least probability that puts a class into the set.

    Of two classes each has its own, or the rare one would be left out of nearly every set; of more there
    is one for all, which keeps sets short.
    """
    own = predicted[np.arange(len(y)), y]
    classes = predicted.shape[1]
    least = least_rows("sets", level)
    groups: Sequence[Array] = [own[y == code] for code in range(classes)] if classes == 2 else [own]
    if min(len(group) for group in groups) < least:
        groups = [own]
    if len(groups[0]) < least:
        return None
    places = [int((len(group) + 1) * (1.0 - level) + ROUNDING) - 1 for group in groups]
    found = [float(np.partition(group, place)[place]) for group, place in zip(groups, places, strict=True)]
    return {"least": found if len(found) == classes else found * classes}


def _short(value: Any) -> float:
    return float(f"{float(value):.{DIGITS}g}")
