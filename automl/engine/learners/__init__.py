"""The model families. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from automl.engine.errors import UserError
from automl.engine.learners.base import Cost, Fit, Learner, LearningCurve
from automl.engine.learners.boosting_catboost import CatBoost
from automl.engine.learners.boosting_hist import HistBoosting
from automl.engine.learners.boosting_lightgbm import LightGBM
from automl.engine.learners.boosting_xgboost import XGBoost
from automl.engine.learners.dummy import Dummy
from automl.engine.learners.forest import ExtraTrees, RandomForest
from automl.engine.learners.kernel import Kernel
from automl.engine.learners.linear import Linear
from automl.engine.learners.neighbors import Neighbors
from automl.engine.learners.network import NeuralNetwork
from automl.engine.learners.stacked import StackedLightGBM, StackedNetwork, StackedTrees
from automl.engine.learners.tabicl import TabICL
from automl.engine.trial import TaskType

__all__ = [
    "LEARNERS",
    "Cost",
    "Fit",
    "Learner",
    "LearningCurve",
    "check_offered",
    "families_for",
    "get_learner",
    "stacks",
]

# All that are known, also to tell of trials whose family is not offered here any more.
LEARNERS: dict[str, Learner] = {
    learner.key: learner
    for learner in (
        Dummy(),
        Linear(),
        Kernel(),
        Neighbors(),
        RandomForest(),
        ExtraTrees(),
        HistBoosting(),
        LightGBM(),
        CatBoost(),
        XGBoost(),
        NeuralNetwork(),
        TabICL(),
        StackedNetwork(),
        StackedTrees(),
        StackedLightGBM(),
    )
}


def get_learner(key: str) -> Learner:
    """Give the learner with a key, or raise `UserError` that names the known ones."""
    try:
        return LEARNERS[key]
    except KeyError:
        raise UserError(f"{key!r} is not a family; the known ones are: {', '.join(LEARNERS)}.") from None


def stacks(key: str) -> bool:
    """Whether a family learns from what trials of others predict; one that is not known does not."""
    return key in LEARNERS and LEARNERS[key].stacks


def families_for(task_type: TaskType | None = None) -> list[str]:
    """Give the keys of the learners that are offered here for a task type, or for any."""
    asked = TaskType if task_type is None else (task_type,)
    return [
        key
        for key, learner in LEARNERS.items()
        if any(task in learner.task_types and learner.is_installed(task) for task in asked)
    ]


def check_offered(families: Iterable[str], task_type: TaskType) -> None:
    """Raise `UserError` for the first of these families that is not offered here for a task type."""
    offered = families_for(task_type)
    for family in families:
        if get_learner(family).key not in offered:
            raise UserError(f"{family} is not offered here for {task_type}; take of: {', '.join(offered)}.")
