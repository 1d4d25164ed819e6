"""What a card tells in figures: from out-of-fold predictions and the fold models, within a second or two."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.classification import calibration, confusion_matrix
from automl.engine.diagnostics.figures import spread_out
from automl.engine.diagnostics.influence import Column, columns_of
from automl.engine.diagnostics.outoffold import OutOfFold
from automl.engine.diagnostics.regression import regression
from automl.engine.inference import Model
from automl.engine.intervals import difference
from automl.engine.metrics import METRICS, Metric
from automl.engine.preparation import Prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# More rows would not move a figure that anyone reads, and fewer keep packaging quick.
MOST_ROWS, MOST_CELLS, IMPORTANCE_ROWS = 100_000, 4_000_000, 1_000
IMPORTANCE_SECONDS, LONGEST_SECONDS = 0.4, 1.5
LEAST_ROWS, TOGETHER = 100, 16


@dataclass(frozen=True, slots=True)
class Worth:
    """By how much the metric gets worse without a column, and the standard error of that."""

    column: str
    loss: float
    error: float


@dataclass(frozen=True, slots=True)
class Importance:
    """What columns are worth, most important first, on how many rows; and how many were not measured."""

    columns: Sequence[Worth]
    rows: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """How right a model is on rows that it did not see.

    Attributes
    ----------
    rows : int
        That were judged.
    constant : float or None
        The metric's value of the best answer that looks at no column.
    importance : Importance
    confusion, calibration, regression : mapping or None
        Of the diagnostics; the first two for classes.
    accuracy, commonest : float or None
        The share of rows that get the right class, and that always naming the commonest class would get.
    """

    rows: int
    constant: float | None
    importance: Importance
    confusion: Mapping[str, Any] | None = None
    calibration: Mapping[str, Any] | None = None
    regression: Mapping[str, Any] | None = None
    accuracy: float | None = None
    commonest: float | None = None


def gather(
    prepared: Prepared,
    model: Model,
    metric: str,
    y: Array,
    predicted: Array,
    called: Array,
) -> Evidence:
    """Compute what the card shows.

    Parameters
    ----------
    model : Model
        As it is packaged.
    y, predicted, called : array
        Of the judged rows; the predictions as the packaged model makes them, and what labels are decided by.
    """
    judged, rows = METRICS[metric], len(y)
    most = min(MOST_ROWS, MOST_CELLS // max(prepared.profile.classes, 1))
    if rows > most:
        kept = np.sort(spread_out(y, most))
        y, predicted, called = y[kept], predicted[kept], called[kept]
    found: dict[str, Any] = {
        "constant": constant_value(judged, y, prepared.profile.classes),
        "importance": _importance(prepared, model, judged),
    }
    if prepared.classes:
        counts = np.bincount(y, minlength=len(prepared.classes))
        found |= {
            "confusion": confusion_matrix(y, called, prepared.classes),
            "calibration": calibration(y, predicted),
            "accuracy": float((called.argmax(axis=1) == y).mean()),
            "commonest": float(counts.max() / max(counts.sum(), 1)),
        }
    else:
        found["regression"] = regression(y, predicted, skew=prepared.profile.skew)
    return Evidence(rows=rows, **found)


def constant_value(metric: Metric, y: Array, classes: int) -> float | None:
    """Answer the same for every row, shares of classes or the middle that suits the metric; its value."""
    if classes:
        shares = np.bincount(y, minlength=classes) / len(y)
        value = metric.value(y, np.tile(shares, (len(y), 1)))
    else:
        median = metric.name in ("mae", "median_absolute_error", "mape")
        middle = float(np.median(y) if median else np.mean(y))
        if metric.name == "rmsle":
            middle = float(np.expm1(np.log1p(np.clip(y, 0, None)).mean()))
        value = metric.value(y, np.full(len(y), middle))
    return float(value) if np.isfinite(value) else None


def _importance(prepared: Prepared, whole: Model, metric: Metric) -> Importance:
    """As the diagnostics do it, but with several columns in one prediction: small ones cost the most."""
    judged = np.flatnonzero((np.asarray(prepared.folds) >= 0).all(axis=0))
    y = np.asarray(prepared.y)[judged]
    columns = columns_of(whole.encoder.schema)
    began = time.monotonic()
    rows_seen = judged[np.sort(spread_out(y, IMPORTANCE_ROWS))]
    model = OutOfFold(prepared, whole.members, rows_seen, whole.temperature, whole.label_factors)
    base = model.judged(model.X)
    row = max(time.monotonic() - began, 1e-6) / len(model.y)
    rows = int(np.clip(IMPORTANCE_SECONDS / row / max(len(columns), 1), LEAST_ROWS, len(model.y)))
    kept = np.sort(spread_out(model.y, rows))
    model, base = model.subset(kept), base[kept]
    generator = np.random.default_rng(0)
    found: list[Worth] = []
    together = int(np.clip(MOST_CELLS // max(model.X.size, 1), 1, TOGETHER))
    for start in range(0, len(columns), together):
        if time.monotonic() - began > LONGEST_SECONDS:
            break
        found += _worths(model, base, metric, columns[start : start + together], generator)
    # Where a class is too rare for the sample some metrics have no value.
    found = sorted(
        (each for each in found if np.isfinite(each.loss + each.error)), key=lambda each: -each.loss
    )
    return Importance(found, rows=len(kept), left_out=len(columns) - len(found))


def _worths(
    model: OutOfFold, base: Array, metric: Metric, columns: Sequence[Column], generator: np.random.Generator
) -> list[Worth]:
    rows = len(model.y)
    X = np.tile(model.X, (len(columns), 1))
    for place, column in enumerate(columns):
        order, positions = generator.permutation(rows), np.asarray(column.positions)
        X[place * rows : (place + 1) * rows, positions] = model.X[np.ix_(order, positions)]
    predicted = model.judged(X)
    parts = predicted.reshape(len(columns), rows, *predicted.shape[1:])
    found = []
    for column, part in zip(columns, parts, strict=True):
        gap = difference(metric, model.y, base, part)
        found.append(Worth(column.name, gap.gain, gap.error))
    return found
