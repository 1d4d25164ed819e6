"""What quick models say of a table before any search (landmarking, Pfahringer et al. 2000)."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl.engine.metrics import Metric

Array = np.ndarray[Any, Any]

ROWS, TREES, MOST_FEATURES = 2_000, 30, 32
FINE, COARSE = 1, 5


def is_noisy(X: Array, y: Array, *, classes: int, metric: Metric, seed: int) -> bool:
    """Whether random trees tell classes better with leaves of several rows than with one for each.

    Parameters
    ----------
    X : array of shape (rows, columns)
        Numbers and codes, NaN where a cell is missing.
    y : array of shape (rows,)
        Class codes.
    classes : int
    metric : Metric
        What a search of the table goes by.
    seed : int

    Returns
    -------
    bool
        Judged on a sample of 2,000 rows, each half by the trees of the other.
    """
    rows = np.random.default_rng(seed).permutation(len(y))[:ROWS]
    X, y = X[rows], y[rows]
    if len(np.unique(y[::2])) < 2 or len(np.unique(y[1::2])) < 2:
        return False
    fine, coarse = (_score(X, y, classes, metric, seed, leaf) for leaf in (FINE, COARSE))
    return coarse > fine


def _score(X: Array, y: Array, classes: int, metric: Metric, seed: int, leaf: int) -> float:
    from sklearn.ensemble import ExtraTreesClassifier

    features = min((X.shape[1] + 1) // 2, MOST_FEATURES)
    # As if one more tree knew nothing: what no tree has seen is not impossible.
    predicted = np.full((len(y), classes), 1.0 / classes)
    for half in (0, 1):
        forest = ExtraTreesClassifier(
            TREES, min_samples_leaf=leaf, max_features=features, random_state=seed
        ).fit(X[1 - half :: 2], y[1 - half :: 2])
        predicted[half::2, forest.classes_] += TREES * forest.predict_proba(X[half::2])
    return metric.score_of(metric.value(y, predicted / (TREES + 1)))
