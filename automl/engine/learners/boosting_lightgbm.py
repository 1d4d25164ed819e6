"""LightGBM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner, asks_median, thin_curve
from automl.engine.learners.boosting import (
    MANY_CLASSES,
    add_training,
    class_trees,
    deepest,
    expected_rounds,
    importance_top,
    is_late,
    learning_rate_dial,
    patience,
    rounds_dial,
    small_leaf,
    stopping_metric,
    training_sample,
)
from automl.engine.learners.preprocessing import category_positions, encoding_seconds, tree_matrix, tree_width
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Params, TaskType

# Native splits of larger categories overfit and are slow; those are target-encoded.
CODE_LEVELS = 100
_CHILDREN = re.compile(r"^(left|right)_child=(.*)$", re.MULTILINE)


class LightGBM(Learner):
    """Leaf-wise boosted trees."""

    key = "lightgbm"
    ends_in_time = True
    label = "LightGBM"
    description = (
        "Boosted trees that grow where they help most, very fast. "
        "Usually among the best on tables of more than a thousand rows."
    )
    training = 2  # before, few rows were stopped by their AUC, and hardly split by category

    def dials(self, data: DataProfile) -> Space:
        return Space(
            {
                "learning_rate": learning_rate_dial(0.05 if data.classes <= MANY_CLASSES else 0.1),
                "n_estimators": rounds_dial(600 if data.classes <= MANY_CLASSES else 250),
                "num_leaves": Int(
                    4,
                    256,
                    31,
                    log=True,
                    effect="How detailed each tree is: more leaves find finer patterns, too many overfit.",
                ),
                "min_child_samples": Int(
                    2,
                    200,
                    small_leaf(data),
                    log=True,
                    effect="The fewest rows in a leaf: higher is steadier, too low follows single rows.",
                ),
                "colsample_bytree": Float(
                    0.3,
                    1.0,
                    1.0,
                    effect="The share of columns that each tree sees: lower is faster, too low blinds it.",
                ),
                "subsample": Float(
                    0.4,
                    1.0,
                    1.0,
                    effect="The share of rows that each tree sees: lower is faster, too low forgets.",
                ),
                "reg_lambda": Float(
                    1e-3,
                    100.0,
                    1e-3 if data.classes <= MANY_CLASSES else 1.0,
                    log=True,
                    effect="How cautious leaf values are: higher damps them, too high learns nothing.",
                ),
                "extra_trees": Choice(
                    (False, True),
                    False,
                    effect="Draw thresholds at random: smoother and unlike the others, needs more rounds.",
                ),
            }
        )

    def first(self, data: DataProfile) -> Params:
        quick = {"learning_rate": 0.1, "n_estimators": 100, "num_leaves": 16}
        if data.classes > MANY_CLASSES:
            quick.update(learning_rate=0.2, n_estimators=40)
        return self.space(data).validate(quick)

    def portfolio(self, data: DataProfile) -> list[Params]:
        # The first three are our own finding, on parts of the public tables: rows and columns drawn anew for
        # each tree are worth more than all of them, by 1 to 3 % of the error. The last two are the values of
        # LightGBM_r188 and _r96 of AutoGluon's zero-shot portfolio of 2023 (learned on TabRepo, Apache-2.0).
        space = self.space(data)
        # Leaves of 48 rows are no leaves in a small table.
        leaf = 5 if data.rows < 1_000 else 48
        if data.classes > MANY_CLASSES:
            return [space.validate(params) for params in _of_many_classes(leaf)]
        drawn = {"colsample_bytree": 0.7, "subsample": 0.8}
        configurations: list[dict[str, Any]] = [
            {**drawn, "learning_rate": 0.1, "num_leaves": 63},
            {**drawn, "learning_rate": 0.05, "num_leaves": 63},
            {**drawn, "learning_rate": 0.03, "num_leaves": 128, "min_child_samples": 6},
            {},
            {"extra_trees": True, "colsample_bytree": 0.83, "learning_rate": 0.034, "num_leaves": 127,
             "min_child_samples": 6},
            {"extra_trees": True, "colsample_bytree": 0.56, "learning_rate": 0.03, "num_leaves": 16,
             "min_child_samples": leaf},
        ]  # fmt: skip
        return [space.validate({"n_estimators": 1_000, **params}) for params in configurations]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        leaf = float(params["min_child_samples"] or 1)
        leaves = min(float(params["num_leaves"] or 0), data.rows / leaf)
        width = tree_width(data, CODE_LEVELS) * float(params["colsample_bytree"] or 1)
        rows = data.rows * float(params["subsample"] or 1)
        tree = 1e-4 + leaves * width * 1.3e-7 + rows * (2.2e-8 + width * 2.2e-9)
        rounds = expected_rounds(data, int(params["n_estimators"] or 0), float(params["learning_rate"] or 1))
        if params["extra_trees"]:
            rounds = min(2.0 * rounds, float(params["n_estimators"] or 0))
        seconds = 0.01 + encoding_seconds(data, CODE_LEVELS) + rounds * class_trees(data) * tree
        return Cost(seconds, data.rows * (data.columns + 16) * 10)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return tree_matrix(data, CODE_LEVELS)[0]

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from lightgbm import LGBMClassifier, LGBMRegressor

        settings: dict[str, Any] = dict(params)
        settings.update(
            subsample_freq=1 if float(params["subsample"] or 1) < 1 else 0,
            random_state=seed,
            n_jobs=threads,
            # Histograms added up in another order would differ in the last digit from run to run.
            deterministic=True,
            force_col_wise=True,
            # Not as `eval_metric` in fit: that would add to the objective's own, and stop by either.
            metric=_metric_name(data),
            cat_l2=10.0,
            max_cat_to_onehot=4,
            # Its own 100 and 10 leave a table of some hundred rows no split by category.
            min_data_per_group=max(5, min(100, data.rows // 40)),
            cat_smooth=max(2.0, min(10.0, data.rows / 100)),
            verbosity=-1,
        )
        if data.task_type is TaskType.REGRESSION:
            objective = "regression_l1" if asks_median(data) else "regression"
            return LGBMRegressor(objective=objective, **settings)
        return LGBMClassifier(objective="binary" if data.classes == 2 else "multiclass", **settings)

    def fit(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        X_valid: Any,
        y_valid: Any,
        *,
        data: DataProfile,
        deadline: float | None,
    ) -> Fit:
        import lightgbm

        name = estimator.metric
        curves: dict[str, dict[str, list[float]]] = {}
        stopping = lightgbm.early_stopping(patience(estimator.learning_rate), verbose=False)
        callbacks = [stopping, lightgbm.record_evaluation(curves)]
        if deadline is not None:
            callbacks.append(_stop_at(deadline, stopping))
        estimator.fit(
            X,
            y,
            eval_X=X_valid,
            eval_y=y_valid,
            eval_names=["valid"],
            categorical_feature=category_positions(data, CODE_LEVELS) or "auto",
            callbacks=callbacks,
        )
        booster = estimator.booster_
        best = estimator.best_iteration_ or booster.current_iteration()
        curve = thin_curve("rounds", stopping_metric(data), [], curves["valid"][name], best)
        return Fit(estimator, curve, self._summary(booster, best))

    def describe(self, fit: Fit, X: Any, y: Any, *, data: DataProfile) -> None:
        booster = fit.estimator.booster_
        fit.learned["depth"] = _depth(booster, fit.learned["rounds"])
        if fit.learning_curve is not None:
            part, target = training_sample(X, y)
            margins = _margins(booster, part, fit.learning_curve["x"])
            add_training(fit.learning_curve, margins, target, rows=len(y))

    def thin(self, estimator: Any, *, models: int) -> None:
        # Each round's loss would be an array of its own in the bundle; the curve has them.
        estimator._evals_result = {}

    @staticmethod
    def _summary(booster: Any, best: int) -> dict[str, Any]:
        trees = best * booster.num_model_per_iteration()
        return {
            "rounds": best,
            "trees": trees,
            # Each split makes one leaf more.
            "leaves": trees + int(booster.feature_importance("split", iteration=best).sum()),
            "importance": importance_top(booster.feature_importance("gain", iteration=best)),
        }


def _of_many_classes(leaf: int) -> list[dict[str, Any]]:
    # The third is AutoGluon's "large" preset, those after it LightGBM_r131, _r188 and _r96 of its zero-shot
    # portfolio of 2023 (learned on TabRepo, Apache-2.0), rates raised to suit short budgets.
    return [
        {"learning_rate": 0.2, "n_estimators": 100, "num_leaves": 32, "min_child_samples": 20,
         "colsample_bytree": 0.34, "subsample": 0.63},
        {"n_estimators": 300},
        {"learning_rate": 0.03, "n_estimators": 300, "num_leaves": 128, "min_child_samples": 3,
         "colsample_bytree": 0.9},
        {"learning_rate": 0.02, "n_estimators": 300, "num_leaves": 53, "min_child_samples": 14,
         "colsample_bytree": 0.7},
        {"extra_trees": True, "learning_rate": 0.034, "n_estimators": 300, "num_leaves": 127,
         "min_child_samples": 6, "colsample_bytree": 0.83},
        {"extra_trees": True, "learning_rate": 0.03, "n_estimators": 300, "num_leaves": 16,
         "min_child_samples": leaf, "colsample_bytree": 0.56},
    ]  # fmt: skip


def _margins(booster: Any, X: Any, rounds: Sequence[int]) -> Iterator[Any]:
    """What the booster says of the rows after each of these rounds, before any link."""
    total, before = 0.0, 0
    for count in rounds:
        # Without `start_iteration` every point would be predicted from the first tree on.
        total = total + booster.predict(
            X, raw_score=True, start_iteration=before, num_iteration=count - before
        )
        before = count
        yield total


def _depth(booster: Any, rounds: int) -> int:
    """The deepest leaf; its text has the trees, and is quicker to get than its JSON."""
    import numpy as np

    children: dict[str, list[Any]] = {"left": [], "right": []}
    roots: dict[str, list[int]] = {"left": [], "right": []}
    places = dict.fromkeys(children, 0)
    for side, text in _CHILDREN.findall(booster.model_to_string(num_iteration=rounds)):
        nodes = np.fromstring(text, dtype=np.int64, sep=" ")
        children[side].append(np.where(nodes >= 0, nodes + places[side], -1))
        if len(nodes):
            roots[side].append(places[side])
        places[side] += len(nodes)
    left, right = (np.concatenate(children[side]) for side in ("left", "right"))
    return deepest(left, right, np.array(roots["left"], dtype=np.int64))


def _metric_name(data: DataProfile) -> str:
    names = {"roc_auc": "auc", "mae": "l1", "rmse": "rmse"}
    loss = "binary_logloss" if data.classes == 2 else "multi_logloss"
    return names.get(stopping_metric(data), loss)


def _stop_at(deadline: float, stopping: Any) -> Any:
    """Make a callback that ends training at a deadline with the best round, which early stopping knows."""
    from lightgbm.callback import EarlyStopException

    def stop(_env: Any) -> None:
        if is_late(deadline):
            raise EarlyStopException(stopping.best_iter[0], stopping.best_score_list[0])

    stop.order = 40  # type: ignore[attr-defined]
    return stop
