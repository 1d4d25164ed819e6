"""XGBoost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner, asks_median, thin_curve
from automl.engine.learners.boosting import (
    MANY_CLASSES,
    add_training,
    class_trees,
    expected_rounds,
    importance_top,
    is_late,
    learning_rate_dial,
    patience,
    rounds_dial,
    stopping_metric,
    training_sample,
)
from automl.engine.learners.preprocessing import encoding_seconds, tree_matrix, tree_width
from automl.engine.schema import DataProfile
from automl.engine.space import Float, Int, Space
from automl.engine.trial import Params, TaskType

# Its own splits of categories did no better on real tables, and converters don't know them.
CODE_LEVELS = 3
# Trees of so many rounds are written as text at once.
DUMPED_ROUNDS = 50


class XGBoost(Learner):
    """Depth-wise boosted trees."""

    key = "xgboost"
    ends_in_time = True
    label = "XGBoost"
    description = (
        "Boosted trees grown level by level, with strong regularisation. "
        "Close to LightGBM in accuracy; its different errors help an ensemble."
    )
    training = 2  # before, few rows were stopped by their AUC

    def dials(self, data: DataProfile) -> Space:
        return Space(
            {
                "learning_rate": learning_rate_dial(0.08 if data.classes <= MANY_CLASSES else 0.15),
                "n_estimators": rounds_dial(500 if data.classes <= MANY_CLASSES else 250),
                "max_depth": Int(
                    2,
                    10,
                    6,
                    effect="How many questions in a row a tree asks: deeper finds more, then overfits.",
                ),
                "min_child_weight": Float(
                    0.1,
                    50.0,
                    1.0,
                    log=True,
                    effect="How much evidence a leaf needs: higher is steadier, too low follows single rows.",
                ),
                "subsample": Float(
                    0.4,
                    1.0,
                    1.0,
                    effect="The share of rows that each tree sees: lower is steadier, too low forgets.",
                ),
                "colsample_bytree": Float(
                    0.3,
                    1.0,
                    1.0,
                    effect="The share of columns that each tree sees: lower is faster, too low blinds it.",
                ),
                "reg_lambda": Float(
                    1e-2,
                    100.0,
                    1.0,
                    log=True,
                    effect="How cautious leaf values are: higher damps them, too high learns nothing.",
                ),
                "gamma": Float(
                    0.0,
                    5.0,
                    0.0,
                    effect="The gain that a split must bring: higher prunes trees, too high leaves stumps.",
                ),
            }
        )

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate({"learning_rate": 0.2, "n_estimators": 60, "max_depth": 4})

    def portfolio(self, data: DataProfile) -> list[Params]:
        # XGBoost_r89, and r33 for many classes, are of AutoGluon's zero-shot portfolio of 2023 (learned on
        # TabRepo, Apache-2.0), r33's rate of 0.018 raised to suit short budgets. The others are our own
        # finding, on parts of the public tables: rows and columns drawn anew for each tree, and rounds
        # enough for a small rate.
        space = self.space(data)
        r89 = {"learning_rate": 0.088, "max_depth": 5, "min_child_weight": 0.63, "colsample_bytree": 0.66}
        if data.classes > MANY_CLASSES:
            chosen: list[dict[str, Any]] = [
                {"learning_rate": 0.17, "max_depth": 6, "min_child_weight": 0.6, "subsample": 0.43,
                 "colsample_bytree": 0.57, "reg_lambda": 0.43, "gamma": 0.23},
                r89,
                {},
                {"learning_rate": 0.03, "max_depth": 10, "min_child_weight": 0.6, "colsample_bytree": 0.69},
            ]  # fmt: skip
        else:
            drawn: dict[str, Any] = {"subsample": 0.8, "colsample_bytree": 0.7}
            slow = {"learning_rate": 0.03, "max_depth": 9, "min_child_weight": 2.0, "n_estimators": 1_000}
            chosen = [
                {**drawn, "learning_rate": 0.1},
                r89,
                {**drawn, "learning_rate": 0.05, "max_depth": 7, "n_estimators": 1_000},
                {**drawn, **slow},
            ]
        chosen.append({"learning_rate": 0.05, "max_depth": 3, "subsample": 0.8, "n_estimators": 1_000})
        return [space.validate(params) for params in chosen]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        depth = float(params["max_depth"] or 1)
        width = tree_width(data, CODE_LEVELS) * float(params["colsample_bytree"] or 1)
        rows = data.rows * float(params["subsample"] or 1)
        leaves = max(min(2.0**depth, data.rows / 10), 2.0)
        tree = 5e-5 + leaves * width * 2e-8 + data.rows * 3e-8 + rows * math.log2(leaves) * width * 3e-10
        rounds = expected_rounds(data, int(params["n_estimators"] or 0), float(params["learning_rate"] or 1))
        if depth < 4:
            rounds = min(2.0 * rounds, float(params["n_estimators"] or 0))
        seconds = 0.015 + encoding_seconds(data, CODE_LEVELS) + rounds * class_trees(data) * tree
        return Cost(seconds, data.rows * (data.columns + 16) * 16)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return tree_matrix(data, CODE_LEVELS)[0]

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from xgboost import XGBClassifier, XGBRegressor

        settings: dict[str, Any] = dict(params)
        metric = stopping_metric(data)
        name = {"roc_auc": "auc", "mae": "mae", "rmse": "rmse"}.get(metric) or (
            "logloss" if data.classes == 2 else "mlogloss"
        )
        settings.update(
            tree_method="hist",
            eval_metric=name,
            early_stopping_rounds=patience(float(params["learning_rate"] or 1)),
            random_state=seed,
            n_jobs=threads,
            verbosity=0,
        )
        if data.task_type is TaskType.REGRESSION:
            objective = "reg:absoluteerror" if asks_median(data) else "reg:squarederror"
            return XGBRegressor(objective=objective, **settings)
        return XGBClassifier(
            objective="binary:logistic" if data.classes == 2 else "multi:softprob", **settings
        )

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
        if deadline is not None:
            estimator.set_params(callbacks=[_stop_at(deadline)])
        estimator.fit(X, y, eval_set=[(X_valid, y_valid)], verbose=False)
        # The callback is ours: it may not go into the stored model.
        estimator.set_params(callbacks=None)
        (valid,) = next(iter(estimator.evals_result().values())).values()
        if stopping_metric(data) == "roc_auc":
            # Where validation has one class only there is no area, and the library says NaN.
            valid = [value if math.isfinite(value) else 0.5 for value in valid]
        # Not its own best_iteration: that is missing when the deadline ended the first round.
        pick = max if stopping_metric(data) == "roc_auc" else min
        best = valid.index(pick(valid)) + 1
        whole = estimator.get_booster()
        estimator._Booster = whole[:best]
        curve = thin_curve("rounds", stopping_metric(data), [], valid, best)
        trees = best * class_trees(data)
        splits = estimator.get_booster().get_score(importance_type="weight")
        learned = {
            "rounds": best,
            "trees": trees,
            # Each split makes one leaf more.
            "leaves": trees + int(sum(splits.values())),
            "importance": importance_top(estimator.feature_importances_),
        }
        return Fit(estimator, curve, learned, whole)

    def describe(self, fit: Fit, X: Any, y: Any, *, data: DataProfile) -> None:
        most = int(fit.estimator.get_params()["max_depth"])
        fit.learned["depth"] = _depth(fit.estimator.get_booster(), most)
        if fit.learning_curve is not None:
            part, target = training_sample(X, y)
            margins = _margins(fit.whole, part, fit.learning_curve["x"])
            add_training(fit.learning_curve, margins, target, rows=len(y))

    def thin(self, estimator: Any, *, models: int) -> None:
        # Each round's loss would be an array of its own in the bundle; the curve has them.
        estimator.evals_result_ = {}


def _margins(booster: Any, X: Any, rounds: Sequence[int]) -> Iterator[Any]:
    """What the booster says of the rows after each of these rounds, before any link."""
    total, before = None, 0
    for count in rounds:
        total = booster.inplace_predict(
            X, iteration_range=(before, count), predict_type="margin", base_margin=total
        )
        before = count
        yield total


def _depth(booster: Any, most: int) -> int:
    """The deepest leaf, which is known as soon as a tree has `most`: to write all as text is slow."""
    depth, rounds = 0, booster.num_boosted_rounds()
    for start in range(0, rounds, DUMPED_ROUNDS):
        # The text of a tree has a tab for each level.
        text = "".join(booster[start : min(start + DUMPED_ROUNDS, rounds)].get_dump())
        while "\n" + "\t" * (depth + 1) in text:
            depth += 1
        if depth >= most:
            break
    return depth


def _stop_at(deadline: float) -> Any:
    """Make a callback that ends training at a deadline."""
    from xgboost.callback import TrainingCallback

    class StopAt(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return is_late(deadline)

    return StopAt()
