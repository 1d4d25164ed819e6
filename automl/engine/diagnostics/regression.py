"""Diagnostics of predicted numbers: against the true ones, and how the errors lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.figures import short, shorts, spread_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

SAMPLE = 500
GROUPS = 10
BARS = 30
# A target more skewed than this lies in a corner of a linear plot.
SKEWED = 1.5


def regression(y: Array, predicted: Array, *, skew: float = 0.0) -> dict[str, Any]:
    """Everything about predicted numbers, as JSON; a residual is what was predicted less what was true.

    Parameters
    ----------
    y, predicted : array of shape (rows,)
        Out-of-fold.
    skew : float
        Of a positive target; a strongly skewed one is to be drawn on logarithmic axes.
    """
    chosen = spread_out(y, SAMPLE)
    return {
        "log": bool(skew > SKEWED and y.min() > 0 and predicted.min() > 0),
        "sample": [(short(a), short(b)) for a, b in zip(y[chosen], predicted[chosen], strict=True)],
        "residuals": histogram(predicted - y),
        "by_predicted": groups(y, predicted),
        "bias": short((predicted - y).mean()),
        "median_error": short(np.median(np.abs(predicted - y))),
        "correlation": short(_correlation(y, predicted)),
    }


def groups(y: Array, predicted: Array) -> list[dict[str, Any]]:
    """Ten groups of rows from the lowest to the highest prediction: what is to be expected of each."""
    found = []
    for part in np.array_split(np.argsort(predicted, kind="stable"), min(GROUPS, len(y))):
        error = predicted[part] - y[part]
        low, middle, high = np.quantile(error, [0.1, 0.5, 0.9])
        found.append(
            {
                "from": short(predicted[part[0]]),
                "to": short(predicted[part[-1]]),
                "rows": len(part),
                "predicted": short(predicted[part].mean()),
                "actual": short(y[part].mean()),
                "mean_absolute_error": short(np.abs(error).mean()),
                "rmse": short(np.sqrt((error**2).mean())),
                "bias": short(error.mean()),
                "low": short(low),
                "median": short(middle),
                "high": short(high),
            }
        )
    return found


def histogram(residuals: Array) -> dict[str, Any]:
    """Residuals by bars; the outer ones hold what lies beyond the 1st and the 99th percentile too."""
    low, high = np.quantile(residuals, [0.01, 0.99])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(residuals, low, high), bins=BARS, range=(low, high))
    return {"edges": shorts(edges), "counts": counts.tolist()}


def _correlation(y: Array, predicted: Array) -> float:
    if np.std(y) == 0 or np.std(predicted) == 0:
        return 0.0
    return float(np.corrcoef(y, predicted)[0, 1])
