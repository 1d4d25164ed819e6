"""CatBoost."""

from __future__ import annotations

from typing import Any

from automl.engine.learners.base import Cost, Fit, Learner, asks_median, thin_curve
from automl.engine.learners.boosting import (
    MANY_CLASSES,
    class_trees,
    expected_rounds,
    importance_top,
    is_late,
    learning_rate_dial,
    patience,
    rounds_dial,
    stopping_metric,
)
from automl.engine.schema import DataProfile
from automl.engine.space import Float, Int, Space
from automl.engine.trial import Params, TaskType

# The usual statistics are kept for each level and class: with 26 classes they took 95 % of the time.
STATISTICS_CLASSES = 4


class CatBoost(Learner):
    """Boosted symmetric trees with ordered target statistics."""

    key = "catboost"
    ends_in_time = True
    label = "CatBoost"
    description = (
        "Boosted symmetric trees that turn categories into statistics of the target without leaking it. "
        "Often the best where categories have many levels, and rarely needs tuning."
    )
    layout = "frame"
    training = 2  # before, few rows were stopped by their AUC

    def dials(self, data: DataProfile) -> Space:
        return Space(
            {
                "learning_rate": learning_rate_dial(0.08),
                "iterations": rounds_dial(500 if data.classes <= MANY_CLASSES else 200, high=1_500),
                "depth": Int(
                    3,
                    9,
                    6,
                    effect="How many questions each tree asks: deeper finds interactions, doubles the time "
                    "with every step and overfits small tables.",
                ),
                "l2_leaf_reg": Float(
                    0.5,
                    50.0,
                    3.0,
                    log=True,
                    effect="How cautious leaf values are: higher damps them, too high learns nothing.",
                ),
                "random_strength": Float(
                    0.1,
                    10.0,
                    1.0,
                    log=True,
                    effect="How much chance goes into choosing splits: higher overfits less, "
                    "too high learns slowly.",
                ),
                "rsm": Float(
                    0.3,
                    1.0,
                    1.0,
                    effect="The share of columns that each split may choose from: lower is faster.",
                ),
            }
        )

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate({"learning_rate": 0.2, "iterations": 60, "depth": 4})

    def portfolio(self, data: DataProfile) -> list[Params]:
        # The others are CatBoost_r177, _r9 and _r137 of AutoGluon's zero-shot portfolio of 2023 (learned on
        # TabRepo, Apache-2.0); r9's rate of 0.0314 raised, for numbers most, as rounds did not suffice.
        # For numbers r9 comes before r177.
        space = self.space(data)
        rounds = 1_000 if data.classes <= MANY_CLASSES else 250
        # Eight levels have more leaves than a small table has rows, and take 16 times as long as four.
        deep = 8 if data.rows >= 1_000 else 5
        is_number = data.task_type is TaskType.REGRESSION
        rate = 0.1 if is_number else 0.06 if data.classes <= MANY_CLASSES else 0.0314
        quick = {"learning_rate": 0.17, "l2_leaf_reg": 1.9, "random_strength": 0.13, "rsm": 0.57}
        r177 = {"depth": 6, "l2_leaf_reg": 2.15, "learning_rate": 0.0686}
        r9 = {"depth": deep, "l2_leaf_reg": 2.8, "learning_rate": rate}
        r137 = {"depth": 4, "l2_leaf_reg": 4.56, "learning_rate": 0.0494}
        chosen = (quick, r9, r177, r137) if is_number else (quick, r177, r9, r137)
        return [space.validate({"iterations": rounds, **params}) for params in chosen]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        depth = float(params["depth"] or 1)
        statistics = len(data.cardinalities) * (4 if data.classes < 3 else 4 * min(data.classes, 4))
        numeric = data.numeric - len(data.minor)
        width = (numeric * 1.7e-9 + statistics * 1.5e-9) * float(params["rsm"] or 1)
        trees = class_trees(data)
        tree = 9e-4 + data.rows * (depth * (1.4e-8 + width) + 4e-8 * trees)
        tree += 2.0**depth * (numeric + statistics) * trees * 4e-7
        rounds = expected_rounds(data, int(params["iterations"] or 0), float(params["learning_rate"] or 1))
        if data.classes > 2:
            # Symmetric trees fit all classes at once, with the splits that suit none of them best.
            rounds = min(2.5 * rounds, float(params["iterations"] or 0))
        return Cost(0.02 + rounds * tree, data.rows * (data.columns + 30) * 16 + 50_000_000)

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from catboost import CatBoostClassifier, CatBoostRegressor

        settings: dict[str, Any] = dict(params)
        metric = stopping_metric(data)
        # The curve on the training part costs as much as it is worth: AUC is computed on one part only.
        name = {"roc_auc": "AUC:hints=skip_train~true", "mae": "MAE", "rmse": "RMSE"}.get(metric) or (
            "Logloss" if data.classes == 2 else "MultiClass"
        )
        settings.update(
            eval_metric=name,
            od_type="Iter",
            od_wait=patience(float(params["learning_rate"] or 1)),
            use_best_model=True,
            cat_features=list(data.categorical) or None,
            ignored_features=[*data.minor, *data.places] or None,
            random_seed=seed,
            thread_count=threads,
            allow_writing_files=False,
            logging_level="Silent",
            # Combinations of categories are most of the time on tables with many of them.
            max_ctr_complexity=1 if data.rows > 5_000 else 2,
        )
        statistics = _statistics(data)
        if statistics:
            settings.update(simple_ctr=statistics, combinations_ctr=statistics)
        if data.task_type is TaskType.REGRESSION:
            loss = "MAE" if asks_median(data) else "RMSE"
            return CatBoostRegressor(loss_function=loss, **settings)
        return CatBoostClassifier(loss_function="Logloss" if data.classes == 2 else "MultiClass", **settings)

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
        callbacks = None if deadline is None else [_StopAt(deadline)]
        estimator.fit(X, y, eval_set=(X_valid, y_valid), callbacks=callbacks)
        best = int(estimator.get_best_iteration() or 0) + 1
        name = str(estimator.get_params()["eval_metric"]).split(":")[0]
        results = estimator.evals_result_
        train = results.get("learn", {}).get(name, [])
        curve = thin_curve("rounds", stopping_metric(data), train, results["validation"][name], best)
        leaves = estimator.get_tree_leaf_counts()
        learned = {
            "rounds": int(estimator.tree_count_),
            "trees": int(estimator.tree_count_),
            "leaves": int(sum(leaves)),
            # Each level of a symmetric tree asks one question.
            "depth": int(max(leaves, default=1)).bit_length() - 1,
            "importance": importance_top(estimator.feature_importances_),
        }
        return Fit(estimator, curve, learned)


def _statistics(data: DataProfile) -> list[str]:
    """Choose what is known of a category's target; empty: the library's own choice."""
    if not data.categorical:
        return []
    if data.task_type is TaskType.REGRESSION:
        # The usual ones only know in which half a target is: a skewed one was 40 % further off.
        return ["BinarizedTargetMeanValue:TargetBorderCount=15", "Counter"]
    return ["BinarizedTargetMeanValue", "Counter"] if data.classes > STATISTICS_CLASSES else []


class _StopAt:
    """A callback that ends training at a deadline."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline

    def after_iteration(self, info: Any) -> bool:
        return not is_late(self.deadline)
