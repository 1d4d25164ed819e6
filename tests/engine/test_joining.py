"""Trees that were columns predict as before, are smaller, and are refused where they do not fit together."""

from __future__ import annotations

import copy
import io
import zipfile
import zlib

import numpy as np
import pytest
import skops.io

from automl.engine.inference import Damaged
from automl.engine.inference.joined import booster_arrays, restore
from automl.engine.inference.safe import load_skops
from automl.engine.joining import join
from automl.engine.learners import LEARNERS
from automl.engine.testing import fit_fold, make_table, outputs
from automl.engine.trial import TaskType

FAMILIES = ["random_forest", "extra_trees", "hist_boosting", "xgboost"]
TASKS = ["binary", "multiclass", "regression"]


def fitted(family, task="regression", **params):
    table = make_table(TaskType(task), rows=400)
    learner = LEARNERS[family]
    fold = fit_fold(learner, table, learner.space(table.data).validate(params))
    return fold.fit.estimator, fold.X_valid, table


def through_a_file(estimator, folder):
    """The estimator as a bundle's reader gives it back."""
    kept, trees = join(estimator)
    (folder / "model.skops").write_bytes(skops.io.dumps({"estimator": kept, "trees": trees}))
    found = load_skops(folder / "model.skops")
    return restore(found["estimator"], found["trees"])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_trees_put_together_again_are_the_same_model(family, task, tmp_path):
    estimator, X, table = fitted(family, task)
    before = outputs(estimator, X, table.data)

    again = through_a_file(estimator, tmp_path)

    assert type(again) is type(estimator)
    assert str(again.get_params()) == str(estimator.get_params())  # a NaN is not itself
    assert np.array_equal(outputs(again, X, table.data), before)
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, np.asarray(X, dtype=np.float32))
    assert np.array_equal(outputs(again, X, table.data), outputs(estimator, X, table.data))
    # The model that was packaged is still whole.
    assert np.array_equal(outputs(estimator, X, table.data), outputs(again, X, table.data))


@pytest.mark.parametrize(
    "params", [{"gamma": 5.0, "max_depth": 10}, {"gamma": 1.0, "subsample": 0.5}], ids=str
)
def test_pruned_trees_are_put_together_again(params, tmp_path):
    estimator, X, table = fitted("xgboost", "binary", **params)
    again = through_a_file(estimator, tmp_path)
    assert np.array_equal(outputs(again, X, table.data), outputs(estimator, X, table.data))
    assert columns(again) == columns(estimator)


def columns(estimator):
    """What XGBoost holds of its trees beside reports."""
    reports = {"base_weights", "loss_changes", "sum_hessian"}
    arrays = booster_arrays(bytearray(estimator.get_booster().save_raw("ubj")))
    assert len(arrays["left_children"]) > 1
    return {name: [part.tolist() for part in parts] for name, parts in arrays.items() if name not in reports}


@pytest.mark.parametrize("family", FAMILIES)
def test_columns_are_much_smaller(family):
    estimator, _, _ = fitted(family)
    size = len(zlib.compress(skops.io.dumps(estimator), 1))
    kept, trees = join(estimator)
    assert len(zlib.compress(skops.io.dumps([kept, trees]), 1)) < 0.7 * size


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_has_no_part_for_each_tree(family):
    estimator, _, _ = fitted(family)
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(join(estimator)))) as archive:
        assert len(archive.namelist()) < 40


@pytest.mark.parametrize("family", ["linear", "lightgbm", "catboost", "neural_network"])
def test_what_has_no_such_trees_is_kept_whole(family):
    estimator, _, _ = fitted(family)
    assert join(estimator) == (estimator, None)
    assert restore(estimator, None) is estimator


@pytest.mark.parametrize(
    "changed",
    [
        {"counts": lambda found: found[:-1]},
        {"counts": lambda found: found + 1},
        {"counts": lambda found: found.astype(np.int64) << 40},
        {"left": lambda found: found * 0 - 3},
        {"right": lambda found: found + 100},
        {"feature": lambda found: found + 90},
        {"feature": lambda found: found[1:]},
        {"threshold": lambda found: {"planes": np.zeros((3, 5), dtype=np.uint8)}},
        {"values": lambda found: {"table": np.zeros(1), "codes": np.array([7])}},
        {"kind": lambda found: "of another kind"},
    ],
    ids=lambda changed: next(iter(changed)),
)
@pytest.mark.parametrize("family", ["extra_trees", "hist_boosting"])
def test_columns_that_do_not_fit_together_are_refused(family, changed):
    estimator, _, _ = fitted(family)
    kept, trees = join(estimator)
    restore(copy.copy(kept), trees)
    for name, change in changed.items():
        trees[name] = change(trees[name])
    with pytest.raises(Damaged, match="tree"):
        restore(kept, trees)


@pytest.mark.parametrize(
    "changed",
    [
        {"counts": lambda found: found[::-1]},
        {"counts": lambda found: found[:-1]},
        {"frame": lambda found: found.replace(b"split_conditions", b"split_nonsense..")},
        {"left": lambda found: found.astype(np.int64) + 1000},
    ],
    ids=["order", "number", "frame", "outside"],
)
def test_columns_that_do_not_fit_a_booster_are_refused(changed):
    estimator, _, _ = fitted("xgboost", max_depth=3)
    kept, trees = join(estimator)
    for name, change in changed.items():
        trees[name] = change(trees[name])
    with pytest.raises(Damaged, match="tree"):
        restore(kept, trees)
