"""Every learner passes the suite; here too are the traps that one of them has met."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import zipfile
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Self

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import ExtraTreesClassifier

from automl.engine.errors import UserError
from automl.engine.learners import LEARNERS, families_for, get_learner
from automl.engine.learners.base import thin_curve
from automl.engine.learners.preprocessing import dense_matrix, dense_width
from automl.engine.metrics import METRICS
from automl.engine.schema import DataProfile
from automl.engine.testing import LearnerSuite, fit_fold, make_table, outputs
from automl.engine.trial import TaskType


@pytest.fixture(params=families_for())
def suite_learner(request: pytest.FixtureRequest) -> None:
    request.instance.learner = LEARNERS[request.param]


@pytest.mark.usefixtures("suite_learner")
class TestEveryLearner(LearnerSuite):
    pass


def test_every_family_can_do_every_task_type() -> None:
    for task_type in TaskType:
        assert families_for(task_type) == families_for()


def test_extra_trees_begin_with_a_leaf_for_each_row_where_rows_come_twice() -> None:
    data = make_table(TaskType.MULTICLASS).data
    extra_trees = LEARNERS["extra_trees"]
    usual, twins = (extra_trees.portfolio(replace(data, rows=5_000, twins=share)) for share in (0.01, 0.3))

    assert usual[0]["min_samples_leaf"] != 1
    assert twins[0]["min_samples_leaf"] == 1
    assert sorted(map(str, twins)) == sorted(map(str, usual))


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(UserError, match=r"'lightgmb' is not a family; the known ones are: dummy, linear"):
        get_learner("lightgmb")


def test_listing_families_loads_no_heavy_library() -> None:
    code = (
        "import sys, automl.engine.study, automl.engine.testing\n"
        "from automl.engine.schema import DataProfile\n"
        "from automl.engine.trial import TaskType\n"
        "data = DataProfile(100, 3, TaskType.BINARY, 2, (4, 300), (3, 4))\n"
        "study = automl.engine.study.Study(data)\n"
        "[space.to_json() for space in study.spaces.values()]; study.ask([], 3)\n"
        "heavy = {'sklearn', 'lightgbm', 'xgboost', 'catboost', 'optuna', 'pandas', 'scipy', 'skops'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("family", ["hist_boosting", "lightgbm", "xgboost", "catboost"])
def test_boosting_keeps_the_best_round_only(family: str) -> None:
    table = make_table(TaskType.BINARY)
    learner = LEARNERS[family]
    params = learner.space(table.data).validate({"learning_rate": 0.3})
    fit = fit_fold(learner, table, params).fit
    assert fit.learning_curve is not None
    x, valid, best = fit.learning_curve["x"], fit.learning_curve["valid"], fit.learning_curve["best"]
    assert best < x[-1], "the table is too easy to show anything"
    pick = min if fit.learning_curve["metric"] == "log_loss" else max
    assert valid[x.index(best)] == pick(valid)
    assert fit.learned["rounds"] == best


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_few_rows_are_not_left_after_the_round_that_ranks_them_by_luck(family: str) -> None:
    rng = np.random.default_rng(0)
    table = make_table(TaskType.BINARY)
    data = replace(table.data, rows=150, numeric=6, cardinalities=(), categorical=(), missing_share=0.0)
    X = rng.normal(size=(150, 6)).astype(np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(np.int32)
    table = replace(table, data=data, X=X[:135], y=y[:135], X_valid=X[135:], y_valid=y[135:])
    learner = LEARNERS[family]
    learned = fit_fold(learner, table, learner.first(data)).fit.learned
    assert learned["rounds"] > 20


def test_lightgbm_splits_few_rows_by_category() -> None:
    rng = np.random.default_rng(0)
    table = make_table(TaskType.REGRESSION)
    data = replace(
        table.data, rows=150, numeric=0, cardinalities=(12,), categorical=(0,), missing_share=0.0, skew=0.0
    )
    codes = rng.integers(0, 12, 150)
    y = rng.normal(size=12)[codes] + 0.1 * rng.normal(size=150)
    X = codes[:, None].astype(np.float32)
    table = replace(table, data=data, X=X[:120], y=y[:120], X_valid=X[120:], y_valid=y[120:])
    learner = LEARNERS["lightgbm"]
    found = fit_fold(learner, table, learner.portfolio(data)[0]).predict(data)
    assert np.sqrt(np.mean((found - y[120:]) ** 2)) < 0.5 * np.std(y[120:])


@pytest.mark.parametrize("family", ["hist_boosting", "lightgbm", "xgboost", "catboost", "neural_network"])
def test_a_curve_can_be_stored_where_validation_has_one_class(family: str) -> None:
    table = make_table(TaskType.BINARY)
    table = replace(table, y_valid=np.zeros_like(table.y_valid))
    learner = LEARNERS[family]
    fit = fit_fold(learner, table, learner.first(table.data)).fit
    assert fit.learning_curve is not None
    assert np.isfinite([*fit.learning_curve["valid"], *fit.learning_curve["train"]]).all()


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_a_stored_booster_has_no_part_for_each_of_its_rounds(family: str) -> None:
    table = make_table(TaskType.REGRESSION)
    learner = LEARNERS[family]
    estimator = fit_fold(learner, table, learner.first(table.data)).fit.estimator

    learner.thin(estimator, models=5)

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as archive:
        assert len(archive.namelist()) < 10


@pytest.mark.parametrize("metric", ["rmse", "mae"])
@pytest.mark.parametrize("family", ["hist_boosting", "lightgbm", "xgboost", "catboost", "neural_network"])
def test_the_curve_ends_with_what_the_model_scores(family: str, metric: str) -> None:
    """The curve's best point is the score of the stored model, so truncation and scaling are right."""
    table = make_table(TaskType.REGRESSION)
    table = replace(table, data=replace(table.data, metric=metric))
    learner = LEARNERS[family]
    fitted = fit_fold(learner, table, learner.portfolio(table.data)[0])
    curve = fitted.fit.learning_curve
    assert curve is not None
    error = fitted.predict(table.data) - table.y_valid
    square = float(np.mean(error**2))
    known = {"half_squared_error": square / 2, "rmse": square**0.5, "mae": float(np.mean(np.abs(error)))}
    assert curve["valid"][curve["x"].index(curve["best"])] == pytest.approx(known[curve["metric"]], rel=1e-3)


@pytest.mark.parametrize("task", [TaskType.BINARY, TaskType.MULTICLASS, TaskType.REGRESSION])
@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
def test_the_training_line_ends_with_what_the_model_scores_on_its_own_rows(
    family: str, task: TaskType
) -> None:
    table = make_table(task, rows=1_000)
    learner = LEARNERS[family]
    fitted = fit_fold(learner, table, learner.portfolio(table.data)[0])
    curve = fitted.fit.learning_curve
    assert curve is not None
    assert len(curve["train"]) == len(curve["x"])
    assert curve["train_metric"] == curve["metric"] == table.data.metric
    own = outputs(fitted.fit.estimator, fitted.X, table.data)
    said = curve["train"][curve["x"].index(curve["best"])]
    assert said == pytest.approx(METRICS[table.data.metric].value(table.y, own), rel=1e-3)


@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
def test_telling_of_a_fit_changes_neither_it_nor_what_is_told(family: str) -> None:
    table = make_table(TaskType.MULTICLASS)
    learner = LEARNERS[family]
    fitted = fit_fold(learner, table, learner.first(table.data))
    before, told = fitted.predict(table.data), deepcopy(fitted.fit.learning_curve)
    learner.describe(fitted.fit, fitted.X, table.y, data=table.data)
    assert np.array_equal(fitted.predict(table.data), before)
    assert fitted.fit.learning_curve == told


def test_mean_absolute_errors_and_binary_losses_are_told_of_training_too() -> None:
    for task, metric in ((TaskType.REGRESSION, "mae"), (TaskType.BINARY, "log_loss")):
        table = make_table(task)
        table = replace(table, data=replace(table.data, metric=metric))
        for family in ("lightgbm", "xgboost"):
            fitted = fit_fold(LEARNERS[family], table, LEARNERS[family].first(table.data))
            curve = fitted.fit.learning_curve
            assert curve is not None
            own = outputs(fitted.fit.estimator, fitted.X, table.data)
            said = curve["train"][curve["x"].index(curve["best"])]
            assert said == pytest.approx(METRICS[metric].value(table.y, own), rel=1e-3), family


def test_of_a_long_table_a_part_tells_of_training() -> None:
    table = make_table(TaskType.REGRESSION, rows=1_500)
    for family in ("lightgbm", "xgboost"):
        curve = fit_fold(LEARNERS[family], table, LEARNERS[family].first(table.data)).fit.learning_curve
        assert curve is not None
        assert curve["train_rows"] == 1_000


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost", "hist_boosting"])
def test_leaves_and_depth_are_those_of_the_trees_that_are_kept(family: str) -> None:
    table = make_table(TaskType.MULTICLASS, classes=3)
    learner = LEARNERS[family]
    fitted = fit_fold(learner, table, learner.space(table.data).validate({"learning_rate": 0.3}))
    learned, estimator = fitted.fit.learned, fitted.fit.estimator
    assert learned["trees"] <= learned["leaves"] <= learned["trees"] * 2 ** learned["depth"]
    if family == "lightgbm":
        trees = estimator.booster_.trees_to_dataframe()
        trees = trees[trees["tree_index"] < learned["trees"]]
        leaves, depth = trees["split_feature"].isna(), trees["node_depth"] - 1
    elif family == "xgboost":
        trees = estimator.get_booster().trees_to_dataframe()
        leaves, depth = trees["Feature"] == "Leaf", None
    else:
        return
    assert learned["leaves"] == leaves.sum()
    assert depth is None or learned["depth"] == depth.max()


@pytest.mark.parametrize("most", [2, 10], ids=["reached", "never_reached"])
def test_the_depth_of_xgboost_is_that_of_all_its_trees(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr("automl.engine.learners.boosting_xgboost.DUMPED_ROUNDS", 3)
    table = make_table(TaskType.REGRESSION, rows=60)
    learner = LEARNERS["xgboost"]
    fitted = fit_fold(learner, table, learner.space(table.data).validate({"max_depth": most}))
    trees = fitted.fit.estimator.get_booster().get_dump()
    depths = [max(line.count("\t") for line in tree.splitlines()) for tree in trees]
    assert fitted.fit.learned["depth"] == max(depths)
    # It is not known after the first trees in one case, and in the other it is.
    assert (max(depths[:3]) < max(depths)) is (most == 10)


def test_a_fit_that_its_deadline_ends_keeps_its_best_round(monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table(TaskType.REGRESSION, rows=400)
    learner = LEARNERS["lightgbm"]
    params = learner.space(table.data).validate({"learning_rate": 0.4})
    usual = fit_fold(learner, table, params)
    rounds = usual.fit.learned["rounds"] + 4
    told = [*[False] * (rounds - 1), True]
    monkeypatch.setattr("automl.engine.learners.boosting_lightgbm.is_late", lambda _deadline: told.pop(0))
    late = fit_fold(learner, table, params, deadline=1.0).fit
    assert late.learning_curve is not None
    assert late.learning_curve["x"][-1] == rounds
    assert late.learned["rounds"] == usual.fit.learned["rounds"]
    both = [outputs(fit.estimator, usual.X_valid, table.data) for fit in (late, usual.fit)]
    np.testing.assert_array_equal(*both)


def test_histogram_boosting_stays_sane_with_rare_classes() -> None:
    """It once had a log loss of 19 on a table with classes of one member."""
    table = make_table(TaskType.MULTICLASS, rows=600, classes=12, rare=True)
    learner = LEARNERS["hist_boosting"]
    shares = np.bincount(table.y, minlength=12) / len(table.y)
    prior = -np.mean(np.log(shares[table.y_valid]))
    for params in (learner.first(table.data), *learner.portfolio(table.data)):
        values = fit_fold(learner, table, params).predict(table.data)
        loss = -np.mean(np.log(np.clip(values[np.arange(len(table.y_valid)), table.y_valid], 1e-15, 1)))
        assert loss < prior


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost", "hist_boosting", "neural_network"])
def test_a_deadline_ends_a_long_fit(family: str) -> None:
    table = make_table(TaskType.MULTICLASS, rows=3_000, classes=10)
    learner = LEARNERS[family]
    space = learner.space(table.data)
    slow = {
        "learning_rate": 0.005, "n_estimators": 2_000, "iterations": 1_500, "max_iter": 1_000,
        "max_leaf_nodes": 128, "num_leaves": 256, "max_depth": 10, "depth": 9, "epochs": 100, "width": 256,
        "layers": 3,
    }  # fmt: skip
    params = space.clip(slow)
    started = time.monotonic()
    fitted = fit_fold(learner, table, params, deadline=started + 0.5)
    assert time.monotonic() - started < 5.0
    assert np.isfinite(fitted.predict(table.data)).all()


@pytest.mark.parametrize(("seconds", "trees"), [(100.0, 100), (7.45, 74), (1.0, 10), (0.1, 10)])
def test_a_forest_has_the_trees_that_fit(monkeypatch: pytest.MonkeyPatch, seconds: float, trees: int) -> None:
    clock = [0.0]

    class Slow(ExtraTreesClassifier):
        """Ten trees a second."""

        def fit(self, X: object, y: object) -> Self:
            clock[0] += (self.n_estimators - len(getattr(self, "estimators_", []))) / 10
            return super().fit(X, y)

    monkeypatch.setattr("automl.engine.learners.forest.time", SimpleNamespace(monotonic=lambda: clock[0]))
    table = make_table(TaskType.BINARY)
    X, y = np.nan_to_num(table.X), table.y

    fit = LEARNERS["extra_trees"].fit(Slow(100), X, y, X, y, data=table.data, deadline=seconds)

    assert len(fit.estimator.estimators_) == trees
    assert clock[0] <= max(seconds, 1.0) + 1e-9


def test_a_deadline_does_not_change_a_forest_that_meets_it() -> None:
    table = make_table(TaskType.BINARY)
    learner = LEARNERS["extra_trees"]
    params = learner.space(table.data).validate({"n_estimators": 50})
    free = fit_fold(learner, table, params).predict(table.data)
    timed = fit_fold(learner, table, params, deadline=time.monotonic() + 60).predict(table.data)
    assert np.array_equal(free, timed)


@pytest.mark.parametrize("metric", ["mae", "mape", "r2", "rmse", "some_metric_of_later"])
def test_boosting_knows_or_replaces_a_metric(metric: str) -> None:
    table = make_table(TaskType.REGRESSION)
    table = replace(table, data=replace(table.data, metric=metric))
    for family in ("hist_boosting", "lightgbm", "xgboost", "catboost"):
        values = fit_fold(LEARNERS[family], table, LEARNERS[family].first(table.data)).predict(table.data)
        assert np.isfinite(values).all()


@pytest.mark.parametrize("metric", ["mae", "mape", "median_absolute_error"])
@pytest.mark.parametrize("family", ["dummy", "hist_boosting", "lightgbm", "xgboost", "catboost"])
def test_where_the_metric_asks_for_a_median_that_is_what_is_learned(family: str, metric: str) -> None:
    table, chance = make_table(TaskType.REGRESSION), np.random.default_rng(0)
    # Nothing is known of these numbers; their mean is 1.44 times their median.
    y, y_valid = chance.exponential(size=len(table.y)), chance.exponential(size=len(table.y_valid))
    table, learner = replace(table, y=y, y_valid=y_valid), LEARNERS[family]

    middle, mean = (
        fit_fold(learner, replace(table, data=data), learner.first(data)).predict(data).mean()
        for data in (replace(table.data, metric=metric), table.data)
    )

    assert middle < 0.85 * mean


@pytest.mark.parametrize("family", [key for key in families_for() if key != "dummy"])
def test_a_table_of_one_category_and_twenty_rows_fits(family: str) -> None:
    rng = np.random.default_rng(0)
    table = make_table(TaskType.BINARY, rows=20)
    data = replace(table.data, rows=26, numeric=0, cardinalities=(3,), categorical=(0,), missing_share=0.0)
    X = rng.integers(0, 3, (26, 1)).astype(np.float32)
    y = (np.arange(26) % 2).astype(np.int32)
    table = replace(table, data=data, X=X[:20], y=y[:20], X_valid=X[20:], y_valid=y[20:])
    for params in (LEARNERS[family].first(data), *LEARNERS[family].portfolio(data)):
        assert np.isfinite(fit_fold(LEARNERS[family], table, params).predict(data)).all()


@pytest.mark.parametrize("family", families_for())
def test_nothing_is_printed(family: str, capfd: pytest.CaptureFixture[str]) -> None:
    table = make_table(TaskType.MULTICLASS, classes=12, rare=True)
    fit_fold(LEARNERS[family], table, LEARNERS[family].first(table.data))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1_000, 1_037])
def test_a_thinned_curve_keeps_its_best_and_last_point(count: int) -> None:
    values = [1.0 / (i + 1) for i in range(count)]
    for best in {1, count // 2 or 1, count}:
        curve = thin_curve("rounds", "log_loss", values, values, best)
        assert {best, count} <= set(curve["x"])
        assert len(curve["x"]) <= 103
        assert curve["valid"] == [float(f"{values[x - 1]:.6g}") for x in curve["x"]]


def test_a_network_of_few_rows_keeps_its_last_epoch() -> None:
    table = make_table(TaskType.BINARY)
    learner = LEARNERS["neural_network"]
    params = learner.space(table.data).validate({"epochs": 40, "dropout": 0.0, "learning_rate": 0.3})

    assert fit_fold(learner, table, params).fit.learned["epochs"] == 40


def test_the_curve_of_a_network_that_diverges_ends_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no number is no JSON, and would not be stored."""
    losses = iter([0.6, 0.5, float("nan")])
    monkeypatch.setattr("automl.engine.learners.perceptron.training", lambda *_: losses)
    table = make_table(TaskType.BINARY)
    learner = LEARNERS["neural_network"]

    fit = fit_fold(learner, table, learner.space(table.data).default()).fit

    assert fit.learning_curve is not None
    assert fit.learning_curve["x"] == [1, 2]
    assert np.isfinite([*fit.learning_curve["valid"], *fit.learning_curve["train"]]).all()


TREES = ["lightgbm", "xgboost", "catboost", "hist_boosting", "random_forest", "extra_trees"]


@pytest.mark.parametrize("limit", ["few levels", "many levels"])
@pytest.mark.parametrize("family", TREES)
def test_trees_do_not_split_by_minor_components_of_texts(family: str, limit: str) -> None:
    table = make_table(TaskType.BINARY)
    if limit == "few levels":
        # So few that no family encodes them by the target.
        table = replace(table, data=replace(table.data, cardinalities=(3, 3)))
        for part in (table.X, table.X_valid):
            part[:, 2:4] %= 3
    learner = get_learner(family)

    def said(data: DataProfile) -> bool:
        """Whether predictions depend on that column, which has most of the signal."""
        answers = []
        for value in (-5.0, 5.0):
            table.X_valid[:, 0] = value
            fold = fit_fold(learner, replace(table, data=data), learner.first(data))
            answers.append(outputs(fold.fit.estimator, fold.X_valid, data))
        return not np.array_equal(*answers)

    assert said(table.data)
    assert not said(replace(table.data, words=(0, 4), minor=(0,)))


@pytest.mark.parametrize("how", ["standard", "quantile", "splines"])
def test_components_of_texts_keep_their_scale(how: str) -> None:
    table = make_table(TaskType.BINARY)
    data = replace(table.data, words=(1, 4))
    X = table.X.copy()
    X[:, [1, 4]] = np.nan_to_num(X[:, [1, 4]]) * 0.01
    transformer = dense_matrix(data, how)
    made = transformer.fit_transform(X, table.y)

    words = X[:, [1, 4]]
    found = made[:, transformer.output_indices_["words"]]
    assert np.allclose(found, words - words.mean(axis=0), atol=1e-7)
    plain = replace(data, words=())
    assert dense_width(data, how) < dense_width(plain, how)


def test_of_many_rows_those_tied_at_an_end_are_as_far_out_as_they_are_many() -> None:
    table = make_table(TaskType.BINARY, rows=2_100)
    X = table.X.copy()
    X[:, 0] = np.random.default_rng(0).normal(size=len(X))
    X[:, 0] = np.maximum(X[:, 0], np.quantile(X[:, 0], 0.1))

    made = np.unique(dense_matrix(table.data, "quantile").fit_transform(X, table.y)[:, 0])

    assert (made[1] - made[0]) / (made[-1] - made[0]) == pytest.approx(0.1, abs=0.02)


def test_with_too_many_classes_for_means_large_categories_have_columns_for_their_levels() -> None:
    table = make_table(TaskType.MULTICLASS, rows=900, classes=45)
    X, rng = table.X.copy(), np.random.default_rng(0)
    X[:, 3] = rng.permutation(np.arange(900) % 120)
    X[:600, 3] = 7.0
    transformer = dense_matrix(table.data, "standard")

    made = transformer.fit_transform(X, table.y)

    levels = made[:, transformer.output_indices_["one_hot"]]
    assert set(np.unique(levels)) == {0.0, 1.0}
    assert (levels.sum(axis=1) == 2).all()
    # Those of four levels and of a missing one, and a hundred at most.
    assert 50 < levels.shape[1] <= 105
    assert (levels[:600].mean(axis=0) == 1).sum() == 1
    assert made.shape[1] <= dense_width(table.data, "standard") + 2


def test_a_forest_tries_as_many_columns_as_if_minor_components_were_not_there() -> None:
    data = make_table(TaskType.BINARY).data
    wide = replace(data, numeric=data.numeric + 200, words=tuple(range(6, 206)), minor=tuple(range(6, 206)))

    for family in ("random_forest", "extra_trees", "stacked_trees"):
        learner = get_learner(family)
        assert learner.space(wide).default() == learner.space(data).default()


def test_a_linear_model_weighs_components_of_texts_by_their_spread() -> None:
    table = make_table(TaskType.BINARY)
    for part in (table.X, table.X_valid):
        part[:, [0, 4]] = np.nan_to_num(part[:, [0, 4]])
        part[:, 4] *= 1e-3
    data = replace(table.data, words=(0, 4))
    learner = get_learner("linear")
    fold = fit_fold(learner, replace(table, data=data), {**learner.first(data), "strength": 1e-8})
    weights = dict(fold.fit.learned["largest"])
    first, second = (place for place in range(*fold.transformer.output_indices_["words"].indices(999)))

    # The signal is in the first; the other's coefficient is large because its numbers are small.
    assert weights[first] > weights[second]
