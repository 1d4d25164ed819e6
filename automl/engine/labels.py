"""Which class a row is called: the one whose probability, times a factor of the class, is largest.

Of a class that few rows are of hardly a row is likelier than not: by the likeliest class alone, models that
rank rows well and badly are the same to a metric that judges labels. What a factor of a class does to its
precision and recall is read from out-of-fold probabilities, which stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.engine.diagnostics.figures import spread_out
from automl.engine.metrics import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# Factors for a row are found on the other parts of the rows.
PARTS = 5
# Between so many thresholds nothing is to be gained. Of the draws of rows some at either end are left out.
MOST_CUTS, DRAWS, LEFT_OUT = 256, 40, 4
# Shares of classes to these powers are tried as factors, then more or less of each class.
POWERS = (0.25, 0.5, 0.75, 1.0)
STEPS = (0.5, 0.7, 1.4, 2.0)
# A class of fewer rows has no say in its own factor; nor does a gain that some few rows of it bring.
LEAST_MEMBERS, GAINED_ROWS = 20, 6
MOST_CELLS = 200_000
LEAST_PROBABILITY = 1e-12


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def _f1(tp: Array, fp: Array, positives: Any, negatives: Any) -> Array:
    return _share(2.0 * tp, tp + fp + positives)


def _f1_macro(tp: Array, fp: Array, positives: Any, negatives: Any) -> Array:
    others = _f1(negatives - fp, positives - tp, negatives, positives)
    return (_f1(tp, fp, positives, negatives) + others) / 2.0


def _balanced_accuracy(tp: Array, fp: Array, positives: Any, negatives: Any) -> Array:
    return np.asarray((tp / positives + (negatives - fp) / negatives) / 2.0)


def _mcc(tp: Array, fp: Array, positives: Any, negatives: Any) -> Array:
    called = tp + fp
    spread = 1.0 * called * (positives + negatives - called) * positives * negatives
    return _share(tp * negatives - 1.0 * fp * positives, np.sqrt(spread))


# The metrics by which labels are decided; of two classes from true and false positives, and how many rows
# there are of either. Others judge what is called likeliest, or the share of one class alone.
OF_TWO: dict[str, Callable[[Array, Array, Any, Any], Array]] = {
    "f1": _f1,
    "f1_macro": _f1_macro,
    "balanced_accuracy": _balanced_accuracy,
    "mcc": _mcc,
}


def is_decided(metric: Metric, family: str) -> bool:
    """Whether labels of a family's models are decided by a metric: the baseline tells no rows apart."""
    return metric.name in OF_TWO and family != "dummy"


def label_factors(metric: Metric, y: Array, probabilities: Array) -> Array:
    """Find what probabilities are multiplied by, so that the largest product is the best label.

    Parameters
    ----------
    metric : Metric
        One of those that labels are decided by.
    y : array of int, shape (rows,)
        Class codes.
    probabilities : array of shape (rows, classes)
        Out-of-fold.

    Returns
    -------
    array of shape (classes,)
        The first is 1 of two classes; that of the commonest class is, of more. Ones where nothing is gained.
    """
    # As they are stored: of what is read again the same is found.
    p = np.asarray(probabilities, dtype=np.float32).astype(np.float64)
    y = np.asarray(y)
    if len(np.unique(y)) < 2:
        return np.ones(p.shape[1])
    found = np.array([1.0, _of_two(metric, y, p)]) if p.shape[1] == 2 else _of_many(metric, y, p)
    return np.array([float(f"{factor:.6g}") for factor in found])


def factors_of_others(metric: Metric, y: Array, probabilities: Array) -> Array:
    """Factors for each part of the rows, found without it; an array of shape (parts, classes)."""
    part = part_of(y)
    return np.array(
        [label_factors(metric, y[part != one], probabilities[part != one]) for one in range(PARTS)]
    )


def part_of(y: Array) -> Array:
    """The part that each row is of; each has its share of every class."""
    part = np.empty(len(y), dtype=np.int8)
    part[np.argsort(y, kind="stable")] = np.arange(len(y)) % PARTS
    return part


def decided(metric: Metric, y: Array, probabilities: Array) -> Array:
    """Probabilities times the factors of their rows' parts: what labels are judged by.

    They are of use for labels only, and are what they were where a metric does not decide labels.
    """
    if metric.name not in OF_TWO or len(y) < 2:
        return probabilities
    return np.asarray(probabilities * factors_of_others(metric, y, probabilities)[part_of(y)])


def best_of_two(metric: Metric, y: Array, is_positive: Array) -> Array:
    """The best value that a threshold brings, for rows in the order of their probabilities, highest first.

    Parameters
    ----------
    is_positive : array of bool, shape (candidates, rows)
        Whether the rows are of the second class, in each candidate's order.
    """
    positives = int((y == 1).sum())
    if not 0 < positives < len(y):
        return np.zeros(len(is_positive))
    tp = np.cumsum(is_positive, axis=1)
    fp = np.arange(1, len(y) + 1) - tp
    return np.asarray(OF_TWO[metric.name](tp, fp, positives, len(y) - positives).max(axis=1))


def _of_two(metric: Metric, y: Array, p: Array) -> float:
    """The factor of the second class: its threshold is the mean of those that are best for draws of the rows.

    A row more or less moves the best threshold of few rows far, and their mean hardly (Breiman 1996).
    """
    odds = np.log(np.maximum(p[:, 1], LEAST_PROBABILITY)) - np.log(np.maximum(p[:, 0], LEAST_PROBABILITY))
    order = np.argsort(-odds, kind="stable")
    odds, hits = odds[order], (y == 1)[order]
    last = np.flatnonzero(np.diff(odds))
    if not len(last):
        return 1.0
    tp, fp = np.cumsum(hits)[last], np.cumsum(~hits)[last]
    positives, negatives = int(hits.sum()), int((~hits).sum())
    if len(last) > MOST_CUTS:
        # As near to each other in either class.
        reached = tp / positives + fp / negatives
        kept = np.unique(np.searchsorted(reached, np.linspace(reached[0], reached[-1], MOST_CUTS)))
        last, tp, fp = last[kept], tp[kept], fp[kept]
    generator = np.random.default_rng(0)

    def drawn(counts: Array, whole: int) -> tuple[Array, Array]:
        steps = generator.poisson(np.diff(counts, prepend=0, append=whole), (DRAWS, len(counts) + 1))
        reached = np.cumsum(steps, axis=1)
        return reached[:, :-1], np.maximum(reached[:, -1:], 1)

    tp, positives_drawn = drawn(tp, positives)
    fp, negatives_drawn = drawn(fp, negatives)
    values = OF_TWO[metric.name](tp, fp, positives_drawn, negatives_drawn)
    best = np.sort(last[values.argmax(axis=1)])[LEFT_OUT:-LEFT_OUT]
    return float(np.exp(-np.mean((odds[best] + odds[best + 1]) / 2.0)))


def _of_many(metric: Metric, y: Array, p: Array) -> Array:
    """Powers of the classes' shares, then one class after the other."""
    classes = p.shape[1]
    whole = np.bincount(y, minlength=classes)
    rarity = np.where(whole, whole.max() / np.maximum(whole, 1), 1.0)
    kept = np.sort(spread_out(y, max(MOST_CELLS // classes, 1)))
    y, p = y[kept], p[kept]
    rows, members = np.arange(len(y)), np.bincount(y, minlength=classes)

    def value(called: Array) -> float:
        counts = np.bincount(y * classes + called, minlength=classes**2)
        return metric.value_of_counts(counts.reshape(classes, classes))

    found, best = np.ones(classes), value(p.argmax(axis=1))
    tried = {power: value((p * rarity**power).argmax(axis=1)) for power in POWERS}
    power = max(tried, key=lambda power: tried[power])
    # In classes of two or three rows luck finds something to gain.
    if tried[power] > best + GAINED_ROWS / (float(np.median(members[members > 0])) * classes):
        found, best = rarity**power, tried[power]
    for code in np.argsort(members, kind="stable"):
        if members[code] < LEAST_MEMBERS:
            continue
        products = p * found
        own = products[:, code].copy()
        products[:, code] = 0.0
        other = products.argmax(axis=1)
        height = products[rows, other]
        values = [value(np.where(own * factor > height, code, other)) for factor in STEPS]
        if max(values) > best + GAINED_ROWS / (members[code] * classes):
            found[code] *= STEPS[int(np.argmax(values))]
            best = max(values)
    return np.asarray(found / found[whole.argmax()])
