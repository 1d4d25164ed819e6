"""What prediction does not need is dropped, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import skops.io

from automl.engine.learners import LEARNERS
from automl.engine.slimming import slim
from automl.engine.testing import fit_fold, make_table, outputs
from automl.engine.trial import TaskType


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_slim_model_is_smaller_and_predicts_the_same(task):
    table = make_table(TaskType(task))
    fold = fit_fold(LEARNERS["lightgbm"], table, LEARNERS["lightgbm"].first(table.data))
    estimator = fold.fit.estimator
    before, size = outputs(estimator, fold.X_valid, table.data), len(compressed(estimator))

    slim(estimator)

    assert np.array_equal(outputs(estimator, fold.X_valid, table.data), before)
    assert len(compressed(estimator)) < 0.95 * size
    # What is stored is what predicts.
    stored = skops.io.dumps(estimator)
    again = skops.io.loads(stored, trusted=skops.io.get_untrusted_types(data=stored))
    assert np.array_equal(outputs(again, fold.X_valid, table.data), before)
    assert again.booster_.best_iteration == estimator.booster_.best_iteration
    assert "__getstate__" not in vars(again.booster_)
    assert "split_gain=" not in estimator.booster_.__getstate__()["_handle"]


def test_what_has_nothing_to_drop_is_left_alone():
    table = make_table(TaskType.REGRESSION)
    fold = fit_fold(LEARNERS["linear"], table, LEARNERS["linear"].first(table.data))
    before = outputs(fold.fit.estimator, fold.X_valid, table.data)
    slim(fold.fit.estimator)
    assert np.array_equal(outputs(fold.fit.estimator, fold.X_valid, table.data), before)


def compressed(estimator) -> bytes:
    import zlib

    return zlib.compress(skops.io.dumps(estimator), 1)
