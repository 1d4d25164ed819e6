"""What the boosting libraries have in common: metrics to stop by, patience, curves."""

from __future__ import annotations

import math
import time
from typing import Any

from automl.engine.schema import DataProfile
from automl.engine.space import Condition, Float, Int
from automl.engine.trial import TaskType

# Metrics by which every library can stop; any other one is noisier than the loss and falls back to it.
STOPPING_METRICS = {
    TaskType.BINARY: ("roc_auc", "log_loss"),
    TaskType.MULTICLASS: ("log_loss",),
    TaskType.REGRESSION: ("rmse", "mae"),
}

# How many rounds a fit takes, as a multiple of what a class of two takes: a number has no ceiling.
ROUNDS = {TaskType.BINARY: 1.0, TaskType.MULTICLASS: 1.2, TaskType.REGRESSION: 3.0}

# Past this many classes a round is so many trees that fewer and larger steps are the better use of time.
MANY_CLASSES = 10


def stopping_metric(data: DataProfile) -> str:
    """Name the metric by which rounds are chosen: the experiment's own where the libraries have it."""
    known = STOPPING_METRICS[data.task_type]
    if data.metric in known:
        return data.metric
    return "rmse" if data.task_type is TaskType.REGRESSION else "log_loss"


def patience(learning_rate: float) -> int:
    """Give the rounds without improvement after which a fit stops: small steps need more of them."""
    return round(min(max(2.0 / learning_rate, 20), 80))


def expected_rounds(data: DataProfile, limit: int, learning_rate: float) -> float:
    """Guess after how many rounds early stopping ends a fit; measured on tables of 200 to 50,000 rows."""
    needed = ROUNDS[data.task_type] * (5.0 + 3.6 * math.log10(max(data.rows / 200, 1.0)))
    return min(float(limit), needed / learning_rate + patience(learning_rate))


def is_late(deadline: float | None) -> bool:
    """Tell whether a fit has to stop now."""
    return deadline is not None and time.monotonic() >= deadline


def small_leaf(data: DataProfile, usual: int = 20) -> int:
    """Give a leaf size that leaves a small table room for splits."""
    return max(2, min(usual, data.rows // 40))


def learning_rate_dial(default: float) -> Float:
    """Give the dial that all boosting libraries share."""
    return Float(
        0.005,
        0.4,
        default,
        log=True,
        effect="How much each tree corrects: higher learns faster and overshoots, too high diverges; "
        "lower is more exact and needs more rounds and time.",
    )


def rounds_dial(default: int, high: int = 2_000, condition: Condition | None = None) -> Int:
    """Give the dial for the most trees; early stopping usually ends before."""
    return Int(
        20,
        high,
        default,
        log=True,
        condition=condition,
        effect="The most rounds of trees: more helps only while validation improves, as training stops "
        "early by itself; too few leaves a small learning rate unfinished.",
    )


def class_trees(data: DataProfile) -> int:
    """Count the trees of one round: one for each class past two."""
    return data.classes if data.task_type is TaskType.MULTICLASS else 1


def importance_top(values: Any, count: int = 200) -> list[list[float]]:
    """Give the most used inputs of an estimator as [position, share] pairs, largest first."""
    total = float(sum(values))
    if total <= 0.0:
        return []
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]
    return [[i, round(float(values[i]) / total, 5)] for i in order if values[i] > 0]
