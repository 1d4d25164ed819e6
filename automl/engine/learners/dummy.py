"""The learner that every other one has to beat: it looks at no column at all."""

from __future__ import annotations

from typing import Any

from automl.engine.learners.base import Cost, Learner, asks_median
from automl.engine.schema import DataProfile
from automl.engine.space import Choice, Space
from automl.engine.trial import Params, TaskType


class Dummy(Learner):
    """Predicts the share of each class, or the mean."""

    key = "dummy"
    label = "Baseline"
    description = (
        "Predicts the same for every row: the share of each class, or the mean. "
        "A model that does not beat it has learned nothing."
    )

    def dials(self, data: DataProfile) -> Space:
        if data.task_type is not TaskType.REGRESSION:
            return Space({})
        strategy = Choice(
            ("mean", "median"),
            "median" if asks_median(data) else "mean",
            effect="Which middle of the target is predicted: the median ignores outliers, the mean does not.",
        )
        return Space({"strategy": strategy})

    def cost(self, data: DataProfile, params: Params) -> Cost:
        return Cost(0.002 + data.rows * 1e-7, data.rows * 16)

    def build(self, data: DataProfile, params: Params, *, seed: int, threads: int) -> Any:
        from sklearn.dummy import DummyClassifier, DummyRegressor

        if data.task_type is TaskType.REGRESSION:
            return DummyRegressor(strategy=params["strategy"])
        return DummyClassifier(strategy="prior")

    def learned(self, estimator: Any) -> dict[str, Any]:
        if hasattr(estimator, "class_prior_"):
            return {"class_shares": [round(float(share), 6) for share in estimator.class_prior_[:50]]}
        return {"constant": float(estimator.constant_.ravel()[0])}
