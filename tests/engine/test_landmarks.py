"""A landmark tells noisy classes from clear ones, on a sample, and never fails."""

import numpy as np
import pytest

from automl.engine.landmarks import ROWS, is_noisy
from automl.engine.metrics import METRICS


def drawn(rows, share, *, columns=4):
    """Numbers whose classes are a chequerboard; of a share of them the class is by chance."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns)).astype(np.float32)
    y = ((X[:, 0] * X[:, 1] > 0) != (rng.random(rows) < share)).astype(int)
    return X, y


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "accuracy"])
@pytest.mark.parametrize(("share", "noisy"), [(0.0, False), (0.3, True)])
def test_classes_by_chance_are_noisy(metric, share, noisy):
    X, y = drawn(1_500, share)
    assert is_noisy(X, y, classes=2, metric=METRICS[metric], seed=0) is noisy


def test_it_looks_at_a_sample_and_says_the_same_again():
    X, y = drawn(20 * ROWS, 0.3)
    assert {is_noisy(X, y, classes=2, metric=METRICS["log_loss"], seed=3) for _ in range(2)} == {True}


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "f1_macro"])
@pytest.mark.parametrize("rows", [2, 5, 40])
def test_missing_cells_rare_classes_and_few_rows_are_no_failure(metric, rows):
    X, _ = drawn(rows, 0.0, columns=3)
    X[::3, 1] = np.nan
    y = np.arange(rows) % 2
    y[-1] = 2
    classes = 2 if metric == "roc_auc" else 3
    assert is_noisy(X, np.minimum(y, classes - 1), classes=classes, metric=METRICS[metric], seed=0) in (
        True,
        False,
    )
