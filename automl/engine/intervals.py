"""How sure a value is: 95 % intervals of metrics on held-out predictions, and ties between two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.metrics import METRICS, Metric, brier_losses, confusion, log_losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

Z = 1.959964
RESAMPLES = 60
# Resampling more rows than this would cost seconds; the spread is scaled to the number of rows.
RESAMPLED_ROWS = 4_000


def interval(metric: Metric, y: Array, prediction: Array) -> tuple[float, float, float]:
    """A metric's value on held-out predictions with its 95 % interval.

    DeLong's variance for the area under the curve (DeLong, DeLong and Clarke-Pearson 1988), the
    normal law where the value is a mean over rows, a seeded bootstrap otherwise.

    Returns
    -------
    value, low, high : float
        In the metric's own unit.
    """
    value = metric.value(y, prediction)
    if len(y) < 2:
        return value, value, value
    losses = _losses(metric, y, prediction)
    if losses is not None:
        error = _error_of_mean(losses)
        if metric.name == "rmse":
            error = error / (2 * value) if value > 0 else 0.0
    else:
        error = _bootstrap_error(metric, y, prediction)
    least, most = metric.bounds
    return value, float(max(value - Z * error, least)), float(min(value + Z * error, most))


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much one model is better than another on the same rows, in the metric's unit.

    Attributes
    ----------
    gain : float
        Positive where the first one is better, whatever the metric's direction.
    error : float
        Its standard error, of a paired comparison.
    """

    gain: float
    error: float

    @property
    def low(self) -> float:
        return self.gain - Z * self.error

    @property
    def high(self) -> float:
        return self.gain + Z * self.error

    @property
    def is_tie(self) -> bool:
        """Whether it could be luck, at 95 %."""
        return abs(self.gain) <= Z * self.error

    @property
    def chance(self) -> float:
        """How often two equals would be so far apart."""
        if self.error <= 0:
            return float(self.gain == 0)
        return math.erfc(abs(self.gain) / self.error / math.sqrt(2))


def difference(metric: Metric, y: Array, one: Array, other: Array) -> Difference:
    """Compare two models on the same rows, row by row where the metric allows it."""
    a, b = _losses(metric, y, one), _losses(metric, y, other)
    if a is None or b is None:
        gap = metric.value(y, one) - metric.value(y, other)
        return Difference(metric.score_of(gap), _bootstrap_error(metric, y, one, other))
    gap, error = float((a - b).mean()), _error_of_mean(a - b)
    if metric.name == "rmse":
        # The losses are squares: their difference is that of the roots times the roots' sum.
        roots = max(float(np.sqrt(a.mean()) + np.sqrt(b.mean())), np.finfo(float).tiny)
        gap, error = gap / roots, error / roots
    return Difference(metric.score_of(gap), error)


def ties_of_many(differences: Sequence[Difference]) -> list[bool]:
    """Whether each of several differences could be luck, at 95 % for all of them together (Holm 1979)."""
    order = sorted(range(len(differences)), key=lambda place: differences[place].chance)
    tied = [True] * len(differences)
    for rank, place in enumerate(order):
        if differences[place].chance >= 0.05 / (len(differences) - rank):
            break
        tied[place] = False
    return tied


def is_tie(metric: Metric, y: Array, one: Array, other: Array) -> bool:
    """Whether two models' difference on the same rows could be luck (paired test at 95 %)."""
    return difference(metric, y, one, other).is_tie


def _error_of_mean(losses: Array) -> float:
    return float(losses.std(ddof=1) / np.sqrt(len(losses)))


def _losses(metric: Metric, y: Array, prediction: Array) -> Array | None:
    """Numbers, one a row, whose mean has the same spread as the metric; None where there are none."""
    if metric.name == "roc_auc":
        return _placements(y, prediction[:, 1])
    if metric.name == "log_loss":
        return log_losses(y, prediction)
    if metric.name == "brier":
        return brier_losses(y, prediction)
    if metric.name == "accuracy":
        return np.asarray(prediction.argmax(axis=1) == y, dtype=np.float64)
    if metric.name == "rmse":
        return np.asarray((prediction - y) ** 2)
    if metric.name == "mae":
        return np.asarray(np.abs(prediction - y))
    if metric.name == "mape":
        return np.asarray(np.abs(prediction - y) / np.maximum(np.abs(y), 1e-9))
    return None


def _placements(y: Array, p: Array) -> Array:
    """DeLong's structural components, weighted so that their plain mean has the area's variance.

    The area's variance is var(V10)/m + var(V01)/n over m positives and n negatives; a component
    scaled by N/m or N/n enters a mean over all N = m + n rows with just that weight.
    """
    from scipy.stats import rankdata

    positive = y == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return np.zeros(len(y))
    ranks = rankdata(p)
    components = np.empty(len(y))
    components[positive] = (ranks[positive] - rankdata(p[positive])) / n
    components[~positive] = 1.0 - (ranks[~positive] - rankdata(p[~positive])) / m
    area = components[positive].mean()
    scaled = np.empty(len(y))
    scaled[positive] = (components[positive] - area) * (len(y) / m)
    scaled[~positive] = (components[~positive] - area) * (len(y) / n)
    # Each half has mean 0; the area itself comes back in, so that differences of two models keep theirs.
    return np.asarray(scaled + area)


def _bootstrap_error(metric: Metric, y: Array, *predictions: Array) -> float:
    generator = np.random.default_rng(0)
    if metric.needs == "labels" and len(predictions) == 1:
        counts = confusion(y, predictions[0])
        draws = generator.multinomial(len(y), counts.ravel() / counts.sum(), size=RESAMPLES)
        return float(np.std([metric.value_of_counts(draw.reshape(counts.shape)) for draw in draws], ddof=1))
    rows = min(len(y), RESAMPLED_ROWS)
    values = []
    for _ in range(RESAMPLES):
        chosen = generator.integers(0, len(y), rows)
        found = [metric.value(y[chosen], prediction[chosen]) for prediction in predictions]
        values.append(found[0] - found[1] if len(found) == 2 else found[0])
    return float(np.nanstd(values, ddof=1) * np.sqrt(rows / len(y)))


def metrics_with_intervals(
    names: list[str], y: Array, prediction: Array, decided: Array | None = None
) -> dict[str, dict[str, float]]:
    """Every named metric's value and interval, as JSON; those of labels by what is `decided`, if given."""
    found = {}
    for name in names:
        judged = prediction if decided is None or METRICS[name].needs != "labels" else decided
        value, low, high = interval(METRICS[name], y, judged)
        if all(np.isfinite([value, low, high])):
            found[name] = {"value": value, "low": low, "high": high}
    return found
