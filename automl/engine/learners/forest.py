"""Random forests and extremely randomised trees."""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

from automl.engine.learners.base import ALL_TASKS, Cost, Fit, Learner
from automl.engine.learners.boosting import importance_top
from automl.engine.learners.preprocessing import encoding_seconds, tree_matrix, tree_width
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Float, Int, Space
from automl.engine.trial import Params, ParamValue, TaskType

# Codes of larger categories are split by ranges of levels that mean nothing; their target mean does.
CODE_LEVELS = 20
# A fold's forest in memory. Trees are cut to fit: five of them are kept for every trial.
FOREST_BYTES = 64_000_000
# Of a fit with a deadline; a few trees are not worth the start of threads.
FIRST_TREES, TREES_AT_A_TIME, LEAST_TREES = 10, 20, 3
# From this share of rows that come twice on, classes are told best by leaves of a row each.
MANY_TWINS = 0.05
# The mean over fold models has as many trees as all of them together: each may keep its part and half
# as much again. The scores were taken with whole forests.
KEPT_SHARE = 1.5
LEAST_KEPT = 8


class Forest(Learner):
    """What both forests share."""

    ends_in_time = True
    task_types = ALL_TASKS
    fixed: ClassVar[float]
    speed: ClassVar[float]

    def dials(self, data: DataProfile) -> Space:
        criteria = ("squared_error",) if data.task_type is TaskType.REGRESSION else ("gini", "entropy")
        leaf = 1 if data.rows < 2_000 or data.classes > 10 else 3
        return Space(
            {
                "n_estimators": Int(
                    20,
                    300,
                    100,
                    log=True,
                    effect="How many trees vote: more is steadier but takes time and space.",
                ),
                "min_samples_leaf": Int(
                    1,
                    50,
                    leaf,
                    log=True,
                    effect="The fewest rows in a leaf: higher smooths, too high underfits.",
                ),
                "max_features": Float(
                    0.05,
                    1.0,
                    self._features(data),
                    effect="The share of columns that a split may choose from: lower makes trees differ, "
                    "higher makes each one stronger and slower.",
                ),
                "criterion": Choice(
                    criteria,
                    criteria[0],
                    effect="How a split is judged; entropy cares more about rare classes.",
                ),
            }
        )

    @staticmethod
    def _features(data: DataProfile) -> float:
        if data.task_type is TaskType.REGRESSION:
            return 0.5
        columns = data.columns - len(data.minor)
        return round(max(1.0 / math.sqrt(max(columns, 1)), 0.05), 3)

    def first(self, data: DataProfile) -> Params:
        return self.space(data).validate(
            {"n_estimators": 40, "min_samples_leaf": 5 if data.rows > 500 else 2}
        )

    def portfolio(self, data: DataProfile) -> list[Params]:
        # AutoGluon's zero-shot portfolio of 2023 (learned on TabRepo, Apache-2.0) has forests with
        # max_features 0.75 and min_samples_leaf 1 and 40 among its best.
        space = self.space(data)
        configurations: list[dict[str, Any]]
        if data.task_type is TaskType.REGRESSION:
            configurations = [
                {"max_features": 0.75},
                {"max_features": 1.0, "min_samples_leaf": 2, "n_estimators": 150},
                {},
            ]
        else:
            configurations = [
                {"max_features": 0.75, "criterion": "entropy"},
                # The like of rows that come twice, or nearly, is only found with a leaf of its own.
                {"max_features": 0.5, "criterion": "entropy", "min_samples_leaf": 1, "n_estimators": 150},
                {"max_features": 0.75, "min_samples_leaf": 10},
                {},
            ]
        return [space.validate(params) for params in configurations]

    def cost(self, data: DataProfile, params: Params) -> Cost:
        trees, leaf = int(params["n_estimators"] or 0), int(params["min_samples_leaf"] or 1)
        tried = max(1.0, float(params["max_features"] or 1) * tree_width(data, CODE_LEVELS))
        depth = max(3.0, math.log2(max(data.rows / leaf, 1.0)))
        # A number takes more leaves to tell apart than a class does.
        slower = 2.0 if data.task_type is TaskType.REGRESSION else 1.0
        tree = 1e-3 + slower * data.rows * depth * (self.fixed + tried * self.speed)
        nodes = min(2 * data.rows / leaf, _most_leaves(data, trees) * 2)
        seconds = encoding_seconds(data, CODE_LEVELS) + trees * tree
        return Cost(seconds, int(trees * nodes * _node_bytes(data)) + data.rows * data.columns * 8)

    def preprocess(self, data: DataProfile, params: Params) -> Any | None:
        return tree_matrix(data, CODE_LEVELS)[0]

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        settings: dict[str, Any] = dict(params)
        trees = int(params["n_estimators"] or 0)
        most = _most_leaves(data, trees)
        # A limit on leaves makes trees grow best-first, which is slower: only where it would bind.
        settings["max_leaf_nodes"] = most if data.rows / _leaf(params["min_samples_leaf"]) > most else None
        return self._kind(data)(**settings, random_state=seed, n_jobs=threads)

    def _kind(self, data: DataProfile) -> Any:
        raise NotImplementedError

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
        if deadline is None:
            return super().fit(estimator, X, y, X_valid, y_valid, data=data, deadline=deadline)
        # A few trees at a time, and no more than fit, so that a deadline leaves a smaller forest and not
        # none; the trees are the same as of one long fit.
        wanted, began = estimator.n_estimators, time.monotonic()
        estimator.set_params(warm_start=True, n_estimators=min(FIRST_TREES, wanted))
        estimator.fit(X, y)
        while (more := wanted - estimator.n_estimators) and (left := deadline - time.monotonic()) > 0:
            fitting = int(estimator.n_estimators * left / (time.monotonic() - began))
            if fitting < min(more, LEAST_TREES):
                break
            estimator.n_estimators += min(more, fitting, TREES_AT_A_TIME)
            estimator.fit(X, y)
        estimator.set_params(warm_start=False)
        return Fit(estimator, learned=self.learned(estimator))

    def thin(self, estimator: Any, *, models: int) -> None:
        kept = max(LEAST_KEPT, math.ceil(KEPT_SHARE * len(estimator.estimators_) / models))
        estimator.estimators_ = estimator.estimators_[:kept]
        estimator.n_estimators = len(estimator.estimators_)

    def learned(self, estimator: Any) -> dict[str, Any]:
        trees = estimator.estimators_
        return {
            "trees": len(trees),
            "leaves": int(sum(tree.get_n_leaves() for tree in trees)),
            "depth": int(max(tree.get_depth() for tree in trees)),
            "importance": importance_top(estimator.feature_importances_),
        }


class RandomForest(Forest):
    """Trees on resampled rows."""

    key = "random_forest"
    label = "Random forest"
    description = (
        "Many deep trees, each on its own sample of the rows, take a vote. "
        "Good without tuning and hard to break; larger and slower than boosting."
    )
    fixed, speed = 2.2e-8, 7.7e-9

    def _kind(self, data: DataProfile) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        return RandomForestRegressor if data.task_type is TaskType.REGRESSION else RandomForestClassifier


class ExtraTrees(Forest):
    """Trees with random thresholds."""

    key = "extra_trees"
    label = "Extra trees"
    description = (
        "Like a random forest, but thresholds are drawn at random: smoother, faster to fit, "
        "and different enough from it to help an ensemble."
    )
    fixed, speed = 5e-9, 5.5e-9

    def portfolio(self, data: DataProfile) -> list[Params]:
        found = super().portfolio(data)
        if data.task_type is TaskType.REGRESSION or data.twins < MANY_TWINS:
            return found
        # Nothing else learns as much of rows that come twice, and what is stacked on it learns more.
        finest = min(found, key=lambda params: _leaf(params["min_samples_leaf"]))
        return [finest, *(params for params in found if params is not finest)]

    def _kind(self, data: DataProfile) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        return ExtraTreesRegressor if data.task_type is TaskType.REGRESSION else ExtraTreesClassifier


def _leaf(value: ParamValue) -> int:
    return max(int(value or 1), 1)


def _node_bytes(data: DataProfile) -> int:
    return 64 + 8 * max(data.classes, 1)


def _most_leaves(data: DataProfile, trees: int) -> int:
    return max(FOREST_BYTES // (trees * _node_bytes(data) * 2), 64)
