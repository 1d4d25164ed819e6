import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl.engine.splitting import ALWAYS_TRAINING, fold_plan, make_folds
from automl.engine.trial import TaskType


def test_every_row_is_validated_once_a_repeat():
    y = np.repeat([0, 1], 50)

    folds = make_folds(y, TaskType.BINARY, seed=0, folds=5, repeats=2)

    assert folds.shape == (2, 100)
    for repeat in folds:
        assert np.bincount(repeat).tolist() == [20] * 5
    assert (folds[0] != folds[1]).any()


def test_classes_are_dealt_evenly():
    y = np.array([0] * 90 + [1] * 10)

    folds = make_folds(y, TaskType.BINARY, seed=0)[0]

    assert np.bincount(folds[y == 1]).tolist() == [2] * 5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=12, max_size=80), st.integers(0, 5))
def test_every_class_is_in_every_training_part(labels, seed):
    y = np.unique(labels, return_inverse=True)[1]

    folds = make_folds(y, TaskType.MULTICLASS, seed=seed)[0]

    for fold in range(5):
        assert set(y[folds != fold]) == set(y)
    counts = np.bincount(y)
    assert set(folds[counts[y] == 1]) <= {ALWAYS_TRAINING}
    assert (folds[counts[y] > 1] >= 0).all()


def test_numbers_are_dealt_so_that_each_fold_sees_the_extremes():
    y = np.exp(np.random.default_rng(0).normal(0, 2, 500))

    folds = make_folds(y, TaskType.REGRESSION, seed=0)[0]

    medians = [np.median(y[folds == fold]) for fold in range(5)]
    assert max(medians) / min(medians) < 1.2
    assert np.bincount(folds).tolist() == [100] * 5


@pytest.mark.parametrize("task_type", list(TaskType))
def test_the_same_seed_gives_the_same_folds(task_type):
    y = np.arange(60) % 2 if task_type is not TaskType.REGRESSION else np.linspace(0, 1, 60)

    one, other, third = (make_folds(y, task_type, seed=seed) for seed in (3, 3, 4))

    assert (one == other).all()
    assert (one != third).any()


def test_models_of_small_tables_learn_from_more_of_their_rows_and_large_ones_are_fitted_less_often():
    assert fold_plan(200) == (10, 1)
    assert fold_plan(1_000) == (8, 1)
    assert fold_plan(20_000) == (5, 1)
    assert fold_plan(200_000) == (3, 1)


def test_a_search_that_has_the_time_has_more_folds():
    assert fold_plan(8_999, seconds=60) == (8, 1)
    assert fold_plan(9_000, seconds=60) == (5, 1)
    assert fold_plan(9_000, seconds=300) == (8, 1)
    assert fold_plan(1_000, seconds=1) == fold_plan(1_000) == (8, 1)
    assert fold_plan(500, seconds=3_600) == (10, 1)
    assert fold_plan(200_000, seconds=86_400) == (8, 1)


def test_tables_that_are_large_for_the_time_have_fewer_folds():
    assert fold_plan(200_000, seconds=60, filled=0.05) == (5, 1)
    assert fold_plan(200_000, seconds=60, filled=0.3) == (3, 1)
    assert fold_plan(200_000, seconds=60, filled=0.7) == (2, 1)
    assert fold_plan(50_000, seconds=60, filled=0.3) == (5, 1)
    assert fold_plan(50_000, seconds=60, filled=0.7) == (3, 1)
    assert fold_plan(200_000, rarest=2, seconds=60, filled=0.7) == (2, 1)
    # Few rows of thousands of columns.
    assert fold_plan(5_000, seconds=60, filled=2.8) == (3, 1)
    assert fold_plan(5_000, seconds=60, filled=0.3) == (8, 1)
    assert fold_plan(1_000, seconds=60, filled=2.8) == (8, 1)


def test_a_rare_class_is_in_every_fold_as_far_as_five_of_them_allow():
    assert fold_plan(200, rarest=7) == (7, 1)
    assert fold_plan(200, rarest=2) == (5, 1)
    assert fold_plan(200, rarest=90) == (10, 1)
    assert fold_plan(200_000, rarest=2) == (3, 1)
