"""What prediction does not need is dropped, and nothing else."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import skops.io

from automl.engine.learners import LEARNERS
from automl.engine.preparation import open_prepared
from automl.engine.slimming import halve_weights, slim, slim_columns
from automl.engine.testing import fit_fold, make_table, outputs
from automl.engine.trial import TaskType
from tests.engine.tables import prepared, stories


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


def arrays(thing) -> int:
    """How many arrays a file of a model has, each of which takes as long to write as a large one."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(thing))) as archive:
        return len(archive.namelist())


def test_what_a_catboost_says_of_its_columns_is_stored_as_one_array():
    table = make_table(TaskType.BINARY)
    fold = fit_fold(LEARNERS["catboost"], table, LEARNERS["catboost"].first(table.data))
    estimator = fold.fit.estimator
    before, told = outputs(estimator, fold.X_valid, table.data), list(estimator.feature_importances_)
    count = arrays(estimator)

    slim(estimator)

    assert arrays(estimator) <= count - table.X.shape[1] + 1
    assert list(estimator.feature_importances_) == told
    assert np.array_equal(outputs(estimator, fold.X_valid, table.data), before)


@pytest.mark.parametrize("family", ["linear", "lightgbm"])
def test_positions_of_columns_are_stored_as_arrays(tmp_path, family):
    prepared(tmp_path, stories(900, 800), "bought")
    found = open_prepared(tmp_path / "prepared")
    learner, X = LEARNERS[family], np.asarray(found.X)
    preprocess = learner.preprocess(found.profile, learner.first(found.profile))
    before = preprocess.fit_transform(X, found.y)
    columns = getattr(preprocess, "columns", preprocess)
    size = len(skops.io.dumps(columns))

    slim_columns(preprocess)

    dense = [each.toarray() if family == "linear" else each for each in (before, preprocess.transform(X))]
    assert np.array_equal(*dense, equal_nan=True)
    stored = skops.io.dumps(columns)
    assert len(stored) < 0.7 * size
    again = skops.io.loads(stored, trusted=skops.io.get_untrusted_types(data=stored))
    assert np.array_equal(again.transform(X), columns.transform(X), equal_nan=True)
    slim_columns(None)


def test_weights_of_words_lose_the_digits_that_no_reader_sees():
    table = make_table(TaskType.MULTICLASS)
    fold = fit_fold(LEARNERS["linear"], table, LEARNERS["linear"].first(table.data))
    before = outputs(fold.fit.estimator, fold.X_valid, table.data)

    halve_weights(fold.fit.estimator)

    assert fold.fit.estimator.coef_.dtype == np.float32
    assert outputs(fold.fit.estimator, fold.X_valid, table.data) == pytest.approx(before, abs=1e-6)


def compressed(estimator) -> bytes:
    import zlib

    return zlib.compress(skops.io.dumps(estimator), 1)
