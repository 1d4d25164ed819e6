"""Greedy ensembles over out-of-fold predictions (Caruana, Niculescu-Mizil, Crew and Ksikes 2004).

The score on the board is not that of the weights on the rows they were chosen by: weights are
chosen on part of the rows and judged on the others, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.calibration import CALIBRATED, fit_temperature
from automl.engine.inference import finish_probabilities, temper
from automl.engine.metrics import LEAST_PROBABILITY, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROUNDS = 12
PATIENCE = 6
# Choosing weights needs no more rows than this; scores are taken on all of them.
CHOOSING_ROWS = 20_000
MOST_CELLS = 60_000_000
# Each member costs time and space at every prediction; and the package has to be written before the
# budget's end.
MOST_MEMBERS = 8
MOST_BYTES = 128 << 20
LEAST_WEIGHT = 0.04
JUDGES = 5


@dataclass(frozen=True, slots=True)
class Blend:
    """An ensemble.

    Attributes
    ----------
    weights : tuple of float
        One for each candidate, most of them 0; they sum to 1.
    prediction : array
        Out-of-fold predictions of the weights chosen on all rows.
    honest : array
        Predictions in which each row's weights, and temperature, were chosen without it.
    honest_best : array
        Predictions of the one best candidate, likewise chosen without the row: the best of many looks
        better on the rows it was chosen by than it is.
    """

    weights: tuple[float, ...]
    prediction: Array
    honest: Array
    honest_best: Array


def blend(
    metric: Metric,
    y: Array,
    candidates: Sequence[Array],
    *,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
) -> Blend:
    """Choose weights for candidates, and predict every row with weights chosen without it.

    Parameters
    ----------
    metric : Metric
    y : array of shape (rows,)
    candidates : sequence of arrays
        Out-of-fold predictions, best candidate first.
    sizes : sequence of int or None
        Bytes of each candidate's models; the members together take at most `MOST_BYTES`.
    seed : int
    """
    # Probabilities need no more than 24 bits; a target's unit may.
    kind = np.float32 if metric.needs != "numbers" else np.float64
    stack = np.stack([np.asarray(candidate, dtype=kind) for candidate in candidates])
    generator = np.random.default_rng([seed, 0xB1E4D])
    judge = _deal(y, generator)
    loss = fast_loss(metric)
    room = np.zeros(len(stack)) if sizes is None else np.asarray(sizes, dtype=np.float64)
    honest, honest_best = np.empty_like(stack[0]), np.empty_like(stack[0])
    for part in range(JUDGES):
        chosen = _sample(np.flatnonzero(judge != part), generator)
        weights = _trim(_greedy(loss, y[chosen], stack[:, chosen], room))
        held = np.flatnonzero(judge == part)
        best = int(np.argmin([loss(y[chosen], candidate[chosen]) for candidate in stack]))
        for judged, own in ((honest, weights), (honest_best, np.eye(len(stack), dtype=kind)[best])):
            judged[held] = _calibrated(metric, y, np.tensordot(own, stack, axes=1), chosen)[held]
    rows = _sample(np.arange(len(y)), generator)
    weights = _trim(_greedy(loss, y[rows], stack[:, rows], room))
    prediction = np.tensordot(weights, stack, axes=1)
    return Blend(tuple(float(weight) for weight in weights), prediction, honest, honest_best)


def _calibrated(metric: Metric, y: Array, prediction: Array, rows: Array) -> Array:
    """Scale probabilities by a temperature found on some rows, as packaging will, where a metric minds."""
    if metric.name not in CALIBRATED:
        return prediction
    temperature = fit_temperature(y[rows], prediction[rows])
    return temper(finish_probabilities(prediction), temperature)


def _deal(y: Array, generator: np.random.Generator) -> Array:
    """Divide rows among the judges, in the order of y, so that each has its share of every class."""
    judge = np.empty(len(y), dtype=np.int8)
    order = np.argsort(y + generator.random(len(y)) * 1e-9, kind="stable")
    judge[order] = np.arange(len(y)) % JUDGES
    return judge


def _sample(rows: Array, generator: np.random.Generator) -> Array:
    if len(rows) <= CHOOSING_ROWS:
        return rows
    return np.sort(generator.choice(rows, CHOOSING_ROWS, replace=False))


def _greedy(loss: Callable[[Array, Array], float], y: Array, stack: Array, sizes: Array) -> Array:
    """Add, again and again, the candidate that helps most; with replacement, from the best one on."""
    if stack.size > MOST_CELLS:
        step = -(-stack.size // MOST_CELLS)
        y, stack = y[::step], stack[:, ::step]
    counts = np.zeros(len(stack))
    total = np.zeros_like(stack[0])
    best, best_counts, since = np.inf, counts.copy(), 0
    for size in range(1, ROUNDS + 1):
        open_ = np.flatnonzero(_may_join(counts, sizes))
        losses = [loss(y, (total + stack[index]) / size) for index in open_]
        least = int(np.argmin(losses))
        total += stack[open_[least]]
        counts[open_[least]] += 1
        if losses[least] < best * (1 - 1e-6) if best > 0 else losses[least] < best - 1e-9:
            best, best_counts, since = losses[least], counts.copy(), 0
        else:
            since += 1
            if since >= PATIENCE:
                break
    return np.asarray(best_counts / best_counts.sum())


def _may_join(counts: Array, sizes: Array) -> Array:
    """Tell which candidates are members already, or may still become one."""
    members = counts > 0
    if not members.any():
        return np.ones(len(counts), dtype=bool)
    if members.sum() == MOST_MEMBERS:
        return np.asarray(members)
    return np.asarray(members | (sizes <= MOST_BYTES - sizes[members].sum()))


def _trim(weights: Array) -> Array:
    """Drop the members that hardly count."""
    kept = np.where(weights >= min(LEAST_WEIGHT, float(weights.max())), weights, 0.0)
    return np.asarray(kept / kept.sum())


def fast_loss(metric: Metric) -> Callable[[Array, Array], float]:
    """The metric as a loss, quick enough to be asked a thousand times."""
    quick: dict[str, Callable[[Array, Array], float]] = {
        "roc_auc": _auc_loss,
        "log_loss": _log_loss,
        "rmse": lambda y, p: float(np.sqrt(np.mean((p - y) ** 2))),
        "mae": lambda y, p: float(np.mean(np.abs(p - y))),
    }
    return quick.get(metric.name, lambda y, p: -metric.score(y, np.asarray(p, dtype=np.float64)))


def _auc_loss(y: Array, p: Array) -> float:
    order = np.argsort(p[:, 1])
    ranks = np.empty(len(y))
    ranks[order] = np.arange(1, len(y) + 1)
    positive = y == 1
    m = int(positive.sum())
    n = len(y) - m
    return float(1.0 - (ranks[positive].sum() - m * (m + 1) / 2) / max(m * n, 1))


def _log_loss(y: Array, p: Array) -> float:
    # Members' rows sum to 1, so their mean's do.
    chance = np.maximum(p[np.arange(len(y)), y], LEAST_PROBABILITY)
    return float(-np.log(chance).mean())
