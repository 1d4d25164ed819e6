"""Temperature scaling: one number that makes probabilities as sure as they are right (Guo et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.inference import finish_probabilities, temper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# By these metrics a probability is as good as it is near the truth; others ask for an order only.
CALIBRATED = ("log_loss", "brier")
# Beyond these the out-of-fold predictions are too few, or too far off, to be believed.
COOLEST, HOTTEST = 0.25, 4.0
# So many rows more are taken to have been seen of any class, of which there were none.
UNSEEN = 0.5
# One number needs no more cells than this, nor fewer rows.
MOST_CELLS, LEAST_ROWS = 400_000, 2_000
# A model on its own is left as it is unless it is far too cautious, as forests are where classes are
# many: the mean of fold models is more cautious than each of them, so less would be too much.
CAUTIOUS = 0.8
# These are least at the mean, which the exponential of a mean logarithm falls short of.
MEAN_METRICS = ("rmse", "r2")
LARGEST_FACTOR = 2.0
# By so many standard errors a factor has to differ from 1 before absolute errors are multiplied.
SURENESS = 1.0
# What the metric takes for the least that an error can be a share of.
LEAST_WHOLE = 1e-9


def fit_temperature(y: Array, probabilities: Array) -> float:
    """Find the temperature with the least log loss, as if half a row more had been seen of what never was.

    Where every row is right the least loss would be that of no doubt at all, and the first row that is wrong
    would cost more than the others together. So a small part of each label is dealt out to all classes, as
    Platt 1999 does with half of Jeffreys's prior.

    Parameters
    ----------
    y : array of int, shape (rows,)
        Class codes.
    probabilities : array of shape (rows, classes)
        Out-of-fold: those of rows that a model was fitted on are surer than they should be.

    Returns
    -------
    float
        Below 1 where the probabilities are too cautious, above 1 where they are too sure.
    """
    from scipy.optimize import minimize_scalar

    step = -(-len(y) // max(MOST_CELLS // probabilities.shape[1], LEAST_ROWS))
    truth, found = np.asarray(y)[::step], finish_probabilities(probabilities[::step])
    rows, doubt = np.arange(len(truth)), UNSEEN / (len(truth) + 2 * UNSEEN)

    def loss(log_temperature: float) -> float:
        logs = np.log(temper(found, float(np.exp(log_temperature))))
        return -float((1.0 - doubt) * logs[rows, truth].mean() + doubt * logs.mean())

    best = minimize_scalar(loss, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    # Where nothing is gained nothing is changed.
    return float(np.exp(best.x)) if best.fun < loss(0.0) else 1.0


def member_temperature(y: Array, probabilities: Array) -> float:
    """Find the temperature of one model before it is blended: 1 unless it is far too cautious."""
    found = fit_temperature(y, probabilities)
    return found if found < CAUTIOUS else 1.0


def number_factor(metric: str, y: Array, predicted: Array, *, is_log: bool) -> float:
    """Find by what predicted numbers are multiplied, so that their errors are least.

    Squared errors are least at the mean, which predictions learned as logarithms fall short of; errors as
    shares of the truth are least below the median; absolute ones are least at it, where most families predict
    a mean.

    Parameters
    ----------
    metric : str
        1 is the answer where it asks for the logarithm itself.
    y, predicted : array of shape (rows,)
        Out-of-fold predictions: those of rows that a model was fitted on are nearer than they should be.
    is_log : bool
        Whether logarithms were learned.
    """
    if metric == "mape":
        found = _share_factor(y, predicted)
    elif metric == "mae" and y.min() > 0.0:
        found = _absolute_factor(y, predicted)
    elif is_log and metric in MEAN_METRICS:
        found = float(y @ predicted / max(float(predicted @ predicted), np.finfo(float).tiny))
    else:
        return 1.0
    return min(max(found, 1.0 / LARGEST_FACTOR), LARGEST_FACTOR)


def _share_factor(y: Array, predicted: Array) -> float:
    """The factor of the least errors as shares: a weighted median of how far truths are from predictions."""
    # Of nothing there is no share, and nothing times anything stays.
    known = (y != 0) & (predicted != 0)
    if not known.any():
        return 1.0
    y, predicted = y[known], predicted[known]
    ratios = y / predicted
    order = np.argsort(ratios)
    weights = np.cumsum((np.abs(predicted) / np.maximum(np.abs(y), LEAST_WHOLE))[order])
    return float(ratios[order][np.searchsorted(weights, weights[-1] / 2)])


def _absolute_factor(y: Array, predicted: Array) -> float:
    """The factor of the least absolute errors, or what is nearest 1 of those that rows can't tell from it."""
    known = predicted != 0
    if not known.any():
        return 1.0
    ratios = y[known] / predicted[known]
    order = np.argsort(ratios)
    weights = np.abs(predicted[known])[order]
    # Of a weighted median, as a share of the weights.
    room = SURENESS * 0.5 * float(np.sqrt((weights**2).sum()) / weights.sum())
    shares = np.cumsum(weights) / weights.sum()
    sides = np.searchsorted(shares, [0.5 - room, 0.5 + room])
    low, high = ratios[order][np.minimum(sides, len(order) - 1)]
    return float(min(max(low, 1.0), high))
