"""scikit-learn's histogram gradient boosting."""

from __future__ import annotations

import time
from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner, asks_median, thin_curve
from automl.engine.learners.boosting import (
    MANY_CLASSES,
    class_trees,
    expected_rounds,
    is_late,
    learning_rate_dial,
    patience,
    rounds_dial,
    small_leaf,
)
from automl.engine.learners.preprocessing import encoding_seconds, tree_matrix, tree_width
from automl.engine.schema import DataProfile
from automl.engine.space import Float, Int, Space
from automl.engine.trial import Params, TaskType

# Categories are not left to its own handling: that stores a function inside the model, which a safe
# loader would have to trust, and converters don't know it. Cut by value, three levels are still clear.
CODE_LEVELS = 3
FIRST_ROUNDS = 20
# What its losses are called by in curves; that of squares is halved.
CURVES = {
    "log_loss": "log_loss",
    "squared_error": "half_squared_error",
    "absolute_error": "mae",
}


class HistBoosting(Learner):
    """Boosted trees on binned columns."""

    key = "hist_boosting"
    ends_in_time = True
    label = "Histogram boosting"
    description = (
        "scikit-learn's boosted trees: each tree corrects the ones before it. Accurate and dependable; "
        "one tree for each class in every round makes it slow with many classes."
    )

    def dials(self, data: DataProfile) -> Space:
        many = data.classes > MANY_CLASSES
        return Space(
            {
                "learning_rate": learning_rate_dial(0.1),
                "max_iter": rounds_dial(120 if many else 300, high=1_000),
                "max_leaf_nodes": Int(
                    4,
                    128,
                    31,
                    log=True,
                    effect="How detailed each tree is: more leaves find finer patterns, too many overfit.",
                ),
                "min_samples_leaf": Int(
                    2,
                    200,
                    max(small_leaf(data), 20 if many else 2),
                    log=True,
                    effect="The fewest rows in a leaf: higher is steadier; too low follows single rows, and "
                    "with rare classes lets probabilities run away.",
                ),
                "l2_regularization": Float(
                    1e-4,
                    100.0,
                    5.0 if many else 0.1,
                    log=True,
                    effect="How cautious leaf values are: higher damps them, too high learns nothing.",
                ),
                "max_features": Float(
                    0.2,
                    1.0,
                    1.0,
                    effect="The share of columns that a split may choose from: lower makes trees differ.",
                ),
            }
        )

    def first(self, data: DataProfile) -> Params:
        rounds = 30 if data.classes > MANY_CLASSES else 60
        return self.space(data).validate({"max_iter": rounds, "max_leaf_nodes": 16})

    def portfolio(self, data: DataProfile) -> list[Params]:
        space = self.space(data)
        rounds = 200 if data.classes > MANY_CLASSES else 600
        slow = {"learning_rate": 0.04, "max_iter": rounds, "max_leaf_nodes": 20, "max_features": 0.5}
        quick = {"learning_rate": 0.17, "max_iter": rounds, "max_leaf_nodes": 22, "max_features": 0.5}
        if data.classes <= MANY_CLASSES:
            quick |= {"min_samples_leaf": 6, "l2_regularization": 2e-4}
        return [space.validate(quick), space.validate(slow), space.default()]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        leaf = float(params["min_samples_leaf"] or 1)
        leaves = min(float(params["max_leaf_nodes"] or 0), data.rows / leaf)
        columns = tree_width(data, CODE_LEVELS)
        width = columns * float(params["max_features"] or 1)
        tree = 1e-5 + leaves * (1.6e-5 + width * 3e-7) + data.rows * (3.7e-8 + columns * 2.2e-9)
        rounds = expected_rounds(data, int(params["max_iter"] or 0), float(params["learning_rate"] or 1))
        seconds = 0.02 + encoding_seconds(data, CODE_LEVELS) + rounds * class_trees(data) * tree
        return Cost(seconds, data.rows * data.columns * 12)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return tree_matrix(data, CODE_LEVELS)[0]

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        settings: dict[str, Any] = dict(params)
        settings.update(
            categorical_features=None,
            early_stopping=True,
            n_iter_no_change=patience(float(params["learning_rate"] or 1)),
            # Its own is as large as all there is to gain where the target is in small units.
            tol=0.0,
            random_state=seed,
        )
        if data.task_type is TaskType.REGRESSION:
            loss = "absolute_error" if asks_median(data) else "squared_error"
            return HistGradientBoostingRegressor(loss=loss, **settings)
        return HistGradientBoostingClassifier(**settings)

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
        wanted = estimator.max_iter
        if deadline is None:
            estimator.fit(X, y, X_val=X_valid, y_val=y_valid)
        else:
            # It knows no callback: some rounds at a time, then a look at the clock.
            started = time.monotonic()
            estimator.set_params(warm_start=True, max_iter=min(FIRST_ROUNDS, wanted))
            estimator.fit(X, y, X_val=X_valid, y_val=y_valid)
            while estimator.n_iter_ == estimator.max_iter < wanted and not is_late(deadline):
                now = time.monotonic()
                # As many as fit, at most as many again as there are: every stop costs a prediction.
                fitting = int(estimator.n_iter_ * (deadline - now) / (now - started))
                more = max(min(estimator.n_iter_, fitting), 1)
                estimator.set_params(max_iter=min(estimator.n_iter_ + more, wanted))
                estimator.fit(X, y, X_val=X_valid, y_val=y_valid)
            estimator.set_params(warm_start=False, max_iter=wanted)
        valid = -estimator.validation_score_[1:]
        best = int(valid.argmin()) + 1
        # It keeps the rounds after the best one, which have overfitted; n_iter_ counts this list.
        del estimator._predictors[best:]
        curve = thin_curve("rounds", CURVES[estimator.loss], -estimator.train_score_[1:], valid, best)
        return Fit(estimator, curve, self.learned(estimator))

    def learned(self, estimator: Any) -> dict[str, Any]:
        trees = [tree for group in estimator._predictors for tree in group]
        return {
            "rounds": int(estimator.n_iter_),
            "trees": len(trees),
            "leaves": int(sum(tree.get_n_leaf_nodes() for tree in trees)),
            "depth": int(max(tree.get_max_depth() for tree in trees)),
        }
